//! A user's own warm-up, seen from the data port: what is answered, and how much of it there may be.

use crate::origin::{Asked, Gate, Origin, Step, fresh, ok, status};
use crate::world::{Ask, Door, Got, World, get, method, seconds};
use http::header::AUTHORIZATION;
use std::time::Duration;
use warmfront::warm::{Group, Guard, Target, UserSettings, WarmSettings};
use warmfront::{Rule, Settings};

const PATH: &str = "/api/user/warmup";

fn rules() -> Settings {
    let rule = Rule::path("/api/me/**").unwrap().per_identity(AUTHORIZATION).ttl(seconds(1800));
    Settings { rules: vec![rule], ..Settings::default() }
}

fn user() -> UserSettings {
    let requests = ["/api/me/profile", "/api/me/usage"].map(|target| Target::parse(target).unwrap()).into();
    UserSettings { requests, ..UserSettings::default() }
}

fn with(user: UserSettings) -> WarmSettings {
    WarmSettings { user: Some(user), max_rate: 0, ..WarmSettings::default() }
}

fn open(origin: Origin, settings: WarmSettings) -> (World, Guard, Door) {
    let world = World::running(rules(), origin);
    let guard = world.warm(world.plan().settings(settings).host("example.com".parse().unwrap()));
    let door = world.door(&guard);
    (world, guard, door)
}

/// An origin that says who asked.
fn mirror() -> Origin {
    Origin::by(|asked: &Asked| ok(&format!("{} {}", asked.target(), asked.h("authorization"))))
}

fn of(ask: Ask, who: &str) -> Ask {
    ask.h("authorization", who)
}

fn post(who: &str) -> Ask {
    of(method("POST", PATH), who)
}

fn json(got: &Got) -> serde_json::Value {
    serde_json::from_slice(&got.body).unwrap()
}

/// Whether it says so, and nothing about caching it.
fn says(got: &Got, code: u16, name: &str) {
    assert_eq!((got.code(), &json(got)["success"], &json(got)[name]), (code, &true.into(), &true.into()), "{got:?}");
    assert_eq!((got.h("cache-control"), got.h("content-type")), ("no-store".into(), "application/json".into()));
}

/// A problem body of RFC 9457 that also says `success: false`.
fn refuses(got: &Got, code: u16) {
    let body = json(got);
    assert_eq!((got.code(), got.h("content-type")), (code, "application/problem+json".into()), "{got:?}");
    assert_eq!((&body["status"], &body["success"]), (&code.into(), &false.into()));
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()) && got.h("cache-control") == "no-store");
}

async fn status_of(door: &Door, who: &str) -> serde_json::Value {
    let got = door.send(of(get(PATH), who)).await;
    assert_eq!((got.code(), &json(&got)["success"]), (200, &true.into()));
    json(&got)["warmupStatus"].clone()
}

