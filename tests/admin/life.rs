//! From its start to its end: readiness, a house that is busy, and draining.

use crate::rig::{LONG, Rig, until};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn a_house_that_waits_for_nothing_is_ready_until_it_drains() {
    let rig = Rig::start().await;
    assert_eq!(rig.get("/readyz").await, json!({ "success": true, "ready": true, "reasons": [] }));
    rig.control.drain();
    let reply = rig.ask("GET /readyz", "").await;
    assert_eq!((reply.status, &reply.json()["reasons"]), (503, &json!(["draining"])));
    assert_eq!((&reply.json()["ready"], reply.field("retry-after")), (&json!(false), Some("1")));
    assert_eq!(rig.get("/healthz").await["success"], true, "alive all the same");
}

#[tokio::test]
async fn it_is_ready_when_the_share_of_the_start_up_plan_is_warm_and_stays_so() {
    let rig = Rig::with(|admin, warm| {
        admin.ready_when_warm = 0.8;
        (warm.on_startup, warm.startup_delay) = (true, Duration::from_millis(1));
    })
    .await;
    rig.origin.shut("/");
    until("the origin is asked", async || rig.origin.count("/channels/1") == 1).await;
    let reply = rig.ask("GET /readyz", "").await;
    assert_eq!(reply.status, 503);
    assert!(reply.json()["message"].as_str().unwrap().contains("0 % of the start-up plan is warm, 80 % is wanted"), "{reply:?}");
    rig.origin.open();
    until("it is ready", async || rig.ask("GET /readyz", "").await.status == 200).await;
    rig.post("/api/cache/reset-stats", "").await;
    assert_eq!(rig.ask("GET /readyz", "").await.status, 200, "it does not become cold by a reset");
}

#[tokio::test]
async fn it_is_ready_when_the_deadline_has_passed_whatever_is_warm() {
    let rig = Rig::with(|admin, warm| {
        (admin.ready_when_warm, admin.ready_deadline) = (1.0, Duration::from_secs(60));
        (warm.on_startup, warm.startup_delay) = (true, Duration::from_secs(3600));
    })
    .await;
    assert_eq!(rig.ask("GET /readyz", "").await.status, 503);
    rig.clock.advance(Duration::from_secs(59));
    assert_eq!(rig.ask("GET /readyz", "").await.status, 503);
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(rig.ask("GET /readyz", "").await.status, 200);
}

