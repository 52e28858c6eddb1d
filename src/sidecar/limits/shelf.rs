//! How much of a rate each client has used: a bounded number of them.

use foldhash::fast::RandomState;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Parts, so that threads seldom meet at a lock; a power of two.
const PARTS: usize = 16;

/// The states of at most so many clients, by the hash of each. Those for whom there is no room share one state per part, as if they were one client.
#[derive(Debug)]
pub(super) struct Shelf {
    parts: [Mutex<Part>; PARTS],
    /// States in one part.
    most: usize,
    /// Somebody has found no room since the last sweep.
    crowded: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Part {
    states: HashMap<u64, Nanos, RandomState>,
    shared: Option<Nanos>,
}

impl Shelf {
    /// `crowded` is set when somebody finds no room, until the next sweep.
    pub(super) fn new(most: usize, crowded: Arc<AtomicBool>) -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), most: most.div_ceil(PARTS), crowded }
    }

    fn part(&self, key: u64) -> &Mutex<Part> {
        &self.parts[(key >> 32) as usize % PARTS]
    }
}

impl StateStore for Shelf {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut part = self.part(*key).lock();
        if let Some(state) = part.states.get_mut(key) {
            let (outcome, next) = measure(Some(*state))?;
            *state = next;
            return Ok(outcome);
        }
        if part.states.len() < self.most {
            let (outcome, next) = measure(None)?;
            part.states.insert(*key, next);
            return Ok(outcome);
        }
        self.crowded.store(true, Ordering::Relaxed);
        let (outcome, next) = measure(part.shared)?;
        part.shared = Some(next);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<u64> for Shelf {
    /// Forgets those who have used nothing of late: they are as good as new. One part is locked at a time.
    fn retain_recent(&self, drop_below: Nanos) {
        self.crowded.store(false, Ordering::Relaxed);
        for part in &self.parts {
            part.lock().states.retain(|_, state| *state > drop_below);
        }
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().states.len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
