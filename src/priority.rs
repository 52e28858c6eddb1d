//! Who goes first at the origin: readers. What warms or refreshes waits for a free place, until a reader comes to wait for the same answer.
//!
//! ```
//! use warmfront::{priority::Priority, telemetry::Source};
//! assert!(Priority::of(&http::Extensions::new()).is_none(), "a request without one is a reader's");
//! let priority = Priority::new(Source::Warm);
//! assert!(priority.yields());
//! ```

use crate::telemetry::Source;
use http::Extensions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// In the extensions of the requests that the cache sends on by itself: whom they are for, and whether they still yield to readers. A request without it is a
/// reader's. Clones are the same priority.
#[derive(Clone, Debug)]
pub struct Priority(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    raised: AtomicBool,
    notify: Notify,
}

impl Priority {
    /// The priority of a request on behalf of `source`.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self(Arc::new(Inner { source, raised: AtomicBool::new(source == Source::Live), notify: Notify::new() }))
    }

    /// That of a request with these extensions.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// On whose behalf the request was made.
    #[must_use]
    pub fn source(&self) -> Source {
        self.0.source
    }

    /// Whether it lets readers go first: nobody waits for its answer.
    #[must_use]
    pub fn yields(&self) -> bool {
        !self.0.raised.load(Ordering::Acquire)
    }

    /// A reader waits for the answer now: from here on it goes as a reader's request does.
    pub fn raise(&self) {
        if !self.0.raised.swap(true, Ordering::AcqRel) {
            self.0.notify.notify_waiters();
        }
    }

    /// Until it does not yield any more.
    pub async fn raised(&self) {
        loop {
            let notified = self.0.notify.notified();
            if !self.yields() {
                return;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Priority;
    use crate::telemetry::Source;

    #[tokio::test]
    async fn a_warm_request_yields_until_a_reader_waits_for_it() {
        let priority = Priority::new(Source::Warm);
        let waiting = tokio::spawn({
            let priority = priority.clone();
            async move { priority.raised().await }
        });
        tokio::task::yield_now().await;
        assert!(priority.yields() && !waiting.is_finished());
        priority.raise();
        waiting.await.unwrap();
        assert!(!priority.yields() && !Priority::new(Source::Live).yields());
    }
}
