//! HTTP/2 to upstreams.

use crate::rig::Rig;
use crate::secure::{Authority, server};
use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{Request, Response, Version};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use warmfront::sidecar::settings::{Http2, UpstreamTls};

type Asked = Request<h2::RecvStream>;

/// What an origin does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Answer,
    /// Says that it has not looked at it.
    Refuse,
    /// Gives it up.
    Reset,
    /// Breaks off in the middle of the body.
    Cut,
    /// Does not answer yet.
    Wait,
}

/// What reached the origin.
#[derive(Clone, Default)]
struct Seen {
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Request<()>>>>,
}

impl Seen {
    fn counts(&self) -> (usize, usize) {
        (self.requests.lock().unwrap().len(), self.connections.load(Ordering::SeqCst))
    }
}

/// Speaks HTTP/2 over `stream` and treats the n-th request, from 0, as `deed` says.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, seen: Seen, deed: impl Fn(usize) -> Deed) {
    seen.connections.fetch_add(1, Ordering::SeqCst);
    let Ok(mut connection) = h2::server::Builder::new().max_concurrent_streams(1000).handshake(stream).await else { return };
    let mut held = Vec::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let number = note(&seen, &request);
        match deed(number) {
            Deed::Answer => answer(request, respond),
            Deed::Refuse => respond.send_reset(Reason::REFUSED_STREAM),
            Deed::Reset => respond.send_reset(Reason::INTERNAL_ERROR),
            Deed::Cut => {
                let mut body = respond.send_response(Response::new(()), false).unwrap();
                body.send_data(Bytes::from_static(b"hel"), false).unwrap();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    body.send_reset(Reason::CANCEL);
                });
            }
            Deed::Wait => held.push((request, respond)),
        }
    }
}

fn note(seen: &Seen, request: &Asked) -> usize {
    let mut copy = Request::builder().method(request.method()).uri(request.uri()).version(request.version()).body(()).unwrap();
    copy.headers_mut().clone_from(request.headers());
    let mut requests = seen.requests.lock().unwrap();
    requests.push(copy);
    requests.len() - 1
}

/// Sends back how much came up.
fn answer(request: Asked, mut respond: SendResponse<Bytes>) {
    tokio::spawn(async move {
        let (mut body, mut length) = (request.into_body(), 0);
        while let Some(Ok(piece)) = body.data().await {
            length += piece.len();
            let _ = body.flow_control().release_capacity(piece.len());
        }
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from(length.to_string()), true).unwrap();
    });
}

/// An origin that is spoken to in the clear.
async fn clear(deed: impl Fn(usize) -> Deed + Clone + Send + Sync + 'static) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Seen::default());
    let told = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, seen.clone(), deed.clone()));
        }
    });
    (address, told)
}

async fn rig(address: SocketAddr, retries: u32) -> Rig {
    Rig::with(address, |_, upstream| (upstream.http2, upstream.retries) = (Http2::Always, retries)).await
}

#[tokio::test]
async fn with_prior_knowledge_all_requests_share_a_connection_in_the_clear() {
    let (address, seen) = clear(|_| Deed::Answer).await;
    let rig = rig(address, 0).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = rig.client().await;
        client.send("GET /a?b=c HTTP/1.1\r\nHost: public.test:8080\r\nConnection: x-own, te\r\nX-Own: y\r\nTE: trailers\r\n\r\n").await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.response().await.unwrap().text(), "0");
    }
    assert_eq!(seen.counts(), (10, 1));
    let asked = seen.requests.lock().unwrap().pop().unwrap();
    assert_eq!((asked.version(), asked.uri().to_string()), (Version::HTTP_2, "http://public.test:8080/a?b=c".into()));
    for name in ["host", "connection", "x-own", "transfer-encoding", "upgrade", "keep-alive"] {
        assert!(!asked.headers().contains_key(name), "{name}: {asked:?}");
    }
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "public.test:8080"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "for=127.0.0.1;host=\"public.test:8080\";proto=http"),
        ("via", "1.1 warmfront"),
    ] {
        assert_eq!(asked.headers().get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
    }
    assert_eq!(asked.headers().get_all("traceparent").iter().count(), 1);
}

#[tokio::test]
async fn a_body_goes_up_with_and_without_its_length() {
    let (address, seen) = clear(|_| Deed::Answer).await;
    let rig = rig(address, 0).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(client.response().await.unwrap().text(), "5");
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().text(), "7");
    let megabyte = "x".repeat(1 << 20);
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{megabyte}", megabyte.len())).await;
    assert_eq!(client.response().await.unwrap().text(), "1048576");
    assert_eq!(seen.counts(), (3, 1));
}

#[tokio::test]
async fn over_tls_the_origin_chooses_and_only_if_it_may() {
    let authority = Authority::new();
    for (alpn, http2, two) in [
        (&["h2", "http/1.1"][..], Http2::Auto, true),
        (&["http/1.1"], Http2::Auto, false),
        (&[], Http2::Auto, false),
        (&["h2", "http/1.1"], Http2::Never, false),
        (&["h2", "http/1.1"], Http2::Always, true),
    ] {
        let seen = Seen::default();
        let told = seen.clone();
        let (address, shaken) =
            crate::secure::origin(server(&authority.issue("localhost"), None, alpn), move |stream| speak(stream, seen.clone())).await;
        let rig = Rig::with(address, |_, upstream| {
            upstream.origins = vec![format!("https://localhost:{}", address.port()).parse().unwrap()];
            (upstream.tls, upstream.http2) = (trusting(&authority), http2);
        })
        .await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
            clients.push(client);
        }
        for client in &mut clients {
            assert_eq!(client.response().await.unwrap().text(), if two { "0" } else { "1.1" }, "{alpn:?} {http2:?}");
        }
        assert_eq!(told.connections.load(Ordering::SeqCst), usize::from(two), "{alpn:?} {http2:?}");
        assert!(!two || shaken.accepted.load(Ordering::SeqCst) == 1, "one goes first, and the others share its connection");
    }
}

