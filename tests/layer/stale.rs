//! Serving stale responses inside their windows only (RFC 5861, RFC 9111 section 4.2.4), and what requests wish for.

use crate::origin::{Gate, Origin, Reply, Step, fresh, ok, status};
use crate::world::{World, everywhere, get, method, seconds, world, world_under, world_with};
use std::time::Duration;
use warmfront::clock::Clock;
use warmfront::telemetry::Refusal;
use warmfront::{Level, Settings};

/// Fresh for a minute; what comes next is said by `next`.
async fn expiring(first: Reply, next: Reply) -> World {
    let world = world(Origin::replies([first, next]));
    world.get("/a").await;
    world
}

fn failures() -> Vec<(&'static str, Reply)> {
    vec![
        ("500", status(500)),
        ("502", status(502)),
        ("503", status(503)),
        ("504", status(504)),
        ("OriginFailure", status(502).failure(Refusal::UpstreamConnect)),
        ("the service's own error", status(200).err()),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_stale_hit_is_served_while_one_refresh_runs() {
    let gate = Gate::new();
    let world =
        expiring(ok("a").cc("max-age=60, stale-while-revalidate=30").etag("\"v1\""), fresh("b").first(Step::Gate(gate.clone()))).await;
    world.pass(61);
    let got = world.crowd(50, |_| get("/a")).await;
    assert!(got.iter().all(|got| got.text() == "a" && got.said() == "warmfront; hit; ttl=-1; detail=stale-while-revalidate"));
    assert_eq!((world.origin.calls(), world.cache.stats().stale), (2, 50));
    assert_eq!(world.origin.last().h("if-none-match"), "\"v1\"");
    gate.open();
    world.settle().await;
    let got = world.get("/a").await;
    assert!(got.is_hit());
    assert_eq!((got.text(), world.origin.calls()), ("b", 2));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_is_tried_again_by_the_next_reader() {
    for (name, failure) in failures() {
        let world = expiring(ok("a").cc("max-age=60, stale-while-revalidate=30"), failure).await;
        world.pass(61);
        for calls in 2..5 {
            assert_eq!(world.get("/a").await.text(), "a", "{name}");
            world.settle().await;
            assert_eq!(world.origin.calls(), calls, "{name}");
        }
        world.origin.becomes(fresh("b"));
        world.get("/a").await;
        world.settle().await;
        assert_eq!(world.get("/a").await.text(), "b", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_panics_is_tried_again_too() {
    let world = expiring(ok("a").cc("max-age=60, stale-while-revalidate=30"), ok("").first(Step::Panic)).await;
    world.pass(61);
    assert_eq!(world.get("/a").await.text(), "a");
    world.settle().await;
    world.origin.becomes(fresh("b"));
    assert_eq!(world.get("/a").await.text(), "a");
    world.settle().await;
    assert_eq!(world.get("/a").await.text(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_asks_for_the_whole_with_get_whatever_the_stale_hit_was() {
    let reply = || ok("0123456789").cc("max-age=60, stale-while-revalidate=30").etag("\"v1\"");
    for ask in [
        method("HEAD", "/a"),
        get("/a").h("range", "bytes=0-1"),
        get("/a").h("range", "bytes=0-1").h("if-range", "\"v1\""),
        get("/a").h("if-none-match", "\"v1\"").h("if-modified-since", "Wed, 01 Nov 2023 00:00:00 GMT"),
    ] {
        let world = expiring(reply(), fresh("b")).await;
        world.pass(61);
        assert!(world.send(ask).await.is_hit());
        world.settle().await;
        let asked = world.origin.last();
        assert_eq!((asked.method.as_str(), asked.h("if-none-match")), ("GET", "\"v1\"".into()));
        assert!(!asked.has("range") && !asked.has("if-range") && !asked.has("if-modified-since"));
        assert_eq!(world.get("/a").await.text(), "b");
    }
}

#[tokio::test(start_paused = true)]
async fn the_window_of_stale_while_revalidate_has_two_edges() {
    for (millis, expected) in [(59_999, "hit"), (60_000, "stale"), (89_999, "stale"), (90_000, "miss")] {
        let world = expiring(ok("a").cc("max-age=60, stale-while-revalidate=30"), fresh("b")).await;
        world.clock.advance(Duration::from_millis(millis));
        world.get("/a").await;
        let stats = world.cache.stats();
        let got = (stats.hits, stats.stale, stats.misses);
        assert_eq!(got, (u64::from(expected == "hit"), u64::from(expected == "stale"), 1 + u64::from(expected == "miss")), "{millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn stale_if_error_covers_failures_inside_its_window_and_nothing_else() {
    for (name, failure) in failures() {
        for (age, covered) in [(61, true), (89, true), (90, false)] {
            let world = expiring(ok("a").cc("max-age=60, stale-if-error=30"), failure.clone()).await;
            world.pass(age);
            let Ok(answer) = world.try_head(get("/a")).await else {
                assert!(name == "the service's own error" && !covered);
                continue;
            };
            let got = crate::world::Got::of(answer).await;
            assert_eq!(got.code() == 200, covered, "{name} at {age}");
            if covered {
                assert_eq!((got.text(), got.h("age")), ("a", age.to_string()));
                assert!(got.said().ends_with("detail=stale-if-error"), "{}", got.said());
            }
        }
    }
    for (name, reply) in [("404", status(404)), ("403", status(403)), ("501", status(501)), ("429", status(429)), ("200", ok("b"))] {
        let code = if name == "200" { 200 } else { name.parse().unwrap() };
        let world = expiring(ok("a").cc("max-age=60, stale-if-error=30"), reply).await;
        world.pass(61);
        let got = world.get("/a").await;
        assert_eq!((got.code(), got.body.as_ref() == b"a"), (code, false), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_service_is_covered_for_leader_and_followers_alike() {
    let world = expiring(ok("a").cc("max-age=60, stale-if-error=30"), ok("").first(Step::Sleep(seconds(1))).first(Step::Panic)).await;
    world.pass(61);
    let got = world.crowd(5, |_| get("/a")).await;
    assert!(got.iter().all(|got| got.code() == 200 && got.text() == "a"), "{got:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_covered_by_one_question() {
    for (name, failure) in failures() {
        let world = expiring(ok("a").cc("max-age=60, stale-if-error=30"), failure.after(50)).await;
        world.pass(61);
        let got = world.crowd(20, |_| get("/a")).await;
        assert!(got.iter().all(|got| got.text() == "a"), "{name}");
        assert_eq!(world.origin.calls(), 2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_be_validated_is_never_served_stale() {
    let windows = "stale-while-revalidate=600, stale-if-error=600";
    for strict in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        for (name, failure) in failures() {
            let world = expiring(ok("a").cc(&format!("max-age=60, {strict}, {windows}")), failure).await;
            world.pass(61);
            for ask in [get("/a"), get("/a").cc("max-stale"), get("/a").cc("stale-if-error=600")] {
                if let Ok(answer) = world.try_head(ask).await {
                    assert_ne!(answer.status().as_u16(), 200, "{strict}, {name}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_be_validated_and_cannot_be_is_a_504_for_everybody() {
    let failure = status(502).failure(Refusal::UpstreamConnect).after(50);
    let world = expiring(ok("a").cc("max-age=60, must-revalidate"), failure).await;
    world.pass(61);
    let got = world.crowd(5, |_| get("/a")).await;
    assert_eq!(got.iter().map(|got| got.code()).collect::<Vec<_>>(), [504; 5]);
}

#[tokio::test(start_paused = true)]
async fn s_maxage_forbids_windows_that_it_does_not_bring_itself() {
    let settings = || Settings { stale_while_revalidate: seconds(600), stale_if_error: seconds(600), ..Settings::default() };
    for (cache_control, code) in [("max-age=60", 200), ("s-maxage=60", 503), ("s-maxage=60, stale-if-error=600", 200)] {
        let world = world_with(settings(), Origin::replies([ok("a").cc(cache_control), status(503)]));
        world.get("/a").await;
        world.pass(61);
        assert_eq!(world.get("/a").await.code(), code, "{cache_control}");
        let world = world_with(settings(), Origin::replies([ok("a").cc(cache_control), status(503)]));
        world.get("/a").await;
        world.pass(61);
        assert_eq!(world.send(get("/a").cc("max-stale")).await.code(), code, "{cache_control}, max-stale");
    }
}

#[tokio::test(start_paused = true)]
async fn windows_come_from_the_origin_then_the_rule_then_the_settings() {
    let window = |cache_control: &'static str, rule: warmfront::Rule| async move {
        let settings = Settings { stale_if_error: seconds(10), rules: vec![rule], ..Settings::default() };
        let world = world_with(settings, Origin::replies([ok("a").cc(cache_control), status(503)]));
        world.get("/a").await;
        let mut covered = 0;
        for time in [5, 10, 10, 10] {
            world.pass(if time == 5 { 65 } else { time });
            covered += u32::from(world.get("/a").await.code() == 200);
        }
        covered * 10
    };
    assert_eq!(window("max-age=60", everywhere()).await, 10);
    assert_eq!(window("max-age=60", everywhere().stale_if_error(seconds(20))).await, 20);
    assert_eq!(window("max-age=60, stale-if-error=30", everywhere().stale_if_error(seconds(20))).await, 30);
    assert_eq!(
        window("max-age=60, stale-if-error=30", everywhere().ttl(seconds(60)).stale_if_error(seconds(20)).override_origin()).await,
        20
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_does_not_take_the_place_of_what_it_is_covered_by() {
    let world = expiring(ok("a").cc("max-age=60, stale-if-error=600"), status(503).cc("max-age=60")).await;
    world.pass(61);
    for _ in 0..3 {
        assert_eq!(world.get("/a").await.text(), "a");
    }
    world.origin.becomes(fresh("b"));
    assert_eq!(world.get("/a").await.text(), "b");
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_never_goes_to_the_origin() {
    let world = expiring(ok("a").cc("max-age=60"), fresh("b")).await;
    let ask = || get("/a").cc("only-if-cached");
    assert_eq!(world.send(ask()).await.text(), "a");
    let refused = world.send(get("/other").cc("only-if-cached")).await;
    assert_eq!((refused.code(), refused.said()), (504, "warmfront; detail=only-if-cached"));
    world.pass(61);
    assert_eq!(world.send(ask()).await.code(), 504);
    assert_eq!(world.send(ask().cc("max-stale")).await.text(), "a");
    let head = world.send(method("HEAD", "/other").cc("only-if-cached")).await;
    assert_eq!((head.code(), head.body.len()), (504, 0));
    assert_eq!((world.origin.calls(), world.cache.stats().refused), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn what_a_request_wishes_for_narrows_or_widens_what_it_gets() {
    for (age, wish, is_hit) in [
        (30, "max-age=30", true),
        (31, "max-age=30", false),
        (30, "min-fresh=30", true),
        (31, "min-fresh=30", false),
        (61, "max-stale", true),
        (70, "max-stale=10", true),
        (71, "max-stale=10", false),
        (61, "max-age=30, max-stale", false),
        (61, "max-age=61, max-stale", true),
        (30, "max-age=20, max-stale", false),
        (61, "max-age=90", false),
        (30, "max-age=99999999999999999999999", true),
        (30, "max-age=nonsense", false),
        (30, "no-cache", false),
        (30, "unknown=1", true),
    ] {
        let world = expiring(ok("a").cc("max-age=60"), fresh("b")).await;
        world.pass(age);
        assert_eq!(world.send(get("/a").cc(wish)).await.is_hit(), is_hit, "{wish} at {age}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_widen_the_window_for_errors_but_not_against_must_revalidate() {
    for (cache_control, code) in [("max-age=60", 200), ("max-age=60, must-revalidate", 503)] {
        let world = expiring(ok("a").cc(cache_control), status(503)).await;
        world.pass(80);
        assert_eq!(world.send(get("/a").cc("stale-if-error=30")).await.code(), code);
        assert_eq!(world.send(get("/a").cc("stale-if-error=10")).await.code(), 503);
    }
}

#[tokio::test(start_paused = true)]
async fn a_soft_purge_leaves_what_the_windows_allow() {
    let world = expiring(ok("a").cc("max-age=60, stale-while-revalidate=30"), fresh("b")).await;
    world.cache.invalidate_all(Level::Stale);
    assert_eq!(world.get("/a").await.text(), "a");
    world.settle().await;
    assert_eq!(world.get("/a").await.text(), "b");
}

#[tokio::test(start_paused = true)]
async fn the_machines_clock_ages_what_is_stored_as_time_goes_by() {
    let world = World::new(Settings::default(), Clock::machine(), Origin::replies([fresh("a"), fresh("b")]));
    world.get("/a").await;
    tokio::time::advance(Duration::from_millis(59_500)).await;
    assert_eq!(world.get("/a").await.h("age"), "59");
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(world.get("/a").await.text(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_under_a_rule_obeys_the_rule() {
    let rule = everywhere().ttl(seconds(60)).stale_while_revalidate(seconds(30));
    let world = world_under(rule, Origin::replies([ok("a"), ok("b")]));
    world.get("/a").await;
    world.pass(61);
    assert_eq!(world.get("/a").await.text(), "a");
    world.settle().await;
    assert_eq!(world.lookup("/a").unwrap().ttl_millis, 60_000);
    assert_eq!(world.get("/a").await.text(), "b");
}
