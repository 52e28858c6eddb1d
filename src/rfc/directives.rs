//! Cache directives of requests and responses (RFC 9111 section 5.2, RFC 5861, RFC 8246).
//!
//! The reading is lenient where a directive restricts and strict where it permits: `no-store;` and
//! `no-store=1` are still `no-store`, while `public=1` is nothing.

use http::header::{CACHE_CONTROL, HeaderMap, PRAGMA};

use super::list;
use super::number::delta_seconds;

pub use super::field_scope::FieldScope;
pub use super::targeted::from_targeted;

/// How stale a response the client accepts (RFC 9111 section 5.2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxStale {
    /// `max-stale` without a number: any staleness.
    Any,
    /// At most so many seconds past the end of freshness.
    Seconds(u64),
}

/// The cache directives of a request (RFC 9111 section 5.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `no-cache`: do not answer without validation (RFC 9111 section 5.2.1.4). Also set by
    /// `Pragma: no-cache` when there is no Cache-Control (section 5.4).
    pub no_cache: bool,
    /// `no-store`: store neither this request nor its response (RFC 9111 section 5.2.1.5).
    pub no_store: bool,
    /// `only-if-cached`: a stored response or 504 (RFC 9111 section 5.2.1.7).
    pub only_if_cached: bool,
    /// `no-transform`: leave the content alone (RFC 9111 section 5.2.1.6).
    pub no_transform: bool,
    /// `max-age`: the highest acceptable age in seconds (RFC 9111 section 5.2.1.1). An unreadable one
    /// is zero, which asks for validation. `None`: any age.
    pub max_age: Option<u64>,
    /// `min-fresh`: seconds for which the response must stay fresh (RFC 9111 section 5.2.1.3).
    /// `None`: absent or unreadable.
    pub min_fresh: Option<u64>,
    /// `max-stale` (RFC 9111 section 5.2.1.2). `None`: absent or unreadable, nothing stale is wanted.
    pub max_stale: Option<MaxStale>,
    /// `stale-if-error`: seconds of staleness accepted when the origin fails (RFC 5861 section 4).
    /// `None`: absent or unreadable.
    pub stale_if_error: Option<u64>,
}

impl RequestDirectives {
    /// Reads all Cache-Control lines of a request, or its Pragma when there are none.
    ///
    /// A repeated directive takes its most restrictive value.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if !headers.contains_key(CACHE_CONTROL) {
            // RFC 9111 section 5.4: Pragma counts only when there is no Cache-Control.
            directives.no_cache = list::members_of(headers, &PRAGMA).any(|member| member.eq_ignore_ascii_case(b"no-cache"));
            return directives;
        }
        for member in list::members_of(headers, &CACHE_CONTROL) {
            let (name, argument) = split(member);
            directives.apply(name, argument);
        }
        directives
    }

    fn apply(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("no-transform") {
            self.no_transform = true;
        } else if is("max-age") {
            keep_least(&mut self.max_age, seconds(argument).or(Some(0)));
        } else if is("min-fresh") {
            self.min_fresh = self.min_fresh.max(seconds(argument));
        } else if is("stale-if-error") {
            keep_least(&mut self.stale_if_error, seconds(argument));
        } else if is("max-stale") {
            self.max_stale = match (self.max_stale, argument) {
                (None, None) => Some(MaxStale::Any),
                (before, None) => before,
                (Some(MaxStale::Seconds(before)), Some(_)) => Some(MaxStale::Seconds(seconds(argument).unwrap_or(0).min(before))),
                (_, Some(_)) => seconds(argument).map(MaxStale::Seconds),
            };
        }
    }
}