#[tokio::test]
async fn an_origin_that_does_not_choose_http_2_though_it_must_is_502() {
    let authority = Authority::new();
    let (address, _) =
        crate::secure::origin(server(&authority.issue("localhost"), None, &[]), |stream| speak(stream, Seen::default())).await;
    let rig = Rig::with(address, |_, upstream| {
        upstream.origins = vec![format!("https://localhost:{}", address.port()).parse().unwrap()];
        (upstream.tls, upstream.http2) = (trusting(&authority), Http2::Always);
    })
    .await;
    let response = rig.client().await.get("/").await;
    assert_eq!((response.status, response.text().contains("does not speak HTTP/2")), (502, true), "{}", response.text());
}

fn trusting(authority: &Authority) -> UpstreamTls {
    let mut tls = UpstreamTls::default();
    tls.add_ca(&authority.file).unwrap();
    tls
}

/// HTTP/2 if it was chosen, else HTTP/1.1 and nothing but "1.1".
async fn speak(mut stream: TlsStream<TcpStream>, seen: Seen) {
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        return converse(stream, seen, |_| Deed::Answer).await;
    }
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if head.ends_with(b"\r\n\r\n") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n1.1").await.unwrap();
            stream.flush().await.unwrap();
            head.clear();
        }
    }
}

#[tokio::test]
async fn what_the_origin_has_not_looked_at_is_asked_again_without_a_word() {
    let (address, seen) = clear(|number| if number == 0 { Deed::Refuse } else { Deed::Answer }).await;
    let rig = rig(address, 0).await;
    assert_eq!(rig.client().await.get("/").await.text(), "0");
    assert_eq!(seen.counts(), (2, 1));
}

#[tokio::test]
async fn what_the_origin_gives_up_is_an_error_or_visibly_broken() {
    for (deed, status) in [(Deed::Reset, 502), (Deed::Cut, 200)] {
        let (address, seen) = clear(move |number| if number == 0 { deed } else { Deed::Answer }).await;
        let rig = rig(address, 0).await;
        let mut client = rig.client().await;
        let response = client.get("/").await;
        assert_eq!((response.status, response.complete), (status, status == 502), "{response:?}");
        assert_eq!(rig.client().await.get("/").await.text(), "0");
        assert_eq!(seen.counts(), (2, 1), "the connection is none the worse");
    }
}

#[tokio::test]
async fn a_connection_that_has_ended_is_replaced() {
    let (address, seen) = clear(|_| Deed::Answer).await;
    let forward = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig(forward.local_addr().unwrap(), 0).await;
    let (cut, mut cuts) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok((mut one, _)) = forward.accept().await {
            let mut other = TcpStream::connect(address).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut one, &mut other) => {}
                _ = cuts.recv() => {}
            }
        }
    });
    for count in 1..=3 {
        assert_eq!(rig.client().await.get("/").await.text(), "0");
        assert_eq!(seen.counts(), (count, count));
        cut.send(()).await.unwrap();
    }
}

#[tokio::test]
async fn what_comes_after_the_last_stream_of_a_farewell_is_asked_again_over_another_connection() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig(listener.local_addr().unwrap(), 0).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut leaving = listener.accept().await.unwrap().0;
    leaving.write_all(SETTINGS).await.unwrap();
    leaving.read_exact(&mut [0; 24]).await.unwrap();
    loop {
        let mut head = [0; 9];
        leaving.read_exact(&mut head).await.unwrap();
        let mut rest = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        leaving.read_exact(&mut rest).await.unwrap();
        if head[3] == 1 {
            break; // HEADERS
        }
    }
    leaving.write_all(GOAWAY).await.unwrap();
    let seen = Seen::default();
    tokio::spawn(converse(listener.accept().await.unwrap().0, seen.clone(), |_| Deed::Answer));
    assert_eq!(client.response().await.unwrap().text(), "0");
    assert_eq!(seen.counts(), (1, 1));
}

#[tokio::test]
async fn beyond_the_streams_of_one_connection_there_is_another() {
    let (address, seen) = clear(|_| Deed::Wait).await;
    let rig = rig(address, 0).await;
    let mut clients = Vec::new();
    for _ in 0..70 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        clients.push(client);
    }
    let all = async {
        while seen.counts().0 < 70 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.expect("all requests are under way");
    assert_eq!(seen.counts(), (70, 2));
}

#[tokio::test]
async fn a_request_for_another_protocol_goes_over_http_1() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig(listener.local_addr().unwrap(), 0).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    let mut line = crate::client::Client::from(listener.accept().await.unwrap().0);
    assert!(line.head().await.starts_with("GET / HTTP/1.1\r\n"));
    line.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 101);
}

#[tokio::test]
async fn an_origin_that_speaks_http_1_though_it_was_said_to_know_is_502() {
    let origin = crate::origin::Origin::always(crate::origin::Act::ok("x")).await;
    let rig = rig(origin.address, 0).await;
    assert_eq!(rig.client().await.get("/").await.status, 502);
}
