//! How bytes move: fills, followers, streams. The only floor that waits.

pub(crate) mod answer;
pub(crate) mod begun;
pub(crate) mod body;
mod change;
mod combine;
mod errand;
pub(crate) mod flight;
pub(crate) mod forwarding;
pub(crate) mod glance;
#[cfg(feature = "sidecar")]
pub(crate) mod hit;
pub(crate) mod in_force;
pub(crate) mod inner;
pub(crate) mod passing;
mod pump;
pub(crate) mod serve;
mod settle;
pub(crate) mod shared;
pub(crate) mod sought;
mod spool;
pub(crate) mod tally;
pub(crate) mod target;
#[cfg_attr(not(feature = "sidecar"), expect(dead_code, reason = "only a server that writes HTTP/1 itself has a use for it"))]
pub(crate) mod thin;
pub(crate) mod through;
pub(crate) mod visit;

/// The name of this cache in `Cache-Status` (RFC 9211 section 2).
pub(crate) const NAME: &str = "warmfront";
