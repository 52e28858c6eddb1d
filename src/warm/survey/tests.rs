//! Surveys that ask nobody.

use super::{HostsFrom, ItemSurvey, Known, ListState, Lists, Outlook};
use crate::clock::Clock;
use crate::warm::source::Selected;
use crate::warm::{Combo, Group, ListSource, WarmSettings, Zone};
use crate::{Cache, Rule, Settings};
use http::header::AUTHORIZATION;
use std::time::{Duration, Instant};

/// 2023-11-14 22:13:20 UTC.
const START: u64 = 1_700_000_000;

fn cache(rules: Vec<Rule>) -> Cache {
    let key = crate::cache::settings::KeySettings { query_ignore: vec!["utm_*".into()], query_sort: true };
    Cache::builder().settings(Settings { rules, key, ..Settings::default() }).clock(Clock::manual(START)).build()
}

fn settings(groups: Vec<Group>) -> WarmSettings {
    WarmSettings { groups, ..WarmSettings::default() }
}

fn shown(item: &ItemSurvey) -> String {
    let headers: String = item.headers.iter().map(|(name, value)| format!(" {name}={}", value.to_str().unwrap())).collect();
    format!("{}{headers} @{}", item.target, item.host)
}

#[test]
fn requests_come_in_their_order_for_every_host_and_the_same_key_only_once() {
    let combo = Combo::path("/c").unwrap().query("n", [1, 2]).unwrap().header("accept-language", ["en", ""]).unwrap();
    let combo = combo.exclude([("n", ["2"]), ("accept-language", [""])]).unwrap();
    let group = Group::new("g").request("/a?x=1&y=2").unwrap().request("/a?utm_source=m&y=2&x=1").unwrap().combo(combo).unwrap();
    let hosts = ["one.example", "two.example"].map(|host| host.parse().unwrap()).to_vec();
    let settings = WarmSettings { hosts, ..settings(vec![group]) };
    let (cache, known) = (cache(Vec::new()), Known::default());
    let outlook = Outlook::offline(&cache, &settings, Some(&"ignored:1".parse().unwrap()));
    let group = &settings.groups[0];
    let items: Vec<String> = outlook.items(group, &known).map(|item| shown(&item)).collect();
    let paths = ["/a?x=1&y=2", "/c?n=1 accept-language=en", "/c?n=1", "/c?n=2 accept-language=en"];
    let expected: Vec<String> = paths.iter().flat_map(|path| ["one", "two"].map(|host| format!("{path} @{host}.example"))).collect();
    assert_eq!(items, expected);
    let survey = outlook.group_with_items(group, &known, 3);
    assert_eq!((survey.tally.items, survey.requests(), survey.tally.duplicates, survey.tally.excluded), (4, 8, 1, 1));
    assert_eq!((survey.singles, survey.combos, survey.combinations, survey.items.len()), (2, 1, 4, 3));
    assert_eq!(outlook.hosts().from, HostsFrom::Settings);
}

#[test]
fn the_host_is_the_listener_and_without_one_nobody_knows() {
    let (cache, settings) = (cache(Vec::new()), settings(Vec::new()));
    for (listener, host, from) in [(Some("127.0.0.1:8080"), "127.0.0.1:8080", HostsFrom::Listener), (None, "localhost", HostsFrom::Nothing)]
    {
        let outlook = Outlook::offline(&cache, &settings, listener.map(|host| host.parse().unwrap()).as_ref());
        assert_eq!((outlook.hosts().names[0].to_string().as_str(), outlook.hosts().from), (host, from));
    }
}

