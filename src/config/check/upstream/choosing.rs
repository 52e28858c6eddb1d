//! `[upstream]`: which of several is asked, and when one is left alone.

use crate::config::check::set;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::sidecar::settings::{Balance, Counted, Share, UpstreamSettings};
use http::HeaderName;
use http::uri::PathAndQuery;

const BALANCE: &str = "upstream.balance";
const PATH: &str = "upstream.health.path";
const SLOW: &str = "upstream.breaker.slow";

/// `load`, `path`, `client` or `header:NAME`.
pub(super) fn balance(root: &Table, findings: &mut Findings) -> Option<Balance> {
    let text = root.text(BALANCE)?;
    let (found, fix) = match (text, text.strip_prefix("header:").map(str::trim)) {
        ("load", _) => return Some(Balance::Load),
        ("path", _) => return Some(Balance::Path),
        ("client", _) => return Some(Balance::Client),
        (_, Some(name)) => match name.parse::<HeaderName>() {
            Ok(name) => return Some(Balance::Header(name)),
            Err(_) => (format!("{} is no name of a header", quote(name)), "write one, as \"header:authorization\""),
        },
        _ => (format!("{} is no way to choose", quote(text)), "write \"load\", \"path\", \"client\" or \"header:authorization\""),
    };
    findings.fault(&root.place(BALANCE), BALANCE, found, fix);
    None
}

/// Ejection, breaker and health checks.
pub(super) fn judging(root: &Table, upstream: &mut UpstreamSettings, findings: &mut Findings) {
    set(&mut upstream.eject.after, count(root, "upstream.eject_after"));
    set(&mut upstream.eject.time, root.duration("upstream.eject_for"));
    let breaker = &mut upstream.breaker;
    set(&mut breaker.errors, root.fraction("upstream.breaker.errors").map(Share::new));
    let counted = |word| if word == "5xx" { Counted::ServerErrors } else { Counted::Unavailable };
    set(&mut breaker.counted, root.text("upstream.breaker.counts").map(counted));
    set(&mut breaker.min_requests, root.integer("upstream.breaker.min_requests").map(|count| count as u64));
    set(&mut breaker.slow, root.duration(SLOW));
    set(&mut breaker.open_for, root.duration("upstream.breaker.open_for"));
    if breaker.errors == Share::new(0.0) && !breaker.slow.is_zero() {
        findings.warn(&root.place(SLOW), SLOW, "does nothing: the breaker is off", "set upstream.breaker.errors to a share, as 0.9");
    }
    let health = &mut upstream.health;
    set(&mut health.path, path(root, findings));
    set(&mut health.interval, root.duration("upstream.health.interval"));
    set(&mut health.timeout, root.duration("upstream.health.timeout"));
    set(&mut health.unhealthy_after, count(root, "upstream.health.unhealthy_after"));
    set(&mut health.healthy_after, count(root, "upstream.health.healthy_after"));
}

fn count(root: &Table, key: &str) -> Option<u32> {
    root.integer(key).and_then(|count| u32::try_from(count).ok())
}

fn path(root: &Table, findings: &mut Findings) -> Option<Option<PathAndQuery>> {
    let text = root.text(PATH)?;
    if text.is_empty() {
        return Some(None);
    }
    let found = match text.parse::<PathAndQuery>() {
        Ok(path) if text.starts_with('/') && !text.contains('#') => return Some(Some(path)),
        _ if !text.starts_with('/') => format!("{} does not start with `/`", quote(text)),
        _ => format!("{} is no path", quote(text)),
    };
    findings.fault(&root.place(PATH), PATH, found, "write a path, as \"/healthz\", or \"\" for no checks");
    None
}
