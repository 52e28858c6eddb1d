//! May this response be stored? A pure verdict (RFC 9111 section 3), taken when its headers have arrived.

mod not_stored;

pub use not_stored::NotStored;

use crate::cache::freshness::{Life, Reception, Timing, is_heuristically_cacheable, origin_lifetime};
use crate::cache::rules::{Ignore, Rule};
use crate::cache::settings::Settings;
use crate::cache::tags::{self, ResponseTags};
use crate::error::OriginFailure;
use crate::rfc::directives::{RequestDirectives, ResponseDirectives, from_targeted};
use crate::rfc::range::ContentRange;
use crate::rfc::vary::Vary;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method, StatusCode, response};

/// Fields that replace Cache-Control and Expires for this cache, the nearest first (RFC 9213).
pub(crate) static TARGETED: [HeaderName; 2] =
    [HeaderName::from_static("warmfront-cache-control"), HeaderName::from_static("cdn-cache-control")];

/// What the request side of an exchange contributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) directives: &'a RequestDirectives,
    pub(crate) rule: Option<&'a Rule>,
    /// For other methods than GET: the response names the target itself as its Content-Location.
    pub(crate) locates_itself: bool,
}

/// How a response is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) life: Life,
    /// Fields that may be passed on but not stored: named by `no-cache="..."` or `private="..."`.
    pub(crate) omit: Vec<HeaderName>,
    /// The selecting fields.
    pub(crate) vary: Vec<HeaderName>,
    /// Which bytes it is, for a 206.
    pub(crate) range: Option<ContentRange>,
    /// What it belongs to by its own word.
    pub(crate) tags: ResponseTags,
}

/// Decides whether the response to `asked` is stored, and for how long.
///
/// # Errors
/// Why it is not.
pub(crate) fn admit(asked: &Asked<'_>, response: &response::Parts, timing: Timing, settings: &Settings) -> Result<Kept, NotStored> {
    if response.extensions.get::<OriginFailure>().is_some() {
        return Err(NotStored::OriginFailure);
    }
    if asked.directives.no_store {
        return Err(NotStored::RequestNoStore);
    }
    let targeted = from_targeted(&response.headers, &TARGETED);
    let (directives, targeted) = match &targeted {
        Some(directives) => (directives, true),
        None => (&ResponseDirectives::from_cache_control(&response.headers), false),
    };
    let reception = Reception { timing, status: response.status, headers: &response.headers, directives, targeted, rule: asked.rule };
    let ignore = asked.rule.map(|rule| rule.ignore).unwrap_or_default();
    let omit = admit_directives(asked, &reception, ignore)?;
    admit_status(asked, &reception)?;
    let vary = match Vary::read(&response.headers) {
        Vary::Star => return Err(NotStored::VaryStar),
        Vary::None => Vec::new(),
        Vary::Fields(fields) => fields.into_vec(),
    };
    let range = admit_range(&response.headers, response.status)?;
    let life = Life::of(&reception, settings);
    let validator = response.headers.contains_key(ETAG) || response.headers.contains_key(LAST_MODIFIED);
    if life.lifetime == 0 && life.stale_while_revalidate == 0 && life.stale_if_error == 0 && !validator {
        return Err(NotStored::NoFreshness);
    }
    let tags = ResponseTags::read(&response.headers)?;
    // A field that is not stored would be missing when a 304 freshens the others.
    if tags::FIELDS.iter().any(|name| omit.contains(name) && response.headers.contains_key(name)) {
        return Err(NotStored::Tags);
    }
    Ok(Kept { life, omit, vary, range, tags })
}

