//! What every part of the sidecar shares: the settings of this moment, the clock, and the count of refusals.

use crate::clock::Clock;
use crate::sidecar::settings::{ServerSettings, UpstreamSettings};
use crate::telemetry::Refusal;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The settings in force.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) server: ServerSettings,
    pub(super) upstream: UpstreamSettings,
}

/// Shared by the listener, every connection and the upstream.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) settings: ArcSwap<Settings>,
    pub(super) clock: Clock,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Live {
    pub(super) fn new(server: ServerSettings, upstream: UpstreamSettings) -> Arc<Self> {
        Arc::new(Self {
            settings: ArcSwap::from_pointee(Settings { server, upstream }),
            clock: Clock::machine(),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
        })
    }

    /// Counts one refusal of ours.
    pub(super) fn count(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often `refusal` was the answer.
    pub(super) fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize].load(Ordering::Relaxed)
    }
}
