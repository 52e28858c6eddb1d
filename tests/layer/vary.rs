//! Several variants of one target (RFC 9111 section 4.1).

use crate::origin::{Origin, Reply, fresh};
use crate::world::{get, world, world_with};
use std::collections::HashMap;
use warmfront::Settings;

/// An origin whose answer names the values of `fields` that it got.
fn mirror(vary: &'static [&'static str], fields: &'static [&'static str]) -> Origin {
    Origin::by(move |asked| {
        let body: Vec<String> = fields.iter().map(|field| asked.h(field)).collect();
        vary.iter().fold(fresh(&body.join("/")), |reply: Reply, line| reply.h("vary", line))
    })
}

#[tokio::test(start_paused = true)]
async fn each_value_of_a_selecting_field_has_its_own_variant() {
    let world = world(mirror(&["x-a"], &["x-a"]));
    for _ in 0..2 {
        for value in ["1", "2", "3"] {
            assert_eq!(world.send(get("/a").h("x-a", value)).await.text(), value);
        }
        assert_eq!(world.get("/a").await.text(), "");
    }
    assert_eq!((world.origin.calls(), world.cache.stats().entries), (4, 1));
    assert_eq!(world.send(get("/a").h("x-a", "4")).await.said(), "warmfront; fwd=vary-miss; stored");
}

#[tokio::test(start_paused = true)]
async fn repeated_and_comma_joined_vary_lines_all_count() {
    for vary in [&["x-a, x-b"][..], &["x-a", "X-B"], &[", x-b ,", "x-a,x-b"]] {
        let vary: &'static [&'static str] = vary;
        let world = world(mirror(vary, &["x-a", "x-b"]));
        for (a, b) in [("1", "1"), ("1", "2"), ("2", "1"), ("1", "1"), ("2", "1")] {
            assert_eq!(world.send(get("/a").h("x-a", a).h("x-b", b)).await.text(), format!("{a}/{b}"), "{vary:?}");
        }
        assert_eq!(world.origin.calls(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_star_among_other_fields_is_never_reused() {
    for vary in [&["*"][..], &["x-a", "*"], &["x-a, *"]] {
        let world = world(mirror(vary, &[]));
        world.get("/a").await;
        world.get("/a").await;
        assert_eq!((world.origin.calls(), world.cache.stats().entries), (2, 0), "{vary:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_absent_field_is_not_an_empty_one() {
    let world = world(mirror(&["x-a"], &[]));
    world.get("/a").await;
    world.send(get("/a").h("x-a", "")).await;
    assert_eq!(world.origin.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn negotiation_fields_that_mean_the_same_select_the_same() {
    for (field, same, other) in [
        ("accept-encoding", &["gzip, br", "br,gzip", "BR , GZIP", "gzip;q=1, br;q=1.000"][..], "gzip"),
        ("accept-language", &["de, en;q=0.5", "en;q=0.5,de", "DE,EN; q=0.50"], "en, de;q=0.5"),
    ] {
        let vary: &'static [&'static str] = if field == "accept-encoding" { &["Accept-Encoding"] } else { &["Accept-Language"] };
        let world = world(mirror(vary, &[]));
        for value in same {
            world.send(get("/a").h(field, value)).await;
        }
        assert_eq!(world.origin.calls(), 1, "{field}");
        world.send(get("/a").h(field, other)).await;
        assert_eq!(world.origin.calls(), 2, "{field}");
        // The same in several lines.
        world.send(same[0].split(", ").fold(get("/a"), |ask, line| ask.h(field, line))).await;
        assert_eq!(world.origin.calls(), 2, "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_fields_are_compared_as_they_are() {
    let world = world(mirror(&["x-a"], &["x-a"]));
    for value in ["a", "A", "a,b", "b,a"] {
        assert_eq!(world.send(get("/a").h("x-a", value)).await.text(), value);
    }
    assert_eq!(world.origin.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn beyond_max_variants_the_one_used_least_recently_goes() {
    let world = world_with(Settings { max_variants: 3, ..Settings::default() }, mirror(&["x-a"], &["x-a"]));
    let ask = |value: &str| get("/a").h("x-a", value);
    for value in ["1", "2", "3"] {
        world.send(ask(value)).await;
        world.pass(1);
    }
    assert!(world.send(ask("1")).await.is_hit());
    world.pass(1);
    world.send(ask("4")).await;
    for (value, hit) in [("1", true), ("3", true), ("4", true), ("2", false)] {
        assert_eq!(world.send(ask(value)).await.is_hit(), hit, "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_variants_do_not_grow_a_key() {
    let world = world(mirror(&["x-a"], &[]).forgetful());
    for value in 0..10_000 {
        world.send(get("/a").h("x-a", &value.to_string())).await;
    }
    let stats = world.cache.stats();
    assert!(stats.entries == 1 && stats.bytes < 100_000, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cold_crowd_of_mixed_variants_fetches_each_once_and_everybody_gets_his_own() {
    let origin = Origin::by(|asked| fresh(&asked.h("x-a")).h("vary", "x-a").after(100));
    let world = world(origin);
    let got = world.crowd(60, |at| get("/a").h("x-a", &(at % 6).to_string())).await;
    for (at, got) in got.iter().enumerate() {
        assert_eq!(got.text(), (at % 6).to_string());
    }
    assert_eq!(world.origin.calls(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_stale_crowd_of_mixed_variants_revalidates_each_once() {
    let origin = Origin::by(|asked| fresh(&asked.h("x-a")).h("vary", "x-a").after(100));
    let world = world(origin);
    world.crowd(6, |at| get("/a").h("x-a", &at.to_string())).await;
    world.pass(100);
    let got = world.crowd(60, |at| get("/a").h("x-a", &(at % 6).to_string())).await;
    for (at, got) in got.iter().enumerate() {
        assert_eq!(got.text(), (at % 6).to_string());
    }
    assert_eq!(world.origin.calls(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_whose_answers_vary_by_other_fields_than_before_still_gets_its_own() {
    // The first answer varies by x-a, later ones by x-b.
    let origin = Origin::by(|asked| {
        let field = if asked.number == 0 { "x-a" } else { "x-b" };
        fresh(&format!("{}{}", field, asked.h(field))).h("vary", field).after(50)
    });
    let world = world(origin);
    world.send(get("/a").h("x-a", "1").h("x-b", "1")).await;
    let got = world.crowd(40, |at| get("/a").h("x-a", "2").h("x-b", &(at % 4).to_string())).await;
    for (at, got) in got.iter().enumerate() {
        assert_eq!(got.text(), format!("x-b{}", at % 4));
    }
}

#[tokio::test(start_paused = true)]
async fn languages_are_shared_only_where_negotiation_could_not_have_ended_elsewhere() {
    let origin = Origin::by(|asked| {
        let language = if asked.h("accept-language").starts_with("de") { "de" } else { "en" };
        fresh(language).h("vary", "accept-language").h("content-language", language)
    });
    let world = world(origin);
    world.send(get("/a").h("accept-language", "de")).await;
    let mut seen = HashMap::new();
    for (asked, expected) in [("de, fr;q=0.5", "de"), ("en", "en"), ("en, de;q=0.1", "en"), ("de;q=0.5, en;q=0.5", "de"), ("DE", "de")] {
        let got = world.send(get("/a").h("accept-language", asked)).await;
        seen.insert(asked, got.text().to_owned());
        assert_eq!(got.text(), expected, "{asked}");
    }
    assert_eq!(seen.len(), 5);
}
