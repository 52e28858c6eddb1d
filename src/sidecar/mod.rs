//! The sidecar: warmfront as a process of its own, in front of one upstream or several.
//!
//! From the outside in: `listen` accepts, `wire` hands hyper whole and unambiguous requests one at a time, `forward` makes each fit to be
//! handed on and calls the service (the cache), and what the service cannot answer goes to the [`Upstream`].
//!
//! ```
//! use warmfront::sidecar::settings::{ListenAddr, ServerSettings, UpstreamSettings};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let server = ServerSettings { listen: vec![ListenAddr::Tcp("127.0.0.1:0".parse().unwrap())], ..ServerSettings::default() };
//! let sidecar = warmfront::sidecar::Sidecar::new(server, UpstreamSettings::new("127.0.0.1:9000".parse().unwrap()));
//! let bound = sidecar.bind().await?;
//! assert_eq!(bound.addresses().len(), 1);
//! let drained = bound.run(sidecar.upstream(), async {}).await; // any service, or run_cached; any future stops it
//! assert!(drained.finished);
//! # Ok(())
//! # }
//! ```

mod admission;
mod alarm;
mod answering;
mod at_once;
mod attend;
mod chunk;
mod desk;
mod dial;
mod direct;
mod download;
mod exchange;
mod failure;
mod farewell;
mod fault;
mod forward;
mod forwarded;
mod framing;
mod full;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod gate;
mod head;
mod http2;
mod limited;
mod limits;
mod listen;
mod live;
mod notable;
mod offer;
mod open;
pub(crate) mod open_files;
mod opening;
mod origins;
#[cfg(feature = "otel")]
pub mod otlp;
mod outgoing;
mod pool;
mod proxy_header;
mod refuse;
mod reply;
mod resolve;
mod said;
mod scan;
mod serve;
pub mod settings;
mod splice;
mod stash;
mod stream;
mod talk;
mod target;
mod tls;
mod tunnel;
mod upload;
mod upstream;
mod wire;
mod word;

pub use origins::OriginState;
pub use serve::{Bound, Drained};
pub use upstream::{Upstream, UpstreamBody};

use crate::clock::Clock;
use crate::error::BoxError;
use crate::sidecar::listen::Listener;
use crate::sidecar::live::{Live, Settings};
use crate::sidecar::pool::tls::Tls;
use crate::sidecar::settings::{ListenAddr, Origin, ServerSettings, TlsSettings, UpstreamSettings};
use crate::telemetry::log::RequestLog;
use crate::telemetry::{Attempt, Distribution, Refusal, Source};
use std::io;
use std::sync::Arc;

/// Shakes hands over `stream` as a request to `origin` would: whether TLS, the certificates and the protocol agree.
pub(crate) async fn shake_hands(stream: tokio::net::TcpStream, origin: &Origin, upstream: &UpstreamSettings) -> Result<(), BoxError> {
    Tls::default().secure(stream, origin, (upstream.tls.clone(), upstream.http2), false).await.map(drop)
}

/// A handle to one sidecar: its settings, which can be changed while it runs, and its upstream. Cheap to clone; clones are the same sidecar.
#[derive(Clone, Debug)]
pub struct Sidecar {
    live: Arc<Live>,
    upstream: Upstream,
}

impl Sidecar {
    /// A sidecar with these settings. Nothing is opened yet, and the upstream need not be there.
    #[must_use]
    pub fn new(server: ServerSettings, upstream: UpstreamSettings) -> Self {
        Self::with_clock(server, upstream, Clock::machine())
    }

    /// The same with a clock of the caller's, for tests; give the cache the same one. What came without a `Date` is dated by it. Waits and deadlines go by tokio's time.
    #[must_use]
    pub fn with_clock(server: ServerSettings, upstream: UpstreamSettings, clock: Clock) -> Self {
        let live = Live::new(server, upstream, clock);
        Self { upstream: Upstream::new(live.clone()), live }
    }

    /// The upstream, to put a cache around.
    #[must_use]
    pub fn upstream(&self) -> Upstream {
        self.upstream.clone()
    }

