//! Where spans wait for whoever sends them. Nobody waits here: what finds no place is lost and counted.

use crate::telemetry::span::Span;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, error::TrySendError};

/// The way in. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Spans {
    to: mpsc::Sender<Span>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Spans that are sent together at most.
    batch: usize,
    /// Rung when a batch is there; `rung`: it has been, and nobody has come yet.
    bell: Notify,
    rung: AtomicBool,
    sent: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// What became of spans. Those that wait are not in it yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpanCounts {
    /// Taken by the collector.
    pub(crate) sent: u64,
    /// Lost for want of room in the queue.
    pub(crate) dropped: u64,
    /// Lost because the collector could not be reached, or did not take them.
    pub(crate) failed: u64,
}

impl Spans {
    /// Hands over the span that `make` makes, if there is room: it is asked only then, so that a flood is cheap.
    pub(crate) fn push(&self, make: impl FnOnce() -> Span) {
        match self.to.try_reserve() {
            Ok(place) => place.send(make()),
            Err(TrySendError::Full(()) | TrySendError::Closed(())) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        // One wake for a batch, not one for each span.
        let waiting = self.to.max_capacity() - self.to.capacity();
        if waiting >= self.shared.batch && !self.shared.rung.load(Ordering::Relaxed) && !self.shared.rung.swap(true, Ordering::Relaxed) {
            self.shared.bell.notify_one();
        }
    }

    /// As [`push`](Self::push), but leaves half of the places to those who come first: to what readers ask for.
    pub(crate) fn push_behind(&self, make: impl FnOnce() -> Span) {
        if self.to.capacity() > self.to.max_capacity() / 2 {
            self.push(make);
        } else {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> SpanCounts {
        let Shared { sent, dropped, failed, .. } = &*self.shared;
        let [sent, dropped, failed] = [sent, dropped, failed].map(|count| count.load(Ordering::Relaxed));
        SpanCounts { sent, dropped, failed }
    }
}

/// The way out.
#[cfg(feature = "otel")]
#[derive(Debug)]
pub(crate) struct Incoming {
    from: mpsc::Receiver<Span>,
    shared: Arc<Shared>,
}

#[cfg(feature = "otel")]
impl Incoming {
    /// A way for `places` spans to wait, of which `batch` are taken at a time.
    pub(crate) fn new(places: usize, batch: usize) -> (Spans, Self) {
        let (to, from) = mpsc::channel(places.max(1));
        let batch = batch.clamp(1, places.max(1));
        let count = AtomicU64::default;
        let shared = Shared { batch, bell: Notify::new(), rung: AtomicBool::new(false), sent: count(), dropped: count(), failed: count() };
        let shared = Arc::new(shared);
        (Spans { to, shared: Arc::clone(&shared) }, Self { from, shared })
    }

    /// Returns when a batch is there.
    pub(crate) async fn full(&self) {
        self.shared.bell.notified().await;
    }

    /// The next batch; empty: none waits.
    pub(crate) fn take(&mut self) -> Vec<Span> {
        self.shared.rung.store(false, Ordering::Relaxed);
        let mut batch = Vec::new();
        while batch.len() < self.shared.batch {
            let Ok(span) = self.from.try_recv() else { break };
            batch.push(span);
        }
        batch
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.from.len()
    }

    /// Counts what became of a batch.
    pub(crate) fn count(&self, sent: u64, failed: u64) {
        self.shared.sent.fetch_add(sent, Ordering::Relaxed);
        self.shared.failed.fetch_add(failed, Ordering::Relaxed);
    }
}
