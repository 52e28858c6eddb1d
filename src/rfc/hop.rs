//! Fields that end at the next hop (RFC 9110 section 7.6.1) and fields that are not stored
//! (RFC 9111 section 3.1).

use http::header::{self, CONNECTION, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE};
use smallvec::SmallVec;

use super::list::trim;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");

/// Fields of a request that a client must not have dropped by nominating them: they say to whom it
/// speaks, who it is, what it asks for or how its content is framed.
const PROTECTED: [&[u8]; 22] = [
    b"age",
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"etag",
    b"expect",
    b"expires",
    b"forwarded",
    b"host",
    b"origin",
    b"pragma",
    b"range",
    b"set-cookie",
    b"transfer-encoding",
    b"vary",
    b"via",
    b"x-real-ip",
];

/// Families of fields that are protected like [`PROTECTED`].
const PROTECTED_PREFIXES: [&[u8]; 2] = [b"if-", b"x-forwarded-"];

/// Removes what must not be forwarded: Connection, every field that it nominates, and the fields that
/// end at the next hop even when nobody nominates them (RFC 9110 section 7.6.1).
///
/// Trailer stays: it announces what comes with the content. Proxy-Authenticate and
/// Proxy-Authorization stay too, unless they are nominated.
pub fn strip(headers: &mut HeaderMap) {
    strip_all(headers, false);
}

/// Removes what must not be stored (RFC 9111 section 3.1): what [`strip`] removes, and
/// Proxy-Authenticate, Proxy-Authentication-Info and Proxy-Authorization.
pub fn strip_unstorable(headers: &mut HeaderMap) {
    strip_all(headers, true);
}

/// Looks at each name once, and removes what is there: to look for each of those that are not would cost more.
fn strip_all(headers: &mut HeaderMap, credentials: bool) {
    let found: SmallVec<[HeaderName; 2]> = headers.keys().filter(|name| ends_here(name, credentials)).cloned().collect();
    if found.is_empty() {
        return;
    }
    for name in nominated(headers).into_iter().chain(found) {
        headers.remove(name);
    }
}

/// Whether a field ends at the next hop, or, with `credentials`, is one of a proxy's.
pub(crate) fn ends_here(name: &HeaderName, credentials: bool) -> bool {
    match *name {
        header::CONNECTION | header::TE | header::TRANSFER_ENCODING | header::UPGRADE => true,
        header::PROXY_AUTHENTICATE | header::PROXY_AUTHORIZATION => credentials,
        _ if name == PROXY_AUTHENTICATION_INFO => credentials,
        _ => name == HTTP2_SETTINGS || name == KEEP_ALIVE || name == PROXY_CONNECTION,
    }
}

/// Whether a request's Connection nominates a field that [`strip`] must not be made to remove.
///
/// Without its Authorization or Cookie a request becomes somebody else's, and its answer would be
/// stored as such; answer 400 instead. `te` and unknown names are no harm.
#[must_use]
pub fn nominates_protected(headers: &HeaderMap) -> bool {
    options(headers).any(|option| {
        PROTECTED.iter().any(|name| name.eq_ignore_ascii_case(option))
            || PROTECTED_PREFIXES.iter().any(|prefix| option.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
    })
}

/// The fields that Connection nominates. Options that cannot be field names are left out.
pub(crate) fn nominated(headers: &HeaderMap) -> SmallVec<[HeaderName; 4]> {
    let mut lines = headers.get_all(CONNECTION).iter();
    match (lines.next(), lines.next()) {
        (None, _) => return SmallVec::new(),
        (Some(line), None) if line == "keep-alive" || line == "close" => return SmallVec::new(),
        _ => {}
    }
    options(headers)
        // The two everyday options are not fields; they need no allocation.
        .filter(|option| !option.eq_ignore_ascii_case(b"close") && !option.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .collect()
}

/// Whether a field is never stored, whether it is nominated or not (RFC 9111 section 3.1).
pub(crate) fn is_unstorable(name: &HeaderName) -> bool {
    [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHENTICATION_INFO,
        PROXY_AUTHORIZATION,
    ]
    .contains(name)
}

/// The connection options. They are tokens, so a quote is no reason to overlook a comma.
fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(trim)
        .filter(|option| !option.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;
    use proptest::prelude::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn left(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn connection(value: &'static str) -> HeaderMap {
        map(&[("connection", value)])
    }

    #[test]
    fn nominated_fields_go_with_connection() {
        let mut headers = map(&[("connection", "A, close"), ("connection", "b"), ("a", "1"), ("b", "2"), ("b", "3"), ("c", "4")]);
        strip(&mut headers);
        assert_eq!(left(&headers), ["c"]);
    }

    #[test]
    fn hop_by_hop_fields_go_unnominated_and_trailer_stays() {
        let mut headers = map(&[
            ("keep-alive", "1"),
            ("proxy-connection", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("trailer", "x"),
            ("proxy-authenticate", "x"),
            ("host", "a"),
        ]);
        strip(&mut headers);
        assert_eq!(left(&headers), ["host", "proxy-authenticate", "trailer"]);
    }

    #[test]
    fn proxy_credentials_are_not_stored() {
        let mut headers = map(&[
            ("proxy-authenticate", "1"),
            ("proxy-authentication-info", "1"),
            ("proxy-authorization", "1"),
            ("connection", "cache-control"),
            ("cache-control", "max-age=1"),
            ("te", ""),
            ("etag", "\"a\""),
        ]);
        let kept: Vec<_> = headers.keys().filter(|name| !is_unstorable(name)).cloned().collect();
        assert_eq!(kept.len(), 2);
        strip_unstorable(&mut headers);
        assert_eq!(left(&headers), ["etag"]);
    }

    #[test]
    fn protected_fields_must_not_be_nominated() {
        for value in [
            "host",
            "close, Authorization",
            "COOKIE",
            "if-none-match",
            "X-Forwarded-For",
            "x , range",
            "\"x, host",
            "Content-Length",
            "transfer-encoding",
            "forwarded",
            "cache-control",
        ] {
            assert!(nominates_protected(&connection(value)), "{value}");
        }
        let second = map(&[("connection", "close"), ("connection", "cookie")]);
        assert!(nominates_protected(&second));
    }

    #[test]
    fn other_options_are_harmless() {
        for value in ["close", "keep-alive, Upgrade", "te", "x-foo", "", ",", "hosts", "if", "a b"] {
            assert!(!nominates_protected(&connection(value)), "{value}");
        }
        assert!(!nominates_protected(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(value: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers: HeaderMap = [(CONNECTION, value)].into_iter().collect();
                let _ = nominates_protected(&headers);
                strip_unstorable(&mut headers);
                prop_assert!(headers.is_empty());
            }
        }
    }
}
