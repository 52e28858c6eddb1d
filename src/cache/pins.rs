//! Purged groups that are kept though nobody may hold them: a fetch that is under way may learn from its response that it belongs to one.

use crate::cache::groups::Group;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Groups that are kept at a time. Beyond it all are forgotten, and what was asked for before is not stored if it has tags of its own.
const MOST: usize = 4096;

/// The groups, with the highest sequence number that each was purged with.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// By address: a group that is kept stays where it is.
    kept: Mutex<HashMap<usize, (Arc<Group>, u64)>>,
    floor: AtomicU64,
}

impl Pins {
    /// Purges of a lower sequence number than this may have been forgotten.
    pub(crate) fn floor(&self) -> u64 {
        self.floor.load(Ordering::Acquire)
    }

    /// Keeps `group`, which was purged with `sequence`, as long as `is_needed` says so of its number.
    pub(crate) fn keep(&self, group: Arc<Group>, sequence: u64, is_needed: impl Fn(u64) -> bool) {
        let mut kept = self.kept.lock();
        let mut gone = Vec::new();
        if let Some((_, latest)) = kept.get_mut(&address(&group)) {
            *latest = sequence.max(*latest);
            return;
        }
        if kept.len() >= MOST {
            gone.extend(kept.extract_if(|_, (_, sequence)| !is_needed(*sequence)));
        }
        if kept.len() >= MOST {
            let highest = kept.values().map(|(_, sequence)| *sequence).max().unwrap_or(0);
            // Before they go: whoever does not find a group finds the floor.
            self.floor.fetch_max(highest, Ordering::AcqRel);
            gone.extend(kept.drain());
        }
        group.is_pinned.store(true, Ordering::Release);
        kept.insert(address(&group), (group, sequence));
        drop(kept);
        release(gone);
    }

    /// Forgets what is not needed any more.
    pub(crate) fn forget_unless(&self, is_needed: impl Fn(u64) -> bool) {
        let gone: Vec<_> = self.kept.lock().extract_if(|_, (_, sequence)| !is_needed(*sequence)).collect();
        release(gone);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.kept.lock().len()
    }
}

fn address(group: &Arc<Group>) -> usize {
    Arc::as_ptr(group).addr()
}

fn release(gone: Vec<(usize, (Arc<Group>, u64))>) {
    for (_, (group, _)) in gone {
        group.is_pinned.store(false, Ordering::Release);
    }
}
