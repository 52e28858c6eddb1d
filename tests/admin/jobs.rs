//! Jobs: progress, pages of items, cancellation.

use crate::rig::{Rig, until};
use serde_json::json;

#[tokio::test]
async fn the_items_of_a_job_come_in_pages() {
    let rig = Rig::start().await;
    rig.post("/api/cache/warm", "").await;
    let all = rig.get("/api/warm/jobs/1").await;
    assert_eq!((&all["total"], &all["nextOffset"], &all["job"]["groups"][0]["name"]), (&json!(3), &json!(null), &json!("channels")));
    let outcome = &all["outcomes"][2];
    assert_eq!((&outcome["group"], &outcome["target"], &outcome["fate"]), (&json!("models"), &json!("/models/1"), &json!("stored")));
    let page = rig.get("/api/warm/jobs/1?offset=1&limit=1").await;
    assert_eq!((page["outcomes"].as_array().unwrap().len(), &page["nextOffset"]), (1, &json!(2)));
    assert_eq!(page["outcomes"][0], all["outcomes"][1]);
    let last = rig.get("/api/warm/jobs/1?offset=2&limit=10").await;
    assert_eq!((&last["outcomes"][0], &last["nextOffset"]), (&all["outcomes"][2], &json!(null)));
    assert_eq!(rig.get("/api/warm/jobs/1?offset=99").await["outcomes"], json!([]));
    let group = rig.get("/api/warm/jobs/1?group=models").await;
    assert_eq!((&group["outcomes"][0], &group["total"]), (&all["outcomes"][2], &json!(1)));
    rig.post("/api/cache/warm", r#"{"items":{"channels":true}}"#).await;
    assert_eq!(rig.ask("GET /api/warm/jobs/2?group=models", "").await.status, 404, "a group, but none of this job");
    assert_eq!(rig.ask("GET /api/warm/jobs/2?group=model", "").await.status, 400, "no group at all");
    let jobs = rig.get("/api/warm/jobs?limit=1").await;
    assert_eq!((&jobs["jobs"][0]["id"], &jobs["total"], &jobs["nextOffset"]), (&json!(2), &json!(2), &json!(1)));
}

#[tokio::test]
async fn delete_cancels_at_once_and_says_what_it_did() {
    let rig = Rig::start().await;
    rig.origin.shut("/");
    rig.post("/api/cache/warm", r#"{"async":true}"#).await;
    until("it is under way", async || rig.origin.count("/channels/1") == 1).await;
    let cancelled = rig.ask("DELETE /api/warm/jobs/1", "").await;
    assert_eq!((cancelled.status, &cancelled.json()["message"]), (200, &json!("Job 1 cancelled")));
    assert_eq!(cancelled.json()["job"]["state"], "cancelled", "though the origin has not answered");
    let again = rig.ask("DELETE /api/warm/jobs/1", "").await;
    assert_eq!((again.status, &again.json()["message"]), (200, &json!("Job 1 had ended already")));
}

#[tokio::test]
async fn a_job_that_only_joined_cannot_cancel_what_others_began() {
    let rig = Rig::start().await;
    rig.origin.shut("/");
    rig.post("/api/cache/warm", r#"{"async":true}"#).await;
    assert_eq!(rig.post("/api/cache/warm", r#"{"async":true}"#).await["job"]["groups"][0]["joined"], true);
    assert_eq!(rig.ask("DELETE /api/warm/jobs/2", "").await.status, 409);
    assert_eq!(rig.get("/api/warm/jobs/1").await["job"]["state"], "running");
}

#[tokio::test]
async fn a_job_that_there_is_not_is_not_found() {
    let rig = Rig::start().await;
    for id in ["7", "0", "-1", "x", "99999999999999999999999", "%31"] {
        assert_eq!(rig.ask(&format!("GET /api/warm/jobs/{id}"), "").await.status, 404, "{id}");
        assert_eq!(rig.ask(&format!("DELETE /api/warm/jobs/{id}"), "").await.status, 404, "{id}");
    }
    for query in ["limit=0", "limit=1001", "limit=x", "offset=-1", "offset=1000001", "ofset=1"] {
        assert_eq!(rig.ask(&format!("GET /api/warm/jobs?{query}"), "").await.status, 400, "{query}");
    }
}
