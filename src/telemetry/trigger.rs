//! What set off an invalidation.

use std::sync::atomic::{AtomicU64, Ordering};

/// What set off an invalidation. Each counts once, however much it touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// Somebody named a target.
    Url,
    /// Somebody named a tag.
    Tag,
    /// Somebody named the beginning of paths.
    Prefix,
    /// Somebody asked for everything.
    All,
    /// Somebody named a warm group.
    Group,
    /// An unsafe request went well (RFC 9111 section 4.4).
    Change,
    /// The same, and an `[[invalidate]]` rule knew what else it changed.
    Rule,
    /// What a change had put out of date was warmed again, and the rest dropped.
    Rewarm,
}

impl Trigger {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 8] = [Self::Url, Self::Tag, Self::Prefix, Self::All, Self::Group, Self::Change, Self::Rule, Self::Rewarm];

    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Tag => "tag",
            Self::Prefix => "prefix",
            Self::All => "all",
            Self::Group => "group",
            Self::Change => "change",
            Self::Rule => "rule",
            Self::Rewarm => "rewarm",
        }
    }
}

/// How many invalidations there were. They are rare: one number each.
#[derive(Debug, Default)]
pub(crate) struct Invalidations([AtomicU64; Trigger::ALL.len()]);

impl Invalidations {
    pub(crate) fn count(&self, trigger: Trigger) {
        self.0[trigger as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, trigger: Trigger) -> u64 {
        self.0[trigger as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn all(&self) -> u64 {
        Trigger::ALL.into_iter().map(|trigger| self.of(trigger)).sum()
    }
}
