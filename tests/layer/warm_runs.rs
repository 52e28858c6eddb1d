//! Warm runs: what they fetch, what they leave alone, and what they report.

use crate::origin::{Asked, Gate, Origin, Reply, Step, fresh, ok, status};
use crate::world::{World, everywhere, get, seconds};
use std::time::Duration;
use warmfront::error::BoxError;
use warmfront::telemetry::Refusal;
use warmfront::warm::{Combo, Fates, Fetcher, Group, Guard, ListSource, Plan, WarmSettings};
use warmfront::{Level, Settings};

fn world(origin: Origin) -> World {
    World::running(Settings::default(), origin)
}

/// A group that runs when it is asked to.
fn group(name: &str, targets: &[&str]) -> Group {
    targets.iter().fold(Group::new(name).only_on_demand(), |group, target| group.request(target).unwrap())
}

/// Without the usual limit of 50 requests a second, which would only make the tests' clock run longer.
fn at_any_rate(plan: Plan) -> Plan {
    plan.settings(WarmSettings { max_rate: 0, ..WarmSettings::default() }).host("example.com".parse().unwrap())
}

/// Runs all groups, and what became of the items.
async fn run(guard: &Guard, force: bool) -> Fates {
    let job = guard.handle().run(None, force).await.unwrap().unwrap();
    job.ended().await;
    job.fates()
}

/// The numbers of stored, refreshed, unchanged, skipped, uncacheable and failed items.
fn counts(fates: &Fates) -> Vec<u64> {
    fates.by_fate().map(|(_, count)| count).collect()
}

#[tokio::test(start_paused = true)]
async fn a_start_up_run_stores_what_nobody_has_asked_for_yet() {
    let world = world(Origin::by(|asked: &Asked| fresh(asked.target()).after(300)));
    let guard = world.warm(world.plan().group(Group::new("g").request("/a?x=1").unwrap().request("/b").unwrap()));
    assert_eq!(world.origin.calls(), 0, "not before its delay");
    tokio::time::sleep(Duration::from_millis(401)).await;
    assert_eq!(world.origin.calls(), 2);
    for target in ["/a?x=1", "/b"] {
        let got = world.get(target).await;
        assert!(got.is_hit() && got.text() == target, "{}", got.said());
    }
    let (stats, report) = (world.cache.stats(), guard.handle().report());
    assert_eq!((stats.hits, stats.misses, stats.passed), (2, 0, 0), "a warm request is no reader's");
    let group = &report.groups[0];
    assert_eq!((group.totals.runs, counts(&group.totals.fates)), (1, vec![2, 0, 0, 0, 0, 0]));
    assert_eq!(group.last.as_ref().unwrap().cause.to_string(), "startup");
    assert_eq!((group.gain.useful, group.gain.saved_millis, group.gain.live), (2, 600, 2), "both copies were hit for the first time");
}

#[tokio::test(start_paused = true)]
async fn what_is_fresh_is_left_alone_until_it_is_near_its_end_or_the_run_is_forced() {
    let world = world(Origin::always(fresh("x").etag("\"1\"")));
    let guard = world.warm(world.plan().group(group("g", &["/a"])));
    assert_eq!(counts(&run(&guard, false).await), [1, 0, 0, 0, 0, 0]);
    tokio::time::advance(seconds(50)).await;
    assert_eq!(counts(&run(&guard, false).await), [0, 0, 0, 1, 0, 0]);
    assert_eq!(world.origin.calls(), 1);
    world.origin.becomes(status(304).cc("max-age=60").etag("\"1\""));
    assert_eq!(counts(&run(&guard, true).await), [0, 0, 1, 0, 0, 0], "forced");
    assert_eq!(world.origin.last().h("if-none-match"), "\"1\"");
    tokio::time::advance(seconds(55)).await;
    world.origin.becomes(fresh("y").etag("\"2\""));
    assert_eq!(counts(&run(&guard, false).await), [0, 1, 0, 0, 0, 0], "a tenth of its life is left");
    assert_eq!(world.get("/a").await.text(), "y");
}

