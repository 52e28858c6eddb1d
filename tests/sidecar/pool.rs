//! Connections to the upstream between requests: when one is used again, and when never.

use crate::client::Client;
use crate::origin::{Act, Origin, Then};
use crate::rig::Rig;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(10);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn accept(listener: &TcpListener) -> Client {
    Client::from(tokio::time::timeout(PATIENCE, listener.accept()).await.expect("a connection").unwrap().0)
}

/// Has a client ask, and the origin answer over `line`; the client.
async fn exchange(rig: &Rig, line: &mut Client, answer: &str) -> Client {
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    answered(line, answer).await;
    assert_eq!(client.response().await.unwrap().text(), "ok");
    client
}

async fn answered(line: &mut Client, answer: &str) {
    assert!(line.head().await.starts_with("GET / HTTP/1.1\r\n"));
    line.send(answer).await;
}

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection_whatever_their_bodies() {
    let long = "x".repeat(300_000);
    let origin = Origin::start(move |request, number| match number % 5 {
        0 => Act::ok("short"),
        1 => Act::ok(&long),
        2 => Act::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Then::Keep),
        3 => Act::send("HTTP/1.1 204 No Content\r\n\r\n", Then::Keep),
        _ => Act::ok(if request.body.is_empty() { "" } else { "thanks" }),
    })
    .await;
    let rig = Rig::before(&origin).await;
    for _ in 0..3 {
        let mut client = rig.client().await;
        assert_eq!(client.get("/0").await.text(), "short");
        assert_eq!(client.get("/1").await.body.len(), 300_000);
        assert_eq!(client.get("/2").await.text(), "hello");
        assert_eq!(client.get("/3").await.status, 204);
        client.send("POST /4 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc").await;
        assert_eq!(client.response().await.unwrap().status, 200);
    }
    assert_eq!((origin.requests().len(), origin.connections.load(Ordering::SeqCst)), (15, 1));
}

#[tokio::test]
async fn the_connection_that_served_last_serves_next_and_the_other_grows_old() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::with(listener.local_addr().unwrap(), |_, _| {}).await;
    let (mut one, mut two) = (rig.client().await, rig.client().await);
    one.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut first = accept(&listener).await;
    two.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut last = accept(&listener).await;
    answered(&mut first, OK).await;
    assert_eq!(one.response().await.unwrap().text(), "ok");
    answered(&mut last, OK).await;
    assert_eq!(two.response().await.unwrap().text(), "ok");
    tokio::time::pause();
    for _ in 0..5 {
        exchange(&rig, &mut last, OK).await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    tokio::time::resume();
    assert!(first.is_closed().await, "after four seconds unused");
    exchange(&rig, &mut last, OK).await;
}

#[tokio::test]
async fn a_connection_over_which_something_came_unasked_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::with(listener.local_addr().unwrap(), |_, upstream| upstream.retries = 0).await;
    for unasked in
        ["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned", "\r\n", "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"]
    {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let mut line = accept(&listener).await;
        answered(&mut line, OK).await;
        assert_eq!(client.response().await.unwrap().text(), "ok");
        line.send(unasked).await;
        // A POST, which nobody may send twice.
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await;
        let mut fresh = accept(&listener).await;
        assert!(fresh.head().await.starts_with("POST"));
        fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nclean").await;
        assert_eq!(client.response().await.unwrap().text(), "clean", "after {unasked:?}");
        assert!(line.is_closed().await);
    }
}

#[tokio::test]
async fn a_post_does_not_meet_a_connection_that_was_closed_while_it_lay_idle() {
    for reset in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rig = Rig::with(listener.local_addr().unwrap(), |_, upstream| upstream.retries = 0).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let mut line = accept(&listener).await;
        answered(&mut line, OK).await;
        assert_eq!(client.response().await.unwrap().text(), "ok");
        if reset {
            line.stream.set_zero_linger().unwrap();
        }
        drop(line);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await;
        let mut fresh = accept(&listener).await;
        fresh.head().await;
        fresh.send(OK).await;
        assert_eq!(client.response().await.unwrap().text(), "ok");
    }
}

