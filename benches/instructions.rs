//! How many instructions a hit takes, counted by callgrind, against what was recorded.
//!
//!     cargo run --locked --profile instructions --features bench --bin instructions              compares; exit code 1 if a count has grown by over 3 %
//!     cargo run --locked --profile instructions --features bench --bin instructions -- --record  writes benches/instructions.json
//!
//! Needs valgrind. Instructions of this program alone, in user space: no time, so a busy machine does not matter. Each scenario runs twice, with few
//! and with many rounds; the difference is what a round costs. Hashes are seeded at random, which moves a count by a fifth of a percent.
//! Counts belong to one compiler: with another one they are shown, and nothing is judged.
//!
//! Where they go, by function:
//!
//!     valgrind --tool=callgrind --collect-atstart=no '--toggle-collect=*instructions::counted_part*' --callgrind-out-file=hit.out \
//!         target/instructions/instructions --run 'hit in process, Vary' 4096 && callgrind_annotate hit.out

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, ExitCode};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tower_layer::Layer as _;
use tower_service::Service;
use warmfront::bench::Pieces;
use warmfront::layer::CacheService;
use warmfront::sidecar::Sidecar;
use warmfront::sidecar::settings::{ListenAddr, Origin, ServerSettings, UpstreamSettings};
use warmfront::warm::{Combo, Group};
use warmfront::{Cache, CacheLayer, RequestBody, Rule};

/// That of the `warmfront` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What is done so many times.
type Scenario = fn(usize) -> Outcome<()>;

/// What is counted, by name.
const SCENARIOS: [(&str, Scenario); 7] = [
    ("key", key),
    ("lookup and verdict", lookup),
    ("hit in process, Vary", hit),
    ("304 in process", not_modified),
    ("plan, an item of a combo", plan),
    ("hit of the sidecar, 1 KiB", sidecar),
    ("pass of the sidecar, 1 KiB", pass),
];
/// Rounds of the two runs whose difference counts.
const ROUNDS: [usize; 2] = [1024, 4096];
/// By how much a count may grow.
const TOLERANCE: f64 = 0.03;
/// Within this a smaller count is noise, and no reason to record it anew.
const NOISE: f64 = 0.01;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(false),
        ["--record"] => compare(true),
        ["--run", name, rounds] => run(name, rounds).map(|()| true),
        _ => Err("usage: instructions [--record]".into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One scenario; this is what runs under callgrind.
fn run(name: &str, rounds: &str) -> Outcome<()> {
    let (_, scenario) = SCENARIOS.iter().find(|(known, _)| *known == name).ok_or("no such scenario")?;
    scenario(rounds.parse()?)
}

/// Counts all scenarios and compares them with what was recorded; `false` if one has grown too much.
fn compare(record: bool) -> Outcome<bool> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.json");
    let recorded: Value = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let world = world()?;
    let comparable = recorded["for"] == *world;
    let (mut counts, mut good) = (Map::new(), true);
    println!("{:<28}{:>10}{:>10}{:>9}", "instructions per round", "recorded", "now", "change");
    for (name, _) in SCENARIOS {
        let now = count(name)?;
        counts.insert(name.to_owned(), json!(now));
        let Some(before) = recorded["counts"][name].as_u64() else {
            println!("{name:<28}{:>10}{now:>10}{:>9}", "-", "-");
            good &= record; // what is not recorded is not guarded
            continue;
        };
        let change = now as f64 / before as f64 - 1.0;
        let remark = match change {
            _ if !comparable || record => "",
            change if change > TOLERANCE => "  GROWN",
            change if change < -NOISE => "  less: record it",
            _ => "",
        };
        good &= remark != "  GROWN";
        println!("{name:<28}{before:>10}{now:>10}{:>+8.2}%{remark}", change * 100.0);
    }
    if record {
        let all = json!({ "for": world, "rounds": ROUNDS, "counts": counts });
        std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&all)?))?;
        println!("recorded for {world}");
        return Ok(true);
    }
    if !comparable {
        println!("NOT JUDGED: recorded with {}, this is {world}; record anew with it", recorded["for"]);
        return Ok(true);
    }
    if !good {
        println!(
            "A count has grown by over {:.0} %, or is not recorded. If that is wanted: --record, and say why in the commit.",
            TOLERANCE * 100.0
        );
    }
    Ok(good)
}

/// What the counts depend on beside our code: the compiler and what it compiles for, what counts, and the C library, which has a `memcpy` for each kind of
/// processor.
fn world() -> Outcome<String> {
    let says = |command: &str, argument: &str| -> Outcome<String> {
        let said = Command::new(command).arg(argument).output()?.stdout;
        Ok(String::from_utf8(said)?.lines().next().unwrap_or("?").trim().to_owned())
    };
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kind = if processor.contains(" avx2 ") { "avx2" } else { "no avx2" };
    let libc = says("getconf", "GNU_LIBC_VERSION").unwrap_or_else(|_| "another C library".to_owned());
    Ok(format!("{}, {}, {libc}, {kind}", compiler()?, says("valgrind", "--version")?))
}

