//! One fill per key: a leader, and followers that are released at the response headers.

use crate::origin::{Gate, Origin, OriginError, Reply, Step, data, fresh, ok, status};
use crate::world::{Got, Tap, everywhere, get, method, seconds, world, world_under};
use std::time::Duration;
use tokio::time::Instant;
use warmfront::Level;
use warmfront::telemetry::Refusal;

const TRIP: Duration = Duration::from_millis(120);

fn slow(reply: Reply) -> Reply {
    reply.after(120)
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_one_request_to_the_origin_and_everybody_gets_the_body() {
    let world = world(Origin::always(slow(fresh("hello"))));
    let start = Instant::now();
    let got = world.crowd(51, |_| get("/a")).await;
    assert!(got.iter().all(|got| got.text() == "hello" && got.code() == 200));
    assert_eq!((world.origin.calls(), start.elapsed()), (1, TRIP));
    let stats = world.cache.stats();
    assert_eq!((stats.misses, stats.collapsed), (1, 50));
    assert_eq!(got.iter().filter(|got| got.said() == "warmfront; fwd=uri-miss; collapsed").count(), 50);
}

#[tokio::test(start_paused = true)]
async fn followers_are_released_at_the_headers_not_at_the_end() {
    let world = world(Origin::always(slow(fresh("").steps([data("a"), Step::Sleep(seconds(5)), data("b")]))));
    let start = Instant::now();
    let leader = tokio::spawn({
        let world = world.clone();
        async move { world.head(get("/a")).await }
    });
    world.settle().await;
    let mut follower = Tap::of(world.head(get("/a")).await);
    assert_eq!((follower.next().await.as_deref(), start.elapsed()), (Some("a"), TRIP));
    let mut leader = Tap::of(leader.await.unwrap());
    assert_eq!((leader.next().await.as_deref(), start.elapsed()), (Some("a"), TRIP));
    assert_eq!((leader.rest().await.as_str(), follower.rest().await.as_str()), ("b", "b"));
}

#[tokio::test(start_paused = true)]
async fn a_crowd_for_what_cannot_be_shared_is_released_at_once_and_the_next_one_does_not_queue() {
    let unshareable: Vec<(&str, Reply)> = vec![
        ("private", ok("x").cc("private, max-age=60")),
        ("no-store", ok("x").cc("no-store")),
        ("a cookie", fresh("x").h("set-cookie", "a=b")),
        ("Vary: *", fresh("x").h("vary", "*")),
        ("nothing", ok("x")),
        ("only a validator", ok("x").etag("\"v1\"")),
        ("no-cache", fresh("x").cc("no-cache").etag("\"v1\"")),
        ("an error", status(500)),
    ];
    for (name, reply) in unshareable {
        let world = world(Origin::always(slow(reply)));
        let start = Instant::now();
        let got = world.crowd(51, |_| get("/a")).await;
        assert_eq!((got.len(), world.origin.calls()), (51, 51), "{name}");
        assert!(start.elapsed() <= 2 * TRIP, "{name}: {:?}", start.elapsed());
        let start = Instant::now();
        world.crowd(51, |_| get("/a")).await;
        assert_eq!((world.origin.calls(), start.elapsed()), (102, TRIP), "{name}");
        // Two minutes later it is tried again.
        world.pass(121);
        let start = Instant::now();
        world.crowd(5, |_| get("/a")).await;
        assert_eq!(start.elapsed(), 2 * TRIP, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_becomes_shareable_is_collapsed_again() {
    let world = world(Origin::always(slow(ok("x").cc("private"))));
    world.get("/a").await;
    world.origin.becomes(slow(ok("y").cc("max-age=1")));
    world.get("/a").await;
    world.pass(2);
    world.crowd(20, |_| get("/a")).await;
    assert_eq!(world.origin.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn requests_that_concern_only_themselves_do_not_queue() {
    let world = world(Origin::always(slow(fresh("0123456789").etag("\"v1\""))));
    let start = Instant::now();
    let leader = world.spawn(get("/a"));
    world.settle().await;
    for ask in [
        get("/a").cc("no-store"),
        get("/a").h("if-match", "\"v1\""),
        get("/a").h("range", "bytes=0-1"),
        method("HEAD", "/a"),
        method("POST", "/a"),
    ] {
        let own = world.spawn(ask);
        world.settle().await;
        drop(own);
    }
    assert_eq!(world.origin.calls(), 6);
    leader.await.unwrap();
    assert_eq!(start.elapsed(), TRIP);
}

#[tokio::test(start_paused = true)]
async fn different_keys_do_not_wait_for_each_other() {
    let world = world(Origin::always(slow(fresh("x"))));
    let start = Instant::now();
    world.crowd(50, |at| get(&format!("/{at}"))).await;
    assert_eq!((world.origin.calls(), start.elapsed()), (50, TRIP));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_before_the_headers_kills_nothing() {
    let world = world(Origin::always(slow(fresh("hello"))));
    let leader = world.spawn(get("/a"));
    world.settle().await;
    let follower = world.spawn(get("/a"));
    world.settle().await;
    leader.abort();
    assert_eq!(follower.await.unwrap().text(), "hello");
    assert!(world.get("/a").await.is_hit());
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lone_leader_that_leaves_before_the_headers_has_warmed_the_cache() {
    let world = world(Origin::always(slow(fresh("hello"))));
    let leader = world.spawn(get("/a"));
    world.settle().await;
    leader.abort();
    tokio::time::sleep(TRIP).await;
    world.settle().await;
    assert!(world.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_fill_whose_head_nobody_waits_for_ends_after_three_seconds() {
    let world = world(Origin::always(fresh("hello").after(15_000)));
    let (leader, follower) = (world.spawn(get("/a")), world.spawn(get("/a")));
    world.settle().await;
    leader.abort();
    follower.abort();
    tokio::time::sleep(Duration::from_millis(2900)).await;
    let late = world.spawn(get("/a"));
    tokio::time::sleep(seconds(4)).await;
    assert_eq!(world.origin.calls(), 1, "who comes again in time keeps it");
    late.abort();
    tokio::time::sleep(Duration::from_millis(3100)).await;
    let start = Instant::now();
    assert_eq!(world.get("/a").await.text(), "hello");
    assert_eq!((world.origin.calls(), start.elapsed()), (2, seconds(15)), "the first one had been let go");
}

#[tokio::test(start_paused = true)]
async fn the_three_seconds_run_from_the_last_who_left() {
    let world = world(Origin::always(fresh("hello").after(15_000)));
    let leader = world.spawn(get("/a"));
    world.settle().await;
    leader.abort();
    tokio::time::sleep(seconds(1)).await;
    let late = world.spawn(get("/a"));
    tokio::time::sleep(Duration::from_millis(1900)).await;
    late.abort();
    world.settle().await;
    tokio::time::sleep(Duration::from_millis(2900)).await;
    assert_eq!(world.origin.open(), 1, "he may come again");
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.settle().await;
    assert_eq!((world.origin.open(), world.origin.calls()), (0, 1), "and no longer");
}

#[tokio::test(start_paused = true)]
async fn one_follower_is_enough_to_keep_a_slow_fill() {
    let world = world(Origin::always(fresh("hello").after(5000)));
    let (leader, follower) = (world.spawn(get("/a")), world.spawn(get("/a")));
    world.settle().await;
    leader.abort();
    assert_eq!(follower.await.unwrap().text(), "hello");
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_refresh_behind_a_stale_answer_needs_nobody_to_wait_for_it() {
    let reply = |body: &str| fresh(body).cc("max-age=60, stale-while-revalidate=600");
    let world = world(Origin::replies([reply("old"), reply("new").after(5000)]));
    world.get("/a").await;
    world.pass(100);
    assert_eq!(world.get("/a").await.text(), "old");
    tokio::time::sleep(seconds(6)).await;
    world.settle().await;
    assert_eq!((world.get("/a").await.text(), world.origin.calls()), ("new", 2));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_mid_stream_kills_nothing() {
    let gate = Gate::new();
    let world = world(Origin::always(fresh("").steps([data("hel"), Step::Gate(gate.clone()), data("lo")])));
    let mut leader = Tap::of(world.head(get("/a")).await);
    let mut follower = Tap::of(world.head(get("/a")).await);
    assert_eq!((leader.now().await.as_str(), follower.now().await.as_str()), ("hel", "hel"));
    drop(leader);
    gate.open();
    assert_eq!(follower.rest().await, "lo");
    assert_eq!(world.get("/a").await.text(), "hello");
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_everybody_has_left_still_lands() {
    let gate = Gate::new();
    let world = world(Origin::always(fresh("").steps([data("hel"), Step::Gate(gate.clone()), data("lo")])));
    drop(world.head(get("/a")).await);
    drop(world.head(get("/a")).await);
    gate.open();
    world.settle().await;
    assert_eq!((world.get("/a").await.text(), world.origin.calls(), world.origin.open()), ("hello", 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_that_everybody_has_left_is_given_up() {
    let world = world(Origin::always(fresh("").steps([data("hel"), Step::Hang])));
    drop(world.head(get("/a")).await);
    world.settle().await;
    assert_eq!(world.origin.open(), 1);
    tokio::time::sleep(seconds(130)).await;
    assert_eq!((world.origin.open(), world.cache.stats().bytes), (0, 0));
    world.origin.becomes(fresh("whole"));
    assert_eq!(world.get("/a").await.text(), "whole");
}

#[tokio::test(start_paused = true)]
async fn followers_that_leave_are_not_missed() {
    let world = world(Origin::always(slow(fresh("hello"))));
    let leader = world.spawn(get("/a"));
    world.settle().await;
    let followers: Vec<_> = (0..10).map(|_| world.spawn(get("/a"))).collect();
    world.settle().await;
    followers.iter().for_each(|follower| follower.abort());
    assert_eq!(leader.await.unwrap().text(), "hello");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_service_is_a_502_for_its_leader_and_those_who_waited_try_once_more_as_a_group() {
    let world = world(Origin::replies([ok("").after(50).first(Step::Panic), fresh("fine")]));
    let got = world.crowd(20, |_| get("/a")).await;
    assert!(got[0].code() == 502 && got[0].said() == "warmfront; fwd=uri-miss; detail=fill-aborted", "{got:?}");
    assert!(got[1..].iter().all(|got| got.text() == "fine"), "{got:?}");
    assert!(world.get("/a").await.is_hit());
    assert_eq!(world.origin.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_services_own_error_goes_to_each_leader_and_a_502_to_those_who_waited_twice() {
    let world = world(Origin::replies([slow(ok("")).err(), slow(ok("")).err(), fresh("fine")]));
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let world = world.clone();
        tasks.push(tokio::spawn(async move { world.try_head(get("/a")).await.map(|answer| answer.status().as_u16()) }));
    }
    let mut ended = Vec::new();
    for task in tasks {
        ended.push(task.await.unwrap());
    }
    assert_eq!(ended[0], Err(OriginError));
    assert_eq!(ended.iter().filter(|end| **end == Err(OriginError)).count(), 2);
    assert_eq!(ended.iter().filter(|end| **end == Ok(502)).count(), 18);
    assert_eq!((world.get("/a").await.text(), world.cache.stats().failed), ("fine", 20));
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_origin_is_told_to_all_and_asked_once() {
    let failure = slow(status(504).failure(Refusal::ResponseTimeout));
    let world = world(Origin::replies([failure, fresh("fine")]));
    let got = world.crowd(20, |_| get("/a")).await;
    assert!(got.iter().all(|got| got.code() == 504 && got.said().ends_with("detail=response-timeout")));
    assert_eq!(world.origin.calls(), 1);
    assert_eq!(world.get("/a").await.text(), "fine");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_never_answers_does_not_block_the_key_after_a_purge() {
    let world = world(Origin::replies([ok("").first(Step::Hang), fresh("fine")]));
    let leader = world.spawn(get("/a"));
    world.settle().await;
    leader.abort();
    world.cache.invalidate(&"http://example.com/a".parse().unwrap(), Level::Dead);
    assert_eq!(world.get("/a").await.text(), "fine");
    assert!(world.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_reloads_is_one_request_too() {
    let world = world(Origin::replies([fresh("a"), slow(fresh("b"))]));
    world.get("/a").await;
    let got = world.crowd(20, |_| get("/a").cc("no-cache")).await;
    assert!(got.iter().all(|got| got.text() == "b"));
    assert_eq!(world.origin.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_revalidates_is_one_request_and_one_304() {
    let world = world(Origin::replies([fresh("a").etag("\"v1\""), slow(status(304).cc("max-age=60"))]));
    world.get("/a").await;
    world.pass(61);
    let got = world.crowd(51, |_| get("/a")).await;
    assert!(got.iter().all(|got| got.text() == "a"));
    assert_eq!((world.origin.calls(), world.cache.stats().revalidated, world.cache.stats().collapsed), (2, 1, 50));
}

#[tokio::test(start_paused = true)]
async fn followers_with_conditions_get_their_own_answer_from_the_same_fill() {
    let world = world(Origin::always(slow(fresh("hello").etag("\"v1\""))));
    let got = world.crowd(9, |at| if at % 3 == 1 { get("/a").h("if-none-match", "\"v1\"") } else { get("/a") }).await;
    for (at, got) in got.iter().enumerate() {
        assert_eq!((got.code(), got.text()), if at % 3 == 1 { (304, "") } else { (200, "hello") });
    }
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_only_wanted_a_304_still_fills_for_the_followers() {
    let world = world(Origin::always(slow(fresh("").etag("\"v1\"").steps([data("hel"), Step::Sleep(seconds(1)), data("lo")]))));
    let got = world.crowd(5, |at| if at == 0 { get("/a").h("if-none-match", "\"v1\"") } else { get("/a") }).await;
    assert_eq!(got[0].code(), 304);
    assert!(got[1..].iter().all(|got| got.text() == "hello"));
}

#[tokio::test(start_paused = true)]
async fn followers_get_nothing_that_was_for_the_leader_only() {
    let reply = fresh("x").cc("private=\"x-mine\"").h("x-mine", "leader").h("set-cookie", "a=b").cc("no-cache=\"set-cookie\"");
    let world = world(Origin::always(slow(reply)));
    let got = world.crowd(20, |_| get("/a")).await;
    assert_eq!(got.iter().filter(|got| got.has("x-mine") || got.has("set-cookie")).count(), 1);
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_stale_on_arrival_is_not_shared() {
    let world = world(Origin::by(|asked| slow(ok(&asked.number.to_string()).cc("max-age=60").h("age", "60"))));
    let got = world.crowd(10, |_| get("/a")).await;
    let mut bodies: Vec<_> = got.iter().map(Got::text).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_passes_does_not_collapse() {
    let world = world_under(everywhere().pass(), Origin::always(slow(fresh("x"))));
    let start = Instant::now();
    world.crowd(20, |_| get("/a")).await;
    assert_eq!((world.origin.calls(), start.elapsed()), (20, TRIP));
}
