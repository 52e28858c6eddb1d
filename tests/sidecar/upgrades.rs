//! Switching protocols: only a 101 of the upstream makes a tunnel.

use crate::origin::{Act, Origin, Then};
use crate::rig::Rig;
use std::time::Duration;

const ASK: &str =
    "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket, h2c\r\nSec-WebSocket-Key: k\r\n\r\n";

#[tokio::test]
async fn a_101_makes_a_tunnel_and_early_bytes_wait_for_it() {
    let mut act = Act::send("", Then::Echo);
    let accepted =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\nfirst".to_vec();
    act.pieces = vec![(vec![], Duration::from_millis(50)), (accepted, Duration::ZERO)];
    let origin = Origin::always(act).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send(format!("{ASK}GET /early HTTP/1.1\r\n\r\n")).await;
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.all("upgrade"), response.all("sec-websocket-accept")), (101, vec!["websocket"], vec!["a"]));
    client.send("ping").await;
    let expected = b"firstGET /early HTTP/1.1\r\n\r\nping";
    assert_eq!(String::from_utf8(client.exactly(expected.len()).await).unwrap().as_bytes(), expected);
    let asked = origin.last();
    assert_eq!((asked.all("upgrade"), asked.all("connection")), (vec!["websocket"], vec!["upgrade"]), "h2c is not passed on");
    assert_eq!(origin.requests().len(), 1, "what came early was not read as a request");
}

#[tokio::test]
async fn any_other_answer_leaves_a_clean_connection() {
    let origin = Origin::start(|request, _| match request.line().contains("/ws") {
        true => Act::send("HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nno", Then::Keep),
        false => Act::ok("plain"),
    })
    .await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send(format!("{ASK}GET /next HTTP/1.1\r\nHost: h\r\n\r\n")).await;
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.text(), response.all("upgrade").len()), (200, "no", 0));
    assert_eq!(client.response().await.unwrap().text(), "plain", "the pipelined request is read as one");
}

#[tokio::test]
async fn a_protocol_that_nobody_offered_is_502() {
    let origin =
        Origin::always(Act::send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n", Then::Echo)).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send(ASK).await;
    assert_eq!(client.response().await.unwrap().status, 502);
}

#[tokio::test]
async fn h2c_alone_is_an_ordinary_request() {
    let origin = Origin::always(Act::ok("plain")).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().text(), "plain");
    let asked = origin.last();
    assert!(asked.all("upgrade").is_empty() && asked.all("connection").is_empty() && asked.all("http2-settings").is_empty());
}

#[tokio::test]
async fn a_tunnel_ends_when_the_upstream_does() {
    let origin =
        Origin::always(Act::send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye", Then::Fin))
            .await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send(ASK).await;
    assert_eq!(client.response().await.unwrap().status, 101);
    assert_eq!(client.rest().await, b"bye");
}