/// The compiler and what it compiles for, as `rustc -vV` says.
fn compiler() -> Outcome<String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let said = String::from_utf8(Command::new(rustc).arg("-vV").output()?.stdout)?;
    let line = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned();
    Ok(format!("{} {}", line("release:"), line("host:")))
}

/// Instructions of one round.
fn count(name: &str) -> Outcome<u64> {
    let [few, many] = ROUNDS;
    let difference = callgrind(name, many)?.checked_sub(callgrind(name, few)?).ok_or("fewer instructions for more rounds")?;
    Ok(difference / (many - few) as u64)
}

/// Instructions inside of [`counted_part`].
fn callgrind(name: &str, rounds: usize) -> Outcome<u64> {
    let file: PathBuf = std::env::temp_dir().join(format!("warmfront-instructions.{}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*instructions::counted_part*", "--quiet"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(["--run", name, &rounds.to_string()])
        .output()
        .map_err(|error| format!("cannot start valgrind: {error}"))?;
    let text = std::fs::read_to_string(&file);
    let _ = std::fs::remove_file(&file);
    if !output.status.success() {
        return Err(format!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = text?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals:")).ok_or("no totals")?;
    match totals.trim().parse()? {
        0 => Err(format!("{name}: nothing was counted: has `counted_part` lost its name?").into()),
        count => Ok(count),
    }
}

/// What is counted: what happens in here, on this thread.
#[inline(never)]
fn counted_part(work: &mut dyn FnMut()) {
    work();
    black_box(());
}

/// An application whose answers can be stored.
#[derive(Clone, Copy)]
struct App;

impl Service<Request<RequestBody>> for App {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        static BODY: [u8; 1024] = [b'a'; 1024];
        let mut response = Response::new(Full::new(Bytes::from_static(&BODY)));
        for (name, value) in [
            ("content-type", "application/json"),
            ("cache-control", "public, max-age=3600"),
            ("etag", "\"6500-400\""),
            ("last-modified", "Fri, 20 Nov 2026 09:16:00 GMT"),
            ("vary", "accept-encoding"),
        ] {
            response.headers_mut().insert(name, http::HeaderValue::from_static(value));
        }
        ready(Ok(response))
    }
}

fn runtime() -> Outcome<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// A cache with rules, of which the last one matches.
fn cache() -> Outcome<Cache> {
    let minute = Duration::from_secs(60);
    let rules = [Rule::path("/api/me/**")?.ttl(minute), Rule::path("/v1/chat/**")?.pass(), Rule::path("/api/**")?.named("api").ttl(minute)];
    Ok(rules.into_iter().fold(Cache::builder(), |builder, rule| builder.rule(rule)).build())
}

fn request<B: Default>(more: &[(&'static str, &'static str)]) -> Outcome<Request<B>> {
    let usual = [("host", "example.com"), ("user-agent", "wrk"), ("accept", "application/json"), ("accept-encoding", "gzip")];
    let request = Request::get("/api/schools/primary?page=1&pageSize=20");
    Ok(usual.iter().chain(more).fold(request, |request, (name, value)| request.header(*name, *value)).body(B::default())?)
}

/// A service with a stored answer.
fn filled() -> Outcome<(Cache, CacheService<App>)> {
    let cache = cache()?;
    let mut service = CacheLayer::new(cache.clone()).layer(App);
    let runtime = runtime()?;
    let request = request(&[])?;
    runtime.block_on(async {
        let response = service.call(request).await?;
        http_body_util::BodyExt::collect(response.into_body()).await.map(drop).map_err(|error| error.to_string())?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok::<_, Box<dyn Error>>(())
    })?;
    if cache.stats().entries != 1 {
        return Err("nothing was stored".into());
    }
    Ok((cache, service))
}

fn key(rounds: usize) -> Outcome<()> {
    let mut pieces = Pieces::new(&cache()?, request(&[])?);
    counted_part(&mut || {
        for _ in 0..rounds {
            black_box(pieces.key());
        }
    });
    Ok(())
}

fn lookup(rounds: usize) -> Outcome<()> {
    let (cache, _service) = filled()?;
    let keyed = Pieces::new(&cache, request(&[])?).keyed();
    let mut fresh = 0;
    counted_part(&mut || fresh = (0..rounds).filter(|_| keyed.judge()).count());
    all(fresh, rounds)
}

/// Hits in process, with requests that are built before.
fn hits(rounds: usize, more: &[(&'static str, &'static str)], status: u16) -> Outcome<()> {
    let (_cache, mut service) = filled()?;
    let requests = (0..rounds).map(|_| request(more)).collect::<Outcome<Vec<_>>>()?;
    let (mut requests, mut good) = (requests.into_iter(), 0);
    let mut context = Context::from_waker(Waker::noop());
    counted_part(&mut || {
        for request in requests.by_ref() {
            if let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) {
                good += usize::from(response.status() == status);
                black_box(response);
            }
        }
    });
    all(good, rounds)
}

fn hit(rounds: usize) -> Outcome<()> {
    hits(rounds, &[], 200)
}

fn not_modified(rounds: usize) -> Outcome<()> {
    hits(rounds, &[("if-none-match", "\"6500-400\"")], 304)
}

fn plan(rounds: usize) -> Outcome<()> {
    let combo = Combo::path("/api/schools")?.query("page", 1..=rounds / 64)?.query("size", 1..=64)?;
    let mut group = Group::new("all").combo(combo)?;
    group.max_items = rounds;
    let mut drawn = 0;
    counted_part(&mut || {
        drawn =
            group.expand(&[], |item| item.target.as_str().len() as u64 + item.target.as_str().bytes().map(u64::from).sum::<u64>()).count()
    });
    if drawn > 0 { Ok(()) } else { Err("nothing was drawn".into()) }
}

/// Hits through a socket, from the first byte that is read to the last that is written; the client is another thread, and not counted.
fn sidecar(rounds: usize) -> Outcome<()> {
    let stats = through_sockets("/api/schools/primary?page=1&pageSize=20", rounds)?;
    all(usize::try_from(stats.hits)?, rounds)
}

/// Passes through two sockets: to a client and to an origin, which are threads of their own and not counted.
fn pass(rounds: usize) -> Outcome<()> {
    let stats = through_sockets("/v1/chat/primary?page=1&pageSize=20", rounds)?;
    all(usize::try_from(stats.passed)?, rounds + 1)
}

/// Asks a sidecar for `target`, once and then `rounds` times.
fn through_sockets(target: &'static str, rounds: usize) -> Outcome<warmfront::layer::Stats> {
    let origin = std::net::TcpListener::bind("127.0.0.1:0")?;
    let upstream = UpstreamSettings::new(Origin::http(origin.local_addr()?.to_string().parse()?));
    std::thread::spawn(move || {
        for socket in origin.incoming().flatten() {
            std::thread::spawn(move || answer_all(socket));
        }
    });
    let cache = cache()?;
    let server = ServerSettings { listen: vec![ListenAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))], ..ServerSettings::default() };
    let runtime = runtime()?;
    let sidecar = Sidecar::new(server, upstream);
    let bound = runtime.block_on(sidecar.bind())?;
    let Some(ListenAddr::Tcp(address)) = bound.addresses().into_iter().next() else { return Err("not bound".into()) };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let client = std::thread::spawn(move || {
        let said = ask(address, target, rounds).map_err(|error| error.to_string());
        let _ = stop.send(());
        said
    });
    let mut serving = Some((bound, stopped));
    counted_part(&mut || {
        if let Some((bound, stopped)) = serving.take() {
            let service = CacheService::new(sidecar.upstream(), cache.clone());
            runtime.block_on(bound.run_cached(service, async { drop(stopped.await) }));
        }
    });
    client.join().map_err(|_| "the client panicked")??;
    Ok(cache.stats())
}

