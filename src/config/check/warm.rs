//! `[warm]`

mod combo;
mod group;
mod source;
mod user;

use super::set;
use crate::cache::settings::Settings;
use crate::config::fault::Place;
use crate::config::kind::quote;
use crate::config::map::Entry;
use crate::config::raw::{Findings, Table};
use crate::sidecar::settings::{Forwarded, ListenAddr, ServerSettings, UpstreamSettings};
use crate::warm::{PlanFault, Site, Target, WarmSettings, Zone};
use http::uri::Authority;

const ZONE: &str = "warm.time_zone";
const HOSTS: &str = "warm.hosts";
const REFRESH: &str = "warm.refresh_interval";
const BEFORE: &str = "warm.refresh_ahead.before";
const DELAY: &str = "warm.startup_delay";

pub(super) fn check(root: &Table, cache: &Settings, readers: &Readers, findings: &mut Findings) -> WarmSettings {
    let mut warm = WarmSettings::default();
    set(&mut warm.enabled, root.bool("warm.enabled"));
    set(&mut warm.on_startup, root.bool("warm.on_startup"));
    set(&mut warm.startup_delay, root.duration(DELAY));
    set(&mut warm.concurrency, root.integer("warm.concurrency"));
    set(&mut warm.timeout, root.duration("warm.timeout"));
    set(&mut warm.max_rate, root.integer("warm.max_rate").and_then(|rate| u32::try_from(rate).ok()));
    set(&mut warm.refresh_interval, root.duration(REFRESH));
    set(&mut warm.refresh_ahead.hits, root.integer("warm.refresh_ahead.hits").map(|hits| hits as u64));
    set(&mut warm.refresh_ahead.before, root.fraction(BEFORE));
    set(&mut warm.time_zone, zone(root, findings));
    set(&mut warm.hosts, hosts(root, readers, findings));
    useless(root, &warm, findings);
    warm.groups = group::check(root, &warm, findings);
    warm.user = user::check(root, cache, findings);
    warm
}

fn zone(root: &Table, findings: &mut Findings) -> Option<Zone> {
    let zone = Zone::parse(root.text(ZONE)?);
    told(zone, &root.place(ZONE), ZONE, findings)
}

/// How readers can come.
pub(super) struct Readers {
    /// Whether the first TCP address speaks TLS.
    https: bool,
    /// Whether the other scheme is possible too.
    either: bool,
}

impl Readers {
    pub(super) fn of(server: &ServerSettings, upstream: Option<&UpstreamSettings>) -> Self {
        let mut tcp = server.listen.iter().filter(|address| !matches!(address, ListenAddr::Unix(_))).map(ListenAddr::speaks_tls);
        let https = tcp.next().unwrap_or(false);
        // Behind a proxy that ends TLS, that says it in X-Forwarded-Proto.
        let told = upstream.is_some_and(|upstream| upstream.forwarded == Forwarded::Append) && !server.trusted_proxies.is_empty();
        Self { https, either: told || tcp.any(|other| other != https) }
    }
}

fn hosts(root: &Table, readers: &Readers, findings: &mut Findings) -> Option<Vec<Site>> {
    let mut hosts = Vec::new();
    for (text, place) in root.list(HOSTS)? {
        match host(text, readers.https) {
            Some(host) if hosts.contains(&host) => {
                findings.warn(place, HOSTS, format!("{} is there twice", quote(text)), "remove one of them")
            }
            Some(host) => {
                if readers.either && !text.contains("://") {
                    let scheme = if readers.https { "https" } else { "http" };
                    let fix = format!("write the scheme that they use: \"https://{text}\" or \"http://{text}\"");
                    findings.warn(place, HOSTS, format!("{} is warmed for readers by {scheme} only", quote(text)), fix);
                }
                hosts.push(host);
            }
            None => {
                let fix = "write a Host as readers send it: \"api.example.com\" or \"https://127.0.0.1:8443\"";
                findings.fault(place, HOSTS, format!("{} is no host", quote(text)), fix);
            }
        }
    }
    Some(hosts)
}

/// A host with its scheme, or with the one that readers have.
fn host(text: &str, https: bool) -> Option<Site> {
    let (https, text) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(host), _) => (true, host),
        (_, Some(host)) => (false, host),
        _ => (https, text),
    };
    let host: Authority = text.parse().ok()?;
    let whole = host.as_str() == host.host() || host.port_u16().is_some_and(|port| port != 0);
    Some(host).filter(|host| whole && !host.host().is_empty() && !text.contains('@')).map(|host| Site::new(https, host))
}

/// Settings that do nothing, or less than they seem to.
fn useless(root: &Table, warm: &WarmSettings, findings: &mut Findings) {
    if !warm.on_startup && !root.is_silent(DELAY) {
        findings.warn(&root.place(DELAY), DELAY, "does nothing: warm.on_startup is false", "remove one of them");
    }
    if warm.refresh_ahead.before == 0.0 && warm.refresh_ahead.hits > 0 {
        findings.warn(
            &root.place(BEFORE),
            BEFORE,
            "0 is no part of a lifetime: nothing is refreshed ahead",
            "write hits = 0 to say so, or 0.1",
        );
    }
    if !warm.refresh_interval.is_zero() && warm.refresh_interval.as_secs() == 0 {
        let found = "is shorter than a second";
        findings.fault(&root.place(REFRESH), REFRESH, found, "write at least \"1s\", or \"0s\" for never");
    }
}

/// What was read, or its fault told.
fn told<T>(read: Result<T, PlanFault>, place: &Place, shown: impl Into<String>, findings: &mut Findings) -> Option<T> {
    read.map_err(|fault| findings.fault(place, shown, fault.found(), fault.fix())).ok()
}

/// The targets of a list.
fn targets(table: &Table, path: &str, shown: &str, findings: &mut Findings) -> Vec<Target> {
    let said = table.list(path).unwrap_or_default();
    said.into_iter().filter_map(|(text, place)| told(Target::parse(text), place, shown, findings)).collect()
}

/// Where in an entry a fault is: at the value that it names, or at the key.
fn place_in<'a>(entry: &'a Entry, fault: &PlanFault) -> &'a Place {
    let (PlanFault::Segment(_, value) | PlanFault::ExcludeValue(_, value, _)) = fault else { return &entry.place };
    entry.values.iter().find(|(text, _)| text == value).map_or(&entry.place, |(_, place)| place)
}

/// The texts of an entry.
fn texts(entry: &Entry) -> impl Iterator<Item = &str> {
    entry.values.iter().map(|(text, _)| text.as_str())
}

/// The text of a key that must be there.
fn required<'a>(table: &'a Table, path: &str, name: &str, example: &str, findings: &mut Findings) -> Option<&'a str> {
    let text = table.text(path);
    if text.is_none() && table.is_silent(path) {
        findings.fault(&table.place, format!("{}.{name}", table.shown), "is missing", format!("write {name} = {}", quote(example)));
    }
    text
}
