//! Deadlines of the connection, with tiny limits.

use crate::origin::{Act, Origin, Then};
use crate::rig::Rig;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;

const SHORT: Duration = Duration::from_millis(100);

async fn impatient(origin: &Origin) -> Rig {
    Rig::with(origin.address, |server, _| (server.header_timeout, server.idle_timeout) = (SHORT, SHORT * 3)).await
}

#[tokio::test]
async fn a_slow_head_is_408_however_busily_it_drips() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = impatient(&origin).await;
    let mut client = rig.client().await;
    let start = Instant::now();
    let dripping = async {
        loop {
            client.send("X").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            let mut one = [0; 1];
            if let Ok(Ok(1)) = tokio::time::timeout(Duration::ZERO, client.stream.peek(&mut one)).await {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), dripping).await.unwrap();
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.all("connection")), (408, vec!["close"]));
    assert!(response.text().contains("server.header_timeout (100ms)"));
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_slow_second_head_is_408_too() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = impatient(&origin).await;
    let mut client = rig.client().await;
    assert_eq!(client.get("/").await.status, 200);
    client.send("GET / HTTP/1.1\r\nHo").await;
    assert_eq!(client.response().await.unwrap().status, 408);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word_and_not_before_its_time() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = impatient(&origin).await;
    let mut client = rig.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status, 200);
        tokio::time::sleep(SHORT * 3 / 2).await;
    }
    let start = Instant::now();
    assert!(client.is_closed().await);
    assert!(start.elapsed() < SHORT * 10);
}

#[tokio::test]
async fn a_slow_response_is_not_the_clients_fault() {
    let mut act = Act::send("", Then::Keep);
    act.pieces = vec![(vec![], SHORT * 5), (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(), Duration::ZERO)];
    let origin = Origin::always(act).await;
    let rig = impatient(&origin).await;
    assert_eq!(rig.client().await.get("/").await.text(), "ok");
}

#[tokio::test]
async fn a_silent_uploader_is_given_up() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = impatient(&origin).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello").await;
    assert_eq!(client.response().await.unwrap().status, 408);
    assert!(client.is_closed().await);
    assert!(origin.requests().iter().all(|request| request.body.is_empty()));
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let body = "x".repeat(30_000_000);
    let origin = Origin::always(Act::ok(&body)).await;
    let rig = Rig::with(origin.address, |server, _| server.idle_timeout = SHORT * 3).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    tokio::time::sleep(SHORT * 12).await;
    let mut read = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), client.stream.read_to_end(&mut read)).await.expect("it has been cut");
    assert!(read.len() < body.len());
}

#[tokio::test]
async fn a_client_that_has_shut_down_its_sending_half_still_gets_its_answers() {
    let mut act = Act::send("", Then::Keep);
    act.pieces = vec![(vec![], SHORT), (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(), Duration::ZERO)];
    let origin = Origin::always(act).await;
    let rig = Rig::before(&origin).await;
    for requests in [1, 3] {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(requests)).await;
        tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
        for _ in 0..requests {
            assert_eq!(client.response().await.unwrap().status, 200);
        }
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn a_client_that_has_gone_takes_its_request_with_it() {
    let origin = Origin::start(|request, _| if request.line().contains("slow") { Act::hang() } else { Act::ok("x") }).await;
    let rig = Rig::with(origin.address, |_, upstream| (upstream.max_in_flight, upstream.queue_timeout) = (1, SHORT * 50)).await;
    let mut client = rig.client().await;
    client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    while origin.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(client);
    assert_eq!(rig.client().await.get("/").await.status, 200, "its place at the upstream is free");
}
