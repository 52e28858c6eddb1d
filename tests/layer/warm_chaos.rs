//! Whatever is asked of a warmer in whatever order: it stays up, ends what it began, and its books add up.

use crate::origin::{Asked, Origin, Step, fresh, ok, status};
use crate::world::{World, get, method, seconds};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use warmfront::cache::invalidation::Invalidation;
use warmfront::telemetry::Refusal;
use warmfront::warm::{Combo, Fates, Group, JobView, ListSource, RefreshAhead, WarmSettings};
use warmfront::{Level, Rule, Settings};

/// Different numbers from a seed, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

const WARM_AGENT: &str = "(warm)";

/// How the origin is at the moment.
const MOODS: u32 = 7;

/// What warming has at the origin: now, and at most so far.
#[derive(Default)]
struct Meter {
    warm: AtomicUsize,
    readers: AtomicUsize,
}

fn moody(mood: &Arc<AtomicU32>, meter: &Arc<Meter>) -> Origin {
    let (mood, meter) = (Arc::clone(mood), Arc::clone(meter));
    Origin::by(move |asked: &Asked| {
        let is_warm = asked.h("user-agent").contains(WARM_AGENT);
        let counter = if is_warm { &meter.warm } else { &meter.readers };
        counter.fetch_add(1, Ordering::SeqCst);
        if asked.target() == "/top" {
            return fresh(r#"["x", "y", "z"]"#).after(20);
        }
        if asked.method != "GET" {
            return status(204);
        }
        let good = || fresh(asked.target()).etag("\"1\"");
        match mood.load(Ordering::SeqCst) {
            0 | 1 => good().after(20 + asked.number as u64 % 7 * 30),
            2 => status(503).h("retry-after", "1").after(10),
            3 => status(502).failure(Refusal::UpstreamConnect),
            4 => good().first(Step::Hang),
            5 => ok("part").cc("max-age=60").steps([crate::origin::data("pa"), Step::Error]),
            _ => match asked.number % 4 {
                0 => good().err(),
                1 => good().first(Step::Panic),
                2 => ok("x").cc("no-store"),
                _ => good(),
            },
        }
    })
}

fn settings(dice: &mut Dice) -> WarmSettings {
    let combo = Combo::path("/combo").unwrap().query("n", 0..4).unwrap().header("accept-language", ["en", "de"]).unwrap();
    let mut groups = vec![
        Group::new("g").request("/g/1").unwrap().request("/g/2").unwrap().request("/g/3").unwrap().every(seconds(7)),
        Group::new("c").combo(combo).unwrap().only_on_demand().priority(3),
        Group::new("l").source(ListSource::new("/top", "/*", "/l/{value}").unwrap()).only_on_demand(),
        Group::task("t", |fetcher| async move {
            for at in 0..3 {
                fetcher.warm(&format!("/t/{at}")).await;
            }
            Ok::<(), std::io::Error>(())
        })
        .only_on_demand(),
    ];
    if dice.roll(3) == 0 {
        let gone = dice.roll(4) as usize;
        groups.remove(gone);
    }
    for group in &mut groups {
        group.enabled = dice.roll(6) > 0;
    }
    WarmSettings {
        enabled: dice.roll(8) > 0,
        concurrency: 1 + dice.roll(4) as usize,
        timeout: seconds(1 + dice.roll(4)),
        max_rate: [0, 20, 50][dice.roll(3) as usize],
        refresh_ahead: RefreshAhead { hits: dice.roll(3), before: [0.0, 0.1, 1.0][dice.roll(3) as usize] },
        hosts: vec!["example.com".parse().unwrap()],
        groups,
        ..WarmSettings::default()
    }
}

/// Everything that has ended, by the job's runs: each run once.
fn check(jobs: &[JobView]) {
    for job in jobs {
        assert!(job.has_ended());
        for run in job.runs() {
            let (report, progress) = (run.report().expect("what has ended has a report"), run.progress());
            assert_eq!(report.fates.items(), progress.done);
            let (outcomes, kept) = run.outcomes(0, usize::MAX);
            assert_eq!((outcomes.len() as u64, kept as u64), (report.fates.items(), report.fates.items()), "each item has one end");
            let mut sums: HashMap<&str, u64> = HashMap::new();
            outcomes.iter().for_each(|outcome| *sums.entry(outcome.fate.as_str()).or_default() += 1);
            assert!(report.fates.by_fate().all(|(name, count)| sums.get(name).copied().unwrap_or(0) == count), "{sums:?} {report:?}");
            if !report.cancelled && report.problems.iter().all(|problem| problem == "a request panicked") {
                assert_eq!(progress.done, progress.planned, "all of the plan: {report:?}");
            }
        }
    }
}

async fn round(seed: u64) {
    let mut dice = Dice(seed);
    let (mood, meter) = (Arc::new(AtomicU32::new(0)), Arc::new(Meter::default()));
    let rules =
        vec![Rule::path("/g/**").unwrap().tag("g").ttl(seconds(20)), Rule::path("/t/**").unwrap().tag("t").stale_if_error(seconds(60))];
    let invalidations = vec![Invalidation::path("/g/**").unwrap().tag("g").group("g").group("l").warm()];
    let world = World::running(Settings { rules, invalidations, ..Settings::default() }, moody(&mood, &meter));
    let first = settings(&mut dice);
    let guard = world.warm(world.plan().settings(first));
    let warm = guard.handle();
    let mut jobs: Vec<JobView> = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..25 {
        match dice.roll(12) {
            0 | 1 => jobs.extend(warm.run(None, dice.roll(2) == 0).await.unwrap()),
            2 => {
                let name = ["g", "c", "l", "t"][dice.roll(4) as usize];
                jobs.extend(warm.run(Some(&[name]), dice.roll(2) == 0).await.ok().flatten());
            }
            3 => jobs.extend(warm.replace(None).await.unwrap()),
            4 => jobs.extend(warm.replace_tagged(&["g", "t"], &["/c"]).await),
            5 => drop(jobs.get(dice.roll(jobs.len().max(1) as u64) as usize).map(|job| warm.cancel(job.id()))),
            6 => drop(warm.configure(settings(&mut dice)).await),
            7 => drop(warm.invalidate(["g", "c", "l", "t"][dice.roll(4) as usize], Level::Invalid)),
            8 => world.cache.invalidate_all([Level::Stale, Level::Invalid, Level::Dead][dice.roll(3) as usize]),
            9 => readers.push(world.spawn(method("PUT", "/g/other").body("x"))),
            10 => mood.store(dice.roll(MOODS.into()) as u32, Ordering::SeqCst),
            _ => {
                let target = ["/g/1", "/g/2", "/combo?n=1", "/l/x", "/t/0"][dice.roll(5) as usize];
                for _ in 0..dice.roll(4) {
                    readers.push(world.spawn(get(target).h("accept-language", "en")));
                }
            }
        }
        if dice.roll(3) > 0 {
            tokio::time::sleep(Duration::from_millis(dice.roll(900))).await;
        }
        assert!(warm.report().in_flight <= 4, "seed {seed}");
    }
    if seed % 2 == 1 {
        drop(guard); // in the middle of it all
        for job in &jobs {
            assert!(timeout(seconds(60), job.ended()).await.is_ok(), "seed {seed}: the guard's end is everything's");
        }
        return;
    }
    mood.store(0, Ordering::SeqCst);
    let ended = timeout(seconds(600), async {
        for job in &jobs {
            job.ended().await;
        }
    });
    assert!(ended.await.is_ok(), "seed {seed}: every job ends");
    readers.iter().for_each(tokio::task::JoinHandle::abort); // those whose origin hangs wait as long as they like
    check(&jobs);
    // Off: nothing is begun any more, and what is under way comes back.
    let mut off = (*warm.settings()).clone();
    off.enabled = false;
    warm.configure(off).await.unwrap();
    tokio::time::sleep(seconds(30)).await;
    let report = warm.report();
    assert_eq!((report.in_flight, report.ahead.waiting), (0, 0), "seed {seed}");
    assert!(report.groups.iter().all(|group| group.running.is_none()), "seed {seed}");
    let calls = meter.warm.load(Ordering::SeqCst);
    tokio::time::sleep(seconds(300)).await;
    assert_eq!(meter.warm.load(Ordering::SeqCst), calls, "seed {seed}: what is off asks nothing");
    let last = warm.run(None, true).await.unwrap().unwrap();
    drop(guard);
    assert!(timeout(seconds(60), last.ended()).await.is_ok(), "seed {seed}: the guard's end is everything's");
    world.settle().await;
    assert!(warm.run(None, false).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_the_warmer_ends_what_it_began_and_its_books_add_up() {
    for seed in 0..80 {
        round(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_origin_is_asked_as_often_as_the_books_say_and_never_by_more_than_may() {
    for seed in 0..10_u64 {
        let mut dice = Dice(seed << 32);
        let most = Arc::new(AtomicUsize::new(0));
        let world = World::running(Settings::default(), Origin::always(fresh("x")));
        world.origin.becomes_by({
            let (origin, most) = (world.origin.clone(), Arc::clone(&most));
            move |asked: &Asked| {
                most.fetch_max(origin.open(), Ordering::SeqCst);
                fresh(asked.target()).after(10 + asked.number as u64 % 90)
            }
        });
        let concurrency = 1 + dice.roll(6) as usize;
        let settings =
            WarmSettings { concurrency, max_rate: 0, refresh_ahead: RefreshAhead { hits: 0, before: 0.0 }, ..WarmSettings::default() };
        let groups = ["a", "b", "c"].map(|name| {
            let count = 1 + dice.roll(30);
            (0..count).fold(Group::new(name).only_on_demand(), |group, at| group.request(&format!("/{name}/{at}")).unwrap())
        });
        let plan = groups.into_iter().fold(world.plan().settings(settings), warmfront::warm::Plan::group);
        let guard = world.warm(plan.host("example.com".parse().unwrap()));
        let (mut sum, mut misses) = (Fates::default().items(), 0);
        for _ in 0..6 {
            let job = guard.handle().run(None, dice.roll(2) == 0).await.unwrap().unwrap();
            job.ended().await;
            sum += job.fates().items() - job.fates().count("skipped");
            assert_eq!(job.fates().failed(), 0);
            for at in 0..dice.roll(3) {
                misses += u64::from(!world.get(&format!("/reader/{at}")).await.is_hit());
            }
            tokio::time::sleep(seconds(dice.roll(90))).await;
        }
        assert_eq!(world.origin.calls() as u64, sum + misses, "seed {seed}");
        assert!(most.load(Ordering::SeqCst) <= concurrency, "seed {seed}: {most:?} of {concurrency}");
        let report = guard.handle().report();
        let totals: u64 = report.groups.iter().map(|group| group.totals.fates.items() - group.totals.fates.count("skipped")).sum();
        assert_eq!((totals, report.in_flight), (sum, 0));
    }
}
