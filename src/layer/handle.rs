//! The handle to a cache: how it is made, looked into and invalidated.

use crate::cache::bans::Prefix;
use crate::cache::groups::Level;
use crate::cache::invalidation::Invalidation;
use crate::cache::key::{KeyParts, origin_of};
use crate::cache::rules::Rule;
use crate::cache::settings::Settings;
use crate::cache::{Eviction, Site};
use crate::clock::Clock;
use crate::flow::shared::Shared;
use crate::flow::visit;
use crate::telemetry::log::RequestLog;
use crate::telemetry::{Outcome, Refusal, Trigger};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, StatusCode, Uri};
use std::sync::Arc;
use std::time::Duration;

/// A cache. Cheap to clone; clones are the same cache.
#[derive(Clone, Debug)]
pub struct Cache {
    pub(super) shared: Arc<Shared>,
}

/// Makes a [`Cache`].
#[derive(Clone, Debug, Default)]
pub struct CacheBuilder {
    settings: Settings,
    clock: Clock,
    log: RequestLog,
}

/// What a cache has done and holds. Counts are since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Answers from fresh stored responses.
    pub hits: u64,
    /// Answers fetched from the origin by the request itself.
    pub misses: u64,
    /// Answers from stale stored responses, inside an allowed window.
    pub stale: u64,
    /// Answers from stored responses that the origin confirmed.
    pub revalidated: u64,
    /// Answers from a fill that another request had started.
    pub collapsed: u64,
    /// Requests handed on without a look into the cache.
    pub passed: u64,
    /// Requests that warmfront refused by itself.
    pub refused: u64,
    /// Requests for which the origin could not be asked.
    pub failed: u64,
    /// Requests whose client left before there was an answer.
    pub abandoned: u64,
    /// Invalidations: calls of this handle, and changes (unsafe requests that went well). Each counts once, however much it touched.
    pub invalidations: u64,
    /// Stored keys.
    pub entries: u64,
    /// Bytes of stored responses and of bodies in flight, as they count towards `max_bytes`.
    pub bytes: u64,
    /// The limit of `bytes`.
    pub max_bytes: u64,
}

/// What is stored for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lookup {
    /// The status of the stored response.
    pub status: StatusCode,
    /// Its current age.
    pub age: Duration,
    /// What is left of its lifetime in milliseconds; negative once stale.
    pub ttl_millis: i64,
    /// What invalidations have brought it to.
    pub level: Level,
    /// Bytes of its body.
    pub length: usize,
    /// How many answers it has given.
    pub hits: u64,
    /// The rule under which it was stored.
    pub rule: Option<Arc<str>>,
}

impl Cache {
    /// A cache with default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts to make a cache.
    #[must_use]
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

    pub(crate) fn into_shared(self) -> Arc<Shared> {
        self.shared
    }

