//! The one event of a request, and its span.

use crate::telemetry::log::trace::hex;
use crate::telemetry::log::{LogSettings, Redaction, Sampler, Trace};
use crate::telemetry::span::{Leg, Place, Served, Side, Span, Spans, Verb, fresh, unix_nanos};
use crate::telemetry::{Outcome, Refusal};
use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The target of the events of requests.
pub const REQUEST: &str = "warmfront::request";

/// Decides which requests are told of, and tells them: one event of the level INFO and the target [`REQUEST`] each, at the end of its body.
/// Cheap to clone; clones are the same.
///
/// Fields: `method`, `path` (with the query; secrets and what is over 2 KiB cut out), `rule`, `outcome`, `reason` (why it was refused, failed,
/// forwarded or not stored), `status`, `bytes` of the body, `lookup_us` (0 where the cache was not asked), `upstream_us` (until the head, waiting included), `total_us`, `trace_id`,
/// `key` (a hash that another process spells otherwise), and `ended` if the body did not come to its end: `broken` by the origin, or `left` by
/// the client.
#[derive(Clone, Debug, Default)]
pub struct RequestLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sampler: Sampler,
    redaction: ArcSwap<Redaction>,
    server_timing: AtomicBool,
    /// Where spans go, if anybody takes them.
    #[cfg(feature = "otel")]
    spans: std::sync::OnceLock<Spans>,
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
            #[cfg(feature = "otel")]
            spans: std::sync::OnceLock::new(),
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
    /// Its HTTP version, where that is known.
    pub(crate) version: Option<Version>,
    /// What joins it to its questions to the upstream, if it could put any.
    pub(crate) leg: Option<&'a Leg>,
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
        is_subscribed() || self.spans().is_some()
    }

    /// Has spans handed over to `spans` from now on; the first call counts.
    #[cfg(feature = "otel")]
    pub(crate) fn span_to(&self, spans: Spans) {
        let _ = self.0.spans.set(spans);
    }

    /// Where spans go, if anybody takes them: one look at what never changes. Without the feature `otel` nobody does, and what asks is compiled away.
    #[inline]
    pub(crate) fn spans(&self) -> Option<&Spans> {
        #[cfg(feature = "otel")]
        return self.0.spans.get();
        #[cfg(not(feature = "otel"))]
        None
    }

    /// A trace that nobody has named, marked as recorded if it is one that is kept.
    pub(crate) fn new_trace(&self) -> Trace {
        let trace = Trace::random();
        trace.sampled(self.0.sampler.would_keep(trace.dice()))
    }

    /// What a request of `trace` is joined to its questions by, if anybody takes spans.
    pub(crate) fn leg(&self, trace: Trace) -> Option<Leg> {
        self.spans().map(|spans| Leg::new(trace, spans))
    }

    /// The target of `uri`, without what must not be seen.
    pub(crate) fn clean_target(&self, uri: &Uri) -> Box<str> {
        self.0.redaction.load().clean(target_of(uri)).into()
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
        let kept = self.0.sampler.keeps(facts.is_notable(), facts.total, dice);
        if let Some(spans) = self.spans() {
            self.tell_and_span(facts, kept, found.unwrap_or_else(trace), spans);
        } else if kept {
            self.event(facts, found.unwrap_or_else(trace));
        }
    }

    /// As [`tell`](Self::tell), where somebody takes spans. Whoever has named the trace has decided whether it is recorded; else the span goes where
    /// the event goes.
    #[cold]
    #[inline(never)]
    fn tell_and_span(&self, facts: &Facts<'_>, kept: bool, trace: Option<Trace>, spans: &Spans) {
        let recorded = trace.and_then(|trace| trace.is_recorded()).unwrap_or(kept);
        // The event names the trace of the span.
        let trace = trace.or_else(|| (kept || recorded).then(Trace::random));
        if kept {
            self.event(facts, trace);
        }
        if let (Some(trace), true) = (trace, recorded) {
            spans.push(|| self.span(facts, trace));
        }
        if let Some(leg) = facts.leg {
            leg.settle(recorded);
        }
    }

    fn span(&self, facts: &Facts<'_>, trace: Trace) -> Span {
        let ended = unix_nanos();
        let (method, uri) = facts.asked.unzip();
        let served = Served {
            place: uri.and_then(Place::of),
            target: uri.map(|uri| self.clean_target(uri)).unwrap_or_default(),
            version: facts.version,
            rule: facts.rule.map(Into::into),
            outcome: facts.outcome,
            bytes: facts.bytes,
            lookup: facts.lookup,
            upstream: facts.upstream,
            key: facts.key,
            ended: facts.ending.as_str(),
        };
        Span {
            trace,
            id: facts.leg.map_or_else(fresh, Leg::span),
            parent: trace.parent(),
            remote: true,
            began: ended.saturating_sub(facts.total),
            ended,
            method: method.map_or(Verb::Unknown, Verb::of),
            status: facts.status,
            reason: facts.reason,
            side: Side::Served(Box::new(served)),
        }
    }

    /// The only place where a request becomes an event.
    fn event(&self, facts: &Facts<'_>, trace: Option<Trace>) {
        if !is_subscribed() {
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

/// Whether anybody subscribes to the events of requests.
#[inline]
fn is_subscribed() -> bool {
    tracing::enabled!(target: REQUEST, tracing::Level::INFO)
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
