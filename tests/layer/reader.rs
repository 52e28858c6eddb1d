//! What a fresh reader found: each of these failed once.

use crate::origin::{Gate, Origin, Step, data, fresh, ok, status};
use crate::world::{Ask, everywhere, get, method, seconds, world, world_under, world_with};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use warmfront::telemetry::Refusal;
use warmfront::{Level, Settings};

#[tokio::test(start_paused = true)]
async fn no_store_of_one_client_does_not_evict() {
    let world = world(Origin::by(|asked| if asked.has("if-none-match") { status(304) } else { fresh("x").etag("\"a\"") }));
    world.get("/a").await;
    assert!(world.get("/a").await.is_hit());
    world.send(get("/a").cc("no-store")).await;
    assert!(world.get("/a").await.is_hit(), "evicted by a no-store request");
}

#[tokio::test(start_paused = true)]
async fn authorization_of_one_client_does_not_evict() {
    let world = world(Origin::by(|asked| if asked.has("if-none-match") { status(304) } else { fresh("x").etag("\"a\"") }));
    world.get("/a").await;
    world.send(get("/a").cc("no-cache").h("authorization", "Basic x")).await;
    assert!(world.get("/a").await.is_hit(), "evicted by a no-cache request with Authorization");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_may_not_be_stored_ends_the_stale_one() {
    for new in [ok("new").cc("private"), ok("new").cc("no-store"), status(404), status(410).cc("no-store")] {
        let world = world(Origin::replies([ok("old").cc("max-age=1, stale-while-revalidate=86400"), new]));
        world.get("/a").await;
        world.pass(10);
        world.get("/a").await;
        world.settle().await;
        world.pass(3600);
        let got = world.get("/a").await;
        assert_ne!(got.body, "old");
    }
}

#[tokio::test(start_paused = true)]
async fn a_404_is_not_forgotten_by_stale_if_error() {
    let world = world(Origin::replies([
        ok("old").etag("\"a\"").cc("max-age=1, stale-if-error=86400"),
        ok("secret now").cc("private"),
        status(502).failure(Refusal::UpstreamConnect),
    ]));
    world.get("/a").await;
    world.pass(10);
    assert_eq!(world.get("/a").await.text(), "secret now");
    let got = world.get("/a").await;
    assert_ne!(got.body, "old");
}

#[tokio::test(start_paused = true)]
async fn default_windows_do_not_make_unmarked_answers_reusable() {
    let settings = Settings { stale_while_revalidate: seconds(60), ..Settings::default() };
    let world = world_with(settings, Origin::by(|asked| ok(if asked.h("cookie") == "alice" { "alice's" } else { "bob's" })));
    world.send(get("/me").h("cookie", "alice")).await;
    let got = world.send(get("/me").h("cookie", "bob")).await;
    assert_eq!(got.text(), "bob's");
}

#[tokio::test(start_paused = true)]
async fn default_stale_if_error_does_not_store_unmarked_answers() {
    let settings = Settings { stale_if_error: seconds(60), ..Settings::default() };
    let world = world_with(settings, Origin::by(|asked| if asked.h("cookie") == "alice" { ok("alice's") } else { status(500) }));
    world.send(get("/me").h("cookie", "alice")).await;
    let got = world.send(get("/me").h("cookie", "bob")).await;
    assert_ne!(got.body, "alice's");
}

#[tokio::test(start_paused = true)]
async fn an_orphan_fill_whose_bytes_flow_is_finished() {
    let steps = (0..70).flat_map(|_| [Step::Sleep(seconds(1)), data("x")]);
    let world = world(Origin::always(fresh("").cc("max-age=3600").steps(steps)));
    drop(world.head(get("/a")).await);
    tokio::time::sleep(seconds(120)).await;
    let found = world.lookup("/a").map(|found| found.length);
    assert_eq!(found, Some(70));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_read_all_is_not_cut() {
    let big = "y".repeat(1 << 20);
    let settings = Settings { max_object: 64 << 10, ..Settings::default() };
    let (a, b) = ("x".repeat(10 << 10), "x".repeat(60 << 10));
    let steps = vec![data(&a), Step::Sleep(seconds(1)), data(&b), Step::Sleep(seconds(1)), data(&big)];
    let world = world_with(settings, Origin::always(fresh("").steps(steps)));
    let got = world.get("/a").await;
    assert_eq!(got.broken, None);
}

#[tokio::test(start_paused = true)]
async fn a_reload_does_not_board_what_a_reload_began_long_before() {
    let gate = Gate::new();
    let slow = gate.clone();
    let world = world(Origin::by(move |asked| match asked.number {
        0 => fresh("").steps([data("old"), Step::Gate(slow.clone()), data("old")]),
        _ => fresh("new"),
    }));
    let first = world.spawn(get("/a").cc("no-cache"));
    world.settle().await;
    world.pass(50);
    let second = world.spawn(get("/a").cc("no-cache"));
    world.settle().await;
    gate.open();
    first.await.unwrap();
    let second = second.await.unwrap();
    assert_eq!(second.text(), "new");
}

#[tokio::test(start_paused = true)]
async fn host_and_target_that_differ_do_not_poison() {
    let world = world(Origin::by(|asked| fresh(&format!("links to {}", asked.h("host")))));
    world.send(get("/a").h("host", "evil.com")).await;
    let got = world.send(get("/a").h("host", "example.com")).await;
    assert_eq!(got.text(), "links to example.com");
}

#[tokio::test(start_paused = true)]
async fn credentials_of_one_client_do_not_scatter_the_next_crowd() {
    let world = world(Origin::by(|_| fresh("x").after(100)));
    world.send(get("/a").h("authorization", "Basic x")).await;
    world.crowd(50, |_| get("/a")).await;
    assert_eq!(world.origin.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_does_not_carry_the_clients_if_match() {
    let world = world(Origin::by(|asked| match asked.number {
        0 => ok("old").cc("max-age=1, stale-while-revalidate=60"),
        _ if asked.has("if-match") => status(412),
        _ => fresh("new"),
    }));
    world.get("/a").await;
    world.pass(10);
    world.send(get("/a").h("if-match", "\"zzz\"")).await;
    world.settle().await;
    assert!(!world.origin.last().has("if-match"));
}

#[tokio::test(start_paused = true)]
async fn no_second_content_length() {
    let world = world(Origin::always(ok("x").h("content-length", "1").cc("max-age=60, private=\"content-length\"")));
    let got = world.get("/a").await;
    assert_eq!(got.h("content-length"), "1");
}

#[tokio::test(start_paused = true)]
async fn head_is_covered_by_stale_if_error() {
    let world = world(Origin::replies([ok("x").cc("max-age=1, stale-if-error=600"), status(503)]));
    world.get("/a").await;
    world.pass(10);
    let head = world.send(method("HEAD", "/a")).await;
    assert_eq!(head.code(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_dead_partition_gives_its_memory_back() {
    let world = world_under(everywhere().per_identity(HeaderName::from_static("x-user")), Origin::always(fresh(&"x".repeat(100_000))));
    for user in 0..10 {
        world.send(get("/a").h("x-user", &user.to_string())).await;
    }
    world.cache.invalidate(&"http://example.com/a".parse().unwrap(), Level::Dead);
    while world.cache.stats().entries > 0 {
        std::thread::yield_now(); // the sweep is a thread of its own; were it not to come, the test would hang
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_client_left_still_invalidates() {
    let gate = Gate::new();
    let slow = gate.clone();
    let world =
        world(Origin::by(move |asked| if asked.method == "PUT" { status(204).first(Step::Gate(slow.clone())) } else { fresh("old") }));
    world.get("/a").await;
    let put = world.spawn(method("PUT", "/a"));
    world.settle().await;
    assert_eq!(world.origin.calls(), 2, "the origin has it");
    put.abort();
    world.settle().await;
    gate.open();
    world.settle().await;
    let got = world.get("/a").await;
    assert!(!got.is_hit());
}

#[tokio::test(start_paused = true)]
async fn odd_hosts_do_not_share_a_key() {
    let world = world(Origin::by(|asked| fresh(&format!("{:?}", asked.headers.get("host")))));
    let ask = |host: &[u8]| {
        let mut request = get("/a").uri("/a").0;
        request.headers_mut().insert("host", HeaderValue::from_bytes(host).unwrap());
        Ask(request)
    };
    world.send(ask(b"\xe9vil.example")).await;
    let got = world.send(ask(b"caf\xe9.example")).await;
    assert!(!got.is_hit());
}

#[tokio::test(start_paused = true)]
async fn max_stale_does_not_switch_max_age_off() {
    let world = world(Origin::always(fresh("x").cc("max-age=1000")));
    world.get("/a").await;
    world.pass(50);
    let got = world.send(get("/a").cc("max-age=10, max-stale=5")).await;
    assert!(!got.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_steady_reader_of_large_chunks_under_memory_pressure() {
    // Room in flight: 512 KiB of 1 MiB; the first body takes it all.
    let settings = Settings { max_bytes: 1 << 20, ..Settings::default() };
    let (small, big) = ("x".repeat(16 << 10), "y".repeat(1 << 20));
    let world = world_with(
        settings,
        Origin::by(move |asked| match asked.target() {
            "/hog" => fresh(&"h".repeat(520_000)).first(Step::Sleep(Duration::ZERO)).steps([data(&"h".repeat(520_000)), Step::Hang]),
            _ => fresh("").steps([data(&small), Step::Sleep(seconds(1)), data(&big), Step::Sleep(seconds(1)), data(&big)]),
        }),
    );
    let _hog = world.head(get("/hog")).await;
    world.settle().await;
    let got = world.get("/a").await;
    assert_eq!(got.broken, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_never_mixes_two_settings() {
    let private = {
        let mut rule = everywhere().per_identity(HeaderName::from_static("x-user"));
        rule.ignore.private = true;
        Settings { rules: vec![rule], ..Settings::default() }
    };
    let plain = Settings { rules: vec![everywhere()], ..Settings::default() };
    let world = world_with(plain.clone(), Origin::by(|asked| fresh(&asked.h("x-user")).cc("private")).forgetful());
    let cache = world.cache.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let halt = Arc::clone(&stop);
    let flipper = std::thread::spawn(move || {
        while !halt.load(Ordering::Relaxed) {
            cache.reload(private.clone());
            cache.reload(plain.clone());
        }
    });
    let mut leaks = 0;
    for n in 0..2000 {
        let target = format!("/{n}");
        world.send(get(&target).h("x-user", "alice")).await;
        if world.send(get(&target).h("x-user", "bob")).await.text() != "bob" {
            leaks += 1;
        }
    }
    stop.store(true, Ordering::Relaxed);
    flipper.join().unwrap();
    assert_eq!(leaks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_rule_with_a_window_and_no_ttl_does_not_share_unmarked_answers() {
    let rule = everywhere().stale_if_error(seconds(600));
    let world = world_under(rule, Origin::by(|asked| if asked.h("cookie") == "alice" { ok("alice's") } else { status(500) }));
    world.send(get("/me").h("cookie", "alice")).await;
    let got = world.send(get("/me").h("cookie", "bob")).await;
    assert_ne!(got.body, "alice's");
}
