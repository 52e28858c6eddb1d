//! What a connection may bring after hits, and how it ends.

use super::{ROWS, echo, has_hits, used};
use crate::client::Client;
use crate::house::{House, LONG, answer, fresh, millis, request, until};
use crate::origin::Origin;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use warmfront::sidecar::Drained;
use warmfront::telemetry::Refusal;

#[tokio::test]
async fn every_other_request_is_answered_as_ever_and_the_hits_go_on() {
    let origin = Origin::always(answer("Cache-Control: max-age=60|ETag: \"v\"", "0123456789")).await;
    let house = House::before(&origin).await;
    let filler = format!("X-Filler: {}", "x".repeat(5000));
    for row in ROWS {
        for (line, fields, body, expected) in [
            ("HEAD /used", &[][..], "", (200, "")),
            ("POST /other", &["Content-Length: 5"], "hello", (200, "0123456789")),
            ("POST /other", &["Transfer-Encoding: chunked"], "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", (200, "0123456789")),
            ("GET /used", &["If-None-Match: \"v\""], "", (304, "")),
            ("GET /used", &["If-None-Match: \"w\""], "", (200, "0123456789")),
            ("GET /used", &["Range: bytes=2-4"], "", (206, "234")),
            ("GET /used", &["Range: bytes=20-"], "", (416, "")),
            ("GET /used", &["Cache-Control: no-cache"], "", (200, "0123456789")),
            ("GET /used", &["Expect: 100-continue"], "", (200, "0123456789")),
            ("GET /used", &["TE: trailers", "Connection: TE"], "", (200, "0123456789")),
            ("GET /used", &["Upgrade: websocket"], "", (200, "0123456789")),
            ("GET /used", &["Content-Length: 3"], "abc", (200, "0123456789")),
            ("GET http://h/used", &[], "", (200, "0123456789")),
            ("GET /used", &[&*filler], "", (200, "0123456789")),
            ("GET /new", &[&*filler], "", (200, "0123456789")),
            ("OPTIONS *", &["Max-Forwards: 0"], "", (204, "")),
            ("GET /cold", &["Cache-Control: only-if-cached"], "", (504, "")),
        ] {
            let mut client = used(&house, row).await;
            for round in 0..6 {
                client.send(request(line, fields, body)).await;
                let response = client.final_response_to(line.split(' ').next().unwrap()).await;
                let what = format!("{line} {fields:?} after {row}, round {round}: {}", response.head);
                assert_eq!(response.status, expected.0, "{what}");
                assert!(!matches!(expected.0, 200 | 206) || response.text() == expected.1, "{what}");
                assert!(!line.starts_with("POST") || origin.last().body == b"hello", "{what}");
                assert!(!response.head.to_ascii_lowercase().contains("connection: close"), "{what}");
                if round % 3 == 2 {
                    has_hits(&mut client, "/used", row).await; // and some of them come again and again
                }
            }
        }
    }
}

#[tokio::test]
async fn who_says_that_it_is_the_last_is_answered_and_closed() {
    let origin = echo().await;
    let house = House::before(&origin).await;
    for row in ROWS {
        for (last, says) in [
            ("GET /used HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", true),
            ("GET /used HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Close\r\n\r\n", true),
            ("GET /used HTTP/1.0\r\nHost: h\r\n\r\n", false),
            ("GET /used HTTP/1.0\r\n\r\n", false),
        ] {
            let mut client = used(&house, row).await;
            client.send(format!("{last}{}", request("GET /used", &[], ""))).await;
            let response = client.response().await.unwrap();
            assert_eq!((response.status, response.complete), (200, true), "{last}");
            assert!(!says || response.all("connection") == ["close"], "{last}: {}", response.head);
            assert!(client.is_closed().await, "{last}: what follows it is not answered");
        }
    }
}

#[tokio::test]
async fn each_is_answered_in_its_own_version_though_all_say_the_same() {
    let origin = echo().await;
    let house = House::before(&origin).await;
    for row in ROWS {
        let mut client = used(&house, row).await;
        for version in ["1.1", "1.1", "1.0", "1.1", "1.0", "1.0", "1.1", "1.1"] {
            client.send(format!("GET /used HTTP/{version}\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")).await;
            let response = client.response().await.unwrap();
            assert!(response.head.starts_with(&format!("HTTP/{version} 200")), "{version} after {row}: {}", response.head);
            assert_eq!(response.all("connection"), if version == "1.0" { &["keep-alive"][..] } else { &[] }, "{version} after {row}");
        }
    }
}

