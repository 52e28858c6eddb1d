//! What a request must be that came over HTTP/2, where the scan of HTTP/1.1 has not seen it. No IO, no clock.

use crate::sidecar::admission::Stop;
use crate::sidecar::head::{MAX_FIELDS, MAX_TARGET};
use crate::sidecar::target::Host;
use crate::telemetry::Refusal;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Uri};

/// The bytes of a request head, as its sender must have meant them.
pub(super) fn weight(parts: &Parts) -> usize {
    let fields: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    fields + parts.uri.path().len() + parts.uri.query().map_or(0, str::len)
}

/// Checks what `h2` does not, and makes of it what HTTP/1.1 would have been. `h2` itself has refused fields of a connection, capitals in names,
/// pseudo-fields that are missing or come too late, and a body that contradicts its length.
pub(super) fn check(parts: &mut Parts, https: bool) -> Result<(), Stop> {
    if parts.method == Method::CONNECT {
        return Ok(()); // refused for what it is
    }
    if parts.headers.len() > MAX_FIELDS {
        return Err(Stop::Refuse(Refusal::HeadersTooLarge, "more than 100 header fields".into()));
    }
    target(&parts.uri, &parts.method)?;
    authority(parts, https)?;
    fields(&parts.headers)?;
    join_cookies(&mut parts.headers);
    Ok(())
}

fn bad(detail: &'static str) -> Stop {
    Stop::Refuse(Refusal::BadRequest, detail.into())
}

/// RFC 9113 section 8.3.1: `:path` begins with a slash, or is the asterisk of OPTIONS.
fn target(uri: &Uri, method: &Method) -> Result<(), Stop> {
    let path = uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    if path.len() > MAX_TARGET {
        return Err(Stop::Refuse(Refusal::TargetTooLong, "request target over 8 KiB".into()));
    }
    if path.starts_with('/') || (path == "*" && method == Method::OPTIONS) { Ok(()) } else { Err(bad("request target without a path")) }
}

/// RFC 9113 section 8.3.1: a Host that differs from `:authority` makes the request malformed.
fn authority(parts: &Parts, https: bool) -> Result<(), Stop> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else { return Ok(()) };
    if hosts.next().is_some() {
        return Err(bad("exactly one Host is needed"));
    }
    let Some(authority) = parts.uri.authority() else { return Ok(()) };
    let said = Host::parse(host.as_bytes(), https).ok_or_else(|| bad("invalid Host"))?;
    let same = Host::parse(authority.as_str().as_bytes(), https).is_some_and(|meant| meant == said);
    if same { Ok(()) } else { Err(bad("Host and :authority differ")) }
}

fn fields(headers: &HeaderMap) -> Result<(), Stop> {
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(bad("several or invalid Content-Length"));
    }
    for (name, value) in headers {
        // CGI and its heirs take `_` for `-`: an origin that does would see another framing than we do.
        if matches!(name.as_str(), "content_length" | "transfer_encoding") {
            return Err(bad("malformed header field"));
        }
        // RFC 9113 section 8.2.1. On the way to the origin it would be trimmed, and the origin would read another value than we did.
        let edges = [value.as_bytes().first(), value.as_bytes().last()];
        if edges.into_iter().flatten().any(|b| matches!(b, b' ' | b'\t')) {
            return Err(bad("a field value begins or ends with a blank"));
        }
    }
    Ok(())
}

/// RFC 9113 section 8.2.3: what may come in crumbs is one field everywhere else.
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Joined of valid values, it is one.
    if let Ok(mut cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        cookie.set_sensitive(true);
        headers.insert(COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::sidecar::admission::Stop;
    use crate::telemetry::Refusal;
    use http::Request;
    use http::request::Parts;

    fn checked(method: &str, target: &str, fields: &[(&str, &str)]) -> Result<Parts, Refusal> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        match check(&mut parts, true) {
            Ok(()) => Ok(parts),
            Err(Stop::Refuse(refusal, _)) => Err(refusal),
            Err(_) => panic!("no refusal"),
        }
    }

    #[test]
    fn host_and_authority_are_one() {
        for (target, fields, good) in [
            ("https://h/", &[][..], true),
            ("https://h/", &[("host", "H:443")][..], true),
            ("https://h/", &[("host", "h:80")][..], false),
            ("https://h/", &[("host", "evil")][..], false),
            ("https://h/", &[("host", "h"), ("host", "h")][..], false),
            ("/", &[("host", "h")][..], true),
            ("/", &[("host", "h"), ("host", "h")][..], false),
        ] {
            assert_eq!(
                checked("GET", target, fields).map(drop),
                if good { Ok(()) } else { Err(Refusal::BadRequest) },
                "{target} {fields:?}"
            );
        }
    }

    #[test]
    fn what_another_reader_would_read_otherwise_is_refused() {
        for fields in [
            &[("content_length", "1")][..],
            &[("transfer_encoding", "chunked")],
            &[("content-length", "1"), ("content-length", "1")],
            &[("x", " a")],
            &[("x", "a\t")],
        ] {
            assert_eq!(checked("GET", "https://h/", fields).map(drop), Err(Refusal::BadRequest), "{fields:?}");
        }
        assert_eq!(checked("GET", "*", &[("host", "h")]).map(drop), Err(Refusal::BadRequest));
        assert!(checked("OPTIONS", "*", &[("host", "h")]).is_ok());
    }

    #[test]
    fn limits_are_those_of_http_1_1() {
        let long = format!("https://h/{}", "x".repeat(8 << 10));
        assert_eq!(checked("GET", &long, &[]).map(drop), Err(Refusal::TargetTooLong));
        let many: Vec<(String, &str)> = (0..101).map(|at| (format!("x-{at}"), "1")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, *value)).collect();
        assert_eq!(checked("GET", "https://h/", &many).map(drop), Err(Refusal::HeadersTooLarge));
    }

    #[test]
    fn crumbs_become_one_cookie() {
        let parts = checked("GET", "https://h/", &[("cookie", "a=1"), ("cookie", "b=2")]).unwrap();
        assert_eq!(parts.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
