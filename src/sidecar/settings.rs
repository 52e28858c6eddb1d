//! What can be set about the listener and the upstream.

use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[server]`: the data port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where to listen. Default `127.0.0.1:8080`.
    pub listen: Vec<ListenAddr>,
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
    /// Open connections; beyond, accepting waits. Default 10000.
    pub max_connections: usize,
    /// Networks whose `X-Forwarded-*` and `Forwarded` are believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// How long requests under way may take after SIGTERM. Default 30 s.
    pub drain_timeout: Duration,
}

/// One address of the data port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// `127.0.0.1:8080`, `[::1]:8080`
    Tcp(SocketAddr),
    /// `unix:/run/wf.sock`
    Unix(PathBuf),
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080)))],
            workers: 0,
            max_request_body: 10 << 20,
            max_header_bytes: 32 << 10,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_connections: 10_000,
            trusted_proxies: Vec::new(),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// `[upstream]`: the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// `host:port` of the upstream (`http://` only in this version), as it is connected to.
    pub authority: http::uri::Authority,
    /// How long connecting may take, DNS included: 504. Default 2 s.
    pub connect_timeout: Duration,
    /// How long the response head may take: 504. Default 30 s.
    pub response_timeout: Duration,
    /// How long the upstream may be silent between two pieces of a body; then the body breaks off. Default 60 s.
    pub idle_body_timeout: Duration,
    /// Who writes `X-Forwarded-*` and `Forwarded`. Default overwrite.
    pub forwarded: Forwarded,
    /// Requests under way at the upstream; beyond, they queue. Default 256.
    pub max_in_flight: usize,
    /// Requests that may queue; beyond: 503. Default 1024.
    pub max_queue: usize,
    /// How long a request may queue; longer: 503. Default 5 s.
    pub queue_timeout: Duration,
    /// Further tries after a connection-level failure, for idempotent requests without a body. Default 1.
    pub retries: u32,
}

/// Who writes `X-Forwarded-For`, `-Host`, `-Proto` and `Forwarded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// They are ours: whatever a client sent is dropped.
    Overwrite,
    /// A peer in `server.trusted_proxies` is believed and its list continued; a stranger's are dropped.
    Append,
}

impl UpstreamSettings {
    /// The defaults, for the upstream at `authority`.
    #[must_use]
    pub fn new(authority: http::uri::Authority) -> Self {
        Self {
            authority,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(30),
            idle_body_timeout: Duration::from_secs(60),
            forwarded: Forwarded::Overwrite,
            max_in_flight: 256,
            max_queue: 1024,
            queue_timeout: Duration::from_secs(5),
            retries: 1,
        }
    }
}
