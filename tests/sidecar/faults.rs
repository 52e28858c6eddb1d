//! What a client sees when the upstream fails: an error that says why, or a body that is visibly broken. Never a short one that looks whole.

use crate::origin::{Act, Origin, Then};
use crate::rig::Rig;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
/// How long an origin that never ends does so at most.
const BABBLE: Duration = Duration::from_secs(5);
const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world";

#[tokio::test]
async fn a_response_cut_at_any_byte_is_an_error_or_visibly_broken() {
    for whole in [CHUNKED, LENGTH] {
        for then in [Then::Fin, Then::Reset] {
            // The number of the request is where its response is cut; the retries need numbers of their own.
            let origin = Origin::start(move |request, _| {
                let cut: usize = request.line().split(['/', ' ']).nth(2).unwrap().parse().unwrap();
                Act::send(&whole.as_bytes()[..cut], then)
            })
            .await;
            let rig = Rig::before(&origin).await;
            for cut in 0..whole.len() {
                for version in ["1.1", "1.0"] {
                    let mut client = rig.client().await;
                    client.send(format!("GET /{cut} HTTP/{version}\r\nHost: h\r\n\r\n")).await;
                    match client.response().await {
                        None => {}
                        Some(response) if response.status == 502 => {}
                        Some(response) => assert!(!response.complete, "cut at {cut} of {whole:?} ({then:?}, HTTP/{version}): {response:?}"),
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_whole_response_is_whole() {
    for (answer, then) in [(CHUNKED, Then::Fin), (LENGTH, Then::Fin), ("HTTP/1.0 200 OK\r\n\r\nhello world", Then::Fin)] {
        let origin = Origin::always(Act::send(answer, then)).await;
        let rig = Rig::before(&origin).await;
        let response = rig.client().await.get("/").await;
        assert_eq!((response.text(), response.complete), ("hello world", true), "{answer:?}");
        assert!(response.head.starts_with("HTTP/1.1 200"), "a proxy speaks its own version");
    }
}

#[tokio::test]
async fn a_close_delimited_response_that_is_reset_is_broken() {
    let mut act = Act::send("HTTP/1.0 200 OK\r\n\r\nhello", Then::Reset);
    act.pieces[0].1 = Duration::from_millis(50);
    let origin = Origin::always(act).await;
    let rig = Rig::before(&origin).await;
    for version in ["1.1", "1.0"] {
        let mut client = rig.client().await;
        client.send(format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n")).await;
        assert!(client.response().await.is_none_or(|response| response.status == 502 || !response.complete), "HTTP/{version}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_502() {
    for answer in [
        "garbage\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/3.7 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ] {
        let origin = Origin::always(Act::send(answer, Then::Keep)).await;
        let rig = Rig::before(&origin).await;
        let mut client = rig.client().await;
        let response = client.get("/").await;
        assert_eq!((response.status, response.complete), (502, true), "{answer:?}");
        assert_eq!(rig.sidecar.refused(warmfront::telemetry::Refusal::BadResponse), 1, "{answer:?}: {}", response.text());
        assert_eq!(client.get("/").await.status, 502, "the client's connection is none the worse");
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_502_and_recovery_needs_nothing() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rig = Rig::with(closed, |_, _| {}).await;
    let mut client = rig.client().await;
    let response = client.get("/").await;
    assert_eq!((response.status, response.all("cache-control")), (502, vec!["no-store"]));
    assert!(response.text().contains("no connection to the upstream"), "{}", response.text());
    let origin = Origin::always(Act::ok("back")).await;
    let (server, mut upstream) = crate::rig::settings(origin.address);
    upstream.retries = 0;
    assert_eq!(rig.sidecar.reload(server, upstream), Vec::<&str>::new());
    assert_eq!(client.get("/").await.text(), "back");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_502() {
    let rig =
        Rig::with("127.0.0.1:1".parse().unwrap(), |_, upstream| upstream.origins = vec!["no-such-host.invalid:80".parse().unwrap()]).await;
    assert_eq!(rig.client().await.get("/").await.status, 502);
}

#[tokio::test]
async fn a_silent_upstream_is_504_and_a_stalling_one_breaks_off() {
    let origin = Origin::start(|request, _| match request.line().contains("stall") {
        true => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello", Then::Hang),
        false => Act::hang(),
    })
    .await;
    let rig = Rig::with(origin.address, |_, upstream| {
        upstream.response_timeout = Duration::from_millis(100);
        upstream.idle_body_timeout = Duration::from_millis(100);
    })
    .await;
    let mut client = rig.client().await;
    let response = client.get("/").await;
    assert_eq!((response.status, response.text().contains("upstream.response_timeout (100ms)")), (504, true));
    assert_eq!(origin.requests().len(), 1, "what is slow is not asked again");
    let response = client.get("/stall").await;
    assert_eq!((response.text(), response.complete), ("hello", false));
}

/// On a busy machine a piece may be late by any real time: the clock is moved, by less than the limit once each piece has been passed on.
#[tokio::test]
async fn a_slow_drip_is_passed_on_as_it_comes() {
    let (pause, limit) = (Duration::from_secs(60), Duration::from_secs(100));
    let mut act = Act::send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", Then::Keep);
    act.pieces.extend((0..6).map(|_| (b"x".to_vec(), pause)));
    let origin = Origin::always(act).await;
    let rig = Rig::with(origin.address, |_, upstream| upstream.idle_body_timeout = limit).await;
    let (mut client, mut come) = (rig.client().await, Vec::new());
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    for body in ["x", "xx", "xxx", "xxxx", "xxxxx", "xxxxxx"] {
        while !come.ends_with(format!("\r\n\r\n{body}").as_bytes()) {
            let read = tokio::time::timeout(Duration::from_secs(20), client.stream.read_buf(&mut come)).await;
            assert!(read.expect("a piece in time").unwrap() > 0, "longer in all than the limit between two pieces");
        }
        tokio::time::pause();
        tokio::time::advance(pause).await;
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_504() {
    // 192.0.2.0/24 is for documentation: nobody answers, or the kernel says at once that there is no way.
    let rig = Rig::with("192.0.2.1:9".parse().unwrap(), |_, upstream| upstream.connect_timeout = Duration::from_millis(50)).await;
    let response = rig.client().await.get("/").await;
    assert!(matches!(response.status, 504 | 502), "{}", response.text());
}

#[tokio::test]
async fn an_idempotent_request_is_tried_again_and_a_post_never() {
    // The first two attempts of each path fail before a byte of a head.
    let origin = Origin::start(|request, number| {
        if number % 3 == 2 || request.line().starts_with("POST") && number > 9 { Act::ok("third time") } else { Act::send("", Then::Fin) }
    })
    .await;
    let rig = Rig::with(origin.address, |_, upstream| upstream.retries = 2).await;
    let mut client = rig.client().await;
    assert_eq!(client.get("/").await.text(), "third time");
    assert_eq!(origin.requests().len(), 3);
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await;
    let response = client.response().await.unwrap();
    assert_eq!((response.status, origin.requests().len()), (502, 4), "{}", response.text());
}

#[tokio::test]
async fn a_stale_pooled_connection_is_not_the_clients_problem() {
    // Every connection dies after its first response, but only when the next request comes.
    let origin = Origin::start(|_, number| if number % 2 == 0 { Act::ok("fresh") } else { Act::send("", Then::Reset) }).await;
    let rig = Rig::with(origin.address, |_, upstream| upstream.retries = 0).await;
    let mut client = rig.client().await;
    assert_eq!(client.get("/1").await.status, 200);
    assert_eq!(client.get("/2").await.status, 200, "reset on the old connection, repeated on a new one");
    client.send("POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await;
    assert_eq!(client.response().await.unwrap().status, 502, "a POST is never sent twice");
    assert_eq!(origin.requests().len(), 4);
}

#[tokio::test]
async fn bytes_left_over_never_answer_the_next_request() {
    let origin = Origin::start(|_, number| match number {
        0 => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned", Then::Keep),
        _ => Act::ok("clean"),
    })
    .await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    assert_eq!(client.get("/").await.text(), "a");
    assert_eq!(client.get("/").await.text(), "clean");
    assert_eq!(origin.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn beyond_the_gate_requests_queue_and_beyond_the_queue_they_are_503() {
    let origin = Origin::start(|request, _| if request.line().contains("slow") { Act::hang() } else { Act::ok("x") }).await;
    let rig = Rig::with(origin.address, |_, upstream| {
        (upstream.max_in_flight, upstream.max_queue) = (1, 1);
        upstream.queue_timeout = Duration::from_millis(100);
        upstream.response_timeout = Duration::from_secs(1);
    })
    .await;
    let (mut slow, mut queued, mut refused) = (rig.client().await, rig.client().await, rig.client().await);
    slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    while origin.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    queued.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let response = refused.get("/").await;
    assert_eq!((response.status, response.all("retry-after"), response.text().contains("upstream.max_queue")), (503, vec!["1"], true));
    let response = queued.response().await.unwrap();
    assert_eq!((response.status, response.text().contains("upstream.queue_timeout")), (503, true));
    assert_eq!(slow.response().await.unwrap().status, 504);
    assert_eq!(slow.get("/").await.status, 200, "the place is free again");
}

#[tokio::test]
async fn a_place_is_held_until_the_body_has_ended() {
    let origin = Origin::always(Act::send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello", Then::Hang)).await;
    let rig = Rig::with(origin.address, |_, upstream| (upstream.max_in_flight, upstream.max_queue) = (1, 0)).await;
    let mut reading = rig.client().await;
    reading.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    tokio::io::AsyncReadExt::read_u8(&mut reading.stream).await.unwrap();
    assert_eq!(rig.client().await.get("/").await.status, 503);
    drop(reading);
    let mut client = rig.client().await;
    for _ in 0..100 {
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        if client.response_to("HEAD").await.unwrap().status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the place of a client that left is never given back");
}

/// An origin that answers one request with `words`, over and over without a pause, and would do so for ever. It has a thread of its own: it must write
/// faster than the sidecar reads.
fn babbler(words: &'static str) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_write_timeout(Some(BABBLE)).unwrap();
        std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
        let (words, began) = (words.repeat(10_000), Instant::now());
        while began.elapsed() < BABBLE && std::io::Write::write_all(&mut stream, words.as_bytes()).is_ok() {}
    });
    address
}

#[tokio::test]
async fn interim_responses_without_a_pause_are_502() {
    for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"] {
        let rig = Rig::with(babbler("HTTP/1.1 102 Processing\r\n\r\n"), |_, _| {}).await;
        let mut client = rig.client().await;
        client.send(request).await;
        let response = client.response().await.unwrap();
        assert_eq!((response.status, response.text().contains("more than 100 interim responses")), (502, true), "{request}");
    }
}

#[tokio::test]
async fn interim_responses_that_keep_coming_are_504_in_time() {
    for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"] {
        let mut act = Act::send("", Then::Hang);
        act.pieces = vec![(b"HTTP/1.1 102 Processing\r\n\r\n".to_vec(), Duration::from_millis(100)); 50];
        let origin = Origin::always(act).await;
        let rig = Rig::with(origin.address, |_, upstream| upstream.response_timeout = Duration::from_millis(300)).await;
        let mut client = rig.client().await;
        client.send(request).await;
        let response = client.response().await.unwrap();
        assert_eq!((response.status, response.text().contains("upstream.response_timeout (300ms)")), (504, true), "{request}");
    }
}