#[tokio::test]
async fn it_answers_while_the_runtime_of_the_data_port_does_nothing_at_all() {
    let rig = Rig::start().await;
    rig.post("/api/cache/warm", "").await;
    // Nothing here waits by `await`: this thread, which is the data port's, is held for as long as it takes.
    let started = Instant::now();
    for (line, body) in
        [("GET /healthz", ""), ("GET /api/cache/stats", ""), ("GET /api/warm/jobs/1", ""), ("POST /api/cache/invalidate", "{}")]
    {
        let mut stream = std::net::TcpStream::connect(rig.admin).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let length = body.len();
        write!(stream, "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}", rig.admin).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{line}: {answer}");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_open_connection_does_not_hold_up_the_end_and_then_nobody_listens() {
    let mut rig = Rig::start().await;
    let mut idle = tokio::net::TcpStream::connect(rig.admin).await.unwrap();
    idle.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", rig.admin).as_bytes()).await.unwrap();
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    let ended = tokio::time::timeout(LONG, rig.serving.take().unwrap().stop()).await;
    assert!(ended.is_ok());
    assert_eq!(idle.read(&mut buffer).await.unwrap_or(0), 0);
    assert!(tokio::net::TcpStream::connect(rig.admin).await.is_err());
}

#[tokio::test]
async fn when_warming_has_ended_orders_are_refused_and_nobody_hangs() {
    let mut rig = Rig::start().await;
    rig.origin.shut("/");
    rig.post("/api/cache/invalidate-and-warm", r#"{"async":true}"#).await;
    let warmer = rig.warmer.take().unwrap();
    let waiting = rig.ask("POST /api/cache/invalidate-and-warm", "");
    let ending = async {
        until("it is under way", async || rig.get("/api/warm/jobs").await["total"] == 2).await;
        warmer.stop().await;
    };
    let (reply, ()) = tokio::join!(waiting, ending);
    assert_eq!(reply.status, 200, "{reply:?}");
    for call in ["/api/cache/warm", "/api/cache/invalidate-and-warm", "/api/scheduler/warmup"] {
        assert_eq!(rig.ask(&format!("POST {call}"), "").await.status, 503, "{call}");
    }
}

#[tokio::test]
async fn more_connections_than_there_are_places_wait_for_their_turn() {
    let rig = Rig::start().await;
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(tokio::net::TcpStream::connect(rig.admin).await.unwrap());
    }
    let waiting = rig.ask("GET /healthz", "");
    let freeing = async { drop(held) };
    let (reply, ()) = tokio::join!(waiting, freeing);
    assert_eq!(reply.status, 200);
}

/// Connections that say nothing, have been answered and stay, or begin a request and never end it.
#[tokio::test]
async fn connections_that_are_held_for_nothing_make_room_at_once() {
    let rig = Rig::start().await;
    let asked = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", rig.admin);
    let mut held = Vec::new();
    for number in 0..240 {
        let mut stream = tokio::net::TcpStream::connect(rig.admin).await.unwrap();
        match number % 4 {
            0 => {}
            1 => stream.write_all(asked.as_bytes()).await.unwrap(),
            2 => stream.write_all(&asked.as_bytes()[..20]).await.unwrap(),
            _ => {
                let head = asked.replace("GET /healthz", "POST /api/cache/warm").replace("\r\n\r\n", "\r\nContent-Length: 9\r\n\r\n{");
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        }
        held.push(stream);
    }
    let asking = async {
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(rig.ask(&format!("GET {path}"), "").await.status, 200, "{path}");
        }
    };
    // All of them could stay for fifteen seconds.
    tokio::time::timeout(Duration::from_secs(12), asking).await.expect("nobody waits for them");
}

#[tokio::test]
async fn calls_that_wait_for_warming_do_not_keep_out_those_that_do_not() {
    let rig = Rig::start().await;
    rig.origin.shut("/");
    let mut waiting = Vec::new();
    for _ in 0..80 {
        let mut stream = tokio::net::TcpStream::connect(rig.admin).await.unwrap();
        stream.write_all(format!("POST /api/cache/warm HTTP/1.1\r\nHost: {}\r\n\r\n", rig.admin).as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    until("some are refused", async || rig.ask("POST /api/cache/warm", "").await.status == 503).await;
    let refused = rig.ask("POST /api/cache/warm", "").await;
    assert!(refused.field("retry-after").is_some() && refused.json()["message"].as_str().unwrap().contains("async"), "{refused:?}");
    for line in ["GET /healthz", "GET /metrics", "GET /api/cache/stats", "POST /api/cache/invalidate", "DELETE /api/warm/jobs/1"] {
        assert_eq!(rig.ask(line, "").await.status, 200, "{line}");
    }
    rig.origin.open();
    until("they are answered", async || rig.ask("POST /api/cache/warm", "").await.status == 200).await;
}

#[tokio::test]
async fn a_reset_during_start_up_does_not_forget_what_is_warm() {
    let rig = Rig::with(|admin, warm| {
        admin.ready_when_warm = 0.9;
        (warm.on_startup, warm.startup_delay) = (true, Duration::from_millis(1));
        warm.groups[1] = warmfront::warm::Group::new("models").on_startup().request("/models/1").unwrap();
    })
    .await;
    rig.origin.shut("/models");
    until("one group is warm", async || rig.origin.count("/channels/2") == 1 && rig.origin.count("/models/1") == 1).await;
    let share = async || rig.ask("GET /readyz", "").await.json()["message"].as_str().unwrap_or_default().to_owned();
    until("two of three", async || share().await.contains("66 %")).await;
    rig.post("/api/cache/reset-stats", "").await;
    assert!(share().await.contains("66 %"), "{}", share().await);
    rig.origin.open();
    until("it is ready", async || rig.ask("GET /readyz", "").await.status == 200).await;
}
