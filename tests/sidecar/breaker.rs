//! A circuit breaker: while nearly everything fails nothing is asked, stale copies serve within their bounds, and one probe closes it.

use crate::client::Client;
use crate::origin::{Act, Origin, Then};
use crate::rig::Rig;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tower_layer::Layer as _;
use warmfront::sidecar::Sidecar;
use warmfront::sidecar::settings::{BreakerSettings, Counted, ListenAddr, Share, UpstreamSettings};
use warmfront::telemetry::{BreakerState, Refusal};
use warmfront::{Cache, CacheLayer, Rule, Settings};

const OPEN_FOR: Duration = Duration::from_millis(200);

fn touchy(upstream: &mut UpstreamSettings) {
    upstream.breaker = BreakerSettings { min_requests: 5, open_for: OPEN_FOR, ..BreakerSettings::default() };
    upstream.retries = 0;
}

/// An origin that does well until it is told otherwise.
async fn moody(bad: Act) -> (Origin, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(true));
    let told = well.clone();
    let origin = Origin::start(move |_, _| if told.load(Ordering::SeqCst) { Act::ok("well") } else { bad.clone() }).await;
    (origin, well)
}

fn unavailable() -> Act {
    Act::send("HTTP/1.1 503 Oh\r\nContent-Length: 0\r\n\r\n", Then::Keep)
}

fn breaker(sidecar: &Sidecar) -> BreakerState {
    sidecar.origins()[0].breaker
}

#[tokio::test]
async fn it_opens_where_everything_fails_and_a_probe_closes_it() {
    let (origin, well) = moody(unavailable()).await;
    let rig = Rig::with(origin.address, |_, upstream| touchy(upstream)).await;
    let mut client = rig.client().await;
    well.store(false, Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(client.get("/").await.status, 503);
    }
    assert_eq!(breaker(&rig.sidecar), BreakerState::Open);
    let refused = client.get("/").await;
    assert_eq!((refused.status, refused.all("retry-after")), (503, vec!["1"]));
    assert!(refused.text().contains("upstream.breaker"), "{}", refused.text());
    assert_eq!((origin.requests().len(), rig.sidecar.refused(Refusal::CircuitOpen)), (5, 1), "nobody was asked");
    tokio::time::sleep(OPEN_FOR).await;
    assert_eq!(breaker(&rig.sidecar), BreakerState::HalfOpen);
    assert_eq!((client.get("/").await.status, origin.requests().len()), (503, 6), "a probe, that fails");
    assert_eq!(breaker(&rig.sidecar), BreakerState::Open);
    well.store(true, Ordering::SeqCst);
    tokio::time::sleep(OPEN_FOR).await;
    assert_eq!(client.get("/").await.text(), "well");
    assert_eq!(breaker(&rig.sidecar), BreakerState::Closed);
}

#[tokio::test]
async fn one_probe_goes_out_at_a_time() {
    let (origin, well) = moody(unavailable()).await;
    let rig = Rig::with(origin.address, |_, upstream| touchy(upstream)).await;
    let mut client = rig.client().await;
    well.store(false, Ordering::SeqCst);
    for _ in 0..5 {
        client.get("/").await;
    }
    tokio::time::sleep(OPEN_FOR).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.response().await.unwrap().status, 503);
    }
    assert_eq!(origin.requests().len() + usize::try_from(rig.sidecar.refused(Refusal::CircuitOpen)).unwrap(), 15);
    assert!(origin.requests().len() < 9, "{} of 15 were let through", origin.requests().len());
}

#[tokio::test]
async fn an_endpoint_that_answers_500_takes_no_other_with_it_unless_it_is_told_to() {
    for (counted, open) in [(Counted::Unavailable, false), (Counted::ServerErrors, true)] {
        let bad = |line: &str| line.contains("/bad");
        let failing = Act::send("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", Then::Keep);
        let origin = Origin::start(move |request, _| if bad(request.line()) { failing.clone() } else { Act::ok("fine") }).await;
        let rig = Rig::with(origin.address, |_, upstream| {
            touchy(upstream);
            upstream.breaker.counted = counted;
        })
        .await;
        let mut client = rig.client().await;
        for _ in 0..20 {
            client.get("/bad").await;
        }
        assert_eq!(client.get("/good").await.status == 503, open, "{counted:?}");
    }
}

#[tokio::test]
async fn switched_off_it_asks_for_ever() {
    let origin = Origin::always(unavailable()).await;
    let rig = Rig::with(origin.address, |_, upstream| {
        touchy(upstream);
        upstream.breaker.errors = Share::new(0.0);
    })
    .await;
    let mut client = rig.client().await;
    for _ in 0..30 {
        client.get("/").await;
    }
    assert_eq!(origin.requests().len(), 30);
}

