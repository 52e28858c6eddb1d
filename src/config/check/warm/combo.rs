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
        // Each condition is tried alone first: so every fault has its place, and they come all at once.
        let mut whole = true;
        for entry in &map.entries {
            for value in texts(entry).map(Some).chain(entry.values.is_empty().then_some(None)) {
                if let Err(fault) = combo.clone().exclude([(&entry.name, value)]) {
                    whole = false;
                    findings.fault(place_in(entry, &fault), format!("{shown}.{}", key_text(&entry.name)), fault.found(), fault.fix());
                    if matches!(fault, PlanFault::ExcludeKey(..)) {
                        break;
                    }
                }
            }
        }
        if whole
            && let Some(less) =
                told(combo.clone().exclude(map.entries.iter().map(|entry| (&entry.name, texts(entry)))), &map.place, shown, findings)
        {
            *combo = less;
        }
    }
}
