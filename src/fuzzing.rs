//! All that strangers, origins and operators write and we read, for fuzzers: each target takes any bytes, and panics only if a promise is broken.

use crate::cache::Site;
use crate::config::{Sources, load};
use crate::rfc::directives::{RequestDirectives, ResponseDirectives};
use crate::rfc::range::{ByteRange, RangeSet};
use crate::rfc::vary;
use crate::rfc::vary::Vary;
use crate::rfc::{conditional, date, etag, list, range, targeted};
use crate::telemetry::log::Trace;
use crate::warm::Selector;
use crate::warm::source::read_source;
use http::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, VARY};

/// A parser, by name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("connection", crate::sidecar::fuzz::connection),
    ("chunked", crate::sidecar::fuzz::chunked),
    ("answer", crate::sidecar::fuzz::answer),
    ("admission", crate::sidecar::fuzz::admission),
    ("proxy_header", crate::sidecar::fuzz::proxy_header),
    ("traceparent", trace),
    ("site", site),
    ("cache_control", cache_control),
    ("vary", varying),
    ("range", ranges),
    ("date", dates),
    ("conditions", conditions),
    ("config", config),
    ("select", select),
    ("admin_body", crate::admin::fuzz::body),
    ("admin_query", crate::admin::fuzz::query),
];

/// A value for each line that may be one.
fn lines(bytes: &[u8]) -> Vec<HeaderValue> {
    bytes.split(|&byte| byte == b'\n').take(64).filter_map(|line| HeaderValue::from_bytes(line).ok()).collect()
}

/// Both kinds of directives, plain and targeted: `no-store` that stands alone is always seen.
fn cache_control(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in lines(bytes) {
        headers.append(CACHE_CONTROL, line.clone());
        headers.append("cdn-cache-control", line);
    }
    let response = ResponseDirectives::from_cache_control(&headers);
    let request = RequestDirectives::read(&headers);
    let _ = targeted::from_targeted(&headers, &[http::HeaderName::from_static("cdn-cache-control")]);
    if bytes.eq_ignore_ascii_case(b"no-store") {
        assert!(response.no_store && request.no_store);
    }
    headers.insert("x", HeaderValue::from_static("1"));
    assert_eq!(response, ResponseDirectives::from_cache_control(&headers), "other fields do not matter");
}

/// A variant matches the request that it was made for.
fn varying(bytes: &[u8]) {
    let mut all = lines(bytes);
    let mut headers = HeaderMap::new();
    if let Some(first) = all.pop() {
        headers.insert(VARY, first);
    }
    let names = ["accept", "accept-language", "accept-encoding", "x-a"];
    for (at, line) in all.into_iter().enumerate() {
        headers.append(names[at % names.len()], line);
    }
    if let Vary::Fields(fields) = Vary::read(&headers) {
        let variant = vary::Selector::new(&fields, &headers);
        assert!(variant.matches(&headers));
    }
}

/// What is satisfiable lies within the representation and does not overlap.
fn ranges(bytes: &[u8]) {
    for length in [0, 1, 10, 1000, u64::MAX] {
        let _ = range::requested(bytes);
        if let RangeSet::Satisfiable(found) = range::parse(bytes, length, 16) {
            assert!(!found.is_empty() && found.len() <= 16);
            let mut sorted: Vec<(u64, u64)> = found.iter().map(|&range| ends(range)).collect();
            sorted.sort_unstable();
            assert!(sorted.iter().all(|&(first, last)| first <= last && last < length));
            assert!(sorted.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}

const fn ends(range: ByteRange) -> (u64, u64) {
    (range.start, range.end)
}

/// A date that is read is written so that it is read again as the same.
fn dates(bytes: &[u8]) {
    if let Some(seconds) = date::parse(bytes) {
        assert_eq!(date::parse(date::format(seconds).as_bytes()), Some(seconds));
    }
}

/// Entity tags, lists and conditions.
fn conditions(bytes: &[u8]) {
    let _ = etag::EntityTag::parse(bytes);
    let members: usize = list::members(bytes).map(<[u8]>::len).sum();
    assert!(members <= bytes.len());
    let (mut request, tag) = (HeaderMap::new(), lines(bytes).pop());
    for line in lines(bytes) {
        request.append(IF_NONE_MATCH, line.clone());
        request.append(IF_MODIFIED_SINCE, line);
    }
    let _ = conditional::evaluate(&request, tag.as_ref().map(http::HeaderValue::as_bytes), Some(1), Some(2));
    request.append(ETAG, HeaderValue::from_static("x"));
    let _ = conditional::if_range_holds(bytes, tag.as_ref().map(HeaderValue::as_bytes), Some(1), Some(2));
}

/// A trace that a client names goes on as the same trace.
fn trace(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in lines(bytes) {
        headers.append("traceparent", line);
    }
    let Some(trace) = Trace::of(&headers) else { return };
    let child = HeaderMap::from_iter(trace.child().map(|child| (http::HeaderName::from_static("traceparent"), child)));
    assert_eq!(Trace::of(&child).map(|child| child.digits()), Some(trace.digits()));
}

/// A host with its scheme: what is read is written so that it is read again as the same, and makes a request.
fn site(bytes: &[u8]) {
    let Some(site) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<Site>().ok()) else { return };
    assert_eq!(site.to_string().parse::<Site>().ok(), Some(site.clone()));
    assert!(site.host().is_some() && site.uri(http::uri::PathAndQuery::from_static("/")).is_some());
}

/// A file: it is read, or every fault has a place that is in it.
fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match load(Sources { text: Some(("fuzz.toml".into(), text.into())), ..Sources::default() }) {
        Ok(config) => drop(format!("{config:?}")),
        Err(faults) => assert!(!faults.to_string().is_empty()),
    }
}

/// A selector, and the list that it is taken from.
fn select(bytes: &[u8]) {
    let at = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let Some(selector) = std::str::from_utf8(&bytes[..at]).ok().and_then(|text| Selector::parse(text).ok()) else { return };
    if let Ok(found) = read_source(bytes.get(at + 1..).unwrap_or_default(), &selector, 50) {
        assert!(found.values.len() <= 50);
    }
}
