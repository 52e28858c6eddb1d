//! Where responses are kept. The only file that knows moka.
//!
//! The policy is LRU: moka's default admission (TinyLFU) would throw away a freshly warmed response of a full cache in favour of older ones that
//! were read more often. moka's own expiry and bulk invalidation are not used either: both make the next reader pay for all at once.
//! Freshness is judged per answer, purges are sequence numbers, and dead entries are swept by a thread of their own.

use crate::cache::bans::Prefix;
use crate::cache::entry::Stored;
use crate::cache::evictions::{Eviction, Evictions};
use crate::cache::groups::{Groups, Level, Membership};
use crate::cache::key::{Key, KeyBuf, PassHash};
use crate::cache::near::Near;
use crate::cache::resource::Resource;
use crate::clock::Stamp;
use moka::notification::RemovalCause;
use moka::ops::compute::{CompResult, Op};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::RwLock;
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What moka takes for a key: seven small allocations and two places in its table, by `benches/memory`, and what the allocator's pages leave over. With it
/// the count is what the process really grows by.
const NODES: usize = 290;

/// Bytes that a key takes with all that is stored for it. The key's own are counted for each copy of it there may be: a refreshed response brings another.
pub(crate) fn weight(key: &Key, resource: &Resource) -> usize {
    NODES + key.weight() + resource.weight()
}

/// The stored responses of one cache, bounded by bytes.
#[derive(Debug)]
pub(crate) struct Store {
    moka: Cache<Key, Resource, PassHash>,
    near: Near,
    capacity: u64,
    groups: Arc<Groups>,
    evictions: Arc<Evictions>,
    /// Held for reading from the look at the purges until what was looked at is in the map, so that a sweep can let those finish who have not
    /// seen a ban before it walks the map.
    landing: RwLock<()>,
    wanted: AtomicBool,
    sweeping: AtomicBool,
}

impl Store {
    /// An empty store for `capacity` bytes.
    pub(crate) fn new(capacity: u64, groups: Arc<Groups>) -> Arc<Self> {
        let evictions = Arc::new(Evictions::default());
        let listening = Arc::clone(&evictions);
        let moka = Cache::builder()
            .max_capacity(capacity)
            .weigher(|key: &Key, resource: &Resource| u32::try_from(weight(key, resource)).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, _, cause| listening.count(eviction(cause)))
            .build_with_hasher(PassHash);
        Arc::new(Self {
            moka,
            near: Near::new(),
            capacity,
            groups,
            evictions,
            landing: RwLock::new(()),
            wanted: AtomicBool::new(false),
            sweeping: AtomicBool::new(false),
        })
    }

    /// What is stored for `key`, for a reader. What this thread finds again and again it finds [without a look into the table](super::near).
    pub(crate) fn find(&self, key: &KeyBuf, now: Stamp) -> Option<Resource> {
        self.near.find(key, now, || self.moka.get(key))
    }

    /// What is stored for `key`.
    pub(crate) fn get(&self, key: &KeyBuf) -> Option<Resource> {
        self.moka.get(key)
    }

    /// What is stored for an owned `key`.
    pub(crate) fn get_owned(&self, key: &Key) -> Option<Resource> {
        self.moka.get(key)
    }

    /// Stores `new` among the variants of `key`, unless something that it belongs to has been purged since its fetch began, or a copy that was asked
    /// for after a later change is there; `false` then. Whatever does not fit is evicted before this returns.
    pub(crate) fn put(&self, key: &Key, new: &Arc<Stored>, member: &Membership, max_variants: usize) -> bool {
        let mut purged = false;
        let landing = self.landing.read();
        self.change(key, |old| {
            // Inside the lock of the key: a purge that comes later finds the new response.
            let old = old.map(moka::Entry::into_value);
            purged = self.is_purged(new, member) || old.as_ref().is_some_and(|old| self.is_overtaken(new, old));
            if purged {
                return Op::Nop;
            }
            Op::Put(Resource::with(old.as_ref(), Arc::clone(new), max_variants, self.max_weight(), &self.groups))
        });
        drop(landing);
        if !purged {
            enrol(new);
        }
        self.moka.run_pending_tasks();
        !purged
    }

    /// The only way to change what is stored for `key`: `change` is called inside its lock.
    fn change(&self, key: &Key, change: impl FnOnce(Option<moka::Entry<Key, Resource>>) -> Op<Resource>) {
        let outcome = self.moka.entry(key.clone()).and_compute_with(change);
        if !matches!(outcome, CompResult::StillNone(_) | CompResult::Unchanged(_)) {
            self.near.changed();
        }
    }

    /// Whether the same variant is stored already, asked for after a change that `new` may not know of.
    fn is_overtaken(&self, new: &Stored, old: &Resource) -> bool {
        let is_younger = |old: &Stored| old.head.born() > new.head.born() && old.level(&self.groups) < Level::Dead;
        old.variants().iter().any(|old| is_younger(old) && old.same_variant(new))
    }

    fn is_purged(&self, new: &Stored, member: &Membership) -> bool {
        member.level_since(new.head.born(), &self.groups) > Level::Valid || new.level(&self.groups) > Level::Valid
    }

