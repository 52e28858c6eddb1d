//! What warmed copies have been worth: which were read, what that saved, and which nobody wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The account of everything that one warm group has stored.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    useful: AtomicU64,
    saved_millis: AtomicU64,
    wasted: AtomicU64,
    live: AtomicU64,
}

/// What warming has been worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gain {
    /// Warmed copies that a reader has hit: first hits, one per copy.
    pub useful: u64,
    /// Origin time that the readers of those first hits did not wait for, in milliseconds: what fetching each copy had taken.
    pub saved_millis: u64,
    /// Warmed copies that were replaced, evicted or purged without a hit.
    pub wasted: u64,
    /// Warmed copies that are stored now.
    pub live: u64,
}

impl Ledger {
    pub(crate) fn gain(&self) -> Gain {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Gain { useful: read(&self.useful), saved_millis: read(&self.saved_millis), wasted: read(&self.wasted), live: read(&self.live) }
    }

    /// Starts the account anew; copies that are stored stay in it.
    pub(crate) fn reset(&self) {
        for number in [&self.useful, &self.saved_millis, &self.wasted] {
            number.store(0, Ordering::Relaxed);
        }
    }
}

/// The entry of one warmed copy in its account. Dropped with the copy.
#[derive(Debug)]
pub(crate) struct Warmth {
    ledger: Arc<Ledger>,
    cost_millis: u32,
    paid: AtomicBool,
}

impl Warmth {
    /// Enters a copy that took `cost_millis` to fetch.
    pub(crate) fn enter(ledger: Arc<Ledger>, cost_millis: u32) -> Self {
        ledger.live.fetch_add(1, Ordering::Relaxed);
        Self { ledger, cost_millis, paid: AtomicBool::new(false) }
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The entry of a copy that a reader's request made out of this one: it stays in the account, and nobody has to pay for it any more.
    pub(crate) fn inherit(&self) -> Self {
        let heir = Self::enter(Arc::clone(&self.ledger), self.cost_millis);
        heir.paid.store(true, Ordering::Relaxed);
        heir
    }

    /// A reader has hit the copy; only the first counts.
    pub(crate) fn pay(&self) {
        if !self.paid.swap(true, Ordering::Relaxed) {
            self.ledger.useful.fetch_add(1, Ordering::Relaxed);
            self.ledger.saved_millis.fetch_add(u64::from(self.cost_millis), Ordering::Relaxed);
        }
    }
}

impl Drop for Warmth {
    fn drop(&mut self) {
        self.ledger.live.fetch_sub(1, Ordering::Relaxed);
        if !self.paid.load(Ordering::Relaxed) {
            self.ledger.wasted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Gain, Ledger, Warmth};
    use std::sync::Arc;

    #[test]
    fn the_first_hit_pays_and_a_copy_without_one_is_wasted() {
        let ledger = Arc::new(Ledger::default());
        let [read, unread] = [300, 200].map(|cost| Warmth::enter(Arc::clone(&ledger), cost));
        read.pay();
        read.pay();
        assert_eq!(ledger.gain(), Gain { useful: 1, saved_millis: 300, wasted: 0, live: 2 });
        drop((read, unread));
        assert_eq!(ledger.gain(), Gain { useful: 1, saved_millis: 300, wasted: 1, live: 0 });
    }
}
