//! `server.rate_limit` and `rules[].rate_limit`

use crate::cache::rules::PathPattern;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::sidecar::settings::{RateKey, RateLimit, RuleLimit};

/// The keys of a rate: per second, burst, by.
type Keys = [&'static str; 3];

const SERVER: Keys = ["server.rate_limit.per_second", "server.rate_limit.burst", "server.rate_limit.by"];
const RULE: Keys = ["rules[].rate_limit.per_second", "rules[].rate_limit.burst", "rules[].rate_limit.by"];

/// The rate of all; `None` if nothing is said.
pub(super) fn general(root: &Table, findings: &mut Findings) -> Option<RateLimit> {
    read(root, SERVER, findings)
}

/// What each rule says of rates. A rule without a path is told of elsewhere.
pub(super) fn of_rules(root: &Table, findings: &mut Findings) -> Vec<RuleLimit> {
    let mut rules = Vec::new();
    for table in root.tables("rules[]") {
        let limit = read(table, RULE, findings);
        if let Some(path) = table.text("rules[].path").and_then(|path| PathPattern::parse(path).ok()) {
            rules.push(RuleLimit { path, limit });
        }
    }
    rules
}

fn read(table: &Table, keys: Keys, findings: &mut Findings) -> Option<RateLimit> {
    let [per_second, burst, by] = keys;
    let number = |key| table.integer(key).and_then(|number| u32::try_from(number).ok());
    if table.is_silent(per_second) {
        if let Some(key) = [burst, by].into_iter().find(|key| !table.is_silent(key)) {
            findings.warn(&table.place(key), shown(table, key), "does nothing without per_second", "add per_second, as 100");
        }
        return None;
    }
    Some(RateLimit { per_second: number(per_second)?, burst: number(burst).unwrap_or(0), by: key(table, by, findings) })
}

fn key(table: &Table, path: &'static str, findings: &mut Findings) -> RateKey {
    match table.text(path) {
        None | Some("client") => RateKey::Client,
        Some(text) => match text.strip_prefix("header:").and_then(|name| name.trim().parse().ok()) {
            Some(name) => RateKey::Header(name),
            None => {
                let fix = "write \"client\" for its address, or \"header:authorization\" for the header that names it";
                findings.fault(&table.place(path), shown(table, path), format!("{} names no client", quote(text)), fix);
                RateKey::Client
            }
        },
    }
}

fn shown(table: &Table, path: &str) -> String {
    path.replace("rules[]", &table.shown)
}
