//! What becomes of header fields on their way through.

use crate::origin::{Origin, Reply, fresh, ok, status};
use crate::world::{Ask, date, everywhere, get, method, seconds, world, world_under, world_with};
use warmfront::Settings;
use warmfront::telemetry::Refusal;

#[tokio::test(start_paused = true)]
async fn repeated_lines_stay_repeated_and_in_order() {
    let reply = fresh("x").h("link", "</a>").h("x-other", "1").h("link", "</b>").h("warning", "1").h("link", "</a>");
    let world = world(Origin::always(reply));
    for _ in 0..2 {
        assert_eq!(world.get("/a").await.h("link"), "</a> | </b> | </a>");
    }
}

#[tokio::test(start_paused = true)]
async fn fields_of_the_connection_are_not_stored() {
    let reply = fresh("x")
        .h("connection", "x-hop, X-Other")
        .h("connection", "keep-alive")
        .h("x-hop", "1")
        .h("x-other", "1")
        .h("keep-alive", "timeout=5")
        .h("proxy-authenticate", "Basic")
        .h("te", "trailers")
        .h("upgrade", "h2c")
        .h("x-kept", "1");
    let world = world(Origin::always(reply));
    world.get("/a").await;
    let hit = world.get("/a").await;
    for name in ["connection", "x-hop", "x-other", "keep-alive", "proxy-authenticate", "te", "upgrade"] {
        assert!(!hit.has(name), "{name}");
    }
    assert!(hit.is_hit() && hit.has("x-kept"));
}

#[tokio::test(start_paused = true)]
async fn a_304_nominates_fields_for_itself_only() {
    let second = status(304).cc("max-age=60").h("connection", "x-hop").h("x-hop", "2").h("keep-alive", "1");
    let world = world(Origin::replies([fresh("x").etag("\"v\"").h("x-hop", "1"), second]));
    world.get("/a").await;
    world.pass(61);
    for _ in 0..2 {
        let got = world.get("/a").await;
        assert_eq!((got.h("x-hop"), got.has("keep-alive")), ("1".into(), false));
    }
}

