//! Changes that warm again what they put out of date: never a hole, never an old copy for ever.

use crate::origin::{Asked, Gate, Origin, Step, fresh, ok, status};
use crate::world::{World, get, method, seconds};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use warmfront::cache::invalidation::Invalidation;
use warmfront::warm::{Group, ListSource, WarmSettings};
use warmfront::{Level, Rule, Settings};

/// Channels carry a tag, and changes of one warm the tag again.
fn settings(warm: bool) -> Settings {
    let rule = Rule::path("/channels/**").unwrap().ttl(seconds(600)).tag("channels");
    let change = Invalidation::path("/channels/**").unwrap().tag("channels");
    Settings { rules: vec![rule], invalidations: vec![if warm { change.warm() } else { change }], ..Settings::default() }
}

/// An origin whose answers say which version they are, slowly; changes are quick.
fn versions() -> (Origin, Arc<Mutex<u32>>) {
    let version = Arc::new(Mutex::new(1));
    let now = Arc::clone(&version);
    let origin = Origin::by(move |asked: &Asked| {
        if asked.method == "GET" {
            ok(&format!("{} v{}", asked.target(), *now.lock())).after(300)
        } else {
            *now.lock() += 1;
            status(204)
        }
    });
    (origin, version)
}

#[tokio::test(start_paused = true)]
async fn a_change_warms_what_it_put_out_of_date_and_the_old_copy_serves_meanwhile() {
    let (origin, _) = versions();
    let world = World::running(settings(true), origin);
    let guard = world.warm(world.plan());
    for target in ["/channels/list", "/channels/1", "/channels/cold"] {
        world.get(target).await;
    }
    for _ in 0..3 {
        world.get("/channels/list").await;
    }
    world.get("/channels/1").await;
    assert_eq!(world.send(method("PUT", "/channels/1").body("x")).await.code(), 204);
    world.settle().await;
    let during = world.get("/channels/list").await;
    assert!(during.is_hit() && during.text() == "/channels/list v1", "{}", during.said());
    tokio::time::sleep(Duration::from_millis(301)).await;
    world.settle().await;
    for target in ["/channels/list", "/channels/1"] {
        let after = world.get(target).await;
        assert!(after.is_hit() && after.text() == format!("{target} v2"), "{} {}", after.said(), after.text());
    }
    let cold = world.get("/channels/cold").await;
    assert!(!cold.is_hit() && cold.text().ends_with("v2"), "what nobody had read was dropped");
    let job = &guard.handle().jobs()[0];
    assert_eq!((job.cause().to_string(), job.fates().warm()), ("change".into(), 2));
}

