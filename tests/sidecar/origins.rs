//! Several origins: load is shared, who fails is left alone and comes back, and nothing is sent twice that may not be.

use crate::client::Response;
use crate::origin::{Act, Origin, Then};
use crate::rig::{Rig, settings};
use http::HeaderName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use warmfront::sidecar::OriginState;
use warmfront::sidecar::settings::{Balance, UpstreamSettings};

/// No test waits longer for a condition.
const PATIENCE: Duration = Duration::from_secs(10);

async fn rig(origins: &[SocketAddr], adjust: impl FnOnce(&mut UpstreamSettings)) -> Rig {
    Rig::with(origins[0], |_, upstream| {
        upstream.origins = origins.iter().map(|origin| origin.to_string().parse().unwrap()).collect();
        adjust(upstream);
    })
    .await
}

fn state(rig: &Rig, origin: SocketAddr) -> OriginState {
    rig.sidecar.origins().into_iter().find(|state| *state.origin == *format!("http://{origin}")).unwrap()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

/// An address where nobody listens.
async fn closed() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn ask(rig: &Rig, method: &str, path: &str, fields: &str) -> Response {
    let mut client = rig.client().await;
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).await;
    client.response().await.unwrap()
}

#[tokio::test]
async fn origins_share_the_load() {
    let origins = [Origin::always(Act::ok("a")).await, Origin::always(Act::ok("b")).await];
    let rig = rig(&[origins[0].address, origins[1].address], |_| {}).await;
    let mut client = rig.client().await;
    for _ in 0..60 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert!(
        origins.iter().all(|origin| origin.requests().len() > 5),
        "{} and {}",
        origins[0].requests().len(),
        origins[1].requests().len()
    );
}

#[tokio::test]
async fn who_is_busy_gets_less() {
    let busy = Origin::start(|request, _| if request.line().contains("/wait") { Act::hang() } else { Act::ok("busy") }).await;
    let idle = Origin::always(Act::ok("idle")).await;
    let rig = rig(&[busy.address], |_| {}).await;
    let mut waiting = rig.client().await;
    waiting.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n").await;
    until("the request is there", || state(&rig, busy.address).in_flight == 1).await;
    let (server, mut upstream) = settings(busy.address);
    upstream.origins.push(idle.address.to_string().parse().unwrap());
    rig.sidecar.reload(server, upstream);
    assert_eq!(state(&rig, busy.address).in_flight, 1, "a reload knows it still");
    let mut client = rig.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.text(), "idle");
    }
}

