//! Refresh-ahead: hot copies are fetched anew in the last part of their life, so that nobody waits when it ends.

use crate::cache::entry::Stored;
use crate::cache::groups::Level;
use crate::cache::wish::Nominee;
use crate::clock::Stamp;
use crate::layer::Cache;
use crate::warm::ask::Ask;
use crate::warm::settings::RefreshAhead;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Hot copies that may wait for their refresh; further ones are refreshed when they have expired.
pub(crate) const MOST_WAITING: usize = 65_536;

/// Hot copies in the order in which they are due.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    waiting: BinaryHeap<Reverse<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    due: Stamp,
    nominee: Nominee,
}

impl Ahead {
    /// Takes a copy in. `chance`, from 0 to 1, spreads those that were stored together.
    pub(crate) fn nominate(&mut self, nominee: Nominee, settings: RefreshAhead, chance: f64) {
        let Some(stored) = nominee.stored.upgrade().filter(|_| self.waiting.len() < MOST_WAITING) else { return };
        let due = due(&stored, settings.before, chance);
        drop(stored);
        self.waiting.push(Reverse(Waiting { due, nominee }));
    }

    /// The next copy whose time has come, and the request for it, if it is still what is stored and nothing has happened to it.
    pub(crate) fn due(&mut self, now: Stamp, cache: &Cache) -> Option<(Ask, Arc<Stored>)> {
        while self.waiting.peek().is_some_and(|Reverse(first)| first.due <= now) {
            let Some(Reverse(Waiting { nominee, .. })) = self.waiting.pop() else { break };
            let Some(stored) = nominee.stored.upgrade() else { continue };
            if !cache.holds(&nominee.key, &stored) || cache.level(&stored) > Level::Valid {
                continue;
            }
            if let Some(ask) = Ask::replay(&nominee.key, &stored) {
                return Some((ask, stored));
            }
        }
        None
    }

    /// When the next copy is due.
    pub(crate) fn next(&self) -> Option<Stamp> {
        self.waiting.peek().map(|Reverse(first)| first.due)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// When a copy is to be refreshed: in the last `before` of its life, spread over the first three quarters of that part, and early enough for what its
/// fetch took last time, twice over; but never in the first half of its life.
fn due(stored: &Stored, before: f64, chance: f64) -> Stamp {
    let life = &stored.head.life;
    let lifetime = life.lifetime as f64;
    let part = lifetime * before.clamp(0.0, 0.5);
    let spread = lifetime - part + part * 0.75 * chance;
    let early = lifetime - f64::from(stored.cost_millis) * 2.0;
    let age = spread.min(early).max(lifetime * 0.5);
    life.received.plus_millis((age as u64).saturating_sub(life.initial_age))
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.cmp(&other.due)
    }
}
