//! What warming gives and what it costs.
//!
//!     cargo bench --bench warm
//!
//! 1. Over real sockets, origin 300 ms, a start-up plan of 200 items: how long the first requests take afterwards.
//! 2. A run of 2,000 items (origin 10 ms, 64 at a time) against the arithmetic limit, and 64 plain clients that ask for as much. This origin is punctual: tokio's
//!    timers would make of 10 ms what is left of a millisecond more, and wake all at once.
//! 3. Readers' hits and live misses while such a run goes on, against quiet rounds, in turn.
//! 4. In process, origin at once: what the runner costs per item beyond the fill, against the same requests from a plain loop, in turn.
//!
//! Nothing is asserted: tests do that, in their own time.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, ServiceExt as _, service_fn};
use warmfront::sidecar::Sidecar;
use warmfront::sidecar::settings::{ListenAddr, ServerSettings, UpstreamSettings};
use warmfront::warm::{Combo, Group, Guard, Plan, WarmSettings, Warmer};
use warmfront::{Cache, CacheLayer, RequestBody};

/// An origin that answers every request after `delay`, on a runtime of its own.
fn origin(runtime: &Runtime, delay: Duration) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("bound");
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket, delay));
        }
    });
    address
}

async fn answer(mut socket: TcpStream, delay: Duration) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = socket.read(&mut buffer).await?;
        seen.extend_from_slice(&buffer[..count]);
        if count == 0 {
            return Ok(());
        }
        if seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            tokio::time::sleep(delay).await;
            let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncontent-length: 1024\r\n\r\n";
            socket.write_all(&[head.as_bytes(), &[b'a'; 1024]].concat()).await?;
        }
    }
}

/// An origin that answers every request after `delay`, to some 60 us: a thread for each connection.
fn punctual_origin(delay: Duration) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer_punctually(socket, delay));
        }
    });
    address
}

fn answer_punctually(mut socket: std::net::TcpStream, delay: Duration) -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};
    socket.set_nodelay(true)?;
    let answer = [&b"HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncontent-length: 1024\r\n\r\n"[..], &[b'a'; 1024]].concat();
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = socket.read(&mut buffer)?;
        seen.extend_from_slice(&buffer[..count]);
        if count == 0 {
            return Ok(());
        }
        if seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            std::thread::sleep(delay);
            socket.write_all(&answer)?;
        }
    }
}

/// A sidecar in front of `upstream` that warms these groups.
fn sidecar(runtime: &Runtime, upstream: SocketAddr, settings: WarmSettings) -> (SocketAddr, Guard) {
    let _entered = runtime.enter();
    runtime.block_on(async {
        let server = ServerSettings { listen: vec![ListenAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))], ..ServerSettings::default() };
        let sidecar = Sidecar::new(server, UpstreamSettings::new(upstream.to_string().parse().expect("an authority")));
        let bound = sidecar.bind().await.expect("a free port");
        let addresses = bound.addresses();
        let address = addresses.iter().find_map(|address| if let ListenAddr::Tcp(address) = address { Some(*address) } else { None });
        let cache = Cache::new();
        let service = CacheLayer::new(cache.clone()).layer(sidecar.upstream());
        let plan = Plan::new(&cache).settings(settings).host("bench".parse().expect("a host"));
        let guard = Warmer::new::<_, RequestBody, _>(service.clone(), plan).spawn().expect("a plan");
        tokio::spawn(bound.run(service, pending()));
        (address.expect("a TCP address"), guard)
    })
}

/// Pages of `/p`, numbered.
fn pages(name: &str, count: u64) -> Group {
    let combo = Combo::path("/p").expect("a path").query("page", 0..count).expect("a query");
    Group::new(name).combo(combo).expect("a combo").max_items(1_000_000)
}

