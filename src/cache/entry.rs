//! What is stored: the head of a response with everything that was worked out about it, and its body. Immutable but for its marks.
//!
//! There may be millions, so each is one allocation beside its lines, its body and its key; the members are ordered and sized for that, and what few have
//! is in a box. A test says what it comes to.

use crate::cache::budget::{Budget, Shelf};
use crate::cache::fields::Fields;
use crate::cache::groups::{Groups, Level};
use crate::cache::head::Head;
use crate::cache::ledger::{Ledger, Warmth};
use crate::cache::room::{room, shared_room};
use crate::clock::Stamp;
use crate::rfc::range::ContentRange;
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// What the readers of a body share, beside its bytes.
const SHARED_BODY: usize = 32;

/// One stored response: one variant of a target.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
    rare: Option<Box<Rare>>,
    /// Its entry in the account of the warm group that fetched it.
    pub(crate) warmth: Option<Warmth>,
    used: AtomicU64,
    hits: AtomicU32,
    /// What fetching it took, from the question to the end of the body, in milliseconds.
    pub(crate) cost_millis: u32,
    mark: AtomicU8,
    nominated: AtomicBool,
    /// Whether readers had hit the copy whose place it took without being asked to.
    is_heir: bool,
}

/// What few stored responses have.
#[derive(Debug, Default)]
struct Rare {
    /// Dropped after the body, so that it counts for nobody if nobody else holds that.
    shelf: Option<Arc<Shelf>>,
    trailers: Option<Fields>,
    /// Which bytes `body` is, if it is not the whole representation (a stored 206).
    range: Option<ContentRange>,
}

/// Hits stop being counted a little below what their number can be: as many threads may be counting at once.
const MOST_HITS: u32 = u32::MAX - (1 << 16);

impl Stored {
    pub(crate) fn new(head: Head, body: Bytes, trailers: Option<HeaderMap>, range: Option<ContentRange>) -> Self {
        let trailers = trailers.filter(|trailers| !trailers.is_empty()).map(|trailers| Fields::compact(&trailers));
        let rare = (trailers.is_some() || range.is_some()).then(|| Box::new(Rare { shelf: None, trailers, range }));
        Self {
            used: AtomicU64::new(head.life().received.millis()),
            head,
            body,
            rare,
            cost_millis: 0,
            warmth: None,
            is_heir: false,
            mark: AtomicU8::new(0),
            nominated: AtomicBool::new(false),
            hits: AtomicU32::new(0),
        }
    }

    /// The same body under another head.
    pub(crate) fn under(&self, head: Head) -> Self {
        let mut new = Self::new(head, self.body.clone(), self.trailers(), self.range());
        new.put_on(self.rare.as_ref().and_then(|rare| rare.shelf.clone()));
        new
    }

    /// The same, and its body counts in `budget` when it outlives it in the hands of readers.
    pub(crate) fn followed_by(mut self, budget: &Budget) -> Self {
        let (body, shelf) = budget.follow(std::mem::take(&mut self.body));
        self.body = body;
        self.put_on(shelf);
        self
    }

    fn put_on(&mut self, shelf: Option<Arc<Shelf>>) {
        if shelf.is_some() {
            self.rare.get_or_insert_default().shelf = shelf;
        }
    }

    pub(crate) fn trailers(&self) -> Option<HeaderMap> {
        self.rare.as_ref()?.trailers.as_ref().map(Fields::to_map)
    }

    /// Which bytes the body is, if it is not the whole representation (a stored 206).
    pub(crate) fn range(&self) -> Option<ContentRange> {
        self.rare.as_ref()?.range
    }

    /// Whether it is a head and a whole body and nothing else: no part, no trailers.
    pub(crate) fn is_plain(&self) -> bool {
        self.rare.as_ref().is_none_or(|rare| rare.range.is_none() && rare.trailers.is_none())
    }

    /// The same, with what fetching it took.
    pub(crate) fn costing(mut self, cost_millis: u32) -> Self {
        self.cost_millis = cost_millis;
        self
    }

    /// The same, in the place of `old`, which warming has replaced: for one generation it counts as read if that was.
    pub(crate) fn after(mut self, old: Option<&Self>) -> Self {
        self.is_heir = old.is_some_and(|old| old.hits() > 0);
        self
    }

    /// Whether readers had hit the copy whose place it took.
    pub(crate) fn is_heir(&self) -> bool {
        self.is_heir
    }

    /// The same, entered into the account of whoever warmed it.
    pub(crate) fn warmed(mut self, warmth: Option<Warmth>) -> Self {
        self.warmth = warmth;
        self
    }

    /// The account of the warm group that fetched it.
    pub(crate) fn ledger(&self) -> Option<Arc<Ledger>> {
        self.warmth.as_ref().map(|warmth| Arc::clone(warmth.ledger()))
    }

    /// Bytes that it takes: head, body, trailers, index.
    pub(crate) fn weight(&self) -> usize {
        let rare = self.rare.as_ref().map_or(0, |rare| rare.weight());
        let body = if self.body.is_empty() { 0 } else { room(self.body.len()) + SHARED_BODY };
        shared_room(size_of::<Self>()) + self.head.weight() + body + rare
    }

