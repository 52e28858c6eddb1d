//! What upstreams answer, byte by byte: what is one response reaches the client, what could be another one for somebody else does not.

use crate::client::Client;
use crate::origin::{Act, Origin, Then};
use crate::rig::Rig;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use warmfront::telemetry::Refusal;

const PATIENCE: Duration = Duration::from_secs(10);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn listen() -> (TcpListener, Rig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::with(listener.local_addr().unwrap(), |_, upstream| upstream.retries = 0).await;
    (listener, rig)
}

async fn accept(listener: &TcpListener) -> Client {
    Client::from(tokio::time::timeout(PATIENCE, listener.accept()).await.expect("a connection").unwrap().0)
}

#[tokio::test]
async fn an_answer_that_could_be_read_in_two_ways_is_502_and_ends_its_connection() {
    let (listener, rig) = listen().await;
    let with = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let answers = [
        with("Transfer-Encoding: chunked, chunked"),
        with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        with("Transfer-Encoding: chunked,"),
        with("Transfer-Encoding: chunked;q=1"),
        with("Transfer-Encoding: chunked, identity"),
        with("Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
        with("Transfer-Encoding:\r\n chunked"),
        with("Transfer-Encoding : chunked"),
        with("Content-Length: +5"),
        with("Content-Length: 5 5"),
        with("Content-Length: 5, 6"),
        with("Content-Length:"),
        with("Content-Length: 18446744073709551615"),
        with("X: y\rTransfer-Encoding: chunked"),
        with(": x"),
        format!("\r\n{OK}"),
        format!("HTTP/0.9 200 OK\r\n\r\n{OK}"),
        "HTTP/2.0 200 OK\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "<html>what an old server says</html>".to_owned(),
        "ICY 200 OK\r\n\r\n".to_owned(),
    ];
    for (count, answer) in answers.iter().enumerate() {
        let mut client = rig.client().await;
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await;
        let mut line = accept(&listener).await;
        line.head().await;
        assert_eq!(line.exactly(1).await, b"x");
        line.send(answer).await;
        let response = client.response().await.unwrap();
        assert_eq!(
            (response.status, rig.sidecar.refused(Refusal::BadResponse)),
            (502, count as u64 + 1),
            "{answer:?}: {}",
            response.text()
        );
        assert!(line.is_closed().await, "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_whose_framing_is_broken_breaks_off_visibly() {
    let (listener, rig) = listen().await;
    for rest in [
        "X\r\n0\r\n\r\n",
        "\r\n-1\r\nx\r\n0\r\n\r\n",
        "\r\n+1\r\nx\r\n0\r\n\r\n",
        "\r\n0x1\r\nx\r\n0\r\n\r\n",
        "\r\n10000000000000001\r\nx\r\n0\r\n\r\n",
        "\r\nffffffffffffffff\r\nx",
        "\r\n1;a=\"\r\n\"\r\nx\r\n0\r\n\r\n",
        "\r\n1\nx\r\n0\r\n\r\n",
        "\r\n0\r\nX : 5\r\n\r\n",
        "\r\n0\r\n folded\r\n\r\n",
        &format!("\r\n0\r\nX: {}\r\n\r\n", "x".repeat(17 << 10)),
        &format!("\r\n1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(2 << 10)),
    ] {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let mut line = accept(&listener).await;
        line.head().await;
        line.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello").await;
        assert!(client.head().await.starts_with("HTTP/1.1 200"));
        assert_eq!(client.exactly(10).await, b"5\r\nhello\r\n");
        line.send(rest).await;
        line.stream.shutdown().await.unwrap();
        let all = client.rest().await;
        assert!(!all.ends_with(b"0\r\n\r\n"), "{rest:?}: {}", String::from_utf8_lossy(&all));
        assert!(line.is_closed().await, "{rest:?}");
    }
}

#[tokio::test]
async fn a_head_has_an_end() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(64 << 10));
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(64 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
    for (answer, words) in [(endless, "over 64 KiB"), (large, "over 64 KiB"), (many, "more than 100 header fields")] {
        let origin = Origin::always(Act::send(answer, Then::Hang)).await;
        let rig = Rig::before(&origin).await;
        let response = rig.client().await.get("/").await;
        assert_eq!((response.status, response.text().contains(words)), (502, true), "{}", response.text());
    }
    let fits = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 2\r\n\r\nok", "x".repeat(60 << 10));
    let origin = Origin::always(Act::send(fits, Then::Keep)).await;
    let rig = Rig::before(&origin).await;
    for _ in 0..2 {
        assert_eq!(rig.client().await.get("/").await.text(), "ok");
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_drips_byte_by_byte_is_the_same_answer() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=\"b\"\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    let interim =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (listener, rig) = listen().await;
    let mut client = rig.client().await;
    let mut line = None;
    for answer in [OK, chunked, interim] {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        if line.is_none() {
            line = Some(accept(&listener).await);
        }
        let line = line.as_mut().unwrap();
        line.stream.set_nodelay(true).unwrap();
        assert!(line.head().await.starts_with("GET / "), "the connection of the one before");
        for byte in answer.bytes() {
            line.send([byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.response().await.unwrap().text(), "ok", "{answer:?}");
    }
}

#[tokio::test]
async fn where_a_response_has_no_body_the_next_one_begins_behind_its_head() {
    let origin = Origin::start(|request, _| match request.line().split(' ').nth(1).unwrap() {
        "/204" => Act::send("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", Then::Keep),
        "/304" => Act::send("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Then::Keep),
        "/205" => Act::send("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", Then::Keep),
        "/head" => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Then::Keep),
        "/chunked-head" => Act::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Then::Keep),
        "/old" => Act::send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", Then::Keep),
        "/twice" => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 02\r\n\r\nok", Then::Keep),
        "/bare" => Act::send("HTTP/1.1 200\r\nContent-Length:2\r\n\r\nok", Then::Keep),
        _ => Act::ok("next"),
    })
    .await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    for path in ["/204", "/304", "/205", "/head", "/chunked-head", "/old", "/twice", "/bare"] {
        let method = if path.ends_with("head") { "HEAD" } else { "GET" };
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        let response = client.response_to(method).await.unwrap();
        assert!(response.complete && (response.body.is_empty() || response.text() == "ok"), "{path}: {response:?}");
        if path == "/twice" {
            assert_eq!(response.all("content-length"), ["2"]);
        }
        assert_eq!(client.get("/next").await.text(), "next", "after {path}");
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn lines_that_end_in_lf_alone_are_taken_and_their_connection_is_not_used_again() {
    let (listener, rig) = listen().await;
    for answer in ["HTTP/1.1 200 OK\nContent-Length: 2\nX: y\n\nok", "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok"] {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let mut line = accept(&listener).await;
        line.head().await;
        line.send(answer).await;
        let response = client.response().await.unwrap();
        assert_eq!((response.status, response.text(), response.all("x")), (200, "ok", vec!["y"]), "{answer:?}");
        assert!(line.is_closed().await, "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_that_may_still_owe_something_is_not_used_again() {
    for (answer, text) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
    ] {
        once_and_no_more(answer, text).await;
    }
}

async fn once_and_no_more(answer: &'static str, text: &str) {
    let origin = Origin::start(move |_, number| if number == 0 { Act::send(answer, Then::Keep) } else { Act::ok("next") }).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    let response = client.get("/").await;
    assert_eq!((response.text(), response.complete, response.all("content-length").len()), (text, true, 0));
    assert_eq!(client.get("/").await.text(), "next", "{answer:?}");
    assert_eq!(origin.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_that_begins_before_its_request_has_ended_leaves_a_clean_connection() {
    let (listener, rig) = listen().await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello").await;
    let mut line = accept(&listener).await;
    line.head().await;
    line.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(client.exactly(2).await, b"fi");
    client.send("world").await;
    assert_eq!(line.exactly(10).await, b"helloworld", "the upload goes on");
    line.send("ne").await;
    assert_eq!(client.exactly(2).await, b"ne");
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(line.head().await.starts_with("GET / "));
    line.send(OK).await;
    assert_eq!(client.response().await.unwrap().text(), "ok");
}

#[tokio::test]
async fn a_connection_that_is_closed_as_soon_as_it_is_open_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::with(listener.local_addr().unwrap(), |_, upstream| upstream.retries = 1).await;
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
            let mut line = accept(&listener).await;
            line.head().await;
            line.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
        }
    });
    let mut client = rig.client().await;
    for _ in 0..50 {
        let response = client.get("/").await;
        assert_eq!((response.status, response.text()), (200, "ok"));
    }
}

#[tokio::test]
async fn an_upload_that_is_broken_off_says_nothing_of_other_connections() {
    let (listener, rig) = listen().await;
    let (mut one, mut other) = (rig.client().await, rig.client().await);
    one.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut first = accept(&listener).await;
    first.head().await;
    other.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut second = accept(&listener).await;
    second.head().await;
    first.send(OK).await;
    second.send(OK).await;
    for client in [&mut one, &mut other] {
        assert_eq!(client.response().await.unwrap().text(), "ok");
    }
    one.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx").await;
    let taken = tokio::select! {
        _ = first.head() => 0,
        _ = second.head() => 1,
    };
    let (gone, left) = if taken == 0 { (&mut first, &mut second) } else { (&mut second, &mut first) };
    assert_eq!(gone.exactly(1).await, b"x");
    drop(one);
    assert!(gone.is_closed().await);
    other.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(left.head().await.starts_with("GET / "), "it is still in the pool");
    left.send(OK).await;
    assert_eq!(other.response().await.unwrap().text(), "ok");
}

#[tokio::test]
async fn an_upload_that_its_client_breaks_off_takes_the_answer_with_it() {
    let (listener, rig) = listen().await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    let mut line = accept(&listener).await;
    line.head().await;
    assert_eq!(line.exactly(10).await, b"5\r\nhello\r\n");
    line.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    drop(client);
    assert!(line.is_closed().await);
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut fresh = accept(&listener).await;
    fresh.head().await;
    fresh.send(OK).await;
    assert_eq!(client.response().await.unwrap().text(), "ok");
}

#[tokio::test]
async fn a_body_goes_out_with_the_trailers_that_were_announced() {
    let (listener, rig) = listen().await;
    let mut client = rig.client().await;
    let chunks = "5\r\nhello\r\n0\r\nX-Sum: 7\r\nX-Other: 8\r\n\r\n";
    client.send(format!("PUT / HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")).await;
    let mut line = accept(&listener).await;
    assert_eq!(line.head().await.matches("ransfer-").count(), 1);
    let expected = "5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";
    assert_eq!(String::from_utf8(line.exactly(expected.len()).await).unwrap(), expected);
    line.send(OK).await;
    assert_eq!(client.response().await.unwrap().text(), "ok");
}

#[tokio::test]
async fn large_pieces_of_a_body_arrive_as_they_were_sent() {
    let origin = Origin::always(Act::ok("ok")).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    let text: String = (0..40_000).map(|number| format!("{number:05}")).collect();
    client.send(format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{text}", text.len())).await;
    assert_eq!(client.response().await.unwrap().text(), "ok");
    assert!(origin.last().body == text.as_bytes());
    client.send(format!("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\n\r\n", text.len())).await;
    assert_eq!(client.response().await.unwrap().text(), "ok");
    assert!(origin.last().body == text.as_bytes());
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
}
