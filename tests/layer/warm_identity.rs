//! Warming for one user gives nobody what is another one's, whatever is configured and whatever the origin says.

use crate::origin::{Asked, Origin, Reply, fresh, ok};
use crate::world::{Ask, Got, World, everywhere, get, method, seconds};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use warmfront::cache::settings::KeySettings;
use warmfront::warm::{Group, Target, UserSettings, WarmSettings};
use warmfront::{Rule, Settings};

const USERS: [&str; 2] = ["alice", "bob"];

/// Every combination of switches that could bring two users together.
fn combinations(by: &HeaderName) -> impl Iterator<Item = Settings> {
    let by = by.clone();
    (0..1_u32 << 11).map(move |bits| {
        let on = |bit: u32| bits >> bit & 1 == 1;
        let mut rule = everywhere();
        rule.override_origin = on(0);
        rule.ignore.no_store = on(1);
        rule.ignore.private = on(2);
        rule.ignore.set_cookie = on(3);
        rule.ignore.no_cache = on(4);
        rule.ttl = on(5).then(|| seconds(30));
        rule.stale_while_revalidate = on(6).then(|| seconds(600));
        rule.stale_if_error = on(6).then(|| seconds(600));
        if on(7) {
            rule = rule.tag("t");
        }
        let key = KeySettings { query_sort: on(8), query_ignore: if on(8) { vec!["u*".into()] } else { Vec::new() } };
        if on(9) {
            rule.key = Some(key.clone());
        }
        rule = rule.per_identity(by.clone());
        Settings { rules: vec![rule], key, heuristic: on(10), default_ttl: seconds(if on(10) { 60 } else { 0 }), ..Settings::default() }
    })
}

