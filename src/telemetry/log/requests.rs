//! The one event of a request.

use crate::telemetry::log::trace::hex;
use crate::telemetry::log::{LogSettings, Redaction, Sampler, Trace};
use crate::telemetry::{Outcome, Refusal};
use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The target of the events of requests.
pub const REQUEST: &str = "warmfront::request";

/// Decides which requests are told of, and tells them: one event of the level INFO and the target [`REQUEST`] each, at the end of its body.
/// Cheap to clone; clones are the same.
///
/// Fields: `method`, `path` (with the query; secrets and what is over 2 KiB cut out), `rule`, `outcome`, `reason` (why it was refused, failed,
/// forwarded or not stored), `status`, `bytes` of the body, `lookup_us`, `upstream_us` (until the head, waiting included), `total_us`, `trace_id`,
/// `key` (a hash that another process spells otherwise), and `ended` if the body did not come to its end: `broken` by the origin, or `left` by
/// the client.
#[derive(Clone, Debug, Default)]
pub struct RequestLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sampler: Sampler,
    redaction: ArcSwap<Redaction>,
    server_timing: AtomicBool,
}

impl Default for Inner {
    fn default() -> Self {
        Self::new(&LogSettings::default())
    }
}

impl Inner {
    fn new(settings: &LogSettings) -> Self {
        Self {
            sampler: Sampler::new(settings.sample_rate, settings.slow),
            redaction: ArcSwap::from_pointee(Redaction::new(&settings.redact)),
            server_timing: AtomicBool::new(settings.server_timing),
        }
    }
}

/// How the body of a response ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As it should.
    #[default]
    Whole,
    /// The origin broke it off.
    Broken,
    /// The client read no further.
    Left,
}

impl Ending {
    const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Broken => Some("broken"),
            Self::Left => Some("left"),
        }
    }
}

/// What is known of a request at its end. Times are in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) asked: Option<(&'a Method, &'a Uri)>,
    pub(crate) rule: Option<&'a str>,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<&'static str>,
    /// `None`: its client left before there was one.
    pub(crate) status: Option<StatusCode>,
    pub(crate) bytes: u64,
    pub(crate) lookup: u64,
    pub(crate) upstream: Option<u64>,
    pub(crate) total: u64,
    pub(crate) key: Option<u64>,
    pub(crate) ending: Ending,
}

impl Facts<'_> {
    /// Whether it is told of whatever the rate is.
    pub(crate) fn is_notable(&self) -> bool {
        matches!(self.outcome, Outcome::Refused | Outcome::Failed)
            || self.ending == Ending::Broken
            || self.status.is_some_and(|status| status.is_server_error())
    }
}

impl RequestLog {
    /// A log with these settings; of them `sample_rate`, `slow`, `redact` and `server_timing` count here.
    #[must_use]
    pub fn new(settings: &LogSettings) -> Self {
        Self(Arc::new(Inner::new(settings)))
    }

    /// Follows other settings from now on.
    pub fn reload(&self, settings: &LogSettings) {
        self.0.sampler.set(settings.sample_rate, settings.slow);
        self.0.redaction.store(Arc::new(Redaction::new(&settings.redact)));
        self.0.server_timing.store(settings.server_timing, Ordering::Relaxed);
    }

    /// How it decides.
    #[must_use]
    pub fn sampler(&self) -> &Sampler {
        &self.0.sampler
    }

    /// Whether anybody wants to hear of requests.
    #[must_use]
    #[inline]
    pub fn is_heard(&self) -> bool {
        tracing::enabled!(target: REQUEST, tracing::Level::INFO)
    }

    /// Whether responses say how long it took.
    pub(crate) fn wants_server_timing(&self) -> bool {
        self.0.server_timing.load(Ordering::Relaxed)
    }

