//! The life of the process under load: reloading keeps the cache, stopping fails nobody, checking says what it found.

use crate::client::Client;
use crate::house::{House, LONG, answer, fresh, millis, until};
use crate::origin::{Act, Origin};
use crate::process::{Folder, Running, outcome};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

fn file(upstream: SocketAddr, rest: &str) -> String {
    format!("[server]\nlisten = \"127.0.0.1:0\"\n[upstream]\nurls = [\"http://{upstream}\"]\n{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_under_load_keeps_the_cache_and_fails_no_request() {
    let origin = Origin::start(|received, number| fresh(&format!("{} {number}", received.line()))).await;
    let folder = Folder::new("e2e-reload");
    folder.write("warmfront.toml", &file(origin.address, ""));
    let process = Running::start(folder.path(), &["run"], &[]);
    let address = process.address();
    let kept = Client::connect(address).await.get("/kept").await.text().to_owned();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = Vec::new();
    for at in 0..8 {
        let (stop, answered) = (stop.clone(), answered.clone());
        load.push(tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            for number in 0.. {
                let response = client.get(&format!("/{at}/{}", number % 50)).await;
                assert!(response.status == 200 && response.complete, "{response:?}");
                answered.fetch_add(1, Ordering::SeqCst);
                if stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        }));
    }
    for round in 0..5 {
        let seen = answered.load(Ordering::SeqCst);
        until("the load goes on", || answered.load(Ordering::SeqCst) > seen + 50).await;
        folder.write(
            "warmfront.toml",
            &file(origin.address, &format!("max_in_flight = {}\n[cache]\nmax_variants = {}\n", 10 + round, 2 + round)),
        );
        process.signal("HUP");
        tokio::task::block_in_place(|| process.wait_for("reloaded warmfront.toml"));
    }
    stop.store(true, Ordering::SeqCst);
    for one in load {
        one.await.unwrap();
    }
    let again = Client::connect(address).await.get("/kept").await;
    assert!(again.is_hit() && again.text() == kept, "{}", again.cache());
}

/// What became of one request on a connection of its own.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    /// Nobody listened any more: the client knows that nothing was done.
    Refused,
    Failed(String),
}

