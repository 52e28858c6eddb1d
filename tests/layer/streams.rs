//! Bodies that grow while they are read, break off, are too large, or are read slowly.

use crate::origin::{Gate, Origin, Reply, Step, data, fresh, ok};
use crate::world::{Got, Tap, get, method, seconds, world, world_with};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;
use warmfront::Settings;

const KIB: usize = 1024;

fn block(size: usize) -> Step {
    Step::Data(Bytes::from(vec![b'x'; size]))
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_leaves_before_the_origin_has_ended() {
    for reply in [fresh(""), ok("").cc("no-store"), ok("")] {
        let world = world(Origin::always(reply.steps([data("a"), Step::Hang])));
        let mut tap = Tap::of(world.head(get("/a")).await);
        assert_eq!(tap.next().await.as_deref(), Some("a"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_joins_mid_stream_gets_the_bytes_so_far_and_then_the_rest() {
    let chunks = (0..20).flat_map(|at| [data(&format!("{at};")), Step::Sleep(Duration::from_millis(100))]);
    let world = world(Origin::always(fresh("").steps(chunks)));
    let expected: String = (0..20).map(|at| format!("{at};")).collect();
    let leader = world.spawn(get("/a"));
    let mut readers = vec![leader];
    for _ in 0..19 {
        tokio::time::sleep(Duration::from_millis(97)).await;
        readers.push(world.spawn(get("/a")));
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap().text(), expected);
    }
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_two_seconds_joined_at_six_tenths_gives_its_first_byte_at_once() {
    let chunks = (0..20).flat_map(|at| [data(&format!("{at};")), Step::Sleep(Duration::from_millis(100))]);
    let world = world(Origin::always(fresh("").steps(chunks)));
    let leader = world.spawn(get("/a"));
    tokio::time::sleep(Duration::from_millis(600)).await;
    let start = Instant::now();
    let mut follower = Tap::of(world.head(get("/a")).await);
    assert_eq!((follower.next().await.as_deref(), start.elapsed()), (Some("0;"), Duration::ZERO));
    leader.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn server_sent_events_arrive_event_by_event() {
    for cache_control in ["no-store", "no-cache", "max-age=60"] {
        let events = (0..5).flat_map(|at| [data(&format!("data: {at}\n\n")), Step::Sleep(seconds(1))]);
        let world = world(Origin::always(ok("").cc(cache_control).h("content-type", "text/event-stream").steps(events)));
        let mut tap = Tap::of(world.head(get("/events")).await);
        let start = Instant::now();
        for at in 0..5 {
            assert_eq!(tap.next().await, Some(format!("data: {at}\n\n")));
            assert_eq!(start.elapsed(), seconds(at), "{cache_control}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_reach_leader_followers_and_hits() {
    for cache_control in ["max-age=60", "no-store"] {
        let reply =
            ok("").cc(cache_control).h("trailer", "x-sum").steps([data("a"), Step::Sleep(seconds(1)), Step::Trailer("x-sum", "42")]);
        let world = world(Origin::always(reply));
        let mut got = world.crowd(3, |_| get("/a")).await;
        got.push(world.get("/a").await);
        for got in &got {
            assert_eq!((got.text(), got.h("trailer")), ("a", "x-sum".into()));
            assert_eq!(got.trailers.as_ref().unwrap()["x-sum"], "42");
            assert!(!got.has("content-length"), "no trailers behind a Content-Length");
        }
        assert_eq!(got[3].is_hit(), cache_control == "max-age=60");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_broken_to_every_reader_at_every_byte_and_is_never_stored() {
    let whole = "0123456789";
    for promised in [true, false] {
        for cut in 0..=whole.len() {
            for size in [1, 3, 10] {
                let gate = Gate::new();
                let bytes = &whole.as_bytes()[..cut];
                let mut steps: Vec<Step> = bytes.chunks(size).map(|chunk| Step::Data(Bytes::copy_from_slice(chunk))).collect();
                steps.insert(steps.len() / 2, Step::Gate(gate.clone()));
                steps.push(Step::Error);
                let reply = if promised { fresh("").h("content-length", "10") } else { fresh("") };
                let world = world(Origin::replies([reply.steps(steps), fresh("whole")]));
                let readers: Vec<_> = (0..3).map(|_| world.spawn(get("/a"))).collect();
                world.settle().await;
                let late = world.spawn(get("/a"));
                world.settle().await;
                gate.open();
                for reader in readers.into_iter().chain([late]) {
                    let got = reader.await.unwrap();
                    assert!(got.broken.is_some() && *got.body == *bytes, "cut at {cut}, chunks of {size}: {got:?}");
                }
                assert_eq!((world.cache.stats().entries, world.cache.stats().bytes), (0, 0));
                let next = world.get("/a").await;
                assert_eq!((next.text(), world.origin.calls()), ("whole", 2), "the next request fetches anew");
                assert!(world.get("/a").await.is_hit());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_leaves_the_old_response_where_it_was() {
    let world = world(Origin::replies([
        ok("old").cc("max-age=60, stale-if-error=600").etag("\"v1\""),
        fresh("").steps([data("ne"), Step::Error]),
        crate::origin::status(503),
    ]));
    world.get("/a").await;
    world.pass(61);
    assert!(world.get("/a").await.broken.is_some());
    assert_eq!(world.get("/a").await.text(), "old");
}

#[tokio::test(start_paused = true)]
async fn a_content_length_that_is_not_kept_is_broken_to_every_reader_and_never_stored() {
    for (promised, chunks) in [("10", &["01234"][..]), ("10", &[]), ("5", &["0123", "45"]), ("0", &["x"])] {
        let gate = Gate::new();
        let steps = chunks.iter().map(|chunk| data(chunk)).chain([Step::Gate(gate.clone())]);
        let world = world(Origin::replies([fresh("").h("content-length", promised).steps(steps), fresh("whole")]));
        let readers: Vec<_> = (0..3).map(|_| world.spawn(get("/a"))).collect();
        world.settle().await;
        gate.open();
        for reader in readers {
            let got = reader.await.unwrap();
            assert!(got.broken.as_ref().is_some_and(|why| why.contains("promised")), "{promised} {chunks:?}: {got:?}");
        }
        assert_eq!(world.get("/a").await.text(), "whole");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_body_is_broken_to_every_reader_and_never_stored() {
    let gate = Gate::new();
    let steps = [data("a"), Step::Gate(gate.clone()), Step::Panic];
    let world = world(Origin::replies([fresh("").steps(steps), fresh("whole")]));
    let readers: Vec<_> = (0..3).map(|_| world.spawn(get("/a"))).collect();
    world.settle().await;
    gate.open();
    for reader in readers {
        assert!(reader.await.unwrap().broken.is_some());
    }
    assert_eq!(world.get("/a").await.text(), "whole");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_to_be_too_large_passes_directly() {
    let settings = Settings { max_object: 4, ..Settings::default() };
    for reply in [fresh("12345"), fresh("").h("content-length", "5").steps([data("12345")])] {
        let world = world_with(settings.clone(), Origin::always(reply.after(10)));
        let got = world.crowd(10, |_| get("/a")).await;
        assert!(got.iter().all(|got| got.text() == "12345" && got.said() == "warmfront; fwd=uri-miss; detail=too-large"));
        assert_eq!((world.origin.calls(), world.cache.stats().bytes), (10, 0));
    }
    let world = world_with(settings, Origin::always(fresh("1234")));
    world.get("/a").await;
    assert!(world.get("/a").await.is_hit(), "exactly max_object is stored");
}

/// 64 blocks of 64 KiB behind a cap of 128 KiB.
fn large() -> (Settings, Reply) {
    let settings = Settings { max_object: 128 * KIB as u64, ..Settings::default() };
    (settings, fresh("").steps((0..64).map(|_| block(64 * KIB))))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_outgrows_the_cap_reaches_its_readers_and_is_not_stored() {
    let (settings, reply) = large();
    let world = world_with(settings, Origin::always(reply));
    let got = world.get("/a").await;
    assert_eq!((got.broken, got.body.len()), (None, 64 * 64 * KIB));
    assert_eq!((world.cache.stats().entries, world.cache.stats().bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_holds_the_origin_back_and_loses_nothing() {
    for max_object in [16, 128, 1024] {
        let (settings, reply) = large();
        let settings = Settings { max_object: max_object * KIB as u64, ..settings };
        let world = world_with(settings, Origin::always(reply));
        let answer = world.head(get("/a")).await;
        tokio::time::sleep(seconds(300)).await;
        let ahead = world.origin.given();
        assert!(ahead <= (max_object + 256 + 2 * 64) * KIB as u64, "{max_object} KiB: {ahead}");
        let got = Got::of(answer).await;
        assert_eq!((got.broken, got.body.len()), (None, 64 * 64 * KIB), "{max_object} KiB");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_reads_slowly_stays_near_the_origin() {
    let (settings, reply) = large();
    let world = world_with(settings, Origin::always(reply));
    let mut tap = Tap::of(world.head(get("/a")).await);
    let mut read = 0;
    while let Some(piece) = tap.next().await {
        read += piece.len();
        tokio::time::sleep(seconds(1)).await;
        assert!(world.origin.given() as usize <= read + (256 + 2 * 64) * KIB);
    }
    assert_eq!(read, 64 * 64 * KIB);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_stall_the_others() {
    let settings = Settings { max_object: 128 * KIB as u64, ..Settings::default() };
    // A pause before the first byte: all of them are there when the window opens.
    let steps = [Step::Sleep(Duration::from_millis(1))].into_iter().chain((0..64).map(|_| block(64 * KIB)));
    let world = world_with(settings, Origin::always(fresh("").after(10).steps(steps)));
    let slow = tokio::spawn({
        let world = world.clone();
        async move { world.head(get("/a")).await }
    });
    world.settle().await;
    let fast: Vec<_> = (0..3).map(|_| world.spawn(get("/a"))).collect();
    let slow = slow.await.unwrap();
    let start = Instant::now();
    for fast in fast {
        let got = fast.await.unwrap();
        assert_eq!((got.broken, got.body.len()), (None, 64 * 64 * KIB));
    }
    assert_eq!((start.elapsed(), world.origin.calls()), (Duration::from_millis(1), 1));
    assert!(Got::of(slow).await.broken.is_some(), "left behind, and told so");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_what_is_stored_does_not_stall_the_others_and_gets_it_whole() {
    let world = world(Origin::always(fresh("").steps((0..64).map(|_| block(64 * KIB)))));
    let slow = world.head(get("/a")).await;
    for _ in 0..3 {
        assert_eq!(world.get("/a").await.body.len(), 64 * 64 * KIB);
    }
    assert_eq!(world.origin.calls(), 1);
    assert_eq!(Got::of(slow).await.body.len(), 64 * 64 * KIB);
}

#[tokio::test(start_paused = true)]
async fn when_the_last_reader_of_a_large_body_leaves_the_origin_is_let_go() {
    let (settings, _) = large();
    let endless =
        fresh("").steps((0..4).map(|_| block(64 * KIB)).chain((0..1000).flat_map(|_| [Step::Sleep(seconds(1)), block(64 * KIB)])));
    let world = world_with(settings, Origin::always(endless));
    let answer = world.head(get("/a")).await;
    world.settle().await;
    assert_eq!(world.origin.open(), 1);
    drop(answer);
    tokio::time::sleep(seconds(3)).await;
    assert_eq!((world.origin.open(), world.cache.stats().bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn when_no_room_is_left_for_bodies_in_flight_requests_are_served_all_the_same() {
    // Half of 1 MiB is for bodies in flight.
    let settings = Settings { max_bytes: 1024 * KIB as u64, max_object: 512 * KIB as u64, ..Settings::default() };
    let gate = Gate::new();
    let opens = gate.clone();
    let world = world_with(
        settings,
        Origin::by(move |asked| match asked.uri.path() {
            "/blocks" => fresh("").h("content-length", &(400 * KIB).to_string()).steps([Step::Gate(opens.clone()), block(400 * KIB)]),
            "/known" => fresh(&"x".repeat(200 * KIB)),
            _ => fresh("").steps((0..50).map(|_| block(4 * KIB))),
        }),
    );
    let blocks = world.head(get("/blocks")).await;
    assert_eq!(world.cache.stats().bytes, 400 * KIB as u64);
    let known = world.get("/known").await;
    assert_eq!((known.text().len(), known.said()), (200 * KIB, "warmfront; fwd=uri-miss; detail=memory"));
    let unknown = world.get("/unknown").await;
    assert_eq!((unknown.broken, unknown.body.len()), (None, 200 * KIB));
    assert_eq!(world.cache.stats().entries, 0);
    gate.open();
    assert_eq!(Got::of(blocks).await.body.len(), 400 * KIB);
    world.get("/known").await;
    assert!(world.get("/known").await.is_hit(), "there is room again, and a full house is not remembered");
}

#[tokio::test(start_paused = true)]
async fn a_head_in_front_of_a_fill_under_way_waits_for_nobody() {
    let world = world(Origin::by(|asked| if asked.method == "HEAD" { fresh("") } else { fresh("").steps([data("a"), Step::Hang]) }));
    let _leader = world.head(get("/a")).await;
    assert!(world.send(method("HEAD", "/a")).await.body.is_empty());
}

#[tokio::test(start_paused = true)]
async fn empty_chunks_and_empty_bodies_are_nothing_special() {
    let world = world(Origin::by(|asked| match asked.uri.path() {
        "/chunks" => fresh("").chunks(&["", "a", "", "", "b", ""]),
        "/none" => crate::origin::status(204).cc("max-age=60"),
        _ => fresh(""),
    }));
    for (target, text) in [("/chunks", "ab"), ("/none", ""), ("/empty", "")] {
        assert_eq!(world.get(target).await.text(), text);
        let hit = world.get(target).await;
        assert!(hit.is_hit() && hit.text() == text && hit.has("content-length") == (target != "/none"), "{target}: {hit:?}");
    }
}
