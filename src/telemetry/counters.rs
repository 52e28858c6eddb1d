//! Counters that many threads add to without sharing a cache line.

use crate::telemetry::Outcome;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SHARDS: usize = 16;

/// One shard: its own cache lines, so that workers do not fight over them.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

/// How many requests ended how. Adding costs one uncontended increment; reading adds the shards up.
#[derive(Debug, Default)]
pub struct Counters {
    shards: [Shard; SHARDS],
}

impl Counters {
    /// Counts one request that ended as `outcome`.
    pub fn count(&self, outcome: Outcome) {
        self.shards[shard()].outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests have ended as `outcome`.
    #[must_use]
    pub fn total(&self, outcome: Outcome) -> u64 {
        self.shards.iter().map(|shard| shard.outcomes[outcome as usize].load(Ordering::Relaxed)).sum()
    }
}

/// The shard of this thread; threads take them in turn.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: Cell<usize> = const { Cell::new(usize::MAX) });
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        mine.get()
    })
}

#[cfg(test)]
mod tests {
    use super::Counters;
    use crate::telemetry::Outcome;

    #[test]
    fn counts_of_several_threads_add_up() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| counters.count(Outcome::Hit)));
            }
        });
        assert_eq!((counters.total(Outcome::Hit), counters.total(Outcome::Miss)), (400, 0));
    }
}