#[tokio::test(start_paused = true)]
async fn whoever_made_a_change_reads_it_back_at_once() {
    let (origin, _) = versions();
    let world = World::running(settings(true), origin);
    let _guard = world.warm(world.plan());
    world.get("/channels/1").await;
    world.get("/channels/1").await;
    world.send(method("PUT", "/channels/1").body("x")).await;
    assert_eq!(world.get("/channels/1").await.text(), "/channels/1 v2");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_began_before_the_change_does_not_count_as_its_replacement() {
    let gate = Gate::new();
    let (origin, version) = versions();
    let world = World::running(settings(true), origin);
    let guard = world.warm(world.plan());
    world.get("/channels/list").await;
    world.get("/channels/list").await;
    let held = gate.clone();
    let then = Arc::clone(&version);
    world.origin.becomes_by(move |asked: &Asked| {
        let now = *then.lock();
        let reply = ok(&format!("v{now}"));
        match (asked.method.as_str(), now) {
            ("GET", 1) => reply.first(Step::Gate(held.clone())),
            ("GET", _) => reply.after(10),
            _ => {
                *then.lock() += 1;
                status(204)
            }
        }
    });
    let reload = world.spawn(get("/channels/list").cc("no-cache"));
    world.settle().await;
    world.send(method("POST", "/channels/other").body("x")).await;
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(world.get("/channels/list").await.text(), "v2");
    gate.open();
    assert_eq!(reload.await.unwrap().text(), "v1", "its own question was older");
    world.settle().await;
    let after = world.get("/channels/list").await;
    assert!(after.is_hit() && after.text() == "v2", "and its late answer took nothing away: {}", after.said());
    assert_eq!(guard.handle().jobs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_fails_leaves_the_old_copy_only_where_errors_may_be_covered() {
    for (window, covered) in [(0, false), (3600, true)] {
        let (origin, _) = versions();
        let mut settings = settings(true);
        settings.rules[0] = settings.rules[0].clone().stale_if_error(seconds(window));
        let world = World::running(settings, origin);
        let _guard = world.warm(world.plan());
        world.get("/channels/list").await;
        world.get("/channels/list").await;
        world.origin.becomes_by(|asked: &Asked| status(if asked.method == "GET" { 503 } else { 204 }));
        world.send(method("POST", "/channels/1").body("x")).await;
        tokio::time::sleep(seconds(30)).await;
        let got = world.get("/channels/list").await;
        assert_eq!((got.code() == 200, got.is_hit()), (covered, false), "{} {}", got.said(), got.text());
        let calls = world.origin.calls();
        world.get("/channels/list").await;
        assert_eq!(world.origin.calls(), calls + 1, "it is out of date: the origin is asked first");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_replacement_does_not_keep_an_old_copy_for_ever() {
    let (origin, _) = versions();
    let world = World::running(settings(true), origin);
    let _guard = world.warm(world.plan().settings(WarmSettings { timeout: seconds(7200), ..WarmSettings::default() }));
    world.get("/channels/list").await;
    world.get("/channels/list").await;
    world.origin.becomes_by(|asked: &Asked| if asked.method == "GET" { fresh("late").after(3_000_000) } else { status(204) });
    world.send(method("POST", "/channels/1").body("x")).await;
    tokio::time::sleep(seconds(59)).await;
    assert!(world.get("/channels/list").await.is_hit());
    tokio::time::sleep(seconds(2)).await;
    let reader = world.spawn(get("/channels/list"));
    world.settle().await;
    assert!(!reader.is_finished(), "a minute is enough");
}

#[tokio::test(start_paused = true)]
async fn without_a_warmer_or_with_warming_off_a_change_drops_at_once() {
    for off in [false, true] {
        let (origin, _) = versions();
        let world = World::running(settings(true), origin);
        let _guard = off.then(|| world.warm(world.plan().settings(WarmSettings { enabled: false, ..WarmSettings::default() })));
        world.get("/channels/list").await;
        world.get("/channels/list").await;
        world.send(method("POST", "/channels/1").body("x")).await;
        world.settle().await;
        let got = world.get("/channels/list").await;
        assert!(!got.is_hit() && got.text().ends_with("v2"), "{}", got.said());
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_can_name_warm_groups_with_what_their_lists_hold() {
    let (origin, _) = versions();
    let world = World::running(
        Settings {
            rules: vec![Rule::path("/**").unwrap().ttl(seconds(600))],
            invalidations: vec![Invalidation::path("/admin/**").unwrap().group("models").warm()],
            ..Settings::default()
        },
        Origin::by(move |asked: &Asked| if asked.target() == "/top" { ok(r#"["a", "b"]"#) } else { ok(asked.target()).after(100) }),
    );
    drop(origin);
    let group = Group::new("models").request("/models").unwrap().source(ListSource::new("/top", "/*", "/models/{value}").unwrap());
    let guard = world.warm(world.plan().group(group.only_on_demand()));
    guard.handle().run(None, false).await.unwrap().unwrap().ended().await;
    let calls = world.origin.calls();
    world.send(method("POST", "/admin/x").body("x")).await;
    tokio::time::sleep(seconds(1)).await;
    let asked: Vec<String> = world.origin.asked()[calls..].iter().map(|asked| asked.target().to_owned()).collect();
    assert!(["/models", "/models/a", "/models/b"].iter().all(|target| asked.iter().any(|asked| asked == target)), "{asked:?}");
    assert!(world.get("/models/b").await.is_hit());
    assert_eq!(guard.handle().invalidate("models", Level::Invalid), Ok(3));
    assert!(!world.get("/models/b").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn replacing_a_group_leaves_no_hole_and_drops_what_could_not_be_replaced() {
    let world = World::running(Settings::default(), Origin::by(|asked: &Asked| fresh(&format!("{} 1", asked.target()))));
    let guard = world.warm(world.plan().group(Group::new("g").request("/a").unwrap().request("/b").unwrap().only_on_demand()));
    guard.handle().run(None, false).await.unwrap().unwrap().ended().await;
    world.origin.becomes_by(|asked: &Asked| if asked.target() == "/a" { fresh("/a 2").after(500) } else { status(500) });
    let job = guard.handle().replace(None).await.unwrap().unwrap();
    while !job.has_ended() {
        for target in ["/a", "/b"] {
            let got = world.get(target).await;
            assert!(got.is_hit(), "{target} {}", got.said());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.settle().await;
    assert_eq!(world.get("/a").await.text(), "/a 2");
    assert_eq!(world.get("/b").await.code(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_is_asked_for_while_the_group_runs_waits_its_turn() {
    let gate = Gate::new();
    let held = gate.clone();
    let world = World::running(
        Settings::default(),
        Origin::by(move |asked: &Asked| fresh(&asked.number.to_string()).first(Step::Gate(held.clone()))),
    );
    let guard = world.warm(world.plan().group(Group::new("g").request("/a").unwrap().only_on_demand()));
    let first = guard.handle().run(None, false).await.unwrap().unwrap();
    world.settle().await;
    let second = guard.handle().replace(None).await.unwrap().unwrap();
    assert!(!second.runs().next().unwrap().joined && world.origin.calls() == 1);
    gate.open();
    first.ended().await;
    second.ended().await;
    assert_eq!((world.origin.calls(), world.get("/a").await.text()), (2, "1"));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_change_is_warmed_again_by_the_next_one_too_and_not_for_ever() {
    let (origin, version) = versions();
    let world = World::running(settings(true), origin);
    let _guard = world.warm(world.plan());
    world.get("/channels/list").await;
    world.get("/channels/list").await;
    for (change, warmed) in [(2, true), (3, true), (4, false)] {
        let before = world.origin.calls();
        world.send(method("PUT", "/channels/1").body("x")).await;
        assert_eq!(*version.lock(), change);
        tokio::time::sleep(seconds(1)).await;
        world.settle().await;
        assert_eq!(world.origin.calls() - before == 2, warmed, "the change, and the list again: change {change}");
    }
    assert_eq!(world.get("/channels/list").await.text(), "/channels/list v4");
}

#[tokio::test(start_paused = true)]
async fn what_an_api_key_selects_is_neither_asked_for_again_nor_told() {
    let rule = Rule::path("/channels/**").unwrap().ttl(seconds(600)).tag("channels");
    let change = Invalidation::path("/channels/**").unwrap().tag("channels").warm();
    let settings = Settings { rules: vec![rule], invalidations: vec![change], ..Settings::default() };
    for (field, calls) in [("x-api-key", 2), ("x-tenant", 3)] {
        let origin = Origin::by(move |asked: &Asked| if asked.method == "GET" { ok("x").h("vary", field) } else { status(204) });
        let world = World::running(settings.clone(), origin);
        let guard = world.warm(world.plan());
        for _ in 0..2 {
            world.send(get("/channels/1").h(field, "sesame")).await;
        }
        world.send(method("PUT", "/channels/2").body("x")).await;
        tokio::time::sleep(seconds(1)).await;
        assert_eq!(world.origin.calls(), calls, "{field}");
        let told: Vec<_> =
            guard.handle().jobs().iter().flat_map(|job| job.runs().map(|run| run.outcomes(0, 9).0).collect::<Vec<_>>()).collect();
        assert!(!format!("{told:?}").contains("sesame"), "{field}: {told:?}");
    }
}
