//! Memory of the real process while more passes through it than it may hold.

use crate::client::Client;
use crate::house::{LONG, millis};
use crate::process::{Folder, Running};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const MIB: u64 = 1 << 20;
/// What the process may grow by, far above what it needs and far below what passes through.
const GROWTH: u64 = 64 * MIB;

/// The sidecar as a process, and its memory.
struct Process {
    _folder: Folder,
    running: Running,
    address: SocketAddr,
}

impl Process {
    fn start(name: &str, upstream: SocketAddr, rest: &str) -> Self {
        let folder = Folder::new(name);
        let file =
            format!("[server]\nlisten = \"127.0.0.1:0\"\nmax_request_body = \"1GiB\"\n[upstream]\nurls = [\"http://{upstream}\"]\n{rest}");
        folder.write("warmfront.toml", &file);
        let running = Running::start(folder.path(), &["run"], &[]);
        let address = running.address();
        Self { _folder: folder, running, address }
    }

    /// Resident bytes.
    fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most resident bytes that there were since the last [`forget_peak`](Self::forget_peak).
    fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// proc(5), clear_refs.
    fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.running.id()), "5").unwrap();
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }
}

/// Answers every GET with `size` bytes in chunks, and counts what it takes of an upload.
async fn giant(size: u64, fields: &'static str) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, taken) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let count = taken.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(pour(stream, size, fields, count.clone()));
        }
    });
    (address, taken)
}

async fn pour(mut stream: TcpStream, size: u64, fields: &str, taken: Arc<AtomicU64>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut head).await, Ok(read) if read > 0) {
            return;
        }
    }
    let end = head.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
    if let Some(length) = text.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        let length: u64 = length.parse().unwrap();
        taken.fetch_add((head.len() - end) as u64, Ordering::SeqCst);
        let mut buffer = vec![0; 1 << 16];
        while taken.load(Ordering::SeqCst) < length {
            let Ok(read) = stream.read(&mut buffer).await else { return };
            taken.fetch_add(read as u64, Ordering::SeqCst);
            if read == 0 {
                return;
            }
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
        return;
    }
    let _ =
        stream.write_all(format!("HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n").as_bytes()).await;
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    for _ in 0..size / 0x10000 {
        if stream.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n").await;
}

/// Reads all there is and returns how much, and how it ended.
async fn swallow(mut stream: TcpStream) -> (u64, bool) {
    let (mut total, mut buffer, mut tail) = (0, vec![0; 1 << 18], Vec::new());
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return (total, tail.ends_with(b"\r\n0\r\n\r\n")),
            Ok(read) => {
                total += read as u64;
                tail.extend_from_slice(&buffer[..read]);
                tail.drain(..tail.len().saturating_sub(16));
            }
        }
        if tail.ends_with(b"\r\n0\r\n\r\n") {
            return (total, true);
        }
    }
}

