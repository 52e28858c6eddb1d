//! Connections that have been idle for so long that nothing of hyper's is left of them, and what wakes them.

use crate::certificate::Certificate;
use crate::client::Client;
use crate::origin::{Act, Origin, Received};
use crate::rig::{Rig, settings};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use warmfront::sidecar::Drained;
use warmfront::sidecar::settings::{ListenAddr, RateLimit, ServerSettings};
use warmfront::telemetry::Refusal;

/// Longer than a connection is idle before it dozes.
const A_WHILE: Duration = Duration::from_millis(1100);
const SHORT: Duration = Duration::from_millis(200);
const GET: &str = "GET /again HTTP/1.1\r\nHost: h\r\n\r\n";

/// Answers with the target and the body of the request.
fn echo(request: &Received) -> Act {
    let target = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
    Act::ok(&target)
}

/// Has so much time pass at once, and everybody notice. In between the clock runs as ever: sockets take their time.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// What `future` comes to, unless it takes for ever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("an end in time")
}

async fn origin() -> Origin {
    Origin::start(|request, _| echo(request)).await
}

/// A client that has asked once and said nothing since.
async fn dozing(rig: &Rig) -> Client {
    let mut client = rig.client().await;
    assert_eq!(client.get("/first").await.text(), "/first");
    pass(A_WHILE).await;
    client
}

/// New settings, where the sidecar listens as before.
fn reload(rig: &Rig, origin: &Origin, adjust: impl FnOnce(&mut ServerSettings)) {
    let (mut server, upstream) = settings(origin.address);
    server.listen = vec![ListenAddr::Tcp("127.0.0.1:0".parse().unwrap())];
    adjust(&mut server);
    assert_eq!(rig.sidecar.reload(server, upstream), [""; 0]);
}

#[tokio::test]
async fn a_request_wakes_it_again_and_again() {
    let origin = origin().await;
    let rig = Rig::before(&origin).await;
    let mut client = dozing(&rig).await;
    assert_eq!(client.get("/a").await.text(), "/a");
    pass(A_WHILE).await;
    client.send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(client.response().await.unwrap().text(), "/b");
    assert_eq!(origin.last().body, b"hello");
    pass(A_WHILE).await;
    assert_eq!(client.get("/c").await.text(), "/c");
}

#[tokio::test]
async fn it_may_have_dozed_before_a_request_is_answered_slowly() {
    let origin = Origin::start(|request, _| {
        let mut act = echo(request);
        if request.line().contains("slow") {
            act.pieces.insert(0, (Vec::new(), SHORT)); // meanwhile more time passes than before a connection dozes
        }
        act
    })
    .await;
    let rig = Rig::before(&origin).await;
    let mut client = dozing(&rig).await;
    client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    while origin.requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    pass(A_WHILE).await;
    assert_eq!(client.response().await.unwrap().text(), "/slow");
    assert_eq!(client.get("/quick").await.text(), "/quick");
}