    /// Replaces `old` by `new`, a version of the same body with other headers, unless `old` has been replaced or something that it belongs to purged
    /// meanwhile; `false` then.
    pub(crate) fn freshen(&self, key: &Key, old: &Arc<Stored>, new: &Arc<Stored>, member: &Membership, max_variants: usize) -> bool {
        let mut stored = false;
        let landing = self.landing.read();
        self.change(key, |entry| {
            if self.is_purged(new, member) {
                return Op::Nop;
            }
            let resource = entry.map(moka::Entry::into_value);
            let resource = resource.as_ref();
            // If it was evicted while it was validated, it has just proved to be wanted.
            if resource.is_some_and(|resource| !resource.variants().iter().any(|stored| Arc::ptr_eq(stored, old))) {
                return Op::Nop;
            }
            stored = true;
            Op::Put(Resource::with(resource, Arc::clone(new), max_variants, self.max_weight(), &self.groups))
        });
        drop(landing);
        if stored {
            enrol(new);
        }
        self.moka.run_pending_tasks();
        stored
    }

    /// moka weighs in u32: a resource stays below that, whatever its variants.
    fn max_weight(&self) -> usize {
        usize::try_from(self.capacity.min(u64::from(u32::MAX))).unwrap_or(usize::MAX)
    }

    /// Forgets one stored response.
    pub(crate) fn forget(&self, key: &Key, stored: &Arc<Stored>) {
        stored.mark(Level::Dead);
        self.change(key, |entry| {
            let Some(resource) = entry.map(moka::Entry::into_value) else { return Op::Nop };
            let variants: Vec<_> = resource.variants().iter().filter(|one| !Arc::ptr_eq(one, stored)).cloned().collect();
            Resource::of(variants).map_or(Op::Remove, Op::Put)
        });
    }

    /// Invalidates all variants of `key` that were asked for before `sequence`; how many there were.
    pub(crate) fn invalidate(&self, key: &Key, level: Level, sequence: u64) -> usize {
        let mut count = 0;
        self.change(key, |entry| {
            let Some(resource) = entry.map(moka::Entry::into_value) else { return Op::Nop };
            let (hit, rest): (Vec<_>, Vec<_>) = resource.variants().iter().partition(|stored| stored.head.born() < sequence);
            count = hit.len();
            hit.iter().for_each(|stored| stored.mark(level));
            if level < Level::Dead || count == 0 {
                return Op::Nop;
            }
            Resource::of(rest.into_iter().cloned().collect()).map_or(Op::Remove, Op::Put)
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
        self.members_under(&Prefix::parse(prefix), most)
    }

    /// As [`members_of_prefix`](Self::members_of_prefix), of one that has been read.
    pub(crate) fn members_under(&self, prefix: &Prefix, most: usize) -> Vec<(Key, Arc<Stored>)> {
        let mut members: Vec<Arc<Stored>> = Vec::new();
        for (at, (key, resource)) in self.moka.iter().enumerate() {
            if prefix.matches(&key) {
                members.extend(resource.variants().iter().filter(|stored| stored.level(&self.groups) < Level::Dead).cloned());
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

    /// Shows what is stored and not dead to `look`, at most `most` keys, in no order; whether that was all. It counts as no use, takes small steps, and holds
    /// no lock that readers want.
    pub(crate) fn look_through(&self, most: usize, mut look: impl FnMut(Arc<Key>, Resource)) -> bool {
        for (at, (key, resource)) in self.moka.iter().enumerate() {
            if at >= most {
                return false;
            }
            if !self.is_dead(&resource) {
                look(key, resource);
            }
            if at % 256 == 255 {
                std::thread::yield_now();
            }
        }
        true
    }

    /// Whether `stored` is still what is stored under its key, and not dead.
    fn holds(&self, stored: &Arc<Stored>) -> bool {
        let resource = self.moka.get(&stored.head.key);
        let held = resource.is_some_and(|resource| resource.variants().iter().any(|one| Arc::ptr_eq(one, stored)));
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
                self.change(&key, |entry| match entry {
                    Some(entry) if self.is_dead(entry.value()) => Op::Remove,
                    _ => Op::Nop,
                });
            }
            if at % 256 == 255 {
                self.moka.run_pending_tasks();
                std::thread::yield_now();
            }
        }
        // What was evicted has no mark, and may live on in somebody's hands: nobody shall find it there when the ban is over.
        self.near.changed();
        self.groups.bans().end_round(&round);
        self.groups.forget_what_is_over();
        self.moka.run_pending_tasks();
    }

    /// Whether all of it is dead. Looks at each: that marks what is banned.
    fn is_dead(&self, resource: &Resource) -> bool {
        resource.variants().iter().map(|stored| stored.level(&self.groups)).min() == Some(Level::Dead)
    }

    /// Stored keys.
    pub(crate) fn entries(&self) -> u64 {
        self.moka.run_pending_tasks();
        self.moka.entry_count()
    }

    /// How many keys have lost what was stored under them for this cause.
    pub(crate) fn evictions(&self, cause: Eviction) -> u64 {
        self.moka.run_pending_tasks();
        self.evictions.of(cause)
    }

    /// Bytes taken, as weighed.
    pub(crate) fn bytes(&self) -> u64 {
        self.moka.run_pending_tasks();
        self.moka.weighted_size()
    }
}

/// moka's own expiry is not used.
const fn eviction(cause: RemovalCause) -> Eviction {
    match cause {
        RemovalCause::Size | RemovalCause::Expired => Eviction::Size,
        RemovalCause::Explicit => Eviction::Purged,
        RemovalCause::Replaced => Eviction::Replaced,
    }
}

fn enrol(stored: &Arc<Stored>) {
    stored.head.groups().iter().for_each(|group| group.enrol(stored));
}

fn hottest_first(members: &mut [Arc<Stored>]) {
    members.sort_by_cached_key(|stored| Reverse(stored.hits()));
}

fn keyed(stored: Arc<Stored>) -> (Key, Arc<Stored>) {
    (stored.head.key.clone(), stored)
}

#[cfg(test)]
mod tests;
