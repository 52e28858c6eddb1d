//! Updating a stored response (RFC 9111 sections 3.2, 4.3.4 and 4.3.5).

use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, TRANSFER_ENCODING,
};

use super::number::exact_digits;
use super::{date, hop, list};

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The header section of a stored response after a 304 said that it is still good
/// (RFC 9111 sections 3.2 and 4.3.4). It serves as well for [`HeadVerdict::Freshen`].
///
/// Every field of `new` replaces all lines of the stored field of that name, and what `new` does not
/// mention stays. Left as stored are the fields that describe the octets that are stored:
/// Content-Length (section 3.2), Content-Encoding, Content-Range, Content-MD5 and Content-Digest. The
/// same for ETag, unless the stored response has none. Not taken over are fields that are not stored
/// (section 3.1) or that `new` nominates in its Connection. The stored Age goes in any case: it was
/// the age of the older response.
///
/// Whether the 304 speaks of this stored response at all (section 4.3.4) is for the caller to know.
#[must_use]
pub fn merge_304(stored: &HeaderMap, new: &HeaderMap) -> HeaderMap {
    let mut merged = stored.clone();
    merged.remove(AGE);
    let nominated = hop::nominated(new);
    for name in new.keys() {
        let is_kept =
            describes_content(name) || hop::is_unstorable(name) || nominated.contains(name) || (*name == ETAG && stored.contains_key(ETAG));
        if is_kept {
            continue;
        }
        merged.remove(name);
        for value in new.get_all(name) {
            // A map takes 2^15 fields at most; what is beyond that is dropped instead of a panic.
            let _ = merged.try_append(name, value.clone());
        }
    }
    merged
}

/// Whether the field describes the stored octets, which a response without content cannot change.
fn describes_content(name: &HeaderName) -> bool {
    [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_MD5, CONTENT_DIGEST, TRANSFER_ENCODING].contains(name)
}

/// What a 200 to HEAD does to a stored response to GET (RFC 9111 section 4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadVerdict {
    /// It is the same representation: update it, see [`merge_304`].
    Freshen,
    /// The representation has changed: the stored response is not to be used without validation.
    Invalidate,
}

/// Compares a 200 to HEAD with a stored response (RFC 9111 section 4.3.5): the validators that `head`
/// has and its Content-Length must be those of the stored response.
///
/// `stored_length` is the length in octets of the whole stored content; `None` when it is not known,
/// then the stored Content-Length is compared. What `head` does not mention is no difference.
#[must_use]
pub fn head_updates(stored: &HeaderMap, head: &HeaderMap, stored_length: Option<u64>) -> HeadVerdict {
    let is_same = is_same_field(&ETAG, stored, head) && is_same_date(stored, head) && is_same_length(stored, head, stored_length);
    if is_same { HeadVerdict::Freshen } else { HeadVerdict::Invalidate }
}

/// All lines of the field are equal, or `head` has none.
fn is_same_field(name: &HeaderName, stored: &HeaderMap, head: &HeaderMap) -> bool {
    !head.contains_key(name) || head.get_all(name) == stored.get_all(name)
}

/// Last-Modified is the same moment or the same octets, or `head` has none.
fn is_same_date(stored: &HeaderMap, head: &HeaderMap) -> bool {
    let time = |headers: &HeaderMap| {
        let mut lines = headers.get_all(LAST_MODIFIED).iter();
        let line = lines.next().filter(|_| lines.next().is_none());
        line.and_then(|line| date::parse(line.as_bytes()))
    };
    let (old, new) = (time(stored), time(head));
    is_same_field(&LAST_MODIFIED, stored, head) || (old.is_some() && old == new)
}

/// Content-Length is the same, or `head` has none. One that cannot be read is another one.
fn is_same_length(stored: &HeaderMap, head: &HeaderMap, stored_length: Option<u64>) -> bool {
    if !head.contains_key(CONTENT_LENGTH) {
        return true;
    }
    let known = stored_length.or_else(|| content_length(stored));
    known.is_some() && known == content_length(head)
}

