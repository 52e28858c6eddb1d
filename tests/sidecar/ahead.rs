//! Connections that are opened before anybody asks.

use crate::client::Client;
use crate::origin::{Act, Origin, Then};
use crate::rig::{Rig, settings};
use http::Request;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;
use warmfront::RequestBody;
use warmfront::sidecar::Sidecar;
use warmfront::telemetry::{Attempt, Source};

const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing must happen.
const QUIET: Duration = Duration::from_millis(60);

/// A sidecar that does not run and opens connections when it is told.
fn sidecar(origin: SocketAddr, preconnect: usize) -> Sidecar {
    let (server, mut upstream) = settings(origin);
    (upstream.preconnect, upstream.retries) = (preconnect, 0);
    Sidecar::new(server, upstream)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The next `count` connections, as an origin sees them.
async fn accept(listener: &TcpListener, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(tokio::time::timeout(PATIENCE, listener.accept()).await.expect("a connection").unwrap().0);
    }
    streams
}

async fn nobody_comes(listener: &TcpListener) -> bool {
    tokio::time::timeout(QUIET, listener.accept()).await.is_err()
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(tokio::time::timeout(PATIENCE, stream.read(&mut [0])).await.expect("an end"), Ok(0))
}

async fn status(sidecar: &Sidecar) -> u16 {
    let request = Request::get("/").body(RequestBody::default()).unwrap();
    sidecar.upstream().oneshot(request).await.unwrap().status().as_u16()
}

