//! What every part of the sidecar shares: the settings of this moment, the clock, and the counts of refusals and of attempts at the upstream.

use crate::clock::{Clock, Moment};
use crate::rfc::date;
use crate::sidecar::limits::{Crowd, Limits, Place};
use crate::sidecar::settings::{ServerSettings, UpstreamSettings};
use crate::telemetry::log::{Ending, Facts, RequestLog, Trace};
use crate::telemetry::span::Leg;
use crate::telemetry::{Attempt, Histogram, Outcome, Refusal, Refusals, Source};
use arc_swap::{ArcSwap, ArcSwapOption};
use http::header::DATE;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use std::cell::RefCell;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;

/// The settings in force.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) server: ServerSettings,
    pub(super) upstream: UpstreamSettings,
    /// The rates that follow from `server`; `None` if there are none.
    pub(super) limits: Option<Arc<Limits>>,
}

impl Settings {
    /// These settings in place of `old`. A rate that has not changed goes on counting.
    pub(super) fn after(old: Option<&Self>, server: ServerSettings, upstream: UpstreamSettings) -> Self {
        let rates = |server: &ServerSettings| (server.rate_limit.clone(), server.rule_limits.clone(), server.max_rate_clients);
        let limits = match old {
            Some(old) if rates(&old.server) == rates(&server) => old.limits.clone(),
            _ => Limits::new(&server).map(Arc::new),
        };
        Self { server, upstream, limits }
    }
}

/// Shared by the listener, every connection and the upstream.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) settings: ArcSwap<Settings>,
    pub(super) clock: Clock,
    /// What TLS is spoken with; nothing before the data port listens.
    pub(super) tls: ArcSwapOption<rustls::ServerConfig>,
    /// The open connections of each client.
    pub(super) crowd: Crowd,
    refused: Refusals,
    attempts: [[AtomicU64; Attempt::ALL.len()]; Source::ALL.len()],
    /// Of attempts that brought a response head: how long that took.
    pub(super) durations: Histogram,
    log: OnceLock<RequestLog>,
}

impl Live {
    pub(super) fn new(server: ServerSettings, upstream: UpstreamSettings, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            settings: ArcSwap::from_pointee(Settings::after(None, server, upstream)),
            clock,
            tls: ArcSwapOption::empty(),
            crowd: Crowd::default(),
            refused: Refusals::default(),
            durations: Histogram::default(),
            log: OnceLock::new(),
            attempts: Default::default(),
        })
    }

    /// Dates a message that has no `Date`, as a recipient with a clock must (RFC 9110 section 6.6.1); one that has is dated anew.
    pub(super) fn date(&self, headers: &mut HeaderMap) {
        thread_local! { static LAST: RefCell<(u64, HeaderValue)> = RefCell::new((0, date::format(0))) }
        let now = self.clock.now().seconds();
        let value = LAST.with_borrow_mut(|last| {
            if last.0 != now {
                *last = (now, date::format(now));
            }
            last.1.clone()
        });
        headers.insert(DATE, value);
    }

    /// Counts one refusal of ours.
    pub(super) fn count(&self, refusal: Refusal) {
        self.refused.count(refusal);
    }

    /// A place for a connection from `ip` among those of its client; `None`, and counted, if there is none: then it is closed without a word.
    pub(super) fn place(&self, ip: Option<IpAddr>) -> Option<Place> {
        let settings = self.settings.load();
        let place = self.crowd.enter(ip, settings.server.max_connections_per_client, &settings.server.trusted_proxies);
        if place.is_none() {
            self.count(Refusal::TooManyConnections);
        }
        place
    }

    /// How often `refusal` was the answer.
    pub(super) fn refused(&self, refusal: Refusal) -> u64 {
        self.refused.of(refusal)
    }

    /// Tells of requests through `log` from now on; the first one counts.
    pub(super) fn log_to(&self, log: &RequestLog) {
        let _ = self.log.set(log.clone());
    }

    pub(super) fn log(&self) -> &RequestLog {
        self.log.get_or_init(RequestLog::default)
    }

    /// Tells of a request that never came to the service. `began`: when its head was there; `leg`: if it was taken to the upstream all the same.
    pub(super) fn tell(&self, asked: Option<(&Method, &Uri, &HeaderMap)>, answer: &Answer, began: Option<Moment>, leg: Option<&Leg>) {
        if !self.log().is_heard() {
            return;
        }
        let facts = Facts {
            asked: asked.map(|(method, uri, _)| (method, uri)),
            version: None,
            leg,
            rule: None,
            outcome: answer.outcome,
            reason: Some(answer.reason),
            status: answer.status,
            bytes: answer.bytes,
            lookup: 0,
            upstream: None,
            total: began.map_or(0, |began| self.clock.moment().nanos_since(began)),
            key: None,
            ending: Ending::Whole,
        };
        self.log().tell(&facts, || leg.map(Leg::trace).or_else(|| Trace::of(asked?.2)));
    }

    /// How often the upstream was asked on behalf of `source`, and it ended like this.
    pub(super) fn attempts(&self, source: Source, attempt: Attempt) -> u64 {
        self.attempts[source as usize][attempt as usize].load(Ordering::Relaxed)
    }
}

/// The settings in force, for an [`arc_swap::Cache`]: a look at what has not changed costs next to nothing.
#[derive(Clone, Debug)]
pub(super) struct Watched(pub(super) Arc<Live>);

impl Deref for Watched {
    type Target = ArcSwap<Settings>;

    fn deref(&self) -> &ArcSwap<Settings> {
        &self.0.settings
    }
}

/// The answer to a request that never came to the service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) reason: &'static str,
    /// `None`: the connection ended without one.
    pub(super) status: Option<StatusCode>,
    pub(super) bytes: u64,
}

/// One attempt at the upstream, on behalf of a source. It is counted when this is dropped: as failed, unless a response came.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    live: &'a Live,
    source: Source,
    attempt: Attempt,
    began: Instant,
}

impl<'a> Asking<'a> {
    pub(super) const fn new(live: &'a Live, source: Source, began: Instant) -> Self {
        Self { live, source, attempt: Attempt::Failed, began }
    }

    /// A response head came.
    pub(super) fn answered(&mut self, status: StatusCode, now: Instant) {
        let took = now.saturating_duration_since(self.began).as_nanos();
        self.live.durations.observe(u64::try_from(took).unwrap_or(u64::MAX));
        self.attempt = if status.as_u16() < 500 { Attempt::Ok } else { Attempt::Error };
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.live.attempts[self.source as usize][self.attempt as usize].fetch_add(1, Ordering::Relaxed);
    }
}
