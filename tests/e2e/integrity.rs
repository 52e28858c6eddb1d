//! An origin that cuts, stalls, resets and changes its mind, and many clients: nobody ever gets another key's bytes, a torn body as whole, or a
//! version that was older than one seen after it was invalidated. Drawn from a seed.

use crate::client::{Client, Response};
use crate::house::{House, millis, request};
use crate::origin::{Act, Origin, Received, Then};
use crate::process::{Folder, Running, send};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

const SEED: u64 = 0x57a1_e0f1;
const KEYS: usize = 24;
const CLIENTS: usize = 32;
const SECONDS: u64 = 8;

/// What the origin holds: the version of each key.
struct Truth {
    versions: Vec<AtomicU64>,
}

/// `key/version/` again and again, so that any piece of another body is seen; the length depends on both.
fn body(key: usize, version: u64) -> String {
    let unit = format!("<{key}/{version}>");
    let units = 1 + (key * 7919 + usize::try_from(version).unwrap() * 104_729) % 4000;
    unit.repeat(units)
}

/// The version of a body that is exactly right for `key`.
fn version_of(key: usize, text: &str) -> Option<u64> {
    let version = text.strip_prefix(&format!("<{key}/"))?.split('>').next()?.parse().ok()?;
    (text == body(key, version)).then_some(version)
}

fn key_in(received: &Received) -> usize {
    received.line().split(['/', ' ']).nth(2).unwrap().parse().unwrap()
}

fn chaos(truth: &Truth, rng: &mut StdRng, received: &Received) -> Act {
    let key = key_in(received);
    if !received.line().starts_with("GET") {
        let version = truth.versions[key].fetch_add(1, Ordering::SeqCst) + 1;
        let act = crate::house::answer("", &version.to_string());
        return if rng.random_bool(0.5) { act } else { act.after(millis(rng.random_range(0..30))) };
    }
    let version = truth.versions[key].load(Ordering::SeqCst);
    let text = body(key, version);
    let control = match key % 4 {
        0 => "max-age=60",
        1 => "max-age=1, stale-if-error=600",
        2 => "private, max-age=60",
        _ => "no-cache",
    };
    let tag = format!("\"{key}.{version}\"");
    if received.all("if-none-match").contains(&&*tag) && rng.random_bool(0.8) {
        let head = format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\nCache-Control: {control}\r\n\r\n");
        return Act::send(head, Then::Keep).after(millis(rng.random_range(0..10)));
    }
    let head = format!("HTTP/1.1 200 OK\r\nETag: {tag}\r\nCache-Control: {control}\r\n");
    let bytes = match rng.random_range(0..3) {
        0 => format!("{head}Content-Length: {}\r\n\r\n{text}", text.len()),
        1 => {
            let chunks: String = text
                .as_bytes()
                .chunks(rng.random_range(1..5000))
                .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()))
                .collect();
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
        }
        _ => format!("{head}Connection: close\r\n\r\n{text}"),
    };
    let delimited = !bytes.contains("Connection: close\r\n\r\n");
    let mut act = Act::send("", if delimited { Then::Keep } else { Then::Fin });
    let mut bytes = bytes.into_bytes();
    match rng.random_range(0..20) {
        0 | 1 if delimited => {
            bytes.truncate(rng.random_range(0..bytes.len()));
            act.then = [Then::Fin, Then::Reset][rng.random_range(0..2)];
        }
        2 => {
            bytes.truncate(rng.random_range(0..bytes.len()));
            act.then = Then::Hang;
        }
        3 => return crate::house::status("503 Busy", "", "busy"),
        _ => {}
    }
    let pieces = rng.random_range(1..6);
    let size = bytes.len().div_ceil(pieces).max(1);
    act.pieces = bytes.chunks(size).map(|piece| (piece.to_vec(), millis(rng.random_range(0..15)))).collect();
    act.pieces.insert(0, (Vec::new(), millis(rng.random_range(0..20))));
    act
}

/// What all clients have seen together: for each key the version that every later reader must at least get.
#[derive(Default)]
struct Floor(Vec<AtomicU64>);

