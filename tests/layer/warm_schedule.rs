//! When groups run: start-up, intervals, cron, and what was missed.

use crate::origin::{Gate, Origin, Step, fresh};
use crate::world::{START, World, seconds};
use warmfront::Settings;
use warmfront::warm::{Group, Guard, WarmSettings, Zone};

fn every(text: u64) -> Group {
    Group::new("g").every(seconds(text)).request("/a").unwrap()
}

fn runs(guard: &Guard) -> u64 {
    guard.handle().report().groups[0].totals.runs
}

#[tokio::test(start_paused = true)]
async fn a_group_runs_at_its_interval_with_a_little_jitter() {
    let world = World::running(Settings::default(), Origin::always(fresh("x").cc("max-age=1")));
    let guard = world.warm(world.plan().group(every(7200)));
    tokio::time::sleep(seconds(7199)).await;
    assert_eq!(runs(&guard), 0);
    tokio::time::sleep(seconds(362)).await;
    assert_eq!(runs(&guard), 1);
    tokio::time::sleep(seconds(24 * 3600)).await;
    assert!((12..=13).contains(&runs(&guard)), "{}", runs(&guard));
    let report = guard.handle().report();
    assert_eq!(report.groups[0].last.as_ref().unwrap().cause.to_string(), "every 2h");
    let next = report.groups[0].next_run.unwrap().since(world.clock.wall());
    assert!(next <= seconds(7560), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn a_group_runs_at_the_moments_of_its_cron_line_in_its_time_zone() {
    // START is 2023-11-14 22:13:20 UTC, 23:13:20 in Berlin.
    let world = World::running(Settings::default(), Origin::always(fresh("x")));
    let group = Group::new("g").cron("30 23 * * *").unwrap().cron("0 3 * * *").unwrap().request("/a").unwrap();
    let plan = world.plan().settings(WarmSettings {
        time_zone: Zone::parse("Europe/Berlin").unwrap(),
        groups: vec![group],
        ..WarmSettings::default()
    });
    let guard = world.warm(plan);
    let minutes = |to: u64| seconds(to * 60);
    tokio::time::sleep(minutes(16)).await;
    assert_eq!(runs(&guard), 0);
    tokio::time::sleep(minutes(1)).await;
    assert_eq!((runs(&guard), world.clock.wall().seconds() - START), (1, 1020));
    tokio::time::sleep(minutes(3 * 60 + 30)).await;
    assert_eq!(runs(&guard), 2);
    let next = guard.handle().report().groups[0].next_run.unwrap();
    assert_eq!(next.seconds(), 1_700_000_000 + 24 * 3600 + 1000, "tomorrow at 23:30");
}

#[tokio::test(start_paused = true)]
async fn a_group_never_overlaps_itself_and_what_came_due_meanwhile_runs_once() {
    let gate = Gate::new();
    let world = World::running(Settings::default(), Origin::always(fresh("x").cc("max-age=1").first(Step::Gate(gate.clone()))));
    let plan = world.plan().settings(WarmSettings { timeout: seconds(86_000), groups: vec![every(10)], ..WarmSettings::default() });
    let guard = world.warm(plan.host("example.com".parse().unwrap()));
    tokio::time::sleep(seconds(100)).await;
    assert_eq!((runs(&guard), world.origin.calls()), (0, 1));
    gate.open();
    world.settle().await; // without time going by: the next may be due any moment
    assert_eq!(runs(&guard), 2, "the one that was going on, and one for all that it kept away");
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_the_process_slept_runs_once() {
    let world = World::running(Settings::default(), Origin::always(fresh("x").cc("max-age=1")));
    let guard = world.warm(world.plan().group(every(60)));
    world.settle().await;
    tokio::time::advance(seconds(6 * 3600)).await; // nobody gets a turn in between
    world.settle().await;
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(runs(&guard), 1);
}

#[tokio::test(start_paused = true)]
async fn refresh_means_what_the_settings_say_and_may_change_while_it_runs() {
    let world = World::running(Settings::default(), Origin::always(fresh("x").cc("max-age=1")));
    let guard = world.warm(world.plan().group(Group::new("g").on_refresh().request("/a").unwrap()));
    tokio::time::sleep(seconds(700)).await;
    assert_eq!(runs(&guard), 2);
    let warm = guard.handle();
    let settings = WarmSettings { refresh_interval: seconds(10), ..(*warm.settings()).clone() };
    warm.configure(settings.clone()).await.unwrap();
    tokio::time::sleep(seconds(100)).await;
    assert!((11..=12).contains(&runs(&guard)), "{}", runs(&guard));
    warm.configure(WarmSettings { refresh_interval: seconds(0), ..settings }).await.unwrap();
    let before = runs(&guard);
    tokio::time::sleep(seconds(1000)).await;
    assert_eq!((runs(&guard), warm.report().groups[0].next_run), (before, None));
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_by_itself_while_warming_is_switched_off() {
    let world = World::running(Settings::default(), Origin::always(fresh("x")));
    let group = Group::new("g").on_startup().every(seconds(5)).request("/a").unwrap();
    let off = WarmSettings { enabled: false, groups: vec![group], ..WarmSettings::default() };
    let guard = world.warm(world.plan().settings(off.clone()));
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(world.origin.calls(), 0);
    guard.handle().configure(WarmSettings { enabled: true, ..off }).await.unwrap();
    tokio::time::sleep(seconds(6)).await;
    assert_eq!(runs(&guard), 1);
}
