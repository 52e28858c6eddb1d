//! Bodies and requests that nobody should send: an answer each, and nothing changed.

use crate::rig::{Rig, ask, exchange};
use serde_json::json;

const ORDERS: [&str; 8] = [
    "PUT /api/cache/config",
    "POST /api/cache/warm",
    "POST /api/cache/invalidate",
    "POST /api/cache/invalidate-and-warm",
    "POST /api/cache/reset-stats",
    "POST /api/cache/warmup/execute",
    "POST /api/scheduler/warmup",
    "POST /api/scheduler/clear-and-warmup",
];

#[tokio::test]
async fn garbage_is_refused_by_every_call_and_changes_nothing() {
    let rig = Rig::start().await;
    rig.post("/api/cache/warm", "").await;
    let before = (rig.get("/api/cache/config").await, rig.get("/api/cache/stats").await);
    let deep = "[".repeat(200_000);
    let nested = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let bodies: [&[u8]; 14] = [
        b"{",
        b"[]",
        b"null",
        b"42",
        b"\"text\"",
        b"{\"a\":1}",
        b"{\"async\":\"yes\"}x",
        b"\xff\xfe",
        b"{\"\xc3\x28\":1}",
        b"{\"async\":1e999}",
        b"type=channels",
        b"\0",
        deep.as_bytes(),
        nested.as_bytes(),
    ];
    for line in ORDERS {
        for body in bodies {
            let reply = ask(rig.admin, line, &[], body).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(30)]).into_owned();
            assert_eq!((reply.status, &reply.json()["success"]), (400, &json!(false)), "{line} {shown}");
            assert!(reply.body.len() < 2000 && !reply.json()["message"].as_str().unwrap().is_empty(), "{line} {shown}");
        }
    }
    assert_eq!((rig.get("/api/cache/config").await, rig.get("/api/cache/stats").await), before);
}

#[tokio::test]
async fn a_body_over_a_mebibyte_is_413_and_one_below_is_read() {
    let rig = Rig::start().await;
    let large = vec![b' '; 10 << 20];
    for line in ORDERS.iter().chain(&["GET /api/cache/stats"]) {
        assert_eq!(ask(rig.admin, line, &[], &large).await.status, 413, "{line}");
    }
    let mut chunked = format!("POST /api/cache/warm HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", rig.admin).into_bytes();
    for _ in 0..32 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&large[..0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(exchange(rig.admin, &chunked).await.status, 413);
    assert_eq!(rig.origin.count("/channels/1"), 0);
    let most = [b"{}", &large[2..1 << 20]].concat();
    assert_eq!(ask(rig.admin, "POST /api/cache/reset-stats", &[], &most).await.status, 200);
    assert_eq!(ask(rig.admin, "POST /api/cache/reset-stats", &[], b" ").await.status, 400, "white space is no object");
}

#[tokio::test]
async fn any_content_type_will_do_as_curl_sends_a_form() {
    let rig = Rig::start().await;
    for kind in ["application/x-www-form-urlencoded", "application/json", "text/plain", "x"] {
        let reply = ask(rig.admin, "POST /api/cache/warm", &[&format!("Content-Type: {kind}")], br#"{"async":false}"#).await;
        assert_eq!(reply.status, 200, "{kind}");
    }
}

#[tokio::test]
async fn requests_that_are_not_http_end_their_connection_only() {
    let rig = Rig::start().await;
    for bytes in ["\r\n\r\nx\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET\r\n\r\n", "GET /healthz HTTP/1.1\r\nbad header\r\n\r\n"] {
        assert_eq!(exchange(rig.admin, bytes.as_bytes()).await.status, 400, "{bytes:?}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(200_000));
    assert!(matches!(exchange(rig.admin, long.as_bytes()).await.status, 414 | 431));
    assert_eq!(rig.ask("GET /api/cache/stats?x=%ff", "").await.status, 400);
    let reply = rig.ask("GET /api/cache/stats?verbose=1", "").await;
    assert_eq!((reply.status, &reply.json()["place"]), (400, &json!("?verbose")));
    rig.get("/healthz").await;
}
