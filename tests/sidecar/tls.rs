//! TLS on the data port.

use crate::certificate::Certificate;
use crate::client::Client;
use crate::origin::{Act, Origin, Then};
use crate::rig::{Rig, settings};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use warmfront::sidecar::Sidecar;
use warmfront::sidecar::settings::{ListenAddr, TlsSettings};
use warmfront::telemetry::Refusal;

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn rig(origin: &Origin, certificate: &Certificate) -> Rig {
    Rig::with(origin.address, |server, _| certificate.serve(server)).await
}

/// What comes until the end, and whether the end is a clean one.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> (String, bool) {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an end in time");
    (String::from_utf8(bytes).unwrap(), end.is_ok())
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), head: &str) -> (String, bool) {
    stream.write_all(head.as_bytes()).await.unwrap();
    rest(stream).await
}

const LAST: &str = "GET /x HTTP/1.1\r\nHost: LOCALHOST:443\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_over_tls_is_one_of_https_for_the_origin() {
    let (origin, certificate) = (Origin::always(Act::ok("over tls")).await, Certificate::new());
    let rig = rig(&origin, &certificate).await;
    let mut stream = certificate.connect(rig.address, &[]).await.unwrap();
    let (text, clean) = ask(&mut stream, LAST).await;
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("over tls") && clean, "{text}");
    let received = &origin.requests()[0];
    assert_eq!(received.all("x-forwarded-proto"), ["https"]);
    assert_eq!(received.all("host"), ["localhost"], "443 is the port of https");
    assert_eq!(received.all("forwarded"), ["for=127.0.0.1;host=\"localhost\";proto=https"]);
}

#[tokio::test]
async fn the_client_chooses_its_protocol_in_the_handshake() {
    let (origin, certificate) = (Origin::always(Act::ok("x")).await, Certificate::new());
    let rig = rig(&origin, &certificate).await;
    for (offered, chosen) in
        [(&[b"h2".as_slice(), b"http/1.1"][..], Some(b"h2".as_slice())), (&[b"http/1.1"], Some(b"http/1.1")), (&[], None)]
    {
        let stream = certificate.connect(rig.address, offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
    }
    let old = Rig::with(origin.address, |server, _| {
        certificate.serve(server);
        server.http2 = false;
    });
    let stream = certificate.connect(old.await.address, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()), "server.http2 = false");
}

