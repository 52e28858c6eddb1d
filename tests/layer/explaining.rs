//! What is explained is what happens, nobody is asked for it, and every request that does happen is counted once.

use crate::origin::{Origin, Step, fresh, ok, status};
use crate::world::{Ask, World, everywhere, get, method, world, world_under, world_with};
use serde_json::Value;
use warmfront::telemetry::Refusal;
use warmfront::{Level, Rule, Settings};

fn told(world: &World, ask: &Ask) -> Value {
    world.cache.explain(ask.0.clone()).to_json()
}

/// Explains a request, makes it, and compares; what the explanation said.
async fn explained_and_done(world: &World, ask: Ask) -> Value {
    let (calls, before) = (world.origin.calls(), world.cache.stats());
    let told = told(world, &ask);
    assert_eq!((world.origin.calls(), world.cache.stats()), (calls, before), "nobody is asked, and nothing is counted");
    let got = world.send(ask).await;
    let said = got.said().to_owned();
    let is = |outcome: &str| told["verdict"]["outcome"] == outcome;
    match told["verdict"]["outcome"].as_str().unwrap() {
        "hit" => assert!(got.is_hit() && !said.contains("detail"), "{said}: {told}"),
        "stale" => assert!(got.is_hit() && said.contains("detail"), "{said}: {told}"),
        "refused" => assert!(said.contains("only-if-cached"), "{said}: {told}"),
        _ => {
            let forward = told["verdict"]["forward"].as_str().unwrap();
            assert!(said.contains(&format!("fwd={forward}")), "{said}: {told}");
            assert!(world.origin.calls() > calls);
            assert_eq!(is("validate"), world.origin.last().headers.contains_key("if-none-match"), "{told}");
        }
    }
    if let Some(detail) = told["verdict"]["detail"].as_str() {
        assert!(said.contains(&format!("detail={detail}")), "{said}: {told}");
    }
    told
}

/// One variant for English, with an entity tag and windows.
fn windowed() -> crate::origin::Reply {
    ok("a").cc("max-age=60, stale-while-revalidate=30").etag("\"v1\"").h("vary", "accept-language")
}

