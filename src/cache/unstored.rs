//! Why answers were not stored the last time, for those who ask. A fixed table, lossy on purpose: two keys in one slot, and the older is forgotten.

use crate::cache::admit::NotStored;
use crate::clock::Stamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slots of the table: 32 KiB.
const SLOTS: usize = 1 << 12;

/// Remembers keys by a 24-bit tag of their hash, with the reason and the second. Written where the origin has been asked, never by a hit.
#[derive(Debug)]
pub(crate) struct Unstored(Box<[AtomicU64]>);

impl Unstored {
    /// Remembers why the answer for the key of this hash was not stored.
    pub(crate) fn note(&self, hash: u64, why: NotStored, now: Stamp) {
        let seconds = now.seconds().min(u64::from(u32::MAX));
        self.slot(hash).store(tag(hash) << 40 | (why as u64 + 1) << 32 | seconds, Ordering::Relaxed);
    }

    /// Forgets it: this time the answer was stored.
    pub(crate) fn forget(&self, hash: u64) {
        let slot = self.slot(hash);
        if slot.load(Ordering::Relaxed) >> 40 == tag(hash) {
            slot.store(0, Ordering::Relaxed);
        }
    }

    /// Why the last answer was not stored, and when that was; `None` if it was stored, or is not remembered.
    pub(crate) fn last(&self, hash: u64) -> Option<(NotStored, Stamp)> {
        let slot = self.slot(hash).load(Ordering::Relaxed);
        let reason = usize::try_from(slot >> 32 & 0xff).ok()?.checked_sub(1)?;
        let why = NotStored::ALL.get(reason).filter(|_| slot >> 40 == tag(hash))?;
        Some((*why, Stamp::from_millis((slot & 0xffff_ffff) * 1000)))
    }

    fn slot(&self, hash: u64) -> &AtomicU64 {
        &self.0[hash as usize % SLOTS]
    }
}

impl Default for Unstored {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }
}

const fn tag(hash: u64) -> u64 {
    hash >> 40
}

#[cfg(test)]
mod tests {
    use super::Unstored;
    use crate::cache::admit::NotStored;
    use crate::clock::Stamp;

    #[test]
    fn every_reason_is_remembered_for_its_key_and_can_be_forgotten() {
        let unstored = Unstored::default();
        let now = Stamp::from_millis(1_700_000_000_999);
        for hash in [0, 7, 0xdead_beef_0000_0001] {
            assert_eq!(unstored.last(hash), None);
            for why in NotStored::ALL {
                unstored.note(hash, why, now);
                assert_eq!(unstored.last(hash), Some((why, Stamp::from_millis(1_700_000_000_000))));
            }
            unstored.forget(hash);
            assert_eq!(unstored.last(hash), None);
        }
    }

    #[test]
    fn another_key_in_the_same_slot_is_no_answer_and_takes_it_over() {
        let unstored = Unstored::default();
        let (one, other) = (0xdead_be00_0000_0001, 0xdead_bf00_0000_0001);
        unstored.note(one, NotStored::Private, Stamp::from_millis(0));
        assert_eq!(unstored.last(other), None);
        unstored.forget(other);
        assert!(unstored.last(one).is_some(), "and cannot forget for it");
        unstored.note(other, NotStored::NoStore, Stamp::from_millis(0));
        assert_eq!((unstored.last(one), unstored.last(other).map(|(why, _)| why)), (None, Some(NotStored::NoStore)));
    }
}
