//! What is stored: the head of a response with everything that was worked out about it, and its body. Immutable but for its marks.

use crate::cache::budget::{Budget, Shelf};
use crate::cache::fields::Fields;
use crate::cache::freshness::{Life, date_of};
use crate::cache::groups::{Group, Groups, Level};
use crate::cache::key::Key;
use crate::cache::ledger::{Ledger, Warmth};
use crate::cache::secret::may_be_credentials;
use crate::clock::Stamp;
use crate::rfc::date;
use crate::rfc::range::ContentRange;
use crate::rfc::vary::Selector;
use bytes::Bytes;
use http::header::{CONTENT_LANGUAGE, CONTENT_LENGTH, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// What a stored response costs beyond its lines and its body: these structs, the nodes of the map, what the allocator rounds up. By
/// `benches/memory`: with it the count is what the process really grows by.
const FIXED_WEIGHT: usize = 820;

/// The head of a storable response. It exists before the body has arrived, so that followers can be released at the headers.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// Without `Age`.
    pub(crate) fields: Fields,
    pub(crate) life: Life,
    pub(crate) last_modified: Option<u64>,
    pub(crate) date: Option<u64>,
    /// The selecting fields of the request, if the response has `Vary`.
    pub(crate) selector: Option<Box<Selector>>,
    /// The name of the rule under which it was stored.
    pub(crate) rule: Option<Arc<str>>,
    pub(crate) lineage: Lineage,
}

/// Where a response comes from, as invalidation sees it.
#[derive(Clone, Debug)]
pub(crate) struct Lineage {
    /// The sequence number at which its fetch began.
    pub(crate) born: u64,
    /// The groups that it belongs to.
    pub(crate) groups: Arc<[Arc<Group>]>,
    /// What it is stored under.
    pub(crate) key: Key,
}

impl Lineage {
    pub(crate) fn level(&self, everything: &Groups) -> Level {
        let own = self.groups.iter().map(|group| group.level_since(self.born)).max().unwrap_or_default();
        own.max(everything.level_since(&self.key, self.born))
    }

    /// The key is counted for each variant: after a refresh it is a copy of its own.
    fn weight(&self) -> usize {
        self.key.weight() + self.groups.iter().map(|group| group.weight()).sum::<usize>()
    }
}

impl Head {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, life: Life, lineage: Lineage) -> Self {
        Self {
            status,
            last_modified: headers.get(LAST_MODIFIED).and_then(|value| date::parse(value.as_bytes())),
            date: date_of(headers),
            fields: Fields::compact(headers),
            life,
            selector: None,
            rule: None,
            lineage,
        }
    }

    pub(crate) fn etag(&self) -> Option<HeaderValue> {
        self.fields.get(&ETAG)
    }

    /// Whether the origin can be asked if it is still the same.
    pub(crate) fn has_validator(&self) -> bool {
        self.fields.has(&ETAG) || self.fields.has(&LAST_MODIFIED)
    }

    /// Whether the request's selecting fields are those of this response (RFC 9111 section 4.1).
    pub(crate) fn is_selected_by(&self, request: &HeaderMap) -> bool {
        self.selector.as_ref().is_none_or(|selector| selector.matches(request))
    }

    /// Whether nothing can be said about its selection by who has not seen the request's forwarding fields.
    pub(crate) fn reads_forwarding(&self) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.reads_forwarding())
    }

    /// Whether its request can be made again from what is stored: the values of its selecting fields are no credentials.
    pub(crate) fn is_replayable(&self) -> bool {
        self.selector.as_ref().is_none_or(|selector| !selector.fields().iter().any(|name| may_be_credentials(name.as_str())))
    }

    /// Whether content negotiation for the language could only have ended here: nothing but Accept-Language selects, the request prefers one
    /// language above all others, and this is it. See `manual::decisions`.
    fn is_preferred_by(&self, request: &HeaderMap) -> bool {
        let Some(selector) = &self.selector else { return false };
        selector.is_plain_language()
            && self
                .fields
                .get(&CONTENT_LANGUAGE)
                .is_some_and(|language| crate::rfc::vary::preferred_language_is(request, language.as_bytes()))
    }

    /// Whether the status allows content (RFC 9110 sections 15.3.5 and 15.3.6).
    pub(crate) fn may_have_content(&self) -> bool {
        !matches!(self.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
    }

    /// The same head, with the length that its body turned out to have.
    pub(crate) fn with_length(&self, length: usize) -> Self {
        let mut headers = self.fields.to_map();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        Self {
            selector: self.selector.clone(),
            rule: self.rule.clone(),
            ..Self::new(self.status, &headers, self.life, self.lineage.clone())
        }
    }

    fn weight(&self) -> usize {
        self.fields.weight() + self.selector.as_ref().map_or(0, |selector| selector.weight()) + self.lineage.weight()
    }
}

