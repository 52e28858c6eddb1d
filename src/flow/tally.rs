//! The count of one reader's request that cannot be answered at once, and what is told of it at its end.

use crate::clock::{Moment, Stamp};
use crate::error::OriginFailure;
use crate::flow::begun::Begun;
use crate::flow::body::CacheBody;
use crate::flow::shared::Shared;
use crate::telemetry::log::{Ending, Facts, Overruled, Trace, server_timing};
use crate::telemetry::span::Leg;
use crate::telemetry::{Outcome, Refusal, RuleCounts};
use http::{Extensions, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

/// The reason of a request that the service behind the cache has answered with an error.
pub(crate) const SERVICE_ERROR: &str = "service-error";

/// A request under way. It is counted once: as it is answered, or, when nobody waits for that any more, as this is dropped. Then it is told of as
/// well, if anybody wants to hear of it: whoever sends the body holds this until the body has ended.
#[derive(Debug)]
pub(crate) struct Tally {
    shared: Arc<Shared>,
    rule: Arc<RuleCounts>,
    began: Moment,
    /// When the look into the cache had come to its end; where there was none, when the request came.
    looked: Moment,
    /// Knows it if the client gets another answer than the cache's.
    overruled: Option<Overruled>,
    story: Option<Story>,
    answered: OnceLock<Answered>,
    ended: OnceLock<Ended>,
}

/// What is told beyond what is counted.
#[derive(Debug)]
struct Story {
    method: Method,
    uri: Uri,
    version: Version,
    key: Option<u64>,
    trace: Trace,
    /// The trace is a new one: the client has named none.
    is_new: bool,
    leg: Option<Leg>,
}

/// What became of the answer.
#[derive(Clone, Copy, Debug)]
struct Ended {
    status: StatusCode,
    /// Of the body.
    bytes: u64,
    ending: Ending,
}

/// How it was answered, and after how many nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Answered {
    outcome: Outcome,
    reason: Option<&'static str>,
    nanos: u64,
}

impl Tally {
    /// `is_looked_up`: the cache was asked for it.
    pub(crate) fn new<B>(shared: &Arc<Shared>, begun: &Begun<'_>, request: &Request<B>, key: Option<u64>, is_looked_up: bool) -> Arc<Self> {
        let Begun { settings, rule, began, glance } = *begun;
        let story = shared.log.is_heard().then(|| {
            let named = if glance.traced { Trace::of(request.headers()) } else { None };
            let trace = named.unwrap_or_else(|| shared.log.new_trace());
            let (method, uri, version) = (request.method().clone(), request.uri().clone(), request.version());
            Story { method, uri, version, key, trace, is_new: named.is_none(), leg: shared.log.leg(trace) }
        });
        let looked = if is_looked_up { shared.clock.moment() } else { began };
        let (rule, overruled) = (Arc::clone(settings.counts(rule)), request.extensions().get().cloned());
        Arc::new(Self {
            looked,
            shared: Arc::clone(shared),
            rule,
            began,
            overruled,
            story,
            answered: OnceLock::new(),
            ended: OnceLock::new(),
        })
    }

    /// When it was known that what is stored does not answer.
    pub(crate) const fn looked(&self) -> Stamp {
        self.looked.stamp()
    }

    /// Counts it, with the time up to now.
    pub(crate) fn count(&self, outcome: Outcome, reason: Option<&'static str>) {
        self.answered.get_or_init(|| {
            let (outcome, reason) = self.overruled.as_ref().and_then(verdict).unwrap_or((outcome, reason));
            Answered { outcome, reason, nanos: self.shared.count(&self.rule, outcome, self.began) }
        });
    }

    /// Counts what was handed on: as failed if that is what the service says of the origin, else as a pass for this reason.
    pub(crate) fn count_handed_on(&self, failure: Option<OriginFailure>, reason: &'static str) {
        match failure {
            Some(OriginFailure(refusal)) => self.count(Outcome::Failed, Some(refusal.as_str())),
            None => self.count(Outcome::Pass, Some(reason)),
        }
    }

    /// Has the request to the origin belong to the trace that is told of.
    pub(crate) fn mark(&self, extensions: &mut Extensions) {
        let Some(story) = &self.story else { return };
        if story.is_new {
            extensions.insert(story.trace);
        }
        if let Some(leg) = &story.leg {
            extensions.insert(leg.clone());
        }
    }

    /// The body of an answer of this status ended like this, after so many bytes.
    pub(crate) fn end(&self, status: StatusCode, bytes: u64, ending: Ending) {
        let _ = self.ended.set(Ended { status, bytes, ending }); // an answer has one body
    }

