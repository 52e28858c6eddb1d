//! The stored responses of a group, so that what a purge has hit can be warmed again without a walk through the store.

use crate::cache::entry::Stored;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Below so many members nobody looks for dead ones.
const FEW: usize = 16;

/// A list that does not keep its members alive. It is compacted when more than half of it is dead, so a member costs the same however long the
/// list is.
#[derive(Debug, Default)]
pub(crate) struct Members {
    list: Mutex<Vec<Weak<Stored>>>,
    length: AtomicUsize,
    dead: AtomicUsize,
}

impl Members {
    /// Adds a member.
    pub(crate) fn add(&self, stored: &Arc<Stored>) {
        let mut list = self.list.lock();
        if self.is_half_dead() {
            self.compact(&mut list);
        }
        list.push(Arc::downgrade(stored));
        self.length.store(list.len(), Ordering::Relaxed);
    }

    /// A member is being dropped, anywhere: nobody is waited for.
    pub(crate) fn bury(&self) {
        self.dead.fetch_add(1, Ordering::Relaxed);
        if self.is_half_dead()
            && let Some(mut list) = self.list.try_lock()
        {
            self.compact(&mut list);
        }
    }

    /// All that live.
    pub(crate) fn all(&self) -> Vec<Arc<Stored>> {
        // None of them is dropped inside the lock: that would be a burial.
        self.list.lock().iter().filter_map(Weak::upgrade).collect()
    }

    fn is_half_dead(&self) -> bool {
        let length = self.length.load(Ordering::Relaxed);
        length >= FEW && self.dead.load(Ordering::Relaxed) > length / 2
    }

    fn compact(&self, list: &mut Vec<Weak<Stored>>) {
        self.dead.store(0, Ordering::Relaxed);
        list.retain(|stored| stored.strong_count() > 0);
        list.shrink_to(list.len() * 2);
        self.length.store(list.len(), Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.list.lock().len()
    }
}
