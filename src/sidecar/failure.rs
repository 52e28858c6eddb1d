//! Why the upstream gave no response.

use crate::sidecar::dial::{ConnectTimeout, Proven};
use crate::telemetry::Refusal;
use hyper_util::client::legacy;
use std::error::Error;
use std::time::Duration;

/// One failed attempt.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) refusal: Refusal,
    pub(super) detail: String,
    /// The connection had served before: it was probably closed while it lay in the pool.
    pub(super) stale: bool,
    /// When it may be worth while to come again, if that is known.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn new(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self { refusal, detail: detail.into(), stale: false, retry_after: None }
    }

    /// Puts a name to an error of the client.
    pub(super) fn of(error: &legacy::Error) -> Self {
        let mut chain = std::iter::successors(error.source(), |error| (*error).source());
        if let Some(timeout) = chain.clone().find_map(|error| error.downcast_ref::<ConnectTimeout>()) {
            return Self::new(Refusal::ConnectTimeout, timeout.to_string());
        }
        let cause = chain.clone().last().map_or_else(|| error.to_string(), ToString::to_string);
        if error.is_connect() {
            return Self::new(Refusal::UpstreamConnect, format!("no connection to the upstream: {cause}"));
        }
        match chain.find_map(|error| error.downcast_ref::<hyper::Error>()) {
            Some(error) if error.is_parse() || error.is_parse_too_large() => {
                Self::new(Refusal::BadResponse, format!("the upstream's response cannot be read: {cause}"))
            }
            Some(error) if error.is_user() => Self::new(Refusal::BadRequest, format!("the request body broke off: {cause}")),
            _ => {
                let detail = format!("the upstream closed the connection before a whole response head: {cause}");
                Self { stale: is_proven(error), ..Self::new(Refusal::UpstreamClosed, detail) }
            }
        }
    }

    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Whether it speaks against the origin that was asked: a connection that was closed while it lay unused does not, and neither does a client's own fault.
    pub(super) const fn is_the_origins_fault(&self) -> bool {
        use Refusal::{BadResponse, ConnectTimeout, ResponseTimeout, UpstreamClosed, UpstreamConnect};
        !self.stale && matches!(self.refusal, UpstreamConnect | ConnectTimeout | ResponseTimeout | UpstreamClosed | BadResponse)
    }

    /// Whether the connection failed, not the upstream: another attempt may do better.
    pub(super) const fn is_connection_level(&self) -> bool {
        matches!(self.refusal, Refusal::UpstreamConnect | Refusal::UpstreamClosed)
    }
}

fn is_proven(error: &legacy::Error) -> bool {
    let mut extras = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    extras.get::<Proven>().is_some_and(Proven::get)
}
