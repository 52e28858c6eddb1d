//! What is stored and reused, and what is not (RFC 9111 section 3).

use crate::origin::{Origin, Reply, Step, data, fresh, ok, status};
use crate::world::{Ask, date, everywhere, get, method, seconds, world, world_under, world_with};
use http::HeaderName;
use warmfront::cache::settings::KeySettings;
use warmfront::{Rule, Settings};

/// Whether the answer to `first` answers `second` too.
async fn reused(first: Ask, second: Ask, reply: Reply) -> bool {
    let world = world(Origin::always(reply));
    world.send(first).await;
    world.send(second).await;
    world.origin.calls() == 1
}

#[tokio::test(start_paused = true)]
async fn a_head_of_a_great_many_lines_is_handed_on_whole_and_not_stored() {
    for (lines, stored) in [(4000, true), (4200, false), (20_000, false)] {
        let reply = (0..lines).fold(ok("a").cc("max-age=9"), |reply, _| reply.h("x-a", "1"));
        let world = world(Origin::always(reply));
        for _ in 0..2 {
            let got = world.get("/a").await;
            assert_eq!(got.headers.get_all("x-a").iter().count(), lines);
        }
        assert_eq!(world.origin.calls() == 1, stored, "{lines}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_head_with_as_many_lines_as_are_stored_none_is_lost() {
    let reply = (0..4094).fold(ok("a").cc("max-age=9"), |reply, _| reply.h("x-a", "1"));
    let world = world(Origin::always(reply.h("x-last", "2")));
    for _ in 0..2 {
        let got = world.get("/a").await;
        assert_eq!((got.headers.get_all("x-a").iter().count(), got.h("x-last"), got.h("content-length")), (4094, "2".into(), "1".into()));
        assert!(got.has("date"));
    }
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_304_that_makes_a_head_of_too_many_lines_is_handed_on_whole_and_what_it_confirmed_is_not_stored_any_more() {
    let confirms = (0..3000).fold(status(304).cc("max-age=60"), |reply, at| reply.h(&format!("x-{}", at % 20), "1"));
    let first = (0..2000).fold(fresh("a").etag("\"v\""), |reply, _| reply.h("x-a", "1"));
    let world = world(Origin::replies([first, confirms, fresh("b")]));
    world.get("/a").await;
    world.pass(61);
    let got = world.get("/a").await;
    let of_304: usize = (0..20).map(|at| got.headers.get_all(format!("x-{at}")).iter().count()).sum();
    assert_eq!((got.text(), got.headers.get_all("x-a").iter().count(), of_304), ("a", 2000, 3000));
    assert_eq!(world.get("/a").await.text(), "b");
}

#[tokio::test(start_paused = true)]
async fn trailers_of_too_many_lines_are_handed_on_whole_and_not_stored() {
    for (lines, stored) in [(4096, true), (4097, false)] {
        let world = world(Origin::always(fresh("").steps([data("a"), Step::Trailers("x-a", lines)])));
        for _ in 0..2 {
            let got = world.get("/a").await;
            assert_eq!((got.text(), got.trailers.as_ref().unwrap().get_all("x-a").iter().count()), ("a", lines));
        }
        assert_eq!(world.origin.calls() == 1, stored, "{lines}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_clause_of_storing_decides_as_rfc_9111_section_3_says() {
    let unexpired = date(60);
    let cases: Vec<(&str, Reply, bool)> = vec![
        ("nothing at all: default TTL is zero", ok("a"), false),
        ("max-age", ok("a").cc("max-age=9"), true),
        ("max-age=0", ok("a").cc("max-age=0"), false),
        ("s-maxage wins", ok("a").cc("max-age=0, s-maxage=9"), true),
        ("s-maxage=0 wins", ok("a").cc("max-age=9, s-maxage=0"), false),
        ("Expires", ok("a").h("expires", &unexpired), true),
        ("Expires in the past", ok("a").h("expires", &date(-9)), false),
        ("Expires is no date", ok("a").h("expires", "0").etag("\"a\""), false),
        ("max-age wins over Expires", ok("a").cc("max-age=0").h("expires", &unexpired), false),
        ("a lifetime in quotes", ok("a").cc("max-age=\"9\""), true),
        ("a validator alone is stored, not reused", ok("a").etag("\"a\""), false),
        ("heuristic", ok("a").h("last-modified", &date(-1000)), true),
        ("heuristic for 404", status(404).h("last-modified", &date(-1000)), true),
        ("no heuristic for 500", status(500).h("last-modified", &date(-1000)), false),
        ("public alone", ok("a").cc("public"), false),
        ("public lets the heuristic have a 500", status(500).cc("public").h("last-modified", &date(-1000)), true),
        ("any status with a lifetime", status(500).cc("max-age=9"), true),
        ("an unknown status with a lifetime", status(299).cc("max-age=9"), true),
        ("404", status(404).cc("max-age=9"), true),
        ("no-store", ok("a").cc("max-age=9, no-store"), false),
        ("no-store in capitals", ok("a").cc("max-age=9").cc("NO-STORE"), false),
        ("private", ok("a").cc("private, max-age=9"), false),
        ("private with a field", ok("a").cc("private=\"x-a\", max-age=9").h("x-a", "1"), true),
        ("no-cache", ok("a").cc("no-cache, max-age=9"), false),
        ("no-cache with a field", ok("a").cc("no-cache=\"x-a\", max-age=9").h("x-a", "1"), true),
        ("must-understand with a known status", ok("a").cc("max-age=9, no-store, must-understand"), true),
        ("must-understand with an unknown status", status(299).cc("max-age=9, must-understand"), false),
        ("Set-Cookie", ok("a").cc("max-age=9").h("set-cookie", "a=b"), false),
        ("Set-Cookie, public", ok("a").cc("public, max-age=9").h("set-cookie", "a=b"), false),
        ("Set-Cookie named by no-cache", ok("a").cc("max-age=9, no-cache=\"set-cookie\"").h("set-cookie", "a=b"), true),
        ("Vary: *", ok("a").cc("max-age=9").h("vary", "*"), false),
        ("Age as old as the lifetime", ok("a").cc("max-age=9").h("age", "9"), false),
        ("Age below the lifetime", ok("a").cc("max-age=9").h("age", "8"), true),
        ("an old Date", ok("a").cc("max-age=9").h("date", &date(-9)), false),
        ("CDN-Cache-Control", ok("a").h("cdn-cache-control", "max-age=9").cc("no-store"), true),
        (
            "Warmfront-Cache-Control before the other",
            ok("a").h("warmfront-cache-control", "max-age=9").h("cdn-cache-control", "no-store"),
            true,
        ),
        ("an invalid one is no field", ok("a").h("cdn-cache-control", "max-age=9, &").cc("no-store"), false),
    ];
    for (name, reply, expected) in cases {
        assert_eq!(reused(get("/a"), get("/a"), reply).await, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_clause_about_the_request_decides_as_rfc_9111_says() {
    let with = |name: &str, value: &str| get("/a").h(name, value);
    let auth = || with("authorization", "Bearer x");
    let cases: Vec<(&str, Ask, Ask, Reply, bool)> = vec![
        ("no-store in the request", get("/a").cc("no-store"), get("/a"), fresh("a"), false),
        ("no-store in a later request", get("/a"), get("/a").cc("no-store"), fresh("a"), false),
        ("Authorization", auth(), auth(), fresh("a"), false),
        ("Authorization, then nobody", auth(), get("/a"), fresh("a"), false),
        ("Authorization and public", auth(), get("/a"), ok("a").cc("public, max-age=9"), true),
        ("Authorization and must-revalidate", auth(), get("/a"), ok("a").cc("must-revalidate, max-age=9"), true),
        ("Authorization and s-maxage", auth(), get("/a"), ok("a").cc("s-maxage=9"), true),
        ("Authorization and proxy-revalidate", auth(), get("/a"), ok("a").cc("proxy-revalidate, max-age=9"), false),
        ("Authorization later", get("/a"), auth(), fresh("a"), true),
        ("POST", method("POST", "/a"), method("POST", "/a"), fresh("a"), false),
        ("POST, then GET", method("POST", "/a"), get("/a"), fresh("a"), false),
        ("POST that names itself", method("POST", "/a"), get("/a"), fresh("a").h("content-location", "/a"), true),
        ("POST that names another", method("POST", "/a"), get("/b"), fresh("a").h("content-location", "/b"), false),
        (
            "POST that names itself without a lifetime",
            method("POST", "/a"),
            get("/a"),
            ok("a").etag("\"a\"").h("content-location", "/a"),
            false,
        ),
        ("PUT that names itself", method("PUT", "/a"), get("/a"), fresh("a").h("content-location", "/a"), false),
        ("GET, then POST", get("/a"), method("POST", "/a"), fresh("a"), false),
        ("GET, then HEAD", get("/a"), method("HEAD", "/a"), fresh("a"), true),
        ("HEAD, then GET", method("HEAD", "/a"), get("/a"), fresh("a"), false),
        ("OPTIONS", method("OPTIONS", "/a"), method("OPTIONS", "/a"), fresh("a"), false),
        ("a GET with a body", get("/a").body("x"), get("/a"), fresh("a"), false),
        ("a GET, then one with a body", get("/a"), get("/a").body("x"), fresh("a"), false),
        ("a method override", with("x-http-method-override", "DELETE"), get("/a"), fresh("a"), false),
        ("a method override later", get("/a"), with("x-http-method-override", "DELETE"), fresh("a"), false),
        ("a URL override", with("x-original-url", "/admin"), get("/a"), fresh("a"), false),
        ("a rewritten URL later", get("/a"), with("x-rewrite-url", "/admin"), fresh("a"), false),
        ("a host override", with("x-host", "evil"), get("/a"), fresh("a"), false),
        ("an upgrade", with("upgrade", "websocket"), get("/a"), fresh("a"), false),
        ("an unknown x- header", with("x-other", "1"), get("/a"), fresh("a"), true),
        ("another query", get("/a?x=1"), get("/a?x=2"), fresh("a"), false),
        ("an empty query", get("/a?"), get("/a"), fresh("a"), false),
        ("another host", get("/a"), get("/a").uri("http://other.com/a"), fresh("a"), false),
        ("another scheme", get("/a"), get("/a").uri("https://example.com/a"), fresh("a"), false),
        ("another port", get("/a"), get("/a").uri("http://example.com:81/a"), fresh("a"), false),
        ("the default port, and capitals", get("/a"), get("/a").uri("http://EXAMPLE.com:80/a"), fresh("a"), true),
        ("origin form with Host", get("/a"), get("/a").uri("/a").h("host", "example.com"), fresh("a"), true),
        ("an encoded path is another", get("/a"), get("/%61"), fresh("a"), false),
        ("a cookie alone selects nothing", with("cookie", "a=1"), with("cookie", "a=2"), fresh("a"), true),
    ];
    for (name, first, second, reply, expected) in cases {
        assert_eq!(reused(first, second, reply).await, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn fields_named_by_private_or_no_cache_reach_the_one_who_asked_and_nobody_else() {
    let reply = fresh("a").cc("private=\"x-mine\", no-cache=\"set-cookie\"").h("x-mine", "1").h("set-cookie", "a=b").h("x-all", "2");
    let world = world(Origin::always(reply));
    let first = world.get("/a").await;
    assert_eq!((first.h("x-mine"), first.h("set-cookie"), first.h("x-all")), ("1".into(), "a=b".into(), "2".into()));
    let second = world.get("/a").await;
    assert!(second.is_hit() && !second.has("x-mine") && !second.has("set-cookie"));
    assert_eq!(second.h("x-all"), "2");
}

#[tokio::test(start_paused = true)]
async fn a_head_is_answered_from_a_stored_get_with_its_headers_and_no_body() {
    let world = world(Origin::always(fresh("hello").h("x-a", "1")));
    world.get("/a").await;
    let got = world.send(method("HEAD", "/a")).await;
    assert!(got.is_hit() && got.body.is_empty());
    assert_eq!((got.h("content-length"), got.h("x-a")), ("5".into(), "1".into()));
}

#[tokio::test(start_paused = true)]
async fn a_head_goes_to_the_origin_as_a_head_and_fills_nothing() {
    let world = world(Origin::always(fresh("").h("content-length", "5")));
    let got = world.send(method("HEAD", "/a").h("if-none-match", "\"mine\"")).await;
    assert_eq!((got.h("content-length"), world.cache.stats().entries), ("5".into(), 0));
    assert_eq!((world.origin.last().method.as_str(), world.origin.last().h("if-none-match")), ("HEAD", "\"mine\"".into()));
}

#[tokio::test(start_paused = true)]
async fn a_fat_get_passes_with_its_body_and_neither_uses_nor_fills_the_cache() {
    let world = world(Origin::by(|asked| fresh(&format!("{} {}", asked.number, asked.body.len()))));
    assert_eq!(world.send(get("/a").body("xyz")).await.text(), "0 3");
    assert_eq!(world.get("/a").await.text(), "1 0");
    assert_eq!(world.send(get("/a").body("xyz")).await.text(), "2 3");
    assert_eq!(world.get("/a").await.text(), "1 0");
}

#[tokio::test(start_paused = true)]
async fn a_post_that_names_itself_is_stored_once_its_body_is_whole() {
    let broken = crate::origin::Step::Error;
    let world = world(Origin::replies([
        fresh("").h("content-location", "/a").steps([crate::origin::data("half"), broken]),
        fresh("whole").h("content-location", "/a"),
    ]));
    assert!(world.send(method("POST", "/a")).await.broken.is_some());
    assert_eq!(world.cache.stats().entries, 0);
    assert_eq!(world.send(method("POST", "/a")).await.text(), "whole");
    assert!(world.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_rule_gives_a_lifetime_only_where_the_origin_is_silent() {
    let world = world_under(
        everywhere().ttl(seconds(30)),
        Origin::by(|asked| match asked.uri.path() {
            "/silent" => ok("a"),
            "/short" => ok("a").cc("max-age=5"),
            _ => status(500),
        }),
    );
    for target in ["/silent", "/short", "/error"] {
        world.get(target).await;
    }
    assert!(world.has_fresh("/silent") && world.has_fresh("/short") && !world.has_fresh("/error"));
    world.pass(10);
    assert!(world.has_fresh("/silent") && !world.has_fresh("/short"));
}

#[tokio::test(start_paused = true)]
async fn an_overriding_rule_wins_over_lifetimes_and_not_over_prohibitions() {
    for (reply, stored) in [
        (ok("a").cc("max-age=5"), true),
        (ok("a").cc("no-store"), false),
        (ok("a").cc("private"), false),
        (ok("a").h("set-cookie", "a=b"), false),
        (ok("a").h("vary", "*"), false),
    ] {
        let world = world_under(everywhere().ttl(seconds(30)).override_origin(), Origin::always(reply));
        world.get("/a").await;
        world.pass(10);
        assert_eq!(world.has_fresh("/a"), stored);
    }
    let world = world_under(everywhere().ttl(seconds(30)).override_origin(), Origin::always(ok("a").cc("no-cache")));
    world.get("/a").await;
    world.get("/a").await;
    assert_eq!(world.origin.calls(), 2, "no-cache is a prohibition too");
}

#[tokio::test(start_paused = true)]
async fn each_prohibition_is_disregarded_only_by_its_own_word() {
    let replies = [
        ("no-store", fresh("a").cc("no-store")),
        ("private", fresh("a").cc("private")),
        ("set-cookie", fresh("a").h("set-cookie", "a=b")),
        ("no-cache", fresh("a").cc("no-cache")),
    ];
    for word in warmfront::cache::rules::Ignore::WORDS {
        for (prohibition, reply) in &replies {
            let mut rule = everywhere();
            assert!(rule.ignore.add(word));
            let world = world_under(rule, Origin::always(reply.clone()));
            world.get("/a").await;
            assert_eq!(world.get("/a").await.is_hit(), word == *prohibition, "ignore {word}, origin says {prohibition}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_ignored_set_cookie_is_given_to_everybody_as_the_rule_says() {
    let mut rule = everywhere();
    rule.ignore.set_cookie = true;
    let world = world_under(rule, Origin::always(fresh("a").h("set-cookie", "a=b")));
    world.get("/a").await;
    assert_eq!(world.get("/a").await.h("set-cookie"), "a=b");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_passes_neither_looks_up_nor_stores() {
    let rules = vec![Rule::path("/live/**").unwrap().pass(), everywhere().ttl(seconds(60))];
    let world = world_with(Settings { rules, ..Settings::default() }, Origin::by(|asked| fresh(&asked.number.to_string())));
    for number in ["0", "1"] {
        let got = world.get("/live/a").await;
        assert_eq!((got.text(), got.said()), (number, "warmfront; fwd=bypass; detail=rule"));
    }
    assert_eq!((world.cache.stats().entries, world.cache.stats().passed), (0, 2));
    assert_eq!((world.get("/a").await.text(), world.get("/a").await.text()), ("2", "2"));
}

#[tokio::test(start_paused = true)]
async fn the_first_rule_that_matches_decides_alone() {
    let rules = vec![Rule::path("/a/*").unwrap().ttl(seconds(5)), Rule::path("/a/**").unwrap().ttl(seconds(50))];
    let world = world_with(Settings { rules, ..Settings::default() }, Origin::always(ok("x")));
    world.get("/a/b").await;
    world.get("/a/b/c").await;
    let rule = |target: &str| world.lookup(target).unwrap().rule.unwrap().to_string();
    assert_eq!((rule("/a/b"), rule("/a/b/c")), ("/a/*".into(), "/a/**".into()));
    assert_eq!(world.lookup("/a/b").unwrap().ttl_millis, 5_000);
}

#[tokio::test(start_paused = true)]
async fn what_identifies_a_response_is_what_the_origin_was_asked() {
    let key = KeySettings { query_ignore: vec!["utm_*".into(), "fbclid".into()], query_sort: true };
    let world = world_with(Settings { key, ..Settings::default() }, Origin::by(|asked| fresh(asked.target())));
    for target in ["/a?b=2&utm_source=x&a=1", "/a?a=1&b=2", "/a?fbclid=9&b=2&a=1"] {
        assert_eq!(world.get(target).await.text(), "/a?a=1&b=2", "{target}");
    }
    assert_eq!(world.get("/a?utm_source=x").await.text(), "/a");
    assert_eq!(world.get("/a").await.text(), "/a");
    assert_eq!(world.origin.calls(), 2);
    // Repeated parameters keep their order: it may carry meaning.
    assert_eq!(world.get("/a?x=2&x=1").await.text(), "/a?x=2&x=1");
    assert_eq!(world.get("/a?x=1&x=2").await.text(), "/a?x=1&x=2");
}

#[tokio::test(start_paused = true)]
async fn a_rule_says_how_queries_of_its_own_paths_are_keyed() {
    let mut rule = Rule::path("/sorted").unwrap();
    rule.key = Some(KeySettings { query_sort: true, ..KeySettings::default() });
    let world = world_under(rule, Origin::by(|asked| fresh(asked.target())));
    assert_eq!(world.get("/sorted?b&a").await.text(), "/sorted?a&b");
    assert_eq!(world.get("/other?b&a").await.text(), "/other?b&a");
}

#[tokio::test(start_paused = true)]
async fn the_default_ttl_is_for_good_answers_only() {
    let settings = Settings { default_ttl: seconds(30), ..Settings::default() };
    let world = world_with(settings, Origin::by(|asked| if asked.uri.path() == "/ok" { ok("a") } else { status(500) }));
    for target in ["/ok", "/bad"] {
        world.get(target).await;
    }
    assert!(world.has_fresh("/ok") && !world.has_fresh("/bad"));
}

#[tokio::test(start_paused = true)]
async fn heuristics_take_a_tenth_and_can_be_switched_off() {
    let reply = ok("a").h("last-modified", &date(-1000));
    let world = world(Origin::always(reply.clone()));
    world.get("/a").await;
    world.pass(99);
    assert!(world.has_fresh("/a"));
    world.pass(1);
    assert!(!world.has_fresh("/a"));
    let settings = Settings { heuristic: false, ..Settings::default() };
    let world = world_with(settings, Origin::always(reply));
    world.get("/a").await;
    assert!(!world.has_fresh("/a"));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_names_an_identity_header_in_a_rule_is_still_subject_to_section_3_5() {
    // Partitioned by something else than Authorization: the credentials are not part of the key.
    let rule = everywhere().per_identity(HeaderName::from_static("x-tenant")).ttl(seconds(60)).override_origin();
    let world = world_under(rule, Origin::by(|asked| ok(&asked.h("authorization"))));
    for user in ["alice", "bob"] {
        assert_eq!(world.send(get("/a").h("x-tenant", "t").h("authorization", user)).await.text(), user);
    }
}
