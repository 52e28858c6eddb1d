//! What responses say that they belong to, purges by prefix, and what changes invalidate by rule.

use crate::origin::{Asked, Gate, Origin, Reply, Step, data, fresh, ok, status};
use crate::world::{World, everywhere, get, method, world, world_under, world_with};
use warmfront::{Invalidation, Level, Rule, Settings};

/// GETs are fresh, numbered, and carry what `tags` adds; everything else answers as `change` does.
fn tagged(tags: impl Fn(&Asked, Reply) -> Reply + Send + Sync + 'static, change: Reply) -> Origin {
    Origin::by(move |asked| if asked.method == "GET" { tags(asked, fresh(&asked.number.to_string())) } else { change.clone() })
}

fn plain() -> Origin {
    tagged(|_, reply| reply, status(204))
}

/// Asks for all of `targets`, and says which of them are hits then.
async fn hits(world: &World, targets: &[&str]) -> Vec<bool> {
    let mut hits = Vec::new();
    for target in targets {
        hits.push(world.get(target).await.is_hit());
    }
    hits
}

#[tokio::test(start_paused = true)]
async fn a_purge_by_tag_finds_what_a_response_said_of_itself() {
    for (name, value, tag) in
        [("cache-tag", "x, b c ,d", "b c"), ("cache-tag", "b", "b"), ("surrogate-key", "x b  d", "d"), ("surrogate-key", "b,c", "b,c")]
    {
        for level in [Level::Stale, Level::Invalid, Level::Dead] {
            let origin = tagged(move |asked, reply| if asked.target() == "/a" { reply.h(name, value) } else { reply }, status(204));
            let world = world(origin);
            hits(&world, &["/a", "/b"]).await;
            assert!(!world.cache.invalidate_tag("c", level) && !world.cache.invalidate_tag("B", level), "{name}");
            assert_eq!(hits(&world, &["/a", "/b"]).await, [true, true]);
            assert!(world.cache.invalidate_tag(tag, level), "{name}: {value}");
            assert_eq!(hits(&world, &["/a", "/b"]).await, [false, true], "{name}: {value} {level:?}");
            assert_eq!(hits(&world, &["/a"]).await, [true]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tags_of_rules_and_of_responses_are_one_name_space_and_groups_are_another() {
    let rules = vec![Rule::path("/rule").unwrap().tag("t")];
    let origin = tagged(
        |asked, reply| match asked.target() {
            "/field" => reply.h("surrogate-key", "t"),
            "/group" => reply.h("cache-groups", "\"t\""),
            _ => reply,
        },
        status(204),
    );
    let world = world_with(Settings { rules, ..Settings::default() }, origin);
    let all = ["/rule", "/field", "/group"];
    hits(&world, &all).await;
    world.cache.invalidate_tag("t", Level::Dead);
    assert_eq!(hits(&world, &all).await, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_a_purge_could_not_find_is_not_stored() {
    let (long, many) = ("x".repeat(1025), vec!["x"; 513].join(" "));
    for (name, value) in [
        ("cache-tag", "a,\u{e9}"),
        ("cache-tag", long.as_str()),
        ("surrogate-key", many.as_str()),
        ("cache-groups", "token"),
        ("cache-groups", "\"open"),
    ] {
        let value = value.to_owned();
        let world = world(tagged(move |_, reply| reply.h(name, &value), status(204)));
        assert_eq!(world.get("/a").await.said(), "warmfront; fwd=uri-miss; detail=tags", "{name}");
        assert!(!world.get("/a").await.is_hit());
    }
    let world = world(Origin::by(|_| ok("x").cc("max-age=60, no-cache=\"cache-tag\"").h("cache-tag", "a")));
    assert_eq!(world.get("/a").await.said(), "warmfront; fwd=uri-miss; detail=tags");
}

#[tokio::test(start_paused = true)]
async fn the_tags_of_a_304_replace_the_stored_ones_and_without_any_they_stay() {
    for (confirm, purges) in [(None, &[("b", true), ("a", false)][..]), (Some("b"), &[("a", true), ("b", false)])] {
        let origin = Origin::by(move |asked| match (asked.has("if-none-match"), confirm) {
            (false, _) => fresh("a").etag("\"v\"").h("cache-tag", "a"),
            (true, None) => status(304).cc("max-age=60"),
            (true, Some(tag)) => status(304).cc("max-age=60").h("cache-tag", tag),
        });
        let world = world(origin);
        world.get("/a").await;
        world.pass(61);
        world.get("/a").await;
        for (tag, kept) in purges {
            world.cache.invalidate_tag(tag, Level::Stale);
            assert_eq!(world.has_fresh("/a"), *kept, "{confirm:?} {tag}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_keeps_the_tags_of_what_it_freshens() {
    let world = world(Origin::by(|asked| match asked.method.as_str() {
        "HEAD" => fresh("").etag("\"v\"").h("x-new", "1"),
        _ => fresh("a").etag("\"v\"").h("cache-tag", "a"),
    }));
    world.get("/a").await;
    world.send(method("HEAD", "/a").cc("no-cache")).await;
    assert!(world.get("/a").await.has("x-new"));
    assert!(world.cache.invalidate_tag("a", Level::Dead) && !world.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_change_invalidates_groups_of_its_host_alone_by_both_schemes() {
    let origin =
        tagged(|_, reply| reply.h("cache-groups", "\"a\", \"b c\""), status(200).h("cache-group-invalidation", "\"x\", \"b c\";p"));
    let world = world(origin);
    let asks =
        || ["http://example.com/1", "http://example.com:81/1", "https://example.com/1", "http://other.com/1"].map(|uri| get("/").uri(uri));
    for ask in asks() {
        world.send(ask).await;
    }
    world.send(method("PUT", "/elsewhere")).await;
    let mut hits = Vec::new();
    for ask in asks() {
        hits.push(world.send(ask).await.is_hit());
    }
    assert_eq!(hits, [false, true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn groups_are_invalidated_by_unsafe_requests_that_went_well_and_understandable_fields_only() {
    for (name, code, value, kept) in [
        ("PUT", 200, "\"g\"", false),
        ("PUT", 303, "\"g\"", false),
        ("PUT", 400, "\"g\"", true),
        ("PUT", 500, "\"g\"", true),
        ("PUT", 200, "g", true),
        ("PUT", 200, "\"G\"", true),
        ("OPTIONS", 200, "\"g\"", true),
    ] {
        let world = world(tagged(|_, reply| reply.h("cache-groups", "\"g\""), status(code).h("cache-group-invalidation", value)));
        world.get("/a").await;
        world.send(method(name, "/b")).await;
        assert_eq!(world.get("/a").await.is_hit(), kept, "{name} {code} {value}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_purge_of_what_is_being_streamed_the_next_crowd_is_one_question() {
    for by_prefix in [false, true] {
        let gate = Gate::new();
        let slow = gate.clone();
        let world = world(Origin::by(move |asked| match asked.number {
            0 => fresh("").h("cache-tag", "t").steps([data("o"), Step::Gate(slow.clone()), data("ld")]),
            _ => fresh("new").h("cache-tag", "t"),
        }));
        let leader = world.spawn(get("/a"));
        world.settle().await;
        if by_prefix {
            world.cache.invalidate_prefix("/a", Level::Dead);
        } else {
            assert!(world.cache.invalidate_tag("t", Level::Dead));
        }
        let got = world.crowd(20, |_| get("/a")).await;
        assert!(got.iter().all(|got| got.text() == "new"));
        assert_eq!(world.origin.calls(), 2);
        gate.open();
        assert_eq!(leader.await.unwrap().text(), "old");
        assert_eq!(world.get("/a").await.text(), "new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_waited_for_what_turns_out_to_be_purged_asks_one_question_more() {
    let gate = Gate::new();
    let slow = gate.clone();
    let world = world(Origin::by(move |asked| match asked.number {
        0 => fresh("old").h("cache-tag", "t").first(Step::Gate(slow.clone())),
        _ => fresh("new").h("cache-tag", "t"),
    }));
    let leader = world.spawn(get("/a"));
    world.settle().await;
    let crowd: Vec<_> = (0..20).map(|_| world.spawn(get("/a"))).collect();
    world.settle().await;
    assert!(!world.cache.invalidate_tag("t", Level::Dead), "nobody knows yet that anything carries it");
    gate.open();
    assert_eq!(leader.await.unwrap().text(), "old");
    for follower in crowd {
        assert_eq!(follower.await.unwrap().text(), "new");
    }
    assert_eq!(world.origin.calls(), 2);
    assert!(world.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_purge_by_prefix_meets_all_paths_that_begin_so_and_no_others() {
    let all = ["/api/ch", "/api/ch/1?a=1", "/api/channels", "/api/c", "/API/ch", "/x?y=/api/ch"];
    for (prefix, kept) in [
        ("/api/ch", [false, false, false, true, true, true]),
        ("/api/ch/", [true, false, true, true, true, true]),
        ("/api/ch?a=2", [false, false, false, true, true, true]),
        ("http://example.com/api/", [false, false, false, false, true, true]),
        ("http://other.com/", [true; 6]),
        ("/", [false; 6]),
        ("api", [true; 6]),
    ] {
        for level in [Level::Stale, Level::Invalid, Level::Dead] {
            let world = world(plain());
            hits(&world, &all).await;
            world.cache.invalidate_prefix(prefix, level);
            assert_eq!(hits(&world, &all).await, kept, "{prefix} {level:?}");
            assert_eq!(hits(&world, &all).await, [true; 6], "{prefix} {level:?}: what came after the purge stays");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_by_prefix_reaches_every_partition_and_variant() {
    let rule = everywhere().per_identity(http::HeaderName::from_static("x-user"));
    let world = world_under(rule, tagged(|_, reply| reply.h("vary", "x-a"), status(204)));
    let asks = || ["alice", "bob"].into_iter().flat_map(|user| ["1", "2"].map(|a| get("/a").h("x-user", user).h("x-a", a)));
    for ask in asks() {
        world.send(ask).await;
    }
    world.cache.invalidate_prefix("/a", Level::Invalid);
    for ask in asks() {
        assert!(!world.send(ask).await.is_hit());
    }
}

#[tokio::test(start_paused = true)]
async fn many_purges_by_prefix_all_hold() {
    let world = world(plain());
    let targets: Vec<String> = (0..150).map(|at| format!("/{at:03}/x")).collect();
    for target in &targets {
        world.get(target).await;
    }
    for at in 0..150 {
        world.cache.invalidate_prefix(&format!("/{at:03}/"), Level::Dead);
    }
    for target in &targets {
        assert!(!world.get(target).await.is_hit(), "{target}");
    }
    while world.cache.stats().entries > 150 {
        std::thread::yield_now(); // a thread of its own sweeps
    }
}

/// A world where a change of `/change` follows `rule`; `/t` has the tag, `/p/1` the prefix.
fn ruled(rule: Invalidation, smart_invalidation: bool, answer: u16) -> World {
    let rules = vec![Rule::path("/t").unwrap().tag("t")];
    let settings = Settings { rules, invalidations: vec![rule], smart_invalidation, ..Settings::default() };
    world_with(settings, tagged(|_, reply| reply, status(answer)))
}

#[tokio::test(start_paused = true)]
async fn a_change_invalidates_what_its_rule_names_before_it_is_answered() {
    let base = || Invalidation::path("/change/*").unwrap();
    for (rule, kept) in [
        (base().tag("t"), [false, true, true]),
        (base().prefix("/p/"), [true, false, true]),
        (base().tag("t").prefix("/p/"), [false, false, true]),
        (base().tag("t").prefix("/p/").warm(), [false, false, true]), // nobody warms
        (base().group("g"), [true, true, true]),
        (base().group("g").warm(), [true, true, true]),
        (base().tag("t").group("g"), [false, true, true]),
    ] {
        let world = ruled(rule.clone(), true, 200);
        hits(&world, &["/t", "/p/1", "/o"]).await;
        world.send(method("POST", "/change/1").body("x")).await;
        assert_eq!(hits(&world, &["/t", "/p/1", "/o"]).await, kept, "{rule:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_for_changes_asks_for_its_method_its_path_success_and_the_switch() {
    let rule = || Invalidation::path("/change").unwrap().tag("t");
    let named = |names: &[&str]| rule().methods(names.iter().map(|name| name.parse().unwrap()));
    for (rule, smart, ask, answer, hit) in [
        (rule(), true, "POST /change", 201, true),
        (rule(), true, "PUT /change", 204, true),
        (rule(), true, "PATCH /change", 303, true),
        (rule(), true, "DELETE /change", 200, true),
        (rule(), true, "LOCK /change", 200, false),
        (named(&["LOCK"]), true, "LOCK /change", 200, true),
        (named(&["LOCK"]), true, "POST /change", 200, false),
        (named(&["GET", "OPTIONS"]), true, "OPTIONS /change", 200, false),
        (rule(), true, "POST /change/1", 200, false),
        (rule(), true, "POST /change", 400, false),
        (rule(), true, "POST /change", 404, false),
        (rule(), true, "POST /change", 503, false),
        (rule(), false, "POST /change", 200, false),
    ] {
        let world = ruled(rule, smart, answer);
        world.get("/t").await;
        let (name, target) = ask.split_once(' ').unwrap();
        world.send(method(name, target)).await;
        assert_eq!(world.get("/t").await.is_hit(), !hit, "{ask} {answer} {smart}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_smart_invalidation_a_change_still_invalidates_its_own_target() {
    let world = ruled(Invalidation::path("/**").unwrap().tag("t"), false, 200);
    hits(&world, &["/t", "/a"]).await;
    world.send(method("PUT", "/a")).await;
    assert_eq!(hits(&world, &["/t", "/a"]).await, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn all_rules_that_match_a_change_apply() {
    let rules = vec![Rule::path("/t").unwrap().tag("t")];
    let one = |pattern: &str| Invalidation::path(pattern).unwrap();
    let invalidations = vec![one("/change").tag("t"), one("/change/**").prefix("/p/"), one("/other").prefix("/o")];
    let world = world_with(Settings { rules, invalidations, ..Settings::default() }, plain());
    hits(&world, &["/t", "/p/1", "/o"]).await;
    world.send(method("DELETE", "/change")).await;
    assert_eq!(hits(&world, &["/t", "/p/1", "/o"]).await, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_change_does_not_hit_the_answer_that_it_leaves_for_later_gets() {
    let rule = Invalidation::path("/**").unwrap().tag("own").prefix("/a");
    let origin = Origin::by(|asked| match asked.method.as_str() {
        "POST" => fresh("new").h("content-location", "/a").h("cache-tag", "own"),
        _ => fresh("old").h("cache-tag", "own"),
    });
    let world = world_with(Settings { invalidations: vec![rule], ..Settings::default() }, origin);
    hits(&world, &["/a", "/b"]).await;
    world.send(method("POST", "/a")).await;
    let got = world.get("/a").await;
    assert_eq!((got.text(), got.is_hit(), world.get("/b").await.is_hit()), ("new", true, false));
}

#[tokio::test(start_paused = true)]
async fn each_call_and_each_change_counts_once() {
    let world = ruled(Invalidation::path("/**").unwrap().tag("t").prefix("/p").prefix("/q"), true, 200);
    let count = || world.cache.stats().invalidations;
    world.get("/t").await;
    world.send(method("OPTIONS", "/t")).await;
    assert_eq!(count(), 0);
    world.send(method("PUT", "/t")).await;
    assert_eq!(count(), 1);
    world.cache.invalidate_tag("nobody", Level::Stale);
    world.cache.invalidate_prefix("/", Level::Stale);
    world.cache.invalidate_all(Level::Stale);
    world.cache.invalidate(&"http://example.com/t".parse().unwrap(), Level::Stale);
    assert_eq!(count(), 5);
}
