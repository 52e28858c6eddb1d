//! Many clients, an origin that misbehaves, real threads: every body is whole and the right one, and nobody who comes after a change gets what
//! was before it. The seed is fixed; a failure names client and step.

use crate::origin::{Asked, Origin, Reply, Step, fresh, ok, status};
use crate::world::{Ask, Got, Tap, World, everywhere, get, method, seconds};
use bytes::Bytes;
use http::HeaderName;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use warmfront::clock::Clock;
use warmfront::{Level, Rule, Settings};

const KEYS: u64 = 10;
const CLIENTS: u64 = 24;
const STEPS: u64 = 220;

/// splitmix64: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// What the origin has for a target, for one kind of reader, in one version.
fn content(target: &str, reader: &str, version: u64) -> String {
    format!("{target} for {reader} v{version};").repeat(40 + (version % 40) as usize)
}

#[derive(Clone)]
struct Truth {
    versions: Arc<[AtomicU64]>,
    /// No reader that starts now may get a version below this one.
    floors: Arc<[AtomicU64]>,
}

impl Truth {
    fn new() -> Self {
        let zeros = || (0..KEYS).map(|_| AtomicU64::new(1)).collect();
        Self { versions: zeros(), floors: zeros() }
    }

    fn change(&self, key: u64) -> u64 {
        self.versions[key as usize].fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// `/shared/3`, `/mine/3`: the number.
fn key_of(target: &str) -> u64 {
    target.rsplit('/').next().unwrap().parse().unwrap()
}

/// Who the answer is for: the language, and the user where it is his.
fn reader_of(target: &str, language: &str, user: &str) -> String {
    if target.starts_with("/mine") { format!("{language} {user}") } else { language.to_owned() }
}

fn chaos(truth: &Truth, asked: &Asked) -> Reply {
    let mut dice = Dice(asked.number as u64 ^ 0xc4a0);
    let target = asked.uri.path();
    let key = key_of(target);
    if asked.method == "POST" {
        let version = truth.change(key);
        return status(200).h("x-version", &version.to_string()).after(dice.roll(2));
    }
    let version = truth.versions[key as usize].load(Ordering::SeqCst);
    let etag = format!("\"{version}\"");
    let cache_control =
        ["max-age=600", "max-age=600", "max-age=0, stale-while-revalidate=600", "no-cache", "max-age=600, stale-if-error=600", "private"]
            [dice.roll(6) as usize];
    let dress = |reply: Reply| {
        let reply = reply.cc(cache_control).etag(&etag).h("vary", "accept-language");
        if dice_sleeps(asked.number) { reply.after(1) } else { reply }
    };
    match dice.roll(20) {
        0 => return status(503).after(1),
        1 => return ok("").err(),
        _ => {}
    }
    if asked.h("if-none-match") == etag {
        return dress(status(304));
    }
    let text = content(target, &reader_of(target, &asked.h("accept-language"), &asked.h("x-user")), version);
    if let Some((start, end)) = asked.h("range").strip_prefix("bytes=").and_then(|range| range.split_once('-')) {
        let (start, end) = (start.parse::<usize>().unwrap(), end.parse::<usize>().unwrap());
        let part = fresh(&text[start..=end]).status(206).h("content-range", &format!("bytes {start}-{end}/{}", text.len()));
        return part.etag(&etag).h("vary", "accept-language");
    }
    let bytes = Bytes::from(text);
    let mut steps: Vec<Step> = bytes.chunks(700).map(|chunk| Step::Data(bytes.slice_ref(chunk))).collect();
    if dice.roll(3) == 0 {
        steps.insert(1, Step::Sleep(Duration::from_millis(1)));
    }
    if dice.roll(12) == 0 {
        steps.truncate(2);
        steps.push(Step::Error);
    }
    let reply = fresh("").steps(steps);
    dress(if dice.roll(2) == 0 { reply.h("content-length", &bytes.len().to_string()) } else { reply })
}

fn dice_sleeps(number: usize) -> bool {
    Dice(number as u64).roll(2) == 0
}

/// Checks an answer against what the origin could have said.
fn check(got: &Got, target: &str, reader: &str, floor: u64, place: &str) {
    match got.code() {
        502 | 503 => return,
        304 => {
            assert!(got.body.is_empty(), "{place}");
            return;
        }
        200 | 206 => {}
        other => panic!("{place}: {other}"),
    }
    let version: u64 = got.h("etag").trim_matches('"').parse().unwrap();
    assert!(version >= floor, "{place}: version {version}, but {floor} was there before: {}", got.said());
    let whole = content(target, reader, version);
    let expected = match got.h("content-range").strip_prefix("bytes ").and_then(|range| range.split_once('/')) {
        Some((range, length)) => {
            assert_eq!(length, whole.len().to_string(), "{place}");
            let (start, end) = range.split_once('-').unwrap();
            &whole[start.parse().unwrap()..=end.parse::<usize>().unwrap()]
        }
        None => &whole[..],
    };
    if got.broken.is_some() {
        assert!(expected.as_bytes().starts_with(&got.body), "{place}: even a broken body is a beginning");
    } else {
        assert_eq!(got.text(), expected, "{place}: {}", got.said());
    }
}

async fn client(world: World, truth: Truth, number: u64) {
    let mut dice = Dice(number.wrapping_mul(7_777_777));
    for step in 0..STEPS {
        let key = dice.roll(KEYS);
        let target = format!("/{}/{key}", ["shared", "mine"][dice.roll(2) as usize]);
        let place = format!("client {number}, step {step}, {target}");
        let (language, user) = (["de", "en"][dice.roll(2) as usize], format!("u{}", dice.roll(3)));
        let reader = reader_of(&target, language, &user);
        let ask = || get(&target).h("accept-language", language).h("x-user", &user);
        let floor = truth.floors[key as usize].load(Ordering::SeqCst);
        match dice.roll(24) {
            0 => {
                let Ok(answer) = world.try_head(method("POST", &target)).await else { continue };
                // Its sibling in the other family changed as well, and nobody told the cache.
                let sibling = if target.starts_with("/mine") { format!("/shared/{key}") } else { format!("/mine/{key}") };
                world.cache.invalidate(&format!("http://example.com{sibling}").parse().unwrap(), Level::Invalid);
                let version: u64 = answer.headers()["x-version"].to_str().unwrap().parse().unwrap();
                truth.floors[key as usize].fetch_max(version, Ordering::SeqCst);
            }
            1 => {
                let version = truth.change(key);
                match dice.roll(3) {
                    0 => drop(world.cache.invalidate_tag("all", Level::Dead)),
                    1 => world.cache.invalidate_all(Level::Invalid),
                    _ => ["shared", "mine"].into_iter().for_each(|family| {
                        world.cache.invalidate(&format!("http://example.com/{family}/{key}").parse().unwrap(), Level::Dead);
                    }),
                }
                truth.floors[key as usize].fetch_max(version, Ordering::SeqCst);
            }
            2 => {
                // Leaves, perhaps before the headers.
                let _ = tokio::time::timeout(Duration::from_micros(dice.roll(1500)), world.try_head(ask())).await;
            }
            3 => {
                if let Ok(answer) = world.try_head(ask()).await {
                    let _ = Tap::of(answer).next().await;
                }
            }
            4 | 5 => {
                checked(
                    &world,
                    ask().h("range", &format!("bytes={}-{}", dice.roll(100), 100 + dice.roll(400))),
                    &target,
                    &reader,
                    floor,
                    &place,
                )
                .await
            }
            6 => checked(&world, ask().cc("no-cache"), &target, &reader, floor, &place).await,
            7 => checked(&world, ask().h("if-none-match", &format!("\"{}\"", floor)), &target, &reader, floor, &place).await,
            8 => drop(world.try_head(method("HEAD", &target).h("accept-language", language).h("x-user", &user)).await),
            _ => checked(&world, ask(), &target, &reader, floor, &place).await,
        }
    }
}

async fn checked(world: &World, ask: Ask, target: &str, reader: &str, floor: u64, place: &str) {
    if let Ok(answer) = world.try_head(ask).await {
        check(&Got::of(answer).await, target, reader, floor, place);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_body_is_whole_and_right_and_never_older_than_the_last_invalidation() {
    let rules = vec![Rule::path("/mine/**").unwrap().per_identity(HeaderName::from_static("x-user")).tag("all"), everywhere().tag("all")];
    // Small enough for evictions, and for bodies that find no room in flight.
    let settings = Settings { rules, max_bytes: 96 << 10, max_object: 16 << 10, stale_if_error: seconds(5), ..Settings::default() };
    let truth = Truth::new();
    let known = truth.clone();
    let world = World::new(settings, Clock::machine(), Origin::by(move |asked| chaos(&known, asked)).forgetful());
    let clients: Vec<_> = (0..CLIENTS).map(|number| tokio::spawn(client(world.clone(), truth.clone(), number))).collect();
    for client in clients {
        client.await.unwrap();
    }
    let stats = world.cache.stats();
    assert!(stats.hits > 100 && stats.collapsed > 20 && stats.revalidated > 20 && stats.stale > 5, "{stats:?}");
    assert!(stats.bytes <= stats.max_bytes, "{stats:?}");
}
