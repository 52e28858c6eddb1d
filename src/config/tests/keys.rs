//! Every key of the contract is read, from wherever it may be said.

use super::{file, sources};
use crate::config::kind::Kind;
use crate::config::{Sources, load, schema};
use std::time::Duration;

/// Keys whose files are read with the configuration: tests/cli/upstream_tls.rs has such files.
pub(super) fn names_a_file(key: &schema::Key) -> bool {
    matches!(key.path, "upstream.tls.ca" | "upstream.tls.certificate" | "upstream.tls.key")
}

/// The value of a key that is not its default, as TOML.
pub(super) fn other_value(key: &schema::Key) -> &'static str {
    match (key.path, key.kind) {
        ("server.listen", _) => "[\"[::1]:8081\"]",
        ("server.trusted_proxies", _) => "[\"10.0.0.0/8\"]",
        ("server.rate_limit.by" | "rules[].rate_limit.by", _) => "\"header:authorization\"",
        ("admin.listen", _) => "\"127.0.0.1:9181\"",
        ("admin.hosts", _) => "[\"warmfront.internal\"]",
        ("upstream.urls", _) => "\"http://api\"",
        ("upstream.forwarded", _) => "\"append\"",
        ("upstream.http2", _) => "\"auto\"",
        ("upstream.balance", _) => "\"header:x-user\"",
        ("upstream.breaker.counts", _) => "\"5xx\"",
        ("upstream.health.path", _) => "\"/other\"",
        ("rules[].path" | "invalidate[].path", _) => "\"/other\"",
        ("invalidate[].methods", _) => "[\"PUT\"]",
        ("invalidate[].prefixes", _) => "[\"/other\"]",
        ("rules[].ignore", _) => "[\"private\"]",
        ("cache.max_object", _) => "\"1MiB\"",
        ("server.http2" | "cache.heuristic" | "cache.cache_status", _) => "false",
        ("warm.enabled" | "warm.on_startup" | "warm.groups[].enabled", _) => "false",
        ("warm.time_zone", _) => "\"Europe/Berlin\"",
        ("warm.hosts", _) => "[\"api\"]",
        ("warm.groups[].schedule", _) => "[\"every 7m\"]",
        ("warm.groups[].requests" | "warm.user.requests", _) => "[\"/other\"]",
        ("warm.groups[].combos[].path", _) => "\"/other/{kind}\"",
        ("warm.groups[].combos[].params", _) => "{ kind = \"other\" }",
        ("warm.groups[].combos[].exclude", _) => "[{ page = 2 }]",
        ("warm.groups[].sources[].url" | "warm.user.path", _) => "\"/other\"",
        ("warm.groups[].sources[].select", _) => "\"/other\"",
        ("warm.groups[].sources[].path", _) => "\"/other/{value}\"",
        ("logs.format", _) => "\"pretty\"",
        (_, Kind::Fraction) => "0.7",
        (_, Kind::AnyMap) => "{ other = \"other\" }",
        (_, Kind::Duration { .. }) => "\"7m\"",
        (_, Kind::Size { .. }) => "\"128KiB\"",
        (_, Kind::Bool) => "true",
        (_, Kind::Integer { .. }) => "7",
        (_, Kind::Text | Kind::Secret) => "\"other\"",
        _ => "[\"other\"]",
    }
}

/// What each array of tables needs to be without faults.
pub(super) fn least(array: &str) -> Vec<&'static str> {
    match array {
        "rules[]" => vec!["path = \"/\""],
        "invalidate[]" => vec!["path = \"/\"", "tags = [\"a\"]"],
        "warm.groups[]" => vec!["name = \"g\"", "requests = [\"/\"]"],
        "warm.groups[].combos[]" => vec!["path = \"/{kind}\"", "params = { kind = \"a\" }", "query = { page = [1, 2] }"],
        "warm.groups[].sources[]" => vec!["url = \"/\"", "select = \"/*\"", "path = \"/{value}\""],
        _ => Vec::new(),
    }
}

/// A file in which `key` has its least and one in which it has another value.
pub(super) fn before_and_after(key: &schema::Key) -> (String, String) {
    silent_and_said(key, other_value(key))
}

