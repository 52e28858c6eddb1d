//! What every part of the sidecar shares: the settings of this moment, the clock, and the counts of refusals and of attempts at the upstream.

use crate::clock::Clock;
use crate::sidecar::settings::{ServerSettings, UpstreamSettings};
use crate::telemetry::{Attempt, Refusal, Source};
use arc_swap::ArcSwap;
use http::StatusCode;
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
    attempts: [[AtomicU64; Attempt::ALL.len()]; Source::ALL.len()],
}

impl Live {
    pub(super) fn new(server: ServerSettings, upstream: UpstreamSettings) -> Arc<Self> {
        Arc::new(Self {
            settings: ArcSwap::from_pointee(Settings { server, upstream }),
            clock: Clock::machine(),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            attempts: Default::default(),
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

    /// How often the upstream was asked on behalf of `source`, and it ended like this.
    pub(super) fn attempts(&self, source: Source, attempt: Attempt) -> u64 {
        self.attempts[source as usize][attempt as usize].load(Ordering::Relaxed)
    }
}

/// One attempt at the upstream, on behalf of a source. It is counted when this is dropped: as failed, unless a response came.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    live: &'a Live,
    source: Source,
    attempt: Attempt,
}

impl<'a> Asking<'a> {
    pub(super) const fn new(live: &'a Live, source: Source) -> Self {
        Self { live, source, attempt: Attempt::Failed }
    }

    /// A response head came.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.attempt = if status.as_u16() < 500 { Attempt::Ok } else { Attempt::Error };
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.live.attempts[self.source as usize][self.attempt as usize].fetch_add(1, Ordering::Relaxed);
    }
}
