//! Fields of one connection only (RFC 9110 section 7.6.1). A stand-in for `crate::rfc::hop`.

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// Fields that never pass an intermediary.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "proxy-features",
];

/// The options that the `Connection` lines name.
fn options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|option| !option.is_empty())
}

/// Removes the hop-by-hop fields and those that `Connection` nominates.
pub(super) fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let nominated: SmallVec<[HeaderName; 4]> = options(headers).filter_map(|option| option.parse().ok()).collect();
        for name in nominated {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Whether `Connection` nominates a field that must reach the other end: an attempt to have us drop what the origin decides by.
pub(super) fn nominates_protected(headers: &HeaderMap) -> bool {
    options(headers).any(|option| {
        let option = option.to_ascii_lowercase();
        let exact = ["host", "content-length", "authorization", "cookie", "cache-control", "range", "forwarded"];
        exact.contains(&option.as_str()) || option.starts_with("if-") || option.starts_with("x-forwarded-")
    })
}

#[cfg(test)]
mod tests {
    use super::{nominates_protected, strip};
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn what_connection_names_goes_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, X-Mine"), ("x-mine", "1"), ("keep-alive", "timeout=5"), ("te", "gzip"), ("accept", "*/*")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert!(!nominates_protected(&headers));
        strip(&mut headers);
        assert_eq!(headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn what_the_origin_decides_by_cannot_be_nominated() {
        for name in ["Host", "cookie", "If-None-Match", "x-forwarded-for", "Authorization"] {
            let mut headers = HeaderMap::new();
            headers.insert("connection", HeaderValue::from_str(&format!("close , {name}")).unwrap());
            assert!(nominates_protected(&headers), "{name}");
        }
    }
}