/// The cache directives of a response (RFC 9111 section 5.2.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `no-store` (RFC 9111 section 5.2.2.5). Also set by a line whose quotes do not close.
    pub no_store: bool,
    /// `no-transform` (RFC 9111 section 5.2.2.6).
    pub no_transform: bool,
    /// `must-revalidate` (RFC 9111 section 5.2.2.2).
    pub must_revalidate: bool,
    /// `proxy-revalidate` (RFC 9111 section 5.2.2.8).
    pub proxy_revalidate: bool,
    /// `must-understand` (RFC 9111 section 5.2.2.3).
    pub must_understand: bool,
    /// `public` (RFC 9111 section 5.2.2.9).
    pub public: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// `no-cache` (RFC 9111 section 5.2.2.4).
    pub no_cache: FieldScope,
    /// `private` (RFC 9111 section 5.2.2.7).
    pub private: FieldScope,
    /// `max-age` in seconds (RFC 9111 section 5.2.2.1). An unreadable one is zero, thus stale.
    /// `None`: absent.
    pub max_age: Option<u64>,
    /// `s-maxage` in seconds (RFC 9111 section 5.2.2.10). An unreadable one is zero, thus stale.
    /// `None`: absent.
    pub s_maxage: Option<u64>,
    /// `stale-while-revalidate` in seconds (RFC 5861 section 3). `None`: absent or unreadable.
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error` in seconds (RFC 5861 section 4). `None`: absent or unreadable.
    pub stale_if_error: Option<u64>,
}

impl ResponseDirectives {
    /// Reads all Cache-Control lines of a response. Pragma says nothing in a response
    /// (RFC 9111 section 5.4).
    ///
    /// A repeated number takes its least value. RFC 9111 section 4.2.1 allows to use the first one or
    /// to call the response stale, and at every moment the least value does one of the two.
    #[must_use]
    pub fn from_cache_control(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            let line = line.as_bytes();
            // What an unclosed quote swallowed may have been `no-store`: there is no knowing.
            directives.no_store |= !list::quotes_are_closed(line);
            for member in list::members(line) {
                let (name, argument) = split(member);
                if let Some(directive) = Directive::named(name) {
                    directives.apply(directive, argument);
                }
            }
        }
        directives
    }

    fn apply(&mut self, directive: Directive, argument: Option<&[u8]>) {
        match directive {
            Directive::NoStore => self.no_store = true,
            Directive::NoTransform => self.no_transform = true,
            Directive::MustRevalidate => self.must_revalidate = true,
            Directive::ProxyRevalidate => self.proxy_revalidate = true,
            // These three permit something, so they have to be written as they are defined.
            Directive::MustUnderstand => self.must_understand |= argument.is_none(),
            Directive::Public => self.public |= argument.is_none(),
            Directive::Immutable => self.immutable |= argument.is_none(),
            Directive::NoCache => self.no_cache.widen(scope(argument)),
            Directive::Private => self.private.widen(scope(argument)),
            // RFC 9111 section 4.2.1: invalid freshness information means stale.
            Directive::MaxAge => keep_least(&mut self.max_age, seconds(argument).or(Some(0))),
            Directive::SMaxage => keep_least(&mut self.s_maxage, seconds(argument).or(Some(0))),
            Directive::StaleWhileRevalidate => {
                keep_least(&mut self.stale_while_revalidate, seconds(argument));
            }
            Directive::StaleIfError => keep_least(&mut self.stale_if_error, seconds(argument)),
        }
    }
}

/// The response directives that this cache knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Directive {
    NoStore,
    NoTransform,
    MustRevalidate,
    ProxyRevalidate,
    MustUnderstand,
    Public,
    Immutable,
    NoCache,
    Private,
    MaxAge,
    SMaxage,
    StaleWhileRevalidate,
    StaleIfError,
}

impl Directive {
    const NAMES: [(&'static [u8], Self); 13] = [
        (b"max-age", Self::MaxAge),
        (b"s-maxage", Self::SMaxage),
        (b"public", Self::Public),
        (b"private", Self::Private),
        (b"no-cache", Self::NoCache),
        (b"no-store", Self::NoStore),
        (b"must-revalidate", Self::MustRevalidate),
        (b"proxy-revalidate", Self::ProxyRevalidate),
        (b"must-understand", Self::MustUnderstand),
        (b"no-transform", Self::NoTransform),
        (b"immutable", Self::Immutable),
        (b"stale-while-revalidate", Self::StaleWhileRevalidate),
        (b"stale-if-error", Self::StaleIfError),
    ];

    /// The directive of that name, in any case (RFC 9111 section 5.2).
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, directive)| *directive)
    }
}

/// Splits `name[=argument]`. The name ends where token characters end; anything but `=` after it is
/// an argument too, an unreadable one, so that `no-store; foo` and `max-age =1` still restrict.
fn split(member: &[u8]) -> (&[u8], Option<&[u8]>) {
    let end = member.iter().position(|&byte| !is_token(byte));
    let (name, rest) = member.split_at(end.unwrap_or(member.len()));
    match rest {
        [] => (name, None),
        [b'=', argument @ ..] => (name, Some(argument)),
        _ => (name, Some(b"")),
    }
}

/// `tchar` of RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// The argument as seconds. RFC 9111 section 5.2: recipients ought to accept both forms of an argument.
fn seconds(argument: Option<&[u8]>) -> Option<u64> {
    let argument = argument?;
    delta_seconds(argument).or_else(|| delta_seconds(&list::unquote(argument)?))
}

/// The argument as field names, in the quoted form or as a token (RFC 9111 section 5.2.2.4).
fn scope(argument: Option<&[u8]>) -> FieldScope {
    match argument {
        None => FieldScope::Everything,
        Some(argument) => match list::unquote(argument) {
            Some(names) => FieldScope::from_list(&names),
            None => FieldScope::from_list(argument),
        },
    }
}

/// Keeps the lesser of the two numbers, where there are two.
fn keep_least(kept: &mut Option<u64>, new: Option<u64>) {
    *kept = match (*kept, new) {
        (Some(kept), Some(new)) => Some(kept.min(new)),
        (kept, new) => kept.or(new),
    };
}

#[cfg(test)]
mod tests;
