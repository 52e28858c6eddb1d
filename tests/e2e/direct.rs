//! Answers of the service to GETs for which no hyper was needed, byte by byte where the framing matters.

use crate::certificate::Certificate;
use crate::client::Client;
use crate::house::{House, LONG, answer, fresh, millis, request, status, until};
use crate::origin::{Act, Origin, Then};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use warmfront::sidecar::Drained;
use warmfront::sidecar::settings::RateLimit;
use warmfront::telemetry::Refusal;

const PASS: &str = "Cache-Control: no-store|Date: x";
const HEAD: &str = "cache-control: no-store\r\ndate: x\r\n";

/// Sent as it is, with the pieces' pauses.
fn pieces(pieces: &[&str], pause: Duration, then: Then) -> Act {
    Act { early: false, pieces: pieces.iter().map(|piece| (piece.as_bytes().to_vec(), pause)).collect(), then }
}

fn chunked(fields: &str, body: &str) -> Act {
    Act::send(
        format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nDate: x\r\n{fields}Transfer-Encoding: chunked\r\n\r\n{body}"),
        Then::Keep,
    )
}

/// What of an answer does not depend on the moment, and is no concern of its framing.
fn without_status(answer: &str) -> String {
    answer.split_inclusive("\r\n").filter(|line| !line.starts_with("cache-status:")).collect()
}

