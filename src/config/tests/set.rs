//! What `--set KEY=VALUE` says.

use super::keys::{names_a_file, other_value};
use super::{UPSTREAM, line, sources};
use crate::config::{Config, Faults, Sources, load, schema};

fn with(said: &[(&str, &str)], text: &str) -> Result<Config, Faults> {
    load(Sources { set: said.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(), ..sources(text) })
}

/// `key: found; fix` of each fault of `said`.
fn faults(said: &[(&str, &str)]) -> Vec<String> {
    let faults = with(said, UPSTREAM).expect_err("there are faults");
    faults.as_slice().iter().map(|fault| line(fault).trim_start_matches("--set: ").to_owned()).collect()
}

#[test]
fn every_key_outside_of_lists_can_be_set_as_by_its_variable() {
    let settable: Vec<_> = schema::KEYS.iter().filter(|key| key.is_settable() && !names_a_file(key)).collect();
    assert!(settable.len() > 50);
    for key in settable {
        let base = if key.path == "upstream.urls" { "" } else { UPSTREAM };
        let plain = if key.path == "server.listen" { "[::1]:8081" } else { other_value(key).trim_matches(['[', ']']).trim_matches('"') };
        let env = vec![(key.environment().unwrap(), plain.into())];
        let mut by_env = load(Sources { env, ..sources(base) }).unwrap_or_else(|faults| panic!("{faults}"));
        let mut by_set = with(&[(key.path, plain)], base).unwrap_or_else(|faults| panic!("{faults}"));
        (by_env.warnings, by_set.warnings) = (Vec::new(), Vec::new());
        assert_eq!(by_env, by_set, "{}", key.path);
    }
}

#[test]
fn set_wins_over_the_environment_and_a_flag_of_its_own_wins_over_set() {
    let text = format!("{UPSTREAM}[server]\nworkers = 1\n[cache]\nmax_variants = 1\n");
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let config = load(Sources {
        env: vec![pair("WARMFRONT_SERVER__WORKERS", "2"), pair("WARMFRONT_CACHE__MAX_VARIANTS", "2")],
        set: vec![pair("server.workers", "3"), pair("cache.max_variants", "3")],
        flags: vec![("server.workers", "4".into(), "--workers")],
        ..sources(&text)
    });
    let config = config.unwrap();
    assert_eq!((config.server.workers, config.cache.max_variants), (4, 3));
}

#[test]
fn the_last_word_on_a_key_counts_and_lists_grow() {
    let said = [("server.workers", "many"), ("key.query_ignore", "a, b"), ("server.workers", "2"), ("key.query_ignore", "c")];
    let config = with(&said, UPSTREAM).unwrap();
    assert_eq!((config.server.workers, config.cache.key.query_ignore), (2, ["a", "b", "c"].map(String::from).to_vec()));
}

#[test]
fn a_key_that_cannot_be_set_is_told_what_can_be() {
    for (key, value, fault) in [
        ("warm.concurency", "8", "warm.concurency: unknown key; did you mean warm.concurrency?"),
        ("WARM_MaxRate", "8", "WARM_MaxRate: unknown key; did you mean warm.max_rate?"),
        ("max_object", "8", "max_object: unknown key; did you mean cache.max_object?"),
        ("banana", "8", "banana: unknown key; name a key by its path in the file, as cache.max_bytes=1GiB"),
        ("", "8", ": unknown key; name a key by its path in the file, as cache.max_bytes=1GiB"),
        ("rules[0].ttl", "5m", "rules[0].ttl: is in a list of tables; write it in the file, under [[rules]]"),
        ("rules.ttl", "5m", "rules.ttl: is in a list of tables; write it in the file, under [[rules]]"),
        ("warm.groups.combos.path", "/", "warm.groups.combos.path: is in a list of tables; write it in the file, under [[warm.groups]]"),
        (
            "warm.refresh_ahead",
            "1",
            "warm.refresh_ahead: is a table; name one of its keys, as warm.refresh_ahead.hits; known there: hits, before",
        ),
        (
            "server.workers",
            "",
            "server.workers: is empty; this is worker threads, 0 = one per core; give it a value, or leave --set away for the default",
        ),
        (
            "warm.max_share",
            "2",
            "warm.max_share: found \"2\"; this is the share of upstream.max_in_flight that warming may take; write a number from 0.0 to 1.0",
        ),
    ] {
        let all = faults(&[(key, value)]);
        let first = if key.is_empty() { all[0].trim_start_matches("--set").to_owned() } else { all[0].clone() };
        assert_eq!((all.len(), first.as_str()), (1, fault), "{key}");
    }
}

#[test]
fn a_secret_on_a_command_line_is_warned_of_and_not_told() {
    let config = with(&[("admin.token", "hunter2")], UPSTREAM).unwrap();
    let warnings: Vec<_> = config.warnings.iter().map(line).collect();
    assert!(
        warnings.iter().any(|line| line.contains("can be read by everybody") && line.contains("WARMFRONT_ADMIN__TOKEN")),
        "{warnings:?}"
    );
    let wrong = with(&[("admin.token", "hunter2 \u{7}")], UPSTREAM).unwrap_err();
    assert!(!wrong.to_string().contains("hunter2") && !warnings.join("").contains("hunter2"));
}
