//! What must not be used any more (RFC 9111 section 4.4), purges, and both of them against fills under way.

use crate::origin::{Asked, Gate, Origin, Reply, Step, data, fresh, ok, status};
use crate::world::{World, everywhere, get, method, world, world_under, world_with};
use http::{HeaderName, Uri};
use warmfront::cache::settings::KeySettings;
use warmfront::telemetry::Refusal;
use warmfront::{Level, Rule, Settings};

/// GET is fresh and numbered, everything else answers as `change` does.
fn numbered(change: Reply) -> Origin {
    Origin::by(move |asked| if asked.method == "GET" { fresh(&asked.number.to_string()) } else { change.clone() })
}

#[tokio::test(start_paused = true)]
async fn unsafe_and_unknown_methods_invalidate_their_target_unless_they_fail() {
    for (name, unsafe_) in
        [("POST", true), ("PUT", true), ("PATCH", true), ("DELETE", true), ("PURGE", true), ("FROBNICATE", true), ("LOCK", true)]
            .into_iter()
            .chain([("HEAD", false), ("OPTIONS", false), ("TRACE", false)])
    {
        for (code, good) in
            [(200, true), (201, true), (204, true), (299, true), (301, true), (303, true), (400, false), (404, false), (500, false)]
        {
            let world = world(numbered(status(code)));
            world.get("/a").await;
            world.send(method(name, "/a")).await;
            assert_eq!(world.get("/a").await.is_hit(), !(unsafe_ && good), "{name} {code}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_never_reached_the_origin_invalidates_nothing() {
    for change in [status(502).failure(Refusal::UpstreamClosed), status(200).failure(Refusal::UpstreamClosed), status(200).err()] {
        let world = world(numbered(change));
        world.get("/a").await;
        let _ = world.try_head(method("POST", "/a")).await;
        assert!(world.get("/a").await.is_hit());
    }
}

#[tokio::test(start_paused = true)]
async fn location_and_content_location_of_the_same_origin_are_invalidated_too() {
    for name in ["location", "content-location"] {
        for (reference, same) in [
            ("/b", true),
            ("b", true),
            ("./x/../b", true),
            ("http://example.com/b", true),
            ("HTTP://EXAMPLE.com:80/b#f", true),
            ("//example.com/b", true),
            ("https://example.com/b", false),
            ("http://other.com/b", false),
            ("http://example.com:81/b", false),
            ("http://example.com.evil/b", false),
            ("http://evil@example.com/b", false),
            ("mailto:b", false),
            ("/c", false),
        ] {
            let world = world(numbered(status(201).h(name, reference)));
            world.get("/b").await;
            world.send(method("POST", "/a")).await;
            assert_eq!(world.get("/b").await.is_hit(), !same, "{name}: {reference}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_change_invalidates_no_location_either() {
    let world = world(numbered(status(409).h("location", "/b")));
    world.get("/b").await;
    world.send(method("POST", "/a")).await;
    assert!(world.get("/b").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn all_variants_and_all_partitions_of_a_target_are_invalidated_and_no_others() {
    let rule = everywhere().per_identity(HeaderName::from_static("x-user"));
    let origin = Origin::by(|asked| fresh(&asked.number.to_string()).h("vary", "x-a"));
    let world = world_under(rule, origin);
    let asks = || ["alice", "bob", ""].into_iter().flat_map(|user| ["1", "2"].map(|a| get("/a").h("x-user", user).h("x-a", a)));
    for ask in asks() {
        world.send(ask).await;
    }
    world.get("/a").await;
    world.get("/b").await;
    world.send(method("POST", "/a").h("x-user", "mallory")).await;
    for ask in asks() {
        assert!(!world.send(ask).await.is_hit());
    }
    assert!(!world.get("/a").await.is_hit() && world.get("/b").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_change_finds_its_target_however_the_query_was_written() {
    let key = KeySettings { query_ignore: vec!["utm_*".into()], query_sort: true };
    for name in ["POST", "PUT", "DELETE"] {
        let settings = Settings { key: key.clone(), ..Settings::default() };
        let world = world_with(settings, numbered(status(201).h("location", "/b?y=1&x=1&utm_a=1")));
        world.get("/a?x=1&y=2").await;
        world.get("/b?x=1&y=1").await;
        world.send(method(name, "/a?y=2&utm_source=m&x=1")).await;
        assert!(!world.get("/a?x=1&y=2").await.is_hit(), "{name}");
        assert!(!world.get("/b?x=1&y=1").await.is_hit(), "{name}, Location");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_under_a_rule_that_passes_still_invalidates() {
    let rules = vec![Rule::path("/live").unwrap().pass()];
    let world = world_with(Settings { rules, ..Settings::default() }, numbered(status(201).h("location", "/b")));
    world.get("/b").await;
    world.send(method("POST", "/live")).await;
    assert!(!world.get("/b").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn what_was_invalidated_may_still_be_confirmed_by_the_origin() {
    let world = world(Origin::by(|asked| match asked.method.as_str() {
        "GET" if asked.has("if-none-match") => status(304).cc("max-age=60"),
        "GET" => fresh("a").etag("\"v1\""),
        _ => status(204),
    }));
    world.get("/a").await;
    world.send(method("POST", "/a")).await;
    assert_eq!(world.get("/a").await.said(), "warmfront; fwd=stale; fwd-status=304; stored");
    assert!(world.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn neither_windows_nor_max_stale_serve_what_a_change_has_invalidated() {
    let world = world(Origin::by(|asked| match asked.number {
        0 => ok("a").cc("max-age=60, stale-while-revalidate=600, stale-if-error=600"),
        1 => status(204),
        _ => status(503),
    }));
    world.get("/a").await;
    world.send(method("POST", "/a")).await;
    for ask in [get("/a"), get("/a").cc("max-stale"), get("/a").cc("stale-if-error=9")] {
        assert_eq!(world.send(ask).await.code(), 503);
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_by_target_says_how_much_there_was_and_leaves_the_rest() {
    let world = world(Origin::by(|asked| fresh(&asked.number.to_string()).h("vary", "x-a")));
    for a in ["1", "2"] {
        world.send(get("/a").h("x-a", a)).await;
    }
    world.get("/b").await;
    let uri = |text: &str| text.parse::<Uri>().unwrap();
    assert_eq!(world.cache.invalidate(&uri("http://example.com/nothing"), Level::Dead), 0);
    assert_eq!(world.cache.invalidate(&uri("http://other.com/a"), Level::Dead), 0);
    assert_eq!(world.cache.invalidate(&uri("http://EXAMPLE.com:80/a"), Level::Dead), 2);
    assert_eq!(world.cache.invalidate(&uri("http://example.com/a"), Level::Dead), 0);
    assert!(world.get("/b").await.is_hit());
    assert_eq!(world.send(get("/a").h("x-a", "1")).await.said(), "warmfront; fwd=uri-miss; stored");
}

#[tokio::test(start_paused = true)]
async fn a_purge_by_tag_finds_all_that_carry_it_and_nothing_else() {
    let rules = vec![Rule::path("/s/**").unwrap().tag("schools").tag("all"), Rule::path("/b/**").unwrap().tag("brands").tag("all")];
    for (tag, level) in [("schools", Level::Dead), ("schools", Level::Invalid), ("schools", Level::Stale), ("all", Level::Dead)] {
        let world = world_with(Settings { rules: rules.clone(), ..Settings::default() }, numbered(status(204)));
        for target in ["/s/1", "/s/2", "/b/1", "/other"] {
            world.get(target).await;
        }
        assert!(!world.cache.invalidate_tag("nobody", level));
        assert!(world.cache.invalidate_tag(tag, level));
        for (target, hit) in [("/s/1", false), ("/s/2", false), ("/b/1", tag == "schools"), ("/other", true)] {
            assert_eq!(world.get(target).await.is_hit(), hit, "{tag} {level:?} {target}");
        }
        assert!(world.get("/s/1").await.is_hit(), "what came after the purge stays");
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_of_everything_leaves_nothing_and_gives_the_memory_back() {
    let world = world(numbered(status(204)));
    for at in 0..300 {
        world.get(&format!("/{at}")).await;
    }
    assert!(world.cache.stats().bytes > 300 * 640);
    world.cache.invalidate_all(Level::Dead);
    assert!(!world.get("/7").await.is_hit() && world.get("/7").await.is_hit());
    // A thread of its own sweeps.
    while world.cache.stats().entries > 1 {
        std::thread::yield_now();
    }
    assert!(world.get("/7").await.is_hit());
}

/// A purge in one of its forms.
#[derive(Clone, Copy, Debug)]
enum Purge {
    Post,
    Location,
    Target(Level),
    Tag(Level),
    /// By a tag that only the response knows.
    Late(Level),
    /// By a group that only the response knows, and the answer to a change.
    Group,
    Prefix(Level),
    All(Level),
}

const PURGES: [Purge; 18] = [
    Purge::Post,
    Purge::Location,
    Purge::Target(Level::Stale),
    Purge::Target(Level::Invalid),
    Purge::Target(Level::Dead),
    Purge::Tag(Level::Stale),
    Purge::Tag(Level::Invalid),
    Purge::Tag(Level::Dead),
    Purge::Late(Level::Stale),
    Purge::Late(Level::Invalid),
    Purge::Late(Level::Dead),
    Purge::Group,
    Purge::Prefix(Level::Stale),
    Purge::Prefix(Level::Invalid),
    Purge::Prefix(Level::Dead),
    Purge::All(Level::Stale),
    Purge::All(Level::Invalid),
    Purge::All(Level::Dead),
];

async fn purge(world: &World, purge: Purge) {
    match purge {
        Purge::Post => drop(world.send(method("POST", "/a")).await),
        Purge::Location => drop(world.send(method("POST", "/b")).await),
        Purge::Target(level) => drop(world.cache.invalidate(&"http://example.com/a".parse().unwrap(), level)),
        Purge::Tag(level) => drop(world.cache.invalidate_tag("t", level)),
        Purge::Late(level) => drop(world.cache.invalidate_tag("late", level)),
        Purge::Group => drop(world.send(method("POST", "/group")).await),
        Purge::Prefix(level) => world.cache.invalidate_prefix("/a", level),
        Purge::All(level) => world.cache.invalidate_all(level),
    }
}

/// The answer to a change: it names `/a`, or a group.
fn changed(asked: &Asked) -> Reply {
    if asked.target() == "/group" { status(200).h("cache-group-invalidation", "\"late\"") } else { status(201).h("location", "/a") }
}

/// A response that says itself what it belongs to.
fn tagged(reply: Reply) -> Reply {
    reply.h("cache-tag", "x, late").h("cache-groups", "\"late\"")
}

/// An origin whose `number`th GET says `old` slowly, through `gate`; later ones say `new`.
fn slowly(number: usize, gate: &Gate, first: Option<Reply>, old: fn(Gate) -> Reply) -> Origin {
    let gets = std::sync::atomic::AtomicUsize::new(0);
    let gate = gate.clone();
    Origin::by(move |asked| {
        if asked.method == "POST" {
            return changed(asked);
        }
        let at = gets.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        match &first {
            Some(first) if at < number => tagged(first.clone()),
            _ if at == number => tagged(old(gate.clone())),
            _ => fresh("new"),
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_cold_fill_leaves_nothing_of_it() {
    let at_headers: fn(Gate) -> Reply = |gate| fresh("old").first(Step::Gate(gate));
    let mid_body: fn(Gate) -> Reply = |gate| fresh("").steps([data("o"), Step::Gate(gate), data("ld")]);
    for by in PURGES {
        for (old, is_known) in [(at_headers, false), (mid_body, true)] {
            let gate = Gate::new();
            let world = world_under(everywhere().tag("t"), slowly(0, &gate, None, old));
            let leader = world.spawn(get("/a"));
            world.settle().await;
            purge(&world, by).await;
            let later = world.spawn(get("/a"));
            world.settle().await;
            if matches!(by, Purge::Late(_) | Purge::Group) && !is_known {
                gate.open(); // nobody knows yet what it will belong to
                world.settle().await;
            }
            assert!(later.is_finished(), "{by:?}: it joined the old flight");
            assert_eq!(later.await.unwrap().text(), "new", "{by:?}");
            gate.open();
            assert_eq!(leader.await.unwrap().text(), "old", "{by:?}");
            assert_eq!(world.get("/a").await.text(), "new", "{by:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_cold_fill_that_nobody_follows_leaves_nothing_either() {
    for by in PURGES {
        let gate = Gate::new();
        let world = world_under(everywhere().tag("t"), slowly(0, &gate, None, |gate| fresh("old").first(Step::Gate(gate))));
        let leader = world.spawn(get("/a"));
        world.settle().await;
        purge(&world, by).await;
        gate.open();
        assert_eq!(leader.await.unwrap().text(), "old", "{by:?}");
        assert_eq!(world.get("/a").await.text(), "new", "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_revalidation_is_not_undone_by_its_304() {
    for by in PURGES {
        let gate = Gate::new();
        let stored = fresh("old").etag("\"v1\"");
        let world =
            world_under(everywhere().tag("t"), slowly(1, &gate, Some(stored), |gate| status(304).cc("max-age=60").first(Step::Gate(gate))));
        world.get("/a").await;
        world.pass(61);
        let leader = world.spawn(get("/a"));
        world.settle().await;
        purge(&world, by).await;
        gate.open();
        assert_eq!(leader.await.unwrap().text(), "old", "{by:?}");
        assert_eq!(world.get("/a").await.text(), "new", "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_refresh_behind_a_stale_hit_is_not_undone() {
    let old: fn(Gate) -> Reply = |gate| fresh("old").first(Step::Gate(gate));
    let confirms: fn(Gate) -> Reply = |gate| status(304).cc("max-age=60").first(Step::Gate(gate));
    for by in PURGES {
        for answer in [old, confirms] {
            let gate = Gate::new();
            let stored = ok("old").cc("max-age=60, stale-while-revalidate=60").etag("\"v1\"");
            let world = world_under(everywhere().tag("t"), slowly(1, &gate, Some(stored), answer));
            world.get("/a").await;
            world.pass(61);
            assert_eq!(world.get("/a").await.text(), "old");
            world.settle().await;
            purge(&world, by).await;
            gate.open();
            world.settle().await;
            assert!(!world.has_fresh("/a"), "{by:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_request_that_goes_alone_leaves_nothing_of_it() {
    let at_headers: fn(Gate) -> Reply = |gate| fresh("old").first(Step::Gate(gate));
    let mid_body: fn(Gate) -> Reply = |gate| fresh("").steps([data("o"), Step::Gate(gate), data("ld")]);
    for by in PURGES {
        for old in [at_headers, mid_body] {
            let gate = Gate::new();
            // The private answer makes the next request go alone.
            let world = world_under(everywhere().tag("t"), slowly(1, &gate, Some(ok("x").cc("private")), old));
            world.get("/a").await;
            let alone = world.spawn(get("/a"));
            world.settle().await;
            purge(&world, by).await;
            gate.open();
            assert_eq!(alone.await.unwrap().text(), "old", "{by:?}");
            assert_eq!(world.get("/a").await.text(), "new", "{by:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_range_leaves_nothing_of_the_part() {
    for by in PURGES {
        let gate = Gate::new();
        let old: fn(Gate) -> Reply =
            |gate| fresh("ol").status(206).h("content-range", "bytes 0-1/3").etag("\"v1\"").first(Step::Gate(gate));
        let world = world_under(everywhere().tag("t"), slowly(0, &gate, None, old));
        let range = || get("/a").h("range", "bytes=0-1");
        let first = world.spawn(range());
        world.settle().await;
        purge(&world, by).await;
        gate.open();
        assert_eq!(first.await.unwrap().text(), "ol");
        assert_eq!(world.send(range()).await.text(), "new", "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_head_is_not_undone_by_its_answer() {
    for by in PURGES {
        let gate = Gate::new();
        let slow = gate.clone();
        let world = world_under(
            everywhere().tag("t"),
            Origin::by(move |asked| match asked.method.as_str() {
                "HEAD" => fresh("").etag("\"v1\"").first(Step::Gate(slow.clone())),
                "POST" => changed(asked),
                _ if asked.number == 0 => tagged(fresh("old").etag("\"v1\"")),
                _ => fresh("new"),
            }),
        );
        world.get("/a").await;
        let head = world.spawn(method("HEAD", "/a").cc("no-cache"));
        world.settle().await;
        purge(&world, by).await;
        gate.open();
        head.await.unwrap();
        assert_eq!(world.get("/a").await.text(), "new", "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_post_leaves_nothing_of_the_answer_that_it_would_have_stored() {
    for by in PURGES {
        let gate = Gate::new();
        let slow = gate.clone();
        let world = world_under(
            everywhere().tag("t"),
            Origin::by(move |asked| match (asked.method.as_str(), asked.number) {
                ("POST", 0) => tagged(fresh("old").h("content-location", "/a").first(Step::Gate(slow.clone()))),
                ("POST", _) => changed(asked),
                _ => fresh("new"),
            }),
        );
        let post = world.spawn(method("POST", "/a"));
        world.settle().await;
        purge(&world, by).await;
        gate.open();
        assert_eq!(post.await.unwrap().text(), "old");
        assert_eq!(world.get("/a").await.text(), "new", "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_while_a_private_partition_is_filled_reaches_that_partition() {
    let gate = Gate::new();
    let rule = everywhere().per_identity(HeaderName::from_static("x-user"));
    let world = world_under(rule, slowly(0, &gate, None, |gate| fresh("old").first(Step::Gate(gate))));
    let mine = || get("/a").h("x-user", "alice");
    let leader = world.spawn(mine());
    world.settle().await;
    world.send(method("POST", "/a").h("x-user", "bob")).await;
    gate.open();
    assert_eq!(leader.await.unwrap().text(), "old");
    assert_eq!(world.send(mine()).await.text(), "new");
}

#[tokio::test(start_paused = true)]
async fn after_a_purge_by_tag_the_next_crowd_is_one_question() {
    let gate = Gate::new();
    let world = world_under(everywhere().tag("t"), slowly(0, &gate, None, |gate| fresh("old").first(Step::Gate(gate))));
    let leader = world.spawn(get("/a"));
    world.settle().await;
    world.cache.invalidate_tag("t", Level::Dead);
    let got = world.crowd(20, |_| get("/a")).await;
    assert!(got.iter().all(|got| got.text() == "new"));
    assert_eq!(world.origin.calls(), 2);
    gate.open();
    assert_eq!(leader.await.unwrap().text(), "old");
}

#[tokio::test(start_paused = true)]
async fn the_sweep_after_a_purge_takes_nothing_that_came_after_it() {
    let world = world_under(everywhere().tag("t"), numbered(status(204)).forgetful());
    for _ in 0..2_000 {
        world.get("/a").await;
        world.cache.invalidate_tag("t", Level::Dead);
        assert!(!world.get("/a").await.is_hit());
        assert!(world.get("/a").await.is_hit());
    }
}
