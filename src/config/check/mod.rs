//! From what was said to settings: defaults filled in, faults of sense found.

mod admin;
mod cache;
mod invalidate;
mod logs;
mod rates;
mod rules;
mod server;
mod upstream;
mod warm;

use crate::admin::AdminSettings;
use crate::cache::settings::Settings;
use crate::config::check::warm::Readers;
use crate::config::fault::Place;
use crate::config::raw::{Findings, Table};
use crate::sidecar::settings::{ListenAddr, ServerSettings, UpstreamSettings};
use crate::telemetry::log::LogSettings;
use crate::warm::WarmSettings;
use std::net::{IpAddr, SocketAddr};

/// The settings of every room; `None` only if there is a fault.
pub(super) fn check(
    root: &Table,
    findings: &mut Findings,
) -> Option<(ServerSettings, UpstreamSettings, Settings, AdminSettings, WarmSettings, LogSettings)> {
    let server = server::check(root, findings);
    let upstream = upstream::check(root, findings);
    let cache = cache::check(root, findings);
    let admin = admin::check(root, findings);
    let readers = Readers::of(&server, upstream.as_ref());
    let warm = warm::check(root, &cache, &readers, findings);
    let logs = logs::check(root, findings);
    invalidate::known_groups(root, &warm, findings);
    let upstream = upstream?;
    across(root, &server, &upstream, &admin, findings);
    Some((server, upstream, cache, admin, warm, logs))
}

/// What no section can see alone.
fn across(root: &Table, server: &ServerSettings, upstream: &UpstreamSettings, admin: &AdminSettings, findings: &mut Findings) {
    let ports = server.listen.iter().filter_map(|address| match address {
        ListenAddr::Tcp(address) | ListenAddr::Tls(address) => Some(*address),
        ListenAddr::Unix(_) => None,
    });
    for address in ports {
        for origin in &upstream.origins {
            let host = origin.host();
            let upstream_ip = if host.eq_ignore_ascii_case("localhost") { Some(IpAddr::from([127, 0, 0, 1])) } else { host.parse().ok() };
            if upstream_ip.is_some_and(|ip| meets(address, SocketAddr::new(ip, origin.port()))) {
                let found = format!("is {}, where warmfront itself listens: it would ask itself", origin.authority);
                findings.fault(&root.place("upstream.urls"), "upstream.urls", found, "name the API's own address, or listen elsewhere");
            }
        }
        if meets(address, admin.listen) && !root.is_silent("admin.listen") {
            let found = format!("{} is the data port", admin.listen);
            findings.fault(
                &root.place("admin.listen"),
                "admin.listen",
                found,
                "give the admin API a port of its own, as \"127.0.0.1:9180\"",
            );
        }
    }
}

/// Whether a socket bound to `listen` would be reached at `other`.
fn meets(listen: SocketAddr, other: SocketAddr) -> bool {
    let same_place = listen.ip() == other.ip() || (listen.ip().is_unspecified() && other.ip().is_loopback()) || other.ip().is_unspecified();
    listen.port() != 0 && listen.port() == other.port() && same_place
}

/// Replaces a default by what was said, if anything was.
fn set<T>(setting: &mut T, said: Option<T>) {
    if let Some(value) = said {
        *setting = value;
    }
}

/// ` in line 7`, for a fault that is about another place too.
fn at_line(place: &Place) -> String {
    if let Place::File(spot) = place { format!(" in line {}", spot.line) } else { String::new() }
}
