//! HTTP/2 on the data port, with the `h2` crate at the client's end.

use crate::certificate::Certificate;
use crate::origin::{Act, Origin, Then};
use crate::rig::Rig;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use warmfront::telemetry::Refusal;

/// More than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A client's end of one connection.
pub struct Talk {
    pub requests: SendRequest<Bytes>,
    pub driver: JoinHandle<Result<(), h2::Error>>,
}

/// An answer as it was read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub trailers: Option<HeaderMap>,
}

impl Talk {
    pub async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (requests, connection) = h2::client::handshake(io).await.unwrap();
        Self { requests, driver: tokio::spawn(connection) }
    }

    /// With prior knowledge.
    pub async fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub async fn send(&self, request: Request<()>, end: bool) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let mut ready = self.requests.clone().ready().await.unwrap();
        ready.send_request(request, end).unwrap()
    }

    pub async fn ask(&self, request: Request<()>) -> Result<Answer, h2::Error> {
        read(self.send(request, true).await.0).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(get(path)).await.unwrap()
    }

    pub async fn post(&self, request: Request<()>, body: &str, trailers: Option<HeaderMap>) -> Result<Answer, h2::Error> {
        let (response, mut stream) = self.send(request, false).await;
        let sending = async {
            let mut data = Bytes::copy_from_slice(body.as_bytes());
            while !data.is_empty() {
                stream.reserve_capacity(data.len());
                let Some(Ok(credit)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
                let piece = data.split_to(credit.min(data.len()));
                if stream.send_data(piece, false).is_err() {
                    return;
                }
            }
            let _ = match trailers {
                Some(trailers) => stream.send_trailers(trailers),
                None => stream.send_data(Bytes::new(), true),
            };
        };
        let (answer, ()) = tokio::join!(read(response), sending);
        answer
    }
}

pub fn get(path: &str) -> Request<()> {
    Request::get(format!("http://h{path}")).body(()).unwrap()
}

pub async fn read(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    tokio::time::timeout(PATIENCE, async {
        let (parts, mut body): (_, RecvStream) = Response::into_parts(response.await?);
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            bytes.extend_from_slice(&data);
        }
        let trailers = body.trailers().await?;
        Ok(Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes).unwrap(), trailers })
    })
    .await
    .expect("an answer in time")
}

#[tokio::test]
async fn a_request_by_prior_knowledge_reaches_the_origin_as_http_1_1() {
    let origin = Origin::always(Act::ok("hello")).await;
    let rig = Rig::before(&origin).await;
    let talk = Talk::to(rig.address).await;
    let mut request = get("/a?b=1");
    request.headers_mut().insert("x-mine", "1".parse().unwrap());
    request.headers_mut().append("cookie", "a=1".parse().unwrap());
    request.headers_mut().append("cookie", "b=2".parse().unwrap());
    let answer = talk.ask(request).await.unwrap();
    assert_eq!((answer.status.as_u16(), &*answer.text), (200, "hello"));
    assert!(answer.headers.contains_key("date") && answer.headers["via"] == "1.1 warmfront", "{:?}", answer.headers);
    let received = &origin.requests()[0];
    assert_eq!(received.line(), "GET /a?b=1 HTTP/1.1");
    for (name, value) in [
        ("host", "h"),
        ("via", "2.0 warmfront"),
        ("x-mine", "1"),
        ("cookie", "a=1; b=2"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(received.all(name), [value], "{name}");
    }
    assert!(received.all("connection").is_empty() && received.all("transfer-encoding").is_empty(), "{}", received.head);
}

#[tokio::test]
async fn the_preface_may_come_byte_by_byte_and_http_1_1_too() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "SETTINGS");
    let mut client = rig.client().await;
    for piece in ["P", "U", "T / HTTP/1.1\r\nHo", "st: h\r\nContent-Length: 1\r\n\r\nx"] {
        client.send(piece).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.response().await.unwrap().status, 200);
    let mut client = rig.client().await;
    client.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 400);
    let old = Rig::with(origin.address, |server, _| server.http2 = false).await;
    let mut client = old.client().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 400, "server.http2 = false");
}

