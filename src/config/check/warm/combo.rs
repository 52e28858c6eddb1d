//! `[[warm.groups.combos]]`

use super::{place_in, required, texts, told};
use crate::config::map::{Entry, key_text};
use crate::config::raw::{Findings, Table};
use crate::warm::{Combo, PlanFault};

const PATH: &str = "warm.groups[].combos[].path";
const PARAMS: &str = "warm.groups[].combos[].params";
const QUERY: &str = "warm.groups[].combos[].query";
const HEADERS: &str = "warm.groups[].combos[].headers";
const EXCLUDE: &str = "warm.groups[].combos[].exclude";

/// The combo of a table; `None` only if there is a fault.
pub(super) fn check(table: &Table, findings: &mut Findings) -> Option<Combo> {
    let path = required(table, PATH, "path", "/api/brands", findings)?;
    let path_shown = format!("{}.path", table.shown);
    let mut combo = told(Combo::path(path), &table.place(PATH), &path_shown, findings)?;
    let mut whole = ![PARAMS, QUERY, HEADERS].iter().any(|part| table.is_faulty(part));
    whole &= dimensions(&mut combo, table, PARAMS, |combo, entry| combo.param(&entry.name, texts(entry)), findings);
    whole &= dimensions(&mut combo, table, QUERY, |combo, entry| combo.query(&entry.name, texts(entry)), findings);
    whole &= dimensions(&mut combo, table, HEADERS, |combo, entry| combo.header(&entry.name, texts(entry)), findings);
    if !whole {
        return None;
    }
    exclude(&mut combo, table, findings);
    told(combo.check(), &table.place(PATH), path_shown, findings)?;
    Some(combo)
}

/// Adds the dimensions of one part. `false`: there are faults.
fn dimensions(
    combo: &mut Combo,
    table: &Table,
    part: &str,
    add: impl Fn(Combo, &Entry) -> Result<Combo, PlanFault>,
    findings: &mut Findings,
) -> bool {
    let mut whole = true;
    for entry in table.map(part) {
        match add(combo.clone(), entry) {
            Ok(more) => *combo = more,
            Err(fault) => {
                whole = false;
                let name = part.rsplit('.').next().unwrap_or_default();
                let shown = format!("{}.{name}.{}", table.shown, key_text(&entry.name));
                findings.fault(place_in(entry, &fault), shown, fault.found(), fault.fix());
            }
        }
    }
    whole
}

fn exclude(combo: &mut Combo, table: &Table, findings: &mut Findings) {
    for (at, map) in table.maps(EXCLUDE).iter().enumerate() {
        let shown = format!("{}.exclude[{at}]", table.shown);
        let faults = findings.faults.len();
        for entry in &map.entries {
            condition(combo, entry, &format!("{shown}.{}", key_text(&entry.name)), findings);
        }
        if findings.faults.len() > faults {
            continue;
        }
        let less = combo.clone().exclude(map.entries.iter().map(|entry| (&entry.name, texts(entry))));
        if let Some(less) = told(less, &map.place, shown, findings) {
            *combo = less;
        }
    }
}

/// Tells the faults of one condition, each at its own place.
fn condition(combo: &Combo, entry: &Entry, shown: &str, findings: &mut Findings) {
    let Err(first) = combo.clone().exclude([(&entry.name, texts(entry))]) else { return };
    let alone = |text| combo.clone().exclude([(&entry.name, [text])]).err();
    let faults: Vec<PlanFault> = match first {
        // Each value that is not there has a place of its own. As many as anybody reads.
        PlanFault::ExcludeValue(..) => texts(entry).filter_map(alone).take(10).collect(),
        first => vec![first],
    };
    for fault in faults {
        findings.fault(place_in(entry, &fault), shown, fault.found(), fault.fix());
    }
}
