//! What a successful change of one part of an API invalidates in others.

use crate::cache::rules::{PathPattern, PatternError};
use http::Method;
use std::sync::Arc;

/// What is out of date after a successful (2xx or 3xx) unsafe request whose method and path match. All that match apply, in addition to what
/// RFC 9111 section 4.4 asks for: the target itself, and `Location` and `Content-Location`.
///
/// ```
/// use http::Method;
/// use warmfront::cache::invalidation::Invalidation;
/// let rule = Invalidation::path("/api/channels/**").unwrap().tag("channels").prefix("/api/models/");
/// assert!(rule.matches(&Method::PUT, "/api/channels/7") && !rule.matches(&Method::GET, "/api/channels/7"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// The methods that it is about. Safe ones (GET, HEAD, OPTIONS, TRACE ...) never invalidate, also if they are named here. Default POST, PUT,
    /// PATCH and DELETE.
    pub methods: Vec<Method>,
    /// The paths that it is about.
    pub path: PathPattern,
    /// Tags of what is out of date: of a rule, or of `Cache-Tag` and `Surrogate-Key`.
    pub tags: Vec<Arc<str>>,
    /// Beginnings of the paths that are out of date, as for [`Cache::invalidate_prefix`](crate::Cache::invalidate_prefix).
    pub prefixes: Vec<Arc<str>>,
    /// Warm groups whose requests are out of date. Nobody but who warms knows them: without, they are passed over.
    pub groups: Vec<Arc<str>>,
    /// Whether it is warmed again: then the old copies serve until their replacements are there, and what was not replaced is dropped. Otherwise,
    /// and where nobody warms, they must be validated before they are used again ([`Level::Invalid`](crate::Level::Invalid)). Default false.
    pub warm: bool,
}

impl Invalidation {
    /// One for the paths that match `pattern`, that invalidates nothing yet.
    ///
    /// # Errors
    /// The pattern is malformed.
    pub fn path(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self {
            methods: Self::default_methods(),
            path: PathPattern::parse(pattern)?,
            tags: Vec::new(),
            prefixes: Vec::new(),
            groups: Vec::new(),
            warm: false,
        })
    }

    /// POST, PUT, PATCH and DELETE.
    #[must_use]
    pub fn default_methods() -> Vec<Method> {
        vec![Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
    }

    /// Sets the methods.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds a prefix.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefixes.push(prefix.into());
        self
    }

    /// Adds a warm group.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Warms again what it invalidates.
    #[must_use]
    pub fn warm(mut self) -> Self {
        self.warm = true;
        self
    }

    /// Whether a request of this method and path (as sent, undecoded, without the query) is one that it is about.
    #[must_use]
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        !crate::rfc::method::is_safe(method) && self.methods.contains(method) && self.path.matches(path)
    }
}
