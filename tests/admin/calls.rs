//! Warming by the calls of the contract: shapes and effects.

use crate::rig::{Rig, ask, names, until};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

#[tokio::test]
async fn stats_of_a_new_house_are_zero_and_have_the_shape_of_the_contract() {
    let rig = Rig::start().await;
    let stats = rig.get("/api/cache/stats").await;
    assert_eq!(stats["success"], true);
    let data = &stats["data"];
    assert_eq!((&data["totalWarms"], &data["lastWarmTime"], &data["lastWarmDuration"]), (&json!(0), &json!(null), &json!(null)));
    assert_eq!(data["itemsCached"], json!({ "channels": 0, "models": 0 }));
    assert_eq!((&data["backgroundRefreshCount"], &data["invalidationCount"]), (&json!(0), &json!(0)));
    let cache = &data["cache"];
    for name in ["hits", "misses", "stale", "entries", "bytes"] {
        assert_eq!(cache[name], 0, "{name}");
    }
    assert_eq!((&cache["hitRatio"], &cache["maxBytes"]), (&json!(0.0), &json!(256 << 20)));
}

#[tokio::test]
async fn warm_answers_when_done_and_readers_get_hits() {
    let rig = Rig::start().await;
    let warmed = rig.post("/api/cache/warm", "").await;
    assert_eq!((&warmed["success"], &warmed["data"]["totalWarms"]), (&json!(true), &json!(2)));
    assert_eq!(warmed["data"]["itemsCached"], json!({ "channels": 2, "models": 1 }));
    assert_eq!(warmed["data"]["lastWarmTime"].as_u64().unwrap() / 1_000_000, 1_772_000);
    assert_eq!((&warmed["job"]["state"], &warmed["job"]["done"]), (&json!("done"), &json!(3)));
    assert!(rig.read("/channels/1").await.is_hit() && rig.read("/models/1").await.is_hit());
    let cache = &rig.get("/api/cache/stats").await["data"]["cache"];
    assert_eq!((&cache["hits"], &cache["misses"], &cache["hitRatio"]), (&json!(2), &json!(0), &json!(1.0)));
    assert_eq!(rig.post("/api/cache/warm", "{}").await["job"]["fates"]["skipped"], 3, "what is fresh is left alone");
    assert_eq!(rig.post("/api/cache/warm", r#"{"force":true}"#).await["job"]["fates"]["refreshed"], 3);
    assert_eq!(rig.get("/api/cache/stats").await["data"]["itemsCached"], json!({ "channels": 2, "models": 1 }), "replaced copies are gone");
}

#[tokio::test]
async fn items_restrict_what_is_warmed() {
    let rig = Rig::start().await;
    let counts = || (rig.origin.count("/channels/1"), rig.origin.count("/models/1"));
    let order = |items: &str| format!(r#"{{"items":{items},"async":false,"force":true}}"#);
    rig.post("/api/cache/warm", &order(r#"{"channels":true,"models":false}"#)).await;
    assert_eq!(counts(), (1, 0), "those that are true");
    rig.post("/api/cache/warm", &order(r#"{"channels":false}"#)).await;
    assert_eq!(counts(), (1, 1), "only false ones: all but those");
    rig.post("/api/cache/warm", &order(r#"{"channels":false,"models":false}"#)).await;
    assert_eq!(counts(), (1, 1), "nothing is left");
    rig.post("/api/cache/warm", &order("{}")).await;
    assert_eq!(counts(), (2, 2), "none named: all");
}

#[tokio::test]
async fn a_warm_that_one_call_began_shows_in_all() {
    let rig = Rig::start().await;
    rig.origin.shut("/");
    let reply = rig.ask("POST /api/cache/warm", r#"{"items":{"channels":true},"async":true}"#).await;
    assert_eq!((reply.status, reply.field("location")), (202, Some("/api/warm/jobs/1")));
    assert_eq!((&reply.json()["success"], &reply.json()["job"]["id"]), (&json!(true), &json!(1)));
    let status = rig.get("/api/cache/warmup/status").await;
    assert_eq!(status["warmup"]["running"], true);
    assert_eq!(rig.get("/api/scheduler/status").await["jobs"][0]["running"], true);
    assert_eq!(rig.get("/api/warm/jobs").await["jobs"][0]["state"], "running");
    rig.origin.open();
    until("the job has ended", async || rig.get("/api/warm/jobs/1").await["job"]["state"] == "done").await;
    assert_eq!(rig.get("/api/cache/stats").await["data"]["totalWarms"], 1);
    assert_eq!(rig.get("/api/cache/warmup/status").await["warmup"]["last_metrics"]["cached_items"], 2);
    assert_eq!(rig.get("/api/scheduler/status").await["jobs"][0]["last_result"]["warm"], 2);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_the_warm_it_asked_for() {
    let rig = Rig::start().await;
    rig.origin.shut("/");
    let mut stream = TcpStream::connect(rig.admin).await.unwrap();
    stream.write_all(format!("POST /api/cache/warm HTTP/1.1\r\nHost: {}\r\n\r\n", rig.admin).as_bytes()).await.unwrap();
    until("it has begun", async || rig.get("/api/warm/jobs").await["total"] == 1).await;
    drop(stream);
    rig.origin.open();
    until("it has ended", async || rig.get("/api/cache/stats").await["data"]["totalWarms"] == 2).await;
}

#[tokio::test]
async fn warmup_status_and_execute_have_the_shape_of_the_contract() {
    let rig = Rig::start().await;
    let status = rig.get("/api/cache/warmup/status").await;
    assert_eq!((&status["warmup"]["running"], &status["warmup"]["last_metrics"]), (&json!(false), &json!(null)));
    assert_eq!(status["warmup"]["registered_tasks"], json!(["channels", "models"]));
    assert_eq!(status["scheduler"]["running"], true);
    let models = &status["scheduler"]["tasks"][1];
    assert_eq!((&models["name"], &models["type"]), (&json!("models"), &json!("cron")));
    assert_eq!(models["next_run"], "2026-02-26T03:00:00+00:00");
    assert_eq!(status["scheduler"]["tasks"][0]["type"], "interval");

    let executed = rig.post("/api/cache/warmup/execute", r#"{"tasks":["channels"],"concurrent":true}"#).await;
    let metrics = &executed["metrics"];
    assert_eq!(names(metrics), ["duration_seconds", "total_tasks", "completed_tasks", "failed_tasks", "cached_items", "success_rate"]);
    assert_eq!((&metrics["total_tasks"], &metrics["completed_tasks"], &metrics["failed_tasks"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!((&metrics["cached_items"], &metrics["success_rate"]), (&json!(2), &json!(100.0)));
    assert_eq!(rig.origin.count("/models/1"), 0);
    let one_by_one = rig.post("/api/cache/warmup/execute", r#"{"tasks":["models","channels","models"],"concurrent":false}"#).await;
    assert_eq!((&one_by_one["metrics"]["total_tasks"], &one_by_one["metrics"]["cached_items"]), (&json!(2), &json!(3)));
    assert_eq!(rig.get("/api/cache/warmup/status").await["warmup"]["last_metrics"]["total_tasks"], 1, "that of the last job");
}

#[tokio::test]
async fn what_failed_shows_in_metrics_and_reasons() {
    let rig = Rig::with(|_, warm| warm.groups[1] = warm.groups[1].clone().request("/uncacheable").unwrap()).await;
    let executed = rig.post("/api/cache/warmup/execute", "").await;
    assert_eq!((&executed["metrics"]["cached_items"], &executed["metrics"]["success_rate"]), (&json!(3), &json!(75.0)));
    assert_eq!(executed["job"]["groups"][1]["reasons"], json!({ "no-store": 1 }));
}

#[tokio::test]
async fn the_scheduler_tells_next_runs_and_warms_all_or_one() {
    let rig = Rig::start().await;
    let status = rig.get("/api/scheduler/status").await;
    assert_eq!((&status["success"], &status["running"]), (&json!(true), &json!(true)));
    let models = &status["jobs"][1];
    assert_eq!((&models["id"], &models["next_run"]), (&json!("models"), &json!("2026-02-26T03:00:00+00:00")));
    assert_eq!((&models["last_run"], &models["last_result"]), (&json!(null), &json!(null)));
    rig.post("/api/scheduler/warmup", r#"{"type":"models"}"#).await;
    assert_eq!((rig.origin.count("/models/1"), rig.origin.count("/channels/1")), (1, 0));
    let reply = rig.ask("POST /api/scheduler/warmup", r#"{"type":"all","async":true}"#).await;
    assert_eq!(reply.status, 202);
    until("all are warm", async || rig.origin.count("/channels/2") == 1).await;
    let last = &rig.get("/api/scheduler/status").await["jobs"][1];
    assert_eq!((&last["last_run"], &last["last_result"]["success"]), (&json!("2026-02-25T06:13:20+00:00"), &json!(true)));
}

#[tokio::test]
async fn clear_and_warmup_fetches_anew_what_a_run_that_is_going_on_has_brought() {
    let rig = Rig::with(|_, warm| warm.concurrency = 1).await;
    rig.read("/other").await;
    rig.origin.shut("/channels/2");
    rig.post("/api/cache/warm", r#"{"async":true}"#).await;
    until("half of it is done", async || rig.origin.count("/channels/2") == 1).await;
    let reply = rig.ask("POST /api/scheduler/clear-and-warmup", r#"{"async":true}"#).await;
    assert_eq!(reply.status, 202);
    let job = format!("/api/warm/jobs/{}", reply.json()["job"]["id"]);
    rig.origin.open();
    until("it has ended", async || rig.get(&job).await["job"]["state"] == "done").await;
    assert_eq!(rig.get("/api/cache/stats").await["data"]["itemsCached"], json!({ "channels": 2, "models": 1 }));
    assert!(rig.read("/channels/1").await.is_hit());
    assert!(!rig.read("/other").await.is_hit());
}

#[tokio::test]
async fn reset_stats_forgets_counts_and_keeps_contents() {
    let rig = Rig::start().await;
    rig.post("/api/cache/warm", "").await;
    rig.read("/channels/1").await;
    rig.post("/api/cache/invalidate", r#"{"type":"models"}"#).await;
    let reset = rig.post("/api/cache/reset-stats", "").await;
    assert_eq!(reset, json!({ "success": true, "message": "Cache warmer stats reset" }));
    let data = &rig.get("/api/cache/stats").await["data"];
    assert_eq!((&data["totalWarms"], &data["lastWarmTime"], &data["invalidationCount"]), (&json!(0), &json!(null), &json!(0)));
    assert_eq!((&data["cache"]["hits"], &data["itemsCached"]["channels"]), (&json!(0), &json!(2)));
    assert!(rig.read("/channels/1").await.is_hit());
    assert_eq!(rig.get("/api/cache/stats").await["data"]["cache"]["hits"], 1, "counting goes on");
}

#[tokio::test]
async fn scheduled_refreshes_are_counted_as_background_refreshes() {
    let rig = Rig::start().await;
    rig.clock.advance(std::time::Duration::from_secs(400));
    rig.post("/api/cache/warm", r#"{"items":{"models":true}}"#).await; // wakes the timer
    until("it was refreshed", async || rig.get("/api/cache/stats").await["data"]["backgroundRefreshCount"] == 1).await;
    assert_eq!(rig.origin.count("/channels/1"), 1);
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let rig = Rig::start().await;
    for path in ["/healthz", "/readyz", "/api/cache/stats", "/api/openapi.json"] {
        let (head, get) = (ask(rig.admin, &format!("HEAD {path}"), &[], b"").await, rig.ask(&format!("GET {path}"), "").await);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(head.field("content-length"), get.field("content-length"), "{path}");
    }
}

#[tokio::test]
async fn the_document_describes_calls_that_there_are() {
    let rig = Rig::start().await;
    let document = rig.get("/api/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 15);
    for (path, calls) in paths.iter().filter(|(path, _)| !path.contains('{')) {
        if calls["get"].is_object() {
            let query = match path.as_str() {
                "/api/cache/explain" => "?url=/",
                "/api/logs/stream" => "?follow=false", // it has no end otherwise
                _ => "",
            };
            assert_eq!(rig.ask(&format!("GET {path}{query}"), "").await.status, 200, "{path}");
        }
    }
}
