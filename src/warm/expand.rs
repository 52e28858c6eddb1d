//! From a group to its requests, one at a time: no product is ever in memory.

use crate::warm::combo::{Combo, Sent};
use crate::warm::group::Group;
use crate::warm::source::ListSource;
use crate::warm::target::{LONGEST_TARGET, Target};
use crate::warm::template::encode;
use bytes::Bytes;
use foldhash::quality::RandomState;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;
use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasher;
use std::iter::Zip;
use std::slice::Iter;

/// How many combinations are looked at for one item that is wanted, at most: duplicates and exclusions do not make a run crawl.
pub const LOOKED_AT_PER_ITEM: u64 = 10;
/// How many combinations are looked at in any case.
pub const LOOKED_AT_ANYWAY: u64 = 100_000;

/// One request of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Path and query, of the upstream.
    pub target: PathAndQuery,
    /// Headers beside those that every warm request has.
    pub headers: SmallVec<[(HeaderName, HeaderValue); 2]>,
}

/// What became of a plan's combinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Different requests.
    pub items: u64,
    /// Requests that were the same as an earlier one.
    pub duplicates: u64,
    /// Combinations that were left out.
    pub excluded: u64,
    /// Values of lists that cannot be put into their path: empty, `.`, `..` or too long.
    pub unusable: u64,
    /// Everything, before exclusion. `u64::MAX` stands for that and more.
    pub product: u64,
    /// How many of these were not looked at, because `max_items` was reached or, with fewer `items`, because [`LOOKED_AT_PER_ITEM`] times as many and
    /// [`LOOKED_AT_ANYWAY`] combinations were looked at. 0: everything was looked at. While an expansion runs: what is still to come.
    pub cut: u64,
}

/// The requests of a group, made as they are drawn. [`tally`](Self::tally) tells the rest.
pub struct Expansion<'a, K> {
    steps: Steps<'a>,
    key: K,
    hasher: RandomState,
    seen: HashSet<u64, RandomState>,
    tally: Tally,
    /// Combinations that may still be looked at.
    looks: u64,
    most: u64,
}

/// What one look found.
enum Step {
    Item(Item),
    /// So many combinations that are left out together.
    Excluded(u64),
    Unusable,
}

impl Group {
    /// The requests of this group in their order: requests, combos, sources. `lists` are the values for each source, in the order of the sources;
    /// a source without a list has no requests. `key` says which requests are the same for a cache, whatever their headers are: those are looked at here.
    ///
    /// It ends after [`max_items`](Group::max_items) different requests. Drawing an item takes less than a microsecond, but one that lies behind
    /// duplicates or exclusions takes as long as they do: 0.2 s for a million of them. It waits for nothing and may be sent between threads.
    pub fn expand<'a, K: FnMut(&Item) -> u64>(&'a self, lists: &'a [Vec<String>], key: K) -> Expansion<'a, K> {
        let asked = self.sources.iter().zip(lists);
        let values = asked.clone().map(|(_, list)| list.len() as u64).fold(self.requests.len() as u64, u64::saturating_add);
        let product = self.combos.iter().map(Combo::product).fold(values, u64::saturating_add);
        let most = self.max_items as u64;
        Expansion {
            steps: Steps { requests: self.requests.iter(), combos: self.combos.iter(), combo: None, sources: asked, source: None },
            key,
            hasher: RandomState::default(),
            seen: HashSet::with_capacity_and_hasher(usize::try_from(most.min(product)).unwrap_or(0), RandomState::default()),
            tally: Tally { product, cut: product, ..Tally::default() },
            looks: most.saturating_mul(LOOKED_AT_PER_ITEM).saturating_add(LOOKED_AT_ANYWAY),
            most,
        }
    }
}

impl<K> Expansion<'_, K> {
    /// What became of the combinations so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

impl<K: FnMut(&Item) -> u64> Expansion<'_, K> {
    /// Whether this is the first request of its kind.
    fn is_new(&mut self, item: &Item) -> bool {
        // The order in which headers were written is none of their meaning.
        let headers = item.headers.iter().map(|(name, value)| self.hasher.hash_one((name.as_str(), value.as_bytes())));
        let headers = headers.fold(0, u64::wrapping_add);
        let key = (self.key)(item);
        self.seen.insert(self.hasher.hash_one((key, headers)))
    }
}

impl<K: FnMut(&Item) -> u64> Iterator for Expansion<'_, K> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        while self.tally.items < self.most && self.looks > 0 {
            let step = self.steps.next()?;
            self.looks -= 1;
            self.tally.cut = self.tally.cut.saturating_sub(step.combinations());
            match step {
                Step::Item(item) if self.is_new(&item) => {
                    self.tally.items += 1;
                    return Some(item);
                }
                Step::Item(_) => self.tally.duplicates += 1,
                Step::Excluded(many) => self.tally.excluded = self.tally.excluded.saturating_add(many),
                Step::Unusable => self.tally.unusable += 1,
            }
        }
        None
    }
}

