//! Conversations drawn from a seed: on a connection with others before it a request is answered as on one of its own, and as through hyper.

use super::target;
use crate::client::{Client, Response};
use crate::house::{House, answer, request, status};
use crate::origin::{Act, Origin, Received, Then};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::{Duration, Instant};
use warmfront::{Rule, Settings};

/// Answers what depends on the request alone, and never on what came before.
fn settled(received: &Received) -> Act {
    let path = target(received.line());
    let body = format!("{path} {} {}", received.all("accept-language").join("|"), received.all("authorization").join("|"));
    match path.split(['/', '?']).nth(1).unwrap_or_default() {
        "pass" | "open" => answer("Cache-Control: no-store|X-A: b", &body),
        "vary" => answer("Cache-Control: max-age=600|Vary: Accept-Language|ETag: \"v\"", &body),
        "chunks" => Act::send(
            format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunked(&body.repeat(200))),
            Then::Keep,
        ),
        "lost" => Act::send("", Then::Fin),
        "bad" => Act::send("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Then::Fin),
        "gone" => status("410 Gone", "Cache-Control: no-store", ""),
        "none" => status("404 Not Found", "Cache-Control: max-age=600", &body),
        "empty" => status("204 No Content", "Cache-Control: max-age=600", ""),
        "large" => answer("Cache-Control: max-age=600|ETag: \"l\"", &body.repeat(3000)),
        _ => answer("Cache-Control: max-age=600|ETag: \"s\"|X-Twice: 1|X-Twice: 2", &body),
    }
}

/// In chunks of 3,000 bytes.
fn chunked(body: &str) -> String {
    let chunks = body.as_bytes().chunks(3000).map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
    chunks.collect::<String>() + "0\r\n\r\n"
}

/// What it asks again and again.
const USUAL: [&[&str]; 4] =
    [&[], &["Accept: */*", "Connection: keep-alive"], &["Accept-Language: de", "User-Agent: x/1"], &["Authorization: alice"]];

fn path(rng: &mut StdRng) -> String {
    let names =
        ["stored", "stored", "stored", "stored", "vary", "me", "large", "none", "empty", "pass", "pass", "chunks", "lost", "bad", "gone"];
    format!("/{}/{}", names[rng.random_range(0..names.len())], rng.random_range(0..3))
}

/// Some requests in a row, each with its method.
fn some(rng: &mut StdRng, usual: &mut usize) -> Vec<(&'static str, String)> {
    let get = |path: &str, fields: &[&str]| ("GET", request(&format!("GET {path}"), fields, ""));
    let path = path(rng);
    let fields = USUAL[*usual];
    match rng.random_range(0..16) {
        0..5 => (0..rng.random_range(1..6)).map(|_| get(&path, fields)).collect(),
        5 => (0..rng.random_range(30..50)).map(|_| get("/stored/0", fields)).collect(),
        6 => {
            *usual = rng.random_range(0..USUAL.len());
            Vec::new()
        }
        7 => vec![("HEAD", request(&format!("HEAD {path}"), fields, ""))],
        8 => vec![("POST", request("POST /open/form", &[fields, &["Content-Length: 4"]].concat(), "a=b&"))],
        9 => vec![("POST", request(&format!("POST {path}"), &[fields, &["Transfer-Encoding: chunked"]].concat(), "1\r\nx\r\n0\r\n\r\n"))],
        10 => vec![get(&path, &[fields, &["If-None-Match: \"s\""]].concat())],
        11 => vec![get(&path, &[fields, &["Range: bytes=1-3"]].concat())],
        12 => vec![get(&path, &[fields, &["Cache-Control: no-cache"]].concat())],
        13 => vec![get(&format!("http://h{path}"), fields)],
        14 => vec![get(&path, &["Accept-Language: fr", "X-Only: 1"])],
        _ => vec![("GET", format!("\r\n{}", get(&path, fields).1))],
    }
}

/// What of an answer does not depend on when it was given, and by whom.
fn gist(response: &Response) -> (u16, bool, Vec<String>, &[u8]) {
    let differs = ["age:", "cache-status:", "date:"];
    let lines = response.head.lines().map(str::to_ascii_lowercase).filter(|line| !differs.iter().any(|name| line.starts_with(name)));
    let mut lines: Vec<_> = lines.collect();
    lines.sort_unstable();
    (response.status, response.complete, lines, &response.body)
}

fn rules(settings: &mut Settings) {
    let mine = Rule::path("/me/*").unwrap().per_identity("authorization".parse().unwrap()).ttl(Duration::from_secs(600));
    settings.rules = vec![mine];
}

/// Sends all of it, cut anywhere; what the kernel keeps for both is more.
async fn send_in_pieces(rng: &mut StdRng, client: &mut Client, all: &[u8]) {
    let (mut rest, largest) = (all, rng.random_range(10..5000));
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rng.random_range(1..=rest.len().min(largest)));
        client.send(piece).await;
        rest = later;
        if rng.random_bool(0.2) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn on_one_connection_each_is_answered_as_through_hyper_on_one_of_its_own() {
    let origin = Origin::start(|received, _| settled(received)).await;
    let together = House::with(origin.address, |_, _, settings| rules(settings)).await;
    let alone = House::of_hyper(origin.address, |_, _, settings| rules(settings)).await;
    let (began, mut hits) = (Instant::now(), 0);
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut usual = rng.random_range(0..USUAL.len());
        let asked: Vec<_> = (0..rng.random_range(5..25)).flat_map(|_| some(&mut rng, &mut usual)).collect();
        let all: String = asked.iter().map(|(_, request)| &**request).collect();
        let mut client = together.client().await;
        let waits = rng.random_bool(0.3);
        if !waits {
            send_in_pieces(&mut rng, &mut client, all.as_bytes()).await;
        }
        let mut answers = Vec::new();
        for (method, request) in &asked {
            if waits {
                client.send(request).await;
            }
            answers.push(client.final_response_to(method).await);
        }
        for (number, ((method, request), answer)) in asked.iter().zip(&answers).enumerate() {
            let mut own = alone.client().await;
            own.send(request).await;
            let expected = own.final_response_to(method).await;
            assert_eq!(gist(answer), gist(&expected), "seed {seed}, number {number}: {request}");
            hits += usize::from(answer.is_hit());
        }
        if began.elapsed() > Duration::from_secs(8) {
            break; // a slow machine
        }
    }
    assert!(hits > 0, "a few of them");
}
