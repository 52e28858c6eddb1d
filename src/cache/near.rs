//! What a thread has found lately: a first level in front of the store.
//!
//! A look into moka's table takes nine locked instructions and a look at the clock, and leaves a word in a queue that all threads share. A hot response is found again
//! and again: for some milliseconds its thread remembers it, while nothing changes in the store. So nobody finds what has been replaced or taken away, and the store, which
//! evicts what was used least recently, hears of whatever is read between one insertion and the next.

use crate::cache::entry::Stored;
use crate::cache::key::KeyBuf;
use crate::cache::resource::Resource;
use crate::clock::Stamp;
use equivalent::Equivalent as _;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// So many responses a thread remembers, of all caches together. What is evicted meanwhile leaves an empty shell of some 200 bytes in each place; its body goes.
const PLACES: usize = 64;
/// For so many milliseconds at most. Then the store must hear that it is read still, and not before what was read later.
const REMEMBERED: u64 = 20;

thread_local! {
    static LATELY: RefCell<[Place; PLACES]> = const { RefCell::new([const { Place::empty() }; PLACES]) };
}

/// One store's part in it.
#[derive(Debug)]
pub(super) struct Near {
    /// No other store of the process has it, also later.
    id: u64,
    changes: Changes,
}

/// How often something has changed: on cache lines of its own, for what lies beside it is read with each request.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Changes(AtomicU64);

/// What was found last among the keys that share the place, once or remembered.
struct Place {
    hash: u64,
    store: u64,
    /// Of its store, before it was found.
    changes: u64,
    /// Up to when it is remembered; zero: it was found once.
    until: Stamp,
    stored: Weak<Stored>,
}

impl Near {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), changes: Changes::default() }
    }

    /// To be said after anything has changed in the store, and before whoever changed it goes on: from then on nobody finds what was there before.
    pub(super) fn changed(&self) {
        self.changes.0.fetch_add(1, Ordering::Release);
    }

    /// What this thread has found for `key` lately, or else what the store says.
    pub(super) fn find(&self, key: &KeyBuf, now: Stamp, ask: impl FnOnce() -> Option<Resource>) -> Option<Resource> {
        // Before the store is asked: a change in between is one that what it says may not show.
        let changes = self.changes.0.load(Ordering::Acquire);
        if let Some(stored) = with_place(key, |place| place.find(self.id, changes, key, now)).flatten() {
            return Some(Resource::One(stored));
        }
        let found = ask();
        // Several variants are a matter of the request.
        if let Some(Resource::One(stored)) = &found {
            with_place(key, |place| place.note(self.id, changes, key, now, stored));
        }
        found
    }
}

/// The place of `key` on this thread. `None`: the thread is ending, and remembers nothing.
fn with_place<R>(key: &KeyBuf, look: impl FnOnce(&mut Place) -> R) -> Option<R> {
    let at = key.hash_value() as usize % PLACES;
    LATELY.try_with(|lately| Some(look(lately.try_borrow_mut().ok()?.get_mut(at)?))).ok().flatten()
}

impl Place {
    const fn empty() -> Self {
        Self { hash: 0, store: 0, changes: 0, until: Stamp::from_millis(0), stored: Weak::new() }
    }

    fn find(&self, store: u64, changes: u64, key: &KeyBuf, now: Stamp) -> Option<Arc<Stored>> {
        let may_be = self.hash == key.hash_value() && self.changes == changes && self.store == store && now < self.until;
        may_be.then(|| self.stored.upgrade())?.filter(|stored| key.equivalent(&stored.head.key))
    }

    /// What is found twice in a row is remembered: most of what is asked for by chance is not worth it.
    fn note(&mut self, store: u64, changes: u64, key: &KeyBuf, now: Stamp, stored: &Arc<Stored>) {
        if (self.hash, self.store) == (key.hash_value(), store) {
            (self.changes, self.until, self.stored) = (changes, now.plus_millis(REMEMBERED), Arc::downgrade(stored));
        } else {
            (self.hash, self.store, self.until) = (key.hash_value(), store, Stamp::from_millis(0));
        }
    }
}

#[cfg(test)]
mod tests;
