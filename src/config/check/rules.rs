//! `[[rules]]`

use super::at_line;
use super::cache::{is_visible_ascii, place_or_table, rule_key};
use crate::cache::rules::{Identity, Ignore, PathPattern, Rule};
use crate::cache::settings::KeySettings;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::config::suggest;
use crate::telemetry::RESERVED;
use std::sync::Arc;

const NAME: &str = "rules[].name";
const PATH: &str = "rules[].path";
const IGNORE: &str = "rules[].ignore";
const TAGS: &str = "rules[].tags";
const HEADER: &str = "rules[].per_identity.header";
const LIFETIMES: [&str; 3] = ["rules[].ttl", "rules[].stale_while_revalidate", "rules[].stale_if_error"];

pub(super) fn check(root: &Table, key: &KeySettings, findings: &mut Findings) -> Vec<Rule> {
    let tables = root.tables("rules[]");
    let mut rules: Vec<(Rule, &Table)> = Vec::new();
    for table in tables {
        let Some(rule) = check_one(table, key, findings) else { continue };
        neighbours(&rule, table, &rules, findings);
        rules.push((rule, table));
    }
    rules.into_iter().map(|(rule, _)| rule).collect()
}

fn check_one(table: &Table, key: &KeySettings, findings: &mut Findings) -> Option<Rule> {
    let parsed = pattern(table, PATH, "/api/**", findings);
    let name = name(table, findings);
    let (ignore, tags) = (ignore(table, findings), tags(table, TAGS, findings));
    let (per_identity, key) = (per_identity(table, findings), rule_key(table, key, findings));
    useless(table, findings);
    let path = parsed?;
    Some(Rule {
        name: name.map_or_else(|| path.as_str().into(), Arc::from),
        path,
        pass: table.bool("rules[].pass").unwrap_or(false),
        ttl: table.duration(LIFETIMES[0]),
        stale_while_revalidate: table.duration(LIFETIMES[1]),
        stale_if_error: table.duration(LIFETIMES[2]),
        override_origin: table.bool("rules[].override").unwrap_or(false),
        ignore,
        tags,
        per_identity,
        key,
    })
}

/// The pattern of a table at `path`, which it must have; `example` is shown where it is missing.
pub(super) fn pattern(table: &Table, path: &'static str, example: &str, findings: &mut Findings) -> Option<PathPattern> {
    let shown = format!("{}.path", table.shown);
    let Some(text) = table.text(path) else {
        if table.is_silent(path) {
            findings.fault(&table.place, shown, "is missing: a rule needs a path", format!("write path = {}", quote(example)));
        }
        return None;
    };
    let parsed = PathPattern::parse(text);
    if let Err(error) = &parsed {
        findings.fault(&table.place(path), shown, format!("{} is no path pattern", quote(text)), error.to_string());
    }
    parsed.ok()
}

fn name<'a>(table: &'a Table, findings: &mut Findings) -> Option<&'a str> {
    let name = table.text(NAME)?;
    let fix = if !is_visible_ascii(name) || name.len() > 100 {
        "write 1 to 100 visible ASCII characters: the name stands in Cache-Status"
    } else if RESERVED.contains(&name) {
        "choose another: under this one metrics count what is not a rule's own"
    } else {
        return Some(name);
    };
    findings.fault(&table.place(NAME), format!("{}.name", table.shown), format!("{} is no name of a rule", quote(name)), fix);
    Some(name)
}

fn ignore(table: &Table, findings: &mut Findings) -> Ignore {
    let mut ignore = Ignore::default();
    for (word, place) in table.list(IGNORE).unwrap_or_default() {
        if !ignore.add(word) {
            let fix = suggest::nearest(word, Ignore::WORDS).map_or_else(
                || format!("write any of {}", Ignore::WORDS.map(quote).join(", ")),
                |nearest| format!("did you mean \"{nearest}\"?"),
            );
            findings.fault(place, format!("{}.ignore", table.shown), format!("{} is nothing that can be ignored", quote(word)), fix);
        }
    }
    ignore
}

