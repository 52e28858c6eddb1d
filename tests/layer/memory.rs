//! One honest number: `max_bytes` bounds everything, and what has just been stored stays.

use crate::origin::{Origin, fresh};
use crate::world::{World, get, world, world_with};
use warmfront::{Level, Settings};

fn small(max_bytes: u64) -> Settings {
    Settings { max_bytes, max_object: max_bytes / 8, ..Settings::default() }
}

fn within(world: &World) {
    let stats = world.cache.stats();
    assert!(stats.bytes <= stats.max_bytes, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_freshly_stored_response_survives_a_full_cache_of_favourites() {
    let body = "x".repeat(1000);
    let world = world_with(small(256 << 10), Origin::always(fresh(&body)).forgetful());
    for at in 0..100 {
        world.get(&format!("/old/{at}")).await;
    }
    // The old ones are read often: an admission by frequency would keep the new one out.
    for _ in 0..20 {
        for at in 50..100 {
            world.get(&format!("/old/{at}")).await;
        }
    }
    for at in 0..500 {
        world.get(&format!("/new/{at}")).await;
        assert!(world.get(&format!("/new/{at}")).await.is_hit(), "{at}");
        within(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_used_least_recently_goes_first() {
    let world = world_with(small(256 << 10), Origin::always(fresh(&"x".repeat(1000))).forgetful());
    world.get("/favourite").await;
    for at in 0..1_000 {
        world.get(&format!("/{at}")).await;
        assert!(world.get("/favourite").await.is_hit(), "{at}");
    }
    assert!(!world.get("/0").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_insertions_and_reinsertions_stay_below_the_limit() {
    let world = world_with(
        small(1 << 20),
        Origin::by(|asked| {
            let size = asked.number * 7919 % 20_000;
            let reply = fresh(&"x".repeat(size)).h("x-fill", &"y".repeat(size % 97));
            if asked.number % 3 == 0 { reply.h("vary", "x-a") } else { reply }
        })
        .forgetful(),
    );
    for at in 0..10_000_usize {
        let ask = get(&format!("/{}", at * 31 % 257)).h("x-a", &(at % 5).to_string());
        world.send(if at % 2 == 0 { ask.cc("no-cache") } else { ask }).await;
        if at % 100 == 0 {
            within(&world);
        }
        if at % 1_000 == 0 {
            world.cache.invalidate(&"http://example.com/31".parse().unwrap(), Level::Dead);
        }
    }
    within(&world);
    assert!(world.cache.stats().bytes > 256 << 10, "and it is not empty either");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_queries_stay_below_the_limit() {
    let world = world_with(small(1 << 20), Origin::always(fresh("x")).forgetful());
    for at in 0..100_000 {
        world.get(&format!("/?q={at}")).await;
        if at % 5_000 == 0 {
            within(&world);
        }
    }
    within(&world);
    assert!(world.get("/?q=99999").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_response_larger_than_its_share_is_served_and_not_stored() {
    let settings = Settings { max_bytes: 64 << 10, max_object: 1 << 20, ..Settings::default() };
    let world = world_with(settings, Origin::always(fresh(&"x".repeat(100 << 10))));
    for _ in 0..2 {
        assert_eq!(world.get("/a").await.body.len(), 100 << 10);
        within(&world);
    }
    assert_eq!(world.cache.stats().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cache_without_memory_is_a_proxy() {
    let world = world_with(Settings { max_bytes: 0, ..Settings::default() }, Origin::always(fresh("x")));
    for calls in 1..4 {
        assert_eq!((world.get("/a").await.text(), world.origin.calls()), ("x", calls));
    }
    within(&world);
}

#[tokio::test(start_paused = true)]
async fn keys_and_headers_weigh_too() {
    let world =
        world(Origin::by(|asked| if asked.target().contains("header") { fresh("").h("x", &"y".repeat(50_000)) } else { fresh("") }));
    world.get(&format!("/{}", "k".repeat(50_000))).await;
    let key = world.cache.stats().bytes;
    world.get("/header").await;
    let both = world.cache.stats().bytes;
    assert!(key > 50_000 && both > key + 50_000, "{key}, {both}");
}

#[tokio::test(start_paused = true)]
async fn stored_bytes_do_not_pin_the_buffer_that_they_came_in() {
    // A 10-byte slice of a megabyte, as a read buffer would be.
    let buffer = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    let weak = buffer.slice(..10);
    let world = world(Origin::always(fresh("").steps([crate::origin::Step::Data(weak)])));
    assert_eq!(world.get("/a").await.body.len(), 10);
    let hit = world.get("/a").await;
    let inside = buffer.as_ptr_range();
    let answered = world.head(get("/a")).await;
    assert!(hit.is_hit() && !inside.contains(&crate::world::first_byte(answered).await));
}

#[tokio::test(start_paused = true)]
async fn the_counts_of_all_outcomes_add_up_to_all_requests() {
    let world = world(Origin::by(|asked| match asked.uri.path() {
        "/error" => fresh("").err(),
        "/swr" => crate::origin::ok("x").cc("max-age=1, stale-while-revalidate=600"),
        _ => fresh("x").etag("\"v\""),
    }));
    let mut sent = 0;
    for target in ["/a", "/a", "/b", "/error", "/swr", "/a", "/nothing"] {
        for ask in [get(target), crate::world::method("POST", target), get(target).cc("only-if-cached"), get(target).cc("no-cache")] {
            let _ = world.try_head(ask).await;
            sent += 1;
        }
        world.pass(2);
    }
    let stats = world.cache.stats();
    let sum = stats.hits + stats.misses + stats.stale + stats.revalidated + stats.collapsed + stats.passed + stats.refused + stats.failed;
    assert_eq!(sum, sent);
}
