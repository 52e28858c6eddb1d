//! `https` upstreams: recognised, or not asked.

use crate::rig::Rig;
use crate::secure::{Authority, Issued, file, origin, server};
use http::Request;
use rcgen::date_time_ymd;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;
use warmfront::RequestBody;
use warmfront::sidecar::settings::UpstreamTls;
use warmfront::telemetry::Refusal;

const PATIENCE: Duration = Duration::from_secs(10);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Reads a head; whether there was one.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Answers every request alike.
async fn always_ok<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    while head(&mut stream).await.is_some() {
        stream.write_all(OK).await.unwrap();
        stream.flush().await.unwrap();
    }
}

/// A sidecar before an `https` origin at `address`, which it calls `host`.
async fn rig(address: SocketAddr, host: &str, tls: UpstreamTls) -> Rig {
    Rig::with(address, |_, upstream| {
        upstream.origins = vec![format!("https://{host}:{}", address.port()).parse().unwrap()];
        (upstream.tls, upstream.retries) = (tls, 1);
    })
    .await
}

fn trusting(authority: &Authority) -> UpstreamTls {
    let mut tls = UpstreamTls::default();
    tls.add_ca(&authority.file).unwrap();
    tls
}

/// Asks, and expects that the origin is not recognised; the words that say why.
async fn refused(rig: &Rig) -> String {
    let response = rig.client().await.get("/").await;
    assert_eq!((response.status, rig.sidecar.refused(Refusal::UpstreamTls)), (502, 1), "{}", response.text());
    response.text().into()
}