impl<K> fmt::Debug for Expansion<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expansion").field("tally", &self.tally).finish_non_exhaustive()
    }
}

impl Step {
    const fn combinations(&self) -> u64 {
        if let Self::Excluded(many) = self { *many } else { 1 }
    }
}

/// All looks in their order. Chained iterators would say the same, but they hand each item from one to the next.
struct Steps<'a> {
    requests: Iter<'a, Target>,
    combos: Iter<'a, Combo>,
    combo: Option<Odometer<'a>>,
    sources: Zip<Iter<'a, ListSource>, Iter<'a, Vec<String>>>,
    source: Option<(&'a ListSource, Iter<'a, String>)>,
}

impl Iterator for Steps<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some(target) = self.requests.next() {
            return Some(Step::Item(Item { target: target.path_and_query().clone(), headers: SmallVec::new() }));
        }
        loop {
            if let Some(combo) = &mut self.combo
                && let step @ Some(_) = combo.next()
            {
                return step;
            }
            self.combo = self.combos.next().map(Odometer::new);
            if self.combo.is_none() {
                break;
            }
        }
        loop {
            if let Some((source, values)) = &mut self.source
                && let Some(value) = values.next()
            {
                return Some(fetched(source, value));
            }
            let (source, list) = self.sources.next()?;
            self.source = Some((source, list.iter()));
        }
    }
}

/// Counts through the combinations of a combo, the last dimension fastest.
struct Odometer<'a> {
    combo: &'a Combo,
    /// For each placeholder of the path, the dimension that fills it.
    fillers: SmallVec<[Option<usize>; 4]>,
    at: SmallVec<[usize; 8]>,
    /// Where targets are put together, so that each takes one allocation of its own length.
    text: String,
    /// What stands before the first query parameter.
    mark: char,
    done: bool,
}

impl<'a> Odometer<'a> {
    fn new(combo: &'a Combo) -> Self {
        let fillers = combo.path.names().map(|name| combo.filler(name)).collect();
        let mark = if combo.path.has_query() { '&' } else { '?' };
        Self { combo, fillers, at: SmallVec::from_elem(0, combo.dimensions.len()), text: String::new(), mark, done: false }
    }

    /// Goes to the next combination that differs in its first `depth` values.
    fn advance(&mut self, depth: usize) {
        self.at[depth..].fill(0);
        for (at, dimension) in self.at[..depth].iter_mut().zip(&self.combo.dimensions).rev() {
            *at += 1;
            if *at < dimension.len() {
                return;
            }
            *at = 0;
        }
        self.done = true;
    }

    fn item(&mut self) -> Option<Item> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let params = |hole: usize| {
            let dimension = self.fillers[hole]?;
            if let Sent::Param(values) = &self.combo.dimensions[dimension].sent { Some(&*values[self.at[dimension]]) } else { None }
        };
        self.combo.path.render(&mut text, params)?;
        let mut headers = SmallVec::new();
        let mut mark = self.mark;
        for (dimension, at) in self.combo.dimensions.iter().zip(&self.at) {
            match &dimension.sent {
                Sent::Param(_) => {}
                Sent::Query(values) => {
                    text.push(mark);
                    text.push_str(&values[*at]);
                    mark = '&';
                }
                Sent::Header(name, values) => headers.extend(values[*at].as_ref().map(|value| (name.clone(), value.clone()))),
            }
        }
        let item = item(&text, headers);
        self.text = text;
        item
    }
}

impl Iterator for Odometer<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.done {
            return None;
        }
        // The first that covers is the one that leaves out most: what it covers needs no further look.
        if let Some(exclusion) = self.combo.exclusions.iter().find(|exclusion| exclusion.covers(&self.at)) {
            let depth = exclusion.deepest() + 1;
            self.advance(depth);
            return Some(Step::Excluded(self.combo.block(depth)));
        }
        let item = self.item();
        self.advance(self.at.len());
        Some(item.map_or(Step::Unusable, Step::Item))
    }
}

/// The request that is made from a value of a list.
fn fetched(source: &ListSource, value: &str) -> Step {
    if !source.path.accepts("value", value) {
        return Step::Unusable;
    }
    let encoded = encode(value);
    let mut text = String::with_capacity(source.path.as_str().len() + encoded.len());
    let filled = source.path.render(&mut text, |_| Some(&encoded));
    filled.and_then(|()| item(&text, source.headers.iter().cloned().collect())).map_or(Step::Unusable, Step::Item)
}

fn item(text: &str, headers: SmallVec<[(HeaderName, HeaderValue); 2]>) -> Option<Item> {
    if text.len() > LONGEST_TARGET {
        return None;
    }
    PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(text.as_bytes())).ok().map(|target| Item { target, headers })
}
