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

/// Hot copies that may wait for their refresh; where there are more, those that have longest to wait are refreshed when they have expired.
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
        let Some(stored) = nominee.stored.upgrade() else { return };
        let due = due(&stored, settings.before, chance);
        drop(stored);
        if self.waiting.len() >= MOST_WAITING {
            self.make_room();
        }
        self.waiting.push(Reverse(Waiting { due, nominee }));
    }

    /// Lets go of those that are gone, and of those that have longest to wait: they must not keep out for years what is due in a minute.
    fn make_room(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting).into_sorted_vec(); // the last is the first that is due
        waiting.retain(|Reverse(waiting)| waiting.nominee.stored.strong_count() > 0);
        waiting.drain(..waiting.len().saturating_sub(MOST_WAITING / 2));
        self.waiting = waiting.into();
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
    let life = stored.head.life();
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

#[cfg(test)]
mod tests {
    use super::{Ahead, MOST_WAITING};
    use crate::cache::entry::Stored;
    use crate::cache::freshness::{Life, LifetimeSource};
    use crate::cache::head::{Head, Lineage};
    use crate::cache::key::{KeyParts, KeySecrets};
    use crate::cache::wish::Nominee;
    use crate::clock::Stamp;
    use crate::warm::settings::RefreshAhead;
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use std::sync::Arc;

    #[test]
    fn what_lives_for_years_does_not_keep_out_what_is_due_in_a_minute() {
        let parts = KeyParts { https: false, authority: "h", path: "/", query: None, partition: None };
        let key = KeySecrets::new().build(&parts).to_key();
        let start = Stamp::from_millis(1_700_000_000_000);
        let stored = |seconds: u64| {
            let life = Life {
                received: start,
                initial_age: 0,
                lifetime: seconds * 1000,
                source: LifetimeSource::Origin,
                stale_while_revalidate: 0,
                stale_if_error: 0,
                must_revalidate: false,
                no_cache: false,
            };
            let lineage = Lineage { born: 0, groups: None, key: key.clone() };
            Arc::new(Stored::new(Head::new(StatusCode::OK, &HeaderMap::new(), life, lineage), Bytes::new(), None, None))
        };
        let (old, new) = (stored(10 * 365 * 86_400), stored(60));
        let mut ahead = Ahead::default();
        let nominee = |stored: &Arc<Stored>| Nominee { key: key.clone(), stored: Arc::downgrade(stored) };
        for _ in 0..=MOST_WAITING {
            ahead.nominate(nominee(&old), RefreshAhead::default(), 0.5);
        }
        ahead.nominate(nominee(&new), RefreshAhead::default(), 0.5);
        let due = ahead.next().unwrap();
        assert!(due > start.plus_millis(50_000) && due < start.plus_millis(60_000), "{due:?}");
        drop(old);
        for _ in 0..MOST_WAITING / 2 + 2 {
            ahead.nominate(nominee(&new), RefreshAhead::default(), 0.5);
        }
        assert!(ahead.waiting() <= MOST_WAITING);
    }
}
