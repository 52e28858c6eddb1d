//! Live configuration: partial, all or nothing, at once.

use crate::rig::{Rig, ask, until};
use serde_json::{Value, json};

async fn put(rig: &Rig, body: &Value) -> Value {
    let reply = rig.ask("PUT /api/cache/config", &body.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(rig.get("/api/cache/config").await, reply.json(), "it answers with the whole configuration");
    reply.json()["data"].clone()
}

fn next_run(status: &Value) -> &str {
    status["scheduler"]["tasks"][0]["next_run"].as_str().unwrap_or("never")
}

#[tokio::test]
async fn the_configuration_has_the_shape_of_the_contract() {
    let rig = Rig::start().await;
    assert_eq!(
        rig.get("/api/cache/config").await,
        json!({ "success": true, "data": {
            "enabled": true, "warming": true, "warmOnStartup": false, "warmItems": { "channels": true, "models": true },
            "backgroundRefresh": { "enabled": true, "intervalMs": 300_000 },
            "smartInvalidation": { "enabled": true, "autoInvalidateOnUpdate": true },
        } })
    );
}

#[tokio::test]
async fn a_partial_object_is_merged() {
    let rig = Rig::start().await;
    let data = put(&rig, &json!({ "warmItems": { "models": false } })).await;
    assert_eq!((&data["warmItems"], &data["enabled"]), (&json!({ "channels": true, "models": false }), &json!(true)));
    rig.post("/api/cache/warm", "").await;
    assert_eq!((rig.origin.count("/channels/1"), rig.origin.count("/models/1")), (1, 0), "at once");
    let data = put(&rig, &json!({ "warmOnStartup": true })).await;
    assert_eq!((&data["warmItems"]["models"], &data["warmOnStartup"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn one_fault_and_nothing_changes() {
    let rig = Rig::start().await;
    let before = rig.get("/api/cache/config").await;
    for (fault, place) in [
        (json!({ "warmItems": { "channels": false, "modls": false } }), "/warmItems/modls"),
        (json!({ "enabled": false, "smartInvalidation": { "enabled": 1 } }), "/smartInvalidation/enabled"),
        (json!({ "enabled": false, "backgroundRefresh": { "intervalMs": 999 } }), "/backgroundRefresh/intervalMs"),
        (json!({ "enabled": false, "backgroundRefresh": { "intervalMs": -1 } }), "/backgroundRefresh/intervalMs"),
        (json!({ "enabled": false, "backgroundRefresh": { "intervalMs": 1e300 } }), "/backgroundRefresh/intervalMs"),
        (json!({ "enabled": false, "backgroundRefresh": { "interval": 1000 } }), "/backgroundRefresh/interval"),
        (json!({ "enabled": null }), "/enabled"),
        (json!({ "warmOnStartup": "yes", "enabled": false }), "/warmOnStartup"),
        (json!({ "enabled": false, "enbled": false }), "/enbled"),
    ] {
        let reply = rig.ask("PUT /api/cache/config", &fault.to_string()).await;
        assert_eq!((reply.status, reply.json()["place"].as_str()), (400, Some(place)), "{fault}");
        assert_eq!(rig.get("/api/cache/config").await, before, "{fault}");
    }
    assert_eq!(rig.ask("PUT /api/cache/config", r#"{"enabled":false,"warming":true}"#).await.status, 409);
    assert_eq!(rig.get("/api/cache/config").await, before);
}

#[tokio::test]
async fn switched_off_requests_pass_and_nothing_is_warmed_until_it_is_on_again() {
    let rig = Rig::start().await;
    rig.post("/api/cache/warm", "").await;
    let data = put(&rig, &json!({ "enabled": false })).await;
    assert_eq!((&data["enabled"], &data["warming"]), (&json!(false), &json!(false)));
    let passed = rig.read("/channels/1").await;
    assert_eq!((passed.field("cache-status"), passed.body.as_str()), (Some("warmfront; fwd=bypass; detail=disabled"), "/channels/1#2"));
    for call in [
        "/api/cache/warm",
        "/api/cache/invalidate-and-warm",
        "/api/cache/warmup/execute",
        "/api/scheduler/warmup",
        "/api/scheduler/clear-and-warmup",
    ] {
        assert_eq!(rig.ask(&format!("POST {call}"), "").await.status, 409, "{call}");
    }
    assert_eq!(rig.get("/api/cache/warmup/status").await["scheduler"]["running"], false);
    put(&rig, &json!({ "enabled": true })).await;
    let hit = rig.read("/channels/1").await;
    assert!(hit.is_hit() && hit.body == "/channels/1#1", "what was stored is still there");
    rig.post("/api/cache/warm", "").await;
}

#[tokio::test]
async fn switching_off_ends_a_run_that_is_going_on() {
    let rig = Rig::start().await;
    rig.origin.shut("/");
    rig.post("/api/cache/warm", r#"{"async":true}"#).await;
    put(&rig, &json!({ "enabled": false })).await;
    until("it has ended", async || rig.get("/api/warm/jobs/1").await["job"]["state"] == "cancelled").await;
}

#[tokio::test]
async fn the_interval_reschedules_and_is_remembered_while_it_is_off() {
    let rig = Rig::start().await;
    put(&rig, &json!({ "backgroundRefresh": { "intervalMs": 3_600_000 } })).await;
    let status = rig.get("/api/cache/warmup/status").await;
    assert!(next_run(&status).starts_with("2026-02-25T07:1"), "{status}");
    let data = put(&rig, &json!({ "backgroundRefresh": { "enabled": false } })).await;
    assert_eq!(data["backgroundRefresh"], json!({ "enabled": false, "intervalMs": 3_600_000 }));
    assert_eq!(next_run(&rig.get("/api/cache/warmup/status").await), "never");
    let data = put(&rig, &json!({ "backgroundRefresh": { "intervalMs": 60_000 } })).await;
    assert_eq!(data["backgroundRefresh"], json!({ "enabled": false, "intervalMs": 60_000 }), "a length switches nothing on");
    let data = put(&rig, &json!({ "backgroundRefresh": { "enabled": true } })).await;
    assert_eq!(data["backgroundRefresh"], json!({ "enabled": true, "intervalMs": 60_000 }));
    assert!(next_run(&rig.get("/api/cache/warmup/status").await).starts_with("2026-02-25T06:14"));
}

#[tokio::test]
async fn smart_invalidation_switches_the_rules_about_changes() {
    let rig = Rig::start().await;
    let change = async || assert_eq!(ask(rig.data, "POST /news", &["Content-Length: 0"], b"").await.status, 200);
    rig.read("/tagged/1").await;
    for off in [json!({ "enabled": false, "autoInvalidateOnUpdate": true }), json!({ "enabled": true, "autoInvalidateOnUpdate": false })] {
        let data = put(&rig, &json!({ "smartInvalidation": off })).await;
        assert_eq!(data["smartInvalidation"], off);
        change().await;
        assert!(rig.read("/tagged/1").await.is_hit(), "{off}");
    }
    put(&rig, &json!({ "smartInvalidation": { "autoInvalidateOnUpdate": true } })).await;
    change().await;
    assert!(!rig.read("/tagged/1").await.is_hit());
}

#[tokio::test]
async fn what_was_read_can_be_put_back_and_changes_nothing() {
    let rig = Rig::start().await;
    put(&rig, &json!({ "warming": false, "smartInvalidation": { "enabled": false }, "backgroundRefresh": { "enabled": false } })).await;
    let before = rig.get("/api/cache/config").await;
    put(&rig, &before["data"]).await;
    assert_eq!(rig.get("/api/cache/config").await, before);
}