#[tokio::test(start_paused = true)]
async fn each_answer_of_the_contract_in_its_turn() {
    let gate = Gate::new();
    let held = gate.clone();
    let (world, _guard, door) = open(Origin::by(move |_: &Asked| ok("x").first(Step::Gate(held.clone()))), with(user()));
    let never = serde_json::json!(
        { "isWarmedUp": false, "inProgress": false, "warmedAt": null, "expiresAt": null, "items": 0, "failed": 0 }
    );
    assert_eq!(status_of(&door, "alice").await, never);
    says(&door.send(post("alice")).await, 202, "newWarmupStarted");
    world.settle().await;
    assert_eq!((world.origin.calls(), status_of(&door, "alice").await["inProgress"].as_bool()), (2, Some(true)));
    for (passed, wait) in [(0, "5"), (2600, "3"), (2399, "1")] {
        tokio::time::sleep(Duration::from_millis(passed)).await;
        let again = door.send(post("alice")).await;
        refuses(&again, 429);
        assert_eq!(again.h("retry-after"), wait);
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    says(&door.send(post("alice")).await, 200, "inProgress");
    refuses(&door.send(post("alice")).await, 429);
    let own = tokio::spawn({
        let door = door.clone();
        async move { door.send(of(get("/api/me/other"), "alice")).await }
    });
    gate.open();
    assert_eq!(own.await.unwrap().code(), 200);
    world.settle().await;
    let (at, done) = (world.clock.now().millis(), status_of(&door, "alice").await);
    let expected = serde_json::json!(
        { "isWarmedUp": true, "inProgress": false, "warmedAt": at, "expiresAt": at + 1_800_000, "items": 2, "failed": 0 }
    );
    assert_eq!(done, expected);
    for target in ["/api/me/profile", "/api/me/usage"] {
        assert!(door.send(of(get(target), "alice")).await.is_hit());
    }
    tokio::time::sleep(seconds(6)).await;
    says(&door.send(post("alice")).await, 200, "alreadyWarmedUp");
    assert_eq!(status_of(&door, "bob").await, never, "nobody learns of another one");
    tokio::time::sleep(seconds(1794)).await;
    assert_eq!(status_of(&door, "alice").await, never, "half an hour has passed");
    says(&door.send(post("alice")).await, 202, "newWarmupStarted");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_wrongly_is_told_so() {
    let (world, _guard, door) = open(mirror(), with(user()));
    for verb in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let got = door.send(of(method(verb, PATH), "alice")).await;
        refuses(&got, 405);
        assert_eq!(got.h("allow"), "GET, HEAD, POST");
    }
    for ask in [method("POST", PATH), get(PATH), of(method("POST", PATH), "")] {
        let got = door.send(ask).await;
        refuses(&got, 401);
        assert_eq!(got.h("www-authenticate"), "Bearer");
    }
    for (verb, who) in [("HEAD", "alice"), ("HEAD", "")] {
        let got = door.send(of(method(verb, PATH), who)).await;
        assert!(got.body.is_empty() && got.has("content-length"), "{got:?}");
        assert_eq!(got.code(), if who.is_empty() { 401 } else { 200 });
    }
    world.settle().await;
    assert_eq!(world.origin.calls(), 0);
    // Another path is another path, and the query does not make one.
    for target in ["/api/user/warmup/", "/api/user/warmu%70", "/api/user//warmup", "/x/../api/user/warmup", "/API/user/warmup"] {
        let before = world.origin.calls();
        assert!(!door.send(of(method("POST", target), "alice")).await.has("retry-after"));
        assert_eq!(world.origin.calls(), before + 1, "{target}");
    }
    says(&door.send(of(method("POST", "/api/user/warmup?x=1"), "alice")).await, 202, "newWarmupStarted");
}

#[tokio::test(start_paused = true)]
async fn a_user_is_warmed_where_the_users_own_requests_look() {
    let (world, _guard, door) = open(mirror(), with(user()));
    let bases: [(&str, Option<&str>); 4] = [
        ("http://example.com", None),
        ("https://example.com", None),
        ("http://example.com:8080", Some("example.com:8080")),
        ("", Some("host.example")),
    ];
    for (at, (base, host)) in bases.into_iter().enumerate() {
        let who = format!("user{at}");
        let ask = |verb: &str, target: &str| {
            let ask = of(method(verb, "/"), &who).uri(&format!("{base}{target}"));
            host.into_iter().fold(ask, |ask, host| ask.h("host", host))
        };
        says(&door.send(ask("POST", PATH)).await, 202, "newWarmupStarted");
        world.settle().await;
        let got = door.send(ask("GET", "/api/me/profile")).await;
        assert!(got.is_hit() && got.text().ends_with(&who), "{base} {host:?}: {}", got.said());
    }
}

#[tokio::test(start_paused = true)]
async fn users_who_run_and_users_who_are_remembered_are_bounded() {
    let settings = UserSettings { max_running: 3, max_users: 5, ..user() };
    let (world, _guard, door) = open(Origin::always(ok("x").after(10)), with(settings));
    for at in 0..3 {
        says(&door.send(post(&format!("u{at}"))).await, 202, "newWarmupStarted");
    }
    let full = door.send(post("u3")).await;
    refuses(&full, 503);
    assert_eq!(full.h("retry-after"), "5");
    tokio::time::sleep(seconds(1)).await;
    for at in 3..5 {
        says(&door.send(post(&format!("u{at}"))).await, 202, "newWarmupStarted");
    }
    tokio::time::sleep(seconds(1)).await;
    for at in 5..1000 {
        refuses(&door.send(post(&format!("u{at}"))).await, 503);
    }
    assert_eq!(status_of(&door, "u0").await["isWarmedUp"], true);
    tokio::time::sleep(seconds(1800)).await;
    says(&door.send(post("u7")).await, 202, "newWarmupStarted");
    world.settle().await;
    assert_eq!(world.origin.asked().iter().filter(|asked| asked.h("authorization") == "u3").count(), 2, "a refusal costs nothing");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_fails_leaves_the_user_unwarmed_and_free_to_ask_again() {
    let (world, guard, door) = open(Origin::always(status(500)), with(user()));
    says(&door.send(post("alice")).await, 202, "newWarmupStarted");
    tokio::time::sleep(seconds(6)).await;
    assert_eq!(status_of(&door, "alice").await["isWarmedUp"], false);
    world.origin.becomes_by(|asked: &Asked| if asked.target().ends_with("usage") { status(404) } else { ok("x") });
    says(&door.send(post("alice")).await, 202, "newWarmupStarted");
    world.settle().await;
    let done = status_of(&door, "alice").await;
    assert_eq!((&done["isWarmedUp"], &done["items"], &done["failed"]), (&true.into(), &2.into(), &1.into()));
    let users = guard.handle().report().users;
    assert_eq!((users.runs, users.failed_runs, users.fates.items()), (2, 2, 4));
}

#[tokio::test(start_paused = true)]
async fn a_warmer_that_is_off_or_gone_says_so_and_forgets_what_it_did_not_finish() {
    let off = |on: bool| WarmSettings { enabled: on, ..with(user()) };
    let (world, guard, door) = open(Origin::always(ok("x").first(Step::Hang)), off(true));
    says(&door.send(post("alice")).await, 202, "newWarmupStarted");
    world.settle().await;
    guard.handle().configure(off(false)).await.unwrap();
    world.settle().await;
    let status = status_of(&door, "alice").await;
    assert_eq!((&status["inProgress"], &status["isWarmedUp"]), (&false.into(), &false.into()), "what is off warms nobody");
    refuses(&door.send(post("alice")).await, 503);
    guard.handle().configure(off(true)).await.unwrap();
    says(&door.send(post("alice")).await, 202, "newWarmupStarted");
    world.settle().await;
    guard.stop().await;
    world.settle().await;
    let status = status_of(&door, "alice").await;
    assert_eq!((&status["inProgress"], &status["isWarmedUp"]), (&false.into(), &false.into()));
    tokio::time::sleep(seconds(6)).await;
    refuses(&door.send(post("alice")).await, 503);
    assert_eq!(door.send(of(get("/other"), "alice").cc("only-if-cached")).await.code(), 504, "the rest goes on");
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_one_user_is_nobody_elses() {
    let origin = Origin::by(|asked: &Asked| match &*asked.h("authorization") {
        "mallory" => status(429).h("retry-after", "3600"),
        "eve" => status(503).h("retry-after", "3600"),
        _ => fresh("x"),
    });
    let (world, guard, door) = open(origin, with(user()));
    let mut settings = (*guard.handle().settings()).clone();
    settings.groups = vec![(0..50).fold(Group::new("g").only_on_demand(), |group, at| group.request(&format!("/{at}")).unwrap())];
    guard.handle().configure(settings).await.unwrap();
    for who in ["mallory", "eve", "alice"] {
        says(&door.send(post(who)).await, 202, "newWarmupStarted");
    }
    let began = tokio::time::Instant::now();
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    job.ended().await;
    assert!(began.elapsed() < seconds(5) && job.fates().warm() == 50, "{:?}", began.elapsed());
    let report = guard.handle().report();
    assert_eq!((report.backoff.paused_millis, report.users.runs), (0, 3), "and nobody keeps a place for it");
    for _ in 0..3 {
        tokio::time::sleep(seconds(5)).await;
        says(&door.send(post("mallory")).await, 202, "newWarmupStarted");
        world.settle().await;
    }
    assert_eq!(world.origin.asked().iter().filter(|asked| asked.h("authorization") == "mallory").count(), 8);
}
