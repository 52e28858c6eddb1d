//! Where responses are kept. The only file that knows moka.
//!
//! The policy is LRU: moka's default admission (TinyLFU) would throw away a freshly warmed response of a full cache in favour of older ones that
//! were read more often. moka's own expiry and bulk invalidation are not used either: both make the next reader pay for all at once.
//! Freshness is judged per answer, purges are sequence numbers, and dead entries are swept by a thread of their own.

use crate::cache::entry::{Resource, Stored};
use crate::cache::groups::{Group, Groups, Level};
use crate::cache::key::{Key, KeyBuf, PassHash};
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The stored responses of one cache, bounded by bytes.
#[derive(Debug)]
pub(crate) struct Store {
    moka: Cache<Key, Arc<Resource>, PassHash>,
    capacity: u64,
    groups: Arc<Groups>,
    wanted: AtomicBool,
    sweeping: AtomicBool,
}

impl Store {
    /// An empty store for `capacity` bytes.
    pub(crate) fn new(capacity: u64, groups: Arc<Groups>) -> Arc<Self> {
        let moka = Cache::builder()
            .max_capacity(capacity)
            .weigher(|key: &Key, resource: &Arc<Resource>| u32::try_from(key.weight() + resource.weight()).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(PassHash);
        Arc::new(Self { moka, capacity, groups, wanted: AtomicBool::new(false), sweeping: AtomicBool::new(false) })
    }

    /// What is stored for `key`.
    pub(crate) fn get(&self, key: &KeyBuf) -> Option<Arc<Resource>> {
        self.moka.get(key)
    }

    /// What is stored for an owned `key`.
    pub(crate) fn get_owned(&self, key: &Key) -> Option<Arc<Resource>> {
        self.moka.get(key)
    }

    /// Stores `new` among the variants of `key`, unless its target has been purged since its fetch began; `false` then. Whatever does not fit
    /// is evicted before this returns.
    pub(crate) fn put(&self, key: &Key, new: &Arc<Stored>, target: &Group, max_variants: usize) -> bool {
        let born = new.head.lineage.born;
        let mut purged = false;
        self.moka.entry(key.clone()).and_compute_with(|old| {
            // Inside the lock of the key: a purge that comes later finds the new response.
            purged = target.level_since(born) > Level::Valid || new.level(&self.groups) > Level::Valid;
            if purged {
                return Op::Nop;
            }
            let old = old.map(moka::Entry::into_value);
            Op::Put(Arc::new(Resource::with(old.as_deref(), Arc::clone(new), max_variants, self.max_weight(), &self.groups)))
        });
        self.moka.run_pending_tasks();
        !purged
    }

    /// Replaces `old` by `new`, a version of the same body with other headers, unless `old` has been replaced or its target purged meanwhile.
    pub(crate) fn freshen(&self, key: &Key, old: &Arc<Stored>, new: &Arc<Stored>, target: &Group, max_variants: usize) {
        let born = new.head.lineage.born;
        self.moka.entry(key.clone()).and_compute_with(|entry| {
            if target.level_since(born) > Level::Valid || new.level(&self.groups) > Level::Valid {
                return Op::Nop;
            }
            let resource = entry.map(moka::Entry::into_value);
            let resource = resource.as_deref();
            // If it was evicted while it was validated, it has just proved to be wanted.
            if resource.is_some_and(|resource| !resource.variants.iter().any(|stored| Arc::ptr_eq(stored, old))) {
                return Op::Nop;
            }
            Op::Put(Arc::new(Resource::with(resource, Arc::clone(new), max_variants, self.max_weight(), &self.groups)))
        });
        self.moka.run_pending_tasks();
    }

    /// moka weighs in u32: a resource stays below that, whatever its variants.
    fn max_weight(&self) -> usize {
        usize::try_from(self.capacity.min(u64::from(u32::MAX))).unwrap_or(usize::MAX)
    }

    /// Forgets one stored response.
    pub(crate) fn forget(&self, key: &Key, stored: &Arc<Stored>) {
        stored.mark(Level::Dead);
        self.moka.entry(key.clone()).and_compute_with(|entry| {
            let Some(resource) = entry.map(moka::Entry::into_value) else { return Op::Nop };
            let variants: Vec<_> = resource.variants.iter().filter(|one| !Arc::ptr_eq(one, stored)).cloned().collect();
            if variants.is_empty() { Op::Remove } else { Op::Put(Arc::new(Resource { variants })) }
        });
    }

    /// Invalidates all variants of `key`; how many there were.
    pub(crate) fn invalidate(&self, key: &Key, level: Level) -> usize {
        let mut count = 0;
        self.moka.entry(key.clone()).and_compute_with(|entry| {
            let Some(resource) = entry.map(moka::Entry::into_value) else { return Op::Nop };
            count = resource.variants.len();
            resource.variants.iter().for_each(|stored| stored.mark(level));
            if level == Level::Dead { Op::Remove } else { Op::Nop }
        });
        count
    }

    /// Takes out what is dead, in a thread of its own and in small steps, so that no reader waits. At most one sweep runs; what dies meanwhile
    /// is swept by one more round.
    pub(crate) fn sweep(self: &Arc<Self>) {
        self.wanted.store(true, Ordering::Release);
        if self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let store = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("warmfront-sweep".into()).spawn(move || {
            loop {
                while store.wanted.swap(false, Ordering::AcqRel) {
                    store.sweep_once();
                }
                store.sweeping.store(false, Ordering::Release);
                if !store.wanted.load(Ordering::Acquire) || store.sweeping.swap(true, Ordering::AcqRel) {
                    break;
                }
            }
        });
        if spawned.is_err() {
            // No thread to be had: the dead stay until they are evicted, and are never served.
            self.sweeping.store(false, Ordering::Release);
        }
    }

    fn sweep_once(&self) {
        for (at, (key, resource)) in self.moka.iter().enumerate() {
            if self.is_dead(&resource) {
                // Looked at again inside the lock of the key: it may have been filled anew.
                self.moka.entry(Key::clone(&key)).and_compute_with(|entry| match entry {
                    Some(entry) if self.is_dead(entry.value()) => Op::Remove,
                    _ => Op::Nop,
                });
            }
            if at % 256 == 255 {
                self.moka.run_pending_tasks();
                std::thread::yield_now();
            }
        }
        self.moka.run_pending_tasks();
    }

    fn is_dead(&self, resource: &Resource) -> bool {
        resource.variants.iter().all(|stored| stored.level(&self.groups) == Level::Dead)
    }

    /// Stored keys.
    pub(crate) fn entries(&self) -> u64 {
        self.moka.run_pending_tasks();
        self.moka.entry_count()
    }

    /// Bytes taken, as weighed.
    pub(crate) fn bytes(&self) -> u64 {
        self.moka.run_pending_tasks();
        self.moka.weighted_size()
    }
}
