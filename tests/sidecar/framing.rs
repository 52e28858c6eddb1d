//! Requests that could be read in two ways are refused, and their connection is closed (RFC 9112 section 11.2).

use crate::origin::{Act, Origin};
use crate::rig::Rig;

/// Sends `request`, and after it a request that must never be answered; the status of the one answer.
async fn status_of(rig: &Rig, request: &str) -> u16 {
    let mut client = rig.client().await;
    client.send(request).await;
    client.send("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let response = client.response().await.unwrap_or_else(|| panic!("no answer to {request:?}"));
    assert!(client.is_closed().await, "the connection is closed after {request:?}");
    response.status
}

#[tokio::test]
async fn every_ambiguous_head_is_400_and_closes() {
    let origin = Origin::always(Act::ok("")).await;
    let rig = Rig::before(&origin).await;
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n0\r\n\r\n");
    for request in [
        post("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5"),
        post("Content-Length: 5\r\nContent-Length: 6"),
        post("Content-Length: 5\r\nContent-Length: 5"),
        post("Content-Length: 5, 5"),
        post("Content-Length: +5"),
        post("Content-Length: 0x5"),
        post("Content-Length: 5 5"),
        post("Content-Length:"),
        post("Content-Length: 99999999999999999999"),
        post("Content-Length : 5"),
        post("Transfer-Encoding : chunked"),
        post("Transfer-Encoding: xchunked"),
        post("Transfer-Encoding: chunked, chunked"),
        post("Transfer-Encoding: gzip, chunked"),
        post("Transfer-Encoding: chunked, identity"),
        post("Transfer-Encoding: \"chunked\""),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
        post("Transfer-Encoding:\x0bchunked"),
        post("Transfer-Encoding: chunked\x00"),
        post("Transfer-Encoding:\r\n chunked"),
        post(" Transfer-Encoding: chunked"),
        post("X: y\nTransfer-Encoding: chunked"),
        post("X: y\rTransfer-Encoding: chunked"),
        post("X: a\0b"),
        post("X: a\x1fb"),
        post(": empty name"),
        post("no colon"),
        post("X\u{e9}: 1"),
        post("Host: other"),
        "GET / HTTP/1.1\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost:\r\n\r\n".into(),
        "GET /x#fragment HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET http://u:p@h/ HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET * HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n".into(),
        "GET / HTTP/1.1\nHost: h\n\n".into(),
        "GET / HTTP/1.1\r\nHost: h\n\r\n".into(),
        "GET / HTTP/2.0\r\nHost: h\r\n\r\n".into(),
        "GET / HTTP/0.9\r\nHost: h\r\n\r\n".into(),
        "GET /\r\n\r\n".into(),
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".into(),
        "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, Cookie\r\n\r\n".into(),
        "\x16\x03\x01\x02\0".into(),
    ] {
        assert_eq!(status_of(&rig, &request).await, 400, "{request:?}");
    }
    assert!(origin.requests().is_empty(), "none of them reached the origin");
    assert!(rig.sidecar.refused(warmfront::telemetry::Refusal::BadRequest) > 50);
}

#[tokio::test]
async fn every_ambiguous_chunk_is_400_and_closes() {
    let origin = Origin::always(Act::ok("")).await;
    let rig = Rig::before(&origin).await;
    for body in [
        "x\r\n",
        "\r\n",
        "-1\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "0x5\r\nhello\r\n",
        "FFFFFFFFFFFFFFFFF\r\n",
        "00000000000000005\r\nhello\r\n",
        "5;\r\nhello\r\n",
        "5;a=\"\r\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nX: a\nY: b\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nX: a\0b\r\n\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(status_of(&rig, &request).await, 400, "{body:?}");
    }
    assert!(origin.requests().iter().all(|request| !request.line().contains("smuggled")), "{:?}", origin.requests());
}

#[tokio::test]
async fn well_formed_bodies_pass_and_the_connection_stays() {
    let origin = Origin::start(|_, number| Act::ok(&number.to_string())).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    for (fields, body) in [
        ("Content-Length: 5", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: Chunked", "2;x=\"y;\"\r\nhe\r\n3\r\nllo\r\n000\r\nTrailer: t\r\n\r\n"),
    ] {
        client.send(format!("POST /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}")).await;
        assert_eq!(client.response().await.unwrap().status, 200);
        assert_eq!(origin.last().body, b"hello", "{fields}");
        assert_eq!(client.get("/between").await.status, 200, "the next request is found where it begins");
    }
    assert_eq!(origin.requests().len(), 6);
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    for byte in b"\r\nPOST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /next HTTP/1.1\r\nHost: h\r\n\r\n" {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    for path in ["/slow", "/next"] {
        assert_eq!(client.response().await.unwrap().status, 200, "{path}");
    }
    assert_eq!(origin.requests().iter().map(|r| r.line().to_owned()).collect::<Vec<_>>(), ["POST /slow HTTP/1.1", "GET /next HTTP/1.1"]);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_a_bad_one_ends_it() {
    let origin = Origin::start(|request, _| Act::ok(request.line())).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let post = "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    client.send([get("/1"), get("/2"), post.into(), get("/3"), "GET /4 HTTP/1.1\r\n\r\n".into(), get("/5")].concat()).await;
    for path in ["GET /1", "GET /2", "POST /p", "GET /3"] {
        assert!(client.response().await.unwrap().text().starts_with(path));
    }
    assert_eq!(client.response().await.unwrap().status, 400);
    assert!(client.is_closed().await);
    assert_eq!(origin.requests().len(), 4);
}

#[tokio::test]
async fn a_large_head_passes_up_to_the_limit_and_is_431_beyond() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| server.max_header_bytes = 20_000).await;
    let mut client = rig.client().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(19_000))).await;
    assert_eq!(client.response().await.unwrap().status, 200, "larger than hyper's first buffer");
    client.send(format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(20_000))).await;
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.text().contains("server.max_header_bytes")), (431, true));
    assert!(client.is_closed().await);
    for (line, status) in [(8_100, 200), (8_200, 414), (30_000, 414)] {
        let mut client = rig.client().await;
        client.send(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(line))).await;
        assert_eq!(client.response().await.unwrap().status, status, "{line}");
    }
    let mut client = rig.client().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(120))).await;
    assert_eq!(client.response().await.unwrap().status, 431, "hyper allows 100 fields");
}

