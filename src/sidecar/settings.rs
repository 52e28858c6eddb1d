//! What can be set about the listener and the upstream.

mod choosing;
mod origin;
mod tls;

pub use choosing::{Balance, BreakerSettings, Counted, Ejection, HealthSettings};
pub use origin::Origin;
pub(in crate::sidecar) use tls::Identity;
pub use tls::{TlsFault, UpstreamTls};

use crate::cache::rules::PathPattern;
use http::HeaderName;
use ipnet::IpNet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[server]`: the data port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where to listen. Default `127.0.0.1:8080`.
    pub listen: Vec<ListenAddr>,
    /// What addresses of the form `https://` prove themselves with. Default none.
    pub tls: TlsSettings,
    /// Whether HTTP/2 is spoken: over TLS where a client chooses it (ALPN), in clear where it begins with it. Default true.
    pub http2: bool,
    /// Requests under way on one HTTP/2 connection; one more is refused, and may be sent again. Default 128.
    pub max_streams: u32,
    /// Whether peers in `trusted_proxies` begin every TCP connection with a PROXY header (version 1 or 2), which names the client. Default false.
    pub proxy_protocol: bool,
    /// Worker threads; 0 = one per core. Default 0.
    pub workers: usize,
    /// The largest request body in bytes; over it 413. Default 10 MiB.
    pub max_request_body: u64,
    /// The largest request head in bytes; over it 431. A target over 8 KiB is 414 in any case, and more than 100 fields 431. Default 32 KiB.
    pub max_header_bytes: usize,
    /// How long a request head may take, from its first byte (of the first request: from the accept); over it 408 and closed.
    /// An uploader may be silent for three times as long. Default 10 s.
    pub header_timeout: Duration,
    /// How long a connection may stay idle between requests, and how long a client may read nothing of a response. Default 75 s.
    pub idle_timeout: Duration,
    /// Open connections; beyond, those that have been idle longest are closed for newcomers, and where none is idle accepting waits. Fewer
    /// where the process may not open so many files. Default 10000.
    pub max_connections: usize,
    /// Open connections of one client address, an IPv6 one by its /64; beyond, a connection is closed at once. Those of `trusted_proxies` and of Unix
    /// sockets are not counted. 0 = no such limit. Default 0.
    pub max_connections_per_client: usize,
    /// How slowly a client may send or read a body, in bytes per second, averaged over the time in which nothing but it is waited for: below it, it is given
    /// up as if it were silent (an uploader after three times `header_timeout`, a reader after `idle_timeout`). 0 = only silence counts. Default 100.
    pub min_body_rate: u64,
    /// How often one client may ask, where no rule says otherwise. Default: as often as it likes.
    pub rate_limit: RateLimit,
    /// Clients that each rate remembers, about 32 bytes each. Those who have been idle make room; if that is not enough, newcomers share one allowance. Default 65536.
    pub max_rate_clients: usize,
    /// What rules say of rates, in their order: the first that matches a path decides. Default none.
    pub rule_limits: Vec<RuleLimit>,
    /// Networks whose `X-Forwarded-*` and `Forwarded` are believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// How long requests under way may take after SIGTERM. Default 30 s.
    pub drain_timeout: Duration,
}

/// `[server.tls]`: a certificate and its key, both as PEM. The files are read again when the settings are reloaded, and when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The file of the certificate, followed by those that vouch for it. Empty = none.
    pub certificate: PathBuf,
    /// The file of its private key (PKCS#8, PKCS#1 or SEC1). Empty = none.
    pub key: PathBuf,
}

impl TlsSettings {
    /// Whether both files are named.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.certificate.as_os_str().is_empty() && !self.key.as_os_str().is_empty()
    }
}

/// How often one client may ask; beyond, 429 with `Retry-After`. Answers from the cache count too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per second; 0 = no limit. Default 0.
    pub per_second: u32,
    /// Requests at once, after a pause; 0 = as many as `per_second`. Default 0.
    pub burst: u32,
    /// What makes two requests those of one client. Default its address.
    pub by: RateKey,
}

/// Who a client is to a [`RateLimit`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RateKey {
    /// Its address, IPv6 by the /64; behind a trusted proxy the one that `X-Forwarded-For` names.
    #[default]
    Client,
    /// All values of this request header, kept only as a keyed hash; without the header its address. Whoever may invent values is not limited by it, up to
    /// `max_rate_clients` of them.
    Header(HeaderName),
}

/// The rate of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleLimit {
    /// The rule's paths.
    pub path: PathPattern,
    /// Its rate, in place of `rate_limit`; `None`: it says nothing.
    pub limit: Option<RateLimit>,
}

/// One address of the data port.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddr {
    /// `127.0.0.1:8080`, `[::1]:8080`
    Tcp(SocketAddr),
    /// `https://0.0.0.0:8443`: the same, and TLS is spoken there
    Tls(SocketAddr),
    /// `unix:/run/wf.sock`
    Unix(PathBuf),
}

