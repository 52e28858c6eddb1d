//! An axum app whose hot queries are in the cache before anybody asks: at start-up, every two hours, and before hot ones expire.
//!
//! `cargo run --example warm_axum`

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{Request, header::CACHE_CONTROL};
use axum::{Router, response::IntoResponse, routing::get};
use std::time::{Duration, Instant};
use tower::ServiceExt as _;
use warmfront::warm::{Combo, Fetcher, Group, Plan, Warmer};
use warmfront::{Cache, CacheLayer, error::BoxError};

async fn brands(RawQuery(query): RawQuery) -> impl IntoResponse {
    tokio::time::sleep(Duration::from_millis(300)).await; // a slow database
    ([(CACHE_CONTROL, "max-age=300")], format!("brands by {}", query.unwrap_or_default()))
}

async fn brand(Path(name): Path<String>) -> impl IntoResponse {
    tokio::time::sleep(Duration::from_millis(300)).await;
    ([(CACHE_CONTROL, "max-age=300")], format!("all about {name}"))
}

/// What only code can tell: the brands that are popular just now.
async fn popular(fetcher: Fetcher) -> Result<(), BoxError> {
    for name in ["harbour", "peak"] {
        fetcher.warm(&format!("/brands/{name}")).await;
    }
    Ok(())
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), BoxError> {
    let cache = Cache::new();
    let app = Router::new().route("/brands", get(brands)).route("/brands/{name}", get(brand)).layer(CacheLayer::new(cache.clone()));

    let combo = Combo::path("/brands")?.query("page", 1..=3)?;
    let pages = Group::new("pages").on_startup().every(Duration::from_secs(7200)).combo(combo)?;
    let plan = Plan::new(&cache).host("example.com".parse()?).group(pages).group(Group::task("popular", popular).on_startup());
    let guard = Warmer::new::<_, Body, _>(app.clone(), plan).spawn()?; // as long as it lives, warming goes on

    // Here `axum::serve(listener, app)` would follow. A reader comes when the start-up runs have ended.
    let mut reports = guard.reports();
    let report = reports.wait_for(|report| report.groups.iter().all(|group| group.totals.runs > 0)).await?.clone();
    report.groups.iter().for_each(|group| println!("{}: {} items warm", group.name, group.totals.fates.warm()));
    for target in ["/brands?page=2", "/brands/peak"] {
        let began = Instant::now();
        let response = app.clone().oneshot(Request::get(target).header("host", "example.com").body(Body::empty())?).await?;
        let status = response.headers()["cache-status"].to_str()?.to_owned();
        println!("GET {target}: {:?}, {status}", began.elapsed());
        if !status.starts_with("warmfront; hit") {
            return Err(format!("{target} was not warm: {status}").into());
        }
    }
    Ok(())
}
