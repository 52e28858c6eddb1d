//! What the rules can tell of a request before it is made: that its answer will not be stored, or not be of use to everybody. Pure.

use crate::cache::rules::Rule;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use std::fmt;
use std::sync::Arc;

/// Why the answer to a request will not be stored, or will serve fewer readers than one may think.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// A rule hands it on: never looked up, never stored.
    Pass {
        /// The name of the rule.
        rule: Arc<str>,
    },
    /// Something in the request itself keeps it out of the cache, in the word of `Cache-Status`: `override-header`.
    Bypass(&'static str),
    /// A rule with `per_identity`, and the request names nobody: the copy is for readers who do not either.
    Nobody {
        /// The name of the rule.
        rule: Arc<str>,
        /// The header that it lacks.
        header: HeaderName,
    },
    /// It has credentials, so the answer is stored only if it allows sharing by its own word (RFC 9111 section 3.5).
    Authorization,
    /// A rule that overrides the origin says `ttl = 0s`: the copy is never fresh.
    NeverFresh {
        /// The name of the rule.
        rule: Arc<str>,
    },
}

impl Obstacle {
    /// What `rule` and the headers of a request that reaches the cache tell.
    pub(crate) fn of(rule: Option<&Rule>, headers: &HeaderMap) -> Option<Self> {
        let identity = rule.and_then(|rule| rule.per_identity.as_ref().map(|identity| (rule, &identity.header)));
        if let Some((rule, header)) = identity.filter(|(_, header)| !headers.contains_key(*header)) {
            return Some(Self::Nobody { rule: Arc::clone(&rule.name), header: header.clone() });
        }
        if headers.contains_key(AUTHORIZATION) && identity.is_none_or(|(_, header)| *header != AUTHORIZATION) {
            return Some(Self::Authorization);
        }
        let never = rule.filter(|rule| rule.override_origin && rule.ttl.is_some_and(|ttl| ttl.is_zero()));
        never.map(|rule| Self::NeverFresh { rule: Arc::clone(&rule.name) })
    }

    /// Whether nothing is stored, whatever the origin answers. A warm run does not even ask.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Pass { .. } | Self::Bypass(_))
    }

    /// The one spelling of its kind.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pass { .. } => "pass",
            Self::Bypass(_) => "bypass",
            Self::Nobody { .. } => "nobody",
            Self::Authorization => "authorization",
            Self::NeverFresh { .. } => "never-fresh",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass { rule } => write!(f, "never stored: rule {rule:?} says pass"),
            Self::Bypass(why) => write!(f, "never stored: {why}"),
            Self::Nobody { rule, header } => write!(f, "only for readers without {header}: rule {rule:?} keeps a copy per identity"),
            Self::Authorization => {
                f.write_str("stored only if shareable: it has credentials, so the answer must say public, s-maxage or must-revalidate")
            }
            Self::NeverFresh { rule } => write!(f, "never fresh: rule {rule:?} says ttl = 0s over the origin"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Obstacle;
    use crate::cache::rules::Rule;
    use http::header::{AUTHORIZATION, COOKIE};
    use http::{HeaderMap, HeaderValue};
    use std::time::Duration;

    #[test]
    fn rules_and_credentials_tell_what_the_answer_cannot_be_used_for() {
        let rule = || Rule::path("/**").unwrap().named("r");
        let with = |name| HeaderMap::from_iter([(name, HeaderValue::from_static("x"))]);
        let zero = rule().ttl(Duration::ZERO);
        for (rule, headers, kind) in [
            (None, HeaderMap::new(), None),
            (None, with(COOKIE), None),
            (None, with(AUTHORIZATION), Some("authorization")),
            (Some(rule()), with(AUTHORIZATION), Some("authorization")),
            (Some(rule().per_identity(AUTHORIZATION)), with(AUTHORIZATION), None),
            (Some(rule().per_identity(AUTHORIZATION)), HeaderMap::new(), Some("nobody")),
            (Some(rule().per_identity(COOKIE)), with(COOKIE), None),
            (
                Some(rule().per_identity(COOKIE)),
                HeaderMap::from_iter(
                    [with(COOKIE), with(AUTHORIZATION)].into_iter().flatten().filter_map(|(name, value)| Some((name?, value))),
                ),
                Some("authorization"),
            ),
            (Some(zero.clone()), HeaderMap::new(), None),
            (Some(zero.override_origin()), HeaderMap::new(), Some("never-fresh")),
            (Some(rule().ttl(Duration::from_secs(1)).override_origin()), HeaderMap::new(), None),
        ] {
            let found = Obstacle::of(rule.as_ref(), &headers);
            assert_eq!(found.as_ref().map(Obstacle::as_str), kind, "{rule:?} {headers:?}");
            assert!(!found.is_some_and(|obstacle| obstacle.is_final()));
        }
    }
}