#[tokio::test]
async fn who_says_so_again_and_again_is_closed_each_time() {
    let origin = echo().await;
    let house = House::before(&origin).await;
    for _ in 0..5 {
        let mut client = used(&house, 3).await;
        client.send("GET /used HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".repeat(3)).await;
        let response = client.response().await.unwrap();
        assert_eq!((response.text(), response.all("connection")), ("/used", vec!["close"]));
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_behind_the_hits_that_came_before() {
    let origin = echo().await;
    let house = House::with(origin.address, |server, _, _| server.header_timeout = millis(300)).await;
    let large = format!("GET /used HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let many = format!("GET /used HTTP/1.1\r\nHost: h\r\n{}\r\n", "a:\r\n".repeat(101));
    for row in ROWS {
        for (bad, status) in [
            ("\x16\x03\x01garbage\r\n\r\n", 400),
            ("GET /used\r\n\r\n", 400),
            ("GET /us ed HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET /used HTTP/1.1\nHost: h\n\n", 400),
            ("GET /used#x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET /used HTTP/1.1\r\n\r\n", 400),
            ("GET /used HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
            ("GET /used HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
            ("GET /used HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET /used HTTP/1.1\r\nHost: h\r\nConnection: cookie\r\n\r\n", 400),
            ("GET used HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET /used HTTP/2.0\r\nHost: h\r\n\r\n", 400),
            ("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 405),
            (&large, 431),
            (&many, 431),
            ("GET /used HTTP/1.1\r\nHo", 408),
        ] {
            for before in [0, 5] {
                let mut client = used(&house, row).await;
                // All of it may not be read by then.
                let _ = client.stream.write_all([&request("GET /used", &[], "").repeat(before), bad].concat().as_bytes()).await;
                for _ in 0..before {
                    assert_eq!(client.response().await.unwrap().text(), "/used");
                }
                let refused = client.response().await.unwrap_or_else(|| panic!("{bad:.60?}"));
                assert_eq!((refused.status, refused.all("connection")), (status, vec!["close"]), "{bad:.60?} after {row}");
                assert!(client.is_closed().await, "{bad:.60?}");
            }
        }
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn at_the_end_of_the_process_the_next_answer_is_the_last_and_says_so() {
    for row in ROWS {
        let origin = echo().await;
        let mut house = House::before(&origin).await;
        let (mut asks, mut pipelines, mut idle) = (used(&house, row).await, used(&house, row).await, used(&house, row).await);
        house.stop.take().unwrap().send(()).unwrap();
        while TcpStream::connect(house.address).await.is_ok() {
            tokio::task::yield_now().await; // it has not begun yet
        }
        let last = asks.get("/used").await;
        assert_eq!((last.text(), last.is_hit(), last.all("connection")), ("/used", true, vec!["close"]), "after {row}");
        pipelines.send(request("GET /used", &[], "").repeat(3)).await;
        assert_eq!(pipelines.response().await.unwrap().all("connection"), ["close"]);
        assert!(asks.is_closed().await && pipelines.is_closed().await && idle.is_closed().await, "after {row}");
        drop((asks, pipelines, idle)); // what was never read is waited for
        let drained = tokio::time::timeout(LONG, house.running).await.unwrap().unwrap();
        assert_eq!(drained, Drained { finished: true, open: 0 });
    }
}

#[tokio::test]
async fn one_that_goes_quiet_after_hits_is_closed_at_its_time_and_not_before() {
    let origin = echo().await;
    let house = House::with(origin.address, |server, _, _| server.idle_timeout = Duration::from_secs(1)).await;
    for row in [0, 3, 45] {
        let mut client = used(&house, row).await;
        for _ in 0..2 {
            tokio::time::sleep(millis(270)).await; // longer than until hyper goes by itself
            assert!(client.get("/used").await.is_hit(), "after {row}");
        }
        assert!(client.is_closed().await, "after {row}");
    }
    assert_eq!(Refusal::ALL.iter().map(|refusal| house.sidecar.refused(*refusal)).sum::<u64>(), 0, "and nothing is wrong with that");
}

#[tokio::test]
async fn one_that_has_only_hits_makes_room_for_a_newcomer_when_it_is_idle() {
    let origin = echo().await;
    let house = House::with(origin.address, |server, _, _| server.max_connections = 2).await;
    for row in ROWS {
        let (mut first, mut second) = (used(&house, row).await, used(&house, row).await);
        let mut newcomer = house.client().await;
        assert_eq!(newcomer.get("/new").await.text(), "/new");
        assert!(first.is_closed().await, "the one that has been idle longest");
        assert!(second.get("/used").await.is_hit());
        drop((second, newcomer));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn each_is_counted_once() {
    let origin = echo().await;
    let house = House::before(&origin).await;
    for row in [0, 1, 2, 3, 31, 32, 33, 100] {
        let before = house.cache.stats();
        let mut client: Client = house.client().await;
        for _ in 0..row {
            client.get("/used").await;
        }
        client.get("/pass?").await;
        let after = house.cache.stats();
        let asked = origin.requests().len() as u64;
        assert_eq!(after.hits + after.misses - before.hits - before.misses, row + 1, "after {row}");
        assert_eq!((after.misses, after.passed + after.stale + after.collapsed + after.refused), (asked, 0));
    }
    until("both are stored", || house.cache.stats().entries == 2).await;
}

/// What comes then is the rest of its body and no request, whoever has written it.
#[tokio::test]
async fn a_request_that_is_answered_before_its_body_has_come_is_the_last_behind_any_number_of_hits() {
    let origin = Origin::start(|received, _| match super::target(received.line()) {
        "/early" => answer("Cache-Control: no-store", "early").early(),
        path => fresh(path),
    })
    .await;
    let house = House::before(&origin).await;
    let rest = request("GET /smuggled", &["Host: victim"], "");
    let length = format!("Content-Length: {}", rest.len() + 1000);
    for hits in [3, 30, 31, 32, 33, 45] {
        for line in ["GET /early", "POST /early"] {
            let mut client = used(&house, 0).await;
            client.send(request("GET /used", &[], "").repeat(hits) + &request(line, &[&length], "")).await;
            for _ in 0..hits {
                assert!(client.final_response_to("GET").await.is_hit());
            }
            assert_eq!(client.final_response_to("GET").await.text(), "early", "{line} after {hits}");
            let _ = client.stream.write_all(rest.as_bytes()).await; // if it is not closed yet
            assert!(client.is_closed().await, "{line} after {hits}");
        }
    }
    assert!(origin.requests().iter().all(|received| !received.line().contains("/smuggled")));
}
