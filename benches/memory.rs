//! What stored responses cost in memory, next to what the cache counts for them, and what the sidecar and its idle connections do.
//!
//!     cargo bench --bench memory
//!
//! Prints what an entry of moka takes by itself; then, for several body sizes, the growth of the resident set per entry beside the weight per entry that counts
//! towards `max_bytes`, and what of it is neither key nor header line nor body. The weights in `cache/entry` are set so that the count is never below
//! the truth. Then the resident set of an idle sidecar, and of as many idle connections as
//! the limit of open files allows, up to 10 000: `ulimit -n 20400` for all of them.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tower::{Layer as _, ServiceExt as _, service_fn};
use warmfront::{Cache, CacheLayer, RequestBody, Rule};

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ENTRIES: usize = 50_000;
/// Variants of each key, where there are many.
const VARIANTS: usize = 16;

/// The resident set of this process in bytes.
fn resident() -> u64 {
    resident_of("self")
}

fn resident_of(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib << 10
}

/// What is stored: bytes of a body, and how many keys and variants of each make up the entries.
#[derive(Clone, Copy)]
struct Load {
    size: usize,
    variants: usize,
    /// Under a rule that has a name and a tag.
    ruled: bool,
}

impl Load {
    fn request(self, n: usize) -> Request<RequestBody> {
        let (key, variant) = (n / self.variants, n % self.variants);
        let request = Request::get(format!("http://example.com/api/items/{key:08}?size={}", self.size));
        request.header("accept-language", format!("x-{variant:03}")).body(RequestBody::default()).expect("a request")
    }

    /// Fills `cache`, and says how many bytes the key, the header lines and the body of an entry are, as HTTP/1 writes them.
    async fn fill(self, cache: &Cache) -> usize {
        let app = service_fn(move |_: Request<RequestBody>| async move {
            let response = Response::builder().header("content-type", "application/json").header("cache-control", "max-age=3600");
            let response = response.header("etag", "\"6500-400\"").header("x-request-id", "0123456789abcdef");
            let response = if self.variants > 1 { response.header("vary", "accept-language") } else { response };
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(vec![b'a'; self.size]))).expect("a response"))
        });
        let service = CacheLayer::new(cache.clone()).layer(app);
        for n in 0..ENTRIES {
            let response = service.clone().oneshot(self.request(n)).await.expect("an answer");
            response.into_body().collect().await.expect("a body");
        }
        let request = self.request(ENTRIES - 1);
        let key = request.uri().to_string().len() + if self.variants > 1 { "accept-languagex-000".len() } else { 0 };
        let hit = service.oneshot(request).await.expect("an answer");
        let ours = ["age", "cache-status"];
        let stored = hit.headers().iter().filter(|(name, _)| !ours.contains(&name.as_str()));
        key + stored.map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>() + self.size
    }
}

/// The map alone, with keys and values as large as ours and none of what they point to.
fn map_alone() {
    let before = resident();
    let cache = moka::sync::Cache::builder()
        .max_capacity(4 << 30)
        .weigher(|_: &[usize; 2], _: &[usize; 2]| 1)
        .eviction_policy(moka::policy::EvictionPolicy::lru())
        .eviction_listener(|_, _, _| ())
        .build();
    for n in 0..ENTRIES {
        cache.insert([n; 2], [n; 2]);
    }
    cache.run_pending_tasks();
    println!("{:>10}{:>14}", "map alone", (resident() - before) / ENTRIES as u64);
    std::mem::forget(cache);
}

#[tokio::main(flavor = "current_thread")]
async fn entries() {
    println!("{ENTRIES} entries each; bytes per entry");
    println!("{:>10}{:>10}{:>10}{:>10}{:>8}{:>24}", "body", "variants", "resident", "counted", "ratio", "over key, lines, body");
    map_alone();
    let plain = |size| Load { size, variants: 1, ruled: false };
    let ruled = |size| Load { ruled: true, ..plain(size) };
    let many = |size| Load { variants: VARIANTS, ..plain(size) };
    for load in [plain(0), plain(100), plain(1024), plain(10_240), ruled(1024), many(0), many(1024)] {
        let Load { size, variants, ruled } = load;
        let before = resident();
        let cache = Cache::builder().max_bytes(4 << 30);
        let cache = if ruled { cache.rule(Rule::path("/**").expect("a pattern").tag("items")) } else { cache };
        let cache = cache.build();
        let said = load.fill(&cache).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let stats = cache.stats();
        assert_eq!(stats.entries, (ENTRIES / variants) as u64);
        let (real, counted) = ((resident() - before) as usize / ENTRIES, stats.bytes as usize / ENTRIES);
        let note = if ruled { "  under a rule with a tag" } else { "" };
        let ratio = counted as f64 / real as f64;
        println!("{size:>10}{variants:>10}{real:>10}{counted:>10}{ratio:>8.2}{:>24}{note}", real.saturating_sub(said));
        std::mem::forget(cache); // so that the next size starts from fresh memory
    }
}

/// Answers each request of each connection with something that can be stored.
fn origin() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.expect("a connection");
                let mut head = [0; 4096];
                while matches!(stream.read(&mut head), Ok(1..)) {
                    let answer = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 4\r\n\r\ndone";
                    stream.write_all(answer).expect("a reader");
                }
            });
        }
    });
    address
}

/// A connection that has had an answer and now says nothing.
fn idle_connection(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: h\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n").expect("it reads");
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"done") {
        let read = stream.read(&mut piece).expect("an answer");
        assert!(read > 0, "it closed");
        answer.extend_from_slice(&piece[..read]);
    }
    stream
}

struct Sidecar(Child);

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sidecar() {
    let folder = std::env::temp_dir().join(format!("warmfront-memory-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = format!("[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 20000\n[upstream]\nurls = [\"http://{}\"]\n", origin());
    std::fs::write(folder.join("warmfront.toml"), file).expect("a file");
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_warmfront"));
    let mut child =
        Sidecar(command.arg("run").current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts"));
    let mut lines = BufReader::new(child.0.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let (_, address) =
        lines.find_map(|line| line.find("127.0.0.1:").map(|at| (at, line[at..].to_owned()))).expect("it says where it listens");
    let end = address.rfind(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
    let port = address["127.0.0.1:".len()..end].split(|c: char| !c.is_ascii_digit()).next().expect("a port");
    let address = format!("127.0.0.1:{port}");
    let first = idle_connection(&address);
    println!("start to first answer: {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    std::thread::spawn(move || lines.count());
    std::thread::sleep(Duration::from_secs(2));
    let process = child.0.id().to_string();
    let before = resident_of(&process);
    println!("idle resident set: {:.1} MiB", before as f64 / f64::from(1 << 20));
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let files =
        limits.lines().find(|line| line.starts_with("Max open files")).and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    let count = (files.unwrap_or(1024_usize) - 100).min(10_000);
    let mut connections = vec![first];
    for _ in 0..count {
        connections.push(idle_connection(&address));
    }
    std::thread::sleep(Duration::from_secs(3));
    println!("{count} idle connections: {} bytes each", (resident_of(&process) - before) / count as u64);
    drop(child);
    let _ = std::fs::remove_dir_all(folder);
}

fn main() {
    entries();
    sidecar();
}