#[derive(Default)]
struct Tally {
    whole: AtomicUsize,
    broken: AtomicUsize,
    refused: AtomicUsize,
    changed: AtomicUsize,
}

fn check(key: usize, floor: u64, response: &Response, tally: &Tally) {
    match response.status {
        200 if response.complete => {
            let version = version_of(key, response.text()).unwrap_or_else(|| {
                panic!("{key}: torn or another's: {} bytes of {:.60?}\n{}", response.body.len(), response.text(), response.head)
            });
            // A response that is fresh for its time may be older than the origin's; but not older than a change that went through us.
            assert!(version >= floor, "{key}: version {version} after {floor} was confirmed\n{}", response.head);
            tally.whole.fetch_add(1, Ordering::Relaxed);
        }
        200 => {
            let begun = std::str::from_utf8(&response.body).unwrap();
            assert!(
                begun.is_empty() || format!("<{key}/").starts_with(&begun[..begun.len().min(format!("<{key}/").len())]),
                "{key}: {begun:.60?}"
            );
            tally.broken.fetch_add(1, Ordering::Relaxed);
        }
        502..=504 => drop(tally.refused.fetch_add(1, Ordering::Relaxed)),
        other => panic!("{key}: {other}"),
    }
}

async fn one_client(address: SocketAddr, floor: Arc<Floor>, tally: Arc<Tally>, seed: u64, until: Instant) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut client: Option<Client> = None;
    while Instant::now() < until {
        let key = rng.random_range(0..KEYS);
        let mut connected = match client.take() {
            Some(client) => client,
            None => Client::connect(address).await,
        };
        if rng.random_bool(0.05) {
            // A change: once its answer is here, nobody who asks later may see an older version.
            connected.send(request(&format!("PUT /{key}"), &["Content-Length: 1"], "x")).await;
            match connected.response().await {
                Some(response) if response.status == 200 && response.complete => {
                    floor.0[key].fetch_max(response.text().parse().unwrap(), Ordering::SeqCst);
                    tally.changed.fetch_add(1, Ordering::Relaxed);
                    client = Some(connected);
                }
                _ => {}
            }
            continue;
        }
        let floor = floor.0[key].load(Ordering::SeqCst);
        if connected.stream.write_all(request(&format!("GET /{key}"), &[], "").as_bytes()).await.is_err() {
            continue;
        }
        match rng.random_range(0..20) {
            0 => continue, // leaves at once
            1 => {
                let some = rng.random_range(1..100); // less than any head
                connected.exactly(some).await;
                connected.stream.set_zero_linger().unwrap();
                continue;
            }
            2 => tokio::time::sleep(millis(rng.random_range(0..60))).await,
            _ => {}
        }
        let Some(response) = connected.response().await else { continue };
        check(key, floor, &response, &tally);
        if response.complete {
            client = Some(connected);
        }
    }
}

