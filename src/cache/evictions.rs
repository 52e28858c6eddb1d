//! Why stored responses have gone.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why what was stored under a key has gone. Each key counts, not each of its variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Eviction {
    /// There was no room for it any more: what was used least recently goes.
    Size,
    /// It was invalidated, or the origin does not want it kept any more.
    Purged,
    /// Something newer is stored under its key: a refreshed response, or one variant more.
    Replaced,
}

impl Eviction {
    /// All causes, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Size, Self::Purged, Self::Replaced];

    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Purged => "purged",
            Self::Replaced => "replaced",
        }
    }
}

/// How many have gone, by cause. Only what stores and sweeps adds to it, never a hit.
#[derive(Debug, Default)]
pub(crate) struct Evictions([AtomicU64; Eviction::ALL.len()]);

impl Evictions {
    pub(crate) fn count(&self, cause: Eviction) {
        self.0[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, cause: Eviction) -> u64 {
        self.0[cause as usize].load(Ordering::Relaxed)
    }
}
