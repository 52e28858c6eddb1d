//! Who may ask, and how.

use crate::rig::{Rig, ask};
use serde_json::json;
use warmfront::admin::{AdminSettings, Secret};

const READS: [&str; 6] = ["/healthz", "/readyz", "/api/cache/stats", "/api/cache/config", "/api/warm/jobs", "/api/openapi.json"];
const CHANGES: [&str; 8] = [
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
async fn foreign_hosts_and_origins_are_refused_on_reads_too() {
    let rig = Rig::start().await;
    let lines: Vec<String> = READS.iter().map(|path| format!("GET {path}")).chain(CHANGES.map(String::from)).collect();
    let port = rig.admin.port();
    for line in &lines {
        for (field, status) in [
            ("Host: evil.example".to_owned(), 421),
            (format!("Host: evil.example:{port}"), 421),
            ("Origin: https://evil.example".into(), 403),
            ("Origin: null".into(), 403),
            ("Sec-Fetch-Site: cross-site".into(), 403),
        ] {
            let reply = ask(rig.admin, line, &[&field], b"").await;
            assert_eq!((reply.status, &reply.json()["success"]), (status, &json!(false)), "{line} {field}");
            assert_eq!(reply.field("content-type"), Some("application/problem+json"));
        }
    }
    assert_eq!(rig.get("/api/cache/stats").await["data"]["totalWarms"], 0, "nothing was done");
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let (host, origin) = (format!("Host: {host}:{port}"), format!("Origin: http://{host}:{port}"));
        assert_eq!(ask(rig.admin, "GET /api/cache/stats", &[&host, &origin], b"").await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn nothing_is_changed_by_get() {
    let rig = Rig::start().await;
    rig.post("/api/cache/warm", "").await;
    let before = rig.get("/api/cache/config").await;
    for line in CHANGES.iter().filter(|line| line.starts_with("POST")) {
        let path = line.split(' ').nth(1).unwrap();
        for method in ["GET", "HEAD", "OPTIONS", "PATCH", "DELETE", "PUT"] {
            let reply = ask(rig.admin, &format!("{method} {path}"), &[], b"").await;
            assert_eq!((reply.status, reply.field("allow")), (405, Some("POST")), "{method} {path}");
        }
    }
    let reply = rig.ask("DELETE /api/cache/config", "").await;
    assert_eq!((reply.status, reply.field("allow")), (405, Some("GET, HEAD, PUT")));
    assert_eq!(rig.ask("GET /api/cache/config", r#"{"enabled":false}"#).await.status, 200);
    assert_eq!(rig.get("/api/cache/config").await, before);
    assert_eq!(rig.get("/api/cache/stats").await["data"]["totalWarms"], 2);
    assert!(rig.read("/channels/1").await.is_hit());
}

#[tokio::test]
async fn with_a_token_only_health_is_open() {
    let rig = Rig::with(|admin, _| admin.token = Some(Secret::new("s3cret"))).await;
    for path in READS {
        let expected = if path.ends_with("yz") || path.ends_with("thz") { 200 } else { 401 };
        let reply = rig.ask(&format!("GET {path}"), "").await;
        assert_eq!(reply.status, expected, "{path}");
        assert_eq!(reply.field("www-authenticate").is_some(), expected == 401, "{path}");
    }
    for line in CHANGES.iter().chain(&["GET /nowhere", "POST /healthz"]) {
        assert_eq!(ask(rig.admin, line, &[], b"").await.status, 401, "{line}");
        assert_eq!(ask(rig.admin, line, &["Authorization: Bearer s3cre"], b"").await.status, 401, "{line}");
    }
    assert_eq!(rig.origin.count("/channels/1"), 0);
    let with = async |line: &str| ask(rig.admin, line, &["Authorization: Bearer s3cret"], b"").await.status;
    assert_eq!((with("GET /api/cache/stats").await, with("GET /nowhere").await, with("POST /api/cache/warm").await), (200, 404, 200));
}

#[tokio::test]
async fn unknown_paths_are_told_the_nearest() {
    let rig = Rig::start().await;
    for (path, meant) in [("/api/cache/stat", "/api/cache/stats"), ("/api/cache/warm/", "/api/cache/warm"), ("/health", "/healthz")] {
        let reply = rig.ask(&format!("GET {path}"), "").await;
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(reply.status == 404 && message.ends_with(&format!("did you mean {meant}?")), "{path}: {message}");
    }
    for path in ["/", "/x", "/api/cache/stats/../config", "//api/cache/stats", "/api/cache/stats%00", "/API/CACHE/STATS"] {
        assert_eq!(rig.ask(&format!("GET {path}"), "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_reload_does_not_open_an_address_that_others_reach() {
    let open = |admin: &mut AdminSettings| admin.listen = "0.0.0.0:0".parse().unwrap();
    let rig = Rig::with(|admin, _| {
        open(admin);
        admin.token = Some(Secret::new("s3cret"));
    })
    .await;
    let (mut other, address) = (AdminSettings::default(), format!("127.0.0.1:{}", rig.admin.port()).parse().unwrap());
    assert_eq!(rig.control.reload(other.clone()), ["admin.listen", "admin.token"]);
    assert_eq!(ask(address, "GET /api/cache/stats", &[], b"").await.status, 401);
    open(&mut other);
    other.token = Some(Secret::new("other"));
    assert_eq!(rig.control.reload(other), Vec::<&str>::new());
    assert_eq!(ask(address, "GET /api/cache/stats", &["Authorization: Bearer s3cret"], b"").await.status, 401);
    assert_eq!(ask(address, "GET /api/cache/stats", &["Authorization: Bearer other"], b"").await.status, 200);
}
