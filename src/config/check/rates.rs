//! `server.rate_limit` and `rules[].rate_limit`

use crate::cache::rules::PathPattern;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::sidecar::settings::{RateKey, RateLimit, RuleLimit};

/// The keys of a rate: per second, burst, by.
type Keys = [&'static str; 3];

const SERVER: Keys = ["server.rate_limit.per_second", "server.rate_limit.burst", "server.rate_limit.by"];
const RULE: Keys = ["rules[].rate_limit.per_second", "rules[].rate_limit.burst", "rules[].rate_limit.by"];

/// The rate of all.
pub(super) fn general(root: &Table, findings: &mut Findings) -> RateLimit {
    read(root, SERVER, &RateLimit::default(), findings).unwrap_or_default()
}

/// What each rule says of rates; what it leaves out is as in `general`. A rule without a path is told of elsewhere.
pub(super) fn of_rules(root: &Table, general: &RateLimit, findings: &mut Findings) -> Vec<RuleLimit> {
    let mut rules = Vec::new();
    for table in root.tables("rules[]") {
        let limit = read(table, RULE, general, findings);
        if let Some(path) = table.text("rules[].path").and_then(|path| PathPattern::parse(path).ok()) {
            rules.push(RuleLimit { path, limit });
        }
    }
    rules
}

/// `None` if nothing is said.
fn read(table: &Table, keys: Keys, general: &RateLimit, findings: &mut Findings) -> Option<RateLimit> {
    let first = keys.into_iter().find(|key| !table.is_silent(key))?;
    let [per_second, burst, by] = keys;
    let number = |key| table.integer(key).and_then(|number| u32::try_from(number).ok());
    let said = number(per_second);
    // The burst of all belongs to the rate of all.
    let usual_burst = if said.is_some() { 0 } else { general.burst };
    let limit = RateLimit {
        per_second: said.unwrap_or(general.per_second),
        burst: number(burst).unwrap_or(usual_burst),
        by: key(table, by, findings).unwrap_or_else(|| general.by.clone()),
    };
    if limit.per_second == 0 && first != per_second {
        findings.warn(&table.place(first), shown(table, first), "does nothing without per_second", "add per_second, as 100");
    }
    Some(limit)
}

fn key(table: &Table, path: &'static str, findings: &mut Findings) -> Option<RateKey> {
    let text = table.text(path)?;
    if text == "client" {
        return Some(RateKey::Client);
    }
    let name = text.strip_prefix("header:").and_then(|name| name.trim().parse().ok());
    if name.is_none() {
        let fix = "write \"client\" for its address, or \"header:authorization\" for the header that names it";
        findings.fault(&table.place(path), shown(table, path), format!("{} names no client", quote(text)), fix);
    }
    name.map(RateKey::Header)
}

fn shown(table: &Table, path: &str) -> String {
    path.replace("rules[]", &table.shown)
}
