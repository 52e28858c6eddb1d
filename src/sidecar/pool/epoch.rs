//! Which settings a connection was made under.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Grows when the settings change in a way that makes older connections useless. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(in crate::sidecar) struct Epoch(Arc<AtomicU64>);

impl Epoch {
    /// That of this moment. Who reads it before the settings never takes an old connection for a new one.
    pub(in crate::sidecar) fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// The settings have changed: they are in force already.
    pub(super) fn next(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}
