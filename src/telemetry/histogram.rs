//! How long things take, counted in buckets that many threads add to without sharing a cache line.

use crate::telemetry::shard::{add, mine, parts};
use std::sync::atomic::{AtomicU64, Ordering};

/// The upper bounds of the buckets in nanoseconds, each inclusive: from 50 us to 10 s. Above the last there is one more bucket.
pub const BOUNDS: [u64; 17] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// One shard. What is short, as hits are, touches its first line only.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    nanos: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

/// Durations in buckets. Adding costs two increments without a lock; reading adds the shards up.
#[derive(Debug)]
pub struct Histogram {
    shards: Box<[Shard]>,
}

/// What a [`Histogram`] held when it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many fell into each bucket of [`BOUNDS`], and above the last; not cumulative.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// All durations together, in nanoseconds.
    pub nanos: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, nanos: u64) {
        let shard = &self.shards[mine()];
        // From the front: most are short.
        let bucket = BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
        add([(&shard.nanos, nanos), (&shard.buckets[bucket], 1)]);
    }

    /// What it holds.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let mut sum = Distribution::default();
        for shard in &self.shards {
            sum.buckets.iter_mut().zip(&shard.buckets).for_each(|(sum, bucket)| *sum += bucket.load(Ordering::Relaxed));
            sum.nanos = sum.nanos.wrapping_add(shard.nanos.load(Ordering::Relaxed));
        }
        sum
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.read().count()
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { shards: (0..parts()).map(|_| Shard::default()).collect() }
    }
}

impl Distribution {
    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS, Histogram};

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_is_not_below_it() {
        let histogram = Histogram::default();
        for nanos in [0, 50_000, 50_001, 10_000_000_000, 10_000_000_001, 1 << 50] {
            histogram.observe(nanos);
        }
        let read = histogram.read();
        assert_eq!((read.buckets[0], read.buckets[1], read.buckets[BOUNDS.len() - 1], read.buckets[BOUNDS.len()]), (2, 1, 1, 2));
        assert_eq!((read.count(), read.nanos), (6, 100_001 + 20_000_000_001 + (1 << 50)));
    }

    #[test]
    fn what_several_threads_count_adds_up() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..100).for_each(|_| histogram.observe(10)));
            }
        });
        assert_eq!((histogram.count(), histogram.read().nanos), (2000, 20_000));
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