/// One stored response: one variant of a target.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) head: Arc<Head>,
    pub(crate) body: Bytes,
    /// After the body, so that it counts for nobody if nobody else holds that.
    shelf: Option<Arc<Shelf>>,
    pub(crate) trailers: Option<Box<HeaderMap>>,
    /// Which bytes `body` is, if it is not the whole representation (a stored 206).
    pub(crate) range: Option<ContentRange>,
    /// What fetching it took, from the question to the end of the body, in milliseconds.
    pub(crate) cost_millis: u32,
    /// Its entry in the account of the warm group that fetched it.
    pub(crate) warmth: Option<Warmth>,
    /// Whether readers had hit the copy whose place it took without being asked to.
    is_heir: bool,
    mark: AtomicU8,
    nominated: AtomicBool,
    used: AtomicU64,
    hits: AtomicU64,
}

impl Stored {
    pub(crate) fn new(head: Arc<Head>, body: Bytes, trailers: Option<Box<HeaderMap>>, range: Option<ContentRange>) -> Self {
        Self {
            used: AtomicU64::new(head.life.received.millis()),
            head,
            body,
            shelf: None,
            trailers,
            range,
            cost_millis: 0,
            warmth: None,
            is_heir: false,
            mark: AtomicU8::new(0),
            nominated: AtomicBool::new(false),
            hits: AtomicU64::new(0),
        }
    }

    /// The same body under another head.
    pub(crate) fn under(&self, head: Arc<Head>) -> Self {
        let mut new = Self::new(head, self.body.clone(), self.trailers.clone(), self.range);
        new.shelf.clone_from(&self.shelf);
        new
    }

    /// The same, and its body counts in `budget` when it outlives it in the hands of readers.
    pub(crate) fn followed_by(mut self, budget: &Budget) -> Self {
        (self.body, self.shelf) = budget.follow(std::mem::take(&mut self.body));
        self
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
        let trailers = self.trailers.iter().map(|trailers| Fields::compact(trailers).weight()).sum::<usize>();
        FIXED_WEIGHT + self.head.weight() + self.body.len() + trailers
    }

    /// What invalidations have brought it to. A ban that hits it is marked on it, as the sweep would.
    pub(crate) fn level(&self, everything: &Groups) -> Level {
        let Lineage { born, key, .. } = &self.head.lineage;
        // The bans first: one that is not found any more has left its mark.
        let banned = everything.banned(key, *born);
        if banned > Level::Valid {
            self.mark(banned);
        }
        let own = match self.mark.load(Ordering::Acquire) {
            0 => Level::Valid,
            1 => Level::Stale,
            2 => Level::Invalid,
            _ => Level::Dead,
        };
        own.max(self.head.lineage.level(everything))
    }

    /// Invalidates this copy alone.
    pub(crate) fn mark(&self, level: Level) {
        self.mark.fetch_max(level as u8, Ordering::AcqRel);
    }

    /// Counts an answer given from it to a reader; how many there are now.
    pub(crate) fn touch(&self, now: Stamp) -> u64 {
        self.used.store(now.millis(), Ordering::Relaxed);
        let before = self.hits.fetch_add(1, Ordering::Relaxed);
        if before == 0
            && let Some(warmth) = &self.warmth
        {
            warmth.pay();
        }
        before + 1
    }

