//! Clients that leave: a fill that can be stored goes on without them, and nobody else notices.

use crate::house::{House, answer, fresh, millis, until};
use crate::origin::{Act, Origin, Then};
use std::time::Duration;
use warmfront::telemetry::Refusal;

fn in_two_pieces() -> Act {
    let mut act = Act::send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst", Then::Keep);
    act.pieces[0].1 = millis(150);
    act.pieces.push((b"-half".to_vec(), Duration::ZERO));
    act
}

#[tokio::test]
async fn a_leader_that_leaves_before_the_headers_leaves_a_stored_response() {
    let origin = Origin::always(fresh("whole").after(millis(100))).await;
    let house = House::before(&origin).await;
    let mut leader = house.client().await;
    leader.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    until("the origin is asked", || !origin.requests().is_empty()).await;
    drop(leader);
    house.stores(1).await;
    let hit = house.get("/").await;
    assert!(hit.is_hit() && hit.text() == "whole");
}

#[tokio::test]
async fn a_leader_that_leaves_mid_body_leaves_its_follower_and_the_fill_alone() {
    let origin = Origin::always(in_two_pieces()).await;
    let house = House::before(&origin).await;
    let (mut leader, mut follower) = (house.client().await, house.client().await);
    leader.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    leader.stream.readable().await.unwrap();
    follower.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    follower.stream.readable().await.unwrap();
    leader.stream.set_zero_linger().unwrap();
    drop(leader);
    let response = follower.response().await.unwrap();
    assert_eq!((response.text(), response.complete), ("first-half", true));
    house.stores(1).await;
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn when_all_leave_mid_body_it_is_stored_all_the_same() {
    let origin = Origin::always(in_two_pieces()).await;
    let house = House::before(&origin).await;
    for _ in 0..3 {
        let mut client = house.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        client.stream.readable().await.unwrap();
    }
    house.stores(1).await;
    let hit = house.get("/").await;
    assert!(hit.is_hit() && hit.text() == "first-half");
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_follower_that_leaves_is_missed_by_nobody() {
    let origin = Origin::always(in_two_pieces().after(millis(50))).await;
    let house = House::before(&origin).await;
    let mut leader = house.client().await;
    leader.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    until("the origin is asked", || !origin.requests().is_empty()).await;
    for _ in 0..10 {
        let mut follower = house.client().await;
        follower.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        follower.stream.set_zero_linger().unwrap();
    }
    let response = leader.response().await.unwrap();
    assert_eq!((response.text(), response.complete), ("first-half", true));
    house.stores(1).await;
}

#[tokio::test]
async fn an_endless_body_that_nobody_may_keep_ends_with_its_reader() {
    for fields in ["Cache-Control: no-store", "Cache-Control: max-age=60"] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut act = Act::send(head, Then::Fin);
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
        act.pieces.extend((0..100_000).map(|_| (chunk.clone(), Duration::ZERO)).take(400));
        act.then = Then::Hang;
        let origin = Origin::always(act).await;
        let house = House::with(origin.address, |_, upstream, settings| {
            settings.max_object = 1 << 20;
            (upstream.max_in_flight, upstream.max_queue) = (1, 0);
        })
        .await;
        let mut client = house.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.exactly(4 << 20).await.len(), 4 << 20);
        assert_eq!(house.get("/other").await.status, 503, "{fields}: the place at the upstream is taken");
        drop(client);
        let free = async {
            while house.ask("HEAD /other", &[]).await.status == 503 {
                tokio::time::sleep(millis(5)).await;
            }
        };
        tokio::time::timeout(crate::house::LONG, free).await.expect("the upstream is let go with the last reader");
    }
}

#[tokio::test]
async fn a_put_whose_client_leaves_before_the_answer_still_invalidates_what_it_changed() {
    let origin = Origin::start(|request, number| match request.line().starts_with("PUT") {
        true => answer("", "done").after(millis(300)),
        false => fresh(&format!("version {number}")),
    })
    .await;
    let house = House::before(&origin).await;
    assert_eq!(house.get("/item").await.text(), "version 0");
    house.stores(1).await;
    let mut client = house.client().await;
    client.send("PUT /item HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await;
    until("the origin has the request", || origin.requests().last().is_some_and(|received| received.body == b"x")).await;
    client.stream.set_zero_linger().unwrap();
    drop(client);
    let seen = async {
        while house.get("/item").await.text() == "version 0" {
            tokio::time::sleep(millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3), seen).await.expect("the change is seen");
}

#[tokio::test]
async fn an_upload_that_its_client_breaks_off_is_abandoned_and_nobodys_failure() {
    let origin = Origin::always(answer("", "done")).await;
    let house = House::with(origin.address, |_, upstream, _| upstream.eject.after = 1).await;
    let mut left = 0;
    for (framing, part) in [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n"), ("Content-Length: 10", "")] {
        for reset in [true, false] {
            let mut client = house.client().await;
            let asked = origin.requests().len();
            client.send(format!("POST /form HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n{part}")).await;
            until("the origin is asked", || origin.requests().len() > asked).await;
            if reset {
                client.stream.set_zero_linger().unwrap();
            }
            drop(client);
            left += 1;
            until("it is counted", || house.cache.stats().abandoned == left).await;
        }
    }
    assert_eq!((house.cache.stats().failed, house.sidecar.refused(Refusal::BadRequest)), (0, 0));
    assert!(house.sidecar.origins()[0].up, "the origin has done nothing");
    until("its places are free", || house.sidecar.in_flight() == 0).await;
}

#[tokio::test]
async fn those_who_have_left_a_silent_origin_keep_no_places_from_the_living() {
    let origin = Origin::start(|request, _| if request.line().contains("hang") { Act::hang() } else { fresh("alive") }).await;
    let house = House::with(origin.address, |_, upstream, _| upstream.max_in_flight = 2).await;
    for number in 1..=2 {
        let mut client = house.client().await;
        client.send(format!("GET /hang/{number} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        until("the origin is asked", || origin.requests().len() == number).await;
    }
    assert_eq!(house.get("/living").await.text(), "alive", "well before upstream.queue_timeout");
    until("the places are free", || house.sidecar.in_flight() == 0).await;
}
