//! Cache and sidecar as the binary puts them together, in this process, with a clock that a test moves.

use crate::client::{Client, Response};
use crate::origin::{Act, Origin, Then};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::Layer as _;
use warmfront::clock::Clock;
use warmfront::sidecar::settings::{ListenAddr, ServerSettings, Share, UpstreamSettings};
use warmfront::sidecar::{Drained, Sidecar};
use warmfront::{Cache, CacheLayer, Settings};

/// No test waits longer for anything.
pub const LONG: Duration = Duration::from_secs(20);

pub struct House {
    pub address: SocketAddr,
    /// Of all ports, this one among them.
    pub addresses: Vec<SocketAddr>,
    pub cache: Cache,
    pub clock: Clock,
    pub sidecar: Sidecar,
    pub stop: Option<oneshot::Sender<()>>,
    pub running: JoinHandle<Drained>,
}

impl House {
    pub async fn before(origin: &Origin) -> Self {
        Self::with(origin.address, |_, _, _| {}).await
    }

    pub async fn with(origin: SocketAddr, adjust: impl FnOnce(&mut ServerSettings, &mut UpstreamSettings, &mut Settings)) -> Self {
        Self::furnished(origin, adjust, false).await
    }

    /// One that serves as a service that is not known: all requests are made by hyper.
    pub async fn of_hyper(origin: SocketAddr, adjust: impl FnOnce(&mut ServerSettings, &mut UpstreamSettings, &mut Settings)) -> Self {
        Self::furnished(origin, adjust, true).await
    }

    async fn furnished(
        origin: SocketAddr,
        adjust: impl FnOnce(&mut ServerSettings, &mut UpstreamSettings, &mut Settings),
        of_hyper: bool,
    ) -> Self {
        let mut server = ServerSettings { listen: vec![ListenAddr::Tcp("127.0.0.1:0".parse().unwrap())], ..ServerSettings::default() };
        let (mut upstream, mut settings) = (UpstreamSettings::new(origin.to_string().parse().unwrap()), Settings::default());
        upstream.breaker.errors = Share::new(0.0); // many tests let everything fail, and want it asked all the same
        adjust(&mut server, &mut upstream, &mut settings);
        let clock = Clock::manual(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
        let cache = Cache::builder().settings(settings).clock(clock.clone()).build();
        let sidecar = Sidecar::with_clock(server, upstream, clock.clone());
        let bound = sidecar.bind().await.unwrap();
        let addresses: Vec<SocketAddr> = bound
            .addresses()
            .iter()
            .map(|address| match address {
                ListenAddr::Tcp(address) | ListenAddr::Tls(address) => *address,
                _ => panic!("a TCP address"),
            })
            .collect();
        let address = addresses[0];
        let (stop, stopped) = oneshot::channel::<()>();
        let service = CacheLayer::new(cache.clone()).layer(sidecar.upstream());
        let running = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            if of_hyper { bound.run(service, stopped).await } else { bound.run_cached(service, stopped).await }
        });
        Self { address, addresses, cache, clock, sidecar, stop: Some(stop), running }
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A GET on a connection of its own.
    pub async fn get(&self, path: &str) -> Response {
        self.client().await.get(path).await
    }

    /// Any request on a connection of its own: its first line without the version, and further field lines.
    pub async fn ask(&self, line: &str, fields: &[&str]) -> Response {
        let mut client = self.client().await;
        client.send(request(line, fields, "")).await;
        client.final_response_to(line.split(' ').next().unwrap()).await
    }

    /// Any request with content.
    pub async fn send(&self, line: &str, fields: &[&str], body: &str) -> Response {
        let mut client = self.client().await;
        client.send(request(line, &[fields, &[&format!("Content-Length: {}", body.len())]].concat(), body)).await;
        client.final_response_to(line.split(' ').next().unwrap()).await
    }

    /// Until `entries` keys are stored.
    pub async fn stores(&self, entries: u64) {
        until("it is stored", || self.cache.stats().entries == entries).await;
    }
}

impl Client {
    /// The next response that is not an interim one.
    pub async fn final_response_to(&mut self, method: &str) -> Response {
        loop {
            let response = self.response_to(method).await.expect("a response");
            if response.status >= 200 || response.status == 101 {
                return response;
            }
        }
    }
}

impl Response {
    /// What `Cache-Status` says.
    pub fn cache(&self) -> &str {
        self.all("cache-status").first().copied().unwrap_or_default()
    }

    /// Whether nobody was asked for it: from the store, or from a fill that is about to get there.
    pub fn is_hit(&self) -> bool {
        self.cache().starts_with("warmfront; hit") || self.cache().contains("; collapsed")
    }
}

/// Waits for what other tasks are about to do.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, waiting).await.is_ok(), "{what}");
}

/// A request of host `h`, unless the fields name another.
pub fn request(line: &str, fields: &[&str], body: &str) -> String {
    let mut text = format!("{line} HTTP/1.1\r\n");
    if !fields.iter().any(|field| field.to_ascii_lowercase().starts_with("host:")) {
        text.push_str("Host: h\r\n");
    }
    fields.iter().for_each(|field| text.push_str(&format!("{field}\r\n")));
    text + "\r\n" + body
}

/// A response with these field lines and a length.
pub fn with_length(status: &str, fields: &str, body: &str) -> String {
    let fields = fields.split('|').filter(|field| !field.is_empty()).map(|field| format!("{field}\r\n")).collect::<String>();
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Answers with these field lines (parted by `|`) and body.
pub fn answer(fields: &str, body: &str) -> Act {
    Act::send(with_length("200 OK", fields, body), Then::Keep)
}

/// As [`answer`], with another status.
pub fn status(status: &str, fields: &str, body: &str) -> Act {
    Act::send(with_length(status, fields, body), Then::Keep)
}

/// Cacheable for a minute.
pub fn fresh(body: &str) -> Act {
    answer("Cache-Control: max-age=60", body)
}

impl Act {
    /// The same, after a pause.
    pub fn after(mut self, pause: Duration) -> Self {
        self.pieces.insert(0, (Vec::new(), pause));
        self
    }
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