#[tokio::test(start_paused = true)]
async fn age_is_on_hits_and_on_misses_only_if_the_origin_sent_it() {
    for (received, miss, hit) in [(None, "", "7"), (Some("10"), "10", "17"), (Some("10, 20"), "10, 20", "17")] {
        let reply = received.map_or(fresh("x"), |age| fresh("x").h("age", age));
        let world = world(Origin::always(reply));
        assert_eq!(world.get("/a").await.h("age"), miss);
        world.pass(7);
        let got = world.get("/a").await;
        assert!(got.is_hit());
        assert_eq!(got.h("age"), hit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_date_is_added_and_a_given_one_is_kept() {
    for (given, expected) in [(None, date(0)), (Some(date(-5)), date(-5))] {
        let reply = given.map_or(fresh("x"), |date| fresh("x").h("date", &date));
        let world = world(Origin::always(reply));
        for _ in 0..2 {
            assert_eq!(world.get("/a").await.h("date"), expected);
            world.pass(3);
        }
        assert_eq!(world.get("/a").await.h("age"), if expected == date(0) { "6" } else { "11" });
    }
}

#[tokio::test(start_paused = true)]
async fn cache_control_and_its_targeted_forms_still_reach_the_client() {
    let reply = ok("x").cc("no-store").h("cdn-cache-control", "max-age=60").h("warmfront-cache-control", "max-age=60").h("expires", "0");
    let world = world(Origin::always(reply));
    for _ in 0..2 {
        let got = world.get("/a").await;
        for (name, value) in [
            ("cache-control", "no-store"),
            ("cdn-cache-control", "max-age=60"),
            ("warmfront-cache-control", "max-age=60"),
            ("expires", "0"),
        ] {
            assert_eq!(got.h(name), value);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cache_status_says_what_happened_in_the_standards_words() {
    type Prepare = Option<Ask>;
    let first = || Some(get("/a"));
    let windows = || ok("x").cc("max-age=60, stale-while-revalidate=30, stale-if-error=90").etag("\"v\"");
    let cases: Vec<(Prepare, Reply, u64, Ask, Reply, &str)> = vec![
        (None, fresh("x"), 0, get("/a"), fresh("x"), "warmfront; fwd=uri-miss; stored"),
        (first(), fresh("x"), 10, get("/a"), fresh("x"), "warmfront; hit; ttl=50"),
        (first(), fresh("x"), 10, method("HEAD", "/a"), fresh("x"), "warmfront; hit; ttl=50"),
        (first(), fresh("x"), 60, get("/a"), fresh("x"), "warmfront; fwd=stale; stored"),
        (first(), fresh("x"), 0, get("/a").cc("no-cache"), fresh("x"), "warmfront; fwd=request; stored"),
        (first(), fresh("x").h("vary", "x-a"), 0, get("/a").h("x-a", "1"), fresh("x"), "warmfront; fwd=vary-miss; stored"),
        (first(), windows(), 61, get("/a"), fresh("x"), "warmfront; hit; ttl=-1; detail=stale-while-revalidate"),
        (first(), windows(), 100, get("/a"), status(503), "warmfront; fwd=stale; fwd-status=503; detail=stale-if-error"),
        (first(), windows(), 100, get("/a"), status(502).failure(Refusal::UpstreamConnect), "warmfront; fwd=stale; detail=stale-if-error"),
        (first(), windows(), 100, get("/a"), status(304).cc("max-age=60"), "warmfront; fwd=stale; fwd-status=304; stored"),
        (first(), fresh("x"), 70, get("/a").cc("max-stale"), fresh("x"), "warmfront; hit; ttl=-10; detail=max-stale"),
        (
            first(),
            fresh("x").cc("no-cache").etag("\"v\""),
            0,
            get("/a"),
            status(304).cc("no-cache"),
            "warmfront; fwd=stale; fwd-status=304; stored",
        ),
        (None, ok("x").cc("no-store"), 0, get("/a"), ok("x").cc("no-store"), "warmfront; fwd=uri-miss; detail=no-store"),
        (None, ok("x").cc("private"), 0, get("/a"), ok("x").cc("private"), "warmfront; fwd=uri-miss; detail=private"),
        (None, ok("x"), 0, get("/a"), ok("x"), "warmfront; fwd=uri-miss; detail=no-freshness"),
        (None, ok("x"), 0, get("/a"), status(500), "warmfront; fwd=uri-miss; detail=status"),
        (None, ok("x"), 0, get("/a"), fresh("x").h("set-cookie", "a"), "warmfront; fwd=uri-miss; detail=set-cookie"),
        (None, ok("x"), 0, get("/a"), fresh("x").h("vary", "*"), "warmfront; fwd=uri-miss; detail=vary-star"),
        (None, ok("x"), 0, get("/a").h("authorization", "a"), fresh("x"), "warmfront; fwd=uri-miss; detail=authorization"),
        (None, ok("x"), 0, get("/a").cc("no-store"), fresh("x"), "warmfront; fwd=uri-miss; detail=request-no-store"),
        (None, ok("x"), 0, get("/a"), status(299).cc("max-age=9, must-understand"), "warmfront; fwd=uri-miss; detail=must-understand"),
        (None, ok("x"), 0, get("/a").h("range", "bytes=0-1"), status(416), "warmfront; fwd=uri-miss; detail=status"),
        (None, ok("x"), 0, get("/a").h("range", "bytes=0-1"), status(404).cc("max-age=9"), "warmfront; fwd=uri-miss; detail=conditional"),
        (None, ok("x"), 0, get("/a"), status(502).failure(Refusal::UpstreamConnect), "warmfront; fwd=uri-miss; detail=upstream-connect"),
        (None, ok("x"), 0, get("/a").cc("only-if-cached"), ok("x"), "warmfront; detail=only-if-cached"),
        (None, ok("x"), 0, method("POST", "/a"), ok("x"), "warmfront; fwd=method"),
        (None, ok("x"), 0, method("POST", "/a"), fresh("x").h("content-location", "/a"), "warmfront; fwd=method; stored"),
        (None, ok("x"), 0, method("HEAD", "/a"), fresh(""), "warmfront; fwd=uri-miss"),
        (None, ok("x"), 0, get("/a").body("x"), fresh("x"), "warmfront; fwd=bypass; detail=request-body"),
        (None, ok("x"), 0, get("/a").h("upgrade", "h2c"), fresh("x"), "warmfront; fwd=bypass; detail=upgrade"),
        (None, ok("x"), 0, get("/a").h("x-http-method-override", "PUT"), fresh("x"), "warmfront; fwd=bypass; detail=override-header"),
    ];
    for (at, (prepare, stored, age, ask, next, said)) in cases.into_iter().enumerate() {
        let prepared = prepare.is_some();
        let world = world(Origin::replies(if prepared { vec![stored, next] } else { vec![next] }));
        if let Some(prepare) = prepare {
            world.send(prepare).await;
        }
        world.pass(age);
        assert_eq!(world.send(ask).await.said(), said, "case {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_caches_behind_us_said_stands_before_what_we_say() {
    for reply in [fresh("x"), ok("x").cc("no-store")] {
        let world = world(Origin::always(reply.h("cache-status", "origin; hit").h("cache-status", "middle; fwd=miss")));
        for said in 0..2 {
            let got = world.get("/a").await.h("cache-status");
            assert!(got.starts_with("origin; hit | middle; fwd=miss | warmfront; "), "{said}: {got}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_hundredth_hit_has_the_fields_of_the_first() {
    for chain in [false, true] {
        let reply = fresh("x").h("link", "</a>").h("x-other", "1").h("link", "</b>");
        let reply = if chain { reply.h("cache-status", "origin; hit") } else { reply };
        let world = world(Origin::always(reply));
        let ours = |status: &str| if chain { format!("origin; hit | {status}") } else { status.to_owned() };
        for round in 0..100 {
            let got = world.get("/a").await;
            assert_eq!((got.h("link"), got.h("x-other")), ("</a> | </b>".into(), "1".into()));
            let (age, status) = if round < 50 { ("0", "hit; ttl=60") } else { ("3", "hit; ttl=57") };
            assert!(
                round == 0 || (got.h("age"), got.h("cache-status")) == (age.to_owned(), ours(&format!("warmfront; {status}"))),
                "{round}"
            );
            if round == 49 {
                world.pass(3);
            }
        }
        world.cache.reload(Settings { cache_status: false, ..Settings::default() });
        let got = world.get("/a").await;
        assert_eq!((got.h("age"), got.h("cache-status")), ("3".into(), if chain { "origin; hit".into() } else { String::new() }));
        assert!(chain || !got.has("cache-status"));
    }
}

#[tokio::test(start_paused = true)]
async fn cache_status_can_be_switched_off() {
    let settings = Settings { cache_status: false, ..Settings::default() };
    let world = world_with(settings, Origin::always(fresh("x")));
    for ask in [get("/a"), get("/a"), method("POST", "/a"), method("HEAD", "/b"), get("/c").cc("only-if-cached")] {
        assert!(!world.send(ask).await.has("cache-status"));
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_problem_json_for_those_who_ask_for_json() {
    let world = world(Origin::always(fresh("x")));
    let text = world.send(get("/a").cc("only-if-cached")).await;
    assert_eq!((text.h("content-type"), text.h("cache-control")), ("text/plain; charset=utf-8".into(), "no-store".into()));
    let json = world.send(get("/a").cc("only-if-cached").h("accept", "application/json")).await;
    assert_eq!(json.h("content-type"), "application/problem+json");
    assert!(json.text().contains("\"reason\":\"only-if-cached\""));
}

#[tokio::test(start_paused = true)]
async fn requests_reach_the_origin_with_all_their_fields() {
    let world = world_under(everywhere().ttl(seconds(5)), Origin::always(ok("x")));
    world.send(get("/a?b=%20c").h("x-a", "1").h("x-a", "2").h("accept", "text/html").h("cookie", "a=b").cc("max-age=0")).await;
    let asked = world.origin.last();
    assert_eq!(
        (asked.target(), asked.h("x-a"), asked.h("accept"), asked.h("cookie")),
        ("/a?b=%20c", "1 | 2".into(), "text/html".into(), "a=b".into())
    );
    assert_eq!(asked.h("cache-control"), "max-age=0");
}
