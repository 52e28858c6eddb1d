//! Serving stale, only inside its windows, over sockets and real failures.

use crate::house::{House, answer, millis, status, until};
use crate::origin::{Act, Origin, Then};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// An origin whose answers are chosen from outside: 0 is the good one.
async fn moody(good: &'static str, bad: Vec<Act>) -> (Origin, Arc<AtomicUsize>) {
    let mood = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start({
        let mood = mood.clone();
        move |_, number| match mood.load(Ordering::SeqCst) {
            0 => answer(good, &format!("good {number}")),
            at => bad[at - 1].clone(),
        }
    })
    .await;
    (origin, mood)
}

fn failures() -> Vec<Act> {
    let mut failures: Vec<Act> = ["500 A", "502 B", "503 C", "504 D"].iter().map(|line| status(line, "", "bad")).collect();
    failures.push(Act::hang());
    failures.push(Act::send("", Then::Reset));
    failures.push(Act::send("HTTP/1.1 200 OK\r\nContent-Len", Then::Fin));
    failures.push(Act::send("garbage\r\n\r\n", Then::Fin));
    failures
}

#[tokio::test]
async fn stale_while_revalidate_answers_at_once_and_refreshes_once_behind() {
    let origin = Origin::start(|_, number| {
        let act = answer("Cache-Control: max-age=10, stale-while-revalidate=60", &format!("version {number}"));
        if number == 0 { act } else { act.after(millis(100)) }
    })
    .await;
    let house = House::before(&origin).await;
    house.get("/").await;
    house.stores(1).await;
    house.clock.advance(Duration::from_secs(11));
    for _ in 0..5 {
        let stale = house.get("/").await;
        assert_eq!(stale.text(), "version 0");
        assert!(stale.is_hit() && stale.cache().contains("ttl=-1"), "{}", stale.cache());
    }
    until("the refresh has landed", || house.cache.lookup(http::Request::get("http://h/").body(()).unwrap()).unwrap().ttl_millis > 0).await;
    assert_eq!((house.get("/").await.text(), origin.requests().len()), ("version 1", 2));
    house.clock.advance(Duration::from_secs(71));
    assert_eq!(house.get("/").await.text(), "version 2", "outside the window one waits");
}

#[tokio::test]
async fn stale_if_error_covers_every_failure_and_only_inside_its_window() {
    let (origin, mood) = moody("Cache-Control: max-age=10, stale-if-error=100", failures()).await;
    let house = House::with(origin.address, |_, upstream, _| (upstream.response_timeout, upstream.retries) = (millis(100), 0)).await;
    house.get("/").await;
    house.stores(1).await;
    house.clock.advance(Duration::from_secs(11));
    for at in 1..=failures().len() {
        mood.store(at, Ordering::SeqCst);
        let covered = house.get("/").await;
        assert_eq!((covered.status, covered.text()), (200, "good 0"), "failure {at}");
        assert!(covered.cache().contains("fwd=stale") && covered.cache().contains("stale-if-error"), "{}", covered.cache());
        let crowd = [house.get("/"), house.get("/"), house.get("/")];
        for response in crowd {
            assert_eq!(response.await.text(), "good 0", "failure {at}");
        }
    }
    house.clock.advance(Duration::from_secs(100));
    for (at, expected) in [(1, 500), (2, 502), (3, 503), (4, 504), (5, 504), (6, 502), (7, 502), (8, 502)] {
        mood.store(at, Ordering::SeqCst);
        assert_eq!(house.get("/").await.status, expected, "failure {at} after the window");
    }
    mood.store(0, Ordering::SeqCst);
    assert!(house.get("/").await.text().starts_with("good"));
}

