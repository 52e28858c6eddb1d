//! `warmfront demo`: a slow sample API, warmfront in front of it, and what to try.

mod api;
mod chat;
mod collection;
mod data;
mod endpoint;
mod lines;
mod proof;
mod reply;

use super::house::{House, address};
use super::signals::Signals;
use super::traces::Traces;
use super::{Failure, args, report, run as sidecar};
use crate::config::{Sources, load};
use crate::sidecar::settings::ListenAddr;
use crate::telemetry::log::Logs;
use crate::warm::Warm;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::net::TcpListener;

/// The configuration of the demo, as anybody may write it.
const CONFIG: &str = include_str!("../../../examples/demo.toml");
const CONFIG_NAME: &str = "examples/demo.toml";

pub(super) fn run(args: args::DemoArgs) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit(),
    }
}

fn start(args: args::DemoArgs) -> Result<(), Failure> {
    let runtime = sidecar::runtime(0)?;
    let result = runtime.block_on(async {
        let signals = Signals::take().map_err(|error| Failure::Work(format!("cannot take signals: {error}")))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(cannot_listen)?;
        let upstream = listener.local_addr().map_err(cannot_listen)?;
        let listen = said_or_free(args.listen, "127.0.0.1:8080").await;
        let admin = said_or_free(args.admin, "127.0.0.1:9180").await;
        let config = load(sources(upstream, listen, admin))?;
        let drain = config.server.drain_timeout;
        let api = tokio::spawn(api::Api::new(1).serve(listener));
        // Among what is printed to try, a line per request would be noise: `warmfront logs --follow` has them.
        let logs = Logs::start_unwritten(&config.logs).map_err(|error| Failure::Work(error.to_string()))?;
        sidecar::listen(&logs);
        let house = House::open(config, logs, &Traces::default()).await.map_err(Failure::Work)?;
        let front = house.addresses.iter().find_map(|address| if let ListenAddr::Tcp(address) = address { Some(*address) } else { None });
        let where_to = house.addresses.first().map(address).unwrap_or_default();
        report::print(&lines::heading(&where_to, house.admin, upstream, CONFIG_NAME));
        let admin = house.admin;
        let warm = house.knobs.warm().clone();
        let serving = sidecar::serve(house, signals, drain, async |_: &super::house::Knobs| {
            report::note("the demo has no file to read again");
            None
        });
        let result = tokio::select! {
            result = serving => result,
            () = async { show(front, admin, &warm).await; std::future::pending().await } => unreachable!("it waits for ever"),
        };
        api.abort();
        result
    });
    runtime.shutdown_background();
    result
}

/// The example configuration with the real addresses, which stand in for flags.
fn sources(upstream: SocketAddr, listen: String, admin: String) -> Sources {
    let flags = vec![
        ("upstream.urls", format!("http://{upstream}"), "the sample API"),
        ("server.listen", listen, "--listen"),
        ("admin.listen", admin, "--admin"),
    ];
    Sources { text: Some((CONFIG_NAME.into(), CONFIG.into())), flags, ..Sources::default() }
}

/// The proof and the lines to try, once warmfront serves; on a unix socket there is nothing that a curl line could name shortly.
async fn show(front: Option<SocketAddr>, admin: SocketAddr, warm: &Warm) {
    let Some(front) = front.map(reachable) else { return };
    report::print(&format!("\n{}\n", proof::line(front).await));
    report::print(&lines::to_try(front, reachable(admin)));
    report::print(&proof::warmed(front, warm).await);
}

/// The address under which a client on this machine reaches `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// The address that was said; else the usual one, or any free port if somebody has that.
async fn said_or_free(said: Option<String>, usual: &str) -> String {
    if let Some(said) = said {
        return said;
    }
    if TcpListener::bind(usual).await.is_ok() {
        return usual.into();
    }
    report::note(&format!("{usual} is taken; using a free port"));
    "127.0.0.1:0".into()
}

fn cannot_listen(error: std::io::Error) -> Failure {
    Failure::Work(format!("cannot listen on 127.0.0.1: {error}"))
}

#[cfg(test)]
mod tests {
    use super::sources;
    use crate::config::load;

    #[test]
    fn the_example_passes_the_check_without_a_warning() {
        let config = load(sources(([127, 0, 0, 1], 9000).into(), "127.0.0.1:0".into(), "127.0.0.1:0".into())).unwrap();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        assert!(config.cache.rules.len() > 5);
    }
}
