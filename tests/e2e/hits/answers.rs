//! What is answered without a request is what is answered with one, byte by byte and in its turn.

use super::{PATIENCE, ROWS, Wire, echo, has_hits, target, used};
use crate::certificate::Certificate;
use crate::house::{House, answer, request};
use crate::origin::Origin;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

const TARGETS: [&str; 9] =
    ["/", "/plain", "/plain?", "/plain?a=%20b&c", "/a%20b%2F%00", "//x", "//other.example/x", "/a/../b;c", "/:80@x?/?"];

/// It changes no answer, but is something about the connection, which hyper must see.
const BY_HYPER: &str = "Keep-Alive: timeout=5";

/// Answers with the target and with lines that a map of fields would put into another order or spelling.
async fn odd() -> Origin {
    let fields = "ETag: \"v\"|X-Twice: a|X-B: |Cache-Control: max-age=60|X-Twice: b|vary: Accept-Language|X-ODD:   v  |Server: o/1|Content-Type: text/x";
    Origin::start(move |received, _| answer(fields, target(received.line()))).await
}

/// Has all targets answered on one connection, by turns with and without a request made of them, and compares.
async fn compare<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, row: usize, same: &[&str]) {
    for target in TARGETS {
        wire.ask(&format!("GET {target}"), same).await;
        let expected = wire.ask(&format!("GET {target}"), &[same, &[BY_HYPER]].concat()).await;
        assert!(expected.contains("cache-status: warmfront; hit") && expected.ends_with(&format!("\r\n\r\n{target}")), "{expected}");
        for number in 0..row + 2 {
            assert_eq!(wire.ask(&format!("GET {target}"), same).await, expected, "number {number} of {row}");
        }
        let expected = wire.ask(&format!("GET {target}"), &[same, &[BY_HYPER]].concat()).await;
        assert_eq!(wire.ask(&format!("GET {target}"), same).await, expected, "{target}");
    }
}

#[tokio::test]
async fn they_are_byte_by_byte_those_that_are_made_of_requests() {
    let origin = odd().await;
    let house = House::before(&origin).await;
    for fields in [
        &["Accept: */*"][..],
        &["Connection: keep-alive"],
        &["Accept-Language: de", "Cookie: a=b"],
        &["Host: H:80", "X-Forwarded-For: 1.1.1.1"],
    ] {
        for row in ROWS {
            compare(&mut Wire::over(TcpStream::connect(house.address).await.unwrap()), row, fields).await;
        }
    }
    assert_eq!(origin.requests().len(), TARGETS.len() * 2, "one for each language");
}

#[tokio::test]
async fn those_of_who_closes_and_of_the_old_are_the_same_too() {
    let origin = odd().await;
    let house = House::before(&origin).await;
    for (version, fields) in
        [("1.1", "Connection: close\r\n"), ("1.1", "Connection: Keep-Alive\r\n"), ("1.0", ""), ("1.0", "Connection: keep-alive\r\n")]
    {
        for row in ROWS {
            let mut answers = Vec::new();
            for more in ["", BY_HYPER, ""] {
                let mut client = used(&house, row).await;
                let more = if more.is_empty() { String::new() } else { format!("{more}\r\n") };
                client.send(format!("GET /plain HTTP/{version}\r\nHost: h\r\n{fields}{more}\r\n")).await;
                let mut answer = client.head().await.into_bytes();
                answer.extend(client.exactly("/plain".len()).await);
                if fields.contains("eep-") {
                    assert_eq!(client.get("/plain").await.text(), "/plain", "it stays");
                } else {
                    assert!(client.is_closed().await);
                }
                answers.push(String::from_utf8(answer).unwrap());
            }
            answers.remove(0); // it may have been stored by that
            assert_eq!(answers[0], answers[1], "HTTP/{version} {fields:?} after {row}");
        }
    }
}

#[tokio::test]
async fn they_are_the_same_over_tls() {
    let (origin, certificate) = (odd().await, Certificate::new());
    let house = House::with(origin.address, |server, _, _| certificate.serve(server)).await;
    for row in ROWS {
        compare(&mut Wire::over(certificate.connect(house.address, &[]).await.unwrap()), row, &["Accept: */*"]).await;
    }
    assert!(origin.requests().iter().all(|received| received.all("x-forwarded-proto") == ["https"]));
}

#[tokio::test]
async fn their_age_goes_on_and_none_says_more_of_the_cache_than_is_wanted() {
    let origin = odd().await;
    let house = House::before(&origin).await;
    for row in ROWS {
        let mut client = used(&house, row).await;
        let age: u32 = client.get("/used").await.all("age")[0].parse().unwrap();
        house.clock.advance(Duration::from_secs(7));
        let hit = client.get("/used").await;
        assert_eq!((hit.all("age"), hit.cache()), (vec![&*(age + 7).to_string()], &*format!("warmfront; hit; ttl={}", 53 - age)));
    }
    let settings = warmfront::Settings { cache_status: false, ..house.cache.settings() };
    let mut client = used(&house, 45).await;
    house.cache.reload(settings);
    for _ in 0..50 {
        let hit = client.get("/used").await;
        assert!(hit.cache().is_empty() && hit.all("age").len() == 1, "{}", hit.head);
    }
    assert_eq!(origin.requests().len(), 1);
}

