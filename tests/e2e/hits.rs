//! Hits on connections whose clients ask for one thing after the other, always with the same fields: no request is made of them, and nobody can tell.

mod answers;
mod changes;
mod ends;
mod random;
mod readers;

use crate::client::{Client, Response};
use crate::house::{House, request};
use crate::origin::Origin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How many hits a connection has had behind a request that hyper must see: so few that it is still there, and so many that it has gone.
const ROWS: [usize; 2] = [3, 45];
/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers each path with itself for a minute.
async fn echo() -> Origin {
    Origin::start(|received, _| crate::house::fresh(target(received.line()))).await
}

/// The target in a request line.
fn target(line: &str) -> &str {
    line.split(' ').nth(1).unwrap_or_default()
}

/// A client that has had so many hits, and whose next one is answered without a request.
async fn used(house: &House, hits: usize) -> Client {
    let mut client = house.client().await;
    client.get("/used").await;
    assert!(client.ask("HEAD /used", &[]).await.is_hit());
    has_hits(&mut client, "/used", hits).await;
    client
}

/// So many hits more.
async fn has_hits(client: &mut Client, path: &str, hits: usize) {
    for _ in 0..=hits {
        let hit = client.get(path).await;
        assert!(hit.is_hit() && hit.complete, "{}", hit.head);
    }
}

impl Client {
    /// Sends any request and reads its final response.
    async fn ask(&mut self, line: &str, fields: &[&str]) -> Response {
        self.send(request(line, fields, "")).await;
        self.final_response_to(line.split(' ').next().unwrap()).await
    }
}

/// A connection of which every byte counts.
struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    const fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The bytes of the next answer, which has a length.
    async fn answer(&mut self) -> String {
        let reading = async {
            loop {
                if let Some(end) = whole(&self.buffer).filter(|end| *end <= self.buffer.len()) {
                    return String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
                }
                let count = self.stream.read_buf(&mut self.buffer).await.unwrap();
                assert!(count > 0, "an answer, and not only {:?}", String::from_utf8_lossy(&self.buffer));
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an answer in time")
    }

    async fn ask(&mut self, line: &str, fields: &[&str]) -> String {
        self.stream.write_all(request(line, fields, "").as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
        self.answer().await
    }
}

/// Where the answer at the beginning of `bytes` ends, if its head is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    Some(end + length.parse::<usize>().unwrap())
}
