//! `[cache]` and `[key]`

use super::{invalidate, rules, set};
use crate::cache::settings::{KeySettings, Settings};
use crate::config::fault::Place;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::config::units::show_size;

const OBJECT: &str = "cache.max_object";
/// What one entry of the store can weigh at most.
const LARGEST_OBJECT: u64 = 2 << 30;

pub(super) fn check(root: &Table, findings: &mut Findings) -> Settings {
    let mut cache = Settings::default();
    set(&mut cache.max_bytes, root.bytes("cache.max_bytes"));
    match root.bytes(OBJECT) {
        Some(bytes) => cache.max_object = bytes,
        // Who sets a small cache has not asked for objects that are larger than it.
        None => cache.max_object = cache.max_object.min(cache.max_bytes),
    }
    set(&mut cache.heuristic, root.bool("cache.heuristic"));
    set(&mut cache.default_ttl, root.duration("cache.default_ttl"));
    set(&mut cache.stale_while_revalidate, root.duration("cache.stale_while_revalidate"));
    set(&mut cache.stale_if_error, root.duration("cache.stale_if_error"));
    set(&mut cache.max_variants, root.integer("cache.max_variants"));
    set(&mut cache.cache_status, root.bool("cache.cache_status"));
    set(&mut cache.key.query_ignore, query_ignore(root, "key.query_ignore", "key.query_ignore", findings));
    set(&mut cache.key.query_sort, root.bool("key.query_sort"));
    max_object(root, &cache, findings);
    cache.rules = rules::check(root, &cache.key, findings);
    cache.invalidations = invalidate::check(root, &cache.rules, findings);
    cache
}

fn max_object(root: &Table, cache: &Settings, findings: &mut Findings) {
    let place = root.place(OBJECT);
    let found = show_size(cache.max_object);
    if cache.max_object > LARGEST_OBJECT {
        findings.fault(&place, OBJECT, format!("{found} is more than a store can hold in one piece"), "write at most \"2GiB\"");
    } else if cache.max_object > cache.max_bytes {
        let found = format!("{found} is more than the whole cache, cache.max_bytes = {}", show_size(cache.max_bytes));
        findings.fault(&place, OBJECT, found, "make it smaller, or cache.max_bytes larger; best a small part of it");
    }
}

/// What a rule says of queries; `None`: as the cache's own settings say.
pub(super) fn rule_key(rule: &Table, base: &KeySettings, findings: &mut Findings) -> Option<KeySettings> {
    let ignore = query_ignore(rule, "rules[].query_ignore", &format!("{}.query_ignore", rule.shown), findings);
    let sort = rule.bool("rules[].query_sort");
    if ignore.is_none() && sort.is_none() {
        return None;
    }
    let mut key = base.clone();
    set(&mut key.query_ignore, ignore);
    set(&mut key.query_sort, sort);
    Some(key)
}

fn query_ignore(table: &Table, path: &str, shown: &str, findings: &mut Findings) -> Option<Vec<String>> {
    let said = table.list(path)?;
    let mut names = Vec::new();
    for (name, place) in said {
        match query_fault(name) {
            Some(fix) => findings.fault(place, shown, format!("{} is no name of a query parameter", quote(name)), fix),
            None => names.push(name.to_owned()),
        }
    }
    Some(names)
}

fn query_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("write the name of a parameter, as \"fbclid\"");
    }
    if name.trim_end_matches('*').contains('*') || name.ends_with("**") {
        return Some("a star stands at the end, once: \"utm_*\"");
    }
    name.contains(['&', '=', '#', '?', ' ']).then_some("write the name alone, as it stands in the URL: \"fbclid\" or \"utm_*\"")
}

/// Whether `text` can be part of a header of a response.
pub(super) fn is_visible_ascii(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The place of `path` in `table`, or the table's own.
pub(super) fn place_or_table(table: &Table, path: &str) -> Place {
    match table.place(path) {
        Place::Nowhere => table.place.clone(),
        place => place,
    }
}
