//! Why the upstream gave no response.

use crate::sidecar::dial::{ConnectTimeout, Proven};
use crate::telemetry::Refusal;
use hyper_util::client::legacy;
use std::error::Error;

/// One failed attempt.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) refusal: Refusal,
    pub(super) detail: String,
    /// The connection had served before: it was probably closed while it lay in the pool.
    pub(super) stale: bool,
}

impl Failure {
    pub(super) fn new(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self { refusal, detail: detail.into(), stale: false }
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
                Self { refusal: Refusal::UpstreamClosed, detail, stale: is_proven(error) }
            }
        }
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