impl ListenAddr {
    /// Whether it is an address of https.
    #[must_use]
    pub const fn speaks_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

/// As it is written in the configuration.
impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Tls(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080)))],
            tls: TlsSettings::default(),
            http2: true,
            max_streams: 128,
            proxy_protocol: false,
            workers: 0,
            max_request_body: 10 << 20,
            max_header_bytes: 32 << 10,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_connections: 10_000,
            max_connections_per_client: 0,
            min_body_rate: 100,
            rate_limit: RateLimit::default(),
            max_rate_clients: 65_536,
            rule_limits: Vec::new(),
            trusted_proxies: Vec::new(),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// `[upstream]`: the origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// The origins, at least one; without any all requests that must be asked for fail. Any of them may answer any request.
    pub origins: Vec<Origin>,
    /// How long connecting may take, DNS included: 504. Default 2 s.
    pub connect_timeout: Duration,
    /// How long the response head may take: 504. Default 30 s.
    pub response_timeout: Duration,
    /// How long the upstream may be silent between two pieces of a body; then the body breaks off. Default 60 s.
    pub idle_body_timeout: Duration,
    /// Who writes `X-Forwarded-*` and `Forwarded`. Default overwrite.
    pub forwarded: Forwarded,
    /// Requests under way at all origins together; beyond, they queue. Default 256.
    pub max_in_flight: usize,
    /// Requests that may queue; beyond: 503. Default 1024.
    pub max_queue: usize,
    /// How long a request may queue; longer: 503. Default 5 s.
    pub queue_timeout: Duration,
    /// Further tries after a connection-level failure, for idempotent requests without a body, at another origin if there is one. Default 1.
    pub retries: u32,
    /// Connections that are opened 100 ms after the start, before anybody asks, at most `max_in_flight`; they are kept for 50 s. 0 = none. Default 8.
    pub preconnect: usize,
    /// How `https` origins are recognised. Default: by the roots of this machine and the host of their URL.
    pub tls: UpstreamTls,
    /// Where HTTP/2 is spoken. Default never.
    pub http2: Http2,
    /// `warm.max_share`: the part of `max_in_flight` that requests may take which no reader waits for; at least one place, unless it is 0: then they are
    /// refused (503). Default 0.25.
    pub warm_share: Share,
    /// By what an origin is chosen. Default load.
    pub balance: Balance,
    /// When an origin that fails is left alone.
    pub eject: Ejection,
    /// When an origin is not asked at all.
    pub breaker: BreakerSettings,
    /// Whether origins are asked for their health.
    pub health: HealthSettings,
}

/// A part of something, from nothing to all of it, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    const ALL: u32 = 1_000_000;

    /// The part `fraction` of all, 0.0 to 1.0; what is outside counts as the nearer end. More than nothing stays more than nothing.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
    pub fn new(fraction: f64) -> Self {
        Self((fraction.clamp(0.0, 1.0) * f64::from(Self::ALL)).ceil() as u32)
    }

    /// The part as a number from 0.0 to 1.0.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL)
    }

    /// The part of `places` that this is, rounded down: none for the share 0, else at least one.
    #[must_use]
    pub fn of(self, places: usize) -> usize {
        if self.0 == 0 {
            return 0;
        }
        let part = places as u128 * u128::from(self.0) / u128::from(Self::ALL);
        usize::try_from(part).unwrap_or(places).max(1)
    }
}

/// Who writes `X-Forwarded-For`, `-Host`, `-Proto` and `Forwarded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// They are ours: whatever a client sent is dropped.
    Overwrite,
    /// A peer in `server.trusted_proxies` is believed and its list continued; a stranger's are dropped.
    Append,
}

/// Where HTTP/2 is spoken to an upstream. A request for another protocol, as for a WebSocket, always goes over HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// HTTP/1.1 everywhere.
    Never,
    /// Over TLS where the upstream chooses it (ALPN); HTTP/1.1 elsewhere.
    Auto,
    /// Everywhere, in the clear too, where nobody is asked first ("prior knowledge", RFC 9113 section 3.3).
    Always,
}

impl UpstreamSettings {
    /// The defaults, for one `origin`.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self {
            origins: vec![origin],
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(30),
            idle_body_timeout: Duration::from_secs(60),
            forwarded: Forwarded::Overwrite,
            max_in_flight: 256,
            max_queue: 1024,
            queue_timeout: Duration::from_secs(5),
            retries: 1,
            preconnect: 8,
            tls: UpstreamTls::default(),
            http2: Http2::Never,
            warm_share: Share::new(0.25),
            balance: Balance::default(),
            eject: Ejection::default(),
            breaker: BreakerSettings::default(),
            health: HealthSettings::default(),
        }
    }

    /// The name that stands in where a request names no host: that of the first origin.
    #[must_use]
    pub fn host(&self) -> Option<&http::uri::Authority> {
        self.origins.first().map(|origin| &origin.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn a_share_of_some_places_is_at_least_one_unless_it_is_none() {
        for (fraction, places, part) in
            [(0.25, 256, 64), (0.25, 7, 1), (0.25, 3, 1), (1e-9, 256, 1), (0.0, 256, 0), (1.0, 256, 256), (2.0, 9, 9), (f64::NAN, 9, 0)]
        {
            assert_eq!(Share::new(fraction).of(places), part, "{fraction} of {places}");
        }
        assert_eq!(Share::new(1.0).of(usize::MAX), usize::MAX);
    }
}
