//! `check --connect`: resolves the upstreams' names, connects to them, and shakes hands with those behind TLS.

use crate::config::units::show_duration;
use crate::sidecar::settings::{Origin, UpstreamSettings};
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};

/// The address that took a connection, and after how long.
#[derive(Debug)]
pub(super) struct Reached {
    /// `http://api:9000`
    pub(super) origin: String,
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

/// Connects to every upstream at once, each within `connect_timeout`: all that were reached, or those that were not.
pub(super) fn reach(upstream: &UpstreamSettings) -> Result<Vec<Reached>, Vec<Unreached>> {
    let failed = |origin: &Origin, (found, fix)| Unreached { headline: format!("the upstream {origin} cannot be reached"), found, fix };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        let headline = "the upstream cannot be asked".into();
        vec![Unreached { headline, found: vec![format!("cannot start the runtime: {error}")], fix: "look at the limits of this process" }]
    })?;
    let results = runtime.block_on(async {
        let mut tasks = Vec::new();
        for origin in upstream.origins.clone() {
            let limit = upstream.connect_timeout;
            let settings = upstream.clone();
            tasks.push((origin.clone(), tokio::spawn(async move { connect_within(limit, &origin, &settings).await })));
        }
        let mut results = Vec::new();
        for (origin, task) in tasks {
            let result = task.await.unwrap_or_else(|error| Err((vec![error.to_string()], "report this")));
            results.push(result.map_err(|failure| failed(&origin, failure)));
        }
        results
    });
    // A name that is still being looked up shall not keep the process.
    runtime.shutdown_background();
    let mut reached = Vec::new();
    let mut unreached = Vec::new();
    for result in results {
        match result {
            Ok(one) => reached.push(one),
            Err(one) => unreached.push(one),
        }
    }
    if unreached.is_empty() { Ok(reached) } else { Err(unreached) }
}

async fn connect_within(limit: Duration, origin: &Origin, settings: &UpstreamSettings) -> Result<Reached, (Vec<String>, &'static str)> {
    let silent = |what: &str| vec![format!("{what}: no answer within upstream.connect_timeout = {}", show_duration(limit))];
    let (host, started) = (origin.host(), Instant::now());
    let left = || limit.saturating_sub(started.elapsed());
    let addresses: Vec<SocketAddr> = match tokio::time::timeout(limit, lookup_host((host, origin.port()))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err((vec![format!("{host}: {error}")], "look for a slip in the host's name")),
        Err(_) => {
            return Err((silent(&format!("looking up {host}")), "look for a slip in the host's name, and at this machine's name servers"));
        }
    };
    let mut failures = Vec::new();
    for address in addresses {
        match tokio::time::timeout(left(), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                if origin.tls {
                    shake_hands(stream, origin, settings, left())
                        .await
                        .map_err(|(found, fix)| (vec![format!("{address}: {found}")], fix))?;
                }
                return Ok(Reached { origin: origin.to_string(), address, after: started.elapsed() });
            }
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => {
                failures.extend(silent(&address.to_string()));
                return Err((failures, "look for a firewall, or wait longer"));
            }
        }
    }
    Err((failures, "start the API there, or name another in upstream.urls"))
}

/// The handshake that a request to `origin` would begin with.
async fn shake_hands(
    stream: TcpStream,
    origin: &Origin,
    settings: &UpstreamSettings,
    left: Duration,
) -> Result<(), (String, &'static str)> {
    match tokio::time::timeout(left, crate::sidecar::shake_hands(stream, origin, settings)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err((
            error.to_string(),
            "look at what [upstream.tls] names: ca for an authority of your own, server_name for another name, certificate and key if the upstream asks for them",
        )),
        Err(_) => {
            Err(("no TLS handshake within upstream.connect_timeout".into(), "look whether TLS is spoken at that port, or wait longer"))
        }
    }
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
