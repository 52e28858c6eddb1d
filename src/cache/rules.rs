//! Rules: what an operator knows about a part of the API. The first rule whose path matches a request decides.

mod pattern;

pub use pattern::{PathPattern, PatternError};

use crate::cache::settings::KeySettings;
use crate::rfc::forwarding::is_written_by_a_proxy;
use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;

/// What holds for the requests whose path matches. Origin headers win over a rule unless [`override_origin`](Self::override_origin) is set.
///
/// ```
/// use std::time::Duration;
/// use warmfront::Rule;
/// let rule = Rule::path("/api/schools/**").unwrap().ttl(Duration::from_secs(300)).tag("schools");
/// assert!(rule.matches("/api/schools/primary") && !rule.matches("/api/brands"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The name in `Cache-Status`, logs and metrics. [`Rule::path`] takes the pattern itself.
    pub name: Arc<str>,
    /// Which paths it is about.
    pub path: PathPattern,
    /// Never look up, never store, never buffer.
    pub pass: bool,
    /// The lifetime where the origin names none; with `override_origin` also where it does.
    pub ttl: Option<Duration>,
    /// As [`Settings::stale_while_revalidate`](crate::Settings::stale_while_revalidate), for these paths.
    pub stale_while_revalidate: Option<Duration>,
    /// As [`Settings::stale_if_error`](crate::Settings::stale_if_error), for these paths.
    pub stale_if_error: Option<Duration>,
    /// Whether `ttl`, `stale_while_revalidate` and `stale_if_error` win over the origin's own. Prohibitions of the origin (`no-store`, `private`, Set-Cookie) still hold
    /// unless they are named in `ignore`. Default false.
    pub override_origin: bool,
    /// Prohibitions that these paths disregard. Default none.
    pub ignore: Ignore,
    /// Tags of what is stored, for invalidation.
    pub tags: Vec<Arc<str>>,
    /// A partition of its own for each value of a request header; what is stored in one is unreachable from any other.
    pub per_identity: Option<Identity>,
    /// How the query becomes part of the key; `None`: as the cache's own settings say.
    pub key: Option<KeySettings>,
}

/// Where a request's identity is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The request header whose whole value (all lines) is the identity. It is kept only as a keyed hash.
    pub header: HeaderName,
}

/// Prohibitions of a response that a rule disregards. Each is an opt-out of a protection; the default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    /// Store in spite of `no-store` in the response.
    pub no_store: bool,
    /// Store in spite of `private`.
    pub private: bool,
    /// Store responses with `Set-Cookie` and give the cookie to everybody.
    pub set_cookie: bool,
    /// Reuse in spite of `no-cache` in the response.
    pub no_cache: bool,
}

impl Ignore {
    /// The words of the configuration file, in the order of the fields.
    pub const WORDS: [&'static str; 4] = ["no-store", "private", "set-cookie", "no-cache"];

    /// Adds the prohibition called `word`; `false` if there is none of that name.
    pub fn add(&mut self, word: &str) -> bool {
        match word {
            "no-store" => self.no_store = true,
            "private" => self.private = true,
            "set-cookie" => self.set_cookie = true,
            "no-cache" => self.no_cache = true,
            _ => return false,
        }
        true
    }
}

impl Rule {
    /// A rule for the paths that match `pattern` (see [`PathPattern`]) that changes nothing yet.
    ///
    /// # Errors
    /// The pattern is malformed.
    pub fn path(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self {
            name: pattern.into(),
            path: PathPattern::parse(pattern)?,
            pass: false,
            ttl: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            override_origin: false,
            ignore: Ignore::default(),
            tags: Vec::new(),
            per_identity: None,
            key: None,
        })
    }

    /// Sets the name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the lifetime where the origin names none.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets how long a stale response may be served while it is refreshed.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = Some(window);
        self
    }

    /// Sets how long a stale response may stand in for an error.
    #[must_use]
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = Some(window);
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Gives each value of `header` a partition of its own.
    #[must_use]
    pub fn per_identity(mut self, header: HeaderName) -> Self {
        self.per_identity = Some(Identity { header });
        self
    }

    /// Makes these paths pass: never looked up, never stored.
    #[must_use]
    pub fn pass(mut self) -> Self {
        self.pass = true;
        self
    }

    /// Makes the rule's durations win over the origin's.
    #[must_use]
    pub fn override_origin(mut self) -> Self {
        self.override_origin = true;
        self
    }

    /// Whether its identity is read from a field that [a proxy writes](crate::rfc::forwarding).
    pub(crate) fn identifies_by_forwarding(&self) -> bool {
        self.per_identity.as_ref().is_some_and(|identity| is_written_by_a_proxy(&identity.header))
    }

    /// Whether `path` (as sent, undecoded, without the query) matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.path.matches(path)
    }
}