    /// A copy of the settings in force.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::clone(&self.shared.settings.load())
    }

    /// Puts `settings` in force for all requests from now on; what is stored stays. [`Settings::max_bytes`] cannot change while the cache lives:
    /// `false` if it would have to.
    pub fn reload(&self, settings: Settings) -> bool {
        let same = settings.max_bytes == self.shared.max_bytes;
        self.shared.put_in_force(settings);
        same
    }

    /// What it has done and holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Shared { requests, store, budget, max_bytes, .. } = &*self.shared;
        Stats {
            hits: requests.total(Outcome::Hit),
            misses: requests.total(Outcome::Miss),
            stale: requests.total(Outcome::Stale),
            revalidated: requests.total(Outcome::Revalidated),
            collapsed: requests.total(Outcome::Collapsed),
            passed: requests.total(Outcome::Pass),
            refused: requests.total(Outcome::Refused),
            failed: requests.total(Outcome::Failed),
            abandoned: requests.total(Outcome::Abandoned),
            invalidations: self.shared.invalidations.all(),
            entries: store.entries(),
            bytes: store.bytes() + budget.used(),
            max_bytes: *max_bytes,
        }
    }

    /// What would be considered to answer `request`, without asking anybody; `None` if nothing is stored for it.
    #[must_use]
    pub fn lookup<B>(&self, request: Request<B>) -> Option<Lookup> {
        let Shared { settings, store, groups, clock, .. } = &*self.shared;
        let settings = settings.load();
        let (mut parts, _) = request.into_parts();
        let rule = visit::match_rule(&settings, parts.uri.path()).and_then(|rule| settings.rules.get(rule));
        let key = visit::key_for(&self.shared, &settings, rule, &mut parts.uri, &parts.headers);
        let resource = store.get(&key)?;
        let stored = resource.select(&parts.headers, |_, _| true)?;
        let (head, now) = (&stored.head, clock.now());
        Some(Lookup {
            status: head.status,
            age: Duration::from_millis(head.life().age(now)),
            ttl_millis: head.life().left(now),
            level: stored.level(groups),
            length: stored.body.len(),
            hits: stored.hits(),
            rule: head.rule().cloned(),
        })
    }

    /// Where readers ask most; `None` before one has asked.
    #[must_use]
    pub fn usual_site(&self) -> Option<Site> {
        self.shared.hosts.usual()
    }

    /// Invalidates one target, in all its variants and for every identity, and whatever is being fetched for it: an absolute URI, which names
    /// its host by both schemes, or a path and query for requests without a host. How many shared variants there were.
    pub fn invalidate(&self, uri: &Uri, level: Level) -> usize {
        self.shared.count_invalidation(Trigger::Url);
        self.invalidate_as_of(uri, level, self.shared.sequence())
    }

    /// As [`invalidate`](Self::invalidate), but only what was asked of the origin before `sequence`, and not counted.
    pub(crate) fn invalidate_as_of(&self, uri: &Uri, level: Level, sequence: u64) -> usize {
        let settings = self.shared.settings.load();
        let query = visit::keyed_query(&settings, uri.path(), uri.query());
        let none = HeaderMap::new();
        let (https, authority) = origin_of(uri, &none);
        let target = KeyParts { https, authority, path: uri.path(), query: query.as_deref(), partition: None };
        self.shared.invalidate_target_as_of(&target, level, sequence)
    }

    /// Invalidates everything that carries `tag`: by its rule, by `Cache-Tag` or by `Surrogate-Key`, also if it is still being fetched and nobody
    /// knows yet that it will. `false` if nothing is known to; a copy that has just gone may still be counted. The cost does not depend on how much it is.
    pub fn invalidate_tag(&self, tag: &str, level: Level) -> bool {
        self.shared.count_invalidation(Trigger::Tag);
        self.shared.invalidate_tag_as_of(tag, level, self.shared.sequence())
    }

    /// As [`invalidate_tag`](Self::invalidate_tag), as a part of an invalidation that has been counted.
    #[cfg(feature = "sidecar")]
    pub(crate) fn invalidate_tag_too(&self, tag: &str, level: Level) -> bool {
        self.shared.invalidate_tag_as_of(tag, level, self.shared.sequence())
    }

    /// Invalidates everything whose path begins with `prefix`, also if it is still being fetched: `/api/` of all hosts, or `http://example.com/api/`
    /// of one, whether they were asked for by `http` or `https`.
    ///
    /// The beginning is compared byte by byte with the path as it was sent: `/api/ch` meets `/api/channels`, `/api/ch/` does not. The query is no part
    /// of it; one in `prefix` is cut off. It holds when this returns, and costs no reader a walk through the store: a background thread takes that.
    /// With more than 64 prefixes not worked off yet, the two that are most alike become one, their common beginning.
    pub fn invalidate_prefix(&self, prefix: &str, level: Level) {
        self.shared.count_invalidation(Trigger::Prefix);
        self.shared.invalidate_prefix_as_of(prefix, level, self.shared.sequence());
    }

    /// Invalidates one path and query under every host and scheme, as [`invalidate_prefix`](Self::invalidate_prefix) does for a prefix: for whoever does not know
    /// under which names readers ask.
    pub fn invalidate_everywhere(&self, target: &PathAndQuery, level: Level) {
        self.shared.count_invalidation(Trigger::Url);
        let settings = self.shared.settings.load();
        let query = visit::keyed_query(&settings, target.path(), target.query());
        self.shared.invalidate_everywhere_as_of(target.path(), query.as_deref(), level, self.shared.sequence());
    }

    /// What identifies one target, with its query as it is keyed.
    pub(crate) fn prefix_of(&self, target: &Uri) -> Prefix {
        let settings = self.shared.settings.load();
        Prefix::target(target, visit::keyed_query(&settings, target.path(), target.query()).as_deref())
    }

    /// How many stored responses have left the store for this reason.
    #[must_use]
    pub fn evictions(&self, cause: Eviction) -> u64 {
        self.shared.store.evictions(cause)
    }

    /// How often the cache itself, not the service behind it, answered with this error.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.shared.refusals.of(refusal)
    }

    /// Invalidates everything. The cost does not depend on how much that is; memory is given back in the background.
    pub fn invalidate_all(&self, level: Level) {
        self.shared.count_invalidation(Trigger::All);
        self.shared.invalidate_all_as_of(level, self.shared.sequence());
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl CacheBuilder {
    /// Takes all settings at once.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets how requests are told of; default [`RequestLog::default`]: all of them, to whoever subscribes to `tracing`.
    #[must_use]
    pub fn request_log(mut self, log: RequestLog) -> Self {
        self.log = log;
        self
    }

    /// Sets the clock; tests move one of their own.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets [`Settings::max_bytes`].
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// Sets [`Settings::max_object`].
    #[must_use]
    pub fn max_object(mut self, bytes: u64) -> Self {
        self.settings.max_object = bytes;
        self
    }

    /// Sets [`Settings::default_ttl`].
    #[must_use]
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.settings.default_ttl = ttl;
        self
    }

    /// Adds a rule behind those that are there.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.settings.rules.push(rule);
        self
    }

    /// Adds what a change invalidates to that which is there.
    #[must_use]
    pub fn invalidation(mut self, invalidation: Invalidation) -> Self {
        self.settings.invalidations.push(invalidation);
        self
    }

    /// Makes the cache.
    #[must_use]
    pub fn build(self) -> Cache {
        Cache { shared: Shared::new(self.settings, self.clock, self.log) }
    }
}