#[tokio::test]
async fn an_answer_is_framed_as_its_body_comes() {
    let origin = Origin::start(|received, _| match received.line().split(' ').nth(1).unwrap() {
        "/length" => answer(PASS, "hello"),
        "/nothing" => answer(PASS, ""),
        "/chunks" => chunked("", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        "/trailers" => chunked("Trailer: x-sum\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
        "/none" => chunked("", "0\r\n\r\n"),
        "/end" => Act::send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nDate: x\r\n\r\nhello", Then::Fin),
        "/204" => Act::send("HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nDate: x\r\n\r\n", Then::Keep),
        "/304" => Act::send("HTTP/1.1 304 Not Modified\r\nCache-Control: no-store\r\nDate: x\r\n\r\n", Then::Keep),
        "/odd" => status("299 Whatever", PASS, "hello"),
        path => panic!("{path}"),
    })
    .await;
    let house = House::before(&origin).await;
    let whole = |start: &str, framing: &str, body: &str| format!("HTTP/1.1 {start}\r\n{HEAD}via: 1.1 warmfront\r\n{framing}\r\n{body}");
    for (path, expected) in [
        ("/length", whole("200 OK", "content-length: 5\r\n", "hello")),
        ("/nothing", whole("200 OK", "content-length: 0\r\n", "")),
        ("/chunks", whole("200 OK", "transfer-encoding: chunked\r\n", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")),
        ("/none", whole("200 OK", "transfer-encoding: chunked\r\n", "0\r\n\r\n")),
        ("/end", whole("200 OK", "transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        ("/204", whole("204 No Content", "", "")),
        ("/304", whole("304 Not Modified", "", "")),
        ("/odd", whole("299 ", "content-length: 5\r\n", "hello")),
    ] {
        // `last` ends the connection: then there is nothing behind the answer.
        for last in [false, true] {
            let mut client = house.client().await;
            let fields: &[&str] = if last { &["If-None-Match: \"v\"", "Connection: close"] } else { &["If-None-Match: \"v\""] };
            client.send(request(&format!("GET {path}"), fields, "")).await;
            let expected = if last { expected.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1) } else { expected.clone() };
            if last {
                assert_eq!(without_status(&String::from_utf8(client.rest().await).unwrap()), expected, "{path}");
                continue;
            }
            let head = client.head().await;
            let body = client.exactly(expected.split_once("\r\n\r\n").unwrap().1.len()).await;
            assert!(head.contains("cache-status: warmfront; fwd="), "{head}");
            assert_eq!(without_status(&head) + std::str::from_utf8(&body).unwrap(), expected, "{path}");
            assert_eq!(client.get("/length").await.text(), "hello", "behind {path}");
        }
    }
    let mut client = house.client().await;
    client.send(request("GET /trailers", &["Connection: close"], "")).await;
    let trailed = String::from_utf8(client.rest().await).unwrap();
    assert!(trailed.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{trailed}: nobody has asked for trailers");
}

/// A body that shows where a piece of it is missing, twice, or another one's.
fn body(length: usize) -> String {
    (0..).flat_map(|number: u32| format!("{number}\n").into_bytes()).take(length).map(char::from).collect()
}

/// In chunks of this size.
fn in_chunks(body: &str, size: usize) -> String {
    let chunks = body.as_bytes().chunks(size).map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()));
    chunks.collect::<String>() + "0\r\n\r\n"
}

const SIZES: [usize; 10] = [1, 4095, 4096, 16_000, 16_384, 16_385, 20_000, 65_536, 65_537, 700_000];

/// `/LENGTH` with a length, `/LENGTH/CHUNK` in chunks.
async fn sized() -> Origin {
    Origin::start(|received, _| {
        let mut parts = received.line().split(' ').nth(1).unwrap().split('/').skip(1).map(|part| part.parse::<usize>().unwrap());
        let body = body(parts.next().unwrap());
        parts.next().map_or_else(|| answer(PASS, &body), |size| chunked("", &in_chunks(&body, size)))
    })
    .await
}

fn paths() -> Vec<(String, usize)> {
    let all = SIZES.iter().flat_map(|&length| {
        let chunked = [1, 1000, 16_384, 200_000].into_iter().filter(move |size| length / size < 5000 && length >= *size);
        std::iter::once((format!("/{length}"), length)).chain(chunked.map(move |size| (format!("/{length}/{size}"), length)))
    });
    all.collect()
}

#[tokio::test]
async fn bodies_of_any_size_come_whole_one_after_the_other_and_all_at_once() {
    let origin = sized().await;
    let house = House::before(&origin).await;
    let mut client = house.client().await;
    for (path, length) in paths() {
        let response = client.get(&path).await;
        assert!(response.complete && response.text() == body(length), "{path}: {} bytes", response.body.len());
    }
    let all: String = paths().iter().map(|(path, _)| request(&format!("GET {path}"), &[], "")).collect();
    client.send(all).await;
    for (path, length) in paths() {
        let response = client.response().await.unwrap();
        assert!(response.complete && response.text() == body(length), "{path}: {} bytes, all at once", response.body.len());
    }
}

/// Over a socket with little room for what comes.
async fn narrow(house: &House) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(house.address).await.unwrap()
}

/// Asks for all, says that it is done, and reads in small pieces until the end.
async fn read_slowly<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, paths: &[&str]) -> Vec<u8> {
    for (at, path) in paths.iter().enumerate() {
        let last: &[&str] = if at + 1 == paths.len() { &["Connection: close"] } else { &[] };
        stream.write_all(request(&format!("GET {path}"), last, "").as_bytes()).await.unwrap();
    }
    stream.flush().await.unwrap();
    let (mut all, mut piece) = (Vec::new(), [0; 3000]);
    let reading = async {
        loop {
            match stream.read(&mut piece).await.unwrap() {
                0 => return,
                count => all.extend_from_slice(&piece[..count]),
            }
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(LONG, reading).await.expect("all of it in time");
    all
}

#[tokio::test]
async fn a_large_one_comes_whole_however_slowly_it_is_read() {
    let (origin, certificate) = (sized().await, Certificate::new());
    let (house, secure) = (House::before(&origin).await, House::with(origin.address, |server, _, _| certificate.serve(server)).await);
    let paths = ["/700000", "/5", "/700000/16384", "/700000/200000", "/20000/1000"];
    for all in [
        read_slowly(narrow(&house).await, &paths).await,
        read_slowly(certificate.over(narrow(&secure).await, &[]).await.unwrap(), &paths).await,
    ] {
        let mut client = Client::from(echoed(all).await);
        for path in paths {
            let response = client.response().await.unwrap();
            let length = path.split('/').nth(1).unwrap().parse().unwrap();
            assert!(response.complete && response.text() == body(length), "{path}: {} bytes", response.body.len());
        }
        assert!(client.is_closed().await);
    }
}

/// A connection on which these bytes come.
async fn echoed(bytes: Vec<u8>) -> TcpStream {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut other, _) = listener.accept().await.unwrap();
    tokio::spawn(async move { other.write_all(&bytes).await });
    stream
}

#[tokio::test]
async fn what_breaks_off_never_looks_whole() {
    let origin = Origin::start(|received, _| match received.line().split(' ').nth(1).unwrap() {
        "/length" => Act::send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 10\r\n\r\nfirst", Then::Fin),
        "/chunk" => chunked("", "5\r\nfirst\r\n"),
        "/mid" => chunked("", "a\r\nfirst"),
        _ => chunked("", "zz\r\n"),
    })
    .await;
    let house = House::with(origin.address, |_, upstream, _| upstream.idle_body_timeout = millis(200)).await;
    for (path, came) in [("/length", "first"), ("/chunk", "first"), ("/mid", "first"), ("/garbage", "")] {
        let mut client = house.client().await;
        client.send(request(&format!("GET {path}"), &[], "").repeat(2)).await;
        let response = client.response().await.unwrap();
        assert_eq!((response.status, response.complete, response.text()), (200, false, came), "{path}: {}", response.head);
        assert!(client.is_closed().await, "{path}: what comes behind it would be taken for its rest");
    }
}

#[tokio::test]
async fn a_piece_is_passed_on_when_it_comes() {
    for (path, first, last) in [
        ("/length", "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 8\r\n\r\none-", "two-"),
        (
            "/chunks",
            "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none-\r\n",
            "4\r\ntwo-\r\n0\r\n\r\n",
        ),
    ] {
        let (open, opened) = tokio::sync::watch::channel(false);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, mut opened) = (listener.accept().await.unwrap().0, opened);
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(first.as_bytes()).await.unwrap();
            opened.wait_for(|open| *open).await.unwrap();
            stream.write_all(last.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let house = House::with(origin, |_, _, _| {}).await;
        let mut client = house.client().await;
        client.send(request(&format!("GET {path}"), &[], "")).await;
        client.head().await;
        let expected = if path == "/length" { "one-" } else { "4\r\none-\r\n" };
        assert_eq!(client.exactly(expected.len()).await, expected.as_bytes(), "though the rest has not come");
        open.send(true).unwrap();
        assert_eq!(client.exactly(last.len()).await, last.as_bytes());
    }
}

#[tokio::test]
async fn who_has_said_all_gets_all_and_then_the_end() {
    let origin = sized().await;
    let house = House::before(&origin).await;
    let mut client = house.client().await;
    client.send(["/5", "/700000/16384", "/7"].map(|path| request(&format!("GET {path}"), &[], "")).concat()).await;
    client.stream.shutdown().await.unwrap();
    for length in [5, 700_000, 7] {
        let response = client.response().await.unwrap();
        assert!(response.complete && response.text() == body(length));
    }
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn who_leaves_gives_back_the_place_at_the_upstream() {
    for act in
        [Act::hang(), pieces(&["HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 10\r\n\r\nfirst"], millis(0), Then::Hang)]
    {
        let origin =
            Origin::start(move |received, _| if received.line().contains("/hang") { act.clone() } else { answer(PASS, "x") }).await;
        let house = House::with(origin.address, |_, upstream, _| (upstream.max_in_flight, upstream.max_queue) = (1, 0)).await;
        for politely in [true, false] {
            let mut client = house.client().await;
            let hanging = || origin.requests().iter().filter(|received| received.line().contains("/hang")).count();
            let before = hanging();
            client.send(request("GET /hang", &[], "")).await;
            until("it is asked", || hanging() > before).await;
            assert_eq!(house.get("/other").await.status, 503);
            if politely {
                client.stream.shutdown().await.unwrap();
            } else {
                client.stream.set_zero_linger().unwrap();
                drop(client);
            }
            let free = async {
                while house.get("/other").await.status == 503 {
                    tokio::time::sleep(millis(5)).await;
                }
            };
            tokio::time::timeout(LONG, free).await.expect("the place is free again");
        }
    }
}

#[tokio::test]
async fn who_never_reads_is_given_up() {
    let body = body(8 << 20);
    let origin = Origin::always(answer(PASS, &body)).await;
    let house = House::with(origin.address, |server, _, _| server.idle_timeout = millis(300)).await;
    let mut client = Client::from(narrow(&house).await);
    client.send(request("GET /large", &[], "")).await;
    until("it is given up", || house.sidecar.refused(Refusal::StalledReader) == 1).await;
    let mut read = Vec::new();
    let ended = tokio::time::timeout(LONG, client.stream.read_to_end(&mut read)).await.expect("it has been cut");
    assert!(read.len() < body.len() && ended.is_err(), "{} bytes, and {ended:?}", read.len());
}

#[tokio::test]
async fn an_answer_that_is_awaited_when_the_process_ends_is_the_last_and_says_so() {
    // Before connections are told to finish, and after that.
    for pause in [millis(0), millis(500)] {
        let (open, opened) = tokio::sync::watch::channel(false);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut house = House::with(listener.local_addr().unwrap(), |_, _, _| {}).await;
        let mut client = house.client().await;
        client.send(request("GET /slow", &[], "").repeat(2)).await;
        let (mut asked, mut head) = (listener.accept().await.unwrap().0, [0; 4096]);
        assert!(asked.read(&mut head).await.unwrap() > 0);
        tokio::spawn(async move {
            let mut opened = opened;
            opened.wait_for(|open| *open).await.unwrap();
            asked.write_all(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 4\r\n\r\nlast").await.unwrap();
            assert!(!matches!(asked.read(&mut head).await, Ok(1..)), "the second is not asked for");
        });
        house.stop.take().unwrap().send(()).unwrap();
        until("it is being told to end", || std::net::TcpStream::connect(house.address).is_err()).await;
        tokio::time::sleep(pause).await;
        open.send(true).unwrap();
        let response = client.response().await.unwrap();
        assert_eq!((response.text(), response.complete, response.all("connection")), ("last", true, vec!["close"]), "{pause:?}");
        assert!(client.is_closed().await, "the second is not answered");
        assert_eq!(tokio::time::timeout(LONG, house.running).await.unwrap().unwrap(), Drained { finished: true, open: 0 });
    }
}

#[tokio::test]
async fn a_body_that_is_under_way_when_the_process_ends_arrives_whole() {
    let first = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 10\r\n\r\nfirst";
    let origin = Origin::start(move |_, _| pieces(&[first, "-half"], millis(700), Then::Keep)).await;
    let mut house = House::before(&origin).await;
    let mut client = house.client().await;
    client.send(request("GET /slow", &[], "")).await;
    client.stream.readable().await.unwrap();
    house.stop.take().unwrap().send(()).unwrap();
    let response = client.response().await.unwrap();
    assert_eq!((response.text(), response.complete), ("first-half", true));
    assert!(client.is_closed().await);
    assert_eq!(tokio::time::timeout(LONG, house.running).await.unwrap().unwrap(), Drained { finished: true, open: 0 });
}

#[tokio::test]
async fn what_takes_longer_than_the_process_may_live_is_cut() {
    let origin = Origin::always(Act::hang()).await;
    let mut house = House::with(origin.address, |server, _, _| server.drain_timeout = millis(300)).await;
    let mut client = house.client().await;
    client.send(request("GET /slow", &[], "")).await;
    until("it is asked", || !origin.requests().is_empty()).await;
    house.stop.take().unwrap().send(()).unwrap();
    assert_eq!(tokio::time::timeout(LONG, house.running).await.unwrap().unwrap(), Drained { finished: false, open: 1 });
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn each_counts_once_against_a_rate_whether_it_is_a_hit_or_not() {
    let origin = Origin::start(|received, _| if received.line().contains("/pass") { answer(PASS, "p") } else { fresh("s") }).await;
    let house =
        House::with(origin.address, |server, _, _| server.rate_limit = RateLimit { per_second: 1, burst: 8, ..RateLimit::default() }).await;
    let (mut client, began, mut served) = (house.client().await, Instant::now(), 0);
    for path in ["/pass", "/stored", "/stored", "/stored", "/pass"].iter().cycle() {
        let response = client.get(path).await;
        assert!(response.complete && response.all("connection").is_empty());
        if response.status == 429 {
            break;
        }
        assert_eq!(response.status, 200);
        served += 1;
    }
    let earned = began.elapsed().as_secs() + 1;
    assert!((8..=8 + earned).contains(&served), "{served}, and at most {earned} were earned meanwhile");
    assert!(house.sidecar.refused(Refusal::RateLimited) == 1);
}

#[tokio::test]
async fn the_deadlines_hold_behind_an_answer() {
    let origin = Origin::always(answer(PASS, "x")).await;
    let house =
        House::with(origin.address, |server, _, _| (server.idle_timeout, server.header_timeout) = (millis(2500), millis(1500))).await;
    for (sent, status) in [("", None), ("GET / HTTP/1.1\r\nHo", Some(408)), ("\x16", Some(400))] {
        let mut client = house.client().await;
        assert_eq!(client.get("/").await.text(), "x");
        client.send(sent).await;
        assert_eq!(client.response().await.map(|response| response.status), status, "{sent:?}");
        assert!(client.is_closed().await);
    }
    let mut client = house.client().await;
    client.send(format!("{}GET / HTTP/1.1\r\nHo", request("GET /", &[], ""))).await;
    assert_eq!(client.response().await.unwrap().text(), "x");
    assert_eq!(client.response().await.map(|response| response.status), Some(408), "of the head that came with it");
}

#[tokio::test]
async fn an_origin_that_is_not_there_ends_no_connection() {
    let house = House::with("127.0.0.1:1".parse().unwrap(), |_, _, _| {}).await;
    let mut client = house.client().await;
    for _ in 0..3 {
        let failed = client.get("/").await;
        assert_eq!((failed.status, failed.complete, failed.all("connection").len()), (502, true, 0), "{}", failed.head);
    }
}
