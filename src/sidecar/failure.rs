//! Why the upstream gave no response.

use crate::sidecar::dial::ConnectTimeout;
use crate::sidecar::pool::tls::{self, TlsFailed};
use crate::sidecar::pool::two::{self, Verdict};
use crate::sidecar::pool::{Broken, Unanswered};
use crate::telemetry::Refusal;
use std::error::Error;
use std::time::Duration;

/// One failed attempt.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) refusal: Refusal,
    pub(super) detail: String,
    /// The connection had served before: it was probably closed while it lay in the pool.
    pub(super) stale: bool,
    /// A byte of the answer had come: nothing is put again after that.
    pub(super) begun: bool,
    /// When it may be worth while to come again, if that is known.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn new(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self { refusal, detail: detail.into(), stale: false, begun: false, retry_after: None }
    }

    /// Puts a name to what kept a response head away.
    pub(super) fn of(unanswered: &Unanswered) -> Self {
        match unanswered {
            Unanswered::Connect(error) => Self::to_connect(&**error),
            Unanswered::Exchange { error, stale, begun } => Self { begun: *begun, ..Self::to_answer(error, *stale) },
        }
    }

    fn to_connect(error: &(dyn Error + 'static)) -> Self {
        if let Some(timeout) = error.downcast_ref::<ConnectTimeout>() {
            return Self::new(Refusal::ConnectTimeout, timeout.to_string());
        }
        if let Some(failed) = error.downcast_ref::<TlsFailed>() {
            return Self::new(Refusal::UpstreamTls, failed.to_string());
        }
        Self::new(Refusal::UpstreamConnect, format!("no connection to the upstream: {}", cause(error)))
    }

    fn to_answer(error: &Broken, stale: bool) -> Self {
        // With TLS 1.3 the upstream refuses our certificate only after the handshake.
        if let Some(reason) = tls::reason(error) {
            return Self::new(Refusal::UpstreamTls, reason);
        }
        let cause = cause(error);
        let (malformed, broken_off) = match error {
            Broken::Closed | Broken::Io(_) => (false, false),
            Broken::Malformed(_) => (true, false),
            Broken::Upload(_) => (false, true),
            Broken::Two(error) => (error.is_parse() || two::verdict(error) == Verdict::Malformed, error.is_user()),
        };
        if malformed {
            return Self::new(Refusal::BadResponse, format!("the upstream's response cannot be read: {cause}"));
        }
        if broken_off {
            return Self::new(Refusal::BadRequest, format!("the request body broke off: {cause}"));
        }
        let detail = format!("the upstream closed the connection before a whole response head: {cause}");
        Self { stale, ..Self::new(Refusal::UpstreamClosed, detail) }
    }

    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Whether it speaks against the origin that was asked: a connection that was closed while it lay unused does not, and neither does a client's own fault.
    pub(super) const fn is_the_origins_fault(&self) -> bool {
        use Refusal::{BadResponse, ConnectTimeout, ResponseTimeout, UpstreamClosed, UpstreamConnect, UpstreamTls};
        !self.stale
            && matches!(self.refusal, UpstreamConnect | UpstreamTls | ConnectTimeout | ResponseTimeout | UpstreamClosed | BadResponse)
    }

    /// Whether the connection failed, not the upstream: another attempt may do better.
    pub(super) const fn is_connection_level(&self) -> bool {
        !self.begun && matches!(self.refusal, Refusal::UpstreamConnect | Refusal::UpstreamClosed)
    }
}

/// What lies at the bottom of an error.
fn cause(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| (*error).source()).last().map_or_else(String::new, ToString::to_string)
}
