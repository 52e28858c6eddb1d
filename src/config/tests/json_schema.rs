//! The JSON Schema of the file, against what [`load`](super::load) says of the same files.

use super::keys::{before_and_after, least, names_a_file, silent_and_said};
use super::{file, schema};
use crate::config::json_schema::draw;
use crate::config::units::{duration_pattern, parse_duration, parse_size, size_pattern};
use proptest::prelude::*;
use regex::Regex;
use serde_json::Value;

/// What is wrong with `value` by `schema`: a validator for the keywords that are drawn. It panics at any other.
fn errors(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        let good = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" => true,
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_kind(value, kind)),
                kind => is_kind(value, kind),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "pattern" => value.as_str().is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text)),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "required" => value
                .as_object()
                .is_none_or(|object| rule.as_array().unwrap().iter().all(|name| object.contains_key(name.as_str().unwrap()))),
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                found.extend(items.flat_map(|(number, item)| errors(rule, item, &format!("{at}[{number}]"))));
                true
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    found.extend(value.get(name).into_iter().flat_map(|value| errors(rule, value, &format!("{at}.{name}"))));
                }
                true
            }
            "additionalProperties" => {
                let named = |name: &str| schema.get("properties").is_some_and(|known| known.get(name).is_some());
                for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !named(name)) {
                    let at = format!("{at}.{name}");
                    if *rule == Value::Bool(false) { found.push(format!("{at}: unknown")) } else { found.extend(errors(rule, value, &at)) }
                }
                true
            }
            other => panic!("{at}: the validator does not know {other}"),
        };
        if !good {
            found.push(format!("{at}: {keyword}"));
        }
    }
    found
}

fn is_kind(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the validator does not know the type {other}"),
    }
}

fn errors_of(toml: &str) -> Vec<String> {
    let table: toml::Table = toml.parse().unwrap_or_else(|error| panic!("{toml}\n{error}"));
    errors(&draw(), &serde_json::to_value(table).unwrap(), "")
}

/// The schema of the key at `path`.
fn at<'a>(root: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(root, |schema, segment| match segment.strip_suffix("[]") {
        Some(name) => &schema["properties"][name]["items"],
        None => &schema["properties"][segment],
    })
}

#[test]
fn every_key_is_in_the_schema_with_what_it_means() {
    let root = draw();
    for key in schema::KEYS {
        let drawn = at(&root, key.path)["description"].as_str().unwrap_or_else(|| panic!("{} is missing", key.path));
        assert!(drawn.to_lowercase().starts_with(&format!("{}.", key.doc.to_lowercase())), "{drawn}");
        assert_eq!(drawn.contains("does not act on it"), key.later.is_some(), "{}", key.path);
    }
    let above = schema::KEYS.iter().flat_map(|key| key.path.match_indices('.').map(|(end, _)| &key.path[..end]));
    for table in above {
        assert!(schema::TABLES.iter().any(|(path, _)| *path == table), "{table} says nothing about itself");
        assert_eq!(at(&root, table)["additionalProperties"], false, "{table}");
    }
    assert!(schema::TABLES.iter().all(|(path, _)| schema::has_below(path)));
}

