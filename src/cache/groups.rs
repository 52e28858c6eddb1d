//! Invalidation by sequence numbers. A purge writes one number, however many responses it affects; a stored response is judged by comparing
//! the number under which its fetch began. That also closes the race of a purge with a fetch that is under way.
//!
//! A fetch learns some of its tags only from the response. What is purged before that, while it is under way, is remembered until it has ended:
//! tags as groups that are kept though nobody holds them ([`Pins`](crate::cache::pins::Pins)), prefixes as bans.

use crate::cache::admit::NotStored;
use crate::cache::bans::{Bans, Prefix};
use crate::cache::entry::Stored;
use crate::cache::key::Key;
use crate::cache::members::Members;
use crate::cache::pins::Pins;
use crate::cache::rules::Rule;
use crate::cache::tags::ResponseTags;
use crate::cache::under_way::{Fetch, UnderWay};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What an invalidation does to what it touches; later ones are stronger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Untouched.
    #[default]
    Valid,
    /// Stale from now on: may be served inside its stale windows while it is refreshed.
    Stale,
    /// Must be validated before it is used again (RFC 9111 section 4.4).
    Invalid,
    /// Gone.
    Dead,
}

impl Level {
    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Stale => "stale",
            Self::Invalid => "invalid",
            Self::Dead => "dead",
        }
    }
}

/// The latest sequence number at which something was invalidated, per level.
#[derive(Debug, Default)]
pub(crate) struct Epoch {
    latest: AtomicU64,
    stale: AtomicU64,
    invalid: AtomicU64,
    dead: AtomicU64,
}

impl Epoch {
    /// What has happened to something whose fetch began at `born`.
    pub(crate) fn level_since(&self, born: u64) -> Level {
        if self.latest.load(Ordering::Acquire) <= born {
            Level::Valid
        } else if self.dead.load(Ordering::Acquire) > born {
            Level::Dead
        } else if self.invalid.load(Ordering::Acquire) > born {
            Level::Invalid
        } else {
            Level::Stale
        }
    }

    fn raise(&self, level: Level, sequence: u64) {
        match level {
            Level::Valid => return,
            Level::Stale => &self.stale,
            Level::Invalid => &self.invalid,
            Level::Dead => &self.dead,
        }
        .fetch_max(sequence, Ordering::AcqRel);
        self.latest.fetch_max(sequence, Ordering::AcqRel);
    }
}

/// What a group is named by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GroupName<'a> {
    /// A tag: of a rule, of Cache-Tag or of Surrogate-Key.
    Tag(&'a str),
    /// A string of Cache-Groups, of the origin that a key names (RFC 9875 section 2), by whichever scheme.
    OfOrigin(&'a Key, &'a str),
    /// A target: all its variants and partitions, and the fetches under way for it.
    Target(&'a [u8]),
}

impl GroupName<'_> {
    fn bytes(self) -> Box<[u8]> {
        match self {
            Self::Tag(tag) => [b"t", tag.as_bytes()].concat(),
            Self::Target(target) => [b"u", target].concat(),
            // The authority has no zero in it, so no two pairs are the same bytes.
            Self::OfOrigin(key, name) => [b"g", key.authority().as_bytes(), b"\0", name.as_bytes()].concat(),
        }
        .into_boxed_slice()
    }

    /// Whether a fetch may learn only from its response that it belongs to it.
    const fn may_come_late(self) -> bool {
        !matches!(self, Self::Target(_))
    }
}

const SHARDS: usize = 16;
type Shard = Mutex<HashMap<Box<[u8]>, Weak<Group>>>;

/// Everything that can be invalidated together. A group exists as long as a stored response or a fetch holds it, so that their number is
/// bounded by what is stored.
#[derive(Debug)]
pub(crate) struct Groups {
    sequence: AtomicU64,
    everything: Epoch,
    /// For what is stored; a sweep retires them.
    bans: Bans,
    /// For what is being fetched; they go with the fetches that they may hit.
    late_bans: Bans,
    under_way: Arc<UnderWay>,
    pins: Pins,
    shards: [Shard; SHARDS],
}