#[test]
fn what_the_rules_tell_is_said_of_each_request_and_counted() {
    let rules = vec![
        Rule::path("/live/**").unwrap().named("live").pass(),
        Rule::path("/me/**").unwrap().named("me").per_identity(AUTHORIZATION),
        Rule::path("/zero").unwrap().named("zero").ttl(Duration::ZERO).override_origin(),
    ];
    let with = |path, name, value: &str| Combo::path(path).unwrap().header(name, [value]).unwrap();
    let mut group = Group::new("g");
    for target in ["/live/a", "/live/b", "/me/x", "/zero", "/plain"] {
        group = group.request(target).unwrap();
    }
    let group = group.combo(with("/me/y", "authorization", "Bearer hunter2")).unwrap();
    let group = group.combo(with("/shared", "authorization", "Bearer hunter2")).unwrap();
    let group = group.combo(with("/tricky", "x-original-url", "/other")).unwrap();
    let (cache, known, settings) = (cache(rules), Known::default(), settings(vec![group]));
    let outlook = Outlook::offline(&cache, &settings, None);
    let said: Vec<String> = outlook
        .items(&settings.groups[0], &known)
        .map(|item| format!("{} {}", item.target, item.obstacle.as_ref().map_or("-", |obstacle| obstacle.as_str())))
        .collect();
    assert_eq!(
        said,
        [
            "/live/a pass",
            "/live/b pass",
            "/me/x nobody",
            "/zero never-fresh",
            "/plain -",
            "/me/y -",
            "/shared authorization",
            "/tricky bypass"
        ]
    );
    let survey = outlook.survey(vec![outlook.group_with_items(&settings.groups[0], &known, 99)]);
    assert_eq!(survey.groups[0].states.never_stored, 3);
    assert_eq!(survey.groups[0].obstacles["never stored: rule \"live\" says pass"], 2);
    let json = survey.to_json().to_string();
    assert!(!json.contains("hunter2") && json.contains("\"authorization\":\"***\""), "{json}");
}

#[test]
fn coming_runs_are_told_in_order_and_what_is_off_has_none() {
    let group = |name: &str| Group::new(name).every(Duration::from_secs(7200)).cron("0 3 * * *").unwrap();
    let settings =
        WarmSettings { time_zone: Zone::parse("Asia/Hong_Kong").unwrap(), ..settings(vec![group("on"), group("off").enabled(false)]) };
    let cache = cache(Vec::new());
    let runs = |settings: &WarmSettings, at: usize| {
        let known = Known::default();
        let outlook = Outlook::offline(&cache, settings, None);
        let survey = outlook.survey(vec![outlook.group(&settings.groups[at], &known)]);
        let runs = survey.to_json()["groups"][0]["nextRuns"].take();
        runs.as_array().unwrap().iter().map(|run| format!("{} {} {}", run["at"], run["inSeconds"], run["trigger"])).collect::<Vec<_>>()
    };
    assert_eq!(runs(&settings, 0)[0], "\"2023-11-15T08:13:20+08:00\" 7200 \"every 2h\"");
    cache.shared().clock.advance(Duration::from_secs(18 * 3600));
    assert_eq!(
        runs(&settings, 0),
        [
            "\"2023-11-16T02:13:20+08:00\" 7200 \"every 2h\"",
            "\"2023-11-16T03:00:00+08:00\" 10000 \"cron 0 3 * * *\"",
            "\"2023-11-16T04:13:20+08:00\" 14400 \"every 2h\""
        ]
    );
    assert!(runs(&settings, 1).is_empty());
    assert!(runs(&WarmSettings { enabled: false, ..settings }, 0).is_empty());
}

#[test]
fn groups_go_by_priority_and_then_as_they_were_written() {
    let groups = [("a", 0), ("b", 7), ("c", 7), ("d", 9)].map(|(name, priority)| Group::new(name).priority(priority));
    let (cache, settings) = (cache(Vec::new()), settings(groups.to_vec()));
    let names: Vec<&str> = Outlook::offline(&cache, &settings, None).groups().iter().map(|group| &*group.name).collect();
    assert_eq!(names, ["d", "b", "c", "a"]);
}

#[test]
fn lists_say_how_they_were_come_by() {
    let source = |url: &str| ListSource::new(url, "/*", "/b/{value}").unwrap();
    let group = Group::new("g").source(source("/one")).source(source("/two"));
    let (cache, settings) = (cache(Vec::new()), settings(vec![group]));
    let outlook = Outlook::offline(&cache, &settings, None);
    let group = &settings.groups[0];
    let asked = Known::default();
    assert_eq!(outlook.group(group, &asked).lists[1].state, ListState::NotAsked);
    let read = Selected { values: vec!["x".into(), "..".into()], skipped: 3, cut: true };
    let known = Known::lists(Lists::read(vec![Err("it burns".into()), Ok(read)]));
    let survey = outlook.group_with_items(group, &known, 9);
    assert_eq!(survey.lists[1].state, ListState::Read { values: 2, skipped: 3, cut: true });
    assert_eq!(survey.problems, ["the list /one: it burns"]);
    assert_eq!((survey.tally.items, survey.tally.unusable, survey.items[0].target.as_str()), (1, 1, "/b/x"));
}

