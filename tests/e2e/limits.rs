//! Limits answer with their status, their name, in the form that was asked for, and close.

use crate::house::{House, fresh, millis, request};
use crate::origin::Origin;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

async fn strict(origin: &Origin) -> House {
    House::with(origin.address, |server, _, _| {
        (server.max_header_bytes, server.max_request_body, server.header_timeout) = (8 << 10, 1000, millis(200));
    })
    .await
}

#[tokio::test]
async fn every_limit_has_its_status_and_its_name() {
    let origin = Origin::always(fresh("x")).await;
    let house = strict(&origin).await;
    let bomb: String = (0..2000).map(|at| format!("X-{at}: y\r\n")).collect();
    for (bytes, expected, name) in [
        (format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(9000)), 431, "server.max_header_bytes"),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{bomb}\r\n"), 431, "100 header fields"),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: {}", "x".repeat(60_000)), 431, "server.max_header_bytes"),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(8200)), 414, "8 KiB"),
        (request("POST /", &["Content-Length: 1001"], ""), 413, "server.max_request_body"),
        (
            request("POST /", &["Transfer-Encoding: chunked"], &format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001))),
            413,
            "server.max_request_body",
        ),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: never ends".to_owned(), 408, "server.header_timeout"),
    ] {
        let mut client = house.client().await;
        let _ = client.stream.write_all(bytes.as_bytes()).await;
        let response = client.response().await.unwrap_or_else(|| panic!("no answer to {bytes:.60?}"));
        assert_eq!(response.status, expected, "{bytes:.60?}");
        assert!(response.text().contains(name), "{}", response.text());
        assert_eq!(response.all("connection"), ["close"]);
        assert_eq!(response.all("cache-control"), ["no-store"]);
        assert!(client.is_closed().await);
    }
    assert!(
        origin.requests().iter().all(|received| received.body.is_empty() && received.line().starts_with("POST")),
        "nothing else got there"
    );
}

#[tokio::test]
async fn many_small_fields_are_refused_below_the_byte_limit_too() {
    let origin = Origin::always(fresh("x")).await;
    let house = House::before(&origin).await;
    let fields: String = (0..150).map(|at| format!("X-{at}: y\r\n")).collect();
    let mut client = house.client().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).await;
    let response = client.response().await.unwrap();
    assert_eq!((response.status, origin.requests().len()), (431, 0));
    assert!(response.text().contains("100 header fields"), "it says why: {}", response.text());
    assert_eq!(house.sidecar.refused(warmfront::telemetry::Refusal::HeadersTooLarge), 1, "and counts");
}

#[tokio::test]
async fn a_problem_is_json_for_those_who_ask_wherever_it_arises() {
    let origin = Origin::always(fresh("x")).await;
    let house = strict(&origin).await;
    let down = House::with("127.0.0.1:1".parse().unwrap(), |_, _, _| {}).await;
    for (house, line, fields, expected) in [
        (&down, "GET /", vec![], 502),
        (&house, "GET /cold", vec!["Cache-Control: only-if-cached"], 504),
        (&house, "POST /", vec!["Content-Length: 1001"], 413),
        (&house, "CONNECT h:80", vec![], 405),
        (&house, "PUT /", vec!["Expect: x", "Content-Length: 1"], 417),
        (&house, "GET /", vec!["Connection: Cookie"], 400),
    ] {
        for (accept, kind) in [
            ("application/json", "application/problem+json"),
            ("application/problem+json", "application/problem+json"),
            ("text/html", "text/plain; charset=utf-8"),
            ("*/*", "text/plain; charset=utf-8"),
        ] {
            let response = house.ask(line, &[fields.clone(), vec![&format!("Accept: {accept}")]].concat()).await;
            assert_eq!((response.status, response.all("content-type")), (expected, vec![kind]), "{line} {accept}");
            if kind.contains("json") {
                let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
                assert_eq!(problem["status"], expected);
                assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
            }
        }
        assert!(house.ask(line, &fields).await.complete);
    }
}

#[tokio::test]
async fn a_slow_head_does_not_keep_a_hit_waiting_and_idle_is_not_slow() {
    let origin = Origin::always(fresh("x")).await;
    let house = strict(&origin).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut client = house.client().await;
        client.send("GET / HT").await;
        slow.push(client);
    }
    let mut client = house.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for mut one in slow {
        assert_eq!(one.response().await.unwrap().status, 408);
    }
}
