//! A real client, where there is one.

use crate::house::{House, answer, until};
use crate::origin::{Act, Origin};
use std::process::{Command, Output};

/// Runs curl against `/page` of the house; `None` where curl is not installed.
async fn curl(house: &House, args: &[&str]) -> Option<Output> {
    let url = format!("http://{}/page", house.address);
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).chain([url]).collect();
    let running = tokio::task::spawn_blocking(move || {
        Command::new("curl")
            .args(["--http1.1", "--noproxy", "*", "-sS", "--max-time", "15"])
            .args(args)
            .env_remove("http_proxy")
            .output()
            .ok()
    });
    running.await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn curl_gets_what_it_asks_for() {
    let origin = Origin::start(|received, _| match received.line().starts_with("GET") {
        true => answer("Cache-Control: max-age=60|ETag: \"v\"", "0123456789"),
        false => Act::ok("stored"),
    })
    .await;
    let house = House::before(&origin).await;
    let Some(first) = curl(&house, &["-v"]).await else { return };
    assert!(first.status.success() && text(&first.stdout) == "0123456789", "{}", text(&first.stderr));
    assert!(text(&first.stderr).contains("left intact"), "the connection can be kept: {}", text(&first.stderr));
    house.stores(1).await;
    let hit = curl(&house, &["-i"]).await.unwrap();
    assert!(text(&hit.stdout).contains("cache-status: warmfront; hit"), "{}", text(&hit.stdout));
    let part = curl(&house, &["-i", "-r", "2-4"]).await.unwrap();
    assert!(text(&part.stdout).starts_with("HTTP/1.1 206") && text(&part.stdout).ends_with("\r\n\r\n234"), "{}", text(&part.stdout));
    let several = curl(&house, &["-i", "-r", "0-1,8-9"]).await.unwrap();
    assert!(text(&several.stdout).contains("multipart/byteranges"), "{}", text(&several.stdout));
    let unchanged = curl(&house, &["-i", "-H", "If-None-Match: \"v\""]).await.unwrap();
    assert!(text(&unchanged.stdout).starts_with("HTTP/1.1 304"), "{}", text(&unchanged.stdout));
    let head = curl(&house, &["-I"]).await.unwrap();
    assert!(head.status.success() && text(&head.stdout).contains("content-length: 10"), "{}", text(&head.stdout));
    let old = curl(&house, &["--http1.0", "-i"]).await.unwrap();
    assert!(old.status.success() && text(&old.stdout).ends_with("0123456789"), "{}", text(&old.stdout));
    let reused = curl(&house, &["-w", "%{num_connects}", &format!("http://{}/page", house.address)]).await.unwrap();
    assert_eq!(text(&reused.stdout), "012345678910123456789".to_owned() + "0", "two requests, one connection");
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn curl_uploads_with_and_without_expecting_anything() {
    let origin = Origin::start(|_, _| Act::ok("stored")).await;
    let house = House::before(&origin).await;
    let body = "x".repeat(2 << 20);
    let file = std::env::temp_dir().join(format!("warmfront-e2e-upload-{}", std::process::id()));
    std::fs::write(&file, &body).unwrap();
    let data = format!("@{}", file.display());
    for args in [
        &["-X", "POST", "--data-binary", &data, "-H", "Expect: 100-continue"][..],
        &["-X", "POST", "--data-binary", &data, "-H", "Expect:"],
        &["-X", "PUT", "--data-binary", &data, "-H", "Transfer-Encoding: chunked"],
    ] {
        let asked = origin.requests().len();
        let Some(done) = curl(&house, args).await else { return };
        assert!(done.status.success() && text(&done.stdout) == "stored", "{args:?}: {}", text(&done.stderr));
        until("the origin has all of it", || origin.requests().get(asked).is_some_and(|received| received.body.len() == body.len())).await;
    }
    let refused = curl(
        &House::with(origin.address, |server, _, _| server.max_request_body = 1000).await,
        &["-i", "-X", "POST", "--data-binary", &data],
    )
    .await
    .unwrap();
    assert!(text(&refused.stdout).contains("HTTP/1.1 413"), "{} {}", text(&refused.stdout), text(&refused.stderr));
    std::fs::remove_file(&file).unwrap();
}