    /// Asks for a nomination; the first to ask gets it, if the response can be asked for again without its reader: it is whole, it had a lifetime,
    /// and no credentials selected it.
    pub(crate) fn nominate(&self) -> bool {
        let first = !self.nominated.load(Ordering::Relaxed) && !self.nominated.swap(true, Ordering::Relaxed);
        first && self.range.is_none() && self.head.life.lifetime > 0 && self.head.is_replayable()
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Whether a newer response would be selected by the very same requests.
    pub(crate) fn same_variant(&self, other: &Self) -> bool {
        let print = |stored: &Self| stored.head.selector.as_ref().map(|selector| selector.fingerprint().to_vec());
        print(self) == print(other)
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.head.lineage.groups.iter().for_each(|group| group.bury());
    }
}

/// All that is stored for one key, newest first.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) variants: Vec<Arc<Stored>>,
}

impl Resource {
    /// The stored response that `request` selects; whole ones before parts, newer ones before older ones. `part` decides whether a stored part will do.
    pub(crate) fn select(&self, request: &HeaderMap, part: impl Fn(&Head, &ContentRange) -> bool) -> Option<&Arc<Stored>> {
        self.place_of(request, part).map(|at| &self.variants[at])
    }

    /// The same, held by all this.
    ///
    /// # Errors
    /// None is selected.
    pub(crate) fn choose(self: Arc<Self>, request: &HeaderMap, part: impl Fn(&Head, &ContentRange) -> bool) -> Result<Chosen, Arc<Self>> {
        match self.place_of(request, part) {
            Some(at) => Ok(Chosen { resource: self, at }),
            None => Err(self),
        }
    }

    fn place_of(&self, request: &HeaderMap, part: impl Fn(&Head, &ContentRange) -> bool) -> Option<usize> {
        let fits = |stored: &Stored| stored.range.as_ref().is_none_or(|range| part(&stored.head, range));
        let selected = |whole: bool| {
            let mut variants = self.variants.iter();
            variants.position(|stored| stored.range.is_none() == whole && fits(stored) && stored.head.is_selected_by(request))
        };
        selected(true)
            .or_else(|| selected(false))
            .or_else(|| self.variants.iter().position(|stored| fits(stored) && stored.head.is_preferred_by(request)))
    }

    /// The selecting fields of the newest variant.
    pub(crate) fn selecting_fields(&self) -> &[HeaderName] {
        self.variants.first().and_then(|stored| stored.head.selector.as_ref()).map_or(&[], |selector| selector.fields())
    }

    /// The same resource with `new` in it: what it replaces goes, and beyond `max_variants` or `max_weight` bytes what was used least recently.
    pub(crate) fn with(old: Option<&Self>, new: Arc<Stored>, max_variants: usize, max_weight: usize, everything: &Groups) -> Self {
        let stays = |stored: &&Arc<Stored>| stored.level(everything) < Level::Dead && !new.supersedes(stored);
        let mut others: Vec<_> = old.iter().flat_map(|old| &old.variants).filter(stays).cloned().collect();
        let mut weight = new.weight() + others.iter().map(|stored| stored.weight()).sum::<usize>();
        while others.len() + 1 > max_variants.max(1) || (weight > max_weight && !others.is_empty()) {
            let Some(oldest) = (0..others.len()).min_by_key(|at| others[*at].used.load(Ordering::Relaxed)) else { break };
            weight -= others.remove(oldest).weight();
        }
        others.insert(0, new);
        Self { variants: others }
    }

    pub(crate) fn weight(&self) -> usize {
        self.variants.iter().map(|stored| stored.weight()).sum()
    }
}

/// One variant, held by the resource that it belongs to: what all readers share is counted once for a hit, not once for each.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    resource: Arc<Resource>,
    at: usize,
}

impl Chosen {
    /// The variant by itself.
    pub(crate) fn stored(&self) -> &Arc<Stored> {
        &self.resource.variants[self.at]
    }
}

impl Deref for Chosen {
    type Target = Stored;

    fn deref(&self) -> &Stored {
        self.stored()
    }
}

impl Stored {
    /// Whether `old` has no use beside this newer response: it is the same variant, and either this is whole or `old` is a part, or the two are
    /// not versions of one representation (RFC 9111 section 3.4).
    fn supersedes(&self, old: &Self) -> bool {
        self.same_variant(old) && (self.range.is_none() || old.range.is_some() || self.head.etag() != old.head.etag())
    }
}