#[tokio::test]
async fn many_requests_share_a_connection_and_none_waits_for_another() {
    let origin = Origin::start(|received, _| if received.line().contains("slow") { Act::hang() } else { Act::ok(received.line()) }).await;
    let rig = Rig::before(&origin).await;
    let talk = Talk::to(rig.address).await;
    let _slow = talk.send(get("/slow"), true).await;
    let answers = (0..50).map(|at| {
        let talk = Talk { requests: talk.requests.clone(), driver: tokio::spawn(async { Ok(()) }) };
        tokio::spawn(async move { (at, talk.get(&format!("/{at}")).await.text) })
    });
    for answer in answers.collect::<Vec<_>>() {
        let (at, text) = answer.await.unwrap();
        assert_eq!(text, format!("GET /{at} HTTP/1.1"));
    }
}

#[tokio::test]
async fn over_tls_it_is_chosen_by_alpn_and_the_scheme_is_https() {
    let (origin, certificate) = (Origin::always(Act::ok("x")).await, Certificate::new());
    let rig = Rig::with(origin.address, |server, _| certificate.serve(server)).await;
    let talk = Talk::over(certificate.connect(rig.address, &[b"h2"]).await.unwrap()).await;
    let request = Request::get("https://H:443/").header("host", "h").body(()).unwrap();
    assert_eq!(talk.ask(request).await.unwrap().status, 200);
    assert_eq!((origin.requests()[0].all("x-forwarded-proto"), origin.requests()[0].all("host")), (vec!["https"], vec!["h"]));
}

#[tokio::test]
async fn bodies_go_through_whole_both_ways_with_and_without_a_length() {
    let body = "0123456789abcdef".repeat(1 << 16);
    let origin = Origin::always(Act::ok(&body)).await;
    let rig = Rig::before(&origin).await;
    let talk = Talk::to(rig.address).await;
    let post = || Request::post("http://h/");
    let requests = [post().body(()).unwrap(), post().header("content-length", body.len()).body(()).unwrap()];
    for (request, field) in requests.into_iter().zip(["transfer-encoding: chunked", "content-length: 1048576"]) {
        let answer = talk.post(request, &body, None).await.unwrap();
        let received = origin.last();
        assert!(answer.text == body && received.body == body.as_bytes(), "{} down, {} up", answer.text.len(), received.body.len());
        assert!(received.head.contains(field), "{}", received.head);
    }
}

#[tokio::test]
async fn trailers_of_the_origin_reach_the_client() {
    let origin = Origin::always(Act::send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",
        Then::Keep,
    ))
    .await;
    let rig = Rig::before(&origin).await;
    let answer = Talk::to(rig.address).await.get("/").await;
    assert_eq!((&*answer.text, &answer.trailers.unwrap()["x-sum"]), ("abc", &"7".parse::<http::HeaderValue>().unwrap()));
}

#[tokio::test]
async fn trailers_of_the_client_reach_the_origin() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
    let request = Request::post("http://h/").header("trailer", "x-sum").header("te", "trailers").body(()).unwrap();
    let answer = Talk::to(rig.address).await.post(request, "abc", Some(trailers)).await.unwrap();
    let received = origin.last();
    assert_eq!((answer.status.as_u16(), received.all("te"), &*received.body), (200, vec!["trailers"], &b"abc"[..]));
}

#[tokio::test]
async fn trailers_that_belong_into_the_head_end_the_request() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    for name in ["host", "content-length", "authorization", "x-forwarded-for"] {
        let trailers = HeaderMap::from_iter([(name.parse().unwrap(), "7".parse().unwrap())]);
        let answer = Talk::to(rig.address).await.post(Request::post("http://h/").body(()).unwrap(), "abc", Some(trailers)).await;
        let told = answer.map(|answer| answer.status.as_u16());
        assert!(told.as_ref().is_ok_and(|status| *status == 400), "{name}: {told:?} {:?}", origin.requests());
    }
    assert_eq!(Talk::to(rig.address).await.get("/").await.status.as_u16(), 200);
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let origin = Origin::start(|received, _| match received.line() {
        line if line.starts_with("HEAD") => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Then::Keep),
        line if line.contains("304") => Act::send("HTTP/1.1 304 Not Modified\r\nETag: \"v\"\r\n\r\n", Then::Keep),
        _ => Act::send("HTTP/1.1 204 No Content\r\n\r\n", Then::Keep),
    })
    .await;
    let rig = Rig::before(&origin).await;
    let talk = Talk::to(rig.address).await;
    let head = talk.ask(Request::head("http://h/").body(()).unwrap()).await.unwrap();
    assert_eq!((head.headers["content-length"].to_str().unwrap(), &*head.text), ("5", ""));
    assert_eq!((talk.get("/304").await.status.as_u16(), talk.get("/204").await.status.as_u16()), (304, 204));
}

