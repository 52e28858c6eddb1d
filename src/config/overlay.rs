//! What the environment and the flags say over the file.

use crate::config::fault::Place;
use crate::config::kind::{Kind, Value};
use crate::config::raw::{Findings, Table};
use crate::config::schema::Key;
use crate::config::{schema, suggest};

const PREFIX: &str = "WARMFRONT_";
const SET: &str = "--set";

/// Variables with our prefix that are no keys: of the command line, and those that Kubernetes makes for a Service called `warmfront`.
fn is_foreign(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    matches!(rest, "ADMIN" | "LOG" | "PORT") || rest.starts_with("SERVICE_") || rest.starts_with("PORT_")
}

/// Lays the variables `WARMFRONT_*` over `root`; others are not looked at.
pub(super) fn environment(variables: &[(String, String)], root: &mut Table, findings: &mut Findings) {
    for (name, text) in variables.iter().filter(|(name, _)| name.starts_with(PREFIX) && !is_foreign(name)) {
        let place = Place::Environment(name.clone());
        let Some(key) = schema::KEYS.iter().find(|key| key.environment().as_deref() == Some(name.as_str())) else {
            let names: Vec<String> = schema::KEYS.iter().filter_map(schema::Key::environment).collect();
            let nearest = suggest::nearest(&name[PREFIX.len()..], names.iter().map(|name| &name[PREFIX.len()..]));
            let fix = nearest.map_or_else(
                || "unset it; a key is WARMFRONT_ and its path with __ for each dot: WARMFRONT_CACHE__MAX_BYTES".into(),
                |nearest| format!("did you mean {PREFIX}{nearest}?"),
            );
            findings.fault(&place, "", "unknown variable", fix);
            continue;
        };
        text_of(key, text, place, "unset it", root, findings);
    }
}

/// Lays `--set KEY=VALUE` over `root`. Of several values for a key the last counts; those of a list are put together.
pub(super) fn set(said: &[(String, String)], root: &mut Table, findings: &mut Findings) {
    let place = Place::Flag(SET);
    for (at, (name, text)) in said.iter().enumerate() {
        let Some(key) = schema::find(name).filter(|key| key.is_settable()) else {
            let (found, fix) = not_settable(name);
            findings.fault(&place, name, found, fix);
            continue;
        };
        if said[at + 1..].iter().any(|(later, _)| later == name) {
            continue;
        }
        if matches!(key.kind, Kind::Secret) && !text.is_empty() {
            let fix = format!("use the file, or the environment: {}", key.environment().unwrap_or_default());
            findings.warn(&place, name, "a command line can be read by everybody on this machine", fix);
        }
        let texts = said.iter().filter(|(other, _)| other == name).map(|(_, text)| text.as_str());
        let text = if matches!(key.kind, Kind::List | Kind::OneOrMore) { texts.collect::<Vec<_>>().join(",") } else { text.clone() };
        text_of(key, &text, place.clone(), "leave --set away for the default", root, findings);
    }
}

/// What is wrong with a key that `--set` cannot set, and what to do instead.
fn not_settable(name: &str) -> (&'static str, String) {
    let settable = || schema::KEYS.iter().filter(|key| key.is_settable()).map(|key| key.path);
    if let Some(list) = list_around(name) {
        return ("is in a list of tables", format!("write it in the file, under [[{list}]]"));
    }
    if !name.is_empty() && schema::has_below(name) {
        let first = settable().find(|path| path.starts_with(&format!("{name}."))).unwrap_or("warm.concurrency");
        return ("is a table", format!("name one of its keys, as {first}; known there: {}", schema::names_below(name).join(", ")));
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let fix = match suggest::nearest(name, settable()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => match settable().find(|path| path.rsplit('.').next() == Some(last)) {
            Some(path) => format!("did you mean {path}?"),
            None => "name a key by its path in the file, as cache.max_bytes=1GiB".into(),
        },
    };
    ("unknown key", fix)
}

/// The array of tables in which `name` lies, if it lies in one: `warm.groups` for `warm.groups[0].name`.
fn list_around(name: &str) -> Option<String> {
    let mut path = String::new();
    name.split('.').find_map(|segment| {
        path = schema::join(&path, segment.split('[').next().unwrap_or(segment));
        schema::has_below(&format!("{path}[]")).then(|| path.clone())
    })
}

/// Takes in what the environment or `--set` says about `key` in one text.
fn text_of(key: &'static Key, text: &str, place: Place, otherwise: &str, root: &mut Table, findings: &mut Findings) {
    if text.is_empty() && !matches!(key.kind, Kind::Text | Kind::Secret | Kind::List) {
        root.mark_faulty(key.path);
        findings.fault(&place, key.path, format!("is empty; this is {}", key.doc), format!("give it a value, or {otherwise}"));
        return;
    }
    findings.take(root, key, key.path, place, Vec::new(), key.kind.parse(text));
}

/// Lays flags over `root`: the key, what was said, and the flag's name. A list takes all values of its flag.
pub(super) fn flags(flags: &[(&'static str, String, &'static str)], root: &mut Table, findings: &mut Findings) {
    for (at, (path, text, flag)) in flags.iter().enumerate() {
        let Some(key) = schema::find(path) else { continue };
        let read = if matches!(key.kind, Kind::List | Kind::OneOrMore) {
            if flags[..at].iter().any(|(earlier, ..)| earlier == path) {
                continue;
            }
            Ok(Value::List(flags.iter().filter(|(other, ..)| other == path).map(|(_, text, _)| text.clone()).collect()))
        } else {
            key.kind.parse(text)
        };
        findings.take(root, key, key.path, Place::Flag(flag), Vec::new(), read);
    }
}
