//! Where responses are kept. The only file that knows moka.
//!
//! The policy is LRU: moka's default admission (TinyLFU) would throw away a freshly warmed response of a full cache in favour of older ones that
//! were read more often. moka's own expiry and bulk invalidation are not used either: both make the next reader pay for all at once.
//! Freshness is judged per answer, purges are sequence numbers, and dead entries are swept by a thread of their own.

use crate::cache::bans::Prefix;
use crate::cache::entry::{Resource, Stored};
use crate::cache::groups::{Groups, Level, Membership};
use crate::cache::key::{Key, KeyBuf, PassHash};
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::RwLock;
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The stored responses of one cache, bounded by bytes.
#[derive(Debug)]
pub(crate) struct Store {
    moka: Cache<Key, Arc<Resource>, PassHash>,
    capacity: u64,
    groups: Arc<Groups>,
    /// Held for reading from the look at the purges until what was looked at is in the map, so that a sweep can let those finish who have not
    /// seen a ban before it walks the map.
    landing: RwLock<()>,
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
        Arc::new(Self {
            moka,
            capacity,
            groups,
            landing: RwLock::new(()),
            wanted: AtomicBool::new(false),
            sweeping: AtomicBool::new(false),
        })
    }

    /// What is stored for `key`.
    pub(crate) fn get(&self, key: &KeyBuf) -> Option<Arc<Resource>> {
        self.moka.get(key)
    }

    /// What is stored for an owned `key`.
    pub(crate) fn get_owned(&self, key: &Key) -> Option<Arc<Resource>> {
        self.moka.get(key)
    }

    /// Stores `new` among the variants of `key`, unless something that it belongs to has been purged since its fetch began, or a copy that was asked
    /// for after a later change is there; `false` then. Whatever does not fit is evicted before this returns.
    pub(crate) fn put(&self, key: &Key, new: &Arc<Stored>, member: &Membership, max_variants: usize) -> bool {
        let mut purged = false;
        let landing = self.landing.read();
        self.moka.entry(key.clone()).and_compute_with(|old| {
            // Inside the lock of the key: a purge that comes later finds the new response.
            let old = old.map(moka::Entry::into_value);
            purged = self.is_purged(new, member) || old.as_deref().is_some_and(|old| is_overtaken(new, old));
            if purged {
                return Op::Nop;
            }
            Op::Put(Arc::new(Resource::with(old.as_deref(), Arc::clone(new), max_variants, self.max_weight(), &self.groups)))
        });
        drop(landing);
        if !purged {
            enrol(new);
        }
        self.moka.run_pending_tasks();
        !purged
    }

    fn is_purged(&self, new: &Stored, member: &Membership) -> bool {
        member.level_since(new.head.lineage.born, &self.groups) > Level::Valid || new.level(&self.groups) > Level::Valid
    }

    /// Replaces `old` by `new`, a version of the same body with other headers, unless `old` has been replaced or something that it belongs to purged
    /// meanwhile.
    pub(crate) fn freshen(&self, key: &Key, old: &Arc<Stored>, new: &Arc<Stored>, member: &Membership, max_variants: usize) {
        let mut stored = false;
        let landing = self.landing.read();
        self.moka.entry(key.clone()).and_compute_with(|entry| {
            if self.is_purged(new, member) {
                return Op::Nop;
            }
            let resource = entry.map(moka::Entry::into_value);
            let resource = resource.as_deref();
            // If it was evicted while it was validated, it has just proved to be wanted.
            if resource.is_some_and(|resource| !resource.variants.iter().any(|stored| Arc::ptr_eq(stored, old))) {
                return Op::Nop;
            }
            stored = true;
            Op::Put(Arc::new(Resource::with(resource, Arc::clone(new), max_variants, self.max_weight(), &self.groups)))
        });
        drop(landing);
        if stored {
            enrol(new);
        }
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

    /// Invalidates all variants of `key` that were asked for before `sequence`; how many there were.
    pub(crate) fn invalidate(&self, key: &Key, level: Level, sequence: u64) -> usize {
        let mut count = 0;
        self.moka.entry(key.clone()).and_compute_with(|entry| {
            let Some(resource) = entry.map(moka::Entry::into_value) else { return Op::Nop };
            let (hit, rest): (Vec<_>, Vec<_>) = resource.variants.iter().partition(|stored| stored.head.lineage.born < sequence);
            count = hit.len();
            hit.iter().for_each(|stored| stored.mark(level));
            match (level == Level::Dead && count > 0, rest.is_empty()) {
                (false, _) => Op::Nop,
                (true, true) => Op::Remove,
                (true, false) => Op::Put(Arc::new(Resource { variants: rest.into_iter().cloned().collect() })),
            }
        });
        count
    }

    /// The stored responses that carry `tag`, the most read first, at most `most`. The cost depends on how many carry it, not on the cache.
    pub(crate) fn members(&self, tag: &str, most: usize) -> Vec<(Key, Arc<Stored>)> {
        let mut members = self.groups.members(tag);
        hottest_first(&mut members);
        members.into_iter().filter(|stored| self.holds(stored)).take(most).map(keyed).collect()
    }

    /// The stored responses under `prefix`, the most read first, at most `most`. It walks through the whole store: for tasks in the background only.
    pub(crate) fn members_of_prefix(&self, prefix: &str, most: usize) -> Vec<(Key, Arc<Stored>)> {
        let prefix = Prefix::parse(prefix);
        let mut members: Vec<Arc<Stored>> = Vec::new();
        for (at, (key, resource)) in self.moka.iter().enumerate() {
            if prefix.matches(&key) {
                members.extend(resource.variants.iter().filter(|stored| stored.level(&self.groups) < Level::Dead).cloned());
            }
            // No more memory than for a few times what is wanted.
            if members.len() > most.saturating_mul(4).max(1024) {
                hottest_first(&mut members);
                members.truncate(most);
            }
            if at % 256 == 255 {
                std::thread::yield_now();
            }
        }
        hottest_first(&mut members);
        members.truncate(most);
        members.into_iter().map(keyed).collect()
    }

    /// Whether `stored` is still what is stored under its key, and not dead.
    fn holds(&self, stored: &Arc<Stored>) -> bool {
        let resource = self.moka.get(&stored.head.lineage.key);
        let held = resource.is_some_and(|resource| resource.variants.iter().any(|one| Arc::ptr_eq(one, stored)));
        held && stored.level(&self.groups) < Level::Dead
    }

    /// Takes out what is dead and marks what is banned, in a thread of its own and in small steps, so that no reader waits. At most one sweep runs; what dies meanwhile
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

    /// Whether a sweep is under way or about to be.
    #[cfg(feature = "sidecar")]
    pub(crate) fn is_sweeping(&self) -> bool {
        self.sweeping.load(Ordering::Acquire) || self.wanted.load(Ordering::Acquire)
    }

    fn sweep_once(&self) {
        let round = self.groups.bans().begin_round();
        // Whoever looked at the bans before that is in the map after this.
        drop(self.landing.write());
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
        self.groups.bans().end_round(&round);
        self.groups.forget_what_is_over();
        self.moka.run_pending_tasks();
    }

    /// Whether all of it is dead. Looks at each: that marks what is banned.
    fn is_dead(&self, resource: &Resource) -> bool {
        resource.variants.iter().map(|stored| stored.level(&self.groups)).min() == Some(Level::Dead)
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

fn enrol(stored: &Arc<Stored>) {
    stored.head.lineage.groups.iter().for_each(|group| group.enrol(stored));
}

fn hottest_first(members: &mut [Arc<Stored>]) {
    members.sort_by_cached_key(|stored| Reverse(stored.hits()));
}

fn keyed(stored: Arc<Stored>) -> (Key, Arc<Stored>) {
    (stored.head.lineage.key.clone(), stored)
}

/// Whether the same variant is stored already, asked for after a change that `new` may not know of.
fn is_overtaken(new: &Stored, old: &Resource) -> bool {
    old.variants.iter().any(|old| old.head.lineage.born > new.head.lineage.born && old.same_variant(new))
}
