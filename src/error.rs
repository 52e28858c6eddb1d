//! Errors that cross module walls.

use crate::telemetry::Refusal;

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

impl std::fmt::Display for BrokenBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "response body broke off: {}", self.0)
    }
}

impl std::error::Error for BrokenBody {}
