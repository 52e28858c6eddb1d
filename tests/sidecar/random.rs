//! Conversations drawn from a seed: valid requests of every framing, pipelined and cut anywhere, and at the end perhaps a bad one.

use crate::origin::{Act, Origin};
use crate::rig::Rig;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// One request whose answer is `number`.
fn request(rng: &mut StdRng, number: usize) -> String {
    let body = "x".repeat(rng.random_range(1..40));
    match rng.random_range(0..5) {
        0 => format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n"),
        1 => format!("\r\nGET http://other/{number} HTTP/1.1\r\nHost: h\r\nX: {body}\r\n\r\n"),
        2 => format!("POST /{number} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        3 => format!(
            "PUT /{number} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x};e=\"q\"\r\n{body}\r\n0\r\nT: v\r\n\r\n",
            body.len()
        ),
        _ => format!("DELETE /{number} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
    }
}

const BAD: [&str; 4] = [
    "GET /bad HTTP/1.1\r\n\r\n",
    "GET /bad HTTP/1.1\nHost: h\n\n",
    "POST /bad HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /bad#x HTTP/1.1\r\nHost: h\r\n\r\n",
];

#[tokio::test]
async fn every_request_gets_its_own_answer_however_the_bytes_come() {
    let origin = Origin::start(|request, _| Act::ok(request.line().split(' ').nth(1).unwrap())).await;
    let rig = Rig::before(&origin).await;
    for seed in 0..150 {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = rng.random_range(1..12);
        let mut stream: String = (0..count).map(|number| request(&mut rng, number)).collect();
        let bad = rng.random_bool(0.5);
        if bad {
            stream.push_str(BAD[rng.random_range(0..BAD.len())]);
            stream.push_str("GET /after HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        let mut client = rig.client().await;
        let (mut read, mut rest) = (0, stream.as_bytes());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rng.random_range(1..=rest.len().min(200)));
            // What comes after the bad request may meet a closed connection.
            if tokio::io::AsyncWriteExt::write_all(&mut client.stream, piece).await.is_err() {
                break;
            }
            rest = later;
            if rng.random_bool(0.3) {
                tokio::task::yield_now().await;
            }
        }
        while read < count {
            let response = client.response().await.unwrap_or_else(|| panic!("seed {seed}: answer {read} of {count}"));
            assert_eq!((response.status, response.text()), (200, &*format!("/{read}")), "seed {seed}");
            read += 1;
        }
        if bad {
            assert_eq!(client.response().await.unwrap().status, 400, "seed {seed}");
            assert!(client.is_closed().await, "seed {seed}");
        }
    }
    assert!(origin.requests().iter().all(|request| !request.line().contains("bad") && !request.line().contains("after")));
}