/// Content-Length in octets; several equal ones are one (RFC 9110 section 8.6).
fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let mut members = lines.by_ref().map(HeaderValue::as_bytes).flat_map(list::members).map(exact_digits);
    let first = members.next()??;
    members.all(|other| other == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn the_fields_that_cache_tests_wants_updated_are_updated() {
        for name in [
            "test-header",
            "x-test-header",
            "content-foo",
            "x-content-foo",
            "cache-control",
            "content-location",
            "content-security-policy",
            "content-type",
            "clear-site-data",
            "expires",
            "public-key-pins",
            "set-cookie",
            "set-cookie2",
            "x-frame-options",
            "x-xss-protection",
            "date",
            "last-modified",
            "vary",
        ] {
            let merged = merge_304(&map(&[(name, "a")]), &map(&[(name, "b")]));
            assert_eq!(all(&merged, name), ["b"], "{name}");
        }
    }

    #[test]
    fn the_fields_that_cache_tests_wants_kept_are_kept() {
        for name in ["content-encoding", "content-length", "content-md5", "content-range", "etag"] {
            let merged = merge_304(&map(&[(name, "a")]), &map(&[(name, "b")]));
            assert_eq!(all(&merged, name), ["a"], "{name}");
        }
    }

    #[test]
    fn fields_about_the_content_are_not_even_added() {
        let merged = merge_304(&map(&[]), &map(&[("content-encoding", "gzip"), ("content-length", "0")]));
        assert!(merged.is_empty());
    }

    #[test]
    fn a_stored_response_without_an_etag_gets_one() {
        let merged = merge_304(&map(&[]), &map(&[("etag", "\"a\"")]));
        assert_eq!(all(&merged, "etag"), ["\"a\""]);
    }

    #[test]
    fn all_lines_are_replaced_and_what_is_omitted_stays() {
        let stored = map(&[("a", "1"), ("a", "2"), ("b", "3")]);
        let merged = merge_304(&stored, &map(&[("a", "4"), ("a", "5"), ("a", "6")]));
        assert_eq!(all(&merged, "a"), ["4", "5", "6"]);
        assert_eq!(all(&merged, "b"), ["3"]);
    }

    #[test]
    fn fields_that_are_not_stored_are_not_merged() {
        let new = map(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("proxy-authenticate", "1"),
            ("te", "1"),
            ("proxy-authorization", "1"),
            ("proxy-authentication-info", "1"),
            ("proxy-connection", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "1"),
        ]);
        assert!(merge_304(&map(&[]), &new).is_empty());
        assert_eq!(all(&merge_304(&map(&[("x-hop", "0")]), &new), "x-hop"), ["0"]);
    }

    #[test]
    fn the_stored_age_goes_and_the_new_one_comes() {
        let stored = map(&[("age", "100")]);
        assert!(merge_304(&stored, &map(&[])).is_empty());
        assert_eq!(all(&merge_304(&stored, &map(&[("age", "3")])), "age"), ["3"]);
    }

    #[test]
    fn a_map_at_its_limit_does_not_panic() {
        let fill = |prefix: &str| -> HeaderMap {
            let name = |at| HeaderName::try_from(format!("{prefix}{at}")).unwrap();
            (0..20_000).map(|at| (name(at), HeaderValue::from_static("x"))).collect()
        };
        assert!(merge_304(&fill("a"), &fill("b")).len() >= 20_000);
    }

    #[test]
    fn a_head_that_agrees_freshens() {
        let stored = map(&[("etag", "\"a\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"), ("content-length", "5")]);
        for head in [
            map(&[]),
            map(&[("etag", "\"a\"")]),
            map(&[("last-modified", "Sunday, 06-Nov-94 08:49:37 GMT")]),
            map(&[("content-length", "5, 5")]),
            stored.clone(),
        ] {
            assert_eq!(head_updates(&stored, &head, None), HeadVerdict::Freshen, "{head:?}");
            assert_eq!(head_updates(&stored, &head, Some(5)), HeadVerdict::Freshen, "{head:?}");
        }
    }

    #[test]
    fn a_head_that_differs_invalidates() {
        let stored = map(&[("etag", "\"a\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"), ("content-length", "5")]);
        for head in [
            map(&[("etag", "\"b\"")]),
            map(&[("etag", "W/\"a\"")]),
            map(&[("last-modified", "Sun, 06 Nov 1994 08:49:38 GMT")]),
            map(&[("last-modified", "yesterday")]),
            map(&[("content-length", "6")]),
            map(&[("content-length", "x")]),
            map(&[("content-length", "5"), ("content-length", "6")]),
        ] {
            assert_eq!(head_updates(&stored, &head, None), HeadVerdict::Invalidate, "{head:?}");
        }
        let bare = map(&[]);
        assert_eq!(head_updates(&bare, &map(&[("etag", "\"a\"")]), None), HeadVerdict::Invalidate);
        assert_eq!(head_updates(&bare, &map(&[("content-length", "5")]), None), HeadVerdict::Invalidate);
        assert_eq!(head_updates(&bare, &map(&[("content-length", "5")]), Some(5)), HeadVerdict::Freshen);
        assert_eq!(head_updates(&stored, &stored, Some(4)), HeadVerdict::Invalidate);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(a: Vec<u8>, b: Vec<u8>, length: Option<u64>) {
            if let (Ok(a), Ok(b)) = (HeaderValue::from_bytes(&a), HeaderValue::from_bytes(&b)) {
                for name in [ETAG, LAST_MODIFIED, CONTENT_LENGTH, http::header::CONNECTION] {
                    let stored: HeaderMap = [(name.clone(), a.clone())].into_iter().collect();
                    let new: HeaderMap = [(name, b.clone())].into_iter().collect();
                    let _ = merge_304(&stored, &new);
                    let _ = head_updates(&stored, &new, length);
                }
            }
        }
    }
}
