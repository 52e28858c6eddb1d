//! Which fetches are under way, by the sequence numbers that they were born under. A purge that some of them may still be hit by is remembered
//! as long as they last.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many fetches of each birth are under way. Births are sequence numbers: there are no more different ones than fetches.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    births: Mutex<BTreeMap<u64, usize>>,
}

/// One fetch that is under way, until it ends or is dropped.
#[derive(Debug)]
pub(crate) struct Fetch {
    born: u64,
    has_ended: AtomicBool,
    home: Arc<UnderWay>,
}

impl UnderWay {
    /// Begins a fetch. `now` is read inside the lock: a purge that does not see this fetch has taken its number before.
    pub(crate) fn begin(self: &Arc<Self>, now: impl FnOnce() -> u64) -> Fetch {
        let mut births = self.births.lock();
        let born = now();
        *births.entry(born).or_default() += 1;
        Fetch { born, has_ended: AtomicBool::new(false), home: Arc::clone(self) }
    }

    /// Whether a fetch that began before `sequence` is under way.
    pub(crate) fn has_before(&self, sequence: u64) -> bool {
        self.births.lock().first_key_value().is_some_and(|(born, _)| *born < sequence)
    }
}

impl Fetch {
    /// Nothing of it will be stored any more: no purge needs to be remembered for it.
    pub(crate) fn end(&self) {
        if self.has_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut births = self.home.births.lock();
        if let Some(count) = births.get_mut(&self.born) {
            *count -= 1;
            if *count == 0 {
                births.remove(&self.born);
            }
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::UnderWay;
    use std::sync::Arc;

    #[test]
    fn a_fetch_is_under_way_until_it_ends_or_is_dropped() {
        let under_way = Arc::new(UnderWay::default());
        let (old, twin, young) = (under_way.begin(|| 3), under_way.begin(|| 3), under_way.begin(|| 5));
        assert!(under_way.has_before(4) && !under_way.has_before(3));
        twin.end();
        drop(twin);
        assert!(under_way.has_before(4), "one of two, and once");
        drop(old);
        assert!(!under_way.has_before(5) && under_way.has_before(6));
        drop(young);
        assert!(!under_way.has_before(u64::MAX) && under_way.births.lock().is_empty());
    }
}
