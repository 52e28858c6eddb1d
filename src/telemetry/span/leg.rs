//! What joins a request that is served to the questions that it has put to the upstream: they are told of together, or not at all.

use crate::telemetry::log::Trace;
use crate::telemetry::span::{Span, Spans, fresh};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;

/// Travels among the extensions of the request that goes to the upstream. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Leg(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trace: Trace,
    span: u64,
    spans: Spans,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The request is under way; these questions have ended.
    Open(SmallVec<[Span; 1]>),
    /// The request has ended, and is told of or not.
    Settled(bool),
}

impl Leg {
    /// Of a request of `trace`.
    pub(crate) fn new(trace: Trace, spans: &Spans) -> Self {
        Self(Arc::new(Inner { trace, span: fresh(), spans: spans.clone(), state: Mutex::new(State::Open(SmallVec::new())) }))
    }

    pub(crate) fn trace(&self) -> Trace {
        self.0.trace
    }

    /// The span of the request: the parent of its questions.
    pub(crate) fn span(&self) -> u64 {
        self.0.span
    }

    /// A question has ended. It waits for what becomes of the request; one that outlives it follows it.
    pub(super) fn add(&self, span: Span) {
        let mut state = self.0.state.lock();
        match &mut *state {
            State::Open(waiting) => waiting.push(span),
            State::Settled(true) => self.0.spans.push(|| span),
            State::Settled(false) => {}
        }
    }

    /// The request has ended, and is told of if `kept`.
    pub(crate) fn settle(&self, kept: bool) {
        let mut state = self.0.state.lock();
        if let State::Open(waiting) = std::mem::replace(&mut *state, State::Settled(kept))
            && kept
        {
            waiting.into_iter().for_each(|span| self.0.spans.push(|| span));
        }
    }
}

#[cfg(test)]
#[cfg(feature = "otel")]
mod tests {
    use super::Leg;
    use crate::telemetry::Source;
    use crate::telemetry::log::{LogSettings, RequestLog};
    use crate::telemetry::span::{Incoming, Question};
    use http::{Request, StatusCode};

    /// A log whose spans come out at the other end.
    fn log() -> (RequestLog, Incoming) {
        let (log, (spans, incoming)) = (RequestLog::new(&LogSettings::default()), Incoming::new(8, 8));
        log.span_to(spans);
        (log, incoming)
    }

    fn question(log: &RequestLog, leg: &Leg) -> Box<Question> {
        question_of(log, Some(leg), Source::Live)
    }

    fn question_of(log: &RequestLog, leg: Option<&Leg>, source: Source) -> Box<Question> {
        let mut parts = Request::get("http://a/b").body(()).unwrap().into_parts().0;
        leg.map(|leg| parts.extensions.insert(leg.clone()));
        Question::of(log, &parts, source).unwrap()
    }

    #[test]
    fn a_question_waits_for_its_request_and_one_that_outlives_it_follows_it() {
        for kept in [true, false] {
            let (log, mut incoming) = log();
            let leg = log.leg(log.new_trace()).unwrap();
            let (mut early, mut late) = (question(&log, &leg), question(&log, &leg));
            early.sent_to(false, "origin", 80);
            late.sent_to(false, "origin", 80);
            let ids = [early.id(), late.id()];
            early.end(Ok(StatusCode::OK));
            assert!(incoming.take().is_empty());
            leg.settle(kept);
            drop(late); // given up
            let spans = incoming.take();
            let seen: Vec<_> = spans.iter().map(|span| (span.id, span.parent == Some(leg.span()), span.reason)).collect();
            assert_eq!(seen, if kept { vec![(ids[0], true, None), (ids[1], true, Some("abandoned"))] } else { vec![] });
        }
    }

    #[test]
    fn questions_that_no_request_waits_for_leave_half_of_the_places_to_those_that_one_does() {
        let (log, mut incoming) = log();
        let leg = log.leg(log.new_trace()).unwrap();
        let put = |mut question: Box<Question>| {
            question.sent_to(false, "origin", 80);
            question.end(Ok(StatusCode::OK));
        };
        (0..6).for_each(|_| put(question_of(&log, None, Source::Warm)));
        assert_eq!((incoming.waiting(), log.spans().unwrap().counts().dropped), (4, 2));
        (0..5).for_each(|_| put(question(&log, &leg)));
        leg.settle(true);
        assert_eq!((incoming.waiting(), log.spans().unwrap().counts().dropped), (8, 3));
        assert_eq!(incoming.take().len(), 8);
        put(question_of(&log, None, Source::Refresh));
        assert_eq!(incoming.take().len(), 1);
    }

    #[test]
    fn a_question_that_was_never_sent_is_none() {
        let (log, mut incoming) = log();
        let leg = log.leg(log.new_trace()).unwrap();
        question(&log, &leg).end(Err(crate::telemetry::Refusal::Overload));
        leg.settle(true);
        assert!(incoming.take().is_empty());
    }
}
