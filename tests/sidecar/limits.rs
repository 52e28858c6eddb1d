//! What one client may take: requests by the second, connections, and time for a body.

use crate::client::Client;
use crate::origin::{Act, Origin, Then};
use crate::rig::{Rig, settings};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use warmfront::cache::rules::PathPattern;
use warmfront::sidecar::settings::{RateKey, RateLimit, RuleLimit};
use warmfront::telemetry::Refusal;

const SHORT: Duration = Duration::from_millis(100);

fn rate(burst: u32) -> RateLimit {
    RateLimit { per_second: 1, burst, ..RateLimit::default() }
}

async fn ask(client: &mut Client, path: &str, fields: &str) -> u16 {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).await;
    client.response().await.unwrap().status
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| server.rate_limit = rate(3)).await;
    let mut client = rig.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status, 200);
    }
    client.send("GET / HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n").await;
    let refused = client.response().await.unwrap();
    assert_eq!((refused.status, refused.all("retry-after")), (429, vec!["1"]));
    assert_eq!(refused.all("content-type"), ["application/problem+json"]);
    assert!(refused.text().contains(r#""reason":"rate-limited""#), "{}", refused.text());
    assert_eq!(ask(&mut rig.client().await, "/", "").await, 429, "another connection is no other client");
    assert_eq!((rig.sidecar.refused(Refusal::RateLimited), origin.requests().len()), (2, 3));
    // The connection goes on, and a reload lifts the limit for it.
    let (mut server, upstream) = settings(origin.address);
    server.listen.clone_from(&vec![warmfront::sidecar::settings::ListenAddr::Tcp("127.0.0.1:0".parse().unwrap())]);
    rig.sidecar.reload(server, upstream);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn a_reload_that_changes_nothing_forgives_nothing() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| server.rate_limit = rate(1)).await;
    let mut client = rig.client().await;
    assert_eq!(client.get("/").await.status, 200);
    let (mut server, upstream) = settings(origin.address);
    (server.rate_limit, server.max_request_body) = (rate(1), 5);
    rig.sidecar.reload(server, upstream);
    assert_eq!(client.get("/").await.status, 429);
}

#[tokio::test]
async fn a_rule_has_a_rate_of_its_own() {
    let origin = Origin::always(Act::ok("x")).await;
    let rule = |path: &str, limit| RuleLimit { path: PathPattern::parse(path).unwrap(), limit };
    let rules = vec![rule("/free", Some(RateLimit::default())), rule("/dear/**", Some(rate(1)))];
    let rig = Rig::with(origin.address, |server, _| (server.rate_limit, server.rule_limits) = (rate(2), rules)).await;
    let mut client = rig.client().await;
    for (path, expected) in [("/free", [200; 3]), ("/dear/a?q", [200, 429, 429]), ("/other", [200, 200, 429])] {
        for status in expected {
            assert_eq!(ask(&mut client, path, "").await, status, "{path}");
        }
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_who_it_names_and_a_stranger_names_nobody() {
    let origin = Origin::always(Act::ok("x")).await;
    let trusting = Rig::with(origin.address, |server, _| {
        (server.rate_limit, server.trusted_proxies) = (rate(1), vec!["127.0.0.0/8".parse().unwrap()]);
    })
    .await;
    let mut client = trusting.client().await;
    assert_eq!(ask(&mut client, "/", "X-Forwarded-For: 192.0.2.1\r\n").await, 200);
    assert_eq!(ask(&mut client, "/", "X-Forwarded-For: 192.0.2.2\r\n").await, 200);
    assert_eq!(ask(&mut client, "/", "X-Forwarded-For: 192.0.2.99, 192.0.2.1\r\n").await, 429);
    let wary = Rig::with(origin.address, |server, _| server.rate_limit = rate(1)).await;
    let mut client = wary.client().await;
    assert_eq!(ask(&mut client, "/", "X-Forwarded-For: 192.0.2.1\r\n").await, 200);
    assert_eq!(ask(&mut client, "/", "X-Forwarded-For: 192.0.2.2\r\n").await, 429);
}

#[tokio::test]
async fn an_identity_is_what_its_header_says() {
    let origin = Origin::always(Act::ok("x")).await;
    let by = RateKey::Header("authorization".parse().unwrap());
    let rig = Rig::with(origin.address, |server, _| server.rate_limit = RateLimit { by, ..rate(1) }).await;
    let mut client = rig.client().await;
    for (fields, status) in
        [("Authorization: a\r\n", 200), ("Authorization: b\r\n", 200), ("Authorization: a\r\n", 429), ("", 200), ("", 429)]
    {
        assert_eq!(ask(&mut client, "/", fields).await, status, "{fields}");
    }
}

#[tokio::test]
async fn an_upload_that_drips_is_given_up_however_steadily() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| (server.header_timeout, server.min_body_rate) = (SHORT, 1000)).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n").await;
    let dripping = async {
        while rig.sidecar.refused(Refusal::BodyTimeout) == 0 {
            let _ = client.stream.write_all(b"x").await;
            tokio::time::sleep(SHORT / 5).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), dripping).await.expect("it is given up");
    let response = client.response().await.unwrap();
    assert_eq!(response.status, 408);
    assert!(response.text().contains("server.min_body_rate (1000 B/s)"), "{}", response.text());
    assert!(client.is_closed().await);
    while rig.sidecar.in_flight() > 0 {
        tokio::task::yield_now().await; // its place at the upstream is free
    }
    assert_eq!(rig.sidecar.refused(Refusal::BadRequest), 0, "what is wrong with it is counted once");
}

