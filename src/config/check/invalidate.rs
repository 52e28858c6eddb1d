//! `[[invalidate]]`

use super::cache::is_visible_ascii;
use super::rules::{pattern, tags};
use crate::cache::invalidation::Invalidation;
use crate::cache::rules::Rule;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::config::suggest;
use crate::rfc::method::is_safe;
use crate::warm::WarmSettings;
use http::Method;
use std::sync::Arc;

const METHODS: &str = "invalidate[].methods";
const PATH: &str = "invalidate[].path";
const TAGS: &str = "invalidate[].tags";
const PREFIXES: &str = "invalidate[].prefixes";
const GROUPS: &str = "invalidate[].groups";

/// Methods that change something: those of RFC 9110 and RFC 5789, of WebDAV, and what caches take as a purge.
const CHANGING: [&str; 14] =
    ["POST", "PUT", "PATCH", "DELETE", "PURGE", "ACL", "CHECKIN", "CHECKOUT", "COPY", "LOCK", "MKCOL", "MOVE", "PROPPATCH", "UNLOCK"];

pub(super) fn check(root: &Table, rules: &[Rule], findings: &mut Findings) -> Vec<Invalidation> {
    root.tables("invalidate[]").iter().filter_map(|table| check_one(table, rules, findings)).collect()
}

/// Groups that are named must be there, once the groups are known.
pub(super) fn known_groups(root: &Table, warm: &WarmSettings, findings: &mut Findings) {
    let known: Vec<&str> = warm.groups.iter().map(|group| &*group.name).collect();
    // A group that has a fault of its own is not known here, and is no second fault.
    let all_known = root.tables("warm.groups[]").len() == known.len();
    for table in root.tables("invalidate[]") {
        for (name, place) in
            table.list(GROUPS).unwrap_or_default().into_iter().filter(|(name, _)| all_known && !name.is_empty() && !known.contains(name))
        {
            let fix = match suggest::nearest(name, known.iter().copied()) {
                Some(nearest) => format!("did you mean {}?", quote(nearest)),
                None if known.is_empty() => format!("add a [[warm.groups]] with name = {}", quote(name)),
                None => format!("name one of {}", known.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")),
            };
            findings.fault(place, format!("{}.groups", table.shown), format!("there is no warm group {}", quote(name)), fix);
        }
    }
}

fn check_one(table: &Table, rules: &[Rule], findings: &mut Findings) -> Option<Invalidation> {
    let path = pattern(table, PATH, "/api/channels/**", findings);
    let (methods, tags) = (methods(table, findings), tags(table, TAGS, findings));
    let (prefixes, groups) = (prefixes(table, findings), groups(table, findings));
    near_tags(table, rules, findings);
    let silent = [TAGS, PREFIXES, GROUPS].iter().all(|path| table.list(path).is_none_or(|said| said.is_empty()) && !is_faulty(table, path));
    if silent {
        let fix = "add what is out of date after such a request: tags = [\"channels\"], prefixes = [\"/api/channels/\"] or groups = [\"primary\"]";
        findings.fault(&table.place, &table.shown, "invalidates nothing beyond what a change invalidates anyway", fix);
    }
    Some(Invalidation { methods, path: path?, tags, prefixes, groups, warm: table.bool("invalidate[].warm").unwrap_or(false) })
}

/// Whether `path` was said, but wrongly.
fn is_faulty(table: &Table, path: &str) -> bool {
    !table.is_silent(path) && table.list(path).is_none()
}

fn methods(table: &Table, findings: &mut Findings) -> Vec<Method> {
    let Some(said) = table.list(METHODS) else { return Invalidation::default_methods() };
    let shown = format!("{}.methods", table.shown);
    if said.is_empty() {
        findings.fault(&table.place(METHODS), &shown, "an empty list: nothing would ever invalidate", "name some, or remove it");
    }
    let mut methods = Vec::new();
    for (name, place) in said {
        match Method::from_bytes(name.as_bytes()) {
            Ok(method) if CHANGING.contains(&name) => methods.push(method),
            Ok(method) if is_safe(&method) => {
                let fix = "name methods that change something, as \"POST\", \"PUT\", \"PATCH\" or \"DELETE\"";
                findings.fault(place, &shown, format!("{} is safe: it changes nothing and never invalidates", quote(name)), fix);
            }
            _ => findings.fault(place, &shown, format!("{} is no method that is known", quote(name)), known_method(name)),
        }
    }
    methods
}

fn known_method(name: &str) -> String {
    suggest::nearest(name, CHANGING).map_or_else(
        || format!("write any of {}", CHANGING.map(quote).join(", ")),
        |nearest| format!("did you mean {}? Methods are written in capitals", quote(nearest)),
    )
}

fn prefixes(table: &Table, findings: &mut Findings) -> Vec<Arc<str>> {
    let mut prefixes = Vec::new();
    for (prefix, place) in table.list(PREFIXES).unwrap_or_default() {
        let fix = if !prefix.starts_with('/') {
            "a prefix is the beginning of a path: \"/api/channels/\""
        } else if prefix.contains(['?', '#']) {
            "leave the query out: it is no part of what is compared"
        } else if prefix.contains('*') {
            "a prefix needs no star: \"/api/channels/\" is everything below"
        } else {
            prefixes.push(prefix.into());
            continue;
        };
        findings.fault(place, format!("{}.prefixes", table.shown), format!("{} is no prefix of a path", quote(prefix)), fix);
    }
    prefixes
}

fn groups(table: &Table, findings: &mut Findings) -> Vec<Arc<str>> {
    let mut groups = Vec::new();
    for (group, place) in table.list(GROUPS).unwrap_or_default() {
        if is_visible_ascii(group) {
            groups.push(group.into());
        } else {
            let found = format!("{} is no name of a group", quote(group));
            findings.fault(place, format!("{}.groups", table.shown), found, "write the name of one of [[warm.groups]]");
        }
    }
    groups
}

/// A tag that no rule has may be one of responses. One that is nearly that of a rule is a slip.
fn near_tags(table: &Table, rules: &[Rule], findings: &mut Findings) {
    let known: Vec<&str> = rules.iter().flat_map(|rule| &rule.tags).map(|tag| &**tag).collect();
    for (tag, place) in table.list(TAGS).unwrap_or_default() {
        if let Some(nearest) = suggest::nearest(tag, known.iter().copied()).filter(|_| !known.contains(&tag)) {
            let found = format!("no rule has the tag {}; responses may still carry it in Cache-Tag or Surrogate-Key", quote(tag));
            findings.warn(place, format!("{}.tags", table.shown), found, format!("did you mean {}?", quote(nearest)));
        }
    }
}