    /// Nanoseconds of the look into the cache, and of what came behind it up to the answer if the origin was asked.
    fn timings(&self, answered: Answered) -> (u64, Option<u64>) {
        let lookup = self.looked.nanos_since(self.began);
        (lookup, (answered.outcome != Outcome::Refused).then(|| answered.nanos.saturating_sub(lookup)))
    }

    fn tell(&self, story: &Story) {
        let ended = self.ended.get();
        let answered = self.answered.get().copied().unwrap_or(Answered { outcome: Outcome::Abandoned, reason: None, nanos: 0 });
        let (lookup, upstream) = self.timings(answered);
        let overruled = self.overruled.as_ref().and_then(|overruled| Some((overruled.get(), verdict(overruled)?)));
        let (outcome, reason) = overruled.map_or((answered.outcome, answered.reason), |(_, verdict)| verdict);
        let facts = Facts {
            asked: Some((&story.method, &story.uri)),
            version: Some(story.version),
            leg: story.leg.as_ref(),
            rule: self.rule.rule(),
            outcome,
            reason,
            status: overruled.map_or(ended.map(|ended| ended.status), |(refusal, _)| refusal.map(Refusal::status)),
            bytes: ended.map_or(0, |ended| ended.bytes),
            lookup,
            upstream,
            total: self.shared.clock.moment().nanos_since(self.began),
            key: story.key,
            ending: if overruled.is_some() { Ending::Whole } else { ended.map_or(Ending::Whole, |ended| ended.ending) },
        };
        self.shared.log.tell(&facts, || Some(story.trace));
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // A panic of the inner service goes through here as well.
        self.count(if std::thread::panicking() { Outcome::Failed } else { Outcome::Abandoned }, None);
        if let Some(story) = &self.story {
            self.tell(story);
        }
    }
}

pin_project! {
    /// The answer that `answering` comes to, whose body ends the request. No `async fn`: its future would hold `answering` twice, and be copied so.
    pub(crate) struct ToldOf<F> {
        #[pin]
        answering: F,
        tally: Option<Arc<Tally>>,
    }
}

/// The answer that `answering` comes to, whose body ends the request.
pub(crate) const fn told<F>(answering: F, tally: Arc<Tally>) -> ToldOf<F> {
    ToldOf { answering, tally: Some(tally) }
}

impl<F, B, E> Future for ToldOf<F>
where
    F: Future<Output = Result<Response<CacheBody<B>>, E>>,
    B: Body,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut answered = ready!(this.answering.poll(cx));
        let tally = this.tally.take();
        if let (Ok(response), Some(tally)) = (&mut answered, tally) {
            tell_at_end(response, tally);
        }
        Poll::Ready(answered)
    }
}

/// Has the end of the response's body end the request.
pub(crate) fn tell_at_end<B: Body>(response: &mut Response<CacheBody<B>>, tally: Arc<Tally>) {
    if let Some(&answered) = tally.answered.get().filter(|_| tally.shared.log.wants_server_timing()) {
        let (lookup, upstream) = tally.timings(answered);
        append(response, server_timing(lookup, upstream, answered.nanos));
    }
    if let Some(story) = &tally.story {
        let (head, status) = (story.method == Method::HEAD, response.status());
        response.body_mut().tell(tally, status, head);
    }
}

/// Tells of a request that neither the cache nor the origin had a part in.
pub(crate) fn answered_here(shared: &Shared, request: &Request<()>, began: Moment, status: StatusCode, bytes: u64, reason: &'static str) {
    if !shared.log.is_heard() {
        return;
    }
    let total = shared.clock.moment().nanos_since(began);
    let facts = Facts {
        asked: Some((request.method(), request.uri())),
        version: Some(request.version()),
        leg: None,
        rule: None,
        outcome: if status.is_success() { Outcome::Pass } else { Outcome::Refused },
        reason: Some(reason),
        status: Some(status),
        bytes,
        lookup: 0,
        upstream: None,
        total,
        key: None,
        ending: Ending::Whole,
    };
    shared.log.tell(&facts, || Trace::of(request.headers()));
}

/// How a request ends whose body has decided that.
fn verdict(overruled: &Overruled) -> Option<(Outcome, Option<&'static str>)> {
    if overruled.is_abandoned() {
        return Some((Outcome::Abandoned, Some(Overruled::UPLOAD)));
    }
    overruled.get().map(|refusal| (Outcome::Refused, Some(refusal.as_str())))
}

fn append<B>(response: &mut Response<B>, field: Option<(HeaderName, HeaderValue)>) {
    if let Some((name, value)) = field {
        response.headers_mut().append(name, value);
    }
}
