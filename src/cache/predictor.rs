//! Which keys nobody should queue for: their last response could not be shared. A fixed table, lossy on purpose: forgetting costs one wait,
//! a false match costs one request that is not collapsed.

use crate::clock::Stamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Slots of the table: 128 KiB.
const SLOTS: usize = 1 << 14;
/// How long an unshareable response is remembered (Varnish calls it hit-for-miss; its default is two minutes).
pub(crate) const REMEMBERED: Duration = Duration::from_secs(120);

/// Remembers keys by a 40-bit tag of their hash and the second until which it holds.
#[derive(Debug)]
pub(crate) struct Predictor {
    slots: Box<[AtomicU64]>,
    epoch: Stamp,
}

impl Predictor {
    pub(crate) fn new(now: Stamp) -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), epoch: now }
    }

    /// Whether requests for the key of this hash should go to the origin without waiting for each other.
    pub(crate) fn is_unshareable(&self, hash: u64, now: Stamp) -> bool {
        let slot = self.slot(hash).load(Ordering::Relaxed);
        let left = (slot & 0xff_ffff).wrapping_sub(self.second(now)) & 0xff_ffff;
        slot >> 24 == tag(hash) && (1..=REMEMBERED.as_secs()).contains(&left)
    }

    /// Remembers that the response for this key could not be shared.
    pub(crate) fn remember(&self, hash: u64, now: Stamp) {
        let until = (self.second(now) + REMEMBERED.as_secs()) & 0xff_ffff;
        self.slot(hash).store(tag(hash) << 24 | until, Ordering::Relaxed);
    }

    /// Forgets a key: its response could be shared this time.
    pub(crate) fn forget(&self, hash: u64) {
        let slot = self.slot(hash);
        if slot.load(Ordering::Relaxed) >> 24 == tag(hash) {
            slot.store(0, Ordering::Relaxed);
        }
    }

    fn slot(&self, hash: u64) -> &AtomicU64 {
        &self.slots[hash as usize % SLOTS]
    }

    /// Seconds since the table was made, in 24 bits, which wrap after half a year: differences are taken in 24 bits too.
    fn second(&self, now: Stamp) -> u64 {
        now.since(self.epoch).as_secs() & 0xff_ffff
    }
}

fn tag(hash: u64) -> u64 {
    hash >> 24
}

#[cfg(test)]
mod tests {
    use super::{Predictor, REMEMBERED};
    use crate::clock::Stamp;

    #[test]
    fn a_key_is_remembered_for_its_time_and_can_be_forgotten() {
        let start = Stamp::from_millis(5_000);
        let predictor = Predictor::new(start);
        let (hash, other) = (0xdead_beef_0000_0001, 0xdead_beee_0000_0001);
        predictor.remember(hash, start);
        assert!(predictor.is_unshareable(hash, start) && !predictor.is_unshareable(other, start));
        let last = start.plus_millis(REMEMBERED.as_millis() as u64);
        assert!(predictor.is_unshareable(hash, start.plus_millis(1)) && !predictor.is_unshareable(hash, last));
        predictor.forget(hash);
        assert!(!predictor.is_unshareable(hash, start));
    }
}
