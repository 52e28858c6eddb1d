//! Whether the cache must see the forwarding fields of requests, and what it cannot tell of a request without them.

use crate::cache::head::Head;
use crate::cache::rules::{Identity, Rule};
use crate::cache::settings::Settings;
use crate::rfc::forwarding::is_written_by_a_proxy;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once something turns on what `X-Forwarded-For` and its like say, and never taken back: a response that varies by one of them comes again. Only the sidecar asks:
/// until then it puts those fields on behind the cache.
#[derive(Debug, Default)]
pub(crate) struct Forwarding(AtomicBool);

impl Forwarding {
    /// Somebody reads them.
    pub(crate) fn read(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Follows rules: an identity may be read from one of them.
    pub(crate) fn follow(&self, settings: &Settings) {
        if settings.rules.iter().any(Rule::identifies_by_forwarding) {
            self.read();
        }
    }

    /// Follows the warm-up of users: their identity may be read from one of them.
    pub(crate) fn follow_user(&self, identity: Option<&Identity>) {
        if identity.is_some_and(|identity| is_written_by_a_proxy(&identity.header)) {
            self.read();
        }
    }

    /// Whether somebody does.
    #[cfg(feature = "sidecar")]
    pub(crate) fn is_read(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much of a request the cache sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// All that the origin is told.
    Whole,
    /// All but its forwarding fields, which are put on behind the cache.
    #[cfg_attr(not(feature = "sidecar"), expect(dead_code, reason = "only the sidecar puts fields on behind the cache"))]
    BeforeForwarding,
}

impl Sight {
    /// Whether the origin is told more.
    pub(crate) const fn is_partial(self) -> bool {
        matches!(self, Self::BeforeForwarding)
    }

    /// Whether it is not known of this request what a stored response was selected by (RFC 9111 section 4.1).
    pub(crate) fn hides_selection(self, head: &Head) -> bool {
        self.is_partial() && head.reads_forwarding()
    }

    /// Whether the identity that a rule asks for is not known of this request.
    pub(crate) fn hides_identity(self, rule: &Rule) -> bool {
        self.is_partial() && rule.identifies_by_forwarding()
    }
}