/// The tags of a table at `path`, once each.
pub(super) fn tags(table: &Table, path: &str, findings: &mut Findings) -> Vec<Arc<str>> {
    let mut tags: Vec<Arc<str>> = Vec::new();
    for (tag, place) in table.list(path).unwrap_or_default() {
        if !is_visible_ascii(tag) {
            let found = format!("{} is no tag", quote(tag));
            findings.fault(place, format!("{}.tags", table.shown), found, "write visible ASCII characters, as \"schools\"");
        } else if !tags.iter().any(|known| **known == *tag) {
            tags.push(tag.into());
        }
    }
    tags
}

fn per_identity(table: &Table, findings: &mut Findings) -> Option<Identity> {
    let name = table.text(HEADER)?;
    match name.parse() {
        Ok(header) => Some(Identity { header }),
        Err(_) => {
            let shown = format!("{}.per_identity.header", table.shown);
            findings.fault(
                &table.place(HEADER),
                shown,
                format!("{} is no name of a header", quote(name)),
                "write one, as \"authorization\"",
            );
            None
        }
    }
}

/// Keys that do nothing beside others.
fn useless(table: &Table, findings: &mut Findings) {
    let said = |path: &str| !table.is_silent(path);
    if table.bool("rules[].pass") == Some(true)
        && let Some(path) = LIFETIMES.iter().chain(&["rules[].override", IGNORE, TAGS, HEADER]).find(|path| said(path))
    {
        let shown = path.replace("rules[]", &table.shown);
        findings.warn(
            &place_or_table(table, path),
            shown,
            "does nothing: the rule passes, so nothing is stored",
            "remove it, or remove pass = true",
        );
    } else if table.bool("rules[].override") == Some(true) && !LIFETIMES.iter().any(|path| said(path)) {
        let shown = format!("{}.override", table.shown);
        let fix = "add the lifetime that shall win, as ttl = \"5m\"";
        findings.warn(&table.place("rules[].override"), shown, "does nothing without ttl, stale_while_revalidate or stale_if_error", fix);
    }
}

/// What a rule has to do with those before it.
fn neighbours(rule: &Rule, table: &Table, before: &[(Rule, &Table)], findings: &mut Findings) {
    if let Some((_, other)) = before.iter().find(|(other, _)| other.name == rule.name)
        && !table.is_silent(NAME)
    {
        let found = format!("{} is already the name of {}{}", quote(&rule.name), other.shown, at_line(&other.place));
        findings.fault(&table.place(NAME), format!("{}.name", table.shown), found, "give each rule a name of its own");
    }
    if let Some((first, other)) = before.iter().find(|(other, _)| covers(other.path.as_str(), rule.path.as_str())) {
        let found = format!("never matches: {} ({}){} takes all of its paths", other.shown, first.path.as_str(), at_line(&other.place));
        findings.warn(
            &table.place(PATH),
            format!("{}.path", table.shown),
            found,
            "the first match wins: put the narrower rule first, or remove it",
        );
    }
}

/// Whether every path of `narrow` surely matches `wide`: they are the same, or `wide` is `/literal/**` around it. `false` may also mean unknown.
fn covers(wide: &str, narrow: &str) -> bool {
    if wide == narrow {
        return true;
    }
    let Some(prefix) = wide.strip_suffix("/**") else { return false };
    !prefix.contains('*') && narrow.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn only_what_surely_covers_covers() {
        for (wide, narrow) in
            [("/a", "/a"), ("/**", "/a/b"), ("/api/**", "/api"), ("/api/**", "/api/*/x"), ("/a*", "/a*"), ("/**", "/**/x")]
        {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [("/api/**", "/apiary"), ("/api/*", "/api/a"), ("/a", "/a/**"), ("/*/**", "/a/b"), ("/api/**", "/**")] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }
}
