//! The requests of a group one by one, with what is known of each.

use crate::cache::entry::Stored;
use crate::cache::groups::Level;
use crate::cache::{Obstacle, Site};
use crate::flow::visit::Found;
use crate::warm::ask::Ask;
use crate::warm::draw::{BLOCK, hottest_first};
use crate::warm::expand::{Expansion, Item, Tally};
use crate::warm::group::Group;
use crate::warm::survey::{Known, Outlook};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// A request of a plan, and what is known of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ItemSurvey {
    /// Path and query.
    pub target: PathAndQuery,
    /// The headers that the plan gives it.
    pub headers: SmallVec<[(HeaderName, HeaderValue); 2]>,
    /// The host that it is asked for.
    pub host: Site,
    /// What the rules tell already.
    pub obstacle: Option<Obstacle>,
    /// The copy that a reader would be answered from; only live.
    pub copy: Option<CopySurvey>,
    /// Whether a copy was looked for.
    pub looked: bool,
    /// Whether a run would ask the origin: there is no fresh copy, or it is near its end ([`RefreshAhead::before`](crate::warm::RefreshAhead::before)).
    pub due: bool,
    /// What became of it in the last run, if that was no success.
    pub last: Option<LastTime>,
    /// What it took and brought in the last run that is remembered, if the origin was asked: milliseconds and bytes.
    pub(super) paid: Option<(u32, u64)>,
}

/// A stored copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopySurvey {
    /// Whether it is fresh.
    pub state: CopyState,
    /// What fetching it took, in milliseconds.
    pub cost_millis: u32,
    /// Bytes of its body.
    pub bytes: u64,
    /// Answers that it has given.
    pub hits: u64,
}

/// Whether a copy is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// For so many milliseconds more.
    Fresh {
        /// What is left of its lifetime.
        left_millis: u64,
    },
    /// Not any more.
    Stale {
        /// For how long; zero if only an invalidation says so.
        since_millis: u64,
        /// Whether it has been invalidated.
        invalidated: bool,
    },
}

/// What became of an item that did not go well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastTime {
    /// `uncacheable` or `failed`.
    pub fate: &'static str,
    /// Why: `private`, `status 503`.
    pub reason: Cow<'static, str>,
}

impl ItemSurvey {
    /// Whether the rules tell that its answer will not be stored.
    #[must_use]
    pub fn is_never_stored(&self) -> bool {
        self.obstacle.as_ref().is_some_and(Obstacle::is_final)
    }
}

type Key<'a> = Box<dyn FnMut(&Item) -> u64 + Send + 'a>;

/// The requests of a group, made as they are drawn: blocks of items, in each the hottest first, and each item for every host.
pub struct Items<'a> {
    outlook: &'a Outlook<'a>,
    known: &'a Known,
    expansion: Expansion<'a, Key<'a>>,
    block: std::vec::IntoIter<Item>,
    /// The item at hand, and how many hosts have had it.
    item: Option<(Item, usize)>,
    near: f64,
}

impl<'a> Items<'a> {
    pub(super) fn new(outlook: &'a Outlook<'a>, group: &'a Group, known: &'a Known) -> Self {
        let first = outlook.hosts.names.first();
        let key: Key<'a> = Box::new(move |item| first.map_or(0, |host| outlook.cache.key_hash(host, &item.target)));
        Self {
            outlook,
            known,
            expansion: group.expand(known.lists.values(), key),
            block: Vec::new().into_iter(),
            item: None,
            near: outlook.settings.refresh_ahead.before,
        }
    }

    /// What became of the combinations so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.expansion.tally()
    }

    fn next_item(&mut self) -> Option<Item> {
        if let Some(item) = self.block.next() {
            return Some(item);
        }
        let mut block: Vec<Item> = self.expansion.by_ref().take(BLOCK).collect();
        if let Some(first) = self.outlook.hosts.names.first().filter(|_| self.outlook.live) {
            hottest_first(self.outlook.cache, first, &mut block);
        }
        self.block = block.into_iter();
        self.block.next()
    }

    fn look(&self, item: Item, host: &Site) -> ItemSurvey {
        let (outlook, ask) = (self.outlook, Ask::item(host, item.clone()));
        let foreseen = ask.request().map(|request| outlook.cache.foresee(request, outlook.live));
        let (obstacle, found) = foreseen.map_or((None, None), |foreseen| (foreseen.obstacle, foreseen.found));
        let is_final = obstacle.as_ref().is_some_and(Obstacle::is_final);
        let copy = found.and_then(|found| self.copy(&found));
        let outcome = outlook.live.then(|| self.known.outcomes.get(ask.target(), ask.variant())).flatten();
        let last = outcome
            .filter(|outcome| !outcome.fate.is_warm())
            .map(|outcome| LastTime { fate: outcome.fate.as_str(), reason: outcome.fate.reason().unwrap_or_default() });
        ItemSurvey {
            target: item.target,
            headers: item.headers,
            host: host.clone(),
            obstacle,
            due: outlook.live && !is_final && !copy.as_ref().is_some_and(|(_, is_good)| *is_good),
            copy: copy.map(|(copy, _)| copy),
            looked: outlook.live && !is_final,
            last,
            paid: outcome.filter(|outcome| outcome.bytes > 0 || outcome.millis > 0).map(|outcome| (outcome.millis, outcome.bytes)),
        }
    }

    /// A copy, and whether a run would leave it alone.
    fn copy(&self, found: &Found) -> Option<(CopySurvey, bool)> {
        let (stored, is_fresh) = match found {
            Found::Fresh(chosen) => (chosen.stored(), true),
            Found::Stale(stored, _) | Found::Ask { stored: Some(stored), .. } => (stored, false),
            Found::Ask { stored: None, .. } => return None,
        };
        let life = stored.head.life();
        let left = life.left(self.outlook.now);
        let is_good = is_fresh && left as f64 > self.near * life.lifetime as f64;
        let state = if is_fresh {
            CopyState::Fresh { left_millis: u64::try_from(left).unwrap_or(0) }
        } else {
            let invalidated = self.outlook.cache.level(stored) > Level::Valid;
            CopyState::Stale { since_millis: u64::try_from(left.saturating_neg()).unwrap_or(0), invalidated }
        };
        Some((copy(stored, state), is_good))
    }
}

fn copy(stored: &Stored, state: CopyState) -> CopySurvey {
    CopySurvey { state, cost_millis: stored.cost_millis, bytes: stored.body.len() as u64, hits: stored.hits() }
}

impl Iterator for Items<'_> {
    type Item = ItemSurvey;

    fn next(&mut self) -> Option<ItemSurvey> {
        let hosts = &self.outlook.hosts.names;
        let (item, at) = match self.item.take() {
            Some((item, at)) if at < hosts.len() => (item, at),
            _ => (self.next_item()?, 0),
        };
        let host = hosts.get(at)?;
        if at + 1 < hosts.len() {
            self.item = Some((item.clone(), at + 1));
        }
        Some(self.look(item, host))
    }
}

impl fmt::Debug for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("tally", &self.tally()).finish_non_exhaustive()
    }
}