#[tokio::test(start_paused = true)]
async fn a_bad_answer_never_takes_a_good_copy_away() {
    let bad: [(Reply, &str); 7] = [
        (status(500), "failed"),
        (status(404).cc("no-store"), "failed"),
        (ok("private").cc("private"), "uncacheable"),
        (ok("no").cc("no-store"), "uncacheable"),
        (ok("cookie").cc("max-age=60").h("set-cookie", "a=b"), "uncacheable"),
        (status(304).cc("no-store").etag("\"1\""), "uncacheable"),
        (ok("cut").cc("max-age=60").steps([Step::Error]), "failed"),
    ];
    for (reply, name) in bad {
        let world = world(Origin::always(fresh("good").etag("\"1\"")));
        let guard = world.warm(world.plan().group(group("g", &["/a"])));
        run(&guard, false).await;
        world.origin.becomes(reply);
        let fates = run(&guard, true).await;
        assert_eq!((fates.count(name), fates.items()), (1, 1), "{fates:?}");
        let got = world.get("/a").await;
        assert!(got.is_hit() && got.text() == "good", "{name}: {}", got.said());
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_cached_says_why() {
    let world = world(Origin::by(|asked: &Asked| match asked.target() {
        "/private" => ok("x").cc("private"),
        "/cookie" => fresh("x").h("set-cookie", "a=b"),
        "/star" => fresh("x").h("vary", "*"),
        "/gone" => status(410),
        _ => status(302).h("location", "/a"),
    }));
    let guard = world.warm(world.plan().group(group("g", &["/private", "/cookie", "/star", "/gone", "/moved"])));
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    job.ended().await;
    let run = job.runs().next().unwrap();
    let mut said: Vec<String> =
        run.outcomes(0, 10).0.iter().map(|o| format!("{} {} {}", o.target, o.fate.as_str(), o.fate.reason().unwrap())).collect();
    said.sort();
    assert_eq!(
        said,
        [
            "/cookie uncacheable set-cookie",
            "/gone failed status 410",
            "/moved uncacheable status",
            "/private uncacheable private",
            "/star uncacheable vary-star",
        ]
    );
    let report = run.report().unwrap();
    assert_eq!(report.reasons.get("private"), Some(&1));
    assert_eq!(report.fates.success_rate(), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_passes_keeps_warming_away_from_the_origin() {
    let rule = warmfront::Rule::path("/live/**").unwrap().pass();
    let world = World::running(Settings { rules: vec![rule], ..Settings::default() }, Origin::always(fresh("x")));
    let guard = world.warm(world.plan().group(group("g", &["/live/a"])));
    let fates = run(&guard, false).await;
    assert_eq!((fates.count("uncacheable"), world.origin.calls()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn failures_that_may_pass_are_tried_again_with_growing_waits() {
    let world = world(Origin::replies([status(503), status(502), fresh("x")]));
    let guard = world.warm(world.plan().group(group("g", &["/a"])));
    let began = tokio::time::Instant::now();
    assert_eq!(counts(&run(&guard, false).await), [1, 0, 0, 0, 0, 0]);
    assert_eq!(world.origin.calls(), 3);
    let took = began.elapsed();
    assert!((Duration::from_millis(370)..Duration::from_millis(1200)).contains(&took), "{took:?}");
    world.origin.becomes(status(404));
    let before = world.origin.calls();
    run(&guard, true).await;
    assert_eq!(world.origin.calls(), before + 1, "a 404 will not pass");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_asks_to_be_left_alone_is_left_alone() {
    let world = world(Origin::replies([status(429).h("retry-after", "7"), fresh("x")]));
    let guard = world.warm(world.plan().group(group("g", &["/a", "/b", "/c", "/d", "/e", "/f"])));
    let began = tokio::time::Instant::now();
    let fates = run(&guard, false).await;
    assert_eq!(counts(&fates), [6, 0, 0, 0, 0, 0]);
    assert!(began.elapsed() >= seconds(7), "{:?}", began.elapsed());
    let report = guard.handle().report();
    assert_eq!(report.backoff.slowed, 1);
    assert!(report.backoff.paused_millis >= 6_900, "{:?}", report.backoff);
    assert_eq!(report.groups[0].last.as_ref().unwrap().slowed, 1, "and the run says so");
}

#[tokio::test(start_paused = true)]
async fn a_dead_upstream_ends_in_a_report_that_says_so_and_a_start_up_run_comes_back() {
    let world = world(Origin::always(status(502).failure(Refusal::UpstreamConnect)));
    let targets: Vec<String> = (0..500).map(|at| format!("/{at}")).collect();
    let group = targets.iter().fold(Group::new("g"), |group, target| group.request(target).unwrap());
    let guard = world.warm(at_any_rate(world.plan()).group(group));
    tokio::time::sleep(seconds(1)).await;
    let report = guard.handle().report();
    let last = report.groups[0].last.clone().unwrap();
    assert_eq!((last.fates.failed(), last.fates.items()), (500, 500));
    assert!(world.origin.calls() < 40, "{}", world.origin.calls());
    assert!(last.problems[0].starts_with("the upstream cannot be reached: "), "{:?}", last.problems);
    world.origin.becomes(fresh("x"));
    tokio::time::sleep(seconds(3)).await;
    assert_eq!(guard.handle().report().groups[0].last.as_ref().unwrap().fates.warm(), 500);
    let calls = world.origin.calls();
    tokio::time::sleep(seconds(200)).await;
    assert!(world.origin.calls() <= calls + 500 * 4, "it does not come back again, but refreshes go on");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_concurrency_go_at_a_time_and_urgent_groups_go_first() {
    let most = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let world = world(Origin::by(|asked: &Asked| fresh(asked.target()).after(100)));
    let low = (0..20).fold(Group::new("low").only_on_demand(), |group, at| group.request(&format!("/low/{at}")).unwrap());
    let high = (0..20).fold(Group::new("high").only_on_demand().priority(9), |group, at| group.request(&format!("/high/{at}")).unwrap());
    let guard = world.warm(at_any_rate(world.plan()).group(low).group(high));
    let watching = tokio::spawn({
        let (most, origin) = (most.clone(), world.origin.clone());
        async move {
            loop {
                most.fetch_max(origin.open(), std::sync::atomic::Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    assert_eq!(run(&guard, false).await.warm(), 40);
    watching.abort();
    assert_eq!(most.load(std::sync::atomic::Ordering::SeqCst), 4);
    let order: Vec<bool> = world.origin.asked().iter().map(|asked| asked.target().starts_with("/high")).collect();
    assert!(order[4..20].iter().all(|high| *high) && order[24..].iter().all(|high| !high), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept() {
    let world = world(Origin::always(fresh("x")));
    let guard = world.warm(world.plan().group((0..200).fold(group("g", &[]), |group, at| group.request(&format!("/{at}")).unwrap())));
    let began = tokio::time::Instant::now();
    run(&guard, false).await;
    let took = began.elapsed();
    assert!((Duration::from_millis(3900)..Duration::from_millis(4300)).contains(&took), "50 a second: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_request_for_a_running_group_joins_it() {
    let gate = Gate::new();
    let world = world(Origin::always(fresh("x").first(Step::Gate(gate.clone()))));
    let guard = world.warm(world.plan().group(group("g", &["/a"])).group(group("h", &["/b"])));
    let warm = guard.handle();
    let first = warm.run(Some(&["g"]), false).await.unwrap().unwrap();
    let second = warm.run(None, false).await.unwrap().unwrap();
    let joined: Vec<(String, bool)> = second.runs().map(|run| (run.group().to_string(), run.joined)).collect();
    assert_eq!(joined, [("g".to_owned(), true), ("h".to_owned(), false)]);
    assert!(first.id() < second.id() && !second.has_ended());
    gate.open();
    second.ended().await;
    assert_eq!((world.origin.calls(), first.has_ended()), (2, true));
    assert_eq!(warm.jobs().iter().map(|job| job.id()).collect::<Vec<_>>(), [second.id(), first.id()]);
    assert_eq!(warm.run(Some(&["x"]), false).await.unwrap_err().to_string(), "there is no group \"x\"; there are g, h");
}

#[tokio::test(start_paused = true)]
async fn cancelling_takes_effect_within_the_item_in_flight() {
    let world = world(Origin::always(fresh("x").first(Step::Hang)));
    let guard = world.warm(world.plan().group((0..100).fold(group("g", &[]), |group, at| group.request(&format!("/{at}")).unwrap())));
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    tokio::time::sleep(seconds(1)).await;
    let began = tokio::time::Instant::now();
    assert!(guard.handle().cancel(job.id()) && !guard.handle().cancel(999));
    job.ended().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    let report = job.runs().next().unwrap().report().unwrap();
    assert!(report.cancelled && report.reasons["cancelled"] == 4 && report.fates.items() == 4, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn an_item_that_hangs_is_given_up_and_the_rest_goes_on() {
    let world = world(Origin::by(|asked: &Asked| if asked.target() == "/hang" { fresh("x").first(Step::Hang) } else { fresh("x") }));
    let guard = world.warm(world.plan().group(group("g", &["/hang", "/a"])));
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    job.ended().await;
    let report = job.runs().next().unwrap().report().unwrap();
    assert_eq!((report.duration, report.reasons["timeout"], report.fates.warm()), (seconds(10), 1, 1));
}

#[tokio::test(start_paused = true)]
async fn combos_and_lists_of_the_api_become_requests() {
    let world = world(Origin::by(|asked: &Asked| match asked.target() {
        "/top?n=3" => fresh(r#"{"items": [{"name": "a b"}, {"name": "c"}, {"other": 1}, {"name": "../x"}]}"#),
        _ => fresh(&format!("{} {}", asked.target(), asked.h("accept-language"))).h("vary", "accept-language"),
    }));
    let combo = Combo::path("/schools").unwrap().query("page", [1, 2]).unwrap().header("accept-language", ["en", "zh-HK"]).unwrap();
    let source = ListSource::new("/top?n=3", "/items/*/name", "/brands/{value}/stats").unwrap();
    let guard = world.warm(world.plan().group(group("g", &["/schools?page=1"]).combo(combo).unwrap().source(source)));
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    job.ended().await;
    let report = job.runs().next().unwrap().report().unwrap();
    assert_eq!((report.fates.warm(), report.fates.items()), (8, 8), "{report:?}");
    assert!(report.problems[0].contains("/top?n=3"), "{:?}", report.problems);
    let en = world.send(get("/schools?page=2").h("accept-language", "zh-HK")).await;
    assert!(en.is_hit() && en.text() == "/schools?page=2 zh-HK");
    assert!(world.get("/brands/a%20b/stats").await.is_hit() && world.get("/brands/..%2Fx/stats").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_is_a_problem_of_its_own_and_the_rest_runs() {
    for (reply, words) in [
        (ok("<html>"), "the list /top: "),
        (fresh("{}"), "the list /top: "),
        (status(404), "the list /top: could not be had: status 404"),
        (fresh("[]").h("content-encoding", "gzip"), "the list /top: came with a Content-Encoding that nobody asked for"),
    ] {
        let world = world(Origin::by(move |asked: &Asked| if asked.target() == "/top" { reply.clone() } else { fresh("x") }));
        let source = ListSource::new("/top", "/items/*", "/x/{value}").unwrap();
        let guard = world.warm(world.plan().group(group("g", &["/a"]).source(source)));
        let job = guard.handle().run(None, false).await.unwrap().unwrap();
        job.ended().await;
        let report = job.runs().next().unwrap().report().unwrap();
        assert_eq!(report.fates.warm(), 1);
        assert!(report.problems.len() == 1 && report.problems[0].starts_with(words), "{:?}", report.problems);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_warms_and_shows_up_as_other_groups_do() {
    async fn popular(fetcher: Fetcher) -> Result<(), BoxError> {
        for brand in String::from_utf8(fetcher.read("/popular").await?.to_vec())?.lines() {
            fetcher.warm(&format!("/brands/{brand}")).await;
        }
        Err("the rest is too much".into())
    }
    let world = world(Origin::by(|asked: &Asked| if asked.target() == "/popular" { fresh("a\nb") } else { fresh("x") }));
    let broken =
        Group::task("broken", |_| async { if true { panic!("as the test wants it") } else { Ok::<(), BoxError>(()) } }).only_on_demand();
    let plan = world.plan().group(Group::task("popular", popular).only_on_demand()).group(broken);
    // One at a time: a task must not keep its own requests from going.
    let guard = world.warm(plan.clone().settings(WarmSettings { concurrency: 1, ..plan_settings(&plan) }));
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    job.ended().await;
    let report = guard.handle().report();
    let of = |name: &str| report.groups.iter().find(|group| &*group.name == name).unwrap();
    assert!(of("popular").is_task && of("popular").totals.fates.count("stored") == 2);
    assert_eq!(of("popular").last.as_ref().unwrap().problems, ["the task failed: the rest is too much"]);
    assert_eq!(of("broken").last.as_ref().unwrap().problems, ["the task panicked"]);
    assert!(world.get("/brands/b").await.is_hit());
}

fn plan_settings(plan: &Plan) -> WarmSettings {
    plan.settings_so_far().clone()
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_when_the_guard_is_gone() {
    let world = world(Origin::always(fresh("x").after(50)));
    let targets = (0..100).fold(Group::new("g").every(seconds(60)), |group, at| group.request(&format!("/{at}")).unwrap());
    let guard = world.warm(world.plan().group(targets));
    let warm = guard.handle();
    let job = warm.run(None, false).await.unwrap().unwrap();
    tokio::time::sleep(seconds(1)).await;
    drop(guard);
    job.ended().await;
    let calls = world.origin.calls();
    tokio::time::sleep(seconds(600)).await;
    assert!(world.origin.calls() == calls && calls < 60, "{calls}");
    assert!(warm.run(None, false).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn without_a_host_the_one_that_readers_use_is_warmed() {
    let world = world(Origin::always(fresh("x")));
    let guard = world.warm(Plan::new(&world.cache).group(group("g", &["/a"])));
    run(&guard, false).await;
    assert_eq!(world.origin.last().h("host"), "localhost");
    for at in 0..8 {
        world.get(&format!("/reader/{at}")).await;
    }
    run(&guard, false).await;
    assert_eq!(world.origin.last().h("host"), "example.com");
    assert!(world.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn copies_that_nobody_hits_are_counted_as_wasted() {
    let world = world(Origin::always(fresh("x").after(200)));
    let guard = world.warm(world.plan().group(group("g", &["/a", "/b", "/c"])));
    run(&guard, false).await;
    world.get("/a").await;
    world.get("/a").await;
    world.cache.invalidate_all(Level::Dead);
    run(&guard, false).await;
    let gain = || guard.handle().report().groups[0].gain;
    // A thread takes out what is gone, in its own time.
    let began = std::time::Instant::now();
    while (gain().wasted, gain().live, world.cache.stats().entries) != (2, 3, 3) && began.elapsed() < seconds(10) {
        std::thread::yield_now();
    }
    let gain = gain();
    assert_eq!((gain.useful, gain.saved_millis, gain.live, gain.wasted), (1, 200, 3, 2), "{gain:?}");
}

#[tokio::test(start_paused = true)]
async fn a_readers_miss_joins_the_warm_request_for_the_same() {
    let gate = Gate::new();
    let world = world(Origin::always(fresh("x").first(Step::Gate(gate.clone()))));
    let guard = world.warm(world.plan().group(group("g", &["/a"])));
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    world.settle().await;
    let reader = world.spawn(get("/a"));
    world.settle().await;
    gate.open();
    assert_eq!(reader.await.unwrap().said(), "warmfront; fwd=uri-miss; collapsed");
    job.ended().await;
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_slows_down_is_asked_less_and_the_report_says_so() {
    let world = world(Origin::by(|asked: &Asked| fresh("x").after(if asked.number < 40 { 10 } else { 800 })));
    let guard =
        world.warm(at_any_rate(world.plan()).group((0..120).fold(group("g", &[]), |group, at| group.request(&format!("/{at}")).unwrap())));
    run(&guard, false).await;
    let report = guard.handle().report();
    assert!(report.backoff.width < 4 && report.groups[0].last.as_ref().unwrap().slowed > 0, "{:?}", report.backoff);
}

#[tokio::test(start_paused = true)]
async fn other_settings_take_effect_at_once() {
    let world = world(Origin::always(fresh("x").first(Step::Hang)));
    let guard = world.warm(world.plan().group(group("g", &["/a"])).group(group("h", &["/b"])));
    let warm = guard.handle();
    let job = warm.run(None, false).await.unwrap().unwrap();
    let mut settings = (*warm.settings()).clone();
    settings.groups.remove(0);
    settings.groups[0].enabled = false;
    warm.configure(settings.clone()).await.unwrap();
    job.ended().await;
    let report = warm.report();
    assert_eq!(report.groups.iter().map(|group| (&*group.name, group.enabled)).collect::<Vec<_>>(), [("h", false)]);
    settings.groups.push(settings.groups[0].clone());
    assert!(warm.configure(settings).await.is_err());
    assert_eq!(warm.settings().groups.len(), 1);
    assert_eq!(warm.run(None, false).await.unwrap().unwrap().runs().count(), 0, "what is switched off does not run with all");
    assert_eq!(warm.run(Some(&["h"]), false).await.unwrap().unwrap().runs().count(), 1, "but it does when it is named");
}

#[tokio::test(start_paused = true)]
async fn every_identity_has_a_partition_and_a_warm_run_without_one_reaches_none() {
    let world = World::running(
        Settings { rules: vec![everywhere().per_identity("authorization".parse().unwrap())], ..Settings::default() },
        Origin::by(|asked: &Asked| fresh(&format!("for {:?}", asked.h("authorization")))),
    );
    let guard = world.warm(world.plan().group(group("g", &["/me"])));
    run(&guard, false).await;
    let alice = world.send(get("/me").h("authorization", "Bearer alice")).await;
    assert!(!alice.is_hit() && alice.text() == "for \"Bearer alice\"");
}

#[tokio::test(start_paused = true)]
async fn the_host_whose_readers_find_everything_stored_stays_the_one_that_is_warmed() {
    let world = world(Origin::by(
        |asked: &Asked| if asked.target() == "/health" { ok("up").cc("no-store") } else { fresh("x").cc("max-age=86400") },
    ));
    let guard = world.warm(Plan::new(&world.cache).group(group("g", &["/a"])));
    for _ in 0..10 {
        for _ in 0..1000 {
            world.get("/reader").await;
        }
        // A probe of another name, which nothing stored ever answers.
        for _ in 0..30 {
            world.send(get("/health").uri("http://10.0.0.7:8080/health")).await;
        }
        run(&guard, true).await;
    }
    assert_eq!(world.origin.last().h("host"), "example.com");
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_run_is_cancelled_ends_with_it() {
    let ticks = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = std::sync::Arc::clone(&ticks);
    let task = Group::task("clock", move |_| {
        let count = std::sync::Arc::clone(&count);
        async move {
            loop {
                tokio::time::sleep(seconds(1)).await;
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            #[expect(unreachable_code, reason = "names the type")]
            Ok::<(), BoxError>(())
        }
    });
    let world = world(Origin::always(fresh("x")));
    let guard = world.warm(world.plan().group(task.only_on_demand()));
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(guard.handle().cancel(job.id()));
    job.ended().await;
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(ticks.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_purged_while_it_is_validated_is_not_reported_as_unchanged() {
    let gate = Gate::new();
    let door = gate.clone();
    let world = world(Origin::by(move |asked: &Asked| {
        let known = asked.headers.contains_key("if-none-match");
        if known { status(304).cc("max-age=60").etag("\"1\"").first(Step::Gate(door.clone())) } else { fresh("x").etag("\"1\"") }
    }));
    let guard = world.warm(world.plan().group(group("g", &["/a"])));
    run(&guard, false).await;
    let job = guard.handle().run(None, true).await.unwrap().unwrap();
    world.settle().await;
    world.cache.invalidate_all(Level::Dead);
    gate.open();
    job.ended().await;
    assert_eq!((counts(&job.fates()), world.origin.calls()), (vec![1, 0, 0, 0, 0, 0], 3), "asked once more");
    assert!(world.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn what_a_task_has_warmed_is_its_groups_though_the_counts_began_anew() {
    let world = world(Origin::always(fresh("x")));
    let task = Group::task("t", |fetcher: Fetcher| async move {
        fetcher.warm("/of/the/task").await;
        Ok::<(), BoxError>(())
    });
    let guard = world.warm(world.plan().group(task.only_on_demand()));
    run(&guard, false).await;
    guard.handle().reset();
    assert!(world.has_fresh("/of/the/task"));
    assert_eq!(guard.handle().invalidate("t", Level::Dead), Ok(1));
    assert!(!world.has_fresh("/of/the/task"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cancelled_does_not_hide_what_the_one_before_has_warmed() {
    let world = world(Origin::always(fresh("x")));
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let task = Group::task("t", move |fetcher: Fetcher| {
        let run = runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            fetcher.warm(&format!("/of/run/{run}")).await;
            tokio::time::sleep(seconds(if run > 0 { 3600 } else { 0 })).await;
            Ok::<(), BoxError>(())
        }
    });
    let guard = world.warm(world.plan().group(task.only_on_demand()));
    guard.handle().run(None, false).await.unwrap().unwrap().ended().await;
    for _ in 0..20 {
        let job = guard.handle().run(None, false).await.unwrap().unwrap();
        tokio::time::sleep(seconds(1)).await;
        assert!(guard.handle().cancel(job.id()));
        job.ended().await;
    }
    assert!(world.get("/of/run/0").await.is_hit() && world.get("/of/run/20").await.is_hit());
    guard.handle().invalidate("t", Level::Invalid).unwrap();
    assert!(!world.get("/of/run/0").await.is_hit(), "the whole run");
    assert!(!world.get("/of/run/20").await.is_hit(), "the last broken one");
}