#[tokio::test]
async fn an_absolute_target_replaces_the_host() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    for (target, host, line, seen) in [
        ("http://Other:80/a%2F../b?x=%41", "mine", "GET /a%2F../b?x=%41 HTTP/1.1", "other"),
        ("http://other", "mine", "GET / HTTP/1.1", "other"),
        ("http://other:8080?q", "mine", "GET /?q HTTP/1.1", "other:8080"),
        ("/a//b/./c;d?&&x", "Mine:80", "GET /a//b/./c;d?&&x HTTP/1.1", "mine"),
        ("//evil/x", "mine", "GET //evil/x HTTP/1.1", "mine"),
    ] {
        let mut client = rig.client().await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(client.response().await.unwrap().status, 200, "{target}");
        assert_eq!((origin.last().line(), origin.last().all("host")), (line, vec![seen]), "{target}");
    }
    let mut client = rig.client().await;
    client.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 200);
    assert_eq!(origin.last().line(), "OPTIONS * HTTP/1.1");
}

#[tokio::test]
async fn http_1_0_works_with_and_without_a_host() {
    let origin =
        Origin::always(Act::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", crate::origin::Then::Keep))
            .await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send("GET /old HTTP/1.0\r\n\r\n").await;
    let response = client.response().await.unwrap();
    assert!(response.head.starts_with("HTTP/1.0 200") && response.all("transfer-encoding").is_empty(), "{}", response.head);
    assert_eq!((response.text(), response.complete), ("abc", true));
    assert_eq!(origin.last().all("host"), [origin.address.to_string()]);
    assert_eq!(origin.last().all("via"), ["1.0 warmfront"]);
}

#[tokio::test]
async fn a_head_may_be_as_large_as_the_settings_say() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| server.max_header_bytes = 1 << 20).await;
    let mut client = rig.client().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Large: {}\r\n\r\n", "x".repeat(900_000))).await;
    assert_eq!(client.response().await.unwrap().status, 200);
    client.send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Large: {}\r\n\r\n", "x".repeat(1 << 20))).await;
    assert_eq!(client.response().await.unwrap().status, 431);
    assert_eq!(rig.sidecar.refused(warmfront::telemetry::Refusal::HeadersTooLarge), 1);
}
