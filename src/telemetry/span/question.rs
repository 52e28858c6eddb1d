//! One question to the upstream under way, with all attempts at it: the span whose number the upstream is told as its parent.

use crate::telemetry::log::{RequestLog, Trace};
use crate::telemetry::span::{Asked, Leg, Place, Side, Span, Verb, cut, fresh, unix_nanos};
use crate::telemetry::{Refusal, Source};
use http::request::Parts;
use http::{Method, StatusCode};

/// Dropped before it has [ended](Self::end), it was given up.
#[derive(Debug)]
pub(crate) struct Question {
    log: RequestLog,
    leg: Option<Leg>,
    trace: Trace,
    id: u64,
    began: u64,
    method: Method,
    target: Box<str>,
    source: Source,
    /// The origin that was asked last; none: nothing has been sent.
    place: Option<Place>,
    attempts: u32,
    ended: Option<Result<StatusCode, Refusal>>,
}

impl Question {
    /// About to be put, if anybody wants to hear of it. Without a request that waits for the answer (a refresh, a warm run) it is the first span here.
    pub(crate) fn of(log: &RequestLog, parts: &Parts, source: Source) -> Option<Box<Self>> {
        log.spans()?;
        let leg = parts.extensions.get::<Leg>().cloned();
        let named = || Trace::of(&parts.headers).or_else(|| parts.extensions.get().copied());
        let trace = leg.as_ref().map_or_else(|| named().unwrap_or_else(|| log.new_trace()), Leg::trace);
        Some(Box::new(Self {
            trace,
            leg,
            id: fresh(),
            began: unix_nanos(),
            method: parts.method.clone(),
            target: log.clean_target(&parts.uri),
            source,
            place: None,
            attempts: 0,
            ended: None,
            log: log.clone(),
        }))
    }

    pub(crate) fn trace(&self) -> Trace {
        self.trace
    }

    /// Its number, for the upstream.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// It is sent to this origin.
    pub(crate) fn sent_to(&mut self, https: bool, host: &str, port: u16) {
        self.place = Some(Place { https, host: cut(host), port });
        self.attempts += 1;
    }

    /// What came of it.
    pub(crate) fn end(mut self, result: Result<StatusCode, Refusal>) {
        self.ended = Some(result);
    }

    /// Whether it is told of though no request waits for it.
    fn is_kept(&self, nanos: u64) -> bool {
        let failed = self.ended.is_some_and(|ended| ended.map_or(true, |status| status.is_server_error()));
        self.trace.is_recorded().unwrap_or_else(|| self.log.sampler().keeps_uncounted(failed, nanos, self.trace.dice()))
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let ended = unix_nanos().max(self.began);
        if self.leg.is_none() && !self.is_kept(ended - self.began) {
            return;
        }
        let target = std::mem::take(&mut self.target);
        let asked = Asked { place, target, source: self.source, resent: self.attempts.saturating_sub(1) };
        let span = Span {
            trace: self.trace,
            id: self.id,
            parent: self.leg.as_ref().map(Leg::span).or_else(|| self.trace.parent()),
            remote: self.leg.is_none(),
            began: self.began,
            ended,
            method: Verb::of(&self.method),
            status: self.ended.and_then(Result::ok),
            reason: match self.ended {
                Some(Ok(_)) => None,
                Some(Err(refusal)) => Some(refusal.as_str()),
                None => Some("abandoned"),
            },
            side: Side::Asked(Box::new(asked)),
        };
        match (&self.leg, self.log.spans()) {
            (Some(leg), _) => leg.add(span),
            // Of a warm run, which asks more in a second than readers do, or of a refresh.
            (None, Some(spans)) => spans.push_behind(|| span),
            (None, None) => {}
        }
    }
}
