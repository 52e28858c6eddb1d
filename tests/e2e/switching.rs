//! Everything that is not simply a request and its answer: interim answers, upgrades, CONNECT, TRACE, old versions.

use crate::house::{House, answer, fresh, millis};
use crate::origin::{Act, Origin, Then};
use std::time::Duration;

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";

#[tokio::test]
async fn interim_answers_are_never_taken_for_the_answer_nor_stored() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nCache-Control: max-age=999\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <b>\r\n\r\n",
        "HTTP/1.1 199 Whatever\r\n\r\n",
    ] {
        let mut act = Act::send(interim, Then::Keep);
        act.pieces[0].1 = millis(30);
        act.pieces
            .push((crate::house::with_length("200 OK", "Cache-Control: max-age=60|X-Final: 1", "final").into_bytes(), Duration::ZERO));
        let origin = Origin::always(act).await;
        let house = House::before(&origin).await;
        for version in ["1.1", "1.0"] {
            for hit in [version == "1.0", true] {
                let mut client = house.client().await;
                client.send(format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n")).await;
                let response = client.final_response_to("GET").await;
                assert_eq!((response.status, response.text(), response.all("x-final")), (200, "final", vec!["1"]), "{interim:?}");
                assert!(response.all("link").is_empty());
                assert_eq!(response.is_hit(), hit, "{interim:?} {version}");
            }
        }
        let posted = house.send("POST /p", &["Expect: 100-continue"], "x").await;
        assert_eq!(posted.text(), "final");
    }
}

#[tokio::test]
async fn a_flood_of_interim_answers_is_bounded() {
    let flood = "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n".repeat(2000);
    let mut act = Act::send(&flood, Then::Hang);
    act.pieces.extend((0..200).map(|_| (flood.clone().into_bytes(), millis(5))));
    let origin = Origin::always(act).await;
    let house = House::with(origin.address, |_, upstream, _| (upstream.response_timeout, upstream.retries) = (millis(500), 0)).await;
    let response = tokio::time::timeout(Duration::from_secs(10), house.get("/")).await.unwrap();
    assert!(matches!(response.status, 502 | 504), "{}", response.status);
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_502_and_not_stored() {
    for head in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nCache-Control: max-age=60\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n",
    ] {
        let origin = Origin::always(Act::send(head, Then::Echo)).await;
        let house = House::with(origin.address, |_, upstream, _| upstream.retries = 0).await;
        let mut client = house.client().await;
        assert_eq!(client.get("/").await.status, 502);
        assert_eq!(client.get("/").await.status, 502, "the connection is none the worse");
        assert_eq!(house.cache.stats().entries, 0);
    }
}

#[tokio::test]
async fn an_upgrade_goes_past_the_cache_both_ways() {
    let origin = Origin::start(|received, _| match received.all("upgrade")[..] {
        ["websocket"] => Act::send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\nhi:",
            Then::Echo,
        ),
        _ => fresh("plain"),
    })
    .await;
    let house = House::before(&origin).await;
    for _ in 0..2 {
        assert_eq!(house.get("/ws").await.text(), "plain", "stored and fresh all the while");
        let mut client = house.client().await;
        client.send(ASK).await;
        assert_eq!(client.response().await.unwrap().status, 101);
        client.send("GET /ws HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let expected = "hi:GET /ws HTTP/1.1\r\nHost: h\r\n\r\n";
        assert_eq!(String::from_utf8(client.exactly(expected.len()).await).unwrap(), expected, "bytes, not requests");
    }
    assert_eq!(house.cache.stats().entries, 1);
}

#[tokio::test]
async fn a_refused_upgrade_leaves_a_clean_connection_and_no_entry() {
    let origin = Origin::start(|received, _| match received.all("upgrade").len() {
        1 => answer("Cache-Control: max-age=60", "refused"),
        _ => fresh("plain"),
    })
    .await;
    let house = House::before(&origin).await;
    let mut client = house.client().await;
    client.send(format!("{ASK}GET /ws HTTP/1.1\r\nHost: h\r\n\r\n")).await;
    assert_eq!(client.response().await.unwrap().text(), "refused");
    assert_eq!(client.response().await.unwrap().text(), "plain", "the next request is read as one, and the refusal was not kept for it");
}

