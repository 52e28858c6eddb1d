//! Invalidation by sequence numbers. A purge writes one number, however many responses it affects; a stored response is judged by comparing
//! the number under which its fetch began. That also closes the race of a purge with a fetch that is under way.

use crate::cache::rules::Rule;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// A tag of a rule.
    Tag(&'a str),
    /// A target: all its variants and partitions, and the fetches under way for it.
    Target(&'a [u8]),
}

impl GroupName<'_> {
    fn bytes(self) -> Box<[u8]> {
        let (kind, name) = match self {
            Self::Tag(tag) => (b't', tag.as_bytes()),
            Self::Target(target) => (b'u', target),
        };
        std::iter::once(kind).chain(name.iter().copied()).collect()
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
    shards: [Shard; SHARDS],
}

/// One group. Dropping the last holder forgets it.
#[derive(Debug)]
pub(crate) struct Group {
    epoch: Epoch,
    name: Box<[u8]>,
    home: Weak<Groups>,
}

impl Group {
    pub(crate) fn level_since(&self, born: u64) -> Level {
        self.epoch.level_since(born)
    }
}

/// The groups of something that is being fetched. It joins them before the origin is asked: a purge that comes meanwhile must find it in them.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) target: Arc<Group>,
    pub(crate) tags: Arc<[Arc<Group>]>,
}

impl Membership {
    /// What has happened to its groups, and to everything, since `born`.
    pub(crate) fn level_since(&self, born: u64, everything: &Groups) -> Level {
        let tags = self.tags.iter().map(|tag| tag.level_since(born)).max().unwrap_or_default();
        tags.max(self.target.level_since(born)).max(everything.level_since(born))
    }
}

impl Groups {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { sequence: AtomicU64::new(1), everything: Epoch::default(), shards: Default::default() })
    }

    /// The number that a fetch starting now is born under.
    pub(crate) fn now(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// What has happened to all that was born at `born`.
    pub(crate) fn level_since(&self, born: u64) -> Level {
        self.everything.level_since(born)
    }

    /// Joins the group called `name`, making it if nobody holds it.
    pub(crate) fn join(self: &Arc<Self>, name: GroupName<'_>) -> Arc<Group> {
        let name = name.bytes();
        let mut shard = self.shard(&name).lock();
        if let Some(group) = shard.get(&name).and_then(Weak::upgrade) {
            return group;
        }
        let group = Arc::new(Group { epoch: Epoch::default(), name: name.clone(), home: Arc::downgrade(self) });
        shard.insert(name, Arc::downgrade(&group));
        group
    }

    /// Joins the groups of a fetch for `target` under `rule`.
    pub(crate) fn enlist(self: &Arc<Self>, target: &[u8], rule: Option<&Rule>) -> Membership {
        let tags = rule.map_or(&[][..], |rule| &rule.tags);
        let tags = tags.iter().map(|tag| self.join(GroupName::Tag(tag))).collect();
        Membership { target: self.join(GroupName::Target(target)), tags }
    }

    /// Invalidates one group; `false` if nothing belongs to it.
    pub(crate) fn invalidate(&self, name: GroupName<'_>, level: Level) -> bool {
        let name = name.bytes();
        let group = self.shard(&name).lock().get(&name).and_then(Weak::upgrade);
        let Some(group) = group else { return false };
        group.epoch.raise(level, self.next());
        true
    }

    /// Invalidates everything.
    pub(crate) fn invalidate_all(&self, level: Level) {
        self.everything.raise(level, self.next());
    }

    pub(crate) fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::AcqRel) + 1
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
mod tests {
    use super::{GroupName, Groups, Level};

    #[test]
    fn a_purge_touches_what_was_fetched_before_it_and_nothing_later() {
        let groups = Groups::new();
        let tag = groups.join(GroupName::Tag("a"));
        let before = groups.now();
        assert!(groups.invalidate(GroupName::Tag("a"), Level::Invalid));
        assert_eq!((tag.level_since(before), tag.level_since(groups.now())), (Level::Invalid, Level::Valid));
    }

    #[test]
    fn a_weaker_invalidation_does_not_hide_a_stronger_one() {
        let groups = Groups::new();
        let born = groups.now();
        groups.invalidate_all(Level::Dead);
        groups.invalidate_all(Level::Stale);
        assert_eq!(groups.level_since(born), Level::Dead);
    }

    #[test]
    fn a_group_that_nobody_holds_is_forgotten() {
        let groups = Groups::new();
        let (one, two) = (groups.join(GroupName::Tag("a")), groups.join(GroupName::Tag("a")));
        groups.join(GroupName::Target(b"a"));
        assert_eq!(groups.len(), 1);
        drop((one, two));
        assert_eq!((groups.len(), groups.invalidate(GroupName::Tag("a"), Level::Dead)), (0, false));
    }
}
