//! Listening, limits on connections, reloading and draining.

use crate::client::Client;
use crate::origin::{Act, Origin, Then};
use crate::rig::{Rig, settings};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use warmfront::RequestBody;
use warmfront::sidecar::settings::ListenAddr;
use warmfront::sidecar::{Drained, Sidecar};

#[tokio::test]
async fn draining_closes_idle_connections_and_finishes_responses() {
    let mut act = Act::send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", Then::Keep);
    act.pieces = vec![
        (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello".to_vec(), Duration::from_millis(100)),
        (b" world".to_vec(), Duration::ZERO),
    ];
    let origin = Origin::start(move |request, _| if request.line().contains("slow") { act.clone() } else { Act::ok("x") }).await;
    let mut rig = Rig::before(&origin).await;
    let (mut idle, mut fresh, mut busy) = (rig.client().await, rig.client().await, rig.client().await);
    idle.get("/").await;
    busy.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    busy.stream.readable().await.unwrap();
    rig.shut_down();
    assert!(idle.is_closed().await && fresh.is_closed().await);
    let response = busy.response().await.unwrap();
    assert_eq!((response.text(), response.complete), ("hello world", true));
    assert!(busy.is_closed().await);
    assert_eq!(rig.running.await.unwrap(), Drained { finished: true, open: 0 });
    assert!(tokio::net::TcpStream::connect(rig.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_response_that_begins_while_draining_says_close() {
    let mut act = Act::send("", Then::Keep);
    act.pieces = vec![(vec![], Duration::from_millis(100)), (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(), Duration::ZERO)];
    let origin = Origin::always(act).await;
    let mut rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    while origin.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    rig.shut_down();
    let response = client.response().await.unwrap();
    assert_eq!((response.text(), response.all("connection")), ("ok", vec!["close"]));
    assert!(rig.running.await.unwrap().finished);
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_and_counted() {
    let origin = Origin::always(Act::hang()).await;
    let mut rig = Rig::with(origin.address, |server, _| server.drain_timeout = Duration::from_millis(50)).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    while origin.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    rig.shut_down();
    assert_eq!((&mut rig.running).await.unwrap(), Drained { finished: false, open: 1 });
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_response_that_only_the_end_delimits_never_ends_cleanly_when_it_is_cut() {
    let origin = Origin::always(Act::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Then::Hang)).await;
    let mut rig = Rig::with(origin.address, |server, _| server.drain_timeout = Duration::from_millis(50)).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n").await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"hello") {
        seen.extend(client.exactly(1).await);
    }
    rig.shut_down();
    assert_eq!((&mut rig.running).await.unwrap(), Drained { finished: false, open: 1 });
    assert!(client.stream.read(&mut [0; 16]).await.is_err(), "the client would take what it has for the whole");
}

#[tokio::test]
async fn beyond_max_connections_accepting_waits() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| server.max_connections = 1).await;
    let mut first = rig.client().await;
    assert_eq!(first.get("/").await.status, 200);
    let mut second = rig.client().await;
    second.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(tokio::time::timeout(Duration::from_millis(50), second.stream.readable()).await.is_err(), "nobody has accepted it");
    drop(first);
    assert_eq!(second.response().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_panic_ends_its_connection_only() {
    let origin = Origin::always(Act::ok("x")).await;
    let (server, upstream) = settings(origin.address);
    let sidecar = Sidecar::new(server, upstream);
    let bound = sidecar.bind().await.unwrap();
    let [ListenAddr::Tcp(address)] = bound.addresses()[..] else { panic!() };
    let service = tower::service_fn(|request: http::Request<RequestBody>| async move {
        assert!(request.uri().path() != "/panic", "on purpose");
        Ok::<_, Infallible>(http::Response::new(http_body_util::Full::new(bytes::Bytes::from("fine"))))
    });
    tokio::spawn(bound.run(service, std::future::pending()));
    let (mut calm, mut doomed) = (Client::connect(address).await, Client::connect(address).await);
    assert_eq!(calm.get("/").await.text(), "fine");
    doomed.send("GET /panic HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(doomed.is_closed().await);
    assert_eq!(calm.get("/").await.text(), "fine");
    assert_eq!(Client::connect(address).await.get("/").await.text(), "fine");
}

#[tokio::test]
async fn several_addresses_and_a_stale_socket_file() {
    let directory = std::env::temp_dir().join(format!("warmfront-test-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("wf.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap()); // leaves its file behind
    let origin = Origin::always(Act::ok("x")).await;
    let (mut server, upstream) = settings(origin.address);
    server.listen.push(ListenAddr::Unix(path.clone()));
    let sidecar = Sidecar::new(server.clone(), upstream.clone());
    let bound = sidecar.bind().await.unwrap();
    let error = Sidecar::new(server, upstream).bind().await.unwrap_err();
    assert!(error.to_string().contains("wf.sock"), "{error}");
    let [ListenAddr::Tcp(address), _] = bound.addresses()[..] else { panic!() };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(bound.run(sidecar.upstream(), async { drop(stopped.await) }));
    assert_eq!(Client::connect(address).await.get("/").await.status, 200);
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(origin.last().all("forwarded"), ["for=unknown;host=\"h\";proto=http"]);
    assert!(origin.last().all("x-forwarded-for").is_empty());
    stop.send(()).unwrap();
    assert!(running.await.unwrap().finished);
    assert!(!path.exists());
    std::fs::remove_dir(&directory).unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut server, upstream) = settings("127.0.0.1:1".parse().unwrap());
    server.listen = vec![ListenAddr::Tcp(taken.local_addr().unwrap())];
    let error = Sidecar::new(server, upstream).bind().await.unwrap_err();
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[tokio::test]
async fn a_reload_changes_the_next_request_and_names_what_it_cannot_change() {
    let (one, two) = (Origin::always(Act::ok("one")).await, Origin::always(Act::ok("two")).await);
    let rig = Rig::before(&one).await;
    let mut client = rig.client().await;
    assert_eq!(client.get("/").await.text(), "one");
    let (mut server, upstream) = settings(two.address);
    server.listen = vec![ListenAddr::Tcp("127.0.0.1:1".parse().unwrap())];
    (server.workers, server.max_connections, server.max_request_body) = (7, 7, 3);
    assert_eq!(rig.sidecar.reload(server, upstream), ["server.listen", "server.workers", "server.max_connections"]);
    assert_eq!(client.get("/").await.text(), "two", "on the same connection");
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nfour").await;
    assert_eq!(client.response().await.unwrap().status, 413);
}

#[tokio::test]
async fn an_open_tunnel_is_cut_when_draining_takes_too_long() {
    let origin =
        Origin::always(Act::send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", Then::Echo)).await;
    let mut rig = Rig::with(origin.address, |server, _| server.drain_timeout = Duration::from_millis(50)).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 101);
    rig.shut_down();
    assert_eq!((&mut rig.running).await.unwrap(), Drained { finished: false, open: 1 });
    assert!(client.is_closed().await);
}