async fn asking(address: SocketAddr) -> TcpStream {
    let mut client = Client::connect(address).await;
    client.send("GET /giant HTTP/1.1\r\nHost: h\r\n\r\n").await;
    client.stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_a_giant_neither_holds_up_a_fast_one_nor_fills_the_memory() {
    for (name, fields) in [("giant-cacheable", "Cache-Control: max-age=60\r\n"), ("giant-private", "Cache-Control: private\r\n")] {
        let (origin, _) = giant(200 * MIB, fields).await;
        let process = Process::start(name, origin, "");
        let before = process.resident();
        // Both are there before the origin answers: one fill, if it looks as if it could be stored.
        let slow = asking(process.address).await;
        let fast = asking(process.address).await;
        let reading = tokio::spawn(swallow(fast));
        let (started, mut most) = (Instant::now(), 0);
        while !reading.is_finished() {
            assert!(started.elapsed() < Duration::from_secs(60), "{name}: the fast one is held up");
            most = most.max(process.resident());
            tokio::time::sleep(millis(5)).await;
        }
        let (total, whole) = reading.await.unwrap();
        assert!(whole && total > 200 * MIB, "{name}: {total} bytes");
        assert!(most < before + GROWTH, "{name}: from {before} to {most}");
        // A giant for itself still passes, and the slow one has been cut, or waits; it has not been given a short body as whole.
        let (again, whole) = swallow(asking(process.address).await).await;
        assert!(whole && again > 200 * MIB);
        let (slow_total, slow_whole) = tokio::time::timeout(LONG * 3, swallow(slow)).await.expect("it ends");
        assert!(slow_whole == (slow_total > 200 * MIB), "{name}: {slow_total} bytes, whole: {slow_whole}");
        assert!(process.resident() < before + GROWTH, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_come_at_any_moment_of_a_giant_all_get_the_whole() {
    // Too large to store by a piece, and larger by no more than a piece than the window that opens then, with slack or without: nobody who has read one can fall behind it, however the
    // readers get their turns.
    const SIZE: u64 = 8 * MIB + 0x10000;
    let (origin, _) = giant(SIZE, "Cache-Control: max-age=60\r\n").await;
    let process = Process::start("giant-late", origin, "");
    let mut readers = Vec::new();
    for _ in 0..12 {
        readers.push(tokio::spawn(swallow(asking(process.address).await)));
        tokio::time::sleep(millis(3)).await;
    }
    for (at, reader) in readers.into_iter().enumerate() {
        let (total, whole) = reader.await.unwrap();
        assert!(whole && total > SIZE, "reader {at} got {total} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_giant_upload_passes_in_bounded_memory() {
    let (origin, taken) = giant(0, "").await;
    let process = Process::start("upload", origin, "");
    let before = process.resident();
    let mut client = Client::connect(process.address).await;
    client.send(format!("PUT /giant HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 300 * MIB)).await;
    let (piece, mut most) = (vec![b'x'; MIB as usize], 0);
    for _ in 0..300 {
        client.send(&piece).await;
        most = most.max(process.resident());
    }
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.text()), (200, "done"));
    assert_eq!(taken.load(Ordering::SeqCst), 300 * MIB);
    assert!(most < before + GROWTH, "from {before} to {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_hit_who_read_nothing_share_its_bytes() {
    let (origin, _) = giant(6 * MIB, "Cache-Control: max-age=60\r\n").await;
    let process = Process::start("hits", origin, "");
    let mut client = Client::connect(process.address).await;
    assert_eq!(client.get("/giant").await.body.len() as u64, 6 * MIB);
    let before = process.resident();
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(asking(process.address).await);
    }
    let hit = client.get("/giant").await;
    assert!(hit.is_hit() && hit.body.len() as u64 == 6 * MIB, "nobody is held up");
    assert!(process.resident() < before + GROWTH, "a hundred do not take a hundred times as much: {before} to {}", process.resident());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_fills_at_once_stay_within_the_budget() {
    let (origin, _) = giant(7 * MIB, "Cache-Control: max-age=60\r\n").await;
    let process = Process::start("fills", origin, "[cache]\nmax_bytes = \"32MiB\"\n");
    let before = process.resident();
    let mut readers = Vec::new();
    for at in 0..40 {
        let mut client = Client::connect(process.address).await;
        client.send(format!("GET /giant/{at} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        readers.push(tokio::spawn(swallow(client.stream)));
    }
    let mut most = 0;
    while !readers.iter().all(tokio::task::JoinHandle::is_finished) {
        most = most.max(process.resident());
        tokio::time::sleep(millis(5)).await;
    }
    for reader in readers {
        let (total, whole) = reader.await.unwrap();
        assert!(whole && total > 7 * MIB, "{total}");
    }
    // 280 MiB have passed; the cache may hold 32, and the connections their buffers.
    assert!(most < before + 32 * MIB + GROWTH, "from {before} to {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_keys_stays_within_the_budget() {
    let origin = crate::origin::Origin::always(crate::house::fresh(&"x".repeat(8000))).await;
    let process = Process::start("keys", origin.address, "[cache]\nmax_bytes = \"16MiB\"\n");
    let before = process.resident();
    let mut clients = Vec::new();
    for at in 0..8 {
        let mut client = Client::connect(process.address).await;
        clients.push(tokio::spawn(async move {
            for number in 0..1500 {
                assert_eq!(client.get(&format!("/?{at}.{number}")).await.body.len(), 8000);
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    // 96 MB have passed.
    assert!(process.resident() < before + 16 * MIB + 32 * MIB, "from {before} to {}", process.resident());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_up_and_a_gibibyte_down_take_less_than_32_mib() {
    const GIB: u64 = 1 << 30;
    for (name, fields) in [("gibibyte-private", "Cache-Control: private\r\n"), ("gibibyte-cacheable", "Cache-Control: max-age=60\r\n")] {
        let (origin, taken) = giant(GIB, fields).await;
        let process = Process::start(name, origin, "");
        process.forget_peak();
        let before = process.resident();
        let (total, whole) = swallow(asking(process.address).await).await;
        assert!(whole && total > GIB, "{total}");
        let peak = process.peak();
        assert!(peak < before + 32 * MIB, "{name}, down: from {before} to {peak}");
        let mut client = Client::connect(process.address).await;
        client.send(format!("PUT /giant HTTP/1.1\r\nHost: h\r\nContent-Length: {GIB}\r\nExpect: 100-continue\r\n\r\n")).await;
        assert_eq!(client.response().await.unwrap().status, 100);
        let piece = vec![b'x'; MIB as usize];
        for _ in 0..GIB / MIB {
            client.send(&piece).await;
        }
        let response = client.response().await.unwrap();
        assert_eq!((response.status, taken.load(Ordering::SeqCst)), (200, GIB));
        let peak = process.peak();
        assert!(peak < before + 32 * MIB, "{name}, up: from {before} to {peak}");
    }
}

/// Answers whatever comes, also many requests in one piece, with 500 bytes and their number.
async fn quick() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buffer = Vec::new();
                while matches!(stream.read_buf(&mut buffer).await, Ok(read) if read > 0) {
                    let mut answers = Vec::new();
                    while let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                        let large = buffer[..end].windows(7).any(|window| window == b"/large/");
                        let size = if large { 200_000 } else { 500 };
                        let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {size}\r\n\r\n");
                        answers.extend_from_slice(head.as_bytes());
                        answers.resize(answers.len() + size, b'x');
                        buffer.drain(..end + 4);
                    }
                    if stream.write_all(&answers).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// How many clients a soak has.
const CLIENTS: u64 = 106;
/// What a client takes who does not read: hyper's write buffer, a piece of a body, and what every connection has.
const A_CLIENT: u64 = 160 << 10;
/// What is between the origin and a body's place in the budget.
const AN_EXCHANGE: u64 = 128 << 10;
/// What the allocator has not given back yet.
const ALLOCATOR: u64 = 16 * MIB;

/// What a soak has done.
#[derive(Default)]
struct Done {
    queries: AtomicU64,
    refreshed: AtomicU64,
}

/// Ever new queries, many at a time, until there were enough of them.
async fn distinct_queries(address: SocketAddr, done: Arc<Done>, enough: u64, until: Instant) {
    const AT_ONCE: u64 = 50;
    let mut client = Client::connect(address).await;
    while Instant::now() < until {
        let first = done.queries.fetch_add(AT_ONCE, Ordering::SeqCst);
        if first >= enough {
            return;
        }
        let requests: String = (first..first + AT_ONCE).map(|at| format!("GET /q?a={at}&b={at} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
        client.send(requests).await;
        for _ in 0..AT_ONCE {
            assert_eq!(client.response().await.unwrap().body.len(), 500);
        }
    }
}

/// The same large keys again and again, half of them past what is stored.
async fn insert_again(address: SocketAddr, done: Arc<Done>, from: usize, until: Instant) {
    let mut client = Client::connect(address).await;
    for number in from.. {
        if Instant::now() >= until {
            return;
        }
        let anew = if number % 2 == 0 { "Cache-Control: no-cache\r\n" } else { "" };
        client.send(format!("GET /large/{} HTTP/1.1\r\nHost: h\r\n{anew}\r\n", number % 100)).await;
        assert_eq!(client.response().await.unwrap().body.len(), 200_000);
        done.refreshed.fetch_add(1, Ordering::SeqCst);
    }
}

/// All that fills memory at once, and the budget is far smaller than what passes: 100 000 queries or `SOAK_SECONDS` (30), whichever comes first.
#[tokio::test(flavor = "multi_thread")]
async fn a_soak_of_everything_at_once_stays_within_the_budget() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    let enough = if seconds > 30 { u64::MAX } else { 100_000 };
    let process = Process::start("soak", quick().await, "[cache]\nmax_bytes = \"16MiB\"\n");
    process.forget_peak();
    let (before, until, done) = (process.resident(), Instant::now() + Duration::from_secs(seconds), Arc::<Done>::default());
    let mut slow = Vec::new();
    for at in 0..100 {
        let mut client = Client::connect(process.address).await;
        // More than a socket takes: each of them waits with an answer in hand.
        client.send(format!("GET /large/{at} HTTP/1.1\r\nHost: h\r\n\r\n").repeat(50)).await;
        slow.push(client);
    }
    let queries: Vec<_> = (0..4).map(|_| tokio::spawn(distinct_queries(process.address, done.clone(), enough, until))).collect();
    let again: Vec<_> = (0..2).map(|at| tokio::spawn(insert_again(process.address, done.clone(), at * 50, until))).collect();
    tokio::time::sleep(until.duration_since(Instant::now()) / 3).await;
    let early = process.peak();
    process.forget_peak();
    for task in queries {
        task.await.unwrap();
    }
    again.iter().for_each(tokio::task::JoinHandle::abort);
    let (peak, passed) = (process.peak(), done.queries.load(Ordering::SeqCst));
    println!("{passed} queries, {} large ones, from {} to at most {} MiB", done.refreshed.load(Ordering::SeqCst), before / MIB, peak / MIB);
    assert!(passed > 500 && done.refreshed.load(Ordering::SeqCst) > 50, "the run was not one");
    // What lies beside the budget (`manual/security.md`), and what the allocator keeps.
    let beside = CLIENTS * A_CLIENT + CLIENTS * AN_EXCHANGE + ALLOCATOR;
    assert!(early.max(peak) < before + 16 * MIB + beside, "from {before} to {early}, then {peak}");
    assert!(peak < early + 8 * MIB, "it goes on growing: {early}, then {peak}");
    drop(slow);
}
