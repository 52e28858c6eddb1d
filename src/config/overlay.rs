//! What the environment and the flags say over the file.

use crate::config::fault::Place;
use crate::config::kind::{Kind, Value};
use crate::config::raw::{Findings, Table};
use crate::config::{schema, suggest};

const PREFIX: &str = "WARMFRONT_";

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
        if text.is_empty() && !matches!(key.kind, Kind::Text | Kind::Secret | Kind::List) {
            root.mark_faulty(key.path);
            findings.fault(&place, key.path, format!("is empty; this is {}", key.doc), "give it a value, or unset it");
            continue;
        }
        findings.take(root, key, key.path, place, Vec::new(), key.kind.parse(text));
    }
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
