//! Request bodies around the cache: what is not read must not become a request, and what is refused is closed.

use crate::house::{House, answer, fresh, millis, request};
use crate::origin::{Act, Origin, Then};
use std::time::Duration;

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";

#[tokio::test]
async fn a_body_behind_a_hit_is_not_the_next_request() {
    let origin = Origin::start(|received, _| fresh(received.line().split(' ').nth(1).unwrap())).await;
    let house = House::before(&origin).await;
    house.get("/warm").await;
    house.stores(1).await;
    let chunked = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    for (line, fields, body) in [
        ("GET /warm", format!("Content-Length: {}", HIDDEN.len()), HIDDEN.to_owned()),
        ("GET /warm", "Transfer-Encoding: chunked".to_owned(), chunked.clone()),
        ("HEAD /warm", format!("Content-Length: {}", HIDDEN.len()), HIDDEN.to_owned()),
        ("GET /warm", format!("Cache-Control: only-if-cached\r\nContent-Length: {}", HIDDEN.len()), HIDDEN.to_owned()),
        ("GET /cold", format!("Cache-Control: only-if-cached\r\nContent-Length: {}", HIDDEN.len()), HIDDEN.to_owned()),
        ("POST /warm", "Transfer-Encoding: chunked".to_owned(), chunked.clone()),
        ("GET /warm", "Content-Length: 0".to_owned(), String::new()),
        ("GET /warm", "Transfer-Encoding: chunked".to_owned(), "0\r\n\r\n".to_owned()),
        ("CONNECT h:80", format!("Content-Length: {}", HIDDEN.len()), HIDDEN.to_owned()),
        ("GET /warm", format!("Expect: 100-continue\r\nContent-Length: {}", HIDDEN.len()), HIDDEN.to_owned()),
    ] {
        let mut client = house.client().await;
        client.send(request(line, &[&fields], &body)).await;
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let first = client.final_response_to(line.split(' ').next().unwrap()).await;
        assert!(first.complete && first.text() != "/hidden", "{line} {fields}: {first:?}");
        if let Some(next) = client.response().await {
            assert_eq!(next.text(), "/next", "{line} {fields}");
        }
        assert!(origin.requests().iter().all(|received| !received.line().contains("hidden")), "{line} {fields}");
    }
}

#[tokio::test]
async fn a_hit_between_uploads_on_one_connection_keeps_its_place() {
    let origin = Origin::start(|received, _| match received.line().starts_with("GET") {
        true => fresh("hit"),
        false => Act::ok(&format!("{} bytes", received.body.len())),
    })
    .await;
    let house = House::before(&origin).await;
    house.get("/warm").await;
    let mut client = house.client().await;
    for size in [0, 1, 1000, 100_000] {
        let body = "x".repeat(size);
        client.send(request("POST /upload", &[&format!("Content-Length: {size}")], &body) + &request("GET /warm", &[], "")).await;
        client
            .send(request("PUT /upload", &["Transfer-Encoding: chunked"], "3\r\nabc\r\n0\r\n\r\n") + &request("GET /warm", &[], ""))
            .await;
        for expected in [Some(format!("{size} bytes")), None, Some("3 bytes".to_owned()), None] {
            let response = client.response().await.unwrap();
            assert_eq!(response.status, 200);
            // The origin's helper reads the body before it answers, but decides before; the last request says what it got.
            if expected.is_none() {
                assert_eq!(response.text(), "hit");
            }
        }
        assert_eq!(origin.last().body, b"abc");
    }
}

#[tokio::test]
async fn an_early_error_to_an_upload_is_not_stored_and_the_connection_not_reused() {
    let origin = Origin::start(|received, _| match received.line().starts_with("POST") {
        true => {
            Act::send("HTTP/1.1 403 No\r\nCache-Control: max-age=60\r\nContent-Location: /x\r\nContent-Length: 2\r\n\r\nno", Then::Hang)
                .early()
        }
        false => fresh("page"),
    })
    .await;
    let house = House::before(&origin).await;
    let mut client = house.client().await;
    client.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nsome").await;
    assert_eq!(client.response().await.unwrap().status, 403);
    assert!(client.is_closed().await);
    assert_eq!(house.get("/x").await.text(), "page");
}