#[tokio::test]
async fn an_origin_of_an_authority_in_the_file_is_asked_over_one_connection() {
    let authority = Authority::new();
    for name in ["localhost", "127.0.0.1"] {
        let (address, seen) = origin(server(&authority.issue(name), None, &[]), always_ok).await;
        let rig = rig(address, name, trusting(&authority)).await;
        let mut client = rig.client().await;
        for _ in 0..5 {
            assert_eq!(client.get("/").await.text(), "ok");
        }
        assert_eq!(seen.accepted.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn an_unknown_authority_a_wrong_name_and_an_expired_certificate_are_502_and_never_asked_again_or_in_the_clear() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expired = authority.issue_with("localhost", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    let cases: [(Issued, &str); 3] =
        [(stranger.issue("localhost"), "UnknownIssuer"), (authority.issue("elsewhere.test"), "not valid for name"), (expired, "expired")];
    for (issued, reason) in cases {
        let (address, seen) = origin(server(&issued, None, &[]), always_ok).await;
        let rig = rig(address, "localhost", trusting(&authority)).await;
        let words = refused(&rig).await;
        assert!(words.contains(reason), "{reason}: {words}");
        assert_eq!((seen.accepted.load(Ordering::SeqCst), seen.shaken.load(Ordering::SeqCst)), (1, 0), "{reason}");
    }
}

#[tokio::test]
async fn a_certificate_that_has_signed_itself_is_its_own_authority_where_the_file_names_it() {
    let past = |params: &mut rcgen::CertificateParams| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    };
    let (own, another, expired) = (Issued::by_itself(|_| {}), Issued::by_itself(|_| {}), Issued::by_itself(past));
    let mut stolen = server(&own, None, &[]);
    stolen.cert_resolver = own.stolen();
    let cases = [
        (server(&own, None, &[]), &own, "localhost", ""),
        (server(&own, None, &[]), &own, "127.0.0.1", "not valid for name"),
        (server(&own, None, &[]), &another, "localhost", "CaUsedAsEndEntity"),
        (server(&expired, None, &[]), &expired, "localhost", "expired"),
        (stolen, &own, "localhost", "BadSignature"),
    ];
    for (config, named, host, reason) in cases {
        let (address, _) = origin(config, always_ok).await;
        let mut tls = UpstreamTls::default();
        tls.add_ca(&named.certificate).unwrap();
        let rig = rig(address, host, tls).await;
        if reason.is_empty() {
            assert_eq!(rig.client().await.get("/").await.text(), "ok");
        } else {
            let words = refused(&rig).await;
            assert!(words.contains(reason), "{reason}: {words}");
        }
    }
}

#[tokio::test]
async fn an_origin_in_the_clear_is_not_asked_over_https() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let rig = rig(address, "localhost", UpstreamTls::default()).await;
    let asking = async { refused(&rig).await };
    let answering = async {
        let mut stream = listener.accept().await.unwrap().0;
        let mut first = [0; 3];
        stream.read_exact(&mut first).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        (first, stream)
    };
    let (_, (first, _stream)) = tokio::join!(asking, answering);
    assert_eq!(first, [0x16, 3, 1], "a handshake, and nothing else");
    assert!(tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err());
}

#[tokio::test]
async fn another_name_may_be_asked_for_and_verified() {
    let authority = Authority::new();
    let (address, seen) = origin(server(&authority.issue("inner.test"), None, &[]), async |stream: TlsStream<TcpStream>| {
        assert_eq!(stream.get_ref().1.server_name(), Some("inner.test"));
        always_ok(stream).await;
    })
    .await;
    let mut tls = trusting(&authority);
    tls.set_server_name("inner.test").unwrap();
    assert_eq!(rig(address, "127.0.0.1", tls).await.client().await.get("/").await.text(), "ok");
    assert_eq!(seen.shaken.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_origin_that_demands_a_certificate_gets_ours() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let issued = authority.issue("localhost");
    for (ours, welcome) in [(Some(authority.issue("us.test")), true), (Some(stranger.issue("us.test")), false), (None, false)] {
        let (address, _) = origin(server(&issued, Some(&authority), &[]), always_ok).await;
        let mut tls = trusting(&authority);
        if let Some(ours) = &ours {
            tls.set_identity(&ours.certificate, &ours.key).unwrap();
        }
        let rig = rig(address, "localhost", tls).await;
        if welcome {
            assert_eq!(rig.client().await.get("/").await.text(), "ok");
        } else {
            let words = refused(&rig).await;
            assert!(words.contains("alert"), "{words}");
        }
    }
}

#[tokio::test]
async fn a_session_is_resumed_by_the_next_connection() {
    let authority = Authority::new();
    let (address, seen) = origin(server(&authority.issue("localhost"), None, &[]), async |mut stream: TlsStream<TcpStream>| {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let rig = rig(address, "localhost", trusting(&authority)).await;
    for _ in 0..3 {
        assert_eq!(rig.client().await.get("/").await.text(), "ok");
    }
    assert_eq!((seen.shaken.load(Ordering::SeqCst), seen.resumed.load(Ordering::SeqCst)), (3, 2));
}

#[tokio::test]
async fn a_body_that_only_the_end_delimits_is_whole_only_with_a_farewell() {
    let authority = Authority::new();
    let (address, _) = origin(server(&authority.issue("localhost"), None, &[]), async |mut stream: TlsStream<TcpStream>| {
        let head = head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello world").await.unwrap();
        stream.flush().await.unwrap();
        if head.starts_with("GET /whole") {
            stream.shutdown().await.unwrap(); // says close_notify
        } else {
            stream.get_mut().0.shutdown().await.unwrap(); // as anybody on the way could
        }
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let rig = rig(address, "localhost", trusting(&authority)).await;
    let whole = rig.client().await.get("/whole").await;
    assert_eq!((whole.text(), whole.complete), ("hello world", true));
    let mut client = rig.client().await;
    client.send("GET /cut HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let cut = client.response().await;
    assert!(cut.as_ref().is_none_or(|cut| !cut.complete), "{cut:?}");
}

#[tokio::test]
async fn a_connection_that_the_origin_has_closed_or_written_to_is_not_used() {
    let authority = Authority::new();
    for farewell in [true, false] {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (address, seen) = origin(server(&authority.issue("localhost"), None, &[]), move |mut stream: TlsStream<TcpStream>| {
            let tell = tell.clone();
            async move {
                head(&mut stream).await.unwrap();
                stream.write_all(OK).await.unwrap();
                stream.flush().await.unwrap();
                if farewell {
                    stream.shutdown().await.unwrap();
                } else {
                    stream.write_all(OK).await.unwrap();
                    stream.flush().await.unwrap();
                }
                tell.send(()).unwrap();
                let _ = stream.read(&mut [0; 64]).await;
            }
        })
        .await;
        let rig = Rig::with(address, |_, upstream| {
            upstream.origins = vec![format!("https://localhost:{}", address.port()).parse().unwrap()];
            (upstream.tls, upstream.retries) = (trusting(&authority), 0);
        })
        .await;
        let mut client = rig.client().await;
        for count in 1..=3 {
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await;
            assert_eq!(client.response().await.unwrap().text(), "ok");
            told.recv().await.unwrap();
            assert_eq!(seen.accepted.load(Ordering::SeqCst), count);
        }
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let rig = Rig::with(address, |_, upstream| {
        upstream.origins = vec![format!("https://localhost:{}", address.port()).parse().unwrap()];
        upstream.connect_timeout = Duration::from_millis(100);
    })
    .await;
    let response = rig.client().await.get("/").await;
    assert_eq!((response.status, response.text().contains("upstream.connect_timeout")), (504, true), "{}", response.text());
    drop(listener);
}

#[tokio::test]
async fn connections_are_opened_ahead_over_tls_too() {
    let authority = Authority::new();
    let (address, seen) = origin(server(&authority.issue("localhost"), None, &[]), always_ok).await;
    let (server, mut upstream) = crate::rig::settings(address);
    upstream.origins = vec![format!("https://localhost:{}", address.port()).parse().unwrap()];
    (upstream.tls, upstream.preconnect) = (trusting(&authority), 2);
    let sidecar = warmfront::sidecar::Sidecar::new(server, upstream);
    sidecar.preconnect().await;
    assert_eq!(seen.accepted.load(Ordering::SeqCst), 2);
    // The session tickets that follow a handshake are here when the requests come.
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..3 {
        let request = Request::get("/").body(RequestBody::default()).unwrap();
        assert_eq!(sidecar.upstream().oneshot(request).await.unwrap().status(), 200);
    }
    assert_eq!(seen.accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_reload_with_other_files_closes_what_was_opened_under_the_old_ones() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (address, seen) = origin(server(&authority.issue("localhost"), None, &[]), always_ok).await;
    let rig = rig(address, "localhost", trusting(&authority)).await;
    let mut client = rig.client().await;
    assert_eq!(client.get("/").await.text(), "ok");
    let (server, mut upstream) = crate::rig::settings(address);
    upstream.origins = vec![format!("https://localhost:{}", address.port()).parse().unwrap()];
    upstream.tls = trusting(&other);
    assert_eq!(rig.sidecar.reload(server, upstream), Vec::<&str>::new());
    assert_eq!(client.get("/").await.status, 502);
    assert_eq!((seen.accepted.load(Ordering::SeqCst), seen.shaken.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test]
async fn a_tunnel_goes_over_tls_and_http_1() {
    let authority = Authority::new();
    let (address, _) =
        origin(server(&authority.issue("localhost"), None, &["h2", "http/1.1"]), async |mut stream: TlsStream<TcpStream>| {
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await.unwrap();
            stream.flush().await.unwrap();
            let (mut read, mut write) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut read, &mut write).await;
        })
        .await;
    let rig = Rig::with(address, |_, upstream| {
        upstream.origins = vec![format!("https://localhost:{}", address.port()).parse().unwrap()];
        (upstream.tls, upstream.http2) = (trusting(&authority), warmfront::sidecar::settings::Http2::Auto);
    })
    .await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 101);
    client.send("ping").await;
    assert_eq!(tokio::time::timeout(PATIENCE, client.exactly(4)).await.unwrap(), b"ping");
}

#[test]
fn a_file_that_is_missing_empty_or_of_another_kind_is_named_with_the_fix() {
    let (authority, mut tls) = (Authority::new(), UpstreamTls::default());
    let (one, two) = (authority.issue("one.test"), authority.issue("two.test"));
    let empty = file("empty.pem", "nothing\n");
    let missing = empty.with_extension("missing");
    for (fault, words) in [
        (tls.add_ca(&missing), "cannot be read"),
        (tls.add_ca(&empty), "no certificate"),
        (tls.add_ca(&one.key), "no certificate"),
        (tls.set_identity(&missing, &one.key), "cannot be read"),
        (tls.set_identity(&one.certificate, &empty), "no private key"),
        (tls.set_identity(&one.certificate, &one.certificate), "no private key"),
        (tls.set_identity(&one.certificate, &two.key), "do not go together"),
        (tls.set_server_name("a b"), "no name"),
    ] {
        let fault = fault.unwrap_err();
        assert!(fault.found.contains(words) && !fault.fix.is_empty(), "{words}: {fault:?}");
    }
    assert_eq!(tls, UpstreamTls::default());
    tls.set_identity(&one.certificate, &one.key).unwrap();
    assert!(!format!("{tls:?}").contains("[48,"), "no byte of the key: {tls:?}");
}