    /// Listens on all of `server.listen`.
    ///
    /// # Errors
    /// The first address that cannot be listened on; the message names it.
    #[expect(clippy::unused_async, reason = "a reactor must be running, and binding may come to wait")]
    pub async fn bind(&self) -> io::Result<Bound> {
        let settings = self.live.settings.load();
        if settings.server.listen.iter().any(ListenAddr::speaks_tls) {
            let config = tls::load(&settings.server.tls, settings.server.http2).map_err(|unusable| invalid(unusable.to_string()))?;
            self.live.tls.store(Some(Arc::new(config)));
        }
        let listeners = settings.server.listen.iter().map(Listener::bind).collect::<io::Result<Vec<_>>>()?;
        if listeners.is_empty() {
            return Err(invalid("server.listen names no address".to_owned()));
        }
        Ok(Bound { sidecar: self.clone(), listeners })
    }

    /// Puts new settings in force for the requests that follow; no connection is lost. What can only change by a restart keeps its old value
    /// and is named by its configuration key.
    pub fn reload(&self, mut server: ServerSettings, upstream: UpstreamSettings) -> Vec<&'static str> {
        let mut restart = Vec::new();
        let old = self.live.settings.load_full();
        if server.listen != old.server.listen {
            restart.push("server.listen");
            server.listen.clone_from(&old.server.listen);
        }
        if server.workers != old.server.workers {
            restart.push("server.workers");
            server.workers = old.server.workers;
        }
        if server.max_connections != old.server.max_connections {
            restart.push("server.max_connections");
            server.max_connections = old.server.max_connections;
        }
        if server.listen.iter().any(ListenAddr::speaks_tls) && !self.read_certificate(&server.tls, server.http2) {
            server.tls.clone_from(&old.server.tls);
        }
        let new = Arc::new(Settings::after(Some(&old), server, upstream));
        self.live.settings.store(new.clone());
        self.upstream.follow(&old.upstream, &new.upstream);
        restart
    }

    /// Whether the certificate of these settings can be used, if they need one.
    ///
    /// # Errors
    /// What is wrong with it, by the key of the configuration that names the file.
    pub(crate) fn try_certificate(server: &ServerSettings) -> Result<(), String> {
        if !server.listen.iter().any(ListenAddr::speaks_tls) {
            return Ok(());
        }
        tls::load(&server.tls, server.http2).map(drop).map_err(|unusable| unusable.to_string())
    }

    /// Puts the certificate of these settings in force, for the connections that follow. One that cannot be used changes nothing: `false`.
    fn read_certificate(&self, settings: &TlsSettings, http2: bool) -> bool {
        match tls::load(settings, http2) {
            Ok(config) => {
                self.live.tls.store(Some(Arc::new(config)));
                true
            }
            Err(unusable) => {
                tracing::warn!(%unusable, "the old certificate stays in force");
                false
            }
        }
    }

    /// Has requests that never come to the service told of through `log`, as the cache's are; the first call counts. Without it all of them are
    /// told of, to whoever subscribes to `tracing`.
    pub fn log_to(&self, log: &RequestLog) {
        self.live.log_to(log);
    }

    /// How often the sidecar itself, not the service, answered with `refusal`: malformed requests, limits, and failures of the upstream.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.live.refused(refusal)
    }

    /// Resolves the upstream's name and opens up to `upstream.preconnect` connections, which the next requests take instead of opening their own. No request
    /// is sent, and a failure is nobody's: an upstream that is not there yet is met once and left alone. [`Bound::run`] does this shortly after
    /// the start.
    pub fn preconnect(&self) -> impl Future<Output = ()> + Send + use<> {
        self.upstream.preconnect()
    }

    /// How often the upstream was asked on behalf of `source` with this end. Together they are all attempts; what never left the gate is none.
    #[must_use]
    pub fn upstream_requests(&self, source: Source, attempt: Attempt) -> u64 {
        self.live.attempts(source, attempt)
    }

    /// How long the upstream took to a response head, over all attempts that brought one.
    #[must_use]
    pub fn upstream_durations(&self) -> Distribution {
        self.live.durations.read()
    }

    /// Requests that hold a place at the upstream now: from leaving the queue until their body has ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.upstream.in_flight()
    }

    /// Places at the upstream: `upstream.max_in_flight` as it is in force.
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        self.live.settings.load().upstream.max_in_flight
    }

    /// What is known of each origin, in the order of `upstream.urls`.
    #[must_use]
    pub fn origins(&self) -> Vec<OriginState> {
        self.upstream.origins().states(&self.live.settings.load().upstream)
    }

    /// How often origins were ejected or found unhealthy that are not in the settings any more.
    #[must_use]
    pub fn retired_ejections(&self) -> u64 {
        self.upstream.origins().retired_ejections()
    }

    fn live(&self) -> &Arc<Live> {
        &self.live
    }
}

fn invalid(found: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, found)
}