/// One group. Dropping the last holder forgets it.
#[derive(Debug)]
pub(crate) struct Group {
    epoch: Epoch,
    name: Box<[u8]>,
    /// Whether it is held by the memory of purges.
    pub(crate) is_pinned: AtomicBool,
    /// The stored responses in it; of a target none, they are found by its key.
    members: Members,
    home: Weak<Groups>,
}

impl Group {
    pub(crate) fn level_since(&self, born: u64) -> Level {
        self.epoch.level_since(born)
    }

    /// Counts `stored` among its members.
    pub(crate) fn enrol(&self, stored: &Arc<Stored>) {
        if self.name.first() != Some(&b'u') {
            self.members.add(stored);
        }
    }

    /// The tag, or the string of Cache-Groups, that it is named by; `None` for a target.
    pub(crate) fn label(&self) -> Option<&str> {
        let (kind, name) = self.name.split_first()?;
        let name = match kind {
            b't' => name,
            b'g' => name.splitn(2, |byte| *byte == 0).nth(1)?,
            _ => return None,
        };
        std::str::from_utf8(name).ok()
    }

    /// A member has gone.
    pub(crate) fn bury(&self) {
        self.members.bury();
    }

    /// Places in the list of members, of living and dead.
    #[cfg(test)]
    pub(crate) fn listed(&self) -> usize {
        self.members.len()
    }

    /// Bytes that one stored response takes for being in it: its place among the members, and the name, which it may share with others.
    pub(crate) fn weight(&self) -> usize {
        96 + 2 * self.name.len()
    }
}

/// The groups of something that is being fetched. It joins them before the origin is asked: a purge that comes meanwhile must find it in them.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    key: Key,
    pub(crate) target: Arc<Group>,
    tags: Arc<[Arc<Group>]>,
    /// Purges that it may have to know are remembered as long as this lives.
    fetch: Arc<Fetch>,
}

impl Membership {
    /// What has happened to its groups, its path, and to everything, since `born`.
    pub(crate) fn level_since(&self, born: u64, groups: &Groups) -> Level {
        let tags = self.tags.iter().map(|tag| tag.level_since(born)).max().unwrap_or_default();
        let late = groups.late_bans.level_of(&self.key, born);
        tags.max(self.target.level_since(born)).max(late).max(groups.level_since(&self.key, born))
    }

    /// Nothing of it will be stored: purges need not be remembered for it.
    pub(crate) fn leave(&self) {
        self.fetch.end();
    }

    /// All groups of its response, now that `own` is known, which the response says of itself.
    ///
    /// # Errors
    /// [`NotStored::Tags`]: purges have been forgotten that may have been about it.
    pub(crate) fn groups_with(&self, own: &ResponseTags, born: u64, groups: &Arc<Groups>) -> Result<Arc<[Arc<Group>]>, NotStored> {
        // A private partition is found by its target as well: a purge of that looks into the store for the shared one only.
        let target = self.key.is_partitioned().then_some(&self.target);
        if own.tags.is_empty() && own.groups.is_empty() && target.is_none() {
            return Ok(Arc::clone(&self.tags));
        }
        let tags = own.tags.iter().map(|tag| groups.join(GroupName::Tag(tag)));
        let of_origin = own.groups.iter().map(|name| groups.join(GroupName::OfOrigin(&self.key, name)));
        let mut all: Vec<_> = self.tags.iter().chain(target).cloned().chain(tags).chain(of_origin).collect();
        all.sort_unstable_by_key(Arc::as_ptr);
        all.dedup_by(|a, b| Arc::ptr_eq(a, b));
        // After joining: what is forgotten from now on finds it in its groups.
        if born < groups.pins.floor() { Err(NotStored::Tags) } else { Ok(all.into()) }
    }
}

