//! Errors that cross module walls.

use crate::telemetry::Refusal;
use std::fmt;

/// Any error, as tower and http-body-util box it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Put into a response's extensions by a service that made the response itself because the origin could not be asked or did not answer.
/// The cache treats such a response as an error of the origin: it is never stored, and `stale-if-error` may replace it (RFC 5861 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginFailure(pub Refusal);

/// A response body that ended before its time. Every reader of a broken fill sees it as an error of its own body, never as a clean end.
#[derive(Clone, Debug)]
pub struct BrokenBody(std::sync::Arc<str>);

impl BrokenBody {
    /// A broken body, with the reason in words.
    pub(crate) fn new(reason: impl Into<std::sync::Arc<str>>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for BrokenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "response body broke off: {}", self.0)
    }
}

impl std::error::Error for BrokenBody {}

/// The error of a [`CacheBody`](crate::layer::CacheBody) and of a [`RequestBody`](crate::RequestBody): a fill that broke off, or the inner
/// body's own error, in its words.
///
/// Only the words: `Display` is all that is asked of an inner body's error. With the usual `Into<BoxError>`, or with any bound that needs
/// `'static`, servers in spawned tasks do not compile around bodies whose error is a boxed one ("implementation of `From` is not general enough").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyError(Box<str>);

impl BodyError {
    pub(crate) fn new(error: impl fmt::Display) -> Self {
        Self(error.to_string().into())
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BodyError {}