async fn once(address: SocketAddr) -> Fate {
    let Ok(stream) = TcpStream::connect(address).await else { return Fate::Refused };
    drop(stream.set_nodelay(true));
    let mut client = Client::from(stream);
    if let Err(error) = client.stream.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await {
        return Fate::Failed(error.to_string());
    }
    match client.response().await {
        Some(response) if response.status == 200 && response.complete => Fate::Answered,
        other => Fate::Failed(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_fails_no_request_that_was_accepted() {
    let origin = Origin::start(|_, _| answer("Cache-Control: no-store", "done").after(millis(20))).await;
    let folder = Folder::new("e2e-stop");
    folder.write("warmfront.toml", &file(origin.address, ""));
    let mut process = Running::start(folder.path(), &["run"], &[]);
    let address = process.address();
    let answered = Arc::new(AtomicUsize::new(0));
    let mut load = Vec::new();
    for _ in 0..24 {
        let answered = answered.clone();
        load.push(tokio::spawn(async move {
            loop {
                match once(address).await {
                    Fate::Answered => drop(answered.fetch_add(1, Ordering::SeqCst)),
                    fate => return fate,
                }
            }
        }));
    }
    until("the load is on", || answered.load(Ordering::SeqCst) > 300).await;
    process.signal("TERM");
    for one in load {
        assert_eq!(one.await.unwrap(), Fate::Refused);
    }
    assert_eq!(tokio::task::block_in_place(|| process.end()), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_tells_every_busy_connection_that_its_answer_is_the_last() {
    let origin = Origin::start(|_, _| answer("Cache-Control: no-store", "done").after(millis(10))).await;
    let mut house = House::before(&origin).await;
    let address = house.address;
    let answered = Arc::new(AtomicUsize::new(0));
    let mut load = Vec::new();
    for _ in 0..24 {
        let answered = answered.clone();
        load.push(tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            loop {
                let response = client.get("/").await;
                assert!(response.status == 200 && response.complete, "{response:?}");
                answered.fetch_add(1, Ordering::SeqCst);
                if response.all("connection") == ["close"] {
                    return;
                }
            }
        }));
    }
    until("the load is on", || answered.load(Ordering::SeqCst) > 300).await;
    house.stop.take().unwrap().send(()).unwrap();
    for one in load {
        one.await.unwrap();
    }
    assert!(tokio::time::timeout(LONG, house.running).await.unwrap().unwrap().finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_comes_and_goes_under_a_real_process_is_met_by_stale_and_then_fresh_answers() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin_address = taken.local_addr().unwrap();
    drop(taken);
    let folder = Folder::new("e2e-recovery");
    folder.write("warmfront.toml", &file(origin_address, ""));
    let process = Running::start(folder.path(), &["run"], &[]);
    let address = process.address();
    assert_eq!(Client::connect(address).await.get("/").await.status, 502, "up though the upstream is down");
    for version in ["one", "two"] {
        // A runtime of its own: when it is shut down, the listener and every connection are gone at once.
        let life = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let born = life.spawn(Origin::at(origin_address, move |_, _| answer("Cache-Control: max-age=1, stale-if-error=60", version)));
        let _origin = born.await.unwrap();
        let fresh = async {
            while Client::connect(address).await.get("/").await.text() != version {
                tokio::time::sleep(millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(8), fresh).await.expect("it recovers by itself");
        life.shutdown_background();
        let stale = async {
            loop {
                let response = Client::connect(address).await.get("/").await;
                assert_eq!((response.status, response.text()), (200, version), "no client sees that it is down");
                if response.cache().contains("stale-if-error") {
                    return;
                }
                tokio::time::sleep(millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(8), stale).await.expect("it goes stale");
    }
}

#[test]
fn a_check_names_file_line_key_finding_and_fix() {
    let folder = Folder::new("e2e-check");
    folder.write("warmfront.toml", "[server]\nlisten = \"nowhere\"\n[upstream]\nurls = [\"ftp://x\"]\n[cache]\nmax_object = \"8 parsecs\"\nmax_byte = 1\n[[rules]]\npath = \"api\"\nttl = 5\n");
    let checked = outcome(folder.path(), &["check"], &[]);
    assert_eq!(checked.code, Some(1));
    for (line, key) in [(2, "server.listen"), (4, "upstream.urls"), (6, "cache.max_object"), (7, "max_byte"), (9, "path"), (10, "ttl")] {
        assert!(checked.err.contains(&format!("warmfront.toml:{line}")) && checked.err.contains(key), "{line} {key}:\n{}", checked.err);
    }
    assert!(checked.err.matches("fix:").count() >= 6, "{}", checked.err);
    folder.write("warmfront.toml", "[upstream]\nurls = [\"http://127.0.0.1:9\"]\n[[rules]]\npath = \"/api/**\"\nttl = \"5m\"\n");
    let checked = outcome(folder.path(), &["check"], &[]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    assert!(checked.out.starts_with("OK ") && checked.out.contains("/api/**"), "{}", checked.out);
    assert_eq!(outcome(folder.path(), &["check", "--connect"], &[]).code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_a_stream_under_way_end_and_a_fill_does_not_hold_it_up() {
    let mut act = Act::send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst", crate::origin::Then::Keep);
    act.pieces[0].1 = millis(300);
    act.pieces.push((b"-half".to_vec(), Duration::ZERO));
    let origin = Origin::start(move |received, _| if received.line().contains("orphan") { Act::hang() } else { act.clone() }).await;
    let mut house = House::before(&origin).await;
    let mut orphan = house.client().await;
    orphan.send("GET /orphan HTTP/1.1\r\nHost: h\r\n\r\n").await;
    until("the fill that nobody will wait for is under way", || origin.requests().len() == 1).await;
    drop(orphan);
    let (mut leader, mut follower) = (house.client().await, house.client().await);
    leader.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    leader.stream.readable().await.unwrap();
    follower.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    follower.stream.readable().await.unwrap();
    house.stop.take().unwrap().send(()).unwrap();
    for client in [&mut leader, &mut follower] {
        let response = client.response().await.unwrap();
        assert_eq!((response.text(), response.complete), ("first-half", true));
    }
    assert!(tokio::time::timeout(LONG, house.running).await.unwrap().unwrap().finished);
}