/// A file with the least that is around `key`, and one in which it has `value`.
pub(super) fn silent_and_said(key: &schema::Key, value: &str) -> (String, String) {
    let (array, name) = key.path.rfind("[].").map_or(("", key.path), |at| (&key.path[..at + 2], &key.path[at + 3..]));
    let upstream = if key.path == "upstream.urls" { "" } else { "upstream.urls = [\"http://127.0.0.1:9000\"]\n" };
    let mut head = String::from(upstream);
    for (at, _) in array.match_indices("[]") {
        head += &format!("[[{}]]\n", array[..at].replace("[]", ""));
        if at + 2 < array.len() {
            head += &(least(&array[..at + 2]).join("\n") + "\n");
        }
    }
    let others: Vec<_> = least(array).into_iter().filter(|line| !line.starts_with(&format!("{name} ="))).collect();
    let before = if upstream.is_empty() {
        "upstream.urls = [\"http://127.0.0.1:9000\"]\n".into()
    } else {
        format!("{head}{}\n", least(array).join("\n"))
    };
    let after = format!("{head}{}\n{name} = {value}\n", others.join("\n"));
    // A group that is named must be there.
    let group = if key.path == "invalidate[].groups" { "[[warm.groups]]\nname = \"other\"\nrequests = [\"/\"]\n" } else { "" };
    (before + group, after + group)
}

#[test]
fn every_key_of_this_version_changes_what_is_loaded() {
    for key in schema::KEYS.iter().filter(|key| key.later.is_none() && !names_a_file(key)) {
        let (before, changed) = before_and_after(key);
        let read = |text: &str| file(text).unwrap_or_else(|faults| panic!("{text}\n{faults}"));
        let (before, after) = (read(&before), read(&changed));
        let unlike = before.server != after.server
            || before.upstream != after.upstream
            || before.cache != after.cache
            || before.admin != after.admin
            || before.warm != after.warm
            || before.logs != after.logs;
        assert!(unlike, "{changed}");
    }
}

#[test]
fn every_variable_says_the_same_as_its_key() {
    for key in schema::KEYS.iter().filter(|key| key.later.is_none() && !names_a_file(key)) {
        let Some(name) = key.environment() else { continue };
        let base = if key.path == "upstream.urls" { "" } else { "upstream.urls = [\"http://127.0.0.1:9000\"]\n" };
        let value = other_value(key);
        let plain = value.trim_matches(['[', ']']).trim_matches('"');
        let plain = if key.path == "server.listen" { "[::1]:8081" } else { plain };
        let mut by_file = file(&format!("{base}{} = {value}\n", key.path)).unwrap();
        let mut by_env =
            load(Sources { env: vec![(name.clone(), plain.into())], ..sources(base) }).unwrap_or_else(|faults| panic!("{faults}"));
        (by_file.warnings, by_env.warnings) = (Vec::new(), Vec::new());
        assert_eq!(by_file, by_env, "{name}");
    }
}

#[test]
fn the_whole_contract_is_known_and_acted_upon() {
    let text = include_str!("../../../examples/warmfront.toml");
    let config = file(text).unwrap_or_else(|faults| panic!("{faults}"));
    let keys: Vec<_> = config.warnings.iter().map(|fault| fault.key.as_str()).collect();
    assert!(keys.is_empty(), "{keys:?}");
    assert_eq!(config.cache.rules.len(), 3);
    assert_eq!(config.cache.rules[0].ttl, Some(Duration::from_secs(300)));
    assert_eq!(config.cache.rules[1].per_identity.as_ref().unwrap().header, "authorization");
    assert!(config.cache.rules[2].pass);
}

/// Whether a value has something at `path`, in any member of its lists.
fn has(value: &toml::Value, path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let below = |value: &toml::Value| rest.is_none_or(|rest| has(value, rest));
    match name.strip_suffix("[]") {
        Some(list) => value.get(list).and_then(toml::Value::as_array).is_some_and(|tables| tables.iter().any(below)),
        None => value.get(name).is_some_and(below),
    }
}

#[test]
fn the_example_has_every_key() {
    let lines = include_str!("../../../examples/warmfront.toml").lines();
    // [upstream.tls] stands in comments: its files are not there.
    let is_key = |line: &str| {
        line.starts_with("# [") || line.split_once(" = ").is_some_and(|(name, _)| !name.trim_start_matches("# ").contains(' '))
    };
    let text: Vec<&str> = lines.map(|line| line.strip_prefix("# ").filter(|_| is_key(line)).unwrap_or(line)).collect();
    let example: toml::Value = toml::from_str(&text.join("\n")).unwrap();
    let missing: Vec<_> = schema::KEYS.iter().map(|key| key.path).filter(|path| !has(&example, path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