#[tokio::test]
async fn the_answer_to_a_post_is_kept_for_gets_only_if_it_names_itself() {
    let origin = Origin::start(|received, number| match received.line().split(' ').collect::<Vec<_>>()[..2] {
        ["POST", "/self"] => answer("Cache-Control: max-age=60|Content-Location: /self", &format!("post {number}")),
        ["POST", "/other"] => answer("Cache-Control: max-age=60|Content-Location: /self", &format!("evil {number}")),
        ["POST", _] => answer("Cache-Control: max-age=60", &format!("post {number}")),
        _ => fresh(&format!("get {number}")),
    })
    .await;
    let house = House::before(&origin).await;
    house.send("POST /plain", &[], "x").await;
    assert!(house.get("/plain").await.text().starts_with("get"));
    house.send("POST /other", &[], "x").await;
    assert!(house.get("/self").await.text().starts_with("get"), "another target cannot speak for this one");
    let kept = house.send("POST /self", &[], "x").await;
    house.stores(2).await;
    assert_eq!(house.get("/self").await.text(), kept.text());
    let again = house.send("POST /self", &[], "x").await;
    assert_ne!(again.text(), kept.text(), "a POST itself is always asked");
}

#[tokio::test]
async fn a_slow_upload_does_not_hold_up_hits() {
    let origin = Origin::always(fresh("hit")).await;
    let house = House::before(&origin).await;
    house.get("/warm").await;
    let mut uploading = house.client().await;
    uploading.send("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nsome").await;
    for _ in 0..50 {
        let hit = tokio::time::timeout(Duration::from_secs(2), house.get("/warm")).await.unwrap();
        assert!(hit.is_hit());
    }
}

/// Larger than what the kernel takes for a client that does not read.
fn large() -> String {
    (0..1 << 20).map(|line| format!("{line:07}\n")).collect()
}

#[tokio::test]
async fn a_large_hit_comes_whole_however_it_is_asked_for() {
    let (body, origin) = (large(), Origin::always(fresh(&large())).await);
    let house = House::before(&origin).await;
    house.get("/large").await;
    house.stores(1).await;
    for (version, field, more) in [
        ("1.1", "X: y", true),
        ("1.1", "Connection: close", false),
        ("1.0", "X: y", false),
        ("1.0", "Connection: keep-alive", true),
        ("1.1", "Accept-Encoding: identity", false),
    ] {
        let mut client = house.client().await;
        let next = if more { "GET /large HTTP/1.1\r\nHost: h\r\nRange: bytes=-8\r\n\r\n" } else { "" };
        client.send(format!("GET /large HTTP/{version}\r\nHost: h\r\n{field}\r\n\r\n{next}")).await;
        client.stream.readable().await.unwrap();
        let hit = client.response().await.unwrap();
        assert!(hit.is_hit() && hit.complete, "{version} {field}");
        assert!(hit.all("content-length") == ["8388608"] && hit.body == body.as_bytes(), "{version} {field}: {} bytes", hit.body.len());
        if more {
            assert_eq!(client.response().await.unwrap().text(), "1048575\n", "{version} {field}");
        }
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_large_hit_comes_whole_to_whoever_has_shut_its_sending_half() {
    let (body, origin) = (large(), Origin::always(fresh(&large())).await);
    let house = House::before(&origin).await;
    house.get("/large").await;
    house.stores(1).await;
    let mut client = house.client().await;
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n").await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    client.stream.readable().await.unwrap();
    tokio::time::sleep(millis(1200)).await; // longer than it takes for a client that asks nothing more to have gone
    let hit = client.response().await.unwrap();
    assert!(hit.complete && hit.body == body.as_bytes(), "{} bytes", hit.body.len());
    assert!(client.is_closed().await);
}