#[tokio::test]
async fn a_body_that_broke_off_is_a_reset_stream_and_the_connection_lives() {
    let origin = Origin::start(|received, _| match received.line().contains("broken") {
        true => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Then::Fin),
        false => Act::ok("whole"),
    })
    .await;
    let rig = Rig::before(&origin).await;
    let talk = Talk::to(rig.address).await;
    assert_eq!(talk.ask(get("/broken")).await.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(talk.get("/").await.text, "whole");
}

#[tokio::test]
async fn malformed_requests_are_refused_and_the_connection_lives() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| server.max_request_body = 100).await;
    let talk = Talk::to(rig.address).await;
    let request = |fields: &[(&'static str, &str)]| {
        let mut request = get("/");
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request
    };
    for (request, status) in [
        (request(&[("host", "evil")]), 400),
        (request(&[("host", "h"), ("host", "h")]), 400),
        (request(&[("transfer_encoding", "chunked")]), 400),
        (request(&[("expect", "a-miracle")]), 417),
        (Request::builder().method("CONNECT").uri("h:443").body(()).unwrap(), 405),
        (get(&format!("/{}", "x".repeat(9000))), 414),
    ] {
        let shown = format!("{request:?}");
        let answer = talk.ask(request).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{shown}");
        assert!(!answer.headers.contains_key("connection"), "{:?}", answer.headers);
    }
    let fields: Vec<(http::HeaderName, http::HeaderValue)> =
        (0..101).map(|at| (format!("x-{at}").parse().unwrap(), "1".parse().unwrap())).collect();
    let mut many = get("/");
    many.headers_mut().extend(fields);
    assert_eq!(talk.ask(many).await.unwrap().status.as_u16(), 431);
    let post = || Request::post("http://h/");
    let declared = talk.post(post().header("content-length", 101).body(()).unwrap(), &"x".repeat(101), None).await.unwrap();
    let grown = talk.post(post().body(()).unwrap(), &"x".repeat(101), None).await.unwrap();
    assert_eq!((declared.status.as_u16(), grown.status.as_u16()), (413, 413));
    for lie in ["1", "3"] {
        let request = post().header("content-length", lie).body(()).unwrap();
        let error = talk.post(request, "xx", None).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR), "a length of {lie} for two bytes");
    }
    assert_eq!(talk.get("/").await.text, "x");
    assert!(origin.requests().iter().filter(|received| received.line().starts_with("GET")).count() == 1);
}

#[tokio::test]
async fn a_request_needs_one_host() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let talk = Talk::to(rig.address).await;
    for (hosts, status) in [(&[][..], 400), (&["h", "h"], 400), (&["h", "evil"], 400), (&[""], 400), (&["a b"], 400), (&["h"], 200)] {
        let mut request = Request::get("/").body(()).unwrap(); // no :authority
        for host in hosts {
            request.headers_mut().append("host", host.parse().unwrap());
        }
        assert_eq!(talk.ask(request).await.unwrap().status.as_u16(), status, "{hosts:?}");
    }
    assert_eq!((origin.requests().len(), rig.sidecar.refused(Refusal::BadRequest)), (1, 5));
}

#[tokio::test]
async fn a_busy_connection_does_not_make_room_for_another() {
    let origin = Origin::start(|received, _| if received.line().contains("slow") { Act::hang() } else { Act::ok("x") }).await;
    let rig = Rig::with(origin.address, |server, _| server.max_connections = 2).await;
    let (busy, idle) = (Talk::to(rig.address).await, Talk::to(rig.address).await);
    let (_slow, _stream) = busy.send(get("/slow"), true).await;
    assert_eq!(
        (busy.get("/").await.text.as_str(), idle.get("/").await.text.as_str()),
        ("x", "x"),
        "one of its requests has ended, the other has not"
    );
    assert_eq!(tokio::time::timeout(PATIENCE, rig.client()).await.unwrap().get("/").await.status, 200, "the idle one went");
    assert_eq!(busy.get("/").await.text, "x");
    assert!(tokio::time::timeout(PATIENCE, idle.driver).await.unwrap().unwrap().is_ok(), "it was told to go");
}

