//! What can be set about a cache. A configuration file and the builder of the library are two faces of these types.

use crate::cache::invalidation::Invalidation;
use crate::cache::rules::Rule;
use std::time::Duration;

/// All settings of one cache. [`Default`] is a safe RFC 9111 shared cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether anything is looked up or stored. Without, every request passes; what is stored stays, and changes still invalidate it. Default true.
    pub enabled: bool,
    /// Bytes that stored responses and in-flight buffers may take together: bodies, headers, keys and index. Default 256 MiB.
    /// Fixed when the cache is made; a later change takes effect at the next start.
    pub max_bytes: u64,
    /// The largest response that is stored, head and body, in bytes. Larger ones stream through. Default 8 MiB.
    pub max_object: u64,
    /// Whether RFC 9111 section 4.2.2 may estimate a lifetime where the origin is silent. Default true.
    pub heuristic: bool,
    /// The lifetime of a response for which neither origin nor rule nor heuristic names one. Default zero: not reused without validation.
    pub default_ttl: Duration,
    /// How long after its lifetime a response may be served while it is refreshed (RFC 5861 section 3), where the origin says nothing. Default zero.
    pub stale_while_revalidate: Duration,
    /// How long after its lifetime a response may stand in for an error (RFC 5861 section 4), where the origin says nothing. Default zero.
    pub stale_if_error: Duration,
    /// Stored variants per key (Vary); beyond it the one used least recently goes. Default 16, at least 1.
    pub max_variants: usize,
    /// Whether responses carry `Cache-Status` (RFC 9211). Default true.
    pub cache_status: bool,
    /// What identifies a stored response, where no rule says otherwise.
    pub key: KeySettings,
    /// The first rule that matches a request's path decides. Default none.
    pub rules: Vec<Rule>,
    /// What changes invalidate beyond their own targets; all that match apply. Default none.
    pub invalidations: Vec<Invalidation>,
    /// Whether `invalidations` are in force. Without, a change still invalidates its own targets (RFC 9111 section 4.4) and the groups that its answer
    /// names (RFC 9875). Default true.
    pub smart_invalidation: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            max_bytes: 256 << 20,
            max_object: 8 << 20,
            heuristic: true,
            default_ttl: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            max_variants: 16,
            cache_status: true,
            key: KeySettings::default(),
            rules: Vec::new(),
            invalidations: Vec::new(),
            smart_invalidation: true,
        }
    }
}

/// How a query becomes part of a key. What is normalised here is normalised in the request to the origin too, so that a stored response is
/// always the answer to exactly what the origin was asked. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySettings {
    /// Names of query parameters that are dropped; a `*` at the end matches any rest: `["utm_*", "fbclid"]`. Names are compared as sent, undecoded.
    pub query_ignore: Vec<String>,
    /// Whether parameters are put in the order of their bytes.
    pub query_sort: bool,
}

impl KeySettings {
    /// Whether queries stay as they are.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.query_ignore.is_empty() && !self.query_sort
    }
}