#[tokio::test]
async fn what_did_not_end_well_is_not_used_again() {
    // Each of them ends the exchange in a way that leaves the connection open, and in doubt.
    let origin = Origin::start(|request, _| match request.line().split(' ').nth(1).unwrap() {
        "/cut" => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx", Then::Hang),
        "/early" => Act::send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n", Then::Keep).early(),
        "/old" => Act::send("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", Then::Hang),
        "/close" => Act::send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", Then::Hang),
        "/switch" => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", Then::Keep),
        "/two" => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", Then::Keep),
        _ => Act::ok("clean"),
    })
    .await;
    let rig = Rig::with(origin.address, |_, upstream| upstream.retries = 0).await;
    for (number, path) in ["/cut", "/early", "/old", "/close", "/switch", "/two"].into_iter().enumerate() {
        let mut client = rig.client().await;
        match path {
            "/early" => {
                client.send("POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nx").await;
                assert_eq!(client.response().await.unwrap().status, 413);
            }
            "/switch" => {
                client.send("GET /switch HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
                assert_eq!(client.response().await.unwrap().status, 200);
            }
            "/cut" => {
                client.send("GET /cut HTTP/1.1\r\nHost: h\r\n\r\n").await;
                assert!(client.head().await.contains("200 OK"));
            }
            _ => assert_eq!(client.get(path).await.text(), "x"),
        }
        drop(client);
        // The one before this has ended with `/clean`, and its connection serves this.
        let before = origin.connections.load(Ordering::SeqCst);
        while path == "/cut" && rig.sidecar.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(rig.client().await.get("/clean").await.text(), "clean");
        assert_eq!((before, origin.connections.load(Ordering::SeqCst)), (number + 1, number + 2), "after {path}");
    }
}

#[tokio::test]
async fn an_upload_goes_on_while_the_client_reads_nothing_of_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::with(listener.local_addr().unwrap(), |_, _| {}).await;
    let mut client = rig.client().await;
    let length = 8 << 20;
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n")).await;
    let mut line = accept(&listener).await;
    line.head().await;
    let (mut read, mut write) = line.stream.into_split();
    // More than all buffers on the way to the client hold.
    let answering = tokio::spawn(async move {
        write.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 << 20).as_bytes()).await.unwrap();
        let _ = write.write_all(&vec![b'x'; 64 << 20]).await;
        write
    });
    let sending = tokio::spawn(async move {
        client.stream.write_all(&vec![b'y'; length]).await.unwrap();
        client
    });
    let mut got = 0;
    let mut buffer = vec![0; 64 << 10];
    while got < length {
        match tokio::time::timeout(PATIENCE, read.read(&mut buffer)).await.expect("the upload goes on") {
            Ok(count) if count > 0 => got += count,
            ended => panic!("{ended:?} after {got}"),
        }
    }
    drop((sending.await.unwrap(), answering));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_opens_no_more_connections_than_it_has_requests_under_way() {
    let origin = Origin::start(|_, _| Act::ok("x")).await;
    let rig = Rig::with(origin.address, |_, upstream| upstream.max_in_flight = 8).await;
    let crowd: Vec<_> = (0..32)
        .map(|_| {
            let address = rig.address;
            tokio::spawn(async move {
                let mut client = Client::from(TcpStream::connect(address).await.unwrap());
                for _ in 0..50 {
                    assert_eq!(client.get("/").await.text(), "x");
                }
            })
        })
        .collect();
    for one in crowd {
        one.await.unwrap();
    }
    let connections = origin.connections.load(Ordering::SeqCst);
    // A place may come free a moment before the connection that it was for: the next request then opens one.
    assert!(connections <= 16, "{connections} connections for 8 places");
    assert_eq!(origin.requests().len(), 1600);
}
