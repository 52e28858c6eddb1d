//! Spans: what a tracing backend is told of a request, and of a question to the upstream. They are made after the fact, from what is known at the end,
//! and handed over to whoever sends them; nobody waits for that. Without the feature `otel` nobody takes any, and none is made.

mod handover;
mod leg;
mod question;

#[cfg(feature = "otel")]
pub(crate) use handover::Incoming;
pub(crate) use handover::Spans;
pub(crate) use leg::Leg;
#[cfg(feature = "sidecar")]
pub(crate) use question::Question;

use crate::telemetry::log::{Trace, new_span};
use crate::telemetry::{Outcome, Source};
use http::{Method, StatusCode, Uri, Version};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The variables of the environment that say where spans go, the one that counts first: without one of them nothing is sent.
#[cfg(feature = "sidecar")]
pub(crate) const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Bytes of a host and of a method that nobody knows at most; what comes behind is cut.
const MOST_NAME: usize = 255;

/// One span, as it waits to be sent. What it was made of is copied: none of it keeps a buffer of a connection.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) trace: Trace,
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    /// The parent is a span of the client's.
    pub(crate) remote: bool,
    /// Nanoseconds since the Unix epoch.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) method: Verb,
    pub(crate) status: Option<StatusCode>,
    /// What has failed, or why it was answered so.
    pub(crate) reason: Option<&'static str>,
    pub(crate) side: Side,
}

/// What is known on one side of the cache alone.
#[derive(Debug)]
pub(crate) enum Side {
    Served(Box<Served>),
    Asked(Box<Asked>),
}

/// A request that was served.
#[derive(Debug)]
pub(crate) struct Served {
    /// Where it went, if it could be read.
    pub(crate) place: Option<Place>,
    /// The path, with the query, without what must not be seen.
    pub(crate) target: Box<str>,
    pub(crate) version: Option<Version>,
    pub(crate) rule: Option<Box<str>>,
    pub(crate) outcome: Outcome,
    pub(crate) bytes: u64,
    /// Nanoseconds.
    pub(crate) lookup: u64,
    pub(crate) upstream: Option<u64>,
    pub(crate) key: Option<u64>,
    pub(crate) ended: Option<&'static str>,
}

/// A question that was put to the upstream.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) place: Place,
    pub(crate) target: Box<str>,
    pub(crate) source: Source,
    /// Attempts before the last one.
    pub(crate) resent: u32,
}

/// Scheme, host and port of a URI.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) https: bool,
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

impl Place {
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let (authority, https) = (uri.authority()?, uri.scheme_str() == Some("https"));
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        Some(Self { https, host: cut(authority.host().trim_matches(['[', ']'])), port })
    }
}

/// A method by its one spelling, or as it came.
#[derive(Debug)]
pub(crate) enum Verb {
    Known(&'static str),
    Other(Box<str>),
    /// The request was refused before it was read so far.
    Unknown,
}

impl Verb {
    pub(crate) fn of(method: &Method) -> Self {
        const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
        let known = KNOWN.into_iter().find(|known| *known == method.as_str());
        known.map_or_else(|| Self::Other(cut(method.as_str())), Self::Known)
    }
}

fn cut(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(MOST_NAME)].into()
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The number of a span whose like there is none yet.
pub(crate) fn fresh() -> u64 {
    new_span()
}
