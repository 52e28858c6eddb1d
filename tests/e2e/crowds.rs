//! Many at once: one fill per key, followers at the headers, and nobody queues for what cannot be shared.

use crate::client::Client;
use crate::house::{House, LONG, answer, fresh, millis, until};
use crate::origin::{Act, Origin, Then};
use std::sync::Arc;
use std::time::{Duration, Instant};

const FOLLOWERS: usize = 50;
const ROUND_TRIP: Duration = millis(120);

/// When each of a crowd had its first byte, after the first request was sent; the leader's time is the first. All got `body`.
async fn crowd(house: &House, origin: &Origin, path: &str, body: &str) -> Vec<Duration> {
    let before = origin.requests().len();
    let mut clients = Vec::new();
    for _ in 0..=FOLLOWERS {
        clients.push(house.client().await);
    }
    let start = Instant::now();
    let mut readers = Vec::new();
    for (at, mut client) in clients.into_iter().enumerate() {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        let body = body.to_owned();
        readers.push(tokio::spawn(async move {
            client.stream.readable().await.unwrap();
            let first = start.elapsed();
            let response = client.response().await.unwrap();
            assert_eq!((response.status, response.text(), response.complete), (200, &*body, true));
            first
        }));
        if at == 0 {
            until("the leader's question has been put", || origin.requests().len() > before).await;
        }
    }
    let mut times = Vec::new();
    for reader in readers {
        times.push(reader.await.unwrap());
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_crowd_asks_the_origin_once() {
    let origin = Origin::always(fresh("for all").after(ROUND_TRIP)).await;
    let house = House::before(&origin).await;
    let times = crowd(&house, &origin, "/", "for all").await;
    assert_eq!(origin.requests().len(), 1);
    assert!(times.iter().all(|time| *time < ROUND_TRIP * 4), "nobody waits for a poll or a lock: {times:?}");
    let stats = house.cache.stats();
    assert_eq!((stats.misses, stats.collapsed), (1, FOLLOWERS as u64));
    assert!(house.get("/").await.is_hit());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_for_what_is_private_is_let_go_at_the_headers_and_does_not_queue_again() {
    let mut act = answer("Cache-Control: private, max-age=60", "");
    let head = "HTTP/1.1 200 OK\r\nCache-Control: private, max-age=60\r\nContent-Length: 4\r\n\r\n".to_owned();
    act.pieces = vec![(vec![], ROUND_TRIP), (head.into_bytes(), millis(300)), (b"mine".to_vec(), Duration::ZERO)];
    // Once the first crowd has been served, nobody is answered any more.
    let origin = Origin::start(move |_, number| if number <= FOLLOWERS { act.clone() } else { Act::hang() }).await;
    let house = House::before(&origin).await;
    let times = crowd(&house, &origin, "/", "mine").await;
    assert_eq!(origin.requests().len(), FOLLOWERS + 1, "each has asked for itself");
    assert!(times.iter().all(|time| *time < ROUND_TRIP * 5), "the leader's headers let them go, not the end of its body: {times:?}");
    let mut second = Vec::new();
    for _ in 0..=FOLLOWERS {
        let mut client = house.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        second.push(client);
    }
    until("all of the second crowd ask, though none of it is answered", || origin.requests().len() == 2 * (FOLLOWERS + 1)).await;
    assert_eq!(house.cache.stats().entries, 0);
}

/// A body of twenty chunks, one every 100 ms.
fn slow_stream(fields: &str) -> Act {
    let mut act = Act::send(format!("HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n"), Then::Keep);
    act.pieces.extend((0..20).map(|at| (format!("4\r\n{at:03};\r\n").into_bytes(), millis(100))));
    act.pieces.push((b"0\r\n\r\n".to_vec(), Duration::ZERO));
    act
}

/// Reads until the stream contains `text`.
async fn read_to(client: &mut Client, text: &str) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(text.as_bytes()) {
        let more = client.exactly(1).await;
        assert!(!more.is_empty(), "the stream ends without {text:?} after {} bytes", seen.len());
        seen.extend(more);
    }
    String::from_utf8(seen).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_a_stream_late_gets_the_bytes_so_far_at_once_and_then_the_rest() {
    let origin = Origin::always(slow_stream("Cache-Control: max-age=60\r\n")).await;
    let house = House::before(&origin).await;
    let start = Instant::now();
    let mut leader = house.client().await;
    leader.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_to(&mut leader, "005;").await;
    let mut late = house.client().await;
    late.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let so_far = read_to(&mut late, "005;").await;
    assert!(so_far.contains("cache-status: warmfront; fwd=uri-miss; collapsed"), "{so_far}");
    assert!(start.elapsed() < millis(1700), "what was there came before the end of the stream");
    let rest = read_to(&mut late, "0\r\n\r\n").await;
    assert!(rest.contains("019;") && read_to(&mut leader, "0\r\n\r\n").await.contains("019;"));
    assert_eq!(origin.requests().len(), 1);
    let hit = house.get("/").await;
    assert!(hit.is_hit() && hit.text().starts_with("000;001;") && hit.body.len() == 80, "{}", hit.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_arrive_one_by_one_whether_they_can_be_stored_or_not() {
    for fields in ["Cache-Control: no-store\r\n", "Cache-Control: max-age=60\r\n", ""] {
        let origin = Origin::always(slow_stream(&format!("Content-Type: text/event-stream\r\n{fields}"))).await;
        let house = House::before(&origin).await;
        let mut client = house.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        read_to(&mut client, "000;").await;
        let start = Instant::now();
        let seen = read_to(&mut client, "003;").await;
        assert!(!seen.contains("006;") && start.elapsed() < millis(1200), "{fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_in_five_languages_asks_once_per_language() {
    let origin = Origin::start(|request, _| {
        let language = request.all("accept-language")[0].to_owned();
        answer("Cache-Control: max-age=60|Vary: Accept-Language", &language).after(millis(60))
    })
    .await;
    let house = Arc::new(House::before(&origin).await);
    let mut readers = Vec::new();
    for at in 0..50 {
        let house = house.clone();
        readers.push(tokio::spawn(async move {
            let language = ["en", "de", "fr", "it", "pt"][at % 5];
            let response = house.ask("GET /", &[&format!("Accept-Language: {language}")]).await;
            assert_eq!(response.text(), language);
        }));
    }
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(origin.requests().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_something_stale_validates_once() {
    let origin = Origin::start(|request, _| match request.all("if-none-match")[..] {
        [_] => Act::send("HTTP/1.1 304 Not Modified\r\nETag: \"v\"\r\nCache-Control: max-age=60\r\n\r\n", Then::Keep).after(millis(80)),
        _ => answer("Cache-Control: max-age=60|ETag: \"v\"", "kept"),
    })
    .await;
    let house = House::before(&origin).await;
    house.get("/").await;
    house.stores(1).await;
    house.clock.advance(Duration::from_secs(61));
    crowd(&house, &origin, "/", "kept").await;
    assert_eq!(origin.requests().len(), 2, "the fill and one validation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_whose_leader_fails_is_tried_again_as_a_group_and_nobody_hangs() {
    let origin = Origin::start(|_, number| match number {
        0 => Act::send("HTTP/1.1 200 OK\r\nContent-Le", Then::Fin).after(millis(80)),
        _ => fresh("second").after(millis(80)),
    })
    .await;
    let house = House::with(origin.address, |_, upstream, _| upstream.retries = 0).await;
    let mut readers = Vec::new();
    for _ in 0..30 {
        let mut client = house.client().await;
        readers.push(tokio::spawn(async move {
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
            let response = tokio::time::timeout(LONG, client.response()).await.unwrap().unwrap();
            assert!(response.complete);
            response.status
        }));
    }
    let mut failed = 0;
    for reader in readers {
        match reader.await.unwrap() {
            200 => {}
            502 => failed += 1,
            other => panic!("{other}"),
        }
    }
    assert!(failed <= 1, "only the one who led");
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_is_broken_for_all_who_follow_it() {
    let mut act = Act::send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 11\r\n\r\nhello", Then::Reset);
    act.pieces[0].1 = millis(150);
    let origin = Origin::start(move |_, number| if number == 0 { act.clone() } else { fresh("hello again") }).await;
    let house = House::before(&origin).await;
    let mut readers = Vec::new();
    for at in 0..20 {
        let mut client = house.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        if at == 0 {
            client.stream.readable().await.unwrap();
        }
        readers.push(tokio::spawn(async move {
            let response = client.response().await.unwrap();
            assert!(!response.complete && response.text() == "hello", "{response:?}");
        }));
    }
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(house.cache.stats().entries, 0);
    let again = house.get("/").await;
    assert_eq!((again.text(), again.complete), ("hello again", true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_reloads_is_collapsed() {
    let origin = Origin::start(|_, number| fresh(&number.to_string()).after(millis(100))).await;
    let house = Arc::new(House::before(&origin).await);
    house.get("/").await;
    house.stores(1).await;
    for directive in ["no-cache", "max-age=0"] {
        let before = origin.requests().len();
        house.clock.advance(Duration::from_secs(1));
        let mut clients = Vec::new();
        for _ in 0..50 {
            let house = house.clone();
            clients.push(tokio::spawn(async move { house.ask("GET /", &[&format!("Cache-Control: {directive}")]).await }));
        }
        for client in clients {
            let response = client.await.unwrap();
            assert!(response.status == 200 && response.text().parse::<usize>().unwrap() >= before, "nobody gets what was there before");
        }
        // Those whose connection came too late for one fill share the next.
        assert!(origin.requests().len() <= before + 5, "{directive}: {} questions", origin.requests().len() - before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_hits_are_answered_in_order() {
    let origin = Origin::start(|received, _| fresh(received.line().split(' ').nth(1).unwrap())).await;
    let house = House::before(&origin).await;
    let mut client = house.client().await;
    let paths: Vec<String> = (0..600).map(|at| format!("/{}", at % 7)).collect();
    let stream: String = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    client.send(stream).await;
    for path in &paths {
        assert_eq!(client.response().await.unwrap().text(), path);
    }
    assert_eq!(origin.requests().len(), 7);
}

/// 64 pieces of 64 KiB, one every 4 ms: faster than anything that is read slowly, slower than what is there already.
fn outgrowing() -> Act {
    let mut act = Act::send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n", Then::Keep);
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    act.pieces.extend((0..64).map(|_| (chunk.clone(), millis(4))));
    act.pieces.push((b"0\r\n\r\n".to_vec(), Duration::ZERO));
    act
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_a_body_just_before_it_outgrows_the_cache_gets_the_whole_too() {
    let origin = Origin::always(outgrowing()).await;
    for joined_at in [1, 6, 12, 14, 15] {
        let house = House::with(origin.address, |_, _, settings| settings.max_object = 1 << 20).await;
        let mut leader = house.client().await;
        leader.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        let begun = leader.exactly(joined_at * 0x10000).await;
        let mut followers = Vec::new();
        for _ in 0..8 {
            let mut follower = house.client().await;
            follower.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
            followers.push(tokio::spawn(async move { follower.response().await.unwrap() }));
        }
        let reading = tokio::spawn(async move { leader.rest().await });
        for follower in followers {
            let response = follower.await.unwrap();
            assert!(
                response.complete && response.body.len() == 4 << 20,
                "joined at {joined_at}: {} bytes, {}",
                response.body.len(),
                response.cache()
            );
        }
        let rest = reading.await.unwrap();
        assert!(rest.ends_with(b"\r\n0\r\n\r\n") && rest.len() + begun.len() > 4 << 20);
    }
}