#[tokio::test(start_paused = true)]
async fn what_is_explained_is_what_happens() {
    let english = |target: &str| get(target).h("accept-language", "en");
    let rules = vec![Rule::path("/pass").unwrap().pass()];
    for (name, pass, level, ask, outcome) in [
        ("nothing is there", 0, Level::Valid, english("/other"), "miss"),
        ("it is fresh", 59, Level::Valid, english("/a"), "hit"),
        ("another variant", 0, Level::Valid, get("/a").h("accept-language", "de"), "miss"),
        ("inside the window", 61, Level::Valid, english("/a"), "stale"),
        ("beyond the window", 91, Level::Valid, english("/a"), "validate"),
        ("the client tolerates it", 91, Level::Valid, english("/a").cc("max-stale=60"), "stale"),
        ("the client wants the origin's word", 0, Level::Valid, english("/a").cc("no-cache"), "validate"),
        ("the client wants it younger", 10, Level::Valid, english("/a").cc("max-age=5"), "validate"),
        ("the client wants it fresh for longer", 10, Level::Valid, english("/a").cc("min-fresh=55"), "validate"),
        ("softly invalidated", 0, Level::Stale, english("/a"), "stale"),
        ("invalidated", 0, Level::Invalid, english("/a"), "validate"),
        ("purged", 0, Level::Dead, english("/a"), "miss"),
        ("only if cached, and it is", 0, Level::Valid, english("/a").cc("only-if-cached"), "hit"),
        ("only if cached, and it is not", 0, Level::Valid, get("/b").cc("only-if-cached"), "refused"),
        ("a rule passes", 0, Level::Valid, get("/pass"), "pass"),
        ("another method", 0, Level::Valid, method("DELETE", "/a"), "pass"),
        ("an upgrade", 0, Level::Valid, english("/a").h("upgrade", "websocket"), "pass"),
        ("a field that overrides the method", 0, Level::Valid, english("/a").h("x-http-method-override", "PUT"), "pass"),
        ("a HEAD of what is fresh", 0, Level::Valid, Ask(method("HEAD", "/a").h("accept-language", "en").0), "hit"),
        ("a HEAD of nothing", 0, Level::Valid, method("HEAD", "/b"), "pass"),
    ] {
        let world = world_with(Settings { rules: rules.clone(), ..Settings::default() }, Origin::always(windowed()));
        world.send(english("/a")).await;
        world.pass(pass);
        world.cache.invalidate(&"http://example.com/a".parse().unwrap(), level);
        let told = explained_and_done(&world, ask).await;
        assert_eq!(told["verdict"]["outcome"], outcome, "{name}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_arithmetic_adds_up_and_names_its_clause() {
    let origin = Origin::always(windowed().h("age", "7").h("cache-tag", "a, b"));
    let world = world_under(everywhere().named("all").tag("c"), origin);
    world.get("/a?x=1").await;
    world.get("/a?x=1").await;
    world.pass(10);
    let told = told(&world, &get("/a?x=1"));
    assert_eq!(
        told["key"],
        serde_json::json!({ "scheme": "http", "authority": "example.com", "path": "/a", "query": "x=1", "partitioned": false })
    );
    assert_eq!(told["rule"], serde_json::json!({ "name": "all", "path": "/**" }));
    let (stored, freshness) = (&told["stored"], &told["stored"]["freshness"]);
    for (field, value) in [("initialAgeMs", 7000), ("residentMs", 10_000), ("ageMs", 17_000), ("lifetimeMs", 60_000), ("ttlMs", 43_000)] {
        assert_eq!(freshness[field], value, "{field}");
    }
    assert_eq!((&freshness["lifetimeSource"], &freshness["staleWhileRevalidateMs"]), (&"origin".into(), &30_000.into()));
    assert!(freshness["clause"].as_str().unwrap().ends_with("RFC 9111 section 4.2.1"));
    assert_eq!((&stored["hits"], &stored["warmed"], &stored["fields"]["etag"]), (&1.into(), &false.into(), &"\"v1\"".into()));
    let mut tags: Vec<_> = stored["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn why_the_last_answer_was_not_stored_is_remembered_until_one_is() {
    let too_large = Settings { max_object: 4, ..Settings::default() };
    for (reason, settings, reply) in [
        ("private", Settings::default(), ok("a").cc("private")),
        ("set-cookie", Settings::default(), fresh("a").h("set-cookie", "a=b")),
        ("vary-star", Settings::default(), fresh("a").h("vary", "*")),
        ("no-freshness", Settings::default(), ok("a")),
        ("too-large", too_large.clone(), fresh("12345")),
        ("too-large", too_large, fresh("").chunks(&["123", "45"])),
    ] {
        let world = world_with(settings, Origin::replies([reply, fresh("b")]));
        assert_eq!(told(&world, &get("/a"))["notStored"], Value::Null);
        world.get("/a").await;
        world.settle().await;
        world.pass(3);
        let told_after = told(&world, &get("/a"));
        assert_eq!((&told_after["notStored"]["reason"], &told_after["notStored"]["agoMs"]), (&reason.into(), &3000.into()), "{told_after}");
        assert_eq!(told_after["notCollapsed"], "the last answer could not be shared", "{told_after}");
        assert_eq!(told(&world, &get("/b"))["notStored"], Value::Null);
        world.get("/a").await;
        let stored = told(&world, &get("/a"));
        assert_eq!((&stored["notStored"], &stored["collapses"]), (&Value::Null, &true.into()), "{stored}");
    }
}

#[tokio::test(start_paused = true)]
async fn values_of_selecting_fields_are_told_only_where_they_are_no_secrets() {
    let world = world(Origin::always(fresh("a").h("vary", "accept-language, x-key")));
    let ask = || get("/a").h("accept-language", "en").h("x-key", "sesame");
    world.send(ask()).await;
    let explanation = world.cache.explain(ask().0);
    let told = explanation.to_json();
    assert_eq!(told["stored"]["selectedBy"], serde_json::json!({ "accept-language": "en", "x-key": null }));
    assert!(!format!("{explanation}{told}").contains("sesame"));
}

#[tokio::test(start_paused = true)]
async fn an_explanation_fits_on_a_screen() {
    let world =
        world_under(everywhere().named("all").tag("c"), Origin::always(windowed().h("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")));
    for language in ["en", "de", "fr", "it", "es", "pt", "nl", "zh", "ja"] {
        world.send(get("/a").h("accept-language", language)).await;
    }
    world.cache.invalidate_tag("c", Level::Invalid);
    let text = world.cache.explain(get("/a").h("accept-language", "en").0).to_string();
    assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 110), "{text}");
    for part in [
        "GET http://example.com/a\n",
        "all (/**)",
        "validate: it was invalidated (RFC 9111 section 4.4)",
        "accept-language: en",
        "and 3 more",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_is_counted_once_however_it_ends() {
    let origin = Origin::replies([
        windowed(),                                    // miss
        ok("b").cc("private"),                         // miss
        status(502).failure(Refusal::UpstreamConnect), // failed
        status(200).err(),                             // failed
        ok("a").first(Step::Panic),                    // failed
        ok("a").first(Step::Panic),                    // failed, of another way
        ok("d"),                                       // pass
        status(304).etag("\"v1\""),                    // revalidated
    ]);
    let world = world(origin);
    let english = || get("/a").h("accept-language", "en");
    world.send(english()).await;
    world.send(english()).await; // hit
    world.get("/b").await;
    world.get("/c").await;
    assert!(world.try_head(get("/e")).await.is_err());
    let _ = tokio::spawn({
        let world = world.clone();
        async move { world.get("/f").await }
    })
    .await;
    let _ = tokio::spawn({
        let world = world.clone();
        async move { world.send(get("/b").h("if-match", "\"x\"")).await }
    })
    .await;
    world.send(method("HEAD", "/d")).await;
    world.send(english().cc("no-cache")).await;
    world.get("/g").await;
    world.send(get("/h").cc("only-if-cached")).await; // refused
    let stats = world.cache.stats();
    let all = [
        stats.hits,
        stats.misses,
        stats.stale,
        stats.revalidated,
        stats.collapsed,
        stats.passed,
        stats.refused,
        stats.failed,
        stats.abandoned,
    ];
    assert_eq!((stats.hits, stats.passed, stats.revalidated, stats.refused, stats.failed), (1, 1, 1, 1, 4), "{stats:?}");
    assert_eq!(all.iter().sum::<u64>(), 11, "{stats:?}");
}
