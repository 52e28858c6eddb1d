//! The admin API: what operators and their scripts ask and change, on a listener of its own.

#[cfg_attr(not(test), allow(dead_code, reason = "until the listener calls it"))]
mod bad;
#[cfg_attr(not(test), allow(dead_code, reason = "until the listener calls it"))]
pub(crate) mod explain;
#[cfg_attr(not(test), allow(dead_code, reason = "until the listener calls it"))]
mod exposition;
#[cfg_attr(not(test), allow(dead_code, reason = "until the listener calls it"))]
pub(crate) mod keys;
#[cfg_attr(not(test), allow(dead_code, reason = "until the listener calls it"))]
pub(crate) mod metrics;
mod process;
#[cfg(test)]
mod rooms;

use crate::layer::Cache;
use crate::sidecar::Sidecar;
use crate::warm::Warm;

/// The rooms that the admin API looks into. Everything in it is a view of the same store, timer and report that readers and schedules use.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// The cache.
    pub cache: Cache,
    /// The warmer.
    pub warm: Warm,
    /// Listener and upstream.
    pub sidecar: Sidecar,
}
