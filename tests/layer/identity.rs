//! Nobody gets what is another one's.

use crate::origin::{Gate, Origin, Reply, Step, data, fresh, ok, status};
use crate::world::{Ask, Got, everywhere, get, seconds, world, world_with};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use warmfront::{Rule, Settings};

/// Every combination of the switches of a rule that can be on or off.
fn combinations(by: &HeaderName) -> impl Iterator<Item = Rule> {
    let by = by.clone();
    (0..1_u32 << 8).map(move |bits| {
        let on = |bit: u32| bits >> bit & 1 == 1;
        let mut rule = everywhere().per_identity(by.clone()).tag("t");
        rule.override_origin = on(0);
        rule.ignore.no_store = on(1);
        rule.ignore.private = on(2);
        rule.ignore.set_cookie = on(3);
        rule.ignore.no_cache = on(4);
        rule.ttl = on(5).then(|| seconds(30));
        rule.stale_while_revalidate = on(6).then(|| seconds(600));
        rule.stale_if_error = on(7).then(|| seconds(600));
        rule
    })
}

/// Answers that name who asked, in every wording that could tempt a cache.
fn wordings(me: &str) -> Vec<Reply> {
    let mine = || ok(me).h("x-me", me);
    vec![
        mine().cc("max-age=60"),
        mine().cc("private, max-age=60"),
        mine().cc("public, s-maxage=60, stale-while-revalidate=600, stale-if-error=600"),
        mine().cc("no-store"),
        mine().cc("no-cache").etag("\"same\""),
        mine().cc("max-age=60").h("set-cookie", me).h("vary", "accept"),
        mine().etag("\"same\""),
        mine(),
    ]
}

fn is_only_of(got: &Got, who: &str) -> bool {
    got.broken.is_none()
        && (got.body.is_empty() || got.text() == who)
        && (!got.has("x-me") || got.h("x-me") == who)
        && !got.has("set-cookie")
        || got.h("set-cookie") == who && got.text() == who
}