    /// What invalidations have brought it to. A ban that hits it is marked on it, as the sweep would.
    pub(crate) fn level(&self, everything: &Groups) -> Level {
        // The bans first: one that is not found any more has left its mark.
        let banned = everything.banned(&self.head.key, self.head.born());
        if banned > Level::Valid {
            self.mark(banned);
        }
        let own = match self.mark.load(Ordering::Acquire) {
            0 => Level::Valid,
            1 => Level::Stale,
            2 => Level::Invalid,
            _ => Level::Dead,
        };
        own.max(self.head.level(everything))
    }

    /// Invalidates this copy alone.
    pub(crate) fn mark(&self, level: Level) {
        self.mark.fetch_max(level as u8, Ordering::AcqRel);
    }

    /// Counts an answer given from it to a reader; how many there are now.
    pub(crate) fn touch(&self, now: Stamp) -> u64 {
        // Not written where it says so already: other cores read what lies beside it.
        if self.used.load(Ordering::Relaxed) != now.millis() {
            self.used.store(now.millis(), Ordering::Relaxed);
        }
        let before = self.hits.fetch_add(1, Ordering::Relaxed);
        if before >= MOST_HITS {
            self.hits.store(MOST_HITS, Ordering::Relaxed);
            return MOST_HITS.into(); // and no other number, which might be one at which something is done
        }
        if before == 0
            && let Some(warmth) = &self.warmth
        {
            warmth.pay();
        }
        u64::from(before) + 1
    }

    /// Asks for a nomination; the first to ask gets it, if the response can be asked for again without its reader: it is whole, it had a lifetime,
    /// and no credentials selected it.
    pub(crate) fn nominate(&self) -> bool {
        let first = !self.nominated.load(Ordering::Relaxed) && !self.nominated.swap(true, Ordering::Relaxed);
        first && self.range().is_none() && self.head.life().lifetime > 0 && self.head.is_replayable()
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed).into()
    }

    /// Whether a newer response would be selected by the very same requests.
    pub(crate) fn same_variant(&self, other: &Self) -> bool {
        self.head.fingerprint() == other.head.fingerprint()
    }

    /// Whether `old` has no use beside this newer response: it is the same variant, and either this is whole or `old` is a part, or the two are
    /// not versions of one representation (RFC 9111 section 3.4).
    pub(crate) fn supersedes(&self, old: &Self) -> bool {
        self.same_variant(old) && (self.range().is_none() || old.range().is_some() || self.head.etag() != old.head.etag())
    }

    /// When it was last used, in milliseconds.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Rare {
    fn weight(&self) -> usize {
        room(size_of::<Self>()) + self.trailers.as_ref().map_or(0, Fields::weight)
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.head.groups().iter().for_each(|group| group.bury());
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_HITS, Stored};
    use crate::cache::freshness::{Life, LifetimeSource};
    use crate::cache::head::{Head, Lineage};
    use crate::cache::key::{Key, KeyParts, KeySecrets};
    use crate::cache::resource::Resource;
    use crate::clock::Stamp;
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use std::sync::atomic::Ordering;

    const NOW: Stamp = Stamp::from_millis(1_700_000_000_000);

    fn stored(trailers: Option<HeaderMap>) -> Stored {
        let key = KeySecrets::new().build(&KeyParts { https: false, authority: "h", path: "/", query: None, partition: None }).to_key();
        let life = Life {
            received: NOW,
            initial_age: 0,
            lifetime: 1000,
            source: LifetimeSource::Origin,
            stale_while_revalidate: 0,
            stale_if_error: 0,
            must_revalidate: false,
            no_cache: false,
        };
        let head = Head::new(StatusCode::OK, &HeaderMap::new(), life, Lineage { born: 0, groups: None, key });
        Stored::new(head, Bytes::from_static(b"body"), trailers, None)
    }

    /// Each entry costs what the allocator's next class above it is: 16 bytes apart up to 128, then a quarter of a power of two.
    #[test]
    fn a_stored_response_takes_no_larger_class_of_the_allocator_than_it_is_weighed_for() {
        let counts = 2 * size_of::<usize>();
        assert!(counts + size_of::<Stored>() <= 192, "{}", size_of::<Stored>());
        assert!(size_of::<Head>() <= 96, "{}", size_of::<Head>());
        // In moka's allocations of their own, with 16 and 24 bytes of its own: classes of 32 and 48.
        assert!((size_of::<Key>(), size_of::<Resource>()) <= (16, 16));
    }

    #[test]
    fn hits_that_are_counted_no_more_are_no_hit_at_which_something_is_done() {
        let stored = stored(None);
        stored.hits.store(MOST_HITS - 1, Ordering::Relaxed);
        for _ in 0..200 {
            assert_eq!((stored.touch(NOW), stored.hits()), (u64::from(MOST_HITS), u64::from(MOST_HITS)));
        }
        assert!(!u64::from(MOST_HITS).is_multiple_of(64), "the stride of samples");
    }

    #[test]
    fn trailers_come_back_as_they_came_and_weigh_their_lines() {
        let mut trailers = HeaderMap::new();
        for n in 0..100_u32 {
            trailers.append("x-sum", n.into());
        }
        let with = stored(Some(trailers.clone()));
        assert_eq!(with.trailers(), Some(trailers));
        let each = (with.weight() - stored(None).weight()) / 100;
        assert!((14..32).contains(&each), "{each}: as it is kept, a line of text");
        assert!(stored(Some(HeaderMap::new())).is_plain());
    }
}
