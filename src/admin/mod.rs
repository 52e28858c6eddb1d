//! The admin API: what operators and their scripts ask and change, on a listener of its own.

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
