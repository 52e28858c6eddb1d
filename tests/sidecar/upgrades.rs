//! Switching protocols: only a 101 of the upstream makes a tunnel.

use crate::origin::{Act, Origin, Then};
use crate::rig::{Rig, settings};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use warmfront::sidecar::Sidecar;
use warmfront::sidecar::settings::ListenAddr;

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

#[tokio::test]
async fn a_declined_offer_costs_no_byte_of_an_answer_that_waits_for_its_reader() {
    let origin = Origin::start(|request, _| {
        let size = request.line().split(['/', ' ']).find_map(|part| part.parse().ok()).unwrap_or(0);
        Act::ok(&"x".repeat(size))
    })
    .await;
    let folder = std::env::temp_dir().join(format!("warmfront-upgrade-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("wf.sock");
    let (mut server, upstream) = settings(origin.address);
    server.listen = vec![ListenAddr::Unix(path.clone())];
    let sidecar = Sidecar::new(server, upstream);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(sidecar.bind().await.unwrap().run(sidecar.upstream(), async { drop(stopped.await) }));
    // Some of these fill the socket, whose buffer has a fixed size, but for what the sidecar has taken over already.
    let mut clients = Vec::new();
    for size in (128 << 10..512 << 10).step_by(16 << 10) {
        let mut client = UnixStream::connect(&path).await.unwrap();
        let ask = ASK.replace("/ws", &format!("/{size}")).replace("keep-alive, Upgrade", "close, Upgrade");
        client.write_all(ask.as_bytes()).await.unwrap();
        clients.push((size, client));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.send(()).unwrap(); // each is told to end when it has nothing more to do but to be read
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (size, mut client) in clients {
        let mut read = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut read)).await.unwrap();
        let body = read.iter().rev().take_while(|byte| **byte == b'x').count();
        assert!(end.is_ok() && body == size, "{body} of {size}");
    }
    assert!(running.await.unwrap().finished);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_tunnel_begins_on_a_connection_that_has_dozed_and_after_requests() {
    let switching = Act::send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", Then::Echo);
    let origin = Origin::start(move |request, _| if request.line().contains("/ws") { switching.clone() } else { Act::ok("x") }).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    assert_eq!(client.get("/").await.text(), "x");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(client.get("/").await.text(), "x");
    client.send(ASK).await;
    assert_eq!(client.response().await.unwrap().status, 101);
    let large = vec![b'y'; 1 << 20];
    let (echoed, ()) = {
        let (mut reader, mut writer) = client.stream.split();
        let mut echoed = vec![0; large.len()];
        let reading = async { reader.read_exact(&mut echoed).await.unwrap() };
        let writing = async { writer.write_all(&large).await.unwrap() };
        tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(reading, writing) }).await.unwrap();
        (echoed, ())
    };
    assert!(echoed == large);
}
