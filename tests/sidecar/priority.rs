//! What warms goes behind readers, and every attempt at the upstream is counted.

use crate::origin::{Act, Origin, Then};
use crate::rig::settings;
use http::Request;
use std::time::Duration;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;
use warmfront::RequestBody;
use warmfront::priority::Priority;
use warmfront::sidecar::Sidecar;
use warmfront::sidecar::settings::{Share, UpstreamSettings};
use warmfront::telemetry::{Attempt, Source};

fn sidecar(origin: &Origin, adjust: impl FnOnce(&mut UpstreamSettings)) -> Sidecar {
    let (server, mut upstream) = settings(origin.address);
    adjust(&mut upstream);
    Sidecar::new(server, upstream)
}

/// Asks for `path`, with this priority if it has one; the status.
async fn ask(sidecar: &Sidecar, path: &str, priority: Option<&Priority>) -> u16 {
    let mut request = Request::get(path).body(RequestBody::default()).unwrap();
    if let Some(priority) = priority {
        request.extensions_mut().insert(priority.clone());
    }
    sidecar.upstream().oneshot(request).await.unwrap().status().as_u16()
}

fn spawn(sidecar: &Sidecar, path: &'static str, priority: Option<Priority>) -> JoinHandle<u16> {
    let sidecar = sidecar.clone();
    tokio::spawn(async move { ask(&sidecar, path, priority.as_ref()).await })
}

fn warm() -> Priority {
    Priority::new(Source::Warm)
}

/// The paths that the origin was asked for, once they are `count`.
async fn paths(origin: &Origin, count: usize) -> Vec<String> {
    let asked = async {
        while origin.requests().len() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked).await.expect("the origin is asked");
    origin.requests().iter().map(|request| request.line().split(' ').nth(1).unwrap().to_owned()).collect()
}

/// Until every task has gone as far as it can without the origin.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn readers_of_a_saturated_upstream_all_go_before_what_waits_to_warm() {
    let origin = Origin::start(|request, _| if request.line().contains("hold") { Act::hang() } else { Act::ok("x") }).await;
    let sidecar = sidecar(&origin, |upstream| upstream.max_in_flight = 4);
    let holding: Vec<_> = (0..4).map(|_| spawn(&sidecar, "/hold", None)).collect();
    paths(&origin, 4).await;
    assert_eq!(sidecar.in_flight(), 4);
    let warming: Vec<_> = (0..3).map(|_| spawn(&sidecar, "/warm", Some(warm()))).collect();
    settle().await;
    let raised = Priority::new(Source::Refresh);
    let refreshing = spawn(&sidecar, "/raised", Some(raised.clone()));
    settle().await;
    let reading: Vec<_> = (0..3).map(|_| spawn(&sidecar, "/read", None)).collect();
    settle().await;
    raised.raise();
    settle().await;
    holding[0].abort();
    assert_eq!(paths(&origin, 11).await[4..], ["/read", "/read", "/read", "/raised", "/warm", "/warm", "/warm"]);
    for answered in reading.into_iter().chain(warming).chain([refreshing]) {
        assert_eq!(answered.await.unwrap(), 200);
    }
    assert_eq!(sidecar.in_flight(), 3);
    assert_eq!(sidecar.upstream_requests(Source::Refresh, Attempt::Ok), 1, "it is still a refresh");
}

#[tokio::test]
async fn warming_leaves_most_places_to_readers() {
    let origin = Origin::start(|request, _| if request.line().contains("hold") { Act::hang() } else { Act::ok("x") }).await;
    let sidecar = sidecar(&origin, |upstream| (upstream.max_in_flight, upstream.max_queue) = (4, 0));
    let _warming: Vec<_> = (0..9).map(|_| spawn(&sidecar, "/hold", Some(warm()))).collect();
    paths(&origin, 1).await;
    assert_eq!(ask(&sidecar, "/", None).await, 200);
    assert_eq!((origin.requests().len(), sidecar.in_flight()), (2, 1), "a quarter of four");
    let (server, mut upstream) = settings(origin.address);
    (upstream.max_in_flight, upstream.warm_share) = (4, Share::new(0.5));
    sidecar.reload(server, upstream);
    paths(&origin, 3).await;
    assert_eq!(sidecar.in_flight(), 2);
}

#[tokio::test]
async fn without_a_share_warming_is_refused_in_words() {
    let origin = Origin::always(Act::ok("x")).await;
    let sidecar = sidecar(&origin, |upstream| upstream.warm_share = Share::new(0.0));
    let mut request = Request::get("/").body(RequestBody::default()).unwrap();
    request.extensions_mut().insert(warm());
    let response = sidecar.upstream().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 503);
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("warm.max_share"), "{body:?}");
    assert_eq!(ask(&sidecar, "/", None).await, 200);
}

#[tokio::test]
async fn every_attempt_is_counted_by_its_source_and_its_end() {
    let origin = Origin::start(|request, _| match request.line().split(' ').nth(1).unwrap() {
        "/error" => Act::send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", Then::Keep),
        "/gone" => Act::send("", Then::Fin),
        "/hang" => Act::hang(),
        "/missing" => Act::send("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", Then::Keep),
        _ => Act::ok("x"),
    })
    .await;
    let sidecar = sidecar(&origin, |upstream| upstream.retries = 2);
    let refresh = Priority::new(Source::Refresh);
    for (path, priority, status) in [
        ("/gone", None, 502), // three attempts
        ("/", None, 200),
        ("/missing", None, 404),
        ("/error", Some(&warm()), 503),
        ("/", Some(&refresh), 200),
    ] {
        assert_eq!(ask(&sidecar, path, priority).await, status, "{path}");
    }
    let abandoned = spawn(&sidecar, "/hang", Some(warm()));
    paths(&origin, 8).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    let counts = Source::ALL.map(|source| Attempt::ALL.map(|attempt| sidecar.upstream_requests(source, attempt)));
    assert_eq!(counts, [[2, 0, 3], [0, 1, 1], [1, 0, 0]]);
    assert_eq!(counts.as_flattened().iter().sum::<u64>(), origin.requests().len() as u64);
}
