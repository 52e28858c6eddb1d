//! The same exchanges, judged by `http-cache-semantics`: where it says that a second request may be answered without asking, so do we, and the
//! other way round, but for the exceptions below.

use crate::origin::{Origin, Reply, ok};
use crate::world::{Ask, START, date, get, seconds, world};
use http::{Request, Response};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

/// A header section as the generator makes it.
type Lines = Vec<(&'static str, String)>;

/// Cache-Control without the words about which the two are known to differ:
/// * `no-cache="field"` and `private="field"`: it takes them for the words without fields, we leave the fields out (RFC 9111 section 5.2.2.4);
/// * `proxy-revalidate` makes everything stale for it at once; for us it forbids stale use only (section 5.2.2.8);
/// * `must-understand` and the stale windows, which it does not know;
/// * `immutable`, which gives it a day where nothing else is said; it says nothing about lifetimes (RFC 8246);
/// * one directive twice with different values: it only adds must-revalidate, we take the shortest.
fn response_directives() -> impl Strategy<Value = Vec<String>> {
    let lifetime = prop_oneof![Just(None), (0_u32..90).prop_map(Some)];
    let words = proptest::sample::subsequence(vec!["public", "private", "no-store", "no-cache", "must-revalidate"], 0..=2);
    // Prohibitions are rare, or nothing would ever be stored.
    let words = prop_oneof![3 => Just(Vec::new()), 1 => words];
    (lifetime.clone(), lifetime, words).prop_map(|(max_age, s_maxage, words)| {
        let mut all: Vec<String> = words.into_iter().map(str::to_owned).collect();
        all.extend(max_age.map(|seconds| format!("max-age={seconds}")));
        all.extend(s_maxage.map(|seconds| format!("s-maxage={seconds}")));
        all
    })
}

/// More exceptions:
/// * it stores no status but those of its list, we store any with an explicit lifetime (section 3), so the list is drawn from;
/// * `Set-Cookie` with `public`: it stores, we do not without a rule, so there is none here;
/// * a heuristic lifetime is capped at a day by us, so Last-Modified is not that old here;
/// * it adds no apparent age (section 4.2.3), so `Date` is the time of the response; and invalid dates are left out;
/// * `Vary` is compared by it line by line, so values have one line here.
fn response() -> impl Strategy<Value = (u16, Lines)> {
    let status = proptest::sample::select(vec![200_u16, 200, 200, 203, 204, 300, 301, 302, 307, 404, 405, 410]);
    let maybe =
        |name: &'static str, values: BoxedStrategy<String>| proptest::option::weighted(0.25, values.prop_map(move |value| (name, value)));
    (
        status,
        response_directives(),
        maybe("expires", (-50_i64..90).prop_map(date).boxed()),
        maybe("last-modified", (-9000_i64..0).prop_map(date).boxed()),
        maybe("age", (0_u32..90).prop_map(|age| age.to_string()).boxed()),
        maybe("etag", Just("\"v\"".to_owned()).boxed()),
        maybe("vary", proptest::sample::select(vec!["x-a", "x-b", "x-a, x-b", "*"]).prop_map(str::to_owned).boxed()),
    )
        .prop_map(|(status, directives, expires, modified, age, etag, vary)| {
            let mut lines = vec![("date", date(0))];
            if !directives.is_empty() {
                lines.push(("cache-control", directives.join(", ")));
            }
            lines.extend([expires, modified, age, etag, vary].into_iter().flatten());
            (status, lines)
        })
}

/// `only-if-cached` is answered by us alone and left out. `max-stale`: it serves what is not as stale as that, we also what is exactly so; a
/// fraction of a second keeps the two apart. It also serves `no-cache` and `s-maxage` responses stale at a client's wish, against sections
/// 5.2.2.4 and 5.2.2.10, so the wish is left out. It does not look at `no-store` of a later request; we ask the origin.
fn request() -> impl Strategy<Value = Lines> {
    let directive = prop_oneof![
        6 => Just(None),
        1 => Just(Some("no-cache".to_owned())),
        1 => (0_u32..90).prop_map(|seconds| Some(format!("max-age={seconds}"))),
        1 => (0_u32..90).prop_map(|seconds| Some(format!("min-fresh={seconds}"))),
    ];
    let value = || proptest::option::weighted(0.3, proptest::sample::select(vec!["1", "2"]));
    (directive, value(), value(), proptest::bool::weighted(0.1)).prop_map(|(directive, a, b, authorized)| {
        let mut lines: Lines = directive.map(|directive| ("cache-control", directive)).into_iter().collect();
        lines.extend([("x-a", a), ("x-b", b)].into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))));
        if authorized {
            lines.push(("authorization", "Bearer x".to_owned()));
        }
        lines
    })
}

fn ask(lines: &Lines) -> Ask {
    lines.iter().fold(get("/a"), |ask, (name, value)| ask.h(name, value))
}

fn parts(lines: &Lines) -> Request<()> {
    let builder = lines.iter().fold(Request::get("http://example.com/a"), |builder, (name, value)| builder.header(*name, value));
    builder.body(()).unwrap()
}

/// Whether the second request is answered without asking, by us.
fn ours(first: &Lines, status: u16, response: &Lines, second: &Lines, after: Duration) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let reply: Reply = response.iter().fold(ok("x").status(status), |reply, (name, value)| reply.h(name, value));
        let world = world(Origin::always(reply));
        world.send(ask(first)).await;
        world.clock.advance(after);
        world.send(ask(second)).await.is_hit()
    })
}

/// The same, by `http-cache-semantics`.
fn theirs(first: &Lines, status: u16, response: &Lines, second: &Lines, after: Duration) -> bool {
    let builder = response.iter().fold(Response::builder().status(status), |builder, (name, value)| builder.header(*name, value));
    let now = UNIX_EPOCH + seconds(START);
    let policy = CachePolicy::new_options(&parts(first), &builder.body(()).unwrap(), now, CacheOptions::default());
    policy.is_storable() && matches!(policy.before_request(&parts(second), now + after), BeforeRequest::Fresh(_))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_another_implementation_would_reuse_is_reused_and_nothing_else(
        first in request(), (status, response) in response(), second in request(), after in 0_u64..100,
    ) {
        let after = Duration::from_millis(after * 1000 + 500);
        prop_assert_eq!(ours(&first, status, &response, &second, after), theirs(&first, status, &response, &second, after));
    }
}

#[test]
fn the_comparison_sees_both_verdicts() {
    let nothing = Lines::new();
    let long = vec![("date", date(0)), ("cache-control", "max-age=60".to_owned())];
    for (after, fresh) in [(59, true), (61, false)] {
        assert_eq!(
            (ours(&nothing, 200, &long, &nothing, seconds(after)), theirs(&nothing, 200, &long, &nothing, seconds(after))),
            (fresh, fresh)
        );
    }
}
