//! The PROXY header, by which a proxy that knows no HTTP names the client.

use crate::certificate::Certificate;
use crate::client::Client;
use crate::origin::{Act, Origin};
use crate::rig::Rig;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use warmfront::sidecar::settings::{Forwarded, RateLimit, ServerSettings};
use warmfront::telemetry::Refusal;

const LINE: &str = "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n";

fn trusting(server: &mut ServerSettings, network: &str) {
    server.proxy_protocol = true;
    server.trusted_proxies = vec![network.parse().unwrap()];
}

async fn rig(origin: &Origin) -> Rig {
    Rig::with(origin.address, |server, _| trusting(server, "127.0.0.0/8")).await
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, rest].concat()
}

#[tokio::test]
async fn the_client_is_whom_the_header_names() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = rig(&origin).await;
    let v4 = v2(0x21, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 220, 4, 1, 187, 4, 0, 1, 0]);
    for (header, client) in [
        (LINE.as_bytes(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7"),
        (&v4, "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (&v2(0x20, 0x00, &[]), "127.0.0.1"),
    ] {
        let mut connection = rig.client().await;
        connection.send([header, GET.as_bytes()].concat()).await;
        assert_eq!(connection.response().await.unwrap().status, 200);
        assert_eq!(origin.requests().last().unwrap().all("x-forwarded-for"), [client], "in one piece");
        let mut connection = rig.client().await;
        for byte in header {
            connection.send([*byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(connection.get("/").await.status, 200);
        assert_eq!(connection.get("/").await.status, 200, "it is said once per connection");
        assert_eq!(origin.requests().last().unwrap().all("x-forwarded-for"), [client], "in pieces");
    }
}

#[tokio::test]
async fn a_trusted_peer_without_a_header_is_not_served() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = rig(&origin).await;
    let long = v2(0x21, 0x00, &[0; 5000]);
    let starts: [&[u8]; 5] = [GET.as_bytes(), b"PROXY TCP4 nobody\r\n", b"PROXY ", &long, &[b'P'; 200]];
    for start in starts {
        let mut connection = rig.client().await;
        connection.send(start).await;
        if start == b"PROXY " {
            connection.stream.shutdown().await.unwrap();
        }
        assert!(connection.is_closed().await);
    }
    assert_eq!((rig.sidecar.refused(Refusal::ProxyHeader), origin.requests().len()), (5, 0));
}

#[tokio::test]
async fn a_header_must_come_within_the_time_of_a_head() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| {
        trusting(server, "127.0.0.0/8");
        server.header_timeout = Duration::from_millis(200);
    })
    .await;
    let mut connection = rig.client().await;
    connection.send("PROXY TCP4 192").await;
    assert!(connection.is_closed().await);
    assert_eq!(rig.sidecar.refused(Refusal::ProxyHeader), 1);
}

#[tokio::test]
async fn a_stranger_may_not_name_anybody() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| trusting(server, "10.0.0.0/8")).await;
    for header in [LINE.as_bytes(), &v2(0x20, 0, &[])] {
        let mut connection = rig.client().await;
        connection.send([header, GET.as_bytes()].concat()).await;
        assert_eq!(connection.response().await.unwrap().status, 400);
    }
    assert_eq!(rig.client().await.get("/").await.status, 200, "and needs no header");
    assert_eq!(origin.requests()[0].all("x-forwarded-for"), ["127.0.0.1"]);
    let deaf = Rig::before(&origin).await;
    let mut connection = deaf.client().await;
    connection.send(LINE).await;
    assert_eq!(connection.response().await.unwrap().status, 400, "server.proxy_protocol = false");
}

#[tokio::test]
async fn trust_is_in_the_client_that_was_named_not_in_the_messenger() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, upstream| {
        trusting(server, "127.0.0.0/8");
        server.trusted_proxies.push("192.0.2.0/24".parse().unwrap());
        upstream.forwarded = Forwarded::Append;
    })
    .await;
    for (named, chain) in [("192.0.2.7", "198.51.100.1, 192.0.2.7"), ("203.0.113.5", "203.0.113.5")] {
        let mut connection = rig.client().await;
        connection.send(format!("PROXY TCP4 {named} 10.0.0.1 1 2\r\n{GET}")).await;
        assert_eq!(connection.response().await.unwrap().status, 200);
        assert_eq!(origin.requests().last().unwrap().all("x-forwarded-for"), [chain]);
    }
}

/// A connection that begins with a header which names `client`.
async fn named(rig: &Rig, client: &str) -> Client {
    let mut connection = rig.client().await;
    connection.send(format!("PROXY TCP4 {client} 10.0.0.1 1 2\r\n")).await;
    connection
}

#[tokio::test]
async fn connections_are_counted_by_the_client_that_was_named() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| {
        trusting(server, "127.0.0.0/8");
        server.max_connections_per_client = 1;
    })
    .await;
    let (mut one, mut other) = (named(&rig, "192.0.2.7").await, named(&rig, "192.0.2.8").await);
    assert_eq!((one.get("/").await.status, other.get("/").await.status), (200, 200), "the proxy speaks for many");
    assert!(named(&rig, "192.0.2.7").await.is_closed().await);
    assert_eq!(rig.sidecar.refused(Refusal::TooManyConnections), 1);
    assert_eq!(one.get("/").await.status, 200);
}

#[tokio::test]
async fn rates_are_those_of_the_client_that_was_named() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| {
        trusting(server, "127.0.0.0/8");
        server.rate_limit = RateLimit { per_second: 1, burst: 1, ..RateLimit::default() };
    })
    .await;
    for (client, status) in [("192.0.2.7", 200), ("192.0.2.7", 429), ("192.0.2.8", 200)] {
        assert_eq!(named(&rig, client).await.get("/").await.status, status, "{client}");
    }
}

#[tokio::test]
async fn the_header_comes_before_the_handshake() {
    let (origin, certificate) = (Origin::always(Act::ok("x")).await, Certificate::new());
    let rig = Rig::with(origin.address, |server, _| {
        certificate.serve(server);
        trusting(server, "127.0.0.0/8");
    })
    .await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(LINE.as_bytes()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(certificate.config(&[])));
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!((&start, origin.requests()[0].all("x-forwarded-for")), (b"HTTP/1.1 200", vec!["192.0.2.7"]));
    drop(Client::connect(rig.address).await);
}