/// One client on one connection.
struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn new(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("it listens");
        socket.set_nodelay(true).expect("a socket");
        Self { socket, buffer: vec![0; 8192] }
    }

    /// How long a GET takes, to the last byte, and whether it was a hit.
    async fn get(&mut self, path: &str) -> (Duration, bool) {
        let start = Instant::now();
        self.socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes()).await.expect("open");
        let mut length = 0;
        loop {
            length += self.socket.read(&mut self.buffer[length..]).await.expect("an answer");
            let head = self.buffer[..length].windows(4).position(|window| window == b"\r\n\r\n");
            if head.is_some_and(|head| length >= head + 4 + 1024) {
                let hit = self.buffer[..length].windows(14).any(|window| window == b"warmfront; hit");
                return (start.elapsed(), hit);
            }
        }
    }
}

fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6
}

fn after_start_up(outside: &Runtime, inside: &Runtime) {
    let upstream = origin(outside, Duration::from_millis(300));
    let settings =
        WarmSettings { max_rate: 0, concurrency: 64, groups: vec![pages("startup", 200).on_startup()], ..WarmSettings::default() };
    let (address, guard) = sidecar(inside, upstream, settings);
    let mut reports = guard.reports();
    let report = outside.block_on(reports.wait_for(|report| report.groups[0].totals.runs > 0)).expect("a report").clone();
    let last = report.groups[0].last.clone().expect("a run");
    let (mut times, mut hits) = (Vec::new(), 0);
    outside.block_on(async {
        let mut client = Client::new(address).await;
        client.get("/other").await; // the connection
        for page in 0..200 {
            let (time, hit) = client.get(&format!("/p?page={page}")).await;
            times.push(time);
            hits += u32::from(hit);
        }
    });
    println!("1. start-up run of 200 items, origin 300 ms, 64 at a time: {:?}", last.duration);
    println!(
        "   first requests: {hits} of 200 hits, median {:.0} us, last {:.0} us",
        percentile(&mut times, 0.5),
        percentile(&mut times, 1.0)
    );
}