#[test]
fn a_cap_says_what_it_left_out_and_why() {
    let numbers = || Combo::path("/").unwrap().query("a", 0..1000).unwrap().query("b", 0..1000).unwrap();
    let same = Combo::path("/").unwrap().query("utm_a", 0..1000).unwrap().query("utm_b", 0..1000).unwrap();
    let groups = [numbers(), same].map(|combo| Group::new("g").combo(combo).unwrap().max_items(10)).to_vec();
    let (cache, settings, known) = (cache(Vec::new()), settings(groups), Known::default());
    let outlook = Outlook::offline(&cache, &settings, None);
    let cuts: Vec<_> = settings.groups.iter().map(|group| outlook.group(group, &known)).map(|one| (one.tally.cut, one.cut_by())).collect();
    assert_eq!(cuts, [(999_990, Some("max_items")), (899_900, Some("looks"))]);
}

#[test]
fn a_task_says_that_only_its_run_knows() {
    async fn nothing(_: crate::warm::Fetcher) -> Result<(), crate::error::BoxError> {
        Ok(())
    }
    let (cache, settings, known) = (cache(Vec::new()), settings(vec![Group::task("t", nothing)]), Known::default());
    let survey = Outlook::offline(&cache, &settings, None).group(&settings.groups[0], &known);
    assert!(survey.is_task && survey.tally.items == 0 && survey.problems == ["a task in Rust: only its run knows its requests"]);
}

#[test]
fn totals_are_the_sums_of_the_groups() {
    let group = |name: &str| Group::new(name).request("/a").unwrap().request("/a").unwrap();
    let (cache, settings, known) = (cache(Vec::new()), settings(vec![group("a"), group("b").enabled(false)]), Known::default());
    let outlook = Outlook::offline(&cache, &settings, None);
    let totals = outlook.survey(settings.groups.iter().map(|group| outlook.group(group, &known)).collect()).totals_json();
    assert_eq!((&totals["groups"], &totals["switchedOff"], &totals["estimate"]), (&2.into(), &1.into(), &serde_json::Value::Null));
    assert_eq!((&totals["counts"]["requests"], &totals["counts"]["duplicates"]), (&2.into(), &2.into()));
}

#[test]
#[ignore = "a measurement: cargo test --release --lib survey -- --ignored --nocapture"]
fn plans_are_surveyed_in_milliseconds() {
    let ten_thousand: Vec<String> = (0..10_000).map(|at| format!("brand {at}")).collect();
    let literal = ten_thousand.iter().fold(Group::new("literal list of 10 000"), |group, name| {
        group.request(&format!("/b/{}", crate::warm::template::encode(name))).unwrap()
    });
    let combo = ["a", "b", "c", "d"].iter().fold(Combo::path("/").unwrap(), |combo, name| combo.query(name, 0..1000).unwrap());
    let source = ListSource::new("/top", "/*", "/b/{value}/stats").unwrap();
    let million = Combo::path("/").unwrap().query("a", 0..1000).unwrap().query("b", 0..1000).unwrap();
    let groups = vec![
        literal.max_items(10_000),
        Group::new("combo of 10^12, cap 1000").combo(combo).unwrap().max_items(1000),
        Group::new("source of 10 000").source(source).max_items(10_000),
        Group::new("a million").combo(million).unwrap().max_items(1_000_000),
    ];
    let rules = (0..20).map(|at| Rule::path(&format!("/api/{at}/**")).unwrap()).collect();
    let (cache, settings) = (cache(rules), settings(groups));
    let outlook = Outlook::offline(&cache, &settings, None);
    let live = Outlook { live: true, ..Outlook::offline(&cache, &settings, None) };
    let known = Known::lists(Lists::read(vec![Ok(Selected { values: ten_thousand, ..Selected::default() })]));
    for group in &settings.groups {
        for (name, outlook) in [("offline", &outlook), ("live", &live)] {
            let started = Instant::now();
            let items = outlook.group(group, &known).tally.items;
            println!("{:25} {name:8} {items:>8} items {:>10.1?}", &*group.name, started.elapsed());
        }
    }
}
