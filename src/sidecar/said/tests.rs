use super::{End, MOST, Plain, Said};
use crate::sidecar::forwarded::Peer;
use crate::sidecar::live::Settings;
use crate::sidecar::settings::{Forwarded, Origin, RateKey, RateLimit, ServerSettings, UpstreamSettings};
use http::uri::Authority;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// What is near is trusted.
fn settings(adjust: impl FnOnce(&mut ServerSettings, &mut UpstreamSettings)) -> Arc<Settings> {
    let mut server = ServerSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..ServerSettings::default() };
    let mut upstream = UpstreamSettings::new(Origin::http(Authority::from_static("o:1")));
    adjust(&mut server, &mut upstream);
    Arc::new(Settings::after(None, server, upstream))
}

fn appending() -> Arc<Settings> {
    settings(|_, upstream| upstream.forwarded = Forwarded::Append)
}

fn fields(lines: &str) -> Arc<[u8]> {
    format!("{}\r\n", lines.lines().map(|line| format!("{line}\r\n")).collect::<String>()).into_bytes().into()
}

fn said_by(lines: &str, settings: &Arc<Settings>, peer: &Peer) -> Arc<Said> {
    Said::of(&fields(lines), false, settings, peer)
}

/// By a stranger, in HTTP/1.0 or not.
fn plain(lines: &str, old: bool) -> Option<Plain> {
    Plain::read(&fields(lines), old, &settings(|_, _| ()), &Peer::new(Some(FAR)))
}

#[test]
fn what_concerns_the_connection_or_asks_for_more_than_an_answer_is_unfit() {
    for unfit in [
        "Connection: close\nConnection: close",
        "Connection: close, te",
        "Connection: keep-alive, close",
        "Connection: keep-alive\nConnection: keep-alive",
        "Connection: keep-alive\nConnection: close",
        "Connection: x-mine\nX-Mine: 1",
        "Connection: cookie",
        "Connection:",
        "TE: trailers",
        "TE: trailers\nConnection: TE",
        "Upgrade: websocket",
        "Upgrade: websocket\nConnection: upgrade",
        "Transfer-Encoding: chunked",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic x",
        "HTTP2-Settings: x",
        "Expect: 100-continue",
        "expect: a-miracle",
        "Content-Length: 99999999999",
    ] {
        assert!([true, false].iter().all(|old| plain(&format!("Host: h\n{unfit}\nAccept: */*"), *old).is_none()), "{unfit:?}");
    }
    for fine in ["", "Accept: */*", "Cookie: a=b\nCookie: c=d", "Content-Length: 0", "Via: 1.0 a", "Cache-Control: no-cache"] {
        assert!(plain(format!("Host: h\n{fine}").trim_end(), false).is_some(), "{fine:?}");
    }
}

#[test]
fn a_host_that_is_missing_or_none_is_unfit_and_any_other_is_normalised() {
    for lines in ["", "Accept: */*", "Host:", "Host: a b", "Host: a,b", "Host: u@h", "Host: h:x", "Host: h/p", "Host: [::g]"] {
        assert!(plain(lines, false).is_none(), "{lines:?}");
    }
    let said = plain("HOST:  Example.COM:80 ", false).unwrap();
    assert_eq!(
        (said.headers["host"].as_bytes(), &*said.absolute(b"/a?b").unwrap().to_string()),
        (&b"example.com"[..], "http://example.com/a?b")
    );
}

#[test]
fn what_becomes_of_the_connection_is_said_in_one_word_and_is_not_among_the_fields() {
    for (line, new, old) in [
        ("", End::Stays, End::ClosesOld),
        ("Connection: keep-alive", End::Stays, End::StaysOld),
        ("CONNECTION: KEEP-ALIVE ", End::Stays, End::StaysOld),
        ("Connection: close", End::Closes, End::ClosesOld),
        ("connection: Close", End::Closes, End::ClosesOld),
    ] {
        for (is_old, end) in [(false, new), (true, old)] {
            let plain = plain(&format!("Host: h\nAccept: */*\n{line}"), is_old).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((plain.end, plain.version == http::Version::HTTP_10), (end, is_old), "{line}");
            assert_eq!(plain.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["host", "accept"], "{line}");
        }
    }
}

#[test]
fn a_stranger_tells_nothing_of_others_and_a_trusted_proxy_does() {
    let lines = "Host: h\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-Proto: https\nForwarded: for=1.1.1.1\nX-Original-Url: /admin\nX-Mine: 1";
    let names = |peer, settings: &Arc<Settings>| {
        let said = said_by(lines, settings, &Peer::new(peer));
        let said = said.plain.as_ref().unwrap();
        let mut names: Vec<_> = said.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        (names.join(" "), said.absolute(b"/").unwrap().to_string())
    };
    let all = "forwarded host x-forwarded-for x-forwarded-proto x-mine x-original-url";
    for (peer, expected, target) in [(FAR, "host x-mine", "http://h/"), (NEAR, all, "https://h/")] {
        assert_eq!(names(Some(peer), &appending()), (expected.to_owned(), target.to_owned()), "{peer}");
    }
    assert_eq!(names(None, &appending()).0, "host x-mine", "nobody's address is in no network");
    assert_eq!(names(Some(NEAR), &settings(|_, _| ())), ("host x-mine x-original-url".to_owned(), "http://h/".to_owned()), "overwritten");
}

#[test]
fn what_overrides_the_target_is_glanced_at() {
    let said = said_by("Host: h\nX-Original-Url: /admin", &appending(), &Peer::new(Some(NEAR)));
    assert!(said.plain.as_ref().unwrap().glance.overridden);
}

