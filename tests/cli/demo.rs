//! `demo`: what it prints, and the sample API through warmfront.

use crate::process::{Folder, Running, ask, send};
use std::net::SocketAddr;

fn demo(name: &str) -> (Folder, Running, SocketAddr) {
    let folder = Folder::new(name);
    let demo = Running::start(folder.path(), &["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], &[]);
    let front = demo.wait_for_out("  warmfront ").split_whitespace().last().unwrap().parse().unwrap();
    (folder, demo, front)
}

#[test]
fn it_proves_itself_and_prints_lines_to_try() {
    let (_folder, mut demo, front) = demo("demo");
    let proof = demo.wait_for_out("GET /api/schools/primary?page=2&pageSize=20");
    let times: Vec<f64> = proof.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(times.len() == 2 && times[0] >= 800.0, "{proof}");
    assert!(demo.wait_for_out("curl -N").contains(&format!("http://{front}/v1/chat/stream")));
    assert!(demo.wait_for_out("/api/cache/stats").contains("curl -s http://127.0.0.1:"));
    demo.signal("INT");
    assert_eq!(demo.end(), Some(0));
}

#[test]
fn the_second_answer_comes_from_memory() {
    let (_folder, demo, front) = demo("memory");
    let proof = demo.wait_for_out("GET /api/schools/primary?page=2&pageSize=20");
    let times: Vec<f64> = proof.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(times[1] < 200.0 && proof.contains("warmfront; hit"), "{proof}");
    let user = |name: &str| ask(front, "GET /api/me/profile", &format!("Authorization: Bearer {name}\r\n"));
    assert!(user("alice").contains("\"alice\"") && user("alice").contains("warmfront; hit"));
    let bob = user("bob");
    assert!(bob.contains("\"bob\"") && !bob.contains("; hit"), "{bob}");
    assert!(ask(front, "GET /api/channels/2", "").contains("channel-2") && ask(front, "GET /api/channels/2", "").contains("; hit"));
    let body = "{\"name\":\"renamed\"}";
    assert!(send(front, "PUT /api/channels/2", &format!("Content-Length: {}\r\n", body.len()), body).contains("renamed"));
    assert!(ask(front, "GET /api/channels/2", "").contains("renamed"));
}

#[test]
fn the_sample_api_answers_as_an_api_does() {
    let (_folder, _demo, front) = demo("api");
    let starts = |line: &str, headers: &str, status: &str| {
        let response = ask(front, line, headers);
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {response}");
        response
    };
    starts("GET /api/schools/districts", "", "200");
    starts("GET /api/schools/17", "", "200");
    starts("GET /api/schools/999", "", "404");
    starts("GET /api/schools/primary?page=x", "", "400");
    starts("GET /nowhere", "", "404");
    assert!(starts("DELETE /api/brands", "", "405").to_ascii_lowercase().contains("allow: get"));
    starts("GET /api/me/usage", "", "401");
    starts("GET /api/channels/2", "If-None-Match: \"channels-2-v1\"\r\n", "304");
    assert!(starts("GET /api/reports/7", "", "200").len() > 100 << 10);
    let part = starts("GET /api/reports/7", "Range: bytes=0-99\r\n", "206");
    assert_eq!(part.split("\r\n\r\n").nth(1).unwrap().len(), 100);
    let stream = starts("GET /v1/chat/stream", "", "200");
    assert_eq!(stream.matches("data: ").count(), 13);
    let counts = starts("GET /api/_counts", "", "200");
    assert!(counts.contains("\"/v1/chat/stream\":1"), "{counts}");
}
