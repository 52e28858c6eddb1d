//! What the upstream, and who looks at traces, is told of a question: its `traceparent`, and its span.

use super::Answered;
use crate::priority::Priority;
use crate::sidecar::failure::Failure;
use crate::sidecar::outgoing::Names;
use crate::sidecar::settings::Origin;
use crate::telemetry::Source;
use crate::telemetry::log::{RequestLog, TRACEPARENT, TRACESTATE, Trace, TraceText, new_span};
use crate::telemetry::span::Question;
use http::HeaderMap;
use http::request::Parts;

/// On whose behalf the upstream is asked, and what is told of that, if anybody wants to hear of it.
#[derive(Debug)]
pub(super) struct Behalf {
    source: Source,
    question: Option<Box<Question>>,
}

impl Behalf {
    pub(super) fn of(log: &RequestLog, parts: &Parts) -> Self {
        let source = Priority::of(&parts.extensions).map_or(Source::Live, Priority::source);
        Self { source, question: Question::of(log, parts, source) }
    }

    pub(super) const fn source(&self) -> Source {
        self.source
    }

    /// The `traceparent` by which the request belongs to the trace that its client named, with us as the parent; else to the one that is `known`, or to a new one.
    /// It stays out of everything that the cache has seen: neither keys nor variants know it. What the client said of it is taken from the fields.
    pub(super) fn mark(&self, headers: &mut HeaderMap, names: Names, known: Option<Trace>, log: &RequestLog) -> TraceText {
        let named = if names.traceparent { Trace::of(headers) } else { None };
        if names.traceparent {
            headers.remove(&TRACEPARENT);
        }
        if names.tracestate && named.is_none() {
            headers.remove(&TRACESTATE); // it belongs to a trace that nobody can read (W3C Trace Context section 4.3)
        }
        match &self.question {
            Some(question) => question.trace().text(question.id()),
            None => named.or(known).unwrap_or_else(|| log.new_trace()).text(new_span()),
        }
    }

    /// It is sent to this origin.
    pub(super) fn sent_to(&mut self, origin: &Origin) {
        if let Some(question) = &mut self.question {
            question.sent_to(origin.tls, origin.host(), origin.port());
        }
    }

    /// What came of it.
    pub(super) fn end(self, fetched: &Result<Answered, Failure>) {
        if let Some(question) = self.question {
            question.end(fetched.as_ref().map(|answered| answered.response.status()).map_err(|failure| failure.refusal));
        }
    }
}