/// Answers that name who asked, in every wording that could tempt a cache.
fn wordings(me: &str) -> Vec<Reply> {
    let mine = || ok(me).h("x-me", me);
    vec![
        mine().cc("max-age=60"),
        mine().cc("private, max-age=60"),
        mine().cc("public, s-maxage=60, stale-while-revalidate=600, stale-if-error=600").h("cache-tag", "t"),
        mine().cc("no-store"),
        mine().cc("no-cache").etag("\"same\""),
        mine().cc("max-age=60").h("set-cookie", me).h("vary", "accept"),
        mine().h("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ]
}

fn is_only_of(got: &Got, who: &str) -> bool {
    got.broken.is_none()
        && (got.body.is_empty() || got.text() == who)
        && (!got.has("x-me") || got.h("x-me") == who)
        && (!got.has("set-cookie") || got.h("set-cookie") == who)
}

/// What is warmed for a user; one of them has a query that normalising touches.
fn user(by: &HeaderName) -> UserSettings {
    let requests = ["/me", "/me?z=1&u=2&a=3"].map(|target| Target::parse(target).unwrap()).into();
    UserSettings { requests, identity: warmfront::cache::rules::Identity { header: by.clone() }, ..UserSettings::default() }
}

fn warm_settings(by: &HeaderName) -> WarmSettings {
    let group = Group::new("g").only_on_demand().request("/me").unwrap().request("/me?z=1&u=2&a=3").unwrap();
    WarmSettings { user: Some(user(by)), groups: vec![group], max_rate: 0, ..WarmSettings::default() }
}

fn from(ask: Ask, by: &HeaderName, who: &str) -> Ask {
    ask.h(by.as_str(), who)
}

#[tokio::test(start_paused = true)]
async fn no_combination_of_switches_warms_one_identity_for_another() {
    for by in [AUTHORIZATION, COOKIE] {
        // Steps that share no factor with the switches: each of them meets each wording in both positions.
        for (number, settings) in combinations(&by).enumerate().step_by(if by == COOKIE { 37 } else { 7 }) {
            let wording = number % 7;
            let name = by.clone();
            let origin = Origin::by(move |asked: &Asked| wordings(&asked.h(name.as_str())).swap_remove(wording)).forgetful();
            let world = World::running(settings.clone(), origin);
            let guard = world.warm(world.plan().settings(warm_settings(&by)).host("example.com".parse().unwrap()));
            let door = world.door(&guard);
            for who in USERS {
                assert_eq!(door.send(from(method("POST", "/api/user/warmup"), &by, who)).await.code(), 202);
            }
            // At the same time a run that is nobody's.
            guard.handle().run(None, true).await.unwrap().unwrap().ended().await;
            world.settle().await;
            for round in 0..2 {
                for target in ["/me", "/me?z=1&u=2&a=3", "/me?a=3&z=1"] {
                    for who in ["alice", "bob", "carol"] {
                        let got = door.send(from(get(target), &by, who)).await;
                        assert!(is_only_of(&got, who), "{settings:?}, wording {wording}, round {round}: {got:?}");
                        assert!(round > 0 || who != "carol" || !got.is_hit() || target != "/me", "nobody has warmed it for carol");
                    }
                    let nobody = door.send(get(target)).await;
                    assert!(is_only_of(&nobody, ""), "{settings:?}, wording {wording}: {nobody:?}");
                }
                tokio::time::sleep(seconds(35)).await; // stale, or refreshed ahead
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_partition_by_that_header_is_never_asked_for_with_it() {
    let me = || Rule::path("/me/**").unwrap();
    let rules: [(Vec<Rule>, &[&str]); 6] = [
        (vec![], &[]),
        (vec![me().ttl(seconds(60))], &[]),
        (vec![me().pass(), me().per_identity(AUTHORIZATION)], &[]),
        (vec![me().per_identity(COOKIE)], &[]),
        (vec![me().per_identity(AUTHORIZATION)], &["/me/a", "/me/b", "/me/b?x"]),
        (vec![Rule::path("/me/b").unwrap().ttl(seconds(60)), everywhere().per_identity(AUTHORIZATION)], &["/me/a", "/other"]),
    ];
    for (rules, sent) in rules {
        let world = World::running(Settings { rules, ..Settings::default() }, Origin::by(|asked: &Asked| fresh(&asked.h("authorization"))));
        let requests = ["/me/a", "/me/b", "/me/b?x", "/other"].map(|target| Target::parse(target).unwrap()).into();
        let user = UserSettings { requests, ..UserSettings::default() };
        let guard = world.warm(world.plan().settings(WarmSettings { user: Some(user), ..WarmSettings::default() }));
        let door = world.door(&guard);
        assert_eq!(door.send(method("POST", "/api/user/warmup").h("authorization", "alice")).await.code(), 202);
        tokio::time::sleep(seconds(1)).await;
        let mut asked: Vec<String> = world.origin.asked().iter().map(|asked| asked.target().to_owned()).collect();
        asked.sort();
        assert_eq!(asked, sent);
        let status = door.send(get("/api/user/warmup").h("authorization", "alice")).await;
        let status: serde_json::Value = serde_json::from_str(status.text()).unwrap();
        let (warmed, failed) = (&status["warmupStatus"]["isWarmedUp"], &status["warmupStatus"]["failed"]);
        assert_eq!((warmed, failed), (&(!sent.is_empty()).into(), &if sent.is_empty() { 0 } else { 4 - sent.len() }.into()), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn identities_are_compared_to_the_last_octet_of_the_last_line() {
    let rule = everywhere().per_identity(AUTHORIZATION).ttl(seconds(60));
    let world = World::running(
        Settings { rules: vec![rule], ..Settings::default() },
        Origin::by(|asked: &Asked| {
            let lines = asked.headers.get_all("authorization").iter();
            ok(&format!("{:?}", lines.map(|line| line.to_str().unwrap()).collect::<Vec<_>>()))
        }),
    );
    let guard = world.warm(world.plan().settings(WarmSettings { max_rate: 0, ..warm_settings(&AUTHORIZATION) }));
    let door = world.door(&guard);
    let huge = "h".repeat(60_000);
    let identities: [&[&str]; 8] = [&["a"], &["A"], &["a", ""], &["", "a"], &["a", "b"], &["b", "a"], &["a, b"], &[&huge]];
    let ask = |ask: Ask, lines: &[&str]| lines.iter().fold(ask, |ask, line| ask.h("authorization", line));
    for identity in identities {
        assert_eq!(door.send(ask(method("POST", "/api/user/warmup"), identity)).await.code(), 202, "{identity:?}");
        world.settle().await;
        let got = door.send(ask(get("/me"), identity)).await;
        assert!(got.is_hit() && got.text() == format!("{identity:?}"), "{identity:?}");
    }
    for nobody in [&[][..], &[""], &["", ""]] {
        assert_eq!(door.send(ask(method("POST", "/api/user/warmup"), nobody)).await.code(), 401, "{nobody:?}");
    }
}
