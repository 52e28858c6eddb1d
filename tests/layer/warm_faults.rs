//! What could go wrong in warming, and must not: each of these once did.

use crate::origin::{Asked, Gate, Origin, Step, fresh, ok, status};
use crate::world::{World, get, method, seconds};
use std::time::Duration;
use tokio::time::timeout;
use warmfront::cache::invalidation::Invalidation;
use warmfront::telemetry::Refusal;
use warmfront::warm::{Group, JobView, ListSource, Plan, RefreshAhead, WarmSettings};
use warmfront::{Level, Rule, Settings};

fn world(origin: Origin) -> World {
    World::running(Settings::default(), origin)
}

fn group(name: &str, targets: &[&str]) -> Group {
    targets.iter().fold(Group::new(name).only_on_demand(), |group, target| group.request(target).unwrap())
}

/// So many targets.
fn many(name: &str, count: usize) -> Group {
    (0..count).fold(Group::new(name).only_on_demand(), |group, at| group.request(&format!("/{name}/{at}")).unwrap())
}

/// Whoever waits for ever learns it here.
async fn ends(job: &JobView) {
    timeout(seconds(3600), job.ended()).await.expect("the job ends");
}

/// Copies under `/c` carry a tag, and any change warms the tag again.
fn changing() -> Settings {
    let rule = Rule::path("/c/**").unwrap().ttl(seconds(6000)).tag("c");
    let change = Invalidation::path("/c/**").unwrap().tag("c").warm();
    Settings { rules: vec![rule], invalidations: vec![change], ..Settings::default() }
}

