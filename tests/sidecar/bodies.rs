//! Request bodies: limits, expectations, early answers.

use crate::origin::{Act, Origin, Then};
use crate::rig::Rig;

const LIMIT: u64 = 1000;

async fn limited(origin: &Origin) -> Rig {
    Rig::with(origin.address, |server, _| server.max_request_body = LIMIT).await
}

#[tokio::test]
async fn a_declared_body_over_the_limit_is_413_before_a_byte_of_it() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = limited(&origin).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n").await;
    let response = client.response().await.unwrap();
    assert_eq!(response.status, 413, "and no 100 before it");
    assert_eq!(response.all("connection"), ["close"]);
    assert!(response.text().contains("server.max_request_body"));
    assert!(client.is_closed().await);
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_sends_all_of_a_refused_body_still_reads_the_413() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = limited(&origin).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n").await;
    client.send(vec![b'x'; 4_000_000]).await;
    assert_eq!(client.response().await.unwrap().status, 413);
}

#[tokio::test]
async fn a_chunked_body_that_outgrows_the_limit_is_413_and_never_complete_upstream() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = limited(&origin).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..11 {
        client.send(format!("64\r\n{}\r\n", "x".repeat(100))).await;
    }
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.all("connection")), (413, vec!["close"]));
    assert!(client.is_closed().await);
    assert!(origin.requests().iter().all(|request| request.body.is_empty()), "the origin saw no complete body");
    use warmfront::telemetry::Refusal;
    assert_eq!((rig.sidecar.refused(Refusal::BodyTooLarge), rig.sidecar.refused(Refusal::BadRequest)), (1, 0), "counted once");
}

#[tokio::test]
async fn exactly_the_limit_passes() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = limited(&origin).await;
    let mut client = rig.client().await;
    for framing in ["Content-Length: 1000\r\n\r\n".to_owned(), "Transfer-Encoding: chunked\r\n\r\n3e8\r\n".to_owned()] {
        let end = if framing.starts_with('C') { "" } else { "\r\n0\r\n\r\n" };
        client.send(format!("PUT / HTTP/1.1\r\nHost: h\r\n{framing}{}{end}", "x".repeat(1000))).await;
        assert_eq!(client.response().await.unwrap().status, 200);
        assert_eq!(origin.last().body.len(), 1000);
    }
}

#[tokio::test]
async fn a_100_is_sent_when_the_body_is_wanted() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 100);
    client.send("hello").await;
    assert_eq!(client.response().await.unwrap().status, 200);
    assert_eq!((origin.last().body, origin.last().head.contains("expect")), (b"hello".to_vec(), false));
    assert_eq!(client.get("/next").await.status, 200);
}

#[tokio::test]
async fn an_unwanted_body_is_not_taken_for_a_request() {
    // Upstream is down: the answer comes without the body having been read (ATS CVE-2025-55702).
    let rig = Rig::with("127.0.0.1:1".parse().unwrap(), |_, _| {}).await;
    let mut client = rig.client().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n", smuggled.len())).await;
    assert_eq!(client.response().await.unwrap().status, 502);
    let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, smuggled.as_bytes()).await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_get_with_chunked_content_keeps_it() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send("GET /fat HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 200);
    assert_eq!(origin.last().body, b"abc");
}

#[tokio::test]
async fn an_early_answer_is_passed_on_and_stops_the_upload() {
    let origin = Origin::always(Act::send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", Then::Hang).early()).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nsome").await;
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.text()), (403, "no"));
    assert!(client.is_closed().await, "the rest of the body cannot be told from a request");
    let mut client = rig.client().await;
    client.get("/next").await;
    assert_eq!(origin.connections.load(std::sync::atomic::Ordering::SeqCst), 2, "the connection that is owed a body is not used again");
}

#[tokio::test]
async fn an_upload_that_its_client_abandons_is_never_complete() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    for framing in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let mut client = rig.client().await;
        client.send(format!("POST /abandoned HTTP/1.1\r\nHost: h\r\n{framing}")).await;
        drop(client);
    }
    let mut client = rig.client().await;
    assert_eq!(client.get("/after").await.status, 200);
    assert!(origin.requests().iter().all(|request| request.body.is_empty()));
}

#[tokio::test]
async fn a_body_that_nobody_read_is_skipped_before_the_next_request() {
    let rig = Rig::with("127.0.0.1:1".parse().unwrap(), |_, _| {}).await;
    let mut client = rig.client().await;
    let hidden = "GET /hidden HTTP/1.1\r\n\r\n";
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len())).await;
    client.send("OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 502);
    assert!(client.response().await.is_none_or(|response| response.status == 204), "the next request, or a close; never the hidden one");
}

#[tokio::test]
async fn an_answer_that_comes_with_a_reset_amid_an_upload_is_an_answer_or_502() {
    let origin = Origin::always(Act::send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", Then::Fin).early()).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n").await;
    client.send(vec![b'x'; 4_000_000]).await;
    let response = client.response().await.unwrap();
    assert!(matches!(response.status, 413 | 502) && response.complete, "{response:?}");
}

#[tokio::test]
async fn trailers_reach_a_client_that_asked_for_them() {
    let answer = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n";
    let origin = Origin::always(Act::send(answer, Then::Keep)).await;
    let rig = Rig::before(&origin).await;
    for (te, expected) in [("TE: trailers\r\nConnection: TE\r\n", true), ("", false)] {
        let mut client = rig.client().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{te}Connection: close\r\n\r\n")).await;
        let all = String::from_utf8(client.rest().await).unwrap();
        assert_eq!(all.contains("x-sum: 7"), expected, "{all}");
        assert!(all.ends_with("\r\n\r\n"));
    }
}
