//! Invalidation: what is hit, what is not, and that replacing leaves no hole.

use crate::rig::{Rig, until};
use serde_json::json;
use warmfront::Level;

/// A house that has everything stored, some of it for another host too.
async fn full() -> Rig {
    let rig = Rig::start().await;
    rig.post("/api/cache/warm", "").await;
    for path in ["/channels/1", "/models/1", "/tagged/1", "/x?y=1", "/x?y=2", "/x"] {
        rig.read(path).await;
        rig.read_as("api.example", path).await;
    }
    rig
}

/// Which of the paths are not hits any more.
async fn gone(rig: &Rig) -> Vec<String> {
    let mut gone = Vec::new();
    for path in ["/channels/1", "/models/1", "/tagged/1", "/x?y=1", "/x?y=2", "/x"] {
        if !rig.read(path).await.is_hit() {
            gone.push(path.to_owned());
        }
        if !rig.read_as("api.example", path).await.is_hit() {
            gone.push(format!("api.example{path}"));
        }
    }
    gone
}

#[tokio::test]
async fn each_way_to_name_it_hits_that_and_nothing_else() {
    for (order, message, hit) in [
        (r#"{"type":"channels"}"#, "Cache (channels) invalidated", &["/channels/1", "api.example/channels/1"][..]),
        (r#"{"type":"news"}"#, "Cache (news) invalidated", &["/tagged/1", "api.example/tagged/1"]),
        (r#"{"tag":"news"}"#, "Cache (tag news) invalidated", &["/tagged/1", "api.example/tagged/1"]),
        (r#"{"tag":"nobody"}"#, "Cache (tag nobody) invalidated", &[]),
        (r#"{"prefix":"/tag"}"#, "Cache (prefix /tag) invalidated", &["/tagged/1", "api.example/tagged/1"]),
        (r#"{"prefix":"https://api.example/tag"}"#, "Cache (prefix https://api.example/tag) invalidated", &["api.example/tagged/1"]),
        (r#"{"url":"/x?y=1"}"#, "Cache (url /x?y=1) invalidated", &["/x?y=1", "api.example/x?y=1"]),
        (r#"{"url":"/x"}"#, "Cache (url /x) invalidated", &["/x", "api.example/x"]),
        (r#"{"url":"http://API.example/x?y=1"}"#, "Cache (url http://API.example/x?y=1) invalidated", &["api.example/x?y=1"]),
    ] {
        let rig = full().await;
        let before = rig.get("/api/cache/stats").await["data"]["invalidationCount"].as_u64().unwrap();
        let answer = rig.post("/api/cache/invalidate", order).await;
        assert_eq!((&answer["success"], &answer["message"]), (&json!(true), &json!(message)));
        let after = rig.get("/api/cache/stats").await["data"]["invalidationCount"].as_u64().unwrap();
        assert_eq!(after, before + 1, "{order}");
        assert_eq!(gone(&rig).await, hit, "{order}");
    }
}

#[tokio::test]
async fn without_a_name_everything_goes_and_stats_show_it_at_once() {
    for body in ["", "{}", r#"{"type":"all"}"#] {
        let rig = full().await;
        let answer = rig.post("/api/cache/invalidate", body).await;
        assert_eq!(answer["message"], "Cache (all) invalidated");
        let data = &rig.get("/api/cache/stats").await["data"];
        assert_eq!((&data["itemsCached"], &data["cache"]["entries"]), (&json!({ "channels": 0, "models": 0 }), &json!(0)));
        assert_eq!(gone(&rig).await.len(), 12);
    }
}

#[tokio::test]
async fn soft_makes_stale_and_keeps() {
    let rig = full().await;
    let answer = rig.post("/api/cache/invalidate", r#"{"url":"/x","soft":true}"#).await;
    assert_eq!(answer["soft"], true);
    assert!(rig.read("/x").await.field("cache-status").unwrap().contains("fwd=stale"));
    rig.post("/api/cache/invalidate", r#"{"url":"/x"}"#).await;
    assert!(rig.read("/x").await.field("cache-status").unwrap().contains("fwd=uri-miss"));
}

#[tokio::test]
async fn an_unknown_type_changes_nothing_and_names_the_known_ones() {
    let rig = full().await;
    for call in ["/api/cache/invalidate", "/api/cache/invalidate-and-warm"] {
        let reply = rig.ask(&format!("POST {call}"), r#"{"type":"chanels"}"#).await;
        assert_eq!((reply.status, &reply.json()["place"]), (400, &json!("/type")));
        assert_eq!(reply.json()["known"], json!(["channels", "models", "news", "all"]));
    }
    for body in [
        r#"{"tag":"a","url":"/x"}"#,
        r#"{"url":"x"}"#,
        r#"{"url":"ftp://h/x"}"#,
        r#"{"prefix":"api"}"#,
        r#"{"tag":""}"#,
        r#"{"url":"http://u:p@h/"}"#,
    ] {
        assert_eq!(rig.ask("POST /api/cache/invalidate", body).await.status, 400, "{body}");
    }
    assert_eq!(gone(&rig).await, Vec::<String>::new());
}

#[tokio::test]
async fn invalidate_and_warm_serves_the_old_copy_until_the_new_one_is_in() {
    let rig = Rig::start().await;
    rig.post("/api/cache/warm", "").await;
    rig.origin.shut("/");
    let order = async { rig.post("/api/cache/invalidate-and-warm", r#"{"type":"channels"}"#).await };
    let meanwhile = async {
        until("the origin is asked", async || rig.origin.count("/channels/1") == 2).await;
        let old = rig.read("/channels/1").await;
        rig.origin.open();
        old
    };
    let (answer, old) = tokio::join!(order, meanwhile);
    assert!(old.is_hit() && old.body == "/channels/1#1", "{old:?}");
    assert_eq!((&answer["success"], &answer["data"]["itemsCached"]["channels"]), (&json!(true), &json!(2)));
    let new = rig.read("/channels/1").await;
    assert!(new.is_hit() && new.body == "/channels/1#2", "{new:?}");
    assert!(rig.read("/models/1").await.body == "/models/1#1", "another type");
}

#[tokio::test]
async fn invalidate_and_warm_of_everything_drops_what_could_not_be_replaced_before_it_answers() {
    let rig = full().await;
    rig.read("/x").await; // read twice: worth a fetch
    let answer = rig.post("/api/cache/invalidate-and-warm", "").await;
    assert_eq!(answer["job"]["state"], "done");
    for read in [rig.read("/models/1").await, rig.read_as("api.example", "/models/1").await] {
        assert!(!["/models/1#1", "/models/1#2"].contains(&read.body.as_str()), "old: {read:?}");
    }
    assert!(!rig.read("/x?y=2").await.is_hit(), "nobody had read it again");
    assert!(rig.read("/x").await.is_hit());
    let reply = rig.ask("POST /api/cache/invalidate-and-warm", r#"{"type":"news","async":true}"#).await;
    assert_eq!(reply.status, 202);
}

#[tokio::test]
async fn a_replacing_job_ends_when_the_rest_has_been_dropped() {
    let rig = Rig::start().await;
    for path in ["/tagged/1", "/tagged/1", "/tagged/2"] {
        rig.read(path).await; // the second is not read again: it will not be fetched
    }
    rig.origin.shut("/");
    let job = rig.warmer.as_ref().unwrap().handle().replace_tagged(&["news"], &[]).await.unwrap();
    let (cache, target) = (rig.cache.clone(), format!("http://{}/tagged/2", rig.data));
    // A task of its own: it looks before anything else can happen.
    let looking = tokio::spawn(async move {
        job.ended().await;
        cache.lookup(http::Request::get(target).body(()).unwrap()).unwrap().level
    });
    until("it is under way", async || rig.origin.count("/tagged/1") == 2).await;
    rig.origin.open();
    assert_eq!(looking.await.unwrap(), Level::Stale);
}