#[tokio::test]
async fn stale_if_error_covers_an_origin_that_is_gone() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        tokio::io::AsyncReadExt::read(&mut stream, &mut head).await.unwrap();
        let answer = crate::house::with_length("200 OK", "Cache-Control: max-age=10, stale-if-error=100|Connection: close", "kept");
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
    });
    let house = House::with(address, |_, _, _| {}).await;
    assert_eq!(house.get("/").await.text(), "kept");
    serving.await.unwrap();
    house.stores(1).await;
    assert!(house.get("/").await.is_hit());
    house.clock.advance(Duration::from_secs(50));
    assert_eq!(house.get("/").await.text(), "kept");
    assert_eq!(house.get("/other").await.status, 502);
    house.clock.advance(Duration::from_secs(100));
    assert_eq!(house.get("/").await.status, 502);
}

#[tokio::test]
async fn what_must_be_revalidated_is_never_served_stale() {
    let (origin, mood) =
        moody("Cache-Control: max-age=10, must-revalidate, stale-if-error=100, stale-while-revalidate=100", failures()).await;
    let house = House::with(origin.address, |_, upstream, _| (upstream.response_timeout, upstream.retries) = (millis(100), 0)).await;
    house.get("/").await;
    house.stores(1).await;
    house.clock.advance(Duration::from_secs(11));
    for (at, expected) in [(5, 504), (6, 504), (7, 504), (8, 504)] {
        mood.store(at, Ordering::SeqCst);
        let refused = house.get("/").await;
        assert_eq!(refused.status, expected, "failure {at}");
        assert_eq!(house.ask("GET /", &["Cache-Control: max-stale"]).await.status, expected, "failure {at}");
    }
    mood.store(1, Ordering::SeqCst);
    assert_eq!(house.get("/").await.status, 500, "an answer of the origin is one");
}

#[tokio::test]
async fn a_failing_refresh_behind_a_stale_answer_is_nobodys_problem() {
    let (origin, mood) = moody("Cache-Control: max-age=10, stale-while-revalidate=100", failures()).await;
    let house = House::with(origin.address, |_, upstream, _| (upstream.response_timeout, upstream.retries) = (millis(50), 0)).await;
    house.get("/").await;
    house.stores(1).await;
    house.clock.advance(Duration::from_secs(11));
    for at in 1..=failures().len() {
        mood.store(at, Ordering::SeqCst);
        let asked = origin.requests().len();
        let stale = house.get("/").await;
        assert_eq!((stale.status, stale.text()), (200, "good 0"), "failure {at}");
        until("the refresh has been tried", || origin.requests().len() > asked).await;
        // Its end is not to be seen from outside; the next refresh needs it to be over.
        tokio::time::sleep(millis(120)).await;
    }
}

#[tokio::test]
async fn an_error_does_not_replace_what_is_stored_unless_it_may() {
    let (origin, mood) =
        moody("Cache-Control: max-age=10", vec![status("404 Gone", "Cache-Control: max-age=10", "gone"), status("500 Oops", "", "oops")])
            .await;
    let house = House::before(&origin).await;
    house.get("/").await;
    house.stores(1).await;
    house.clock.advance(Duration::from_secs(11));
    mood.store(2, Ordering::SeqCst);
    assert_eq!(house.get("/").await.status, 500, "no window, no cover");
    mood.store(1, Ordering::SeqCst);
    assert_eq!(house.get("/").await.status, 404);
    let hit = house.get("/").await;
    assert!(hit.is_hit() && hit.status == 404);
}

#[tokio::test]
async fn only_if_cached_never_asks_anybody() {
    let (origin, _) = moody("Cache-Control: max-age=10", vec![]).await;
    let house = House::before(&origin).await;
    let refused = house.ask("GET /", &["Cache-Control: only-if-cached"]).await;
    assert_eq!((refused.status, origin.requests().len()), (504, 0));
    house.get("/").await;
    house.stores(1).await;
    assert_eq!(house.ask("GET /", &["Cache-Control: only-if-cached"]).await.status, 200);
    assert_eq!(house.ask("HEAD /", &["Cache-Control: only-if-cached"]).await.status, 200);
}
