//! An origin that breaks off, with the cache on: an error or a visibly broken body, nothing stored, and the next request gets the whole.

use crate::client::Response;
use crate::house::{House, answer, fresh, millis};
use crate::origin::{Act, Origin, Received, Then};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LENGTH: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: \"v\"\r\nContent-Length: 11\r\n\r\nhello world";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
const CLOSE: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\r\nhello world";

fn number_in(request: &Received) -> usize {
    request.line().split(['/', ' ', '?']).nth(2).unwrap().parse().unwrap()
}

/// Cuts the first `attempts` answers for `/n` after n bytes; after them comes the whole.
fn cutting(whole: &'static str, then: Then, attempts: usize) -> impl Fn(&Received, usize) -> Act + Send + Sync {
    let seen = Mutex::new(HashMap::<usize, usize>::new());
    move |request, _| {
        let cut = number_in(request);
        let mut seen = seen.lock().unwrap();
        let count = seen.entry(cut).or_default();
        *count += 1;
        if *count <= attempts { Act::send(&whole.as_bytes()[..cut], then) } else { Act::send(whole, Then::Fin) }
    }
}

fn is_visibly_broken(response: Option<&Response>) -> bool {
    response.is_none_or(|response| response.status == 502 || !response.complete)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_dies_at_any_byte_is_seen_by_the_reader_and_never_stored() {
    for whole in [LENGTH, CHUNKED] {
        for then in [Then::Fin, Then::Reset] {
            let origin = Origin::start(cutting(whole, then, 1)).await;
            let house = House::with(origin.address, |_, upstream, _| upstream.retries = 0).await;
            for cut in 0..whole.len() {
                for version in ["1.1", "1.0"] {
                    let mut client = house.client().await;
                    // Each version has a key of its own.
                    client.send(format!("GET /{cut}?{version} HTTP/{version}\r\nHost: h\r\n\r\n")).await;
                    let response = client.response().await;
                    if version == "1.1" {
                        assert!(is_visibly_broken(response.as_ref()), "cut at {cut} of {whole:?} ({then:?}): {response:?}");
                        let stored = house.cache.lookup(http::Request::get(format!("http://h/{cut}?1.1")).body(()).unwrap());
                        assert!(stored.is_none(), "cut at {cut}: {stored:?}");
                    } else {
                        let response = response.unwrap();
                        assert_eq!((response.status, response.text(), response.complete), (200, "hello world", true));
                    }
                }
                let again = house.get(&format!("/{cut}?1.1")).await;
                assert_eq!((again.status, again.text(), again.complete), (200, "hello world", true), "after a cut at {cut}");
                assert!(!again.is_hit() && house.get(&format!("/{cut}?1.1")).await.is_hit());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_sees_the_cut_too() {
    for whole in [LENGTH, CHUNKED] {
        let origin = Origin::start(cutting(whole, Then::Fin, usize::MAX)).await;
        let house = House::with(origin.address, |_, upstream, _| upstream.retries = 0).await;
        for cut in 0..whole.len() {
            let mut client = house.client().await;
            client.send(format!("GET /{cut} HTTP/1.0\r\nHost: h\r\n\r\n")).await;
            let response = client.response().await;
            assert!(is_visibly_broken(response.as_ref()), "cut at {cut} of {whole:?}: {response:?}");
        }
        assert_eq!(house.cache.stats().entries, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_delimited_body_is_whole_at_a_fin_and_broken_at_a_reset() {
    let origin = Origin::start(|request, _| {
        let mut act = Act::send(CLOSE, Then::Fin);
        if request.line().contains("reset") {
            act.then = Then::Reset;
            act.pieces[0].1 = millis(60); // so that the reset does not overtake the bytes
        }
        act
    })
    .await;
    let house = House::before(&origin).await;
    let broken = house.get("/reset").await;
    assert!(!broken.complete && house.cache.stats().entries == 0, "{broken:?}");
    let whole = house.get("/fin").await;
    assert_eq!((whole.text(), whole.complete), ("hello world", true));
    assert!(house.get("/fin").await.is_hit());
    let head_end = CLOSE.find("\r\n\r\n").unwrap() + 4;
    let origin = Origin::start(cutting(CLOSE, Then::Fin, usize::MAX)).await;
    let house = House::with(origin.address, |_, upstream, _| upstream.retries = 0).await;
    for cut in 0..head_end {
        let response = house.get(&format!("/{cut}")).await;
        assert_eq!(response.status, 502, "cut at {cut} in the head: {response:?}");
    }
    assert_eq!(house.cache.stats().entries, 0);
}

#[tokio::test]
async fn garbage_in_the_body_framing_is_broken_and_not_stored() {
    for body in [
        "5\r\nhelloX",
        "x\r\nhello\r\n0\r\n\r\n",
        "-1\r\n",
        "5\r\nhello\r\n0\r\nX: a\0b\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello",
        "5\r\nhello\r\n0\r\n",
    ] {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
        let origin = Origin::always(Act::send(format!("{head}{body}"), Then::Fin)).await;
        let house = House::with(origin.address, |_, upstream, _| upstream.retries = 0).await;
        let mut client = house.client().await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let response = client.response().await;
        assert!(is_visibly_broken(response.as_ref()), "{body:?}: {response:?}");
        assert_eq!(house.cache.stats().entries, 0, "{body:?}");
    }
}

#[tokio::test]
async fn garbage_in_the_head_is_502_and_not_stored() {
    for head in [
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nX: a\0b\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nX: a\r\n folded\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1, 2\r\n\r\nxy",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 9999 OK\r\nCache-Control: max-age=60\r\n\r\n",
        "HTTP/1.1 099 Odd\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n",
        "ICY 200 OK\r\nCache-Control: max-age=60\r\n\r\n",
    ] {
        let origin = Origin::always(Act::send(head, Then::Fin)).await;
        let house = House::with(origin.address, |_, upstream, _| upstream.retries = 0).await;
        let response = house.get("/").await;
        assert_eq!((response.status, house.cache.stats().entries), (502, 0), "{head:?}: {response:?}");
    }
}

#[tokio::test]
async fn a_giant_head_of_the_origin_is_502_in_bounded_time() {
    let origin = Origin::always(Act::send(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(30 << 20)), Then::Hang)).await;
    let house =
        House::with(origin.address, |_, upstream, _| (upstream.retries, upstream.response_timeout) = (0, Duration::from_secs(8))).await;
    assert_eq!(house.get("/").await.status, 502);
}

#[tokio::test]
async fn a_validation_that_is_cut_leaves_the_old_response_as_it_was() {
    let broken = AtomicUsize::new(0);
    let origin = Origin::start(move |request, _| match request.all("if-none-match").is_empty() {
        false if broken.fetch_add(1, Ordering::SeqCst) == 0 => Act::send("HTTP/1.1 304 Not Mod", Then::Fin),
        false => Act::send("HTTP/1.1 304 Not Modified\r\nETag: \"v\"\r\n\r\n", Then::Keep),
        // What dies on a connection that has served before is tried again; this one has not.
        true => answer("Cache-Control: max-age=60|ETag: \"v\"|Connection: close", "kept"),
    })
    .await;
    let house = House::with(origin.address, |_, upstream, _| upstream.retries = 0).await;
    house.get("/").await;
    house.stores(1).await;
    house.clock.advance(Duration::from_secs(100));
    assert_eq!(house.get("/").await.status, 502);
    let again = house.get("/").await;
    assert_eq!((again.status, again.text()), (200, "kept"));
    assert!(again.cache().contains("fwd-status=304"), "{}", again.cache());
}

#[tokio::test]
async fn a_refresh_whose_body_breaks_does_not_replace_what_is_stored() {
    let origin = Origin::start(|_, number| match number {
        0 => answer("Cache-Control: max-age=60, stale-if-error=600", "old and whole"),
        1 => Act::send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 13\r\n\r\nnew and", Then::Reset),
        _ => Act::send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", Then::Keep),
    })
    .await;
    let house = House::before(&origin).await;
    house.get("/").await;
    house.stores(1).await;
    house.clock.advance(Duration::from_secs(100));
    let mut client = house.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let torn = client.response().await;
    assert!(torn.is_none_or(|response| !response.complete || response.text() == "old and whole"));
    let covered = house.get("/").await;
    assert_eq!((covered.status, covered.text()), (200, "old and whole"));
}

#[tokio::test]
async fn an_origin_that_restarts_costs_no_client_an_error() {
    let origin = Origin::start(|_, _| answer("Cache-Control: no-store", "one")).await;
    let house = House::before(&origin).await;
    let mut client = house.client().await;
    assert_eq!(client.get("/").await.text(), "one");
    // The same port, with every old connection dying under the requests that reuse it.
    let dying = Origin::start(|request, number| match number % 2 {
        1 if request.line().starts_with("GET") => Act::send("", Then::Reset),
        _ => answer("Cache-Control: no-store", "two"),
    })
    .await;
    let house = House::with(dying.address, |_, upstream, _| upstream.retries = 0).await;
    for _ in 0..40 {
        assert_eq!(house.get("/").await.text(), "two");
    }
}

#[tokio::test]
async fn an_origin_that_is_down_at_the_start_is_502_and_comes_back_by_itself() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let house = House::with(address, |_, _, _| {}).await;
    let mut client = house.client().await;
    let down = client.get("/").await;
    assert_eq!((down.status, down.all("cache-control")), (502, vec!["no-store"]));
    assert!(down.cache().contains("detail=upstream-connect"), "{}", down.cache());
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                while matches!(tokio::io::AsyncReadExt::read(&mut stream, &mut head).await, Ok(n) if n > 0) {
                    let answer = crate::house::with_length("200 OK", "Cache-Control: max-age=60", "up");
                    tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    assert_eq!(client.get("/").await.text(), "up", "at once, on the same connection");
    assert!(client.get("/").await.is_hit());
}

#[tokio::test]
async fn an_origin_that_stalls_mid_body_is_cut_for_all_and_not_stored() {
    let origin = Origin::start(|_, number| match number {
        0 => Act::send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 11\r\n\r\nhello", Then::Hang),
        _ => fresh("hello world"),
    })
    .await;
    let house = House::with(origin.address, |_, upstream, _| upstream.idle_body_timeout = millis(150)).await;
    let (mut one, mut two) = (house.client().await, house.client().await);
    one.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    one.stream.readable().await.unwrap();
    two.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    for client in [&mut one, &mut two] {
        let response = client.response().await.unwrap();
        assert_eq!((response.text(), response.complete), ("hello", false));
    }
    assert_eq!(house.get("/").await.text(), "hello world");
}

#[tokio::test]
async fn what_an_origin_sends_unasked_answers_nobody() {
    let evil = crate::house::with_length("200 OK", "Cache-Control: max-age=60", "evil");
    for late in [false, true] {
        let evil = evil.clone();
        let origin = Origin::start(move |received, _| {
            let mut act = match received.line().starts_with("HEAD") {
                true => Act::send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", Then::Keep),
                false if received.line().contains("304") => Act::send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", Then::Keep),
                false if received.line().contains("204") => Act::send("HTTP/1.1 204 No Content\r\n\r\n", Then::Keep),
                false => answer("Cache-Control: no-store", "good"),
            };
            // Late, it must not meet a request under way: nothing could tell it from that one's answer.
            if received.line().contains("/victim") {
                return act;
            }
            if late {
                act.pieces[0].1 = millis(20);
                act.pieces.push((evil.clone().into_bytes(), Duration::ZERO));
            } else {
                act.pieces[0].0.extend_from_slice(evil.as_bytes());
            }
            act
        })
        .await;
        let house = House::before(&origin).await;
        for _ in 0..5 {
            for (line, expected) in [("HEAD /x", ""), ("GET /304", ""), ("GET /204", ""), ("GET /x", "good")] {
                assert_eq!(house.ask(line, &[]).await.text(), expected, "{line}");
                if late {
                    tokio::time::sleep(millis(60)).await; // it arrives while the connection lies in the pool
                }
                assert_eq!(house.get("/victim").await.text(), "good", "after {line}, late: {late}");
            }
        }
        assert_eq!(house.cache.stats().entries, 0);
    }
}