#[test]
fn who_says_the_same_shares_it_and_who_stands_elsewhere_does_not() {
    let (one, other) = (appending(), appending());
    let said = |lines: &str, settings, peer| said_by(lines, settings, &peer);
    let first = said("Host: h\nA: b", &one, Peer::new(Some(FAR)));
    assert!(Arc::ptr_eq(&first, &said("Host: h\nA: b", &one, Peer::new(Some(Ipv4Addr::LOCALHOST.into())))), "another stranger");
    assert!(first.holds(&one) && !first.holds(&other));
    for (lines, settings, peer, what) in [
        ("Host: h\nA: c", &one, Peer::new(Some(FAR)), "other fields"),
        ("Host: h\na: b", &one, Peer::new(Some(FAR)), "other bytes"),
        ("Host: h\nA: b", &other, Peer::new(Some(FAR)), "other settings"),
        ("Host: h\nA: b", &one, Peer::new(Some(FAR)).over(true), "over TLS"),
        ("Host: h\nA: b", &one, Peer::new(Some(NEAR)), "a trusted one"),
    ] {
        assert!(!Arc::ptr_eq(&first, &said(lines, settings, peer)), "{what}");
    }
    assert_eq!(
        said("Host: h\nA: b", &one, Peer::new(None).over(true)).plain.as_ref().unwrap().absolute(b"/").unwrap().scheme_str(),
        Some("https")
    );
}

#[test]
fn an_old_one_says_something_else_by_the_same_fields() {
    let (settings, peer, fields) = (appending(), Peer::new(None), fields("Host: h"));
    let (old, new) = (Said::of(&fields, true, &settings, &peer), Said::of(&fields, false, &settings, &peer));
    assert!(!Arc::ptr_eq(&old, &new) && old.is(&fields, true, &settings) && !old.is(&fields, false, &settings));
}

#[test]
fn few_kinds_are_kept_and_none_under_settings_that_are_gone() {
    let (settings, peer) = (appending(), Peer::new(None));
    let kinds: Vec<_> = (0..20).map(|at| said_by(&format!("Host: h\nA: {at}"), &settings, &peer)).collect();
    let shared = |at: usize| Arc::ptr_eq(&kinds[at], &said_by(&format!("Host: h\nA: {at}"), &settings, &peer));
    assert!(shared(19) && shared(12), "the last eight are known");
    assert!(!shared(11), "and no more");
    let weak = kinds.iter().map(Arc::downgrade).collect::<Vec<_>>();
    drop(kinds);
    assert!(weak.iter().any(|said| said.upgrade().is_some()));
    said_by("Host: h", &appending(), &peer);
    assert!(weak.iter().all(|said| said.upgrade().is_none()));
}

#[test]
fn what_is_a_users_or_long_or_unfit_is_not_kept_for_others() {
    let (settings, peer) = (appending(), Peer::new(None));
    let long = format!("A: {}", "x".repeat(MOST));
    for line in ["Authorization: Bearer x", "Cookie: a=b", "Expect: 100-continue", &long] {
        let lines = format!("Host: h\n{line}");
        let said = said_by(&lines, &settings, &peer);
        assert!(!Arc::ptr_eq(&said, &said_by(&lines, &settings, &peer)), "{line:.40}");
        assert!(Arc::strong_count(&said) == 1, "{line:.40}");
    }
}

#[test]
fn only_a_target_in_origin_form_is_made_absolute() {
    let said = plain("Host: h:8080", false).unwrap();
    for target in ["", "*", "a", "http://h/", "http://h:8080/a", "h:8080", "?q", "/a\u{7f}", "/a b"] {
        assert!(said.absolute(target.as_bytes()).is_none(), "{target:?}");
    }
    for target in ["/", "//x", "//other.example/x", "/a?b=c&d", "/%2e%2e/a%00", "/a?", "/a;b/../c", "/:80@x"] {
        let uri = said.absolute(target.as_bytes()).unwrap_or_else(|| panic!("{target}"));
        assert_eq!((uri.to_string(), uri.host(), uri.port_u16()), (format!("http://h:8080{target}"), Some("h"), Some(8080)));
    }
}

#[test]
fn rates_count_by_what_came_and_only_where_there_are_some() {
    let by = |by| {
        let rate_limit = RateLimit { per_second: 1, burst: 2, by };
        settings(|server, _| server.rate_limit = rate_limit)
    };
    let peer = Peer::new(Some(FAR));
    let free = said_by("Host: h", &settings(|_, _| ()), &peer);
    let uri = free.plain.as_ref().unwrap().absolute(b"/").unwrap();
    assert!((0..100).all(|_| free.check_rates(&uri, &peer).is_ok()));
    let limited = said_by("Host: h", &by(RateKey::Client), &peer);
    assert_eq!([(); 3].map(|()| limited.check_rates(&uri, &peer).is_ok()), [true, true, false]);
    assert!(limited.check_rates(&uri, &Peer::new(Some(NEAR))).is_ok(), "another client");
    let settings = by(RateKey::Header("x-real-ip".parse().unwrap())); // dropped of a stranger, and counted by all the same
    let one = said_by("Host: h\nX-Real-Ip: 1", &settings, &peer);
    let other = said_by("Host: h\nX-Real-Ip: 2", &settings, &peer);
    assert!(!one.plain.as_ref().unwrap().headers.contains_key("x-real-ip"));
    assert_eq!([(); 3].map(|()| one.check_rates(&uri, &peer).is_ok()), [true, true, false]);
    assert_eq!([(); 3].map(|()| other.check_rates(&uri, &peer).is_ok()), [true, true, false]);
}
