//! `check --connect`: resolves the upstream's name and connects to it.

use crate::config::units::show_duration;
use crate::sidecar::settings::UpstreamSettings;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};

/// The address that took a connection, and after how long.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) address: SocketAddr,
    pub(super) after: Duration,
}

/// Why no connection was made.
#[derive(Debug)]
pub(super) struct Unreached {
    /// `the upstream http://api:9000 cannot be reached`
    pub(super) headline: String,
    /// What failed: the name, or one line for each address that was tried.
    pub(super) found: Vec<String>,
    pub(super) fix: &'static str,
}

/// Connects to the upstream within its `connect_timeout`.
pub(super) fn reach(upstream: &UpstreamSettings) -> Result<Reached, Unreached> {
    let failed = |(found, fix)| Unreached { headline: format!("the upstream http://{} cannot be reached", upstream.authority), found, fix };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed((vec![format!("cannot start the runtime: {error}")], "look at the limits of this process")))?;
    // RFC 3986 section 3.2.2: a literal IPv6 address is in brackets, which are no part of it.
    let host = upstream.authority.host().trim_matches(['[', ']']);
    let port = upstream.authority.port_u16().unwrap_or(80);
    let result = runtime.block_on(connect_within(upstream.connect_timeout, host, port));
    // A name that is still being looked up shall not keep the process.
    runtime.shutdown_background();
    result.map_err(failed)
}

async fn connect_within(limit: Duration, host: &str, port: u16) -> Result<Reached, (Vec<String>, &'static str)> {
    let silent = |what: &str| vec![format!("{what}: no answer within upstream.connect_timeout = {}", show_duration(limit))];
    let started = Instant::now();
    let left = || limit.saturating_sub(started.elapsed());
    let addresses: Vec<SocketAddr> = match tokio::time::timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err((vec![format!("{host}: {error}")], "look for a slip in the host's name")),
        Err(_) => {
            return Err((silent(&format!("looking up {host}")), "look for a slip in the host's name, and at this machine's name servers"));
        }
    };
    let mut failures = Vec::new();
    for address in addresses {
        match tokio::time::timeout(left(), TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(Reached { address, after: started.elapsed() }),
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => {
                failures.extend(silent(&address.to_string()));
                return Err((failures, "look for a firewall, or wait longer"));
            }
        }
    }
    Err((failures, "start the API there, or name another in upstream.urls"))
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:.1} ms", self.address, self.after.as_secs_f64() * 1000.0)
    }
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\n", self.headline)?;
        self.found.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "  fix: {}", self.fix)
    }
}
