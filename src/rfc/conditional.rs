//! Preconditions that a cache may decide itself (RFC 9110 section 13, RFC 9111 section 4.3.2).

use http::header::{HeaderMap, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};

use super::date;
use super::etag::{self, EntityTag};

/// How far Date has to lie after Last-Modified for the latter to be a strong validator, in seconds
/// (RFC 9110 section 8.8.2.2 wants a second, and more where two clocks may differ).
const STRONG_AFTER: u64 = 60;

/// Whether the answer to a GET or HEAD is 304 instead of the stored representation.
///
/// `etag`, `last_modified` and `date` are those of the stored response, the times in Unix seconds.
/// Without a Date pass the time at which the response was received (RFC 9111 section 4.3.2).
///
/// If-None-Match decides alone when it is there (RFC 9110 section 13.2.2); without a stored ETag only
/// `*` matches it. If-Modified-Since counts only as one valid date (section 13.1.3).
#[must_use]
pub fn evaluate(request: &HeaderMap, etag: Option<&[u8]>, last_modified: Option<u64>, date: Option<u64>) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        let lines = request.get_all(IF_NONE_MATCH);
        let lines = lines.iter().map(HeaderValue::as_bytes);
        return match etag {
            Some(current) => etag::any_matches(lines, current),
            None => etag::any_star(lines),
        };
    }
    let mut lines = request.get_all(IF_MODIFIED_SINCE).iter();
    // RFC 9110 section 13.1.3: more than one member is ignored, and so is an invalid date.
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return false;
    };
    let Some(since) = date::parse(line.as_bytes()) else {
        return false;
    };
    // RFC 9111 section 4.3.2: Date stands in for a missing Last-Modified.
    last_modified.or(date).is_some_and(|modified| modified <= since)
}

/// Whether the request carries a precondition that only the origin may decide: If-Match or
/// If-Unmodified-Since (RFC 9111 section 4.3.2).
#[must_use]
pub fn is_for_origin(request: &HeaderMap) -> bool {
    request.contains_key(IF_MATCH) || request.contains_key(IF_UNMODIFIED_SINCE)
}