/// What the response's directives and the request's credentials forbid; on success the fields to leave out.
fn admit_directives(asked: &Asked<'_>, reception: &Reception<'_>, ignore: Ignore) -> Result<Vec<HeaderName>, NotStored> {
    let directives = reception.directives;
    if directives.must_understand {
        if !is_understood(reception.status) {
            return Err(NotStored::MustUnderstand);
        } // else: `no-store` beside it is for those who do not understand (RFC 9111 section 5.2.2.3)
    } else if directives.no_store && !ignore.no_store {
        return Err(NotStored::NoStore);
    }
    if directives.private.is_everything() && !ignore.private {
        return Err(NotStored::Private);
    }
    // RFC 9111 section 3.5. A partition by Authorization is unreachable without the same credentials.
    let own_partition = asked.rule.and_then(|rule| rule.per_identity.as_ref()).is_some_and(|identity| identity.header == AUTHORIZATION);
    let shareable = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    if asked.headers.contains_key(AUTHORIZATION) && !own_partition && !shareable {
        return Err(NotStored::Authorization);
    }
    let mut omit: Vec<HeaderName> = directives.private.fields().to_vec();
    omit.extend_from_slice(directives.no_cache.fields());
    omit.retain(|name| *name != CONTENT_LENGTH && *name != DATE); // ours, whatever the origin says of its own
    if reception.headers.contains_key(SET_COOKIE) && !ignore.set_cookie && !omit.contains(&SET_COOKIE) {
        return Err(NotStored::SetCookie);
    }
    Ok(omit)
}

/// Method and status (RFC 9111 section 3): a final status, and either explicit freshness or a status that is cacheable by default.
fn admit_status(asked: &Asked<'_>, reception: &Reception<'_>) -> Result<(), NotStored> {
    let status = reception.status;
    let explicit = origin_lifetime(reception).is_some();
    match *asked.method {
        Method::GET => {}
        // RFC 9110 section 9.3.3
        Method::POST if explicit && asked.locates_itself && status.is_success() && status != StatusCode::PARTIAL_CONTENT => {}
        _ => return Err(NotStored::Method),
    }
    if status.is_informational() || status == StatusCode::NOT_MODIFIED {
        return Err(NotStored::Status);
    }
    // These answer what one request said about itself, not its target.
    let own_fault = matches!(status.as_u16(), 400 | 408 | 411 | 412 | 413 | 415 | 416 | 417 | 421 | 425 | 426 | 428 | 429 | 431);
    if own_fault && !explicit {
        return Err(NotStored::Status);
    }
    let conditional = crate::rfc::conditional::is_for_origin(asked.headers) || asked.headers.contains_key(http::header::RANGE);
    if conditional && !status.is_success() {
        return Err(NotStored::Conditional);
    }
    if explicit || reception.directives.public || is_heuristically_cacheable(status) { Ok(()) } else { Err(NotStored::Status) }
}

/// A 206 is stored only if it is one part, says which, and its length agrees (RFC 9111 section 3.3).
fn admit_range(headers: &HeaderMap, status: StatusCode) -> Result<Option<ContentRange>, NotStored> {
    if status != StatusCode::PARTIAL_CONTENT {
        return Ok(None);
    }
    let multipart = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"multipart/byteranges"));
    let range = headers.get(CONTENT_RANGE).and_then(|value| ContentRange::parse(value.as_bytes())).filter(|_| !multipart);
    let range = range.filter(|range| range.complete.is_some()).ok_or(NotStored::Partial)?;
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length != range.end - range.start + 1) { Err(NotStored::Partial) } else { Ok(Some(range)) }
}

