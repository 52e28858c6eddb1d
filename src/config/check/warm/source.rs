//! `[[warm.groups.sources]]`

use super::{place_in, required, told};
use crate::config::map::key_text;
use crate::config::raw::{Findings, Table};
use crate::warm::{ListSource, Selector, Target};

const URL: &str = "warm.groups[].sources[].url";
const SELECT: &str = "warm.groups[].sources[].select";
const PATH: &str = "warm.groups[].sources[].path";
const HEADERS: &str = "warm.groups[].sources[].headers";

/// The source of a table; `None` only if there is a fault.
pub(super) fn check(table: &Table, findings: &mut Findings) -> Option<ListSource> {
    let shown = |name: &str| format!("{}.{name}", table.shown);
    let url = required(table, URL, "url", "/api/brands/top", findings);
    let url = url.and_then(|text| told(Target::parse(text), &table.place(URL), shown("url"), findings));
    let select = required(table, SELECT, "select", "/items/*/name", findings);
    let select = select.and_then(|text| told(Selector::parse(text), &table.place(SELECT), shown("select"), findings));
    let path = required(table, PATH, "path", "/api/brands/{value}", findings);
    let path = path.and_then(|text| told(ListSource::template(text), &table.place(PATH), shown("path"), findings));
    // Its headers are read in any case, for their faults.
    let mut headers = ListSource::new("/", "", "/{value}").ok()?;
    for entry in table.map(HEADERS) {
        let key = format!("{}.{}", shown("headers"), key_text(&entry.name));
        let [(value, _)] = entry.values.as_slice() else {
            findings.fault(&entry.place, key, format!("has {} values", entry.values.len()), "write one text");
            continue;
        };
        match headers.clone().header(&entry.name, value) {
            Ok(more) => headers = more,
            Err(fault) => findings.fault(place_in(entry, &fault), key, fault.found(), fault.fix()),
        }
    }
    Some(ListSource { url: url?, select: select?, path: path?, headers: headers.headers })
}