/// Hits, misses and what passes, and what is to be answered to each.
fn mixed(rng: &mut StdRng, count: usize, tag: &str) -> (String, Vec<String>) {
    let (mut all, mut expected) = (String::new(), Vec::new());
    for number in 0..count {
        let path = match rng.random_range(0..10) {
            0 => format!("/new/{tag}/{number}"),
            1 => format!("/pass/{number}"),
            stored => format!("/stored/{}?{}", stored % 4, "q".repeat(stored * 40)),
        };
        match rng.random_range(0..20) {
            0 => {
                let body = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
                all.push_str(&request(&format!("POST {path}"), &[&format!("Content-Length: {}", body.len())], body));
            }
            1 => all.push_str(&request(&format!("GET {path}"), &["X-Harmless: 1"], "")),
            _ => all.push_str(&request(&format!("GET {path}"), &[], "")),
        }
        expected.push(path);
    }
    (all, expected)
}

/// Answers with the target; what is under `/pass` is not stored.
async fn partly() -> Origin {
    Origin::start(|received, _| {
        let path = target(received.line());
        answer(if path.starts_with("/pass") { "Cache-Control: no-store" } else { "Cache-Control: max-age=60" }, path)
    })
    .await
}

#[tokio::test]
async fn a_hundred_in_one_write_are_answered_in_order_each_with_its_own() {
    let origin = partly().await;
    let house = House::before(&origin).await;
    for (seed, row) in [0, 3, 45].into_iter().cycle().take(12).enumerate() {
        let mut rng = StdRng::seed_from_u64(seed as u64);
        let mut client = used(&house, row).await;
        let (all, expected) = mixed(&mut rng, 100, &seed.to_string());
        client.send(all).await;
        for (number, expected) in expected.iter().enumerate() {
            let response = client.response().await.unwrap();
            assert_eq!((response.status, response.text()), (200, &**expected), "number {number} of seed {seed}");
        }
        has_hits(&mut client, "/used", 3).await;
    }
    assert!(origin.requests().iter().all(|received| !received.line().contains("smuggled")));
}

#[tokio::test]
async fn a_hundred_hits_in_one_write_are_a_hundred_hits() {
    let origin = echo().await;
    let house = House::before(&origin).await;
    for row in ROWS {
        let mut client = used(&house, row).await;
        let before = house.cache.stats().hits;
        client.send(request("GET /used", &[], "").repeat(100)).await;
        for _ in 0..100 {
            assert_eq!(client.response().await.unwrap().text(), "/used");
        }
        assert_eq!((house.cache.stats().hits - before, origin.requests().len()), (100, 1));
    }
}

#[tokio::test]
async fn wherever_the_bytes_are_cut_each_gets_its_own() {
    let origin = partly().await;
    let house = House::before(&origin).await;
    for seed in 100..124 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut client = used(&house, if seed % 2 == 0 { 3 } else { 45 }).await;
        client.stream.set_nodelay(true).unwrap();
        let (all, expected) = mixed(&mut rng, 40, &seed.to_string());
        let mut rest = all.as_bytes();
        let largest = rng.random_range(20..600);
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rng.random_range(1..=rest.len().min(largest)));
            client.send(piece).await;
            rest = later;
            for _ in 0..rng.random_range(0..4) {
                tokio::task::yield_now().await;
            }
        }
        for (number, expected) in expected.iter().enumerate() {
            let response = tokio::time::timeout(PATIENCE, client.response()).await.unwrap().unwrap();
            assert_eq!((response.status, response.text()), (200, &**expected), "number {number} of seed {seed}");
        }
    }
    assert!(origin.requests().iter().all(|received| !received.line().contains("smuggled")));
}

#[tokio::test]
async fn a_head_that_comes_in_two_pieces_in_the_middle_of_many_is_one_request() {
    let origin = echo().await;
    let house = House::before(&origin).await;
    let head = request("GET /used", &[], "");
    for row in ROWS {
        let mut client = used(&house, row).await;
        client.stream.set_nodelay(true).unwrap();
        for at in 1..head.len() {
            client.send(&head.as_bytes()[..at]).await;
            tokio::time::sleep(Duration::from_micros(300)).await;
            client.send(&head.as_bytes()[at..]).await;
            assert_eq!(client.response().await.unwrap().text(), "/used", "cut at {at}");
        }
        client.stream.shutdown().await.unwrap();
        assert!(client.is_closed().await);
    }
}