/// The origin: to each request the same answer, with the fields that common servers send.
fn answer_all(mut socket: TcpStream) -> std::io::Result<()> {
    let mut answer =
        b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Fri, 20 Nov 2026 09:16:00 GMT\r\nContent-Type: application/json\r\n\
        Content-Length: 1024\r\nLast-Modified: Fri, 20 Nov 2026 09:16:00 GMT\r\nConnection: keep-alive\r\nETag: \"6500-400\"\r\n\
        Cache-Control: public, max-age=315360000\r\nVary: accept-encoding\r\nAccept-Ranges: bytes\r\n\r\n"
            .to_vec();
    answer.resize(answer.len() + 1024, b'a');
    socket.set_nodelay(true)?;
    let (mut buffer, mut seen) = ([0; 8192], 0);
    loop {
        let count = socket.read(&mut buffer[seen..])?;
        seen += count;
        if count == 0 {
            return Ok(());
        }
        if buffer[..seen].ends_with(b"\r\n\r\n") {
            seen = 0;
            socket.write_all(&answer)?;
        }
    }
}

/// Asks for the same thing again and again on one connection.
fn ask(address: SocketAddr, target: &str, rounds: usize) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let question = format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let mut buffer = [0; 8192];
    // One fill, one pause for it to be stored, then hits; or passes all along.
    for round in 0..=rounds {
        socket.write_all(question.as_bytes())?;
        let mut seen = 0;
        loop {
            let count = socket.read(&mut buffer[seen..])?;
            seen += count;
            let head = buffer[..seen].windows(4).position(|end| end == b"\r\n\r\n");
            if count == 0 || head.is_some_and(|head| seen >= head + 4 + 1024) {
                break;
            }
        }
        if !buffer.starts_with(b"HTTP/1.1 200 ") {
            return Err(std::io::Error::other(String::from_utf8_lossy(&buffer[..seen]).into_owned()));
        }
        if round == 0 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// Nothing is worth counting that did something else.
fn all(good: usize, rounds: usize) -> Outcome<()> {
    if good == rounds { Ok(()) } else { Err(format!("{good} of {rounds} were hits").into()) }
}