fn against_the_limit(outside: &Runtime, inside: &Runtime) {
    let upstream = punctual_origin(Duration::from_millis(10));
    let settings =
        WarmSettings { max_rate: 0, concurrency: 64, groups: vec![pages("g", 2000).only_on_demand()], ..WarmSettings::default() };
    let (_, guard) = sidecar(inside, upstream, settings);
    let mut ratios: Vec<f64> = Vec::new();
    let limit = Duration::from_millis(10) * 2000_u32.div_ceil(64);
    for _ in 0..5 {
        let warm = guard.handle();
        let job = outside.block_on(warm.run(None, true)).expect("known").expect("alive");
        outside.block_on(job.ended());
        let report = job.runs().next().and_then(|run| run.report()).expect("it has ended");
        ratios.push(report.duration.as_secs_f64() / limit.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!("2. 2,000 items, origin 10 ms, 64 at a time: limit {limit:?}, run / limit: median {:.2}, all {ratios:.2?}", ratios[2]);
    let mut plain: Vec<f64> = (0..5).map(|_| inside.block_on(plain_clients(upstream)).as_secs_f64() / limit.as_secs_f64()).collect();
    plain.sort_by(f64::total_cmp);
    println!("   64 plain clients with the same origin, plain / limit: median {:.2}, all {plain:.2?}", plain[2]);
}

/// How long 64 clients take for 2,000 requests, each with a connection that is open.
async fn plain_clients(upstream: SocketAddr) -> Duration {
    let mut clients = Vec::new();
    for _ in 0..64 {
        clients.push(Client::new(upstream).await);
    }
    let start = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        asking.spawn(async move {
            for _ in (number..2000).step_by(64) {
                client.get("/p").await;
            }
        });
    }
    asking.join_all().await;
    start.elapsed()
}

fn beside_readers(outside: &Runtime, inside: &Runtime, max_rate: u32) {
    let upstream = origin(outside, Duration::from_millis(50));
    let settings = WarmSettings { max_rate, concurrency: 64, groups: vec![pages("g", 2000).only_on_demand()], ..WarmSettings::default() };
    let (address, guard) = sidecar(inside, upstream, settings);
    let (mut p99, mut misses) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut number = 0;
    for round in 0..10 {
        let busy = round % 2;
        let job = (busy == 1).then(|| outside.block_on(guard.handle().run(None, true)).expect("known").expect("alive"));
        let (mut hits, mut waits) = (Vec::new(), Vec::new());
        outside.block_on(async {
            let (mut reader, mut other) = (Client::new(address).await, Client::new(address).await);
            reader.get("/hot").await;
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(2500) {
                for _ in 0..1000 {
                    hits.push(reader.get("/hot").await.0);
                }
                number += 1;
                waits.push(other.get(&format!("/cold?{number}")).await.0);
            }
        });
        if let Some(job) = job {
            guard.handle().cancel(job.id());
            outside.block_on(job.ended());
        }
        p99[busy].push(percentile(&mut hits, 0.99));
        misses[busy].push(percentile(&mut waits, 0.5));
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let [quiet, busy] = p99.each_mut().map(median);
    let [calm, live] = misses.each_mut().map(median);
    println!("3. a run of 2,000 items at {max_rate}/s beside readers, one worker, origin 50 ms, medians of five rounds each, in turn");
    println!("   hit p99: quiet {quiet:.0} us, during the run {busy:.0} us, ratio {:.2}", busy / quiet);
    println!("   live miss median: quiet {:.1} ms, during the run {:.1} ms, ratio {:.2}", calm / 1e3, live / 1e3, live / calm);
}

/// 1 KiB at once.
async fn app(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    static BODY: [u8; 1024] = [b'a'; 1024];
    let response = Response::builder().header("cache-control", "max-age=3600");
    Ok(response.body(Full::new(Bytes::from_static(&BODY))).expect("a response"))
}

fn cost_per_item() {
    const ITEMS: u64 = 20_000;
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        rounds[0].push(runtime.block_on(async {
            let service = CacheLayer::new(Cache::new()).layer(service_fn(app));
            let start = Instant::now();
            for page in 0..ITEMS {
                let request =
                    Request::get(format!("/p?page={page}")).header("host", "bench").header("accept", "*/*").header("user-agent", "loop");
                let response = service.clone().oneshot(request.body(RequestBody::default()).expect("a request")).await.expect("an answer");
                response.into_body().collect().await.expect("a body");
            }
            start.elapsed().as_secs_f64() * 1e6 / ITEMS as f64
        }));
        rounds[1].push(runtime.block_on(async {
            let cache = Cache::new();
            let service = CacheLayer::new(cache.clone()).layer(service_fn(app));
            let settings = WarmSettings { max_rate: 0, groups: vec![pages("g", ITEMS).only_on_demand()], ..WarmSettings::default() };
            let plan = Plan::new(&cache).settings(settings).host("bench".parse().expect("a host"));
            let guard = Warmer::new::<_, RequestBody, _>(service, plan).spawn().expect("a plan");
            let start = Instant::now();
            let job = guard.handle().run(None, false).await.expect("known").expect("alive");
            job.ended().await;
            assert_eq!(job.fates().warm(), ITEMS);
            start.elapsed().as_secs_f64() * 1e6 / ITEMS as f64
        }));
    }
    let [fill, warm] = rounds.each_mut().map(|round| {
        round.sort_by(f64::total_cmp);
        round[2]
    });
    println!("4. CPU per item on one thread: a plain loop {fill:.1} us, a warm run {warm:.1} us, the runner's own {:.1} us", warm - fill);
}

fn main() {
    let runtime = || Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (outside, inside) = (runtime(), runtime());
    after_start_up(&outside, &inside);
    against_the_limit(&outside, &inside);
    beside_readers(&outside, &inside, WarmSettings::default().max_rate);
    beside_readers(&outside, &inside, 400);
    cost_per_item();
}