#[test]
fn what_is_loaded_is_valid() {
    for text in [include_str!("../../../examples/warmfront.toml"), include_str!("../../../examples/demo.toml")] {
        assert_eq!(errors_of(text), [""; 0]);
    }
    for key in schema::KEYS.iter().filter(|key| !names_a_file(key)) {
        let (before, after) = before_and_after(key);
        for text in [before, after] {
            assert!(file(&text).is_ok(), "{text}");
            assert_eq!(errors_of(&text), [""; 0], "{text}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_file_is_wrong_by_the_schema_too() {
    for (text, place) in [
        ("max_bytes = 1", ".max_bytes: unknown"),
        ("server = 1", ".server: type"),
        ("[cache]\nmax_byte = 7", ".cache.max_byte: unknown"),
        ("[cache]\nmax_bytes = \"64 apples\"", ".cache.max_bytes: pattern"),
        ("[cache]\nmax_bytes = 7", ".cache.max_bytes: minimum"),
        ("[cache]\nmax_bytes = 1e9", ".cache.max_bytes: type"),
        ("[cache]\nheuristic = \"yes\"", ".cache.heuristic: type"),
        ("[server]\nworkers = -1", ".server.workers: minimum"),
        ("[server]\nworkers = 1025", ".server.workers: maximum"),
        ("[server]\nmax_header_bytes = 16777217", ".server.max_header_bytes: maximum"),
        ("[server]\nheader_timeout = 10", ".server.header_timeout: type"),
        ("[server]\nheader_timeout = \"5 minutes\"", ".server.header_timeout: pattern"),
        ("[server]\nlisten = [8080]", ".server.listen[0]: type"),
        ("[server]\ntrusted_proxies = \"10.0.0.0/8\"", ".server.trusted_proxies: type"),
        ("[upstream]\nforwarded = \"both\"", ".upstream.forwarded: enum"),
        ("[warm]\nmax_share = 1.5", ".warm.max_share: maximum"),
        ("[warm]\nrefresh_ahead = true", ".warm.refresh_ahead: type"),
        ("[rules]\npath = \"/\"", ".rules: type"),
        ("[[rules]]\nname = \"a\"", ".rules[0]: required"),
        ("[[rules]]\npath = \"/\"\nper_identity = { cookie = \"a\" }", ".rules[0].per_identity.cookie: unknown"),
        ("[[warm.groups]]\nname = \"a\"\ncombos = [{ path = \"/\", query = { a = {} } }]", ".warm.groups[0].combos[0].query.a: type"),
        ("[[warm.groups]]\nname = \"a\"\ncombos = [{ path = \"/\", exclude = { a = 1 } }]", ".warm.groups[0].combos[0].exclude: type"),
    ] {
        let found = errors_of(text);
        assert!(found.iter().any(|error| error == place), "{text}: {found:?}");
        assert!(file(&format!("upstream.urls = \"http://a\"\n{text}")).is_err(), "{text} is loaded");
    }
}

#[test]
fn what_is_required_by_the_schema_is_missed_by_load() {
    for key in schema::KEYS.iter().filter(|key| key.required) {
        let (array, name) = key.path.rsplit_once('.').unwrap();
        let (_, whole) = before_and_after(key);
        let said = whole.lines().filter(|line| !line.starts_with(&format!("{name} =")));
        let faults = file(&said.map(|line| format!("{line}\n")).collect::<String>()).unwrap_err();
        assert!(faults.as_slice().iter().any(|fault| fault.key.ends_with(&format!(".{name}")) && fault.found.starts_with("is missing")));
        assert!(least(array).iter().any(|line| line.starts_with(name)), "{}", key.path);
    }
}

#[test]
fn a_default_of_the_schema_is_what_silence_means() {
    let root = draw();
    let with_default: Vec<_> = schema::KEYS.iter().filter(|key| at(&root, key.path).get("default").is_some()).collect();
    assert!(with_default.len() > 50, "{}", with_default.len());
    // An invalidation must name something.
    for key in with_default.into_iter().filter(|key| key.path != "invalidate[].tags") {
        let (silent, said) = silent_and_said(key, &at(&root, key.path)["default"].to_string());
        // To say anything of users is to let them warm.
        let user = if key.path.starts_with("warm.user.") { "warm.user.requests = []\n" } else { "" };
        let [mut silent, mut said] =
            [silent, said].map(|text| file(&format!("{user}{text}")).unwrap_or_else(|faults| panic!("{text}\n{faults}")));
        (silent.warnings, said.warnings) = (Vec::new(), Vec::new());
        said.admin.chosen = silent.admin.chosen; // that it was said is all that differs
        assert_eq!(silent, said, "{}", key.path);
    }
    let scalars = schema::KEYS.iter().filter(|key| key.is_settable() && key.later.is_none());
    let without: Vec<_> = scalars.map(|key| key.path).filter(|path| at(&root, path).get("default").is_none()).collect();
    assert_eq!(without, ["admin.token", "upstream.urls", "warm.user.requests"]);
}

proptest! {
    #[test]
    fn the_patterns_take_what_is_read_and_nothing_else(text in "[ 0-9]{0,2}[0-9dhmsKMGTiB ]{0,8}") {
        let fits = |pattern: String| Regex::new(&pattern).unwrap().is_match(&text);
        prop_assert_eq!(fits(duration_pattern()), parse_duration(&text).is_some());
        prop_assert_eq!(fits(size_pattern()), parse_size(&text).is_some());
    }
}

#[test]
fn the_patterns_know_every_unit() {
    for (text, duration, size) in [
        ("1d2h3m4s5ms", true, false),
        ("5ms1s", false, false),
        ("1h 30m ", true, false),
        ("8mib", false, true),
        (" 10 KB", false, true),
        ("", false, false),
    ] {
        let fits = |pattern: String| Regex::new(&pattern).unwrap().is_match(text);
        assert_eq!((fits(duration_pattern()), fits(size_pattern())), (duration, size), "{text}");
    }
}