    /// Tells of a request, if it is not sampled out, to those who [want to hear](Self::is_heard) of it. `trace` is looked for only if it counts.
    #[inline]
    pub(crate) fn tell(&self, facts: &Facts<'_>, trace: impl Fn() -> Option<Trace>) {
        let mut found = None;
        let dice = || found.insert(trace()).map(|trace| trace.dice());
        if self.0.sampler.keeps(facts.is_notable(), facts.total, dice) {
            self.event(facts, found.unwrap_or_else(trace));
        }
    }

    /// The only place where a request becomes an event.
    fn event(&self, facts: &Facts<'_>, trace: Option<Trace>) {
        if !self.is_heard() {
            return;
        }
        let redaction = self.0.redaction.load();
        let path = facts.asked.map(|(_, uri)| redaction.clean(target_of(uri)));
        let trace = trace.map(|trace| trace.digits());
        let key = facts.key.map(|key| {
            let mut digits = [0; 16];
            hex(&key.to_be_bytes(), &mut digits);
            digits
        });
        tracing::event!(
            target: REQUEST,
            tracing::Level::INFO,
            method = facts.asked.map(|(method, _)| method.as_str()),
            path = path.as_deref(),
            rule = facts.rule,
            outcome = facts.outcome.as_str(),
            reason = facts.reason,
            status = facts.status.map(|status| status.as_u16()),
            bytes = facts.bytes,
            lookup_us = facts.lookup / 1000,
            upstream_us = facts.upstream.map(|nanos| nanos / 1000),
            total_us = facts.total / 1000,
            trace_id = trace.as_ref().and_then(|digits| std::str::from_utf8(digits).ok()),
            key = key.as_ref().and_then(|digits| std::str::from_utf8(digits).ok()),
            ended = facts.ending.as_str(),
        );
    }
}

/// The target without its origin; of CONNECT that is all there is.
fn target_of(uri: &Uri) -> &str {
    match (uri.path_and_query(), uri.authority()) {
        (Some(target), _) => target.as_str(),
        (None, Some(authority)) => authority.as_str(),
        (None, None) => uri.path(),
    }
}

/// `Server-Timing` (W3C): where the time up to the head went, in milliseconds.
pub(crate) fn server_timing(lookup: u64, upstream: Option<u64>, total: u64) -> Option<(HeaderName, HeaderValue)> {
    let millis = |nanos: u64| nanos as f64 / 1e6;
    let mut text = format!("lookup;dur={:.3}", millis(lookup));
    if let Some(upstream) = upstream {
        let _ = write!(text, ", upstream;dur={:.3}", millis(upstream));
    }
    let _ = write!(text, ", total;dur={:.3}", millis(total));
    Some((HeaderName::from_static("server-timing"), HeaderValue::try_from(text).ok()?))
}

/// Says that another answer than the cache's went to the client, or none: found out while the request body was read. Travels among the extensions
/// of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overruled(Arc<AtomicUsize>);

impl Overruled {
    /// The client's body broke off: nobody waits for an answer.
    const ABANDONED: usize = usize::MAX - 1;
    /// The reason that is told of such a request.
    pub(crate) const UPLOAD: &'static str = "upload";

    /// The client left in the middle of its body.
    #[cfg(feature = "sidecar")]
    pub(crate) fn abandon(&self) {
        let _ = self.0.compare_exchange(0, Self::ABANDONED, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether it did.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::ABANDONED
    }

    /// The client got this instead.
    #[cfg(feature = "sidecar")]
    pub(crate) fn by(&self, refusal: Refusal) {
        let _ = self.0.compare_exchange(0, refusal as usize + 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The answer begins: whatever is found out from now on, the client has got that.
    #[cfg(feature = "sidecar")]
    pub(crate) fn settle(&self) {
        let _ = self.0.compare_exchange(0, usize::MAX, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether the request is still under way: whoever tells of it holds this too.
    #[cfg(feature = "sidecar")]
    pub(crate) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// What the client got instead, if anything.
    pub(crate) fn get(&self) -> Option<Refusal> {
        Refusal::ALL.get(self.0.load(Ordering::Acquire).wrapping_sub(1)).copied()
    }
}