#[tokio::test]
async fn answers_that_take_too_long_open_it() {
    let late = Act {
        early: false,
        pieces: vec![(Vec::new(), Duration::from_millis(20)), (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(), Duration::ZERO)],
        then: Then::Keep,
    };
    let origin = Origin::always(late).await;
    let rig = Rig::with(origin.address, |_, upstream| {
        touchy(upstream);
        upstream.breaker.slow = Duration::from_millis(5);
    })
    .await;
    let mut client = rig.client().await;
    for _ in 0..5 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(client.get("/").await.status, 503);
    assert_eq!(rig.sidecar.refused(Refusal::CircuitOpen), 1);
}

#[tokio::test]
async fn the_open_one_of_two_is_left_alone_and_readers_see_nothing() {
    let (bad, good) = (Origin::always(unavailable()).await, Origin::always(Act::ok("good")).await);
    let rig = Rig::with(bad.address, |_, upstream| {
        touchy(upstream);
        (upstream.eject.after, upstream.breaker.open_for) = (0, Duration::from_secs(60));
        upstream.origins.push(good.address.to_string().parse().unwrap());
    })
    .await;
    let mut client = rig.client().await;
    let statuses: Vec<u16> = {
        let mut statuses = Vec::new();
        for _ in 0..60 {
            statuses.push(client.get("/").await.status);
        }
        statuses
    };
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 5, "{statuses:?}");
    assert_eq!((bad.requests().len(), rig.sidecar.refused(Refusal::CircuitOpen)), (5, 0));
}

#[tokio::test]
async fn while_it_is_open_stale_copies_serve_within_their_bounds_and_the_rest_is_503_at_once() {
    let (origin, well) = moody(Act::hang()).await;
    let mut upstream = UpstreamSettings { preconnect: 0, ..UpstreamSettings::new(origin.address.to_string().parse().unwrap()) };
    touchy(&mut upstream);
    (upstream.response_timeout, upstream.breaker.open_for) = (Duration::from_millis(20), Duration::from_secs(60));
    let server = warmfront::sidecar::settings::ServerSettings {
        listen: vec![ListenAddr::Tcp("127.0.0.1:0".parse().unwrap())],
        ..Default::default()
    };
    let sidecar = Sidecar::new(server, upstream);
    let bound = sidecar.bind().await.unwrap();
    let [ListenAddr::Tcp(address)] = bound.addresses()[..] else { panic!("one TCP address") };
    let rule = |path: &str, bound| Rule::path(path).unwrap().ttl(Duration::from_millis(1)).stale_if_error(Duration::from_secs(bound));
    let cache = Cache::builder().settings(Settings { rules: vec![rule("/covered", 60), rule("/**", 0)], ..Settings::default() }).build();
    let service = CacheLayer::new(cache).layer(sidecar.upstream());
    tokio::spawn(bound.run(service, std::future::pending()));
    let mut client = Client::connect(address).await;
    for path in ["/covered", "/bare"] {
        assert_eq!(client.get(path).await.text(), "well");
    }
    tokio::time::sleep(Duration::from_millis(1100)).await; // ages are whole seconds
    well.store(false, Ordering::SeqCst);
    while breaker(&sidecar) != BreakerState::Open {
        assert_eq!(client.get("/other").await.status, 504);
    }
    let asked = origin.requests().len();
    let covered = client.get("/covered").await;
    assert_eq!((covered.status, covered.text()), (200, "well"));
    for path in ["/bare", "/new"] {
        let refused = client.get(path).await;
        assert_eq!((refused.status, refused.all("retry-after").len()), (503, 1), "{path}");
    }
    assert_eq!(origin.requests().len(), asked, "nobody was asked for any of it");
}

#[tokio::test]
async fn bodies_that_break_off_open_it() {
    let origin = Origin::always(Act::send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", Then::Fin)).await;
    let rig = Rig::with(origin.address, |_, upstream| touchy(upstream)).await;
    let mut asked = 0;
    while breaker(&rig.sidecar) == BreakerState::Closed && asked < 100 {
        assert!(!rig.client().await.get("/").await.complete);
        asked += 1;
    }
    assert_eq!(breaker(&rig.sidecar), BreakerState::Open);
    assert_eq!(rig.client().await.get("/").await.status, 503);
    assert_eq!(origin.requests().len(), asked);
}
