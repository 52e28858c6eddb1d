//! What is stored, the most interesting first, page by page.

use crate::cache::groups::Level;
use crate::cache::key::Key;
use crate::cache::resource::Resource;
use crate::cache::store;
use crate::clock::Stamp;
use crate::flow::shared::Shared;
use crate::layer::Cache;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Entries of a page, at most.
pub const MOST_KEYS: usize = 1000;
/// Stored keys that one call looks at, at most.
const MOST_LOOKED_AT: usize = 1_000_000;

/// What goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeySort {
    /// What has given most answers.
    #[default]
    Hits,
    /// What takes most memory.
    Bytes,
    /// What is oldest.
    Age,
    /// What expires first, or has expired.
    Ttl,
}

/// Where a page ends. The next begins behind it, also if entries have come and gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCursor {
    /// The order that it belongs to.
    pub sort: KeySort,
    place: Place,
}

/// The place of a key in an order: its rank, then its hash. Larger goes first.
type Place = (u64, u64);

/// Some of what is stored.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyPage {
    /// In the order asked for.
    pub entries: Vec<KeyEntry>,
    /// Where to go on; `None`: this was the last.
    pub next: Option<KeyCursor>,
    /// Whether everything stored was looked at. If not, the cache holds more than a million keys, and those looked at are any million of them.
    pub complete: bool,
}

/// One key, with all of its variants taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyEntry {
    /// Scheme, authority, path and query, as they are keyed.
    pub url: String,
    /// It belongs to one identity, which is not told.
    pub partitioned: bool,
    /// Answers given.
    pub hits: u64,
    /// Bytes, as they count towards `max_bytes`.
    pub bytes: u64,
    /// The age of the newest variant.
    pub age: Duration,
    /// What is left of its lifetime in milliseconds; negative once stale.
    pub ttl_millis: i64,
    /// What invalidations have brought it to.
    pub level: Level,
    /// The rule under which it was stored.
    pub rule: Option<Arc<str>>,
    /// Whether a warm group has an account of a variant.
    pub warmed: bool,
    /// Stored variants.
    pub variants: usize,
}

impl KeySort {
    /// All orders.
    pub const ALL: [Self; 4] = [Self::Hits, Self::Bytes, Self::Age, Self::Ttl];

    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hits => "hits",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Ttl => "ttl",
        }
    }

    /// The order of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == name)
    }

    /// The larger, the sooner it is shown. Of times only what does not change as time goes by: a cursor must hold for a while.
    fn rank(self, key: &Key, resource: &Resource) -> u64 {
        let life = || resource.newest().head.life();
        let born = || life().received.millis().saturating_sub(life().initial_age);
        match self {
            Self::Hits => hits(resource),
            Self::Bytes => bytes(key, resource),
            Self::Age => u64::MAX - born(),
            Self::Ttl => u64::MAX - born().saturating_add(life().lifetime),
        }
    }
}

impl Cache {
    /// What is stored, in the order of `sort`, from `cursor` on: at most `limit` entries (at least 1, at most [`MOST_KEYS`]).
    ///
    /// A call looks at each stored key once, at most at a million: about a microsecond each, in steps between which it lets other threads run, and holds
    /// no lock that readers want. It keeps `limit` of them in memory. Nothing of it counts as a use. An entry whose hits or bytes
    /// change between two pages may be shown twice or not at all.
    #[must_use]
    pub fn keys(&self, sort: KeySort, limit: usize, cursor: Option<KeyCursor>) -> KeyPage {
        let shared = &**self.shared();
        let limit = limit.clamp(1, MOST_KEYS);
        let mut page: BTreeMap<Place, (Arc<Key>, Resource)> = BTreeMap::new();
        let mut more = false;
        let complete = shared.store.look_through(MOST_LOOKED_AT, |key, resource| {
            let place = (sort.rank(&key, &resource), key.hash_value());
            if cursor.is_some_and(|cursor| place >= cursor.place) {
                return;
            }
            if page.len() < limit {
                page.insert(place, (key, resource));
            } else {
                more = true;
                if page.first_key_value().is_some_and(|(last, _)| *last < place) {
                    page.insert(place, (key, resource));
                    page.pop_first();
                }
            }
        });
        let next = page.first_key_value().filter(|_| more).map(|(place, _)| KeyCursor { sort, place: *place });
        let now = shared.clock.now();
        let entries = page.into_values().rev().filter_map(|(key, resource)| KeyEntry::of(shared, &key, &resource, now)).collect();
        KeyPage { entries, next, complete }
    }
}

impl KeyEntry {
    fn of(shared: &Shared, key: &Key, resource: &Resource, now: Stamp) -> Option<Self> {
        let newest = resource.newest();
        let query = key.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(Self {
            url: format!("{}://{}{}{query}", if key.is_https() { "https" } else { "http" }, key.authority(), key.path()),
            partitioned: key.is_partitioned(),
            hits: hits(resource),
            bytes: bytes(key, resource),
            age: Duration::from_millis(newest.head.life().age(now)),
            ttl_millis: newest.head.life().left(now),
            level: newest.level(&shared.groups),
            rule: newest.head.rule().cloned(),
            warmed: resource.variants().iter().any(|stored| stored.warmth.is_some()),
            variants: resource.variants().len(),
        })
    }
}

fn hits(resource: &Resource) -> u64 {
    resource.variants().iter().map(|stored| stored.hits()).sum()
}

fn bytes(key: &Key, resource: &Resource) -> u64 {
    store::weight(key, resource) as u64
}

/// As one word without meaning to anybody else: `hits-2a-9f3c`.
impl fmt::Display for KeyCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}-{:x}", self.sort.as_str(), self.place.0, self.place.1)
    }
}

/// A word that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCursor;

impl fmt::Display for NoCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no cursor of this list: take the one that came with the page before")
    }
}

impl std::error::Error for NoCursor {}

impl FromStr for KeyCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let mut parts = text.splitn(3, '-');
        let sort = parts.next().and_then(KeySort::named);
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        match (sort, number(), number()) {
            (Some(sort), Some(rank), Some(hash)) => Ok(Self { sort, place: (rank, hash) }),
            _ => Err(NoCursor),
        }
    }
}