/// How many connections the origin has accepted, once there are `least`: it may answer on the first before it accepts the next.
async fn accepted(origin: &Origin, least: usize) -> usize {
    let accepting = async {
        while origin.connections.load(Ordering::SeqCst) < least {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, accepting).await.expect("connections");
    origin.connections.load(Ordering::SeqCst)
}

/// Lets `time` pass for the sidecar; sockets do not notice.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn connections_are_open_soon_after_the_start_without_a_byte_sent() {
    let (listener, address) = listen().await;
    let start = Instant::now();
    let mut rig = Rig::with(address, |_, upstream| upstream.preconnect = 3).await;
    let mut streams = accept(&listener, 3).await;
    assert!(start.elapsed() >= Duration::from_millis(100), "what starts with the process goes first");
    assert!(nobody_comes(&listener).await);
    for stream in &mut streams {
        assert!(tokio::time::timeout(Duration::ZERO, stream.read(&mut [0])).await.is_err(), "an origin that counts requests sees none");
    }
    rig.shut_down();
    assert!(rig.running.await.unwrap().finished);
    for stream in &mut streams {
        assert!(is_closed(stream).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_over_these_connections_in_the_order_in_which_they_were_accepted() {
    let (listener, address) = listen().await;
    let sidecar = sidecar(address, 8);
    tokio::spawn(sidecar.preconnect()).await.unwrap();
    let mut asking = Vec::new();
    for stream in accept(&listener, 8).await {
        let (mut origin, sidecar) = (Client::from(stream), sidecar.clone());
        let answer = tokio::spawn(async move { status(&sidecar).await });
        assert!(origin.exactly(14).await.starts_with(b"GET / HTTP/1.1"));
        asking.push((origin, answer)); // it has no answer yet
    }
    assert!(nobody_comes(&listener).await);
    for (mut origin, answer) in asking {
        origin.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(answer.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_connection_that_the_peer_has_closed_or_written_to_is_not_used() {
    let (listener, address) = listen().await;
    let sidecar = sidecar(address, 3);
    sidecar.preconnect().await;
    let mut streams = accept(&listener, 3).await;
    tokio::io::AsyncWriteExt::write_all(&mut streams[1], b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    let mut origin = Client::from(streams.pop().unwrap());
    drop(streams);
    let asking = tokio::spawn(async move { status(&sidecar).await });
    assert!(origin.exactly(5).await.starts_with(b"GET /"));
    origin.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(asking.await.unwrap(), 200);
    assert!(nobody_comes(&listener).await);
}

#[tokio::test]
async fn a_connection_that_dies_as_it_is_used_is_replaced_without_a_word() {
    let origin = Origin::start(|_, number| if number == 1 { Act::ok("x") } else { Act::send("", Then::Fin) }).await;
    let old = sidecar(origin.address, 3);
    old.preconnect().await;
    pass(Duration::from_secs(2)).await;
    assert_eq!(status(&old).await, 200, "on a second attempt, though upstream.retries = 0");
    assert_eq!((origin.requests().len(), accepted(&origin, 4).await), (2, 4), "the others of its age are not tried");
    assert_eq!((old.upstream_requests(Source::Live, Attempt::Ok), old.upstream_requests(Source::Live, Attempt::Failed)), (1, 1));
    let young = sidecar(origin.address, 3);
    young.preconnect().await;
    assert_eq!(status(&young).await, 502);
    assert_eq!(young.upstream_requests(Source::Live, Attempt::Failed), 1, "one that was only just opened was refused, not stale");
}

#[tokio::test]
async fn a_connection_is_kept_for_fifty_seconds() {
    for (age, connections) in [(49, 3), (50, 4)] {
        let origin = Origin::always(Act::ok("x")).await;
        let sidecar = sidecar(origin.address, 3);
        sidecar.preconnect().await;
        pass(Duration::from_secs(age)).await;
        assert_eq!(status(&sidecar).await, 200);
        assert_eq!(accepted(&origin, connections).await, connections, "after {age} s");
    }
}

#[tokio::test]
async fn what_nobody_takes_is_closed_in_its_time() {
    let (listener, address) = listen().await;
    let rig = Rig::with(address, |_, upstream| upstream.preconnect = 1).await;
    let mut streams = accept(&listener, 1).await;
    assert!(nobody_comes(&listener).await, "and the sidecar has begun to wait");
    pass(Duration::from_secs(51)).await;
    assert!(is_closed(&mut streams[0]).await);
    drop(rig);
}

#[tokio::test]
async fn there_are_never_more_than_preconnect_or_than_places_and_none_without() {
    let (listener, address) = listen().await;
    let none = sidecar(address, 0);
    none.preconnect().await;
    assert!(nobody_comes(&listener).await);
    let two = sidecar(address, 2);
    two.preconnect().await;
    two.preconnect().await;
    let _streams = accept(&listener, 2).await;
    assert!(nobody_comes(&listener).await);
    let (server, mut upstream) = settings(address);
    (upstream.preconnect, upstream.max_in_flight) = (8, 1);
    Sidecar::new(server, upstream).preconnect().await;
    let _streams = accept(&listener, 1).await;
    assert!(nobody_comes(&listener).await, "more could not be used");
}

#[tokio::test]
async fn an_upstream_that_is_down_at_the_start_does_no_harm() {
    let closed = listen().await.1;
    let rig = Rig::with(closed, |_, upstream| (upstream.preconnect, upstream.retries) = (8, 0)).await;
    rig.sidecar.preconnect().await;
    assert_eq!(rig.client().await.get("/").await.status, 502);
    let origin = Origin::at(closed, |_, _| Act::ok("up")).await;
    assert_eq!(rig.client().await.get("/").await.text(), "up");
    let (server, mut upstream) = settings(origin.address);
    (upstream.preconnect, upstream.origins) = (8, vec!["no-such-host.invalid:80".parse().unwrap()]);
    Sidecar::new(server, upstream).preconnect().await;
}

#[tokio::test]
async fn a_reload_with_another_upstream_closes_what_led_to_the_old_one() {
    let (listener, address) = listen().await;
    let sidecar = sidecar(address, 3);
    sidecar.preconnect().await;
    let mut streams = accept(&listener, 3).await;
    let (server, mut upstream) = settings(address);
    upstream.preconnect = 2;
    sidecar.reload(server.clone(), upstream.clone());
    assert!(is_closed(&mut streams.pop().unwrap()).await, "one too many");
    let other = Origin::always(Act::ok("other")).await;
    upstream.origins = vec![other.address.to_string().parse().unwrap()];
    sidecar.reload(server, upstream);
    for stream in &mut streams {
        assert!(is_closed(stream).await);
    }
    assert_eq!(status(&sidecar).await, 200);
    assert_eq!(other.requests().len(), 1);
}

#[tokio::test]
async fn what_the_backlog_has_no_room_for_is_not_waited_for() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap(); // and nobody accepts
    let (server, mut upstream) = settings(listener.local_addr().unwrap());
    (upstream.preconnect, upstream.connect_timeout) = (8, Duration::from_secs(600));
    let sidecar = Sidecar::new(server, upstream);
    let ahead = tokio::time::timeout(3 * PATIENCE, sidecar.preconnect()).await;
    assert!(ahead.is_ok(), "it would knock again, and come behind what readers open");
    // What had room is there, and is used; what had none does not come later.
    let mut streams = accept(&listener, 2).await;
    assert!(nobody_comes(&listener).await);
    let asking = tokio::spawn(async move { status(&sidecar).await });
    let mut head = [0; 1];
    tokio::time::timeout(PATIENCE, streams[0].read_exact(&mut head)).await.expect("a request on the first that was accepted").unwrap();
    asking.abort();
}