#[tokio::test]
async fn one_of_two_is_down_and_no_reader_sees_it_and_it_comes_back() {
    let (up, down) = (Origin::always(Act::ok("up")).await, closed().await);
    let rig = rig(&[up.address, down], |upstream| upstream.eject.time = Duration::from_millis(50)).await;
    let mut client = rig.client().await;
    for _ in 0..60 {
        assert_eq!(client.get("/").await.text(), "up");
    }
    assert_eq!((state(&rig, down).ejections, state(&rig, down).up, state(&rig, up.address).up), (1, false, true));
    let back = Origin::at(down, |_, _| Act::ok("back")).await;
    let asking = async {
        while !state(&rig, down).up || back.requests().len() < 5 {
            assert_eq!(client.get("/").await.status, 200);
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it is tried again, and has its part");
}

#[tokio::test]
async fn who_answers_503_is_ejected_as_well_and_who_answers_500_is_not() {
    for (status, ejected) in [(503, true), (500, false)] {
        let text = format!("HTTP/1.1 {status} Oh\r\nContent-Length: 0\r\n\r\n");
        let (good, bad) = (Origin::always(Act::ok("good")).await, Origin::always(Act::send(text, Then::Keep)).await);
        let rig = rig(&[good.address, bad.address], |_| {}).await;
        let mut client = rig.client().await;
        for _ in 0..60 {
            client.get("/").await;
        }
        assert_eq!(!state(&rig, bad.address).up, ejected, "{status}");
        assert_eq!(bad.requests().len() == 5, ejected, "{status}");
    }
}

#[tokio::test]
async fn an_origin_that_is_alone_is_asked_however_often_it_fails() {
    let failing = Origin::always(Act::send("HTTP/1.1 503 Oh\r\nContent-Length: 0\r\n\r\n", Then::Keep)).await;
    let rig = rig(&[failing.address], |upstream| upstream.breaker.min_requests = 1000).await;
    let mut client = rig.client().await;
    for _ in 0..30 {
        assert_eq!(client.get("/").await.status, 503);
    }
    assert_eq!((failing.requests().len(), state(&rig, failing.address).up), (30, false), "ejected, and the least bad");
}

#[tokio::test]
async fn nothing_is_put_twice_that_may_have_been_done() {
    let (gone, other) = (Origin::always(Act::send("", Then::Fin)).await, Origin::always(Act::ok("done")).await);
    let first = |upstream: &mut UpstreamSettings| (upstream.eject.after, upstream.retries) = (0, 3);
    let rig = rig(&[gone.address, other.address], first).await;
    let (mut failed, mut done) = (0, 0);
    for number in 0..20 {
        for (method, fields) in [("POST", ""), ("POST", "Content-Length: 0\r\n"), ("PATCH", ""), ("POST", "Content-Length: 2\r\n\r\nhi")] {
            let response = ask(&rig, method, &format!("/{number}"), fields).await;
            (failed, done) = if response.status == 502 { (failed + 1, done) } else { (failed, done + 1) };
        }
    }
    assert_eq!((gone.requests().len(), other.requests().len()), (failed, done), "each once, wherever it went");
    assert!(failed > 0 && done > 0);
    for method in ["GET", "PUT", "DELETE"] {
        for _ in 0..10 {
            assert_eq!(ask(&rig, method, "/", "").await.status, 200, "{method} may be repeated, and is, at the other one");
        }
    }
}

#[tokio::test]
async fn nothing_is_put_again_after_a_byte_of_the_answer() {
    let torn = Origin::always(Act::send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", Then::Reset)).await;
    let other = Origin::always(Act::ok("hello")).await;
    let rig = rig(&[torn.address, other.address], |_| {}).await;
    let mut broken = 0;
    for _ in 0..20 {
        let response = ask(&rig, "GET", "/", "").await;
        broken += usize::from(!response.complete);
    }
    assert_eq!((torn.requests().len(), torn.requests().len() + other.requests().len()), (broken, 20));
}

#[tokio::test]
async fn half_a_head_is_a_byte_of_the_answer_and_so_is_an_interim_response() {
    for begun in ["H", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"] {
        let torn =
            Origin::start(move |request, _| if request.line().contains("/whole") { Act::ok("x") } else { Act::send(begun, Then::Fin) });
        let torn = torn.await;
        let rig = rig(&[torn.address], |upstream| upstream.retries = 3).await;
        assert_eq!((ask(&rig, "GET", "/", "").await.status, torn.requests().len()), (502, 1), "on a new connection: {begun:?}");
        assert_eq!(ask(&rig, "GET", "/whole", "").await.status, 200);
        assert_eq!((ask(&rig, "GET", "/", "").await.status, torn.requests().len()), (502, 3), "on one that has served: {begun:?}");
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come_in_time_is_sought_elsewhere() {
    // A listener whose queue is full accepts nobody: one that is filled before the test begins.
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (full, mut held) = (full.listen(1).unwrap(), Vec::new());
    let address = full.local_addr().unwrap();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await {
        held.push(stream);
    }
    let up = Origin::always(Act::ok("up")).await;
    let rig = rig(&[address, up.address], |upstream| {
        (upstream.connect_timeout, upstream.eject.after) = (Duration::from_millis(50), 2);
    })
    .await;
    for _ in 0..20 {
        assert_eq!(ask(&rig, "GET", "/", "").await.text(), "up");
    }
    assert_eq!(state(&rig, address).ejections, 1);
}

#[tokio::test]
async fn what_has_one_key_goes_to_one_origin_and_to_the_next_while_that_is_out() {
    let origins = [Origin::always(Act::ok("0")).await, Origin::always(Act::ok("1")).await, Origin::always(Act::ok("2")).await];
    let addresses = [0, 1, 2].map(|at: usize| origins[at].address);
    let by_user = Balance::Header(HeaderName::from_static("x-user"));
    for (balance, fields, other) in
        [(Balance::Path, "", ""), (by_user, "X-User: u7\r\n", "X-User: u7\r\nX-Other: 1\r\n"), (Balance::Client, "", "")]
    {
        let rig = rig(&addresses, |upstream| upstream.balance = balance.clone()).await;
        let first = ask(&rig, "GET", "/same", fields).await.text().to_owned();
        for _ in 0..15 {
            assert_eq!(ask(&rig, "GET", "/same", other).await.text(), first, "{balance:?}");
        }
    }
    let one_gone = [addresses[0], closed().await, addresses[2]];
    let rig = rig(&one_gone, |upstream| upstream.balance = Balance::Path).await;
    for number in 0..30 {
        let path = format!("/{number}");
        let first = ask(&rig, "GET", &path, "").await.text().to_owned();
        assert_eq!(ask(&rig, "GET", &path, "").await.text(), first, "{path}");
    }
}

#[tokio::test]
async fn checks_take_an_origin_out_and_bring_it_back() {
    let healthy = Arc::new(AtomicBool::new(true));
    let sick = Origin::start({
        let healthy = healthy.clone();
        move |request, _| match request.line() {
            "GET /healthz HTTP/1.1" if !healthy.load(Ordering::SeqCst) => {
                Act::send("HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", Then::Keep)
            }
            _ => Act::ok("sick"),
        }
    })
    .await;
    let well = Origin::always(Act::ok("well")).await;
    let rig = rig(&[sick.address, well.address], |upstream| {
        upstream.health.path = Some("/healthz".parse().unwrap());
        (upstream.health.interval, upstream.max_in_flight) = (Duration::from_millis(10), 1);
    })
    .await;
    assert!(state(&rig, sick.address).up, "until checks say otherwise");
    healthy.store(false, Ordering::SeqCst);
    until("it is found unhealthy", || !state(&rig, sick.address).up).await;
    let mut client = rig.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.text(), "well");
    }
    healthy.store(true, Ordering::SeqCst);
    until("it is found healthy", || state(&rig, sick.address).up).await;
    let asking = async { while client.get("/").await.text() != "sick" {} };
    tokio::time::timeout(PATIENCE, asking).await.expect("it has its part");
    use warmfront::telemetry::{Attempt, Source};
    let asked: u64 = Attempt::ALL.iter().map(|attempt| rig.sidecar.upstream_requests(Source::Live, *attempt)).sum();
    let readers = |origin: &Origin| origin.requests().iter().filter(|request| request.line() == "GET / HTTP/1.1").count() as u64;
    assert_eq!(asked, readers(&sick) + readers(&well), "checks are nobody's requests");
}

#[tokio::test]
async fn after_a_reload_checks_ask_for_the_new_path_alone() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = rig(&[origin.address], |upstream| upstream.health.path = Some("/old".parse().unwrap())).await;
    let asked = |path: &str| origin.requests().iter().filter(|request| request.line() == format!("GET {path} HTTP/1.1")).count();
    until("it is checked", || asked("/old") == 1).await;
    let (server, mut upstream) = settings(origin.address);
    upstream.health.path = Some("/new".parse().unwrap());
    rig.sidecar.reload(server, upstream);
    until("it is checked in the new way", || asked("/new") == 1).await;
    assert_eq!(asked("/old"), 1);
}

#[tokio::test]
async fn where_all_are_unhealthy_readers_are_served_all_the_same() {
    let odd =
        Origin::start(|request, _| if request.line().contains("/healthz") { Act::send("", Then::Fin) } else { Act::ok("served") }).await;
    let rig = rig(&[odd.address], |upstream| {
        upstream.health.path = Some("/healthz".parse().unwrap());
        upstream.health.interval = Duration::from_millis(10);
    })
    .await;
    until("it is found unhealthy", || !state(&rig, odd.address).up).await;
    assert_eq!(ask(&rig, "GET", "/", "").await.text(), "served");
    let (server, upstream) = settings(odd.address);
    rig.sidecar.reload(server, upstream);
    assert!(state(&rig, odd.address).up, "checks that nobody makes any more say nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origins_come_and_go_under_load_and_no_request_fails() {
    let origins = [Origin::always(Act::ok("a")).await, Origin::always(Act::ok("b")).await, Origin::always(Act::ok("c")).await];
    let rig = Arc::new(rig(&[origins[0].address], |_| {}).await);
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (rig, done) = (rig.clone(), done.clone());
            tokio::spawn(async move {
                let mut client = rig.client().await;
                while !done.load(Ordering::SeqCst) {
                    assert_eq!(client.get("/").await.status, 200);
                }
            })
        })
        .collect();
    for round in 0..12 {
        let (server, mut upstream) = settings(origins[0].address);
        let set: Vec<usize> = vec![round % 3, (round + 1) % 3];
        upstream.origins = set.iter().map(|at| origins[*at].address.to_string().parse().unwrap()).collect();
        rig.sidecar.reload(server, upstream);
        let before = origins[set[1]].requests().len();
        until("the new one is asked", || origins[set[1]].requests().len() > before + 3).await;
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(rig.sidecar.origins().len(), 2);
}

/// Asks on a connection of its own, whatever comes of the body; whether it came whole.
async fn is_whole(rig: &Rig, path: &str) -> bool {
    let mut client = rig.client().await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
    client.response().await.is_some_and(|response| response.status == 200 && response.complete)
}

#[tokio::test]
async fn who_breaks_off_its_bodies_is_ejected_as_well() {
    for (head, then) in [
        ("Content-Length: 10\r\n\r\nhalf", Then::Fin),
        ("Content-Length: 10\r\n\r\nhalf", Then::Reset),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", Then::Fin),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n", Then::Keep),
        ("Content-Length: 10\r\n\r\nhalf", Then::Hang),
    ] {
        let bad = Origin::always(Act::send(format!("HTTP/1.1 200 OK\r\n{head}"), then)).await;
        let good = Origin::always(Act::ok("good")).await;
        let rig = rig(&[good.address, bad.address], |upstream| {
            upstream.idle_body_timeout = Duration::from_millis(20);
            upstream.eject.after = 3;
        })
        .await;
        let mut broken = 0;
        for _ in 0..60 {
            broken += usize::from(!is_whole(&rig, "/").await);
        }
        assert_eq!((bad.requests().len(), state(&rig, bad.address).up), (3, false), "{head:?} {then:?}");
        assert!(broken == 3 || matches!(then, Then::Reset), "a reset may take the head with it, which another origin makes up for");
        assert!(state(&rig, good.address).up);
    }
}

#[tokio::test]
async fn an_answer_that_was_asked_for_before_the_ejection_does_not_end_it() {
    let broken = Act::send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", Then::Fin);
    let mut slow = Act::ok("slow");
    slow.pieces.insert(0, (Vec::new(), Duration::from_millis(300)));
    let origin = Origin::start(move |request, _| if request.line().contains("/slow") { slow.clone() } else { broken.clone() }).await;
    let rig = rig(&[origin.address], |upstream| upstream.eject.after = 3).await;
    let mut client = rig.client().await;
    client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    until("it is asked", || !origin.requests().is_empty()).await;
    for _ in 0..3 {
        assert!(!is_whole(&rig, "/").await);
    }
    assert!(!state(&rig, origin.address).up);
    assert_eq!(client.response().await.unwrap().text(), "slow");
    assert_eq!((state(&rig, origin.address).up, state(&rig, origin.address).ejections), (false, 1));
}

#[tokio::test]
async fn streams_that_fall_silent_are_held_against_nobody() {
    let stream = Act::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent\n\r\n", Then::Hang);
    let origin = Origin::always(stream).await;
    let rig = rig(&[origin.address], |upstream| {
        upstream.idle_body_timeout = Duration::from_millis(20);
        upstream.eject.after = 2;
    })
    .await;
    for _ in 0..5 {
        assert!(!is_whole(&rig, "/").await, "cut all the same, and visibly");
    }
    until("they have ended", || state(&rig, origin.address).in_flight == 0).await;
    assert_eq!((state(&rig, origin.address).up, state(&rig, origin.address).failures), (true, 0));
}

#[tokio::test]
async fn a_whole_body_between_broken_ones_makes_up_for_them() {
    let broken = Act::send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", Then::Fin);
    let origin = Origin::start(move |_, number| if number % 3 == 2 { Act::ok("whole") } else { broken.clone() }).await;
    let rig = rig(&[origin.address], |upstream| upstream.eject.after = 3).await;
    for number in 0..30 {
        assert_eq!(is_whole(&rig, "/").await, number % 3 == 2);
    }
    assert_eq!((state(&rig, origin.address).up, state(&rig, origin.address).ejections), (true, 0));
}

#[tokio::test]
async fn a_reader_that_leaves_its_body_has_found_no_fault_with_the_origin() {
    let act = Act::send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning", Then::Hang);
    let early = act.clone().early();
    let origin = Origin::start(move |request, _| if request.line().starts_with("POST") { early.clone() } else { act.clone() }).await;
    let rig = rig(&[origin.address], |upstream| upstream.eject.after = 1).await;
    for head in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf"] {
        let mut client = rig.client().await;
        client.send(head).await;
        client.head().await;
        drop(client);
        until("it is noticed", || state(&rig, origin.address).in_flight == 0).await;
        assert!(state(&rig, origin.address).up, "{head}");
    }
}