/// Statuses whose caching requirements are implemented (RFC 9111 section 5.2.2.3).
fn is_understood(status: StatusCode) -> bool {
    is_heuristically_cacheable(status)
        || matches!(status.as_u16(), 201 | 202 | 302 | 303 | 307 | 400 | 401 | 403 | 409 | 429 | 451 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::{Asked, Kept, NotStored, admit};
    use crate::cache::freshness::Timing;
    use crate::cache::rules::Rule;
    use crate::cache::settings::Settings;
    use crate::clock::Stamp;
    use crate::error::OriginFailure;
    use crate::rfc::directives::RequestDirectives;
    use crate::telemetry::Refusal;
    use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

    type Lines<'a> = &'a [(&'static str, &'a str)];

    struct Case<'a> {
        method: Method,
        request: Lines<'a>,
        status: u16,
        response: Lines<'a>,
        rule: Option<&'a Rule>,
        locates_itself: bool,
    }

    const fn get(status: u16, response: Lines<'_>) -> Case<'_> {
        Case { method: Method::GET, request: &[], status, response, rule: None, locates_itself: false }
    }

    fn map(lines: Lines<'_>) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn verdict(case: &Case<'_>) -> Result<Kept, NotStored> {
        let headers = map(case.request);
        let directives = RequestDirectives::read(&headers);
        let asked = Asked {
            method: &case.method,
            headers: &headers,
            directives: &directives,
            rule: case.rule,
            locates_itself: case.locates_itself,
        };
        let mut response = Response::new(());
        *response.status_mut() = case.status.try_into().unwrap();
        *response.headers_mut() = map(case.response);
        let timing = Timing { requested: Stamp::from_millis(1000), received: Stamp::from_millis(1000) };
        admit(&asked, &response.into_parts().0, timing, &Settings::default())
    }

    fn reason(case: &Case<'_>) -> Option<NotStored> {
        verdict(case).err()
    }

    #[test]
    fn explicit_freshness_makes_any_final_status_storable() {
        for status in [200, 201, 204, 301, 302, 307, 400, 403, 404, 429, 499, 500, 503, 599] {
            assert_eq!(reason(&get(status, &[("cache-control", "max-age=9")])), None, "{status}");
        }
        assert_eq!(reason(&get(304, &[("cache-control", "max-age=9")])), Some(NotStored::Status));
    }

    #[test]
    fn without_freshness_only_default_statuses_with_a_validator_are_kept() {
        assert_eq!(reason(&get(200, &[("etag", "\"a\"")])), None);
        assert_eq!(reason(&get(200, &[])), Some(NotStored::NoFreshness));
        for status in [201, 302, 400, 403, 412, 416, 500, 502, 503, 504] {
            assert_eq!(reason(&get(status, &[("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")])), Some(NotStored::Status), "{status}");
        }
    }

    #[test]
    fn prohibitions_have_their_names() {
        for (lines, expected) in [
            (&[("cache-control", "no-store, max-age=9")][..], NotStored::NoStore),
            (&[("cache-control", "private, max-age=9")], NotStored::Private),
            (&[("cache-control", "max-age=9"), ("set-cookie", "a=b")], NotStored::SetCookie),
            (&[("cache-control", "max-age=9"), ("vary", "*")], NotStored::VaryStar),
        ] {
            assert_eq!(reason(&get(200, lines)), Some(expected));
        }
        let request = Case { request: &[("cache-control", "no-store")], ..get(200, &[("cache-control", "max-age=9")]) };
        assert_eq!(reason(&request), Some(NotStored::RequestNoStore));
        let head = Case { method: Method::HEAD, ..get(200, &[("cache-control", "max-age=9")]) };
        assert_eq!(reason(&head), Some(NotStored::Method));
    }

    #[test]
    fn a_rule_disregards_only_what_it_names() {
        let mut rule = Rule::path("/**").unwrap();
        rule.ignore.no_store = true;
        rule.ignore.set_cookie = true;
        assert_eq!(reason(&Case { rule: Some(&rule), ..get(200, &[("cache-control", "no-store, max-age=9"), ("set-cookie", "a")]) }), None);
        assert_eq!(reason(&Case { rule: Some(&rule), ..get(200, &[("cache-control", "private, max-age=9")]) }), Some(NotStored::Private));
    }

    #[test]
    fn answers_to_credentials_are_shared_only_if_they_say_so() {
        fn with(response: Lines<'_>) -> Case<'_> {
            Case { request: &[("authorization", "Bearer x")], ..get(200, response) }
        }
        assert_eq!(reason(&with(&[("cache-control", "max-age=9")])), Some(NotStored::Authorization));
        for allowed in ["max-age=9, public", "max-age=9, must-revalidate", "s-maxage=9"] {
            let lines = [("cache-control", allowed)];
            assert_eq!(reason(&with(&lines)), None, "{allowed}");
        }
        let by = |name: HeaderName| Rule::path("/**").unwrap().per_identity(name);
        let (own, other) = (by(http::header::AUTHORIZATION), by(http::header::COOKIE));
        assert_eq!(reason(&Case { rule: Some(&own), ..with(&[("cache-control", "max-age=9")]) }), None);
        assert_eq!(reason(&Case { rule: Some(&other), ..with(&[("cache-control", "max-age=9")]) }), Some(NotStored::Authorization));
    }

    #[test]
    fn named_fields_are_left_out_and_the_rest_is_stored() {
        let kept =
            verdict(&get(200, &[("cache-control", "max-age=9, no-cache=\"set-cookie\", private=\"x-a\""), ("set-cookie", "a=b")])).unwrap();
        assert_eq!(kept.omit, ["x-a", "set-cookie"]);
    }

    #[test]
    fn must_understand_overrides_no_store_for_statuses_that_are_understood() {
        assert_eq!(reason(&get(200, &[("cache-control", "max-age=9, no-store, must-understand")])), None);
        assert_eq!(reason(&get(499, &[("cache-control", "max-age=9, no-store, must-understand")])), Some(NotStored::MustUnderstand));
    }

    #[test]
    fn a_targeted_field_replaces_cache_control_and_expires_entirely() {
        assert_eq!(reason(&get(200, &[("cdn-cache-control", "max-age=9"), ("cache-control", "no-store")])), None);
        let lines = [("cdn-cache-control", "public"), ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"), ("etag", "\"a\"")];
        assert_eq!(verdict(&get(200, &lines)).unwrap().life.lifetime, 0);
        assert_eq!(reason(&get(200, &[("cdn-cache-control", "max-age=9, ;;"), ("cache-control", "no-store")])), Some(NotStored::NoStore));
    }

    #[test]
    fn a_post_is_stored_only_when_it_names_its_own_target() {
        let post = |locates_itself| Case { method: Method::POST, locates_itself, ..get(200, &[("cache-control", "max-age=9")]) };
        assert_eq!((reason(&post(true)), reason(&post(false))), (None, Some(NotStored::Method)));
        let silent = Case { method: Method::POST, locates_itself: true, ..get(200, &[("etag", "\"a\"")]) };
        assert_eq!(reason(&silent), Some(NotStored::Method));
    }

    #[test]
    fn a_partial_response_must_say_which_bytes_it_is() {
        let part = |lines| get(206, lines);
        assert!(
            verdict(&part(&[("cache-control", "max-age=9"), ("content-range", "bytes 2-4/10"), ("content-length", "3")]))
                .unwrap()
                .range
                .is_some()
        );
        for lines in [
            &[("cache-control", "max-age=9"), ("content-range", "bytes 2-4/10"), ("content-length", "4")][..],
            &[("cache-control", "max-age=9"), ("content-range", "bytes 2-4/*")],
            &[("cache-control", "max-age=9")],
            &[("cache-control", "max-age=9"), ("content-range", "bytes 2-4/10"), ("content-type", "Multipart/ByteRanges; boundary=x")],
        ] {
            assert_eq!(reason(&part(lines)), Some(NotStored::Partial), "{lines:?}");
        }
    }

    #[test]
    fn what_warmfront_made_itself_is_never_stored() {
        let headers = HeaderMap::new();
        let asked =
            Asked { method: &Method::GET, headers: &headers, directives: &RequestDirectives::default(), rule: None, locates_itself: false };
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.headers = map(&[("cache-control", "max-age=9")]);
        parts.extensions.insert(OriginFailure(Refusal::UpstreamClosed));
        let timing = Timing { requested: Stamp::from_millis(0), received: Stamp::from_millis(0) };
        assert_eq!(admit(&asked, &parts, timing, &Settings::default()), Err(NotStored::OriginFailure));
    }
}