/// Whether the Range of a request applies to the stored representation, by its If-Range
/// (RFC 9110 section 13.1.5).
///
/// An entity tag is compared strongly. A date has to be exactly Last-Modified, and that has to be a
/// strong validator: at least a minute older than `date`. Times are Unix seconds; without a Date
/// pass `None`, which makes no date strong.
#[must_use]
pub fn if_range_holds(if_range: &[u8], etag: Option<&[u8]>, last_modified: Option<u64>, date: Option<u64>) -> bool {
    if let Some(wanted) = EntityTag::parse(if_range) {
        return etag.and_then(EntityTag::parse).is_some_and(|current| current.strong_eq(&wanted));
    }
    let (Some(wanted), Some(modified), Some(date)) = (date::parse(if_range), last_modified, date) else {
        return false;
    };
    // RFC 9110 section 8.8.2.2.
    let is_strong = date >= modified.saturating_add(STRONG_AFTER);
    is_strong && wanted == modified
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderName;
    use proptest::prelude::*;

    const T: u64 = 784_111_777;

    fn request(fields: &[(HeaderName, HeaderValue)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.clone(), value.clone());
        }
        headers
    }

    fn tag(value: &'static str) -> HeaderValue {
        HeaderValue::from_static(value)
    }

    fn since(seconds: u64) -> HeaderMap {
        request(&[(IF_MODIFIED_SINCE, date::format(seconds))])
    }

    #[test]
    fn no_precondition_is_no_304() {
        assert!(!evaluate(&HeaderMap::new(), Some(tag("\"a\"").as_bytes()), Some(T), Some(T)));
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let asked = request(&[(IF_NONE_MATCH, tag("\"x\"")), (IF_NONE_MATCH, tag("W/\"a\""))]);
        assert!(evaluate(&asked, Some(tag("\"a\"").as_bytes()), None, None));
        assert!(!evaluate(&asked, Some(tag("\"b\"").as_bytes()), None, None));
    }

    #[test]
    fn if_none_match_decides_alone() {
        let later = date::format(T + 9);
        let hit = request(&[(IF_NONE_MATCH, tag("\"a\"")), (IF_MODIFIED_SINCE, date::format(1))]);
        assert!(evaluate(&hit, Some(tag("\"a\"").as_bytes()), Some(T), Some(T)));
        let miss = request(&[(IF_NONE_MATCH, tag("\"b\"")), (IF_MODIFIED_SINCE, later)]);
        assert!(!evaluate(&miss, Some(tag("\"a\"").as_bytes()), Some(T), Some(T)));
        assert!(!evaluate(&miss, None, Some(T), Some(T)));
        let empty = request(&[(IF_NONE_MATCH, tag("")), (IF_MODIFIED_SINCE, date::format(T))]);
        assert!(!evaluate(&empty, None, Some(T), Some(T)));
    }

    #[test]
    fn a_star_matches_a_response_without_an_etag() {
        assert!(evaluate(&request(&[(IF_NONE_MATCH, tag("*"))]), None, None, None));
    }

    #[test]
    fn if_modified_since_compares_with_last_modified() {
        assert!(evaluate(&since(T), None, Some(T), None));
        assert!(evaluate(&since(T + 1), None, Some(T), None));
        assert!(!evaluate(&since(T - 1), None, Some(T), Some(1)));
    }

    #[test]
    fn without_last_modified_it_compares_with_date() {
        assert!(evaluate(&since(T), None, None, Some(T)));
        assert!(!evaluate(&since(T - 1), None, None, Some(T)));
        assert!(!evaluate(&since(T), None, None, None));
    }

    #[test]
    fn an_invalid_or_repeated_if_modified_since_is_ignored() {
        let invalid = request(&[(IF_MODIFIED_SINCE, tag("yesterday"))]);
        assert!(!evaluate(&invalid, None, Some(0), None));
        let twice = request(&[(IF_MODIFIED_SINCE, date::format(T)), (IF_MODIFIED_SINCE, date::format(T))]);
        assert!(!evaluate(&twice, None, Some(0), None));
    }

    #[test]
    fn an_obsolete_date_form_is_understood() {
        let asked = request(&[(IF_MODIFIED_SINCE, tag("Sunday, 06-Nov-94 08:49:37 GMT"))]);
        assert!(evaluate(&asked, None, Some(T), None));
    }

    #[test]
    fn if_match_is_for_the_origin() {
        assert!(is_for_origin(&request(&[(IF_MATCH, tag("*"))])));
        assert!(is_for_origin(&request(&[(IF_UNMODIFIED_SINCE, tag(""))])));
        assert!(!is_for_origin(&since(T)));
    }

    #[test]
    fn if_range_compares_tags_strongly() {
        let holds = |asked: &[u8], current: &[u8]| if_range_holds(asked, Some(current), Some(T), Some(T + 99));
        assert!(holds(b"\"a\"", b"\"a\""));
        assert!(!holds(b"W/\"a\"", b"W/\"a\""));
        assert!(!holds(b"\"a\"", b"W/\"a\""));
        assert!(!holds(b"\"a\"", b"\"b\""));
        assert!(!holds(b"a", b"a"));
        assert!(!holds(b"\"a\", \"b\"", b"\"a\""));
        assert!(!if_range_holds(b"\"a\"", None, None, None));
    }

    #[test]
    fn if_range_wants_exactly_a_strong_last_modified() {
        let asked = date::format(T);
        let holds = |modified, date| if_range_holds(asked.as_bytes(), None, modified, date);
        assert!(holds(Some(T), Some(T + 60)));
        assert!(!holds(Some(T), Some(T + 59)));
        assert!(!holds(Some(T), None));
        assert!(!holds(Some(T - 1), Some(T + 99)));
        assert!(!holds(None, Some(T + 99)));
        assert!(!holds(Some(u64::MAX), Some(u64::MAX)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(a: Vec<u8>, b: Vec<u8>, modified: Option<u64>, date: Option<u64>) {
            let _ = if_range_holds(&a, Some(&b), modified, date);
            if let (Ok(a), Ok(b)) = (HeaderValue::from_bytes(&a), HeaderValue::from_bytes(&b)) {
                let asked = request(&[(IF_NONE_MATCH, a.clone())]);
                let _ = evaluate(&asked, Some(b.as_bytes()), modified, date);
                let asked = request(&[(IF_MODIFIED_SINCE, a)]);
                let _ = evaluate(&asked, Some(b.as_bytes()), modified, date);
            }
        }
    }
}
