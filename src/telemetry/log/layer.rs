//! The layer that takes events in.

use crate::telemetry::log::queue::Queue;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Puts every event into a bounded queue, whose events a thread of its own writes ([`Logs::layer`](super::Logs::layer)). It never waits: what
/// finds no place is dropped and counted. Which events come here is decided by a filter, as `EnvFilter`; spans are not looked at.
#[derive(Debug)]
pub struct BatchLayer {
    queue: Arc<Queue>,
}

impl BatchLayer {
    pub(super) const fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }
}

impl<S: Subscriber> Layer<S> for BatchLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
        self.queue.push(at, event.metadata(), |values| event.record(values));
    }
}