/// Answers reads with the number of changes so far.
fn counting(millis: u64) -> Origin {
    let changes = std::sync::atomic::AtomicUsize::new(0);
    Origin::by(move |asked: &Asked| {
        let ordering = std::sync::atomic::Ordering::SeqCst;
        if asked.method == "GET" {
            return ok(&changes.load(ordering).to_string()).after(millis);
        }
        changes.fetch_add(1, ordering);
        status(204)
    })
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_its_turn_ends_too_when_the_guard_is_gone() {
    let world = world(Origin::always(fresh("x").first(Step::Hang)));
    let guard = world.warm(world.plan().group(group("g", &["/a"])));
    let first = guard.handle().run(None, false).await.unwrap().unwrap();
    world.settle().await;
    let second = guard.handle().replace(None).await.unwrap().unwrap();
    drop(guard);
    ends(&first).await;
    ends(&second).await;
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_change_has_put_out_of_date_is_not_served_for_ever_because_the_guard_is_gone() {
    for heard in [true, false] {
        let world = World::running(changing(), counting(300));
        let guard = world.warm(world.plan());
        for _ in 0..3 {
            world.get("/c/list").await;
        }
        world.send(method("PUT", "/c/1").body("x")).await;
        if heard {
            world.settle().await;
            assert!(world.get("/c/list").await.is_hit(), "until its replacement is there");
        }
        guard.stop().await;
        let got = world.get("/c/list").await;
        assert!(!got.is_hit() && got.text() == "1", "{heard}: {} {}", got.said(), got.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_changes_is_not_warmed_again_once_for_each() {
    let world = World::running(changing(), counting(300));
    let guard = world.warm(world.plan());
    for at in 0..20 {
        world.get(&format!("/c/{at}")).await;
        world.get(&format!("/c/{at}")).await;
    }
    let before = world.origin.calls();
    for _ in 0..300 {
        world.send(method("PUT", "/c/other").body("x")).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(seconds(59)).await;
    for at in 0..20 {
        let got = world.get(&format!("/c/{at}")).await;
        assert!(got.is_hit() && got.text() == "300", "{at}: {} {}", got.said(), got.text());
    }
    let asked = world.origin.calls() - before - 300;
    assert!(asked <= 20 * 12, "{asked} requests for 20 copies");
    assert_eq!(guard.handle().report().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_has_to_wait_for_others_is_seen_within_a_minute_all_the_same() {
    let world = World::running(changing(), counting(0));
    let settings = WarmSettings { timeout: seconds(7200), ..WarmSettings::default() };
    let _guard = world.warm(world.plan().settings(settings));
    world.get("/c/list").await;
    world.get("/c/list").await;
    world.origin.becomes_by(|asked: &Asked| if asked.method == "GET" { fresh("new").first(Step::Hang) } else { status(204) });
    for _ in 0..200 {
        world.send(method("PUT", "/c/other").body("x")).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(tasks < 60, "{tasks} tasks for 200 changes");
    tokio::time::sleep(seconds(61)).await;
    let reader = world.spawn(get("/c/list"));
    world.settle().await;
    assert!(!reader.is_finished(), "a minute is enough");
}

#[tokio::test(start_paused = true)]
async fn a_start_up_run_comes_back_however_small_its_group_is() {
    let groups = [Group::new("g").request("/a").unwrap(), Group::new("g").source(ListSource::new("/top", "/*", "/{value}").unwrap())];
    for group in groups {
        for asked_between in [false, true] {
            let world = world(Origin::always(status(502).failure(Refusal::UpstreamConnect)));
            let guard = world.warm(world.plan().group(group.clone().on_startup()));
            tokio::time::sleep(seconds(3)).await;
            if asked_between {
                ends(&guard.handle().run(None, false).await.unwrap().unwrap()).await;
            }
            world.origin.becomes_by(|asked: &Asked| if asked.target() == "/top" { ok(r#"["a"]"#) } else { fresh("x") });
            tokio::time::sleep(seconds(20)).await;
            assert!(world.get("/a").await.is_hit(), "asked meanwhile: {asked_between}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replacing_a_group_drops_also_what_its_list_does_not_name_any_more() {
    for (list, left) in [(status(500), 3), (ok(r#"["b"]"#), 2)] {
        let world = world(Origin::by(|asked: &Asked| if asked.target() == "/top" { ok(r#"["a", "b"]"#) } else { fresh("1") }));
        let source = ListSource::new("/top", "/*", "/x/{value}").unwrap();
        let guard = world.warm(world.plan().group(group("g", &["/a"]).source(source)));
        ends(&guard.handle().run(None, false).await.unwrap().unwrap()).await;
        assert!(world.has_fresh("/x/a"));
        world.origin.becomes_by(move |asked: &Asked| if asked.target() == "/top" { list.clone() } else { fresh("2") });
        ends(&guard.handle().replace(None).await.unwrap().unwrap()).await;
        world.settle().await;
        assert_eq!(world.get("/x/a").await.text(), "2");
        // A list that could not be had names what it named before.
        assert_eq!((guard.handle().invalidate("g", Level::Invalid), world.has_fresh("/x/b")), (Ok(left), false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_never_ran_can_be_invalidated_under_every_host_that_readers_use() {
    let world = world(Origin::always(fresh("x")));
    for named in [false, true] {
        let plan = if named { world.plan() } else { Plan::new(&world.cache) };
        let guard = world.warm(plan.group(group("g", &["/a"])));
        for host in ["example.com", "other.example"] {
            world.send(get("/a").uri(&format!("http://{host}/a"))).await;
        }
        assert_eq!(guard.handle().invalidate("g", Level::Invalid), Ok(2), "{named}");
        assert!(!world.get("/a").await.is_hit());
        guard.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn switching_off_leaves_nothing_under_way() {
    let off = WarmSettings { enabled: false, ..WarmSettings::default() };
    let no_hot = WarmSettings { refresh_ahead: RefreshAhead { hits: 0, before: 0.1 }, ..WarmSettings::default() };
    for settings in [off, no_hot] {
        let world = world(Origin::always(fresh("x")));
        let guard = world.warm(world.plan());
        for _ in 0..5 {
            world.get("/hot").await;
        }
        world.settle().await;
        guard.handle().configure(settings).await.unwrap();
        tokio::time::sleep(seconds(120)).await;
        assert_eq!(world.origin.calls(), 1, "a refresh that was planned before");
    }
    for changes in [1, 50] {
        switch_off_after(changes).await;
    }
}

/// So many changes are being made up for, or wait for their turn.
async fn switch_off_after(changes: usize) {
    let world = World::running(changing(), counting(300));
    let guard = world.warm(world.plan());
    for _ in 0..3 {
        world.get("/c/list").await;
    }
    for _ in 0..changes {
        world.send(method("PUT", "/c/1").body("x")).await;
    }
    if changes == 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    guard.handle().configure(WarmSettings { enabled: false, ..WarmSettings::default() }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(guard.handle().jobs().iter().all(warmfront::warm::JobView::has_ended));
    assert_eq!(guard.handle().report().in_flight, 0);
    assert!(!world.get("/c/list").await.is_hit(), "what is not warmed again is dropped");
}

#[tokio::test(start_paused = true)]
async fn a_warmer_that_takes_over_goes_on_when_the_one_before_it_ends() {
    let world = world(Origin::always(fresh("x")));
    let first = world.warm(world.plan());
    let _second = world.warm(world.plan());
    world.settle().await;
    first.stop().await;
    for _ in 0..3 {
        world.get("/hot").await;
    }
    tokio::time::sleep(seconds(61)).await;
    assert_eq!(world.origin.calls(), 2, "the hot copy was refreshed");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cancelled_is_not_joined() {
    let world = world(Origin::always(fresh("x").after(100)));
    let guard = world.warm(world.plan().group(group("g", &["/a", "/b"])));
    let warm = guard.handle();
    let first = warm.run(None, false).await.unwrap().unwrap();
    let asked = tokio::join!(async { warm.cancel(first.id()) }, warm.run(None, false));
    let second = asked.1.unwrap().unwrap();
    ends(&second).await;
    assert_eq!((second.fates().warm(), world.has_fresh("/b")), (2, true));
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_run_that_waits_for_its_turn_ends_it_at_once_and_nobody_elses() {
    let world = world(Origin::always(fresh("x").after(5000)));
    let guard = world.warm(world.plan().group(group("g", &["/a"])));
    let warm = guard.handle();
    let first = warm.run(None, false).await.unwrap().unwrap();
    world.settle().await;
    let owed = warm.run(None, true).await.unwrap().unwrap();
    assert!(warm.cancel(owed.id()));
    world.settle().await;
    assert!(owed.has_ended() && !first.has_ended());
    let again = warm.run(None, true).await.unwrap().unwrap();
    let joined = warm.run(None, true).await.unwrap().unwrap();
    assert!(joined.runs().all(|run| run.joined) && warm.cancel(joined.id()));
    ends(&again).await;
    assert_eq!((again.fates().warm(), world.origin.calls()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_item_whose_request_panics_is_an_item_that_failed() {
    let world = world(Origin::always(ok("x").cc("no-store")));
    world.get("/a").await; // from here on nobody queues for it, and its request is made where the panic is met
    let guard = world.warm(world.plan().group(group("g", &["/a", "/b"])));
    world.origin.becomes_by(|asked: &Asked| if asked.target() == "/a" { fresh("x").first(Step::Panic) } else { fresh("x") });
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    ends(&job).await;
    assert_eq!((job.fates().items(), job.fates().failed(), guard.handle().report().in_flight), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_does_not_stay_at_the_origin_unless_a_reader_waits_for_it() {
    let world = world(Origin::always(fresh("x").first(Step::Hang)));
    let settings = WarmSettings { timeout: seconds(1), max_rate: 0, ..WarmSettings::default() };
    let guard = world.warm(Plan::new(&world.cache).settings(settings).host("example.com".parse().unwrap()).group(many("g", 12)));
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(97)).await;
        assert!(world.origin.open() <= 4, "{}", world.origin.open());
    }
    ends(&job).await;
    world.settle().await;
    assert_eq!(world.origin.open(), 0, "timed out");
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    world.settle().await;
    let reader = world.spawn(get("/g/0"));
    world.settle().await;
    guard.handle().cancel(job.id());
    ends(&job).await;
    world.settle().await;
    assert!(world.origin.open() == 1 && !reader.is_finished(), "{}", world.origin.open());
    let _job = guard.handle().run(None, false).await.unwrap().unwrap();
    world.settle().await;
    drop(guard);
    world.settle().await;
    assert_eq!(world.origin.open(), 1, "the reader's");
}

#[tokio::test(start_paused = true)]
async fn durations_without_end_are_no_reason_to_panic() {
    let world = world(Origin::always(fresh("x")));
    let endless = Duration::MAX;
    let settings = WarmSettings {
        startup_delay: endless,
        timeout: endless,
        refresh_interval: endless,
        concurrency: usize::MAX,
        refresh_ahead: RefreshAhead { hits: 1, before: 1.0 },
        ..WarmSettings::default()
    };
    let guard = world.warm(Plan::new(&world.cache).settings(settings).group(Group::new("g").request("/a").unwrap()));
    ends(&guard.handle().run(None, false).await.unwrap().unwrap()).await;
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn targets_that_pass_the_cache_teach_nothing_about_the_origin() {
    let rule = Rule::path("/pass/**").unwrap().pass();
    let world = World::running(Settings { rules: vec![rule], ..Settings::default() }, Origin::always(fresh("x").after(300)));
    let targets = (0..20).fold(many("pass", 20), |group, at| group.request(&format!("/g/{at}")).unwrap());
    let guard = world.warm(world.plan().group(targets));
    ends(&guard.handle().run(None, false).await.unwrap().unwrap()).await;
    let report = guard.handle().report();
    assert_eq!((report.backoff.slowed, report.backoff.width, world.origin.calls()), (0, 4, 20));
}

#[tokio::test(start_paused = true)]
async fn a_run_says_of_an_error_that_a_reader_fetched_that_it_failed() {
    let gate = Gate::new();
    let world = world(Origin::always(status(404).cc("max-age=60").first(Step::Gate(gate.clone()))));
    let guard = world.warm(world.plan().group(group("g", &["/a"])));
    let reader = world.spawn(get("/a"));
    world.settle().await;
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    world.settle().await;
    gate.open();
    ends(&job).await;
    assert_eq!((reader.await.unwrap().code(), job.fates().failed(), world.origin.calls()), (404, 1, 1));
}
