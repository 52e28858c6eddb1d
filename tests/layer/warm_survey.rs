//! A plan beside a live cache: what is fresh, what did not go well, and what a run would cost.

use crate::origin::{Asked, Origin, fresh, ok, status};
use crate::world::{World, seconds};
use serde_json::{Value, json};
use warmfront::warm::survey::{HostsFrom, ListState, ask_lists};
use warmfront::warm::{Combo, Group, Guard, ListSource, Plan, Survey, WarmSettings};
use warmfront::{Level, Rule, Settings};

fn group(name: &str, targets: &[&str]) -> Group {
    targets.iter().fold(Group::new(name).only_on_demand(), |group, target| group.request(target).unwrap())
}

async fn run(guard: &Guard) {
    guard.handle().run(None, false).await.unwrap().unwrap().ended().await;
}

fn survey(guard: &Guard) -> Survey {
    guard.handle().survey(None, usize::MAX).unwrap()
}

/// Target, state and seconds of each item.
fn states(survey: &Survey) -> Vec<String> {
    let items = |group: Value| group["items"].as_array().unwrap().clone();
    let all = survey.groups.iter().flat_map(|group| items(Value::Object(survey.group_json(group))));
    all.map(|item| {
        let seconds =
            item.get("secondsLeft").or_else(|| item.get("secondsStale")).map_or_else(String::new, |seconds| format!(" {seconds}"));
        format!("{} {}{seconds}", item["target"].as_str().unwrap(), item["state"].as_str().unwrap_or("-"))
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn each_item_says_whether_it_is_fresh_stale_or_absent_and_what_it_cost() {
    let rule = Rule::path("/live/**").unwrap().named("live").pass();
    let origin = Origin::by(|asked: &Asked| match asked.target() {
        "/private" => ok("x").cc("private"),
        "/broken" => status(404).cc("no-store"),
        "/short" => ok("123").cc("max-age=10").after(200),
        _ => fresh("12345").after(300),
    });
    let world = World::running(Settings { rules: vec![rule], ..Settings::default() }, origin);
    let guard = world.warm(world.plan().group(group("g", &["/a", "/short", "/private", "/broken", "/live/x"])));
    let before = survey(&guard);
    assert_eq!(states(&before), ["/a absent", "/short absent", "/private absent", "/broken absent", "/live/x -"]);
    let estimate = before.groups[0].estimate.unwrap();
    assert_eq!((estimate.requests, estimate.unknown, estimate.origin_millis), (4, 4, 0), "nothing is known yet");
    assert_eq!(world.origin.calls(), 0, "nobody is asked");

    run(&guard).await;
    world.get("/a").await;
    tokio::time::advance(seconds(20)).await;
    let after = survey(&guard);
    let mut seen = states(&after);
    assert!(seen.remove(0).starts_with("/a fresh 3"), "what is read most goes first");
    assert!(seen.remove(0).starts_with("/short stale "), "{seen:?}");
    assert_eq!(seen, ["/private absent", "/broken absent", "/live/x -"]);
    let one = &after.groups[0];
    assert_eq!((one.states.fresh, one.states.stale, one.states.absent, one.states.never_stored, one.states.troubled), (1, 1, 2, 1, 3));
    let json = after.to_json();
    let items = &json["groups"][0]["items"];
    assert_eq!(
        (&items[0]["costMillis"], &items[0]["bytes"], &items[0]["hits"], &items[0]["due"]),
        (&300.into(), &5.into(), &1.into(), &false.into())
    );
    assert_eq!(items[2]["lastTime"], json!({"fate": "uncacheable", "reason": "private"}));
    assert_eq!(items[3]["lastTime"], json!({"fate": "failed", "reason": "status 404"}));
    assert_eq!(items[4]["obstacle"]["kind"], "pass");
    // The stale copy at its own cost, the other two at what they took the last time.
    let estimate = one.estimate.unwrap();
    assert_eq!((estimate.requests, estimate.origin_millis >= 200, estimate.unknown), (3, true, 0), "{estimate:?}");
    assert_eq!(json["totals"]["estimate"]["requests"], 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_costs_what_the_groups_items_cost_on_average() {
    let world = World::running(Settings::default(), Origin::always(fresh("12345").after(400)));
    let guard = world.warm(world.plan().group(group("g", &["/a", "/b"])));
    run(&guard).await;
    let mut settings = (*guard.handle().settings()).clone();
    settings.groups = vec![group("g", &["/a", "/c", "/d"])];
    guard.handle().configure(settings).await.unwrap();
    let estimate = survey(&guard).groups[0].estimate.unwrap();
    assert_eq!((estimate.requests, estimate.guessed, estimate.origin_millis, estimate.bytes), (2, 2, 800, 10));
}

#[tokio::test(start_paused = true)]
async fn a_copy_near_its_end_is_fresh_and_due_and_a_purged_one_says_so() {
    let world = World::running(Settings::default(), Origin::always(fresh("x")));
    let guard = world.warm(world.plan().group(group("g", &["/a"])));
    run(&guard).await;
    let item = || survey(&guard).groups[0].items[0].to_json();
    assert_eq!((&item()["state"], &item()["due"]), (&"fresh".into(), &false.into()));
    tokio::time::advance(seconds(55)).await;
    assert_eq!((&item()["state"], &item()["due"]), (&"fresh".into(), &true.into()), "a tenth of its life is left");
    world.cache.invalidate_all(Level::Stale);
    assert_eq!((&item()["state"], &item()["invalidated"], &item()["due"]), (&"stale".into(), &true.into(), &true.into()));
    world.cache.invalidate_all(Level::Dead);
    assert_eq!(item()["state"], "absent");
}

#[tokio::test(start_paused = true)]
async fn variants_are_told_apart_as_readers_would_get_them() {
    let world = World::running(
        Settings::default(),
        Origin::by(|asked: &Asked| fresh(&asked.h("accept-language")).h("vary", "accept, accept-language")),
    );
    let combo = |values: &[&str]| Combo::path("/a").unwrap().header("accept-language", values).unwrap();
    let plan = |values: &[&str]| world.plan().group(Group::new("g").only_on_demand().combo(combo(values)).unwrap());
    let guard = world.warm(plan(&["en"]));
    run(&guard).await;
    let mut settings = (*guard.handle().settings()).clone();
    settings.groups = vec![Group::new("g").combo(combo(&["en", "zh"])).unwrap()];
    guard.handle().configure(settings).await.unwrap();
    let survey = survey(&guard);
    assert_eq!((survey.groups[0].states.fresh, survey.groups[0].states.absent), (1, 1), "{}", survey.to_json());
}

#[tokio::test(start_paused = true)]
async fn lists_are_as_the_last_run_had_them_and_hosts_as_readers_name_them() {
    let world = World::running(
        Settings::default(),
        Origin::by(|asked: &Asked| if asked.target() == "/top" { ok("[\"x\",\"y\"]").cc("no-store") } else { fresh("x") }),
    );
    let source = ListSource::new("/top", "/*", "/b/{value}").unwrap();
    let guard = world.warm(Plan::new(&world.cache).group(group("g", &[]).source(source)));
    let before = survey(&guard);
    assert_eq!((&before.groups[0].lists[0].state, before.hosts.from), (&ListState::NotAsked, HostsFrom::Listener));
    assert_eq!(before.hosts.names, ["localhost".parse().unwrap()]);
    for at in 0..8 {
        world.get(&format!("/reader/{at}")).await;
    }
    run(&guard).await;
    let calls = world.origin.calls();
    let after = survey(&guard);
    assert_eq!((&after.groups[0].lists[0].state, after.hosts.from), (&ListState::LastRun { values: 2 }, HostsFrom::Readers));
    assert_eq!((after.hosts.names[0].to_string().as_str(), after.groups[0].states.fresh), ("example.com", 2));
    assert_eq!(world.origin.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn one_group_may_be_asked_for_with_some_items_and_an_unknown_one_is_an_error() {
    let world = World::running(Settings::default(), Origin::always(fresh("x")));
    let every = Group::new("b").priority(3).every(seconds(600)).request("/x").unwrap();
    let guard = world.warm(world.plan().group(group("a", &["/1", "/2", "/3"])).group(every));
    let warm = guard.handle();
    let all = warm.survey(None, 1).unwrap();
    assert_eq!(all.groups.iter().map(|group| (&*group.name, group.items.len())).collect::<Vec<_>>(), [("b", 1), ("a", 1)]);
    assert!(all.groups[0].next_runs[0].at > all.at && all.groups[1].next_runs.is_empty());
    let one = warm.survey(Some("a"), 0).unwrap();
    assert_eq!((one.groups.len(), one.groups[0].items.len(), one.groups[0].states.absent), (1, 0, 3));
    let unknown = warm.survey(Some("c"), 0).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no group \"c\"; there are a, b");
}

#[tokio::test(start_paused = true)]
async fn lists_are_asked_for_once_within_their_time_and_nothing_else_is() {
    let origin = Origin::by(|asked: &Asked| match asked.target() {
        "/top" => fresh("[\"x\",\"y\",null]"),
        "/slow" => fresh("[]").after(60_000),
        _ => status(404),
    });
    let world = World::running(Settings::default(), origin);
    let source = |url: &str| ListSource::new(url, "/*", "/b/{value}").unwrap();
    let groups = [Group::new("a").source(source("/top")).source(source("/slow")), Group::new("b").source(source("/gone")).max_items(1)];
    let settings = WarmSettings { groups: groups.to_vec(), ..WarmSettings::default() };
    let outlook = warmfront::warm::survey::Outlook::offline(&world.cache, &settings, None);
    let began = tokio::time::Instant::now();
    let service = tower::service_fn({
        let world = world.clone();
        move |request: http::Request<warmfront::RequestBody>| {
            let world = world.clone();
            async move { world.try_head(crate::world::Ask(request.map(|_| http_body_util::Full::default()))).await }
        }
    });
    let lists = ask_lists(service, &settings, outlook.hosts(), &outlook.groups()).await;
    assert!(began.elapsed() < seconds(11), "warm.timeout");
    let mut asked: Vec<String> = world.origin.asked().iter().map(|asked| asked.target().to_owned()).collect();
    asked.sort();
    assert_eq!(asked, ["/gone", "/slow", "/top"]);
    let known: Vec<_> = lists.into_iter().map(warmfront::warm::survey::Known::lists).collect();
    let surveys: Vec<_> = settings.groups.iter().zip(&known).map(|(group, known)| outlook.group(group, known)).collect();
    assert_eq!(surveys[0].lists[0].state, ListState::Read { values: 2, skipped: 1, cut: false });
    assert_eq!((surveys[0].tally.items, &*surveys[0].problems), (2, &["the list /slow: could not be had: timeout".to_owned()][..]));
    assert_eq!(surveys[1].problems, ["the list /gone: could not be had: status 404"]);
}