#[tokio::test]
async fn a_pipelined_pair_wakes_it_and_both_are_answered_in_order() {
    let origin = origin().await;
    let rig = Rig::before(&origin).await;
    let long = "x".repeat(900); // the second head does not fit into the piece that is read of a dozing connection
    for filler in ["", &long] {
        let mut client = dozing(&rig).await;
        let one = format!("GET /one HTTP/1.1\r\nHost: h\r\nX-Filler: {filler}\r\n\r\n");
        client.send(format!("{one}POST /two HTTP/1.1\r\nHost: h\r\nX-Filler: {filler}\r\nContent-Length: 2\r\n\r\nokGET /thr")).await;
        assert_eq!(client.response().await.unwrap().text(), "/one");
        assert_eq!(client.response().await.unwrap().text(), "/two");
        assert_eq!(origin.last().body, b"ok");
        client.send("ee HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.response().await.unwrap().text(), "/three");
    }
}

#[tokio::test]
async fn a_head_may_wake_it_byte_by_byte() {
    let origin = origin().await;
    let rig = Rig::before(&origin).await;
    let mut client = dozing(&rig).await;
    client.stream.set_nodelay(true).unwrap();
    for byte in "\r\nPOST /drip HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".bytes() {
        client.send([byte]).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(client.response().await.unwrap().text(), "/drip");
    assert_eq!(origin.last().body, b"abc");
}

#[tokio::test]
async fn it_wakes_over_tls_and_a_large_upload_comes_whole() {
    let (origin, certificate) = (origin().await, Certificate::new());
    let rig = Rig::with(origin.address, |server, _| certificate.serve(server)).await;
    let mut stream = certificate.connect(rig.address, &[]).await.unwrap();
    let body = "0123456789abcdef".repeat(10_000);
    let post = format!("POST /again HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let pair = format!("{GET}{GET}");
    for (asked, answers) in [(GET, 1), (&pair, 2), (&post, 1), (GET, 1)] {
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while answer.windows(10).filter(|window| window == b"\r\n\r\n/again").count() < answers {
            assert!(soon(stream.read_buf(&mut answer)).await.unwrap() > 0, "an answer");
        }
        pass(A_WHILE).await;
    }
    assert!(origin.requests().iter().any(|request| request.body == body.as_bytes()));
    stream.shutdown().await.unwrap();
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap(), 0, "and it ends as TLS should");
}

#[tokio::test]
async fn it_wakes_behind_a_proxy_header_and_its_client_is_still_whom_that_named() {
    let origin = origin().await;
    let rig = Rig::with(origin.address, |server, _| {
        (server.proxy_protocol, server.trusted_proxies) = (true, vec!["127.0.0.0/8".parse().unwrap()]);
    })
    .await;
    let mut client = rig.client().await;
    client.send("PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n").await;
    assert_eq!(client.get("/first").await.text(), "/first");
    pass(A_WHILE).await;
    assert_eq!(client.get("/again").await.text(), "/again");
    assert_eq!(origin.last().all("x-forwarded-for"), ["192.0.2.7"]);
    pass(A_WHILE).await;
    client.send(format!("PROXY TCP4 192.0.2.8 10.0.0.1 56324 443\r\n{GET}")).await;
    assert_eq!(client.response().await.unwrap().status, 400, "it is said at the beginning, or never");
}

#[tokio::test]
async fn the_end_of_the_process_closes_it_at_once_and_without_a_word() {
    let (origin, certificate) = (origin().await, Certificate::new());
    let mut rig = Rig::before(&origin).await;
    let (mut plain, mut other) = (dozing(&rig).await, dozing(&rig).await);
    rig.shut_down();
    assert!(plain.is_closed().await && other.is_closed().await);
    assert_eq!(soon(rig.running).await.unwrap(), Drained { finished: true, open: 0 });
    let mut rig = Rig::with(origin.address, |server, _| certificate.serve(server)).await;
    let mut stream = certificate.connect(rig.address, &[]).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    assert!(stream.read(&mut [0; 1000]).await.unwrap() > 0);
    pass(A_WHILE).await;
    rig.shut_down();
    assert_eq!(soon(stream.read(&mut [0; 1000])).await.unwrap(), 0, "a clean end");
    assert_eq!(soon(rig.running).await.unwrap(), Drained { finished: true, open: 0 });
}

#[tokio::test]
async fn what_wakes_it_as_the_process_ends_is_answered_as_the_last() {
    let origin = origin().await;
    let mut rig = Rig::before(&origin).await;
    let mut client = dozing(&rig).await;
    rig.shut_down();
    while TcpStream::connect(rig.address).await.is_ok() {
        tokio::task::yield_now().await; // it has not begun yet
    }
    let response = client.get("/last").await;
    assert_eq!((response.text(), response.all("connection")), ("/last", vec!["close"]));
    assert!(client.is_closed().await);
    assert!(soon(rig.running).await.unwrap().finished);
}

#[tokio::test]
async fn its_idle_time_goes_on_while_it_dozes() {
    let origin = origin().await;
    let rig = Rig::with(origin.address, |server, _| server.idle_timeout = A_WHILE * 3).await;
    let mut client = dozing(&rig).await;
    let mut other = dozing(&rig).await;
    pass(A_WHILE).await;
    assert!(client.is_closed().await);
    assert_eq!(other.get("/again").await.text(), "/again", "the time of the other is not over");
    pass(A_WHILE * 2).await;
    assert_eq!(other.get("/again").await.text(), "/again", "and begins anew");
    pass(A_WHILE * 3).await;
    assert!(other.is_closed().await);
}

#[tokio::test]
async fn its_end_is_heard_while_it_dozes() {
    let origin = origin().await;
    let rig = Rig::with(origin.address, |server, _| server.max_connections = 1).await;
    let mut client = dozing(&rig).await;
    client.stream.shutdown().await.unwrap();
    assert!(client.is_closed().await, "a client that says no more gets no more");
    let client = dozing(&rig).await;
    client.stream.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(rig.client().await.get("/next").await.text(), "/next", "its place is free");
}

#[tokio::test]
async fn what_it_says_last_before_it_ends_is_answered() {
    let origin = origin().await;
    let rig = Rig::before(&origin).await;
    let mut client = dozing(&rig).await;
    client.send(GET).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.response().await.unwrap().text(), "/again");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_head_that_has_woken_it_must_come_in_its_time() {
    let origin = origin().await;
    let rig = Rig::with(origin.address, |server, _| server.header_timeout = SHORT).await;
    let mut silent = dozing(&rig).await;
    silent.send("GET / HTTP/1.1\r\nHo").await;
    assert_eq!(silent.response().await.unwrap().status, 408);
    let mut dripping = dozing(&rig).await;
    soon(async {
        while rig.sidecar.refused(Refusal::HeaderTimeout) < 2 {
            let _ = dripping.stream.write_all(b"X").await;
            tokio::time::sleep(SHORT / 20).await;
        }
    })
    .await;
    assert_eq!(dripping.response().await.unwrap().status, 408);
}

#[tokio::test]
async fn what_has_woken_it_and_is_no_request_is_refused_as_ever() {
    let origin = origin().await;
    let rig = Rig::before(&origin).await;
    let mut client = dozing(&rig).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 400);
    assert!(client.is_closed().await);
    assert_eq!(rig.sidecar.refused(Refusal::BadRequest), 1);
}

#[tokio::test]
async fn a_reload_changes_what_its_next_head_may_be() {
    let origin = origin().await;
    let rig = Rig::before(&origin).await;
    let (mut smaller, mut larger) = (dozing(&rig).await, rig.client().await);
    let head = |size: usize| format!("GET /again HTTP/1.1\r\nHost: h\r\nX-Filler: {}\r\n\r\n", "x".repeat(size));
    larger.send(head(40_000)).await;
    assert_eq!(larger.response().await.unwrap().status, 431);
    let mut larger = dozing(&rig).await;
    reload(&rig, &origin, |server| server.max_header_bytes = 200_000);
    larger.send(head(150_000)).await;
    assert_eq!(larger.response().await.unwrap().text(), "/again", "more than hyper's buffers had room for");
    reload(&rig, &origin, |server| server.max_header_bytes = 4096);
    smaller.send(head(5000)).await;
    assert_eq!(smaller.response().await.unwrap().status, 431);
    pass(A_WHILE).await;
    larger.send(head(5000)).await;
    assert_eq!(larger.response().await.unwrap().status, 431);
}

#[tokio::test]
async fn it_counts_among_the_connections_of_its_client() {
    let origin = origin().await;
    let rig = Rig::with(origin.address, |server, _| server.max_connections_per_client = 1).await;
    let mut client = dozing(&rig).await;
    assert!(rig.client().await.is_closed().await);
    assert_eq!(rig.sidecar.refused(Refusal::TooManyConnections), 1);
    assert_eq!(client.get("/again").await.text(), "/again");
    drop(client);
    soon(async {
        let mut served = false;
        while !served {
            let mut next = rig.client().await;
            let _ = next.stream.write_all(GET.as_bytes()).await;
            served = next.response().await.is_some();
        }
    })
    .await;
}

#[tokio::test]
async fn it_makes_room_for_a_newcomer_where_there_is_none() {
    let origin = origin().await;
    let rig = Rig::with(origin.address, |server, _| server.max_connections = 2).await;
    let (mut first, mut second) = (dozing(&rig).await, dozing(&rig).await);
    let mut newcomer = rig.client().await;
    assert_eq!(newcomer.get("/new").await.text(), "/new");
    assert!(first.is_closed().await, "the one that has been idle longest");
    assert_eq!(second.get("/again").await.text(), "/again");
}

#[tokio::test]
async fn one_whose_upload_nobody_read_makes_room_as_well() {
    let origin = origin().await;
    let rate = RateLimit { per_second: 1, burst: 1, ..RateLimit::default() };
    let rig = Rig::with(origin.address, |server, _| (server.max_connections, server.rate_limit) = (1, rate)).await;
    let mut client = rig.client().await;
    for status in [200, 429, 429] {
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(client.response().await.unwrap().status, status);
    }
    pass(A_WHILE).await;
    let mut newcomer = rig.client().await;
    assert_eq!(newcomer.get("/new").await.status, 429);
    assert!(client.is_closed().await);
}
