//! A crowd on a cold key, over real sockets: one leader and fifty followers in front of an origin that takes 120 ms.
//!
//!     cargo bench --bench stampede
//!
//! Prints, per case, how often the origin was asked, and when the first byte of the answer reached the leader and its followers. Nothing is
//! asserted: tests do that, in their own time.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::Layer as _;
use warmfront::sidecar::settings::{ListenAddr, ServerSettings, UpstreamSettings};
use warmfront::sidecar::{Bound, Sidecar};
use warmfront::{Cache, CacheLayer};

const FOLLOWERS: usize = 50;
const DELAY: Duration = Duration::from_millis(120);

/// An origin that answers every request after `DELAY`: by its path with a cacheable body, a private one, or a stream of two seconds.
async fn origin(calls: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket, Arc::clone(&calls)));
        }
    });
    address
}

async fn answer(mut socket: TcpStream, calls: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut head = Vec::new();
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await?);
        }
        calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(DELAY).await;
        let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
        let cache_control = if path.starts_with("/private") { "private" } else { "max-age=60" };
        if path.starts_with("/stream") {
            let head = format!("HTTP/1.1 200 OK\r\ncache-control: {cache_control}\r\ntransfer-encoding: chunked\r\n\r\n");
            socket.write_all(head.as_bytes()).await?;
            for _ in 0..20 {
                socket.write_all(b"5\r\nhello\r\n").await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            socket.write_all(b"0\r\n\r\n").await?;
        } else {
            let text = format!("HTTP/1.1 200 OK\r\ncache-control: {cache_control}\r\ncontent-length: 5\r\n\r\nhello");
            socket.write_all(text.as_bytes()).await?;
        }
        head.clear();
    }
}

/// How long the first byte of the body of a GET takes.
async fn first_byte(address: SocketAddr, path: String) -> std::io::Result<Duration> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let start = Instant::now();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = socket.read(&mut buffer).await?;
        seen.extend_from_slice(&buffer[..count]);
        let body = seen.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        if count == 0 || body.is_some_and(|body| seen.len() > body) {
            return Ok(start.elapsed());
        }
    }
}

struct Crowd {
    leader: Duration,
    followers: Vec<Duration>,
    calls: usize,
}

/// One request, and behind it after `gap` all the others at once.
async fn crowd(address: SocketAddr, path: &str, gap: Duration, calls: &AtomicUsize) -> Crowd {
    calls.store(0, Ordering::Relaxed);
    let leader = tokio::spawn(first_byte(address, path.to_owned()));
    tokio::time::sleep(gap).await;
    let others: Vec<_> = (0..FOLLOWERS).map(|_| tokio::spawn(first_byte(address, path.to_owned()))).collect();
    let mut followers = Vec::new();
    for other in others {
        followers.push(other.await.expect("a task").expect("an answer"));
    }
    followers.sort();
    let leader = leader.await.expect("a task").expect("an answer");
    Crowd { leader, followers, calls: calls.load(Ordering::Relaxed) }
}

fn report(case: &str, crowd: &Crowd) {
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let (median, last) = (crowd.followers[FOLLOWERS / 2], crowd.followers[FOLLOWERS - 1]);
    println!("{case:44}{:>8}{:>12.1}{:>12.1}{:>12.1}", crowd.calls, ms(crowd.leader), ms(median), ms(last));
}

async fn sidecar(upstream: SocketAddr) -> (Sidecar, Bound) {
    let server = ServerSettings { listen: vec![ListenAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))], ..ServerSettings::default() };
    let sidecar = Sidecar::new(server, UpstreamSettings::new(upstream.to_string().parse().expect("an authority")));
    let bound = sidecar.bind().await.expect("a free port");
    (sidecar, bound)
}

#[tokio::main]
async fn main() -> Result<(), Infallible> {
    let calls = Arc::new(AtomicUsize::new(0));
    let upstream = origin(Arc::clone(&calls)).await;
    let (sidecar, bound) = sidecar(upstream).await;
    let address =
        bound.addresses().into_iter().find_map(|address| if let ListenAddr::Tcp(address) = address { Some(address) } else { None });
    let address = address.expect("a TCP address");
    let service = CacheLayer::new(Cache::new()).layer(sidecar.upstream());
    tokio::spawn(bound.run(service, pending()));

    println!("first byte in ms, origin {} ms, 1 leader + {FOLLOWERS} followers", DELAY.as_millis());
    println!("{:44}{:>8}{:>12}{:>12}{:>12}", "case", "origin", "leader", "median", "last");
    let soon = Duration::from_millis(20);
    report("cacheable", &crowd(address, "/cacheable", soon, &calls).await);
    report("private, the first time", &crowd(address, "/private", soon, &calls).await);
    report("private, the next time", &crowd(address, "/private", soon, &calls).await);
    report("stream of 2 s, joined after 0.6 s", &crowd(address, "/stream", Duration::from_millis(600), &calls).await);
    Ok(())
}