#[tokio::test]
async fn an_upload_that_keeps_to_the_floor_takes_the_time_it_takes() {
    let origin = Origin::always(Act::ok("done")).await;
    let rig = Rig::with(origin.address, |server, _| (server.header_timeout, server.min_body_rate) = (SHORT, 20)).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n").await;
    for _ in 0..30 {
        client.send([b'x'; 10]).await;
        tokio::time::sleep(SHORT / 5).await; // in all twice as long as silence may last
    }
    assert_eq!(client.response().await.unwrap().text(), "done");
}

#[tokio::test]
async fn a_reader_below_the_floor_is_given_up_though_it_reads() {
    let body = "x".repeat(60_000_000);
    let origin = Origin::always(Act::ok(&body)).await;
    let rig = Rig::with(origin.address, |server, _| (server.idle_timeout, server.min_body_rate) = (SHORT * 3, 1 << 40)).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (mut read, mut piece) = (0, vec![0; 200_000]);
    let reading = async {
        while rig.sidecar.refused(Refusal::StalledReader) == 0 {
            read += client.stream.read(&mut piece).await.unwrap_or(0);
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it is given up");
    assert!(read < body.len());
}

#[tokio::test]
async fn a_client_has_so_many_connections_and_no_more() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| server.max_connections_per_client = 2).await;
    let (mut one, mut two) = (rig.client().await, rig.client().await);
    assert_eq!((one.get("/").await.status, two.get("/").await.status), (200, 200));
    assert!(rig.client().await.is_closed().await, "the third is closed without a word");
    assert_eq!(rig.sidecar.refused(Refusal::TooManyConnections), 1);
    drop(one);
    let again = async {
        loop {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
            if client.response().await.is_some() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("a place that was given back is free");
}

#[tokio::test]
async fn who_holds_connections_and_asks_nothing_does_not_keep_out_who_asks() {
    let origin = Origin::start(|request, _| if request.line().contains("slow") { Act::hang() } else { Act::ok("x") }).await;
    let rig = Rig::with(origin.address, |server, _| server.max_connections = 4).await;
    let mut busy = rig.client().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut idle = rig.client().await;
    assert_eq!(idle.get("/").await.status, 200);
    let silent = [rig.client().await, rig.client().await];
    let mut later = Vec::new();
    for _ in 0..3 {
        let mut client = rig.client().await;
        assert_eq!(client.get("/").await.status, 200, "all places were taken");
        later.push(client);
    }
    assert!(idle.is_closed().await);
    for mut silent in silent {
        assert!(silent.is_closed().await);
    }
    let mut one = [0; 1];
    let waiting = tokio::time::timeout(Duration::ZERO, busy.stream.peek(&mut one)).await;
    assert!(waiting.is_err(), "a request under way is left alone");
    assert!(rig.sidecar.refused(Refusal::HeaderTimeout) == 0);
}

/// The sizes lie around what the buffers of the sockets take: for some of them the end of the answer waits in hyper for its reader.
#[tokio::test]
async fn an_answer_to_an_upload_with_a_vain_upgrade_is_whole() {
    let size = |line: &str| line.split(['/', ' ']).nth(2).unwrap().parse::<usize>().unwrap();
    let origin = Origin::start(move |request, _| {
        let size = size(request.line());
        Act::send(format!("HTTP/1.1 403 No\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size)), Then::Hang).early()
    })
    .await;
    let rig = Rig::before(&origin).await;
    let mut clients = Vec::new();
    for size in (1..40).map(|step| step * 200_000) {
        let mut client = rig.client().await;
        let offer = "Connection: upgrade\r\nUpgrade: websocket\r\n";
        client.send(format!("POST /{size} HTTP/1.1\r\nHost: h\r\n{offer}Content-Length: 1000000\r\n\r\nsome")).await;
        clients.push((size, client));
    }
    tokio::time::sleep(SHORT * 5).await; // readers that are not there at once
    for (size, mut client) in clients {
        let response = client.response().await.unwrap();
        assert_eq!((response.status, response.body.len(), response.complete), (403, size, true));
    }
    assert!(origin.requests().iter().all(|request| request.all("upgrade").is_empty()));
}