#[tokio::test(start_paused = true)]
async fn no_combination_of_switches_gives_one_identity_the_bytes_of_another() {
    for by in [AUTHORIZATION, COOKIE] {
        // All of them by Authorization; a sample by Cookie, where section 3.5 has no say.
        for rule in combinations(&by).step_by(if by == COOKIE { 5 } else { 1 }) {
            for wording in 0..8 {
                let name = by.clone();
                let origin = Origin::by(move |asked| wordings(&asked.h(name.as_str()))[wording].clone().after(10)).forgetful();
                let world = world_with(Settings { rules: vec![rule.clone()], ..Settings::default() }, origin);
                let ask = |who: &str| get("/a").h(by.as_str(), who);
                // Cold and together, then warm, then stale.
                for round in 0..3 {
                    let got = world.crowd(4, |at| ask(["alice", "bob"][at % 2])).await;
                    for (at, got) in got.iter().enumerate() {
                        assert!(is_only_of(got, ["alice", "bob"][at % 2]), "{rule:?}, wording {wording}, round {round}: {got:?}");
                    }
                    world.pass(35);
                }
                // Somebody without any identity is somebody else, too.
                assert!(is_only_of(&world.get("/a").await, ""), "{rule:?}, wording {wording}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_origin_is_down_nobody_is_covered_by_what_is_anothers() {
    let rule = everywhere().per_identity(AUTHORIZATION).ttl(seconds(30)).stale_if_error(seconds(600));
    let world = world_with(Settings { rules: vec![rule], ..Settings::default() }, Origin::by(|asked| ok(&asked.h("authorization"))));
    let ask = |who: &str| get("/a").h("authorization", who);
    world.send(ask("alice")).await;
    world.pass(31);
    world.origin.becomes(status(503));
    let got = world.crowd(6, |at| ask(["alice", "bob", "carol"][at % 3])).await;
    for (at, got) in got.iter().enumerate() {
        assert_eq!((got.code(), got.body.as_ref()), if at % 3 == 0 { (200, &b"alice"[..]) } else { (503, &b""[..]) });
    }
}

#[tokio::test(start_paused = true)]
async fn each_identity_has_its_own_flight_and_its_own_hits() {
    let rule = everywhere().per_identity(AUTHORIZATION);
    let world =
        world_with(Settings { rules: vec![rule], ..Settings::default() }, Origin::by(|asked| fresh(&asked.h("authorization")).after(50)));
    let who = |at: usize| format!("user{}", at % 5);
    for _ in 0..2 {
        let got = world.crowd(50, |at| get("/a").h("authorization", &who(at))).await;
        assert!(got.iter().enumerate().all(|(at, got)| got.text() == who(at)));
    }
    assert_eq!((world.origin.calls(), world.cache.stats().entries, world.cache.stats().hits), (5, 5, 50));
}

#[tokio::test(start_paused = true)]
async fn identities_differ_by_every_octet_of_every_line() {
    let rule = everywhere().per_identity(HeaderName::from_static("x-user"));
    let lines = |asked: &[&str]| asked.iter().fold(get("/a"), |ask, line| ask.h("x-user", line));
    let world = world_with(
        Settings { rules: vec![rule], ..Settings::default() },
        Origin::by(|asked| fresh(&format!("{:?}", asked.headers.get_all("x-user")))),
    );
    let identities: [&[&str]; 9] = [&[], &[""], &["a"], &["A"], &["a", ""], &["", "a"], &["a", "b"], &["b", "a"], &["a, b"]];
    for identity in identities {
        assert!(!world.send(lines(identity)).await.is_hit(), "{identity:?}");
    }
    for identity in identities {
        assert!(world.send(lines(identity)).await.is_hit(), "{identity:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_with_credentials_is_shared_only_if_it_says_so() {
    let with = || get("/a").h("authorization", "alice");
    type Case = (&'static str, fn() -> Ask, bool);
    let cases: [Case; 6] = [
        ("max-age=60", || get("/a"), false),
        ("max-age=60, public", || get("/a"), true),
        ("max-age=60, must-revalidate", || get("/a"), true),
        ("s-maxage=60", || get("/a"), true),
        ("s-maxage=60", || get("/a").h("authorization", "bob"), true),
        ("max-age=60", || get("/a").h("authorization", "bob"), false),
    ];
    for (cache_control, other, shared) in cases {
        let reply = move |asked: &crate::origin::Asked| ok(&asked.h("authorization")).cc(cache_control).after(50);
        // One after the other, and together.
        let world_one = world(Origin::by(reply));
        world_one.send(with()).await;
        assert_eq!(world_one.send(other()).await.text() == "alice", shared, "{cache_control}");
        let together = world(Origin::by(reply));
        let got = together.crowd(10, |at| if at == 0 { with() } else { other() }).await;
        assert!(got[1..].iter().all(|got| (got.text() == "alice") == shared), "{cache_control}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_never_gets_the_leaders_private_answer() {
    for reply in [ok("").cc("private, max-age=60"), ok("").cc("max-age=60").h("set-cookie", "a=b"), ok("").cc("no-store")] {
        let gate = Gate::new();
        let opens = gate.clone();
        let world = world(Origin::by(move |asked| reply.clone().steps([data(&asked.h("cookie")), Step::Gate(opens.clone())])));
        let readers: Vec<_> = (0..10).map(|at| world.spawn(get("/a").h("cookie", &format!("user{at}")))).collect();
        world.settle().await;
        gate.open();
        for (at, reader) in readers.into_iter().enumerate() {
            assert_eq!(reader.await.unwrap().text(), format!("user{at}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_private_response_of_one_partition_is_refused_in_all_of_them() {
    let rule = everywhere().per_identity(AUTHORIZATION);
    let world = world_with(Settings { rules: vec![rule], ..Settings::default() }, Origin::always(ok("x").cc("private, max-age=60")));
    for _ in 0..2 {
        world.send(get("/a").h("authorization", "alice")).await;
    }
    assert_eq!((world.origin.calls(), world.cache.stats().entries), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn secrets_do_not_show_in_debug_output() {
    let rule = everywhere().per_identity(AUTHORIZATION);
    let world = world_with(Settings { rules: vec![rule], ..Settings::default() }, Origin::always(fresh("x").h("vary", "cookie")));
    world.send(get("/a").h("authorization", "Bearer hunter2").h("cookie", "hunter3")).await;
    let text = format!("{:?}", world.cache);
    assert!(!text.contains("hunter"), "{text}");
}
