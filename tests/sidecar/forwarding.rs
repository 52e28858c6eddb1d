//! What passes and what ends at the sidecar (RFC 9110 section 7.6).

use crate::origin::{Act, Origin, Then};
use crate::rig::Rig;
use warmfront::sidecar::settings::Forwarded;

#[tokio::test]
async fn a_request_reaches_the_origin_clean_and_marked() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client
        .send(
            "GET /p?q HTTP/1.1\r\nHost: Example.com:80\r\nConnection: keep-alive, X-Private, TE\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
             TE: trailers, gzip\r\nProxy-Connection: close\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\nForwarded: for=6.6.6.6\r\n\
             X-Original-URL: /admin\r\nX-HTTP-Method-Override: DELETE\r\nVia: 1.1 other\r\nAccept: a\r\nAccept: b\r\nX-Kept: yes\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.unwrap().status, 200);
    let request = origin.last();
    assert_eq!(request.line(), "GET /p?q HTTP/1.1");
    for (name, expected) in [
        ("host", &["example.com"][..]),
        ("connection", &["te"]),
        ("te", &["trailers"]),
        ("x-forwarded-for", &["127.0.0.1"]),
        ("x-forwarded-host", &["example.com"]),
        ("x-forwarded-proto", &["http"]),
        ("forwarded", &["for=127.0.0.1;host=\"example.com\";proto=http"]),
        ("via", &["1.1 other", "1.1 warmfront"]),
        ("accept", &["a", "b"]),
        ("x-kept", &["yes"]),
        ("x-private", &[]),
        ("keep-alive", &[]),
        ("proxy-connection", &[]),
        ("x-forwarded-prefix", &[]),
        ("x-original-url", &[]),
        ("x-http-method-override", &[]),
    ] {
        assert_eq!(request.all(name), expected, "{name}");
    }
}

#[tokio::test]
async fn the_chain_of_a_trusted_proxy_is_continued() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, upstream| {
        server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        upstream.forwarded = Forwarded::Append;
    })
    .await;
    let mut client = rig.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1\r\n\r\n")
        .await;
    assert_eq!(client.response().await.unwrap().status, 200);
    assert_eq!(origin.last().all("x-forwarded-for"), ["192.0.2.1, 127.0.0.1"]);
    assert_eq!(origin.last().all("x-forwarded-proto"), ["https"]);
    assert_eq!(origin.last().all("forwarded"), ["for=192.0.2.1, for=127.0.0.1;host=\"h\";proto=http"]);
}

#[tokio::test]
async fn a_response_reaches_the_client_clean_and_marked() {
    let answer = "HTTP/1.1 200 Fine\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
                  Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let origin = Origin::always(Act::send(answer, Then::Keep)).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        let response = client.get("/").await;
        assert_eq!((response.status, response.text(), response.complete), (200, "ok", true));
        assert_eq!(response.all("set-cookie"), ["a", "b"]);
        assert_eq!(response.all("via"), ["1.1 warmfront"]);
        assert_eq!(response.all("date").len(), 1, "dated by us");
        for gone in ["x-hop", "keep-alive", "content-length", "connection"] {
            assert!(response.all(gone).is_empty(), "{gone}");
        }
    }
}

#[tokio::test]
async fn bodiless_responses_stay_bodiless() {
    let origin = Origin::start(|request, _| match request.line() {
        line if line.starts_with("HEAD") => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", Then::Keep),
        line if line.contains("204") => Act::send("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Then::Keep),
        line if line.contains("304") => Act::send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n", Then::Keep),
        _ => Act::send(
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Then::Keep,
        ),
    })
    .await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let response = client.response_to("HEAD").await.unwrap();
    assert_eq!((response.status, response.all("content-length")), (200, vec!["1234"]));
    assert!(client.get("/204").await.all("content-length").is_empty());
    let response = client.get("/304").await;
    assert_eq!((response.status, response.all("etag")), (304, vec!["\"x\""]));
    assert_eq!(client.get("/").await.text(), "ok", "interim responses are read over");
}

#[tokio::test]
async fn some_requests_end_here() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n").await;
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.all("allow").len()), (405, 1));
    let mut client = rig.client().await;
    client.send("OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 204);
    client.send("TRACE /t HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\nCookie: secret\r\n\r\n").await;
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.all("content-type")), (200, vec!["message/http"]));
    assert!(response.text().starts_with("TRACE ") && !response.text().contains("secret"));
    assert!(origin.requests().is_empty());
    client.send("OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 2\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 200);
    assert_eq!(origin.last().all("max-forwards"), ["1"]);
    client.send("BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 200, "unknown methods pass");
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 200-maybe\r\n\r\n").await;
    assert_eq!(client.response().await.unwrap().status, 417);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_problem_is_json_for_those_who_ask() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a,b\r\nAccept: application/json\r\n\r\n").await;
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.all("content-type")), (400, vec!["application/problem+json"]));
    assert!(response.text().contains("\"reason\":\"bad-request\""));
}

#[tokio::test]
async fn a_target_in_utf_8_passes_as_it_is() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    assert_eq!(rig.client().await.get("/\u{5b78}\u{6821}?q=\u{e9}").await.status, 200);
    assert_eq!(origin.last().line(), "GET /\u{5b78}\u{6821}?q=\u{e9} HTTP/1.1");
}
