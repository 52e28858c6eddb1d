//! Clients that read slowly, leave early, or never read.

use super::{PATIENCE, ROWS, Wire, target, used};
use crate::certificate::Certificate;
use crate::client::Client;
use crate::house::{House, fresh, millis, request, until};
use crate::origin::Origin;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use warmfront::telemetry::Refusal;

const LARGE: usize = 200 << 10;

/// A body that shows where a piece of it is missing, twice, or another one's.
fn body(path: &str, length: usize) -> String {
    (0..)
        .map(|number| format!("{path} {number}\n"))
        .scan(0, |sum, line| {
            (*sum < length).then(|| {
                *sum += line.len();
                line
            })
        })
        .collect()
}

async fn large() -> Origin {
    Origin::start(|received, _| {
        let path = target(received.line());
        fresh(&if path.starts_with("/large") { body(path, LARGE) } else { path.to_owned() })
    })
    .await
}

/// Over a socket with little room for what comes.
async fn narrow(house: &House) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(house.address).await.unwrap()
}

/// Asks for large ones after `row` hits, all at once, and reads them in small pieces.
async fn read_slowly<S: AsyncRead + AsyncWrite + Unpin>(stream: S, row: usize) {
    let mut wire = Wire::over(stream);
    for _ in 0..row + 2 {
        wire.ask("GET /small", &[]).await;
    }
    let paths = ["/large/1", "/large/2", "/small", "/large/1"];
    wire.stream.write_all(paths.map(|path| request(&format!("GET {path}"), &[], "")).concat().as_bytes()).await.unwrap();
    wire.stream.flush().await.unwrap();
    for path in paths {
        let reading = async {
            loop {
                if let Some(end) = super::whole(&wire.buffer).filter(|end| *end <= wire.buffer.len()) {
                    return String::from_utf8(wire.buffer.drain(..end).collect()).unwrap();
                }
                let mut piece = [0; 3000];
                let count = wire.stream.read(&mut piece).await.unwrap();
                assert!(count > 0, "the rest of it");
                wire.buffer.extend_from_slice(&piece[..count]);
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, reading).await.expect("all of it in time");
        let got = answer.split_once("\r\n\r\n").unwrap().1;
        assert!(got == if path == "/small" { path.to_owned() } else { body(path, LARGE) }, "{path}: {} bytes", got.len());
    }
}

#[tokio::test]
async fn a_large_one_comes_whole_however_slowly_it_is_read() {
    let (origin, certificate) = (large().await, Certificate::new());
    let (house, secure) = (House::before(&origin).await, House::with(origin.address, |server, _, _| certificate.serve(server)).await);
    for row in ROWS {
        for _ in 0..2 {
            read_slowly(narrow(&house).await, row).await; // the second time all of them are hits
            read_slowly(certificate.over(narrow(&secure).await, &[]).await.unwrap(), row).await;
        }
    }
    assert_eq!(origin.requests().len(), 6, "three for each");
}

#[tokio::test]
async fn who_has_said_all_gets_all_and_then_the_end() {
    let origin = large().await;
    let house = House::before(&origin).await;
    house.get("/large/1").await;
    for row in ROWS {
        for paths in [&["/used"][..], &["/large/1"], &["/used", "/large/1", "/used"]] {
            let mut client = used(&house, row).await;
            let all: String = paths.iter().map(|path| request(&format!("GET {path}"), &[], "")).collect();
            client.send(all).await;
            client.stream.shutdown().await.unwrap();
            for path in paths {
                let response = client.response().await.unwrap();
                assert!(response.complete && response.text().starts_with(path) && response.is_hit(), "{path}: {}", response.head);
                assert!(response.body.len() < 100 || response.text() == body(path, LARGE));
            }
            assert!(client.is_closed().await);
        }
        let mut client = used(&house, row).await;
        client.stream.shutdown().await.unwrap();
        assert!(client.is_closed().await, "or nothing but the end");
    }
}

#[tokio::test]
async fn who_never_reads_is_given_up() {
    let origin = large().await;
    let house = House::with(origin.address, |server, _, _| server.idle_timeout = millis(400)).await;
    house.get("/large/1").await;
    house.get("/used").await;
    for (given_up, row) in [0, 3, 45].into_iter().enumerate() {
        let mut client = Client::from(narrow(&house).await);
        for _ in 0..row {
            client.get("/used").await;
        }
        // More than the kernel keeps for us and for it.
        let (mut asked, all) = (0, request("GET /large/1", &[], ""));
        for _ in 0..100 {
            client.send(&all).await;
            asked += LARGE;
        }
        until("it is given up", || house.sidecar.refused(Refusal::StalledReader) == given_up as u64 + 1).await;
        let mut read = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, client.stream.read_to_end(&mut read)).await.expect("it has been cut");
        assert!(read.len() < asked && ended.is_err(), "after {row} hits {} bytes of {asked}, and {ended:?}", read.len());
    }
}

#[tokio::test]
async fn who_leaves_in_the_middle_of_one_leaves_nothing_behind() {
    let origin = large().await;
    let mut house = House::before(&origin).await;
    house.get("/large/1").await;
    for row in ROWS {
        for politely in [true, false] {
            let mut client = Client::from(narrow(&house).await);
            for _ in 0..row + 2 {
                client.get("/used").await;
            }
            client.send(request("GET /large/1", &[], "").repeat(3)).await;
            client.exactly(5000).await;
            if !politely {
                client.stream.set_zero_linger().unwrap();
            }
        }
    }
    house.stop.take().unwrap().send(()).unwrap();
    let drained = tokio::time::timeout(PATIENCE, &mut house.running).await.expect("nothing is open").unwrap();
    assert!(drained.finished, "{drained:?}");
}

/// Whoever still reads when the process is told to end gets all of it, and then the end.
#[tokio::test]
async fn a_large_hit_that_is_being_read_when_the_process_ends_arrives_whole() {
    let body = body("/large", 6 << 20);
    for row in ROWS {
        let answer = fresh(&body);
        let origin =
            Origin::start(move |received, _| if target(received.line()) == "/large" { answer.clone() } else { fresh("small") }).await;
        let mut house = House::before(&origin).await;
        let stored = house.get("/large").await;
        assert_eq!(stored.body.len(), body.len());
        house.stores(1).await;
        let mut wire = Wire::over(narrow(&house).await);
        for _ in 0..row + 2 {
            wire.ask("GET /small", &[]).await;
        }
        wire.stream.write_all(request("GET /large", &[], "").as_bytes()).await.unwrap();
        until("it has begun", || house.cache.stats().hits > row as u64 + 1).await;
        house.stop.take().unwrap().send(()).unwrap();
        until("it is being told to end", || std::net::TcpStream::connect(house.address).is_err()).await;
        tokio::time::sleep(millis(300)).await; // longer than idle connections get
        let mut all = Vec::new();
        tokio::time::timeout(PATIENCE, wire.stream.read_to_end(&mut all)).await.unwrap().unwrap();
        let end = super::whole(&all).unwrap();
        assert_eq!(all.len(), end, "after {row}: all of it, and nothing else");
        assert!(all.ends_with(body.as_bytes()), "after {row}");
        assert!(tokio::time::timeout(PATIENCE, house.running).await.unwrap().unwrap().finished);
    }
}
