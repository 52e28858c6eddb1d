//! HTTP/1.1 with an upstream: one exchange at a time over one connection (RFC 9112).
//!
//! A request is written from the fields that it has, and its response read into one buffer, of which field values and pieces of the body are slices. Nothing of
//! this is a task: whoever waits for the answer drives the connection, and after it whoever reads the body.

mod answer;
mod body;
mod connection;
mod early;
mod framing;
#[cfg(feature = "fuzzing")]
pub(in crate::sidecar) mod fuzz;
mod head;
mod inlet;
mod outlet;
mod request;
mod switched;

pub(in crate::sidecar) use connection::{Connection, Settled};
pub(super) use connection::{Exchanging, Missed};
pub(super) use early::Early;
pub(super) use head::Head;
pub(in crate::sidecar) use switched::Switched;