/// An origin that does so, and what it holds.
async fn chaotic(seed: u64) -> (Origin, Arc<Truth>) {
    let truth = Arc::new(Truth { versions: (0..KEYS).map(|_| AtomicU64::new(0)).collect() });
    let (rng, known) = (Mutex::new(StdRng::seed_from_u64(seed)), truth.clone());
    let origin = Origin::start(move |received, _| {
        let mut own = StdRng::seed_from_u64(rng.lock().unwrap().next_u64());
        chaos(&known, &mut own, received)
    });
    (origin.await, truth)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reader_ever_gets_a_byte_that_is_not_its_own() {
    let (origin, _) = chaotic(SEED).await;
    let house = House::with(origin.address, |_, upstream, settings| {
        (upstream.response_timeout, upstream.idle_body_timeout) = (millis(400), millis(200));
        // Small enough that entries come and go, and some bodies are too large to keep.
        (settings.max_bytes, settings.max_object) = (400 << 10, 24 << 10);
    })
    .await;
    let (house, tally) = (Arc::new(house), Arc::new(Tally::default()));
    let floor = Arc::new(Floor((0..KEYS).map(|_| AtomicU64::new(0)).collect()));
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let clients: Vec<_> =
        (0..CLIENTS).map(|at| tokio::spawn(one_client(house.address, floor.clone(), tally.clone(), SEED + at as u64, until))).collect();
    while Instant::now() < until {
        tokio::time::sleep(millis(100)).await;
        house.clock.advance(millis(300));
    }
    for client in clients {
        client.await.unwrap();
    }
    let stats = house.cache.stats();
    let seen = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let (whole, broken, refused, changed) = (seen(&tally.whole), seen(&tally.broken), seen(&tally.refused), seen(&tally.changed));
    println!("{whole} whole, {broken} broken, {refused} refused, {changed} changes; {stats:?}");
    assert!(whole > 500 && broken > 0 && refused > 0 && changed > 20, "the run was not one");
    assert!(stats.hits > 0 && stats.collapsed > 0 && stats.revalidated > 0, "{stats:?}");
    assert!(stats.bytes <= stats.max_bytes, "{stats:?}");
}

/// Changes at the origin that go past us, each followed by a purge: by URL, by prefix, or of everything. Who asks once the purge is answered gets the new version.
async fn purge(admin: SocketAddr, truth: Arc<Truth>, floor: Arc<Floor>, purges: Arc<AtomicUsize>, seed: u64, until: Instant) {
    let mut rng = StdRng::seed_from_u64(seed);
    while Instant::now() < until {
        tokio::time::sleep(millis(rng.random_range(5..60))).await;
        let key = rng.random_range(0..KEYS);
        let version = truth.versions[key].fetch_add(1, Ordering::SeqCst) + 1;
        let body = match rng.random_range(0..4) {
            0 => format!(r#"{{"prefix":"/{key}"}}"#),
            1 => "{}".to_owned(),
            _ => format!(r#"{{"url":"/{key}"}}"#),
        };
        let asking = move || send(admin, "POST /api/cache/invalidate", &format!("Content-Length: {}\r\n", body.len()), &body);
        let answer = tokio::task::spawn_blocking(asking).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        floor.0[key].fetch_max(version, Ordering::SeqCst);
        purges.fetch_add(1, Ordering::Relaxed);
    }
}

/// `INTEGRITY_SECONDS` (20) and `INTEGRITY_SEED` make it another run.
#[tokio::test(flavor = "multi_thread")]
async fn the_process_keeps_its_readers_apart_while_it_is_purged_and_reloaded() {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, seed) = (number("INTEGRITY_SECONDS", 20), number("INTEGRITY_SEED", SEED ^ 1));
    let (origin, truth) = chaotic(seed).await;
    let folder = Folder::new("integrity");
    let file = |size: u64| {
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[upstream]\nurls = [\"http://{}\"]\nresponse_timeout = \"400ms\"\nidle_body_timeout = \"200ms\"\n\
             [cache]\nmax_bytes = \"{size}KiB\"\nmax_object = \"24KiB\"\n",
            origin.address
        )
    };
    folder.write("warmfront.toml", &file(400));
    let mut running = Running::start(folder.path(), &["run"], &[]);
    let (address, admin) = running.addresses();
    let until = Instant::now() + Duration::from_secs(seconds);
    let (tally, purges) = (Arc::new(Tally::default()), Arc::new(AtomicUsize::new(0)));
    let floor = Arc::new(Floor((0..KEYS).map(|_| AtomicU64::new(0)).collect()));
    let mut tasks: Vec<_> =
        (0..CLIENTS as u64).map(|at| tokio::spawn(one_client(address, floor.clone(), tally.clone(), seed + at, until))).collect();
    tasks.push(tokio::spawn(purge(admin, truth, floor.clone(), purges.clone(), seed ^ 2, until)));
    for round in 0.. {
        tokio::time::sleep(millis(700)).await;
        if Instant::now() >= until {
            break;
        }
        folder.write("warmfront.toml", &file(300 + 100 * (round % 3)));
        running.signal("HUP");
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(running.is_running());
    let seen = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let (whole, broken, refused, purges) = (seen(&tally.whole), seen(&tally.broken), seen(&tally.refused), seen(&purges));
    println!("seed {seed}: {whole} whole, {broken} broken, {refused} refused, {} changes, {purges} purges", seen(&tally.changed));
    assert!(whole > 500 && broken > 0 && refused > 0 && purges > 20, "the run was not one");
}