#[tokio::test]
async fn who_waits_for_100_gets_it_when_the_body_is_wanted() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let talk = Talk::to(rig.address).await;
    let request = Request::post("http://h/").header("expect", "100-continue").header("content-length", "3").body(()).unwrap();
    let (mut response, mut stream) = talk.send(request, false).await;
    let interim = std::future::poll_fn(|cx| response.poll_informational(cx));
    let interim = tokio::time::timeout(PATIENCE, interim).await.expect("a 100").unwrap().unwrap();
    assert_eq!(interim.status(), 100);
    stream.send_data(Bytes::from_static(b"abc"), true).unwrap();
    assert_eq!(read(response).await.unwrap().text, "x");
    assert!(origin.last().body == b"abc" && origin.last().all("expect").is_empty());
}

#[tokio::test]
async fn a_request_that_is_given_up_is_given_up_at_the_origin() {
    let origin = Origin::always(Act::hang()).await;
    let rig = Rig::before(&origin).await;
    let talk = Talk::to(rig.address).await;
    let (response, mut stream) = talk.send(get("/"), true).await;
    until(|| rig.sidecar.in_flight() == 1).await;
    stream.send_reset(Reason::CANCEL);
    until(|| rig.sidecar.in_flight() == 0).await;
    drop(response);
}

pub async fn until(met: impl Fn() -> bool) {
    let meeting = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, meeting).await.expect("it comes true");
}

#[tokio::test]
async fn a_silent_upload_is_408() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| server.header_timeout = Duration::from_millis(100)).await;
    let talk = Talk::to(rig.address).await;
    let (response, _stream) = talk.send(Request::post("http://h/").body(()).unwrap(), false).await;
    assert_eq!(read(response).await.unwrap().status.as_u16(), 408);
    assert_eq!((rig.sidecar.refused(Refusal::BodyTimeout), rig.sidecar.refused(Refusal::BadRequest)), (1, 0), "counted once");
}

#[tokio::test]
async fn more_streams_than_the_limit_wait_at_the_client() {
    let origin = Origin::always(Act::hang()).await;
    let rig = Rig::with(origin.address, |server, _| server.max_streams = 3).await;
    let talk = Talk::to(rig.address).await;
    let mut open = vec![talk.send(get("/"), true).await];
    until(|| origin.requests().len() == 1).await; // the settings are known
    for _ in 0..5 {
        let mut requests = talk.requests.clone();
        open.push(requests.send_request(get("/"), true).unwrap_or_else(|error| panic!("{error}")));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(origin.requests().len(), 3);
}

#[tokio::test]
async fn draining_finishes_what_is_under_way_and_takes_nothing_new() {
    let act = Act {
        early: false,
        pieces: vec![
            (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc".to_vec(), Duration::from_secs(1)),
            (b"def".to_vec(), Duration::ZERO),
        ],
        then: Then::Keep,
    };
    let origin = Origin::always(act).await;
    let mut rig = Rig::before(&origin).await;
    let talk = Talk::to(rig.address).await;
    let idle = Talk::to(rig.address).await;
    let (response, _stream) = talk.send(get("/"), true).await;
    until(|| rig.sidecar.in_flight() == 1).await;
    rig.shut_down();
    assert_eq!(read(response).await.unwrap().text, "abcdef");
    assert!(rig.running.await.unwrap().finished);
    tokio::time::timeout(PATIENCE, talk.driver).await.unwrap().unwrap().unwrap();
    tokio::time::timeout(PATIENCE, idle.driver).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| server.idle_timeout = Duration::from_millis(200)).await;
    let talk = Talk::to(rig.address).await;
    assert_eq!(talk.get("/").await.status, 200);
    tokio::time::timeout(PATIENCE, talk.driver).await.unwrap().unwrap().unwrap();
    let rig = Rig::with(origin.address, |server, _| server.header_timeout = Duration::from_millis(200)).await;
    let never = Talk::to(rig.address).await;
    tokio::time::timeout(PATIENCE, never.driver).await.expect("without a request it goes earlier").unwrap().unwrap();
}
