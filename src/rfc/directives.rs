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
mod tests {
    use super::*;
    use http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn lines(name: HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    fn response(all: &[&str]) -> ResponseDirectives {
        ResponseDirectives::from_cache_control(&lines(CACHE_CONTROL, all))
    }

    fn request(all: &[&str]) -> RequestDirectives {
        RequestDirectives::read(&lines(CACHE_CONTROL, all))
    }

    fn fields(names: &[&'static str]) -> FieldScope {
        FieldScope::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect())
    }

    #[test]
    fn every_response_directive_is_read_in_any_case_and_from_all_lines() {
        let got = response(&[
            "No-StOrE, no-transform, MUST-revalidate, proxy-revalidate, must-understand",
            "public, immutable, no-cache, private, MaX-aGe=1, s-maxage=2, foobar, ext=\"a, b\"",
            "stale-while-revalidate=3, stale-if-error=4",
        ]);
        let expected = ResponseDirectives {
            no_store: true,
            no_transform: true,
            must_revalidate: true,
            proxy_revalidate: true,
            must_understand: true,
            public: true,
            immutable: true,
            no_cache: FieldScope::Everything,
            private: FieldScope::Everything,
            max_age: Some(1),
            s_maxage: Some(2),
            stale_while_revalidate: Some(3),
            stale_if_error: Some(4),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn no_cache_control_says_nothing_and_a_response_pragma_does_not_either() {
        let headers = lines(PRAGMA, &["no-cache"]);
        let got = ResponseDirectives::from_cache_control(&headers);
        assert_eq!(got, ResponseDirectives::default());
    }

    #[test]
    fn an_invalid_max_age_is_stale() {
        for line in [
            "max-age",
            "max-age=",
            "max-age=-3600",
            "max-age=+3600",
            "max-age=3600.0",
            "max-age='3600'",
            "max-age=a3600",
            "max-age=3600a",
            "max-age =3600",
            "max-age= 3600",
            "max-age=\"\"",
            "max-age=3600; x",
            "max-age 3600",
            "max-age=\" 3600\"",
        ] {
            assert_eq!(response(&[line]).max_age, Some(0), "{line}");
            assert_eq!(response(&[&line.replace("max-age", "s-maxage")]).s_maxage, Some(0), "{line}");
        }
    }

    #[test]
    fn max_age_may_be_quoted_have_leading_zeros_and_be_huge() {
        assert_eq!(response(&["max-age=\"3600\""]).max_age, Some(3600));
        assert_eq!(response(&["max-age=003600"]).max_age, Some(3600));
        assert_eq!(response(&["max-age=2147483648"]).max_age, Some(1 << 31));
        assert_eq!(response(&["max-age=99999999999"]).max_age, Some(1 << 31));
    }

    #[test]
    fn a_max_age_inside_of_a_quoted_string_is_not_one() {
        assert_eq!(response(&["extension=\"max-age=3600\", max-age=1"]).max_age, Some(1));
        assert_eq!(response(&["max-age=1, extension=\"max-age=3600\""]).max_age, Some(1));
        assert_eq!(response(&["max-age=\"1\", extension=\"max-age=3600\""]).max_age, Some(1));
        assert_eq!(response(&["extension=\"x, max-age=3600\""]).max_age, None);
    }

    #[test]
    fn a_repeated_number_takes_the_least() {
        assert_eq!(response(&["max-age=1800, max-age=1"]).max_age, Some(1));
        assert_eq!(response(&["max-age=1", "max-age=1800"]).max_age, Some(1));
        assert_eq!(response(&["max-age=1800, max-age=x"]).max_age, Some(0));
        assert_eq!(response(&["stale-if-error=9, stale-if-error=8"]).stale_if_error, Some(8));
    }

    #[test]
    fn an_invalid_stale_directive_is_absent() {
        let got = response(&["stale-while-revalidate=x, stale-if-error, stale-if-error=-1"]);
        assert_eq!(got, ResponseDirectives::default());
    }

    #[test]
    fn fields_are_named_in_a_quoted_string_or_by_a_token() {
        assert_eq!(response(&["no-cache=\"a, B\""]).no_cache, fields(&["a", "b"]));
        assert_eq!(response(&["private=Set-Cookie"]).private, fields(&["set-cookie"]));
        assert_eq!(response(&["private=\"a\"", "private=\"b\""]).private.fields().len(), 2);
    }

    #[test]
    fn a_field_list_that_is_empty_or_unreadable_covers_everything() {
        for line in [
            "private=\"\"",
            "private=",
            "private=\" , \"",
            "private=\"a b\"",
            "private=\"a, (\"",
            "private=\"a",
            "private, private=\"a\"",
            "private=\"a\", private",
            "private;",
            "private =\"a\"",
        ] {
            let got = response(&[line]).private;
            assert!(got.is_everything(), "{line} {got:?}");
        }
    }

    #[test]
    fn garbage_after_a_name_still_restricts_but_never_permits() {
        let got = response(&["no-store; foo, must-revalidate=1, public=1, immutable x, must-understand=y"]);
        assert!(got.no_store && got.must_revalidate);
        assert!(!got.public && !got.immutable && !got.must_understand);
        assert!(response(&["no-store max-age=5"]).no_store);
    }

    #[test]
    fn a_line_whose_quotes_do_not_close_is_not_stored() {
        assert!(response(&["max-age=60, ext=\"foo, no-store"]).no_store);
        assert!(!response(&["max-age=60, ext=\"foo, no-store\""]).no_store);
    }

    #[test]
    fn a_name_that_only_begins_like_a_directive_is_another_one() {
        let got = response(&["no-storex, xno-store, max-age2=3, no_store"]);
        assert_eq!(got, ResponseDirectives::default());
    }

    #[test]
    fn every_request_directive_is_read() {
        let got =
            request(&["no-cache, NO-store, only-if-cached, no-transform", "max-age=1, min-fresh=2, max-stale=3, stale-if-error=\"4\""]);
        let expected = RequestDirectives {
            no_cache: true,
            no_store: true,
            only_if_cached: true,
            no_transform: true,
            max_age: Some(1),
            min_fresh: Some(2),
            max_stale: Some(MaxStale::Seconds(3)),
            stale_if_error: Some(4),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn max_stale_without_a_number_is_any_and_an_invalid_one_is_none() {
        assert_eq!(request(&["max-stale"]).max_stale, Some(MaxStale::Any));
        assert_eq!(request(&["max-stale=x"]).max_stale, None);
        for line in ["max-stale, max-stale=5", "max-stale=5, max-stale", "max-stale=5, max-stale=9"] {
            assert_eq!(request(&[line]).max_stale, Some(MaxStale::Seconds(5)), "{line}");
        }
    }

    #[test]
    fn a_repeated_request_directive_takes_the_most_restrictive() {
        let got = request(&["max-age=5, max-age=3, min-fresh=5, min-fresh=3"]);
        assert_eq!((got.max_age, got.min_fresh), (Some(3), Some(5)));
        assert_eq!(request(&["max-age=x"]).max_age, Some(0));
        assert_eq!(request(&["min-fresh=x"]).min_fresh, None);
    }

    #[test]
    fn pragma_counts_only_without_cache_control() {
        assert!(RequestDirectives::read(&lines(PRAGMA, &["foo, No-Cache"])).no_cache);
        assert!(!RequestDirectives::read(&lines(PRAGMA, &["unrecognised-extension"])).no_cache);
        let mut headers = lines(PRAGMA, &["no-cache"]);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
        assert!(!RequestDirectives::read(&headers).no_cache);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(value: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.append(CACHE_CONTROL, value);
                let _ = ResponseDirectives::from_cache_control(&headers);
                let _ = RequestDirectives::read(&headers);
            }
        }

        #[test]
        fn a_no_store_member_is_found_whatever_stands_before_it(before in r#"[a-z="\\;, 0-9]{0,20}"#) {
            let line = format!("{before},no-store");
            let got = response(&[&line]);
            // Hidden only by a string that is closed after it, and here nothing closes after it.
            prop_assert!(got.no_store, "{line}");
        }

        #[test]
        fn seconds_never_exceed_the_cap(number in "[0-9]{1,40}") {
            let got = response(&[&format!("max-age={number}, stale-if-error={number}")]);
            prop_assert!(got.max_age <= Some(1 << 31) && got.stale_if_error <= Some(1 << 31));
        }
    }
}