#[tokio::test]
async fn connect_is_refused_and_closed() {
    let origin = Origin::always(fresh("x")).await;
    let house = House::before(&origin).await;
    for target in ["h:443", "127.0.0.1:22", "/", "http://h/"] {
        let mut client = house.client().await;
        client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: h\r\n\r\nsecret")).await;
        let response = client.response().await.unwrap();
        assert!(matches!(response.status, 400 | 405 | 501), "{target}: {}", response.status);
    }
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn max_forwards_ends_trace_and_options_here_and_counts_down_otherwise() {
    let origin = Origin::start(|received, _| Act::ok(&received.all("max-forwards").join(","))).await;
    let house = House::before(&origin).await;
    let trace = house.ask("TRACE /x", &["Max-Forwards: 0", "Cookie: secret", "Authorization: secret"]).await;
    assert!(trace.status == 200 && trace.text().starts_with("TRACE ") && !trace.text().contains("secret"), "{}", trace.text());
    assert!(!trace.text().to_ascii_lowercase().contains("x-forwarded-for"), "what we add is not the client's: {}", trace.text());
    assert!(matches!(house.ask("OPTIONS *", &["Max-Forwards: 0"]).await.status, 200 | 204));
    assert!(origin.requests().is_empty());
    assert_eq!(house.ask("OPTIONS /x", &["Max-Forwards: 5"]).await.text(), "4");
    assert_eq!(house.ask("TRACE /x", &["Max-Forwards: 1"]).await.text(), "0");
    assert_eq!(house.ask("GET /x", &["Max-Forwards: 0"]).await.text(), "0", "for others it means nothing");
}

#[tokio::test]
async fn an_old_client_with_keep_alive_is_served_as_by_any_server() {
    let origin = Origin::start(|received, _| match received.line().contains("chunked") {
        true => {
            Act::send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Then::Keep)
        }
        false => fresh("abc"),
    })
    .await;
    let house = House::before(&origin).await;
    let mut client = house.client().await;
    for _ in 0..5 {
        client.send("GET /length HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n").await;
        let response = client.response().await.unwrap();
        assert_eq!((response.text(), response.all("connection").join("").to_ascii_lowercase()), ("abc", "keep-alive".to_owned()));
        assert_eq!(response.all("content-length"), ["3"], "without it the client could not tell where it ends");
    }
    client.send("GET /chunked HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n").await;
    let response = client.response().await.unwrap();
    assert!(response.all("transfer-encoding").is_empty() && response.text() == "abc" && response.complete, "{}", response.head);
    let mut client = house.client().await;
    client.send("GET /length HTTP/1.0\r\nHost: h\r\n\r\n").await;
    assert!(client.response().await.unwrap().text() == "abc" && client.is_closed().await, "without keep-alive it is closed");
}

#[tokio::test]
async fn an_old_origin_is_understood_and_stored() {
    for answer in [
        "HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\nold body",
        "HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 8\r\n\r\nold body",
        "HTTP/1.0 200 OK\r\nExpires: Fri, 01 Jan 2100 00:00:00 GMT\r\nConnection: keep-alive\r\nContent-Length: 8\r\n\r\nold body",
    ] {
        let origin = Origin::always(Act::send(answer, Then::Fin)).await;
        let house = House::before(&origin).await;
        for hit in [false, true] {
            let response = house.get("/").await;
            assert_eq!((response.text(), response.complete, response.is_hit()), ("old body", true, hit), "{answer:?}");
            assert!(response.head.starts_with("HTTP/1.1 200"));
            assert!(
                hit || response.all("via") == ["1.0 warmfront"] || response.all("via") == ["1.1 warmfront"],
                "{:?}",
                response.all("via")
            );
        }
    }
}
