//! What counts, and as what.

use super::{Sieve, Skipped, is_target_byte};
use crate::cache::settings::KeySettings;
use crate::cli::learn::answered::Answered;
use crate::cli::learn::draft::{Asked, Took};
use crate::{Rule, Settings};
use http::uri::PathAndQuery;
use proptest::prelude::{prop_assert, proptest};

fn sieve() -> Sieve {
    let key = |ignore: &str, sort| KeySettings { query_ignore: vec![ignore.into()], query_sort: sort };
    let exact = Rule { key: Some(KeySettings::default()), ..Rule::path("/exact").unwrap() };
    let identity = Rule::path("/me/**").unwrap().per_identity(http::header::AUTHORIZATION);
    let rules = vec![Rule::path("/chat/**").unwrap().pass(), identity, exact];
    Sieve { settings: Settings { key: key("utm_*", true), rules, ..Settings::default() }, host: None, with_users: false }
}

fn asked<'a>(method: &'a str, target: &'a str, status: u16) -> Asked<'a> {
    let (method, target) = (method.as_bytes().into(), target.as_bytes().into());
    Asked { method, target, status, host: None, user: false, took: Took::Unknown, answered: None }
}

/// The key of a GET, or why it does not count.
fn key(sieve: &Sieve, target: &str) -> Result<String, Skipped> {
    sieve.judge(&asked("GET", target, 200)).map(|wanted| wanted.target.into_owned())
}

#[test]
fn only_what_can_be_asked_for_again_counts() {
    let sieve = sieve();
    for (method, status, expected) in [
        ("GET", 200, None),
        ("HEAD", 304, None),
        ("GET", 301, None),
        ("GET", 206, Some(Skipped::Status)),
        ("GET", 404, Some(Skipped::Status)),
        ("GET", 500, Some(Skipped::Status)),
        ("POST", 200, Some(Skipped::Method)),
        ("get", 200, Some(Skipped::Method)),
        ("-", 408, Some(Skipped::Method)),
    ] {
        assert_eq!(sieve.judge(&asked(method, "/", status)).err(), expected, "{method} {status}");
    }
}

#[test]
fn targets_become_keys() {
    let sieve = sieve();
    for (target, expected) in [
        ("/a", Ok("/a")),
        ("/a?b=2&utm_source=x&a=1", Ok("/a?a=1&b=2")),
        ("/a?utm_source=x", Ok("/a")),
        ("/a?", Ok("/a?")),
        ("/exact?b=2&utm_source=x&a=1", Ok("/exact?b=2&utm_source=x&a=1")),
        ("http://h:1/a?b", Ok("/a?b")),
        ("HTTPS://h?b", Ok("/?b")),
        ("http://h", Ok("/")),
        ("/a?q=[1]|{2}", Ok("/a?q=[1]|{2}")),
        ("/chat/1", Err(Skipped::Rule)),
        ("/me/x", Err(Skipped::Rule)),
        ("/a?token=1", Err(Skipped::Secret)),
        ("*", Err(Skipped::Target)),
        ("h:443", Err(Skipped::Target)),
        ("ftp://h/", Err(Skipped::Target)),
        ("", Err(Skipped::Target)),
        ("/a b", Err(Skipped::Target)),
        ("/a\"", Err(Skipped::Target)),
        ("/a#b", Err(Skipped::Target)),
        ("/\n", Err(Skipped::Target)),
        ("/é", Err(Skipped::Target)),
    ] {
        assert_eq!(key(&sieve, target), expected.map(str::to_owned), "{target}");
    }
    assert!(key(&sieve, &format!("/{}", "a".repeat(8191))).is_ok());
    assert_eq!(key(&sieve, &format!("/{}", "a".repeat(8192))), Err(Skipped::Target));
}

#[test]
fn a_secret_that_is_no_part_of_the_key_is_no_obstacle() {
    let mut sieve = sieve();
    sieve.settings.key.query_ignore.push("token".into());
    assert_eq!(key(&sieve, "/a?token=1&b=1"), Ok("/a?b=1".into()));
}

#[test]
fn requests_of_users_count_only_if_asked_for() {
    let mut sieve = sieve();
    let asked = Asked { user: true, ..asked("GET", "/", 200) };
    assert_eq!(sieve.judge(&asked), Err(Skipped::User));
    sieve.with_users = true;
    assert!(sieve.judge(&asked).is_ok());
}

#[test]
fn hits_do_not_count_and_neither_does_what_went_past_the_cache() {
    let sieve = sieve();
    let told = |answered| sieve.judge(&Asked { answered, ..asked("GET", "/", 200) }).map(|wanted| wanted.told);
    assert_eq!(told(None), Ok(false));
    assert_eq!(told(Some(Answered::Origin)), Ok(true));
    assert_eq!(told(Some(Answered::Cache)), Err(Skipped::Cached));
    assert_eq!(told(Some(Answered::Past)), Err(Skipped::Past));
}

#[test]
fn one_host_can_be_chosen_with_or_without_its_port() {
    let mut sieve = sieve();
    let fits = |sieve: &Sieve, host: Option<&'static str>, target| {
        sieve.judge(&Asked { host: host.map(|host| host.as_bytes().into()), ..asked("GET", target, 200) }).is_ok()
    };
    sieve.host = Some("A.example".into());
    assert!(fits(&sieve, Some("a.example"), "/") && fits(&sieve, Some("a.EXAMPLE:8080"), "/") && fits(&sieve, None, "http://a.example/"));
    assert!(!fits(&sieve, Some("b.example"), "/") && !fits(&sieve, None, "/") && !fits(&sieve, Some("a.example"), "http://b.example/"));
    sieve.host = Some("a.example:80".into());
    assert!(fits(&sieve, Some("a.example:80"), "/") && !fits(&sieve, Some("a.example:81"), "/") && !fits(&sieve, Some("a.example"), "/"));
}

proptest! {
    #[test]
    fn whatever_counts_is_a_valid_target(target in "(/|http://h/?)[ -~]{0,20}") {
        if let Ok(key) = key(&sieve(), &target) {
            prop_assert!(PathAndQuery::try_from(&*key).is_ok_and(|parsed| parsed.as_str() == key), "{}", key);
            prop_assert!(key.starts_with('/') && key.bytes().all(is_target_byte));
        }
    }
}