#[tokio::test]
async fn a_new_certificate_is_shown_after_a_reload_and_the_old_connection_goes_on() {
    let (origin, mut certificate) = (Origin::always(Act::ok("x")).await, Certificate::new());
    let rig = rig(&origin, &certificate).await;
    let mut before = certificate.connect(rig.address, &[]).await.unwrap();
    let old = certificate.der.clone();
    certificate.renew();
    let (mut server, upstream) = settings(origin.address);
    certificate.serve(&mut server);
    server.listen = vec![ListenAddr::Tls(rig.address)];
    assert_eq!(rig.sidecar.reload(server, upstream), ["server.listen"], "port 0 was said at the start");
    let after = certificate.connect(rig.address, &[]).await.unwrap();
    let shown = &after.get_ref().1.peer_certificates().unwrap()[0];
    assert!(*shown == certificate.der && *shown != old);
    assert!(ask(&mut before, LAST).await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_leaves_the_old_certificate_in_force() {
    let (origin, certificate) = (Origin::always(Act::ok("x")).await, Certificate::new());
    let rig = rig(&origin, &certificate).await;
    for broken in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(certificate.settings().certificate, broken).unwrap();
        let (mut server, upstream) = settings(origin.address);
        certificate.serve(&mut server);
        rig.sidecar.reload(server, upstream);
        certificate.connect(rig.address, &[]).await.unwrap();
    }
}

#[tokio::test]
async fn changed_files_are_noticed_without_being_told() {
    let (origin, mut certificate) = (Origin::always(Act::ok("x")).await, Certificate::new());
    let rig = rig(&origin, &certificate).await;
    tokio::time::sleep(Duration::from_millis(200)).await; // the first look has been taken
    certificate.renew();
    let renewed = async {
        while certificate.connect(rig.address, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the new certificate, which alone the client trusts");
}

#[tokio::test]
async fn what_cannot_be_used_is_said_at_the_start() {
    let certificate = Certificate::new();
    let bind = |tls: TlsSettings| async {
        let (mut server, upstream) = settings("127.0.0.1:1".parse().unwrap());
        certificate.serve(&mut server);
        server.tls = tls;
        Sidecar::new(server, upstream).bind().await.unwrap_err().to_string()
    };
    assert!(bind(TlsSettings::default()).await.contains("server.tls.certificate is missing"));
    let other = Certificate::new();
    let TlsSettings { certificate: file, key } = certificate.settings();
    let missing = TlsSettings { certificate: file.with_extension("gone"), key: key.clone() };
    assert!(bind(missing).await.starts_with("server.tls.certificate "), "and why");
    let swapped = TlsSettings { certificate: file.clone(), key: other.settings().key };
    assert!(bind(swapped).await.contains("does not belong to the certificate"));
    let none = TlsSettings { certificate: file.clone(), key: file };
    assert!(bind(none).await.contains("holds no private key"));
}

#[tokio::test]
async fn a_slow_handshake_is_cut_off_and_holds_nobody_up() {
    let (origin, certificate) = (Origin::always(Act::ok("x")).await, Certificate::new());
    let rig = Rig::with(origin.address, |server, _| {
        certificate.serve(server);
        server.header_timeout = Duration::from_millis(300);
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(&[22, 3, 1]).await.unwrap(); // the beginning of a ClientHello
        slow.push(stream);
    }
    let mut quick = certificate.connect(rig.address, &[]).await.unwrap();
    assert!(ask(&mut quick, LAST).await.0.starts_with("HTTP/1.1 200"));
    for mut stream in slow {
        let _ = rest(&mut stream).await;
    }
    assert_eq!(rig.sidecar.refused(Refusal::TlsHandshake), 50);
}

#[tokio::test]
async fn the_first_head_and_the_handshake_have_one_deadline() {
    let (origin, certificate) = (Origin::always(Act::ok("x")).await, Certificate::new());
    let rig = Rig::with(origin.address, |server, _| {
        certificate.serve(server);
        server.header_timeout = Duration::from_millis(300);
    })
    .await;
    let mut stream = certificate.connect(rig.address, &[]).await.unwrap();
    assert!(ask(&mut stream, "GET /").await.0.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn plain_http_is_told_that_tls_is_spoken_here() {
    let (origin, certificate) = (Origin::always(Act::ok("x")).await, Certificate::new());
    let rig = rig(&origin, &certificate).await;
    let response = rig.client().await.get("/").await;
    assert_eq!(response.status, 400);
    assert!(response.text().contains("https://"), "{}", response.text());
    drop(rig.client().await); // whoever only looks whether somebody listens has not failed
    let mut garbage = TcpStream::connect(rig.address).await.unwrap();
    garbage.write_all(&[0; 64]).await.unwrap();
    let _ = rest(&mut garbage).await;
    assert_eq!(rig.sidecar.refused(Refusal::TlsHandshake), 2);
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn a_body_that_broke_off_does_not_end_like_a_whole_one() {
    let certificate = Certificate::new();
    let broken = Act::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Then::Fin);
    let origin = Origin::always(broken).await;
    let rig = rig(&origin, &certificate).await;
    for head in ["GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let mut stream = certificate.connect(rig.address, &[]).await.unwrap();
        let (text, clean) = ask(&mut stream, head).await;
        assert!(!clean || !text.ends_with("0\r\n\r\n") && head.contains("1.1"), "{head}: {text}");
    }
}

#[tokio::test]
async fn a_large_body_goes_through_whole_both_ways() {
    let certificate = Certificate::new();
    let body = "0123456789abcdef".repeat(1 << 16);
    let origin = Origin::always(Act::ok(&body)).await;
    let rig = rig(&origin, &certificate).await;
    let mut stream = certificate.connect(rig.address, &[]).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (text, clean) = ask(&mut stream, &head).await;
    assert!(clean && text.ends_with(&body) && origin.last().body == body.as_bytes());
}

#[tokio::test]
async fn plain_and_tls_stand_side_by_side() {
    let (origin, certificate) = (Origin::always(Act::ok("x")).await, Certificate::new());
    let (mut server, upstream) = settings(origin.address);
    server.listen.push(ListenAddr::Tls("127.0.0.1:0".parse().unwrap()));
    server.tls = certificate.settings();
    let sidecar = Sidecar::new(server, upstream);
    let bound = sidecar.bind().await.unwrap();
    let [ListenAddr::Tcp(plain), ListenAddr::Tls(tls)] = bound.addresses()[..] else { panic!("one of each") };
    let running = tokio::spawn(bound.run(sidecar.upstream(), std::future::pending()));
    assert_eq!(Client::connect(plain).await.get("/").await.status, 200);
    let mut stream = certificate.connect(tls, &[]).await.unwrap();
    assert!(ask(&mut stream, LAST).await.0.starts_with("HTTP/1.1 200"));
    running.abort();
}

/// TLS keeps the end of what is written: a client may stop where that end is all that is left.
#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up_wherever_it_stops() {
    let origin = Origin::start(|received, _| Act::ok(&"x".repeat(received.line()[5..].split(' ').next().unwrap().parse().unwrap()))).await;
    let certificate = Certificate::new();
    let short = Duration::from_millis(300);
    let rig = Rig::with(origin.address, |server, _| {
        certificate.serve(server);
        (server.idle_timeout, server.drain_timeout) = (short, short);
    })
    .await;
    let mut clients = Vec::new();
    // More and less than what the kernel takes for one who does not read.
    for (at, field) in (24..=96_usize).step_by(2).flat_map(|at| [(at, "X: y"), (at, "Connection: close")]) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let mut client = certificate.over(socket.connect(rig.address).await.unwrap(), &[]).await.unwrap();
        let head = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n", at * (48 << 10));
        client.write_all(head.as_bytes()).await.unwrap();
        clients.push(client);
    }
    tokio::time::sleep(short * 8).await;
    let Rig { stop, running, .. } = rig;
    drop(stop);
    let drained = running.await.unwrap();
    assert_eq!((drained.finished, drained.open), (true, 0), "none is held for longer than `idle_timeout`");
}
