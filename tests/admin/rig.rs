//! A whole house in this process: an origin that counts, a sidecar with cache and warmer, and the admin API.

use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tower::Layer as _;
use warmfront::admin::{Admin, AdminSettings, Control, Rooms, Serving};
use warmfront::cache::invalidation::Invalidation;
use warmfront::clock::Clock;
use warmfront::sidecar::Sidecar;
use warmfront::sidecar::settings::{ListenAddr, ServerSettings, UpstreamSettings};
use warmfront::warm::{Group, Guard, Plan, WarmSettings, Warmer};
use warmfront::{Cache, CacheLayer, RequestBody, Rule, Settings};

/// No test waits longer for anything.
pub const LONG: Duration = Duration::from_secs(20);

/// A house. Groups: `channels` (`/channels/1`, `/channels/2`, at start-up and refresh), `models` (`/models/1`, by cron); what lies under `/tagged/` carries
/// the tag `news`, which a change of `/news` invalidates.
pub struct Rig {
    pub admin: SocketAddr,
    pub data: SocketAddr,
    pub origin: Origin,
    pub clock: Clock,
    pub cache: Cache,
    pub control: Control,
    pub serving: Option<Serving>,
    pub warmer: Option<Guard>,
    _stop: oneshot::Sender<()>,
}

/// Answers every request with its path and how often it was asked for.
#[derive(Clone)]
pub struct Origin {
    counts: Arc<Mutex<HashMap<String, u64>>>,
    /// What begins like this is not answered now.
    shut: watch::Sender<Option<&'static str>>,
}

/// One response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether nobody was asked for it.
    pub fn is_hit(&self) -> bool {
        self.field("cache-status").is_some_and(|status| status.starts_with("warmfront; hit"))
    }
}

impl Origin {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = Self { counts: Arc::default(), shut: watch::Sender::new(None) };
        let own = origin.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(own.clone().answer(stream));
            }
        });
        (origin, address)
    }

    async fn answer(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut first, mut line) = (String::new(), String::new());
            if stream.read_line(&mut first).await.unwrap_or(0) == 0 {
                return;
            }
            while stream.read_line(&mut line).await.unwrap_or(0) > 2 {
                line.clear();
            }
            let path = first.split(' ').nth(1).unwrap().to_owned();
            let count = {
                let mut counts = self.counts.lock().unwrap();
                let count = counts.entry(path.clone()).or_default();
                *count += 1;
                *count
            };
            let _ = self.shut.subscribe().wait_for(|shut| shut.is_none_or(|shut| !path.starts_with(shut))).await;
            let body = format!("{path}#{count}");
            let fields = if path == "/uncacheable" { "Cache-Control: no-store" } else { "Cache-Control: max-age=600" };
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// Holds back all answers for what begins with `prefix`.
    pub fn shut(&self, prefix: &'static str) {
        self.shut.send_replace(Some(prefix));
    }

    /// Answers again.
    pub fn open(&self) {
        self.shut.send_replace(None);
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> u64 {
        self.counts.lock().unwrap().get(path).copied().unwrap_or(0)
    }
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(|_, _| {}).await
    }

    /// With other settings. Nothing runs at start-up unless they say so.
    pub async fn with(adjust: impl FnOnce(&mut AdminSettings, &mut WarmSettings)) -> Self {
        let (origin, address) = Origin::start().await;
        let clock = Clock::manual(1_772_000_000); // 2026-02-25T06:13:20Z
        let rule = Rule::path("/tagged/**").unwrap().tag("news");
        let change = Invalidation::path("/news").unwrap().tag("news");
        let settings = Settings { rules: vec![rule], invalidations: vec![change], ..Settings::default() };
        let cache = Cache::builder().settings(settings).clock(clock.clone()).build();
        let server = ServerSettings { listen: vec![ListenAddr::Tcp("127.0.0.1:0".parse().unwrap())], ..ServerSettings::default() };
        let sidecar = Sidecar::new(server, UpstreamSettings::new(address.to_string().parse().unwrap()));
        let service = CacheLayer::new(cache.clone()).layer(sidecar.upstream());
        let bound = sidecar.bind().await.unwrap();
        let [ListenAddr::Tcp(data)] = bound.addresses()[..] else { panic!("one TCP address") };
        let channels = Group::new("channels").on_startup().on_refresh().request("/channels/1").unwrap().request("/channels/2").unwrap();
        let models = Group::new("models").cron("0 3 * * *").unwrap().request("/models/1").unwrap();
        let mut warm = WarmSettings { on_startup: false, max_rate: 0, groups: vec![channels, models], ..WarmSettings::default() };
        let mut admin = AdminSettings { listen: "127.0.0.1:0".parse().unwrap(), ..AdminSettings::default() };
        adjust(&mut admin, &mut warm);
        let plan = Plan::new(&cache).settings(warm).default_host(&data.to_string().parse().unwrap());
        let guard = Warmer::new::<_, RequestBody, _>(service.clone(), plan).spawn().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(bound.run(service, async { drop(stopped.await) }));
        let rooms = Rooms { cache: cache.clone(), warm: guard.handle(), sidecar, logs: warmfront::telemetry::log::Logs::default() };
        let bound = Admin::new(admin, rooms).bind().unwrap();
        let (address, control) = (bound.address(), bound.control());
        let serving = Some(bound.start().unwrap());
        Self { admin: address, data, origin, clock, cache, control, serving, warmer: Some(guard), _stop: stop }
    }

    /// Asks the admin API.
    pub async fn ask(&self, line: &str, body: &str) -> Reply {
        ask(self.admin, line, &[], body.as_bytes()).await
    }

    /// Asks the admin API for JSON that is there.
    pub async fn get(&self, path: &str) -> Value {
        let reply = self.ask(&format!("GET {path}"), "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    /// Has the admin API do something that works.
    pub async fn post(&self, path: &str, body: &str) -> Value {
        let reply = self.ask(&format!("POST {path}"), body).await;
        assert!(matches!(reply.status, 200 | 202), "{reply:?}");
        reply.json()
    }

    /// As a reader.
    pub async fn read(&self, path: &str) -> Reply {
        ask(self.data, &format!("GET {path}"), &[], b"").await
    }

    /// As a reader who knows the house under another name.
    pub async fn read_as(&self, host: &str, path: &str) -> Reply {
        ask(self.data, &format!("GET {path}"), &[&format!("Host: {host}")], b"").await
    }
}

/// Asks once, on a connection of its own.
pub async fn ask(address: SocketAddr, line: &str, fields: &[&str], body: &[u8]) -> Reply {
    let mut text = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    if !fields.iter().any(|field| field.to_ascii_lowercase().starts_with("host:")) {
        text += &format!("Host: {address}\r\n");
    }
    fields.iter().for_each(|field| text += &format!("{field}\r\n"));
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    exchange(address, &[text.as_bytes(), b"\r\n", body].concat()).await
}

/// Sends these bytes, and reads until the other side closes.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Reply {
    let exchanging = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let mut answer = Vec::new();
        // Whoever refuses a body need not read all of it.
        let (_, read) = tokio::join!(writer.write_all(bytes), reader.read_to_end(&mut answer));
        read.map(|_| answer)
    };
    let answer = tokio::time::timeout(LONG, exchanging).await.expect("an answer in time").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
    Reply { status: head[9..12].parse().unwrap(), head: head.into(), body: body.into() }
}

/// Waits for what other tasks are about to do.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, waiting).await.is_ok(), "{what}");
}

/// The names of the members of an object.
pub fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}
