//! Asking the origin whether what is stored is still good (RFC 9111 section 4.3), and being asked by clients.

use crate::origin::{Origin, Reply, fresh, ok, status};
use crate::world::{Ask, World, date, everywhere, get, method, seconds, world, world_under};

const THEN: &str = "Wed, 01 Nov 2023 00:00:00 GMT";

/// A 304 that says how long it is fresh again.
fn not_modified() -> Reply {
    status(304).cc("max-age=60")
}

fn tagged(body: &str) -> Reply {
    fresh(body).etag("\"v1\"")
}

/// `replies` one after the other, the first of them asked for already and expired.
async fn expired(replies: impl IntoIterator<Item = Reply>) -> World {
    let world = world(Origin::replies(replies));
    world.get("/a").await;
    world.pass(61);
    world
}

#[tokio::test(start_paused = true)]
async fn a_stale_response_is_validated_with_the_validators_that_it_has() {
    for (etag, modified) in [(Some("\"v1\""), Some(THEN)), (Some("W/\"v1\""), None), (None, Some(THEN))] {
        let mut reply = fresh("a");
        for (name, value) in [("etag", etag), ("last-modified", modified)] {
            if let Some(value) = value {
                reply = reply.h(name, value);
            }
        }
        let world = expired([reply, not_modified()]).await;
        let got = world.get("/a").await;
        assert_eq!((got.text(), got.code(), got.said()), ("a", 200, "warmfront; fwd=stale; fwd-status=304; stored"));
        let asked = world.origin.last();
        assert_eq!((asked.h("if-none-match"), asked.h("if-modified-since")), (etag.unwrap_or("").into(), modified.unwrap_or("").into()));
        assert!(world.get("/a").await.is_hit());
        assert_eq!((world.cache.stats().revalidated, world.origin.calls()), (1, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_validator_the_question_has_no_condition() {
    let world = expired([fresh("a"), fresh("b")]).await;
    assert_eq!(world.get("/a").await.text(), "b");
    assert!(!world.origin.last().has("if-none-match") && !world.origin.last().has("if-modified-since"));
}

#[tokio::test(start_paused = true)]
async fn a_304_freshens_headers_and_the_body_stays() {
    let first = tagged("hello").h("x-old", "1").h("x-both", "1").h("x-both", "2").h("content-type", "text/plain");
    let second = not_modified().h("x-both", "3").h("x-new", "4").h("content-length", "999").h("etag", "\"v1\"").h("age", "7");
    let world = expired([first, second]).await;
    for is_hit in [false, true] {
        let got = world.get("/a").await;
        assert_eq!((got.text(), got.is_hit()), ("hello", is_hit));
        assert_eq!((got.h("x-old"), got.h("x-both"), got.h("x-new")), ("1".into(), "3".into(), "4".into()));
        assert_eq!((got.h("content-length"), got.h("age"), got.h("date")), ("5".into(), "7".into(), date(61)));
    }
    world.pass(53);
    assert!(!world.has_fresh("/a"), "its Age counts");
}

#[tokio::test(start_paused = true)]
async fn a_changed_200_replaces_what_was_stored() {
    let world = expired([tagged("a").h("x-a", "1"), fresh("bb").etag("\"v2\"")]).await;
    let got = world.get("/a").await;
    assert_eq!((got.text(), got.said()), ("bb", "warmfront; fwd=stale; stored"));
    let hit = world.get("/a").await;
    assert!(hit.is_hit() && !hit.has("x-a"));
    assert_eq!((hit.text(), hit.h("etag"), world.cache.stats().entries), ("bb", "\"v2\"".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn clients_that_have_it_are_told_304_with_the_headers_of_a_200() {
    let reply = tagged("hello").h("last-modified", THEN).h("vary", "x-a").h("content-type", "text/plain").h("content-location", "/x");
    let later = date(-60);
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);
    let cases: [Case<'_>; 15] = [
        ("its tag", &[("if-none-match", "\"v1\"")], 304),
        ("compared weakly", &[("if-none-match", "W/\"v1\"")], 304),
        ("in a list", &[("if-none-match", "\"v0\", \"v1\"")], 304),
        ("in a second line", &[("if-none-match", "\"v0\""), ("if-none-match", "\"v1\"")], 304),
        ("a comma in a tag", &[("if-none-match", "\"x,\"v1\"")], 200),
        ("any", &[("if-none-match", "*")], 304),
        ("another", &[("if-none-match", "\"v2\"")], 200),
        ("without quotes", &[("if-none-match", "v1")], 200),
        ("its date", &[("if-modified-since", THEN)], 304),
        ("a later date", &[("if-modified-since", &later)], 304),
        ("an earlier date", &[("if-modified-since", "Tue, 31 Oct 2023 23:59:59 GMT")], 200),
        ("no date", &[("if-modified-since", "yesterday")], 200),
        ("another tag wins over a good date", &[("if-none-match", "\"v2\""), ("if-modified-since", THEN)], 200),
        ("a good tag wins over a bad date", &[("if-none-match", "\"v1\""), ("if-modified-since", "Tue, 31 Oct 2023 23:59:59 GMT")], 304),
        ("nothing", &[], 200),
    ];
    for (name, conditions, code) in cases {
        let world = world(Origin::always(reply.clone()));
        // Cold, while it is stored for everybody, and then from the cache.
        for is_hit in [false, true] {
            let got = world.send(conditions.iter().fold(get("/a"), |ask, (name, value)| ask.h(name, value))).await;
            assert_eq!((got.code(), got.is_hit()), (code, is_hit), "{name}");
            assert_eq!(got.text(), if code == 304 { "" } else { "hello" }, "{name}");
            for kept in ["etag", "last-modified", "vary", "cache-control", "content-location", "date"] {
                assert!(got.has(kept), "{name}: {kept}");
            }
            assert_eq!(got.has("content-type"), code == 200, "{name}");
            assert_eq!(got.h("content-length"), if code == 304 { "" } else { "5" }, "{name}");
        }
        let asked = world.origin.last();
        assert!(!asked.has("if-none-match") && !asked.has("if-modified-since"), "{name}: it leaked upstream");
        assert_eq!(world.get("/a").await.text(), "hello");
    }
}

#[tokio::test(start_paused = true)]
async fn the_clients_own_conditions_never_replace_ours() {
    let world = expired([tagged("a"), not_modified(), fresh("c").etag("\"v3\"")]).await;
    let got = world.send(get("/a").h("if-none-match", "\"mine\"").h("if-modified-since", THEN)).await;
    assert_eq!((got.code(), got.text()), (200, "a"));
    let asked = world.origin.last();
    assert_eq!((asked.h("if-none-match"), asked.h("if-modified-since")), ("\"v1\"".into(), String::new()));
    world.pass(61);
    // The client has what the origin now says.
    let got = world.send(get("/a").h("if-none-match", "\"v3\"")).await;
    assert_eq!((got.code(), got.text()), (304, ""));
    assert_eq!(world.get("/a").await.text(), "c");
}

#[tokio::test(start_paused = true)]
async fn a_304_about_another_entity_is_asked_again_without_conditions() {
    for senseless in [not_modified().etag("\"other\""), not_modified().etag("\"other\"").h("last-modified", THEN)] {
        let world = expired([tagged("a"), senseless, fresh("b").etag("\"v2\"")]).await;
        let got = world.get("/a").await;
        assert_eq!((got.text(), got.h("etag"), world.origin.calls()), ("b", "\"v2\"".into(), 3));
        assert!(!world.origin.last().has("if-none-match"));
        assert_eq!(world.get("/a").await.text(), "b");
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_insists_on_a_304_about_another_entity_confirms_nothing() {
    let world = expired([tagged("a"), not_modified().etag("\"other\"")]).await;
    let got = world.get("/a").await;
    assert!(got.body.is_empty() && !world.has_fresh("/a"), "{got:?}");
}

#[tokio::test(start_paused = true)]
async fn a_304_with_another_date_than_the_only_one_stored_is_asked_again() {
    let world = expired([fresh("a").h("last-modified", THEN), not_modified().h("last-modified", &date(0)), fresh("b")]).await;
    assert_eq!((world.get("/a").await.text(), world.origin.calls()), ("b", 3));
}

#[tokio::test(start_paused = true)]
async fn a_304_without_any_validator_confirms() {
    let world = expired([tagged("a"), not_modified()]).await;
    assert_eq!((world.get("/a").await.text(), world.origin.calls()), ("a", 2));
    assert!(world.has_fresh("/a"));
}

#[tokio::test(start_paused = true)]
async fn a_304_that_forbids_storing_answers_once_and_ends_the_stored_response() {
    for prohibition in ["no-store", "private", "no-store, max-age=60"] {
        let world = expired([tagged("a"), status(304).cc(prohibition), fresh("b")]).await;
        let got = world.get("/a").await;
        assert_eq!((got.text(), got.said()), ("a", "warmfront; fwd=stale; fwd-status=304"), "{prohibition}");
        assert_eq!(world.lookup("/a"), None);
        assert_eq!(world.get("/a").await.text(), "b");
        assert!(!world.origin.last().has("if-none-match"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cookie_on_a_304_is_for_the_one_who_asked() {
    let world = expired([tagged("a"), not_modified().h("set-cookie", "a=b")]).await;
    let got = world.get("/a").await;
    assert_eq!((got.text(), got.h("set-cookie")), ("a", "a=b".into()));
    let hit = world.get("/a").await;
    assert!(hit.is_hit() && !hit.has("set-cookie"));
}

#[tokio::test(start_paused = true)]
async fn of_a_crowd_that_revalidates_one_gets_the_cookie_and_all_get_the_body() {
    let world = world(Origin::replies([tagged("a"), not_modified().h("set-cookie", "a=b").after(50)]));
    world.get("/a").await;
    world.pass(61);
    let got = world.crowd(20, |_| get("/a")).await;
    assert!(got.iter().all(|got| got.text() == "a"));
    assert_eq!(got.iter().filter(|got| got.has("set-cookie")).count(), 1);
    assert_eq!(world.origin.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_cache_in_the_response_is_validated_every_time_and_its_body_is_kept() {
    let world = world(Origin::replies([tagged("a").cc("no-cache"), status(304)]));
    for calls in 1..5 {
        assert_eq!(world.get("/a").await.text(), "a");
        assert_eq!(world.origin.calls(), calls);
    }
    assert_eq!(world.cache.stats().revalidated, 3);
}

#[tokio::test(start_paused = true)]
async fn a_reload_validates_and_renews_what_all_others_get() {
    let reloads: [fn() -> Ask; 3] =
        [|| get("/a").cc("no-cache"), || get("/a").h("pragma", "no-cache"), || get("/a").cc("max-age=0").cc("max-age=0")];
    for reload in reloads {
        let world = world(Origin::replies([tagged("a"), fresh("b").etag("\"v2\"")]));
        world.get("/a").await;
        world.pass(1);
        let got = world.send(reload()).await;
        assert_eq!((got.text(), got.said()), ("b", "warmfront; fwd=request; stored"));
        assert_eq!(world.origin.last().h("if-none-match"), "\"v1\"");
        assert_eq!(world.get("/a").await.text(), "b");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_agrees_freshens_what_is_stored_for_get() {
    for head in [fresh("").etag("\"v1\""), fresh("").h("content-length", "5"), fresh("").h("last-modified", THEN)] {
        let world = expired([tagged("hello").h("last-modified", THEN), head.h("x-new", "1")]).await;
        world.send(method("HEAD", "/a")).await;
        let hit = world.get("/a").await;
        assert!(hit.is_hit());
        assert_eq!((hit.text(), hit.h("x-new"), hit.h("content-length")), ("hello", "1".into(), "5".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_disagrees_makes_it_be_validated() {
    for head in [fresh("").etag("\"v2\""), fresh("").h("content-length", "6"), fresh("").h("last-modified", &date(0))] {
        let world = world(Origin::replies([tagged("hello").h("last-modified", THEN), head, fresh("newer")]));
        world.get("/a").await;
        world.send(method("HEAD", "/a").cc("no-cache")).await;
        assert_eq!(world.get("/a").await.text(), "newer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_without_a_validator_does_not_undo_an_invalidation() {
    let world = world(Origin::by(|asked| match asked.method.as_str() {
        "GET" => fresh(&asked.number.to_string()),
        _ => fresh(""),
    }));
    world.get("/a").await;
    world.send(method("POST", "/a")).await;
    world.send(method("HEAD", "/a")).await;
    assert_eq!(world.get("/a").await.text(), "3");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_fails_changes_nothing() {
    for head in [status(500).etag("\"v2\""), status(404).h("content-length", "9"), status(304)] {
        let world = world(Origin::replies([tagged("hello"), head]));
        world.get("/a").await;
        world.send(method("HEAD", "/a").cc("no-cache")).await;
        assert!(world.get("/a").await.is_hit());
    }
}

#[tokio::test(start_paused = true)]
async fn preconditions_that_only_the_origin_may_decide_go_to_it_word_for_word() {
    for (name, value) in [("if-match", "\"v0\""), ("if-unmodified-since", THEN)] {
        let world =
            world(Origin::by(|asked| if asked.has("if-match") || asked.has("if-unmodified-since") { status(412) } else { fresh("a") }));
        let got = world.send(get("/a").h(name, value).h("if-none-match", "\"x\"")).await;
        assert_eq!((got.code(), world.origin.last().h(name), world.origin.last().h("if-none-match")), (412, value.into(), "\"x\"".into()));
        assert_eq!(world.get("/a").await.text(), "a", "a 412 is nobody else's");
        assert!(world.get("/a").await.is_hit());
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_may_change_what_is_varied_by_and_whom_it_answers() {
    let world = world(Origin::by(|asked| {
        let reply = if asked.has("if-none-match") { not_modified() } else { tagged(&asked.h("x-a")) };
        reply.h("vary", "x-a")
    }));
    for value in ["1", "2"] {
        world.send(get("/a").h("x-a", value)).await;
    }
    world.pass(61);
    for value in ["1", "2"] {
        assert_eq!(world.send(get("/a").h("x-a", value)).await.text(), value);
    }
    for value in ["1", "2"] {
        let hit = world.send(get("/a").h("x-a", value)).await;
        assert!(hit.is_hit() && hit.text() == value, "each variant was freshened");
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_under_a_rule_takes_the_lifetime_of_the_rule() {
    let origin = Origin::replies([ok("a").etag("\"v1\""), status(304)]);
    let world = world_under(everywhere().ttl(seconds(30)), origin);
    world.get("/a").await;
    world.pass(31);
    world.get("/a").await;
    assert_eq!((world.lookup("/a").unwrap().ttl_millis, world.origin.calls()), (30_000, 2));
}

#[tokio::test(start_paused = true)]
async fn an_unshareable_key_that_becomes_cacheable_is_cached_soon_even_if_all_requests_are_conditional() {
    let world = world(Origin::by(|asked| match asked.number {
        0 => status(500),
        _ if asked.h("if-none-match") == "\"v1\"" => not_modified().etag("\"v1\""),
        _ => tagged("a"),
    }));
    world.get("/a").await;
    for _ in 0..20 {
        world.send(get("/a").h("if-none-match", "\"v1\"")).await;
        world.pass(30);
    }
    assert!(world.send(get("/a").h("if-none-match", "\"v1\"")).await.is_hit() || world.origin.calls() < 15, "{}", world.origin.calls());
}
