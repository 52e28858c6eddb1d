//! What the names of a request's fields tell, in one pass: most requests have none of the fields that the cache must look into, and a pass over a
//! few names costs less than a look into the map for each field that might be there.

use http::HeaderMap;
use http::header::{self, HeaderName};

/// Fields by which some frameworks let a request be another one than it says. A key that does not know them must not be used: such requests pass.
static OVERRIDES: [HeaderName; 7] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-host"),
];

/// Which kinds of fields a request has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Glance {
    /// `Cache-Control` or `Pragma`.
    pub(crate) directives: bool,
    /// `Range` or a precondition (RFC 9110 section 13.1).
    pub(crate) conditional: bool,
    /// `Upgrade`.
    pub(crate) upgrade: bool,
    /// `traceparent`.
    pub(crate) traced: bool,
    /// One that lets the request be another one than it says.
    pub(crate) overridden: bool,
}

impl Glance {
    /// Looks at every name once.
    pub(crate) fn at(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for name in headers.keys() {
            match *name {
                header::CACHE_CONTROL | header::PRAGMA => seen.directives = true,
                header::RANGE
                | header::IF_RANGE
                | header::IF_MATCH
                | header::IF_NONE_MATCH
                | header::IF_MODIFIED_SINCE
                | header::IF_UNMODIFIED_SINCE => seen.conditional = true,
                header::UPGRADE => seen.upgrade = true,
                _ => match name.as_str().as_bytes() {
                    // All overrides begin like this, so that other names cost one comparison.
                    [b'x', b'-', b'h' | b'm' | b'o' | b'r', ..] => seen.overridden |= OVERRIDES.contains(name),
                    b"traceparent" => seen.traced = true,
                    _ => {}
                },
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::{Glance, OVERRIDES};
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn at(name: &str) -> Glance {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static("*/*"));
        headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("x"));
        Glance::at(&headers)
    }

    #[test]
    fn each_kind_is_seen_and_nothing_else_is() {
        let nothing = Glance::default();
        for name in ["user-agent", "x-request-id", "host", "accept-encoding"] {
            assert_eq!(at(name), nothing, "{name}");
        }
        for name in ["cache-control", "pragma"] {
            assert_eq!(at(name), Glance { directives: true, ..nothing }, "{name}");
        }
        for name in ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"] {
            assert_eq!(at(name), Glance { conditional: true, ..nothing }, "{name}");
        }
        assert_eq!(at("upgrade"), Glance { upgrade: true, ..nothing });
        assert_eq!(at("traceparent"), Glance { traced: true, ..nothing });
        for name in OVERRIDES.iter().map(HeaderName::as_str) {
            assert_eq!(at(name), Glance { overridden: true, ..nothing }, "{name}");
        }
    }
}
