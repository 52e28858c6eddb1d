//! `[[warm.groups]]`

use super::{combo, source, targets, told};
use crate::config::check::at_line;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::warm::group::is_name;
use crate::warm::{Group, PlanFault, Schedule, Trigger, WarmSettings};

const NAME: &str = "warm.groups[].name";
const SCHEDULE: &str = "warm.groups[].schedule";
const REQUESTS: &str = "warm.groups[].requests";
const COMBOS: &str = "warm.groups[].combos[]";
const SOURCES: &str = "warm.groups[].sources[]";

pub(super) fn check(root: &Table, warm: &WarmSettings, findings: &mut Findings) -> Vec<Group> {
    let tables = root.tables("warm.groups[]");
    for (at, table) in tables.iter().enumerate() {
        if let Some(name) = table.text(NAME)
            && let Some(other) = tables[..at].iter().find(|other| other.text(NAME) == Some(name))
        {
            let found = format!("{} is already the name of {}{}", quote(name), other.shown, at_line(&other.place));
            findings.fault(&table.place(NAME), format!("{}.name", table.shown), found, "give each group a name of its own");
        }
    }
    tables.iter().map(|table| check_one(table, warm, findings)).collect()
}

/// The group of a table. If it is not all of it, there is a fault.
fn check_one(table: &Table, warm: &WarmSettings, findings: &mut Findings) -> Group {
    let mut group = Group::new(name(table, findings));
    group.enabled = table.bool("warm.groups[].enabled").unwrap_or(true);
    group.priority = table.integer("warm.groups[].priority").map_or(0, |priority| priority as u64);
    group.max_items = table.integer("warm.groups[].max_items").unwrap_or(group.max_items);
    group.schedule = schedule(table, warm, findings);
    group.requests = targets(table, REQUESTS, &format!("{}.requests", table.shown), findings);
    group.combos = table.tables(COMBOS).iter().filter_map(|table| combo::check(table, findings)).collect();
    group.sources = table.tables(SOURCES).iter().filter_map(|table| source::check(table, findings)).collect();
    let nothing = table.list(REQUESTS).is_none_or(|list| list.is_empty()) && !table.is_faulty(REQUESTS);
    if nothing && table.tables(COMBOS).is_empty() && table.tables(SOURCES).is_empty() {
        let fix = "add requests = [\"/path\"], [[warm.groups.combos]] or [[warm.groups.sources]]";
        findings.fault(&table.place, &table.shown, "asks for nothing", fix);
    }
    group
}

fn name<'a>(table: &'a Table, findings: &mut Findings) -> &'a str {
    let Some(name) = super::required(table, NAME, "name", "primary", findings) else { return "" };
    if !is_name(name) {
        let _ = told::<()>(Err(PlanFault::GroupName(name.into())), &table.place(NAME), format!("{}.name", table.shown), findings);
    }
    name
}

fn schedule(table: &Table, warm: &WarmSettings, findings: &mut Findings) -> Schedule {
    let Some(said) = table.list(SCHEDULE) else { return Schedule::default() };
    let shown = format!("{}.schedule", table.shown);
    let mut schedule = Schedule::on_demand();
    for (text, place) in said {
        let Some(trigger) = told(Trigger::parse(text), place, &shown, findings) else { continue };
        if schedule.triggers().contains(&trigger) {
            findings.warn(place, &shown, format!("{} is there twice", quote(text)), "remove one of them");
            continue;
        }
        if trigger == Trigger::Startup && !warm.on_startup {
            findings.warn(place, &shown, "\"startup\" does nothing: warm.on_startup is false", "remove one of them");
        }
        if trigger == Trigger::Refresh && warm.refresh_interval.is_zero() {
            findings.warn(place, &shown, "\"refresh\" does nothing: warm.refresh_interval is 0s", "remove one of them");
        }
        schedule.push(trigger);
    }
    schedule
}