impl Groups {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            sequence: AtomicU64::new(1),
            everything: Epoch::default(),
            bans: Bans::default(),
            late_bans: Bans::default(),
            under_way: Arc::default(),
            pins: Pins::default(),
            shards: Default::default(),
        })
    }

    /// The number that a fetch starting now is born under.
    pub(crate) fn now(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Starts a new number: what was asked of the origin before this moment was born under a lower one, what is asked after it was not.
    pub(crate) fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// What has happened to `key` and to everything since `born`, beside its groups.
    pub(crate) fn level_since(&self, key: &Key, born: u64) -> Level {
        self.everything.level_since(born).max(self.banned(key, born))
    }

    /// What the bans make of `key`. Whoever looks at a mark too does so afterwards: a ban goes only when its copies are marked.
    pub(crate) fn banned(&self, key: &Key, born: u64) -> Level {
        self.bans.level_of(key, born)
    }

    /// Joins the group called `name`, making it if nobody holds it.
    pub(crate) fn join(self: &Arc<Self>, name: GroupName<'_>) -> Arc<Group> {
        let name = name.bytes();
        let mut shard = self.shard(&name).lock();
        if let Some(group) = shard.get(&name).and_then(Weak::upgrade) {
            return group;
        }
        let group = Arc::new(Group {
            epoch: Epoch::default(),
            name: name.clone(),
            is_pinned: AtomicBool::new(false),
            members: Members::default(),
            home: Arc::downgrade(self),
        });
        shard.insert(name, Arc::downgrade(&group));
        group
    }

    /// Joins the groups of a fetch for `key` under `rule`, as far as they are known before the origin is asked.
    pub(crate) fn enlist(self: &Arc<Self>, key: &Key, rule: Option<&Rule>) -> Membership {
        let fetch = Arc::new(self.under_way.begin(|| self.now()));
        let tags = rule.map_or(&[][..], |rule| &rule.tags);
        let tags = tags.iter().map(|tag| self.join(GroupName::Tag(tag))).collect();
        Membership { target: self.join(GroupName::Target(&key.target())), tags, key: key.clone(), fetch }
    }

    /// Invalidates what belongs to a group and was asked for before `sequence`; `false` if nothing belongs to it.
    pub(crate) fn invalidate(self: &Arc<Self>, name: GroupName<'_>, level: Level, sequence: u64) -> bool {
        let late = name.may_come_late() && self.under_way.has_before(sequence);
        let group = if late {
            self.join(name)
        } else {
            let name = name.bytes();
            let group = self.shard(&name).lock().get(&name).and_then(Weak::upgrade);
            let Some(group) = group else { return false };
            group
        };
        group.epoch.raise(level, sequence);
        let others = Arc::strong_count(&group) - 1 - usize::from(group.is_pinned.load(Ordering::Acquire));
        if late {
            self.pins.keep(group, sequence, |sequence| self.under_way.has_before(sequence));
        }
        others > 0
    }

    /// Invalidates what lies under `prefix` and was asked for before `sequence`. The next sweep makes it cheap.
    pub(crate) fn invalidate_prefix(&self, prefix: Prefix, level: Level, sequence: u64) {
        self.late_bans.retire_unless(|sequence| self.under_way.has_before(sequence));
        if self.under_way.has_before(sequence) {
            self.late_bans.add(prefix.clone(), level, sequence);
        }
        self.bans.add(prefix, level, sequence);
    }

    /// Invalidates everything that was asked for before `sequence`.
    pub(crate) fn invalidate_all(&self, level: Level, sequence: u64) {
        self.everything.raise(level, sequence);
    }

    /// The bans that a sweep has to work off.
    pub(crate) fn bans(&self) -> &Bans {
        &self.bans
    }

    /// Forgets the purges that no fetch under way can be hit by any more.
    pub(crate) fn forget_what_is_over(&self) {
        self.late_bans.retire_unless(|sequence| self.under_way.has_before(sequence));
        self.pins.forget_unless(|sequence| self.under_way.has_before(sequence));
    }

    /// The stored responses that carry `tag`, in no order. Some may have left the store.
    pub(crate) fn members(&self, tag: &str) -> Vec<Arc<Stored>> {
        let name = GroupName::Tag(tag).bytes();
        let group = self.shard(&name).lock().get(&name).and_then(Weak::upgrade);
        group.map_or_else(Vec::new, |group| group.members.all())
    }

    fn shard(&self, name: &[u8]) -> &Shard {
        let sum = name.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        &self.shards[sum % SHARDS]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let mut shard = home.shard(&self.name).lock();
        // Somebody may have made the group anew in the meantime: only a dead entry goes.
        if shard.get(&self.name).is_some_and(|group| group.strong_count() == 0) {
            shard.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests;
