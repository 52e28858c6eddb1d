//! What becomes of a request before anyone acts on it: refused, answered here, or made fit to be handed on. No IO, no clock.

use crate::rfc::hop;
use crate::sidecar::forwarded::{self, Peer};
use crate::sidecar::live::Settings;
use crate::sidecar::notable::Notable;
use crate::sidecar::target::{self, Memory};
use crate::telemetry::Refusal;
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap, HeaderValue, MAX_FORWARDS, TE, UPGRADE};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use std::borrow::Cow;
use std::time::Duration;

/// How a request that was admitted goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Through the service.
    Service,
    /// Past it to the upstream, asking for one of these protocols.
    Upgrade(HeaderValue),
}

/// Why a request does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// An error, and what was wrong in words.
    Refuse(Refusal, Cow<'static, str>),
    /// A client that asks too often, and when it may come again.
    Wait(Duration),
    /// An answer that is ours to give (RFC 9110 section 7.6.2).
    Answer(Box<Response<Bytes>>),
}

/// Counts a request among those of its client, if there are rates: before anything else is looked at.
pub(super) fn count(parts: &Parts, settings: &Settings, peer: &Peer) -> Result<(), Stop> {
    let Some(limits) = &settings.limits else { return Ok(()) };
    limits.check(parts.uri.path(), &parts.headers, peer, &settings.server).map_err(Stop::Wait)
}

/// Checks a request and makes it fit for the service: an absolute target, a Host that agrees with it, no field that ends here, and nothing that its sender may not
/// say. `empty` says that it has no body. Our own fields are still missing: they are put on where it
/// [leaves](super::outgoing::forward), or before the service if that must see them ([`complete`](forwarded::complete)).
pub(super) fn admit(parts: &mut Parts, empty: bool, settings: &Settings, peer: &Peer, memory: &mut Memory) -> Result<Way, Stop> {
    let notable = Notable::of(&parts.headers);
    check(parts, empty, notable, settings)?;
    let https = peer.is_asked_over_https(&parts.headers, &settings.server, &settings.upstream);
    target::resolve(parts, memory, https, settings.upstream.host()).map_err(bad_request)?;
    spend_max_forwards(parts)?;
    let mut way = Way::Service;
    if notable.hop {
        way = offered_protocols(parts, empty).map_or(Way::Service, Way::Upgrade);
        let trailers = wants_trailers(&parts.headers);
        hop::strip_unstorable(&mut parts.headers);
        if trailers {
            parts.headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
    if notable.expect {
        parts.headers.remove(EXPECT); // hyper says 100 when the body is first read
    }
    if notable.told {
        forwarded::drop_untold(&mut parts.headers, &parts.method, peer, &settings.server, &settings.upstream);
    }
    Ok(way)
}

fn bad_request(detail: &'static str) -> Stop {
    Stop::Refuse(Refusal::BadRequest, detail.into())
}

fn check(parts: &Parts, empty: bool, notable: Notable, settings: &Settings) -> Result<(), Stop> {
    if parts.method == Method::CONNECT {
        return Err(Stop::Refuse(Refusal::ConnectMethod, "warmfront is no tunnel".into()));
    }
    if notable.hop && hop::nominates_protected(&parts.headers) {
        return Err(bad_request("Connection names a field that must reach the origin"));
    }
    // RFC 9110 section 9.3.8: a TRACE request has no content.
    if parts.method == Method::TRACE && !empty {
        return Err(bad_request("TRACE with content"));
    }
    // RFC 9110 section 10.1.1; an HTTP/1.0 client cannot expect anything.
    if notable.expect
        && parts.version != Version::HTTP_10
        && parts.headers.get_all(EXPECT).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Stop::Refuse(Refusal::Expectation, "only 100-continue can be expected".into()));
    }
    if !notable.length {
        return Ok(());
    }
    let limit = settings.server.max_request_body;
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(body_too_large(limit));
    }
    Ok(())
}

/// The refusal of a body that is larger than `limit`.
pub(super) fn body_too_large(limit: u64) -> Stop {
    Stop::Refuse(Refusal::BodyTooLarge, format!("server.max_request_body ({limit} bytes)").into())
}

/// RFC 9110 section 7.6.2: of TRACE and OPTIONS only; zero means that we are the last recipient. An invalid value is no value.
fn spend_max_forwards(parts: &mut Parts) -> Result<(), Stop> {
    if parts.method != Method::TRACE && parts.method != Method::OPTIONS {
        return Ok(());
    }
    let Some(left) = parts.headers.get(MAX_FORWARDS).and_then(|value| value.to_str().ok()?.parse::<u64>().ok()) else { return Ok(()) };
    match left.checked_sub(1) {
        Some(left) => {
            parts.headers.insert(MAX_FORWARDS, HeaderValue::from(left));
            Ok(())
        }
        None if parts.method == Method::TRACE => Err(Stop::Answer(Box::new(echo(parts)))),
        None => Err(Stop::Answer(Box::new(options()))),
    }
}

fn options() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"));
    response
}

/// The request as it arrived, without what its sender would not like to see repeated (RFC 9110 section 9.3.8).
fn echo(parts: &Parts) -> Response<Bytes> {
    let mut text = format!("{} {} HTTP/1.1\r\n", parts.method, parts.uri).into_bytes();
    for (name, value) in &parts.headers {
        if !matches!(name.as_str(), "authorization" | "cookie" | "x-api-key") && !name.as_str().starts_with("proxy-") {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
    }
    let mut response = Response::new(Bytes::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("message/http"));
    response
}

/// The protocols that the client offers to switch to (RFC 9110 section 7.8), without h2c: RFC 9113 has retired it, and it would carry
/// requests past every rule. `None` unless it can work: HTTP/1.1, named in Connection, no body in the way.
fn offered_protocols(parts: &Parts, empty: bool) -> Option<HeaderValue> {
    if !parts.headers.contains_key(UPGRADE) || parts.version != Version::HTTP_11 || !empty || !names(&parts.headers, &CONNECTION, "upgrade")
    {
        return None;
    }
    let offered = tokens(&parts.headers, &UPGRADE).filter(|protocol| !protocol.eq_ignore_ascii_case("h2c"));
    let offered = offered.collect::<Vec<_>>().join(", ");
    if offered.is_empty() { None } else { HeaderValue::try_from(offered).ok() }
}

/// RFC 9110 section 10.1.4: TE is for one connection, so ours says again what the client's said.
fn wants_trailers(headers: &HeaderMap) -> bool {
    headers.contains_key(TE) && names(headers, &TE, "trailers")
}

fn names(headers: &HeaderMap, field: &http::HeaderName, token: &str) -> bool {
    tokens(headers, field).any(|found| found.eq_ignore_ascii_case(token))
}

/// The members of a comma-separated field.
pub(super) fn tokens<'a>(headers: &'a HeaderMap, field: &http::HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(field).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Stop, Way, admit};
    use crate::sidecar::forwarded::Peer;
    use crate::sidecar::live::Settings;
    use crate::sidecar::settings::{Origin, ServerSettings, UpstreamSettings};
    use crate::sidecar::target::Memory;
    use crate::telemetry::Refusal;
    use http::Request;
    use http::request::Parts;
    use http::uri::Authority;

    fn admitted(method: &str, target: &str, fields: &[(&str, &str)], empty: bool) -> Result<(Way, Parts), Stop> {
        let mut request = Request::builder().method(method).uri(target).header("host", "h");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        let upstream = UpstreamSettings::new(Origin::http(Authority::from_static("o:1")));
        let settings = Settings::after(None, ServerSettings { max_request_body: 100, ..ServerSettings::default() }, upstream);
        let way = admit(&mut parts, empty, &settings, &Peer::new(None), &mut Memory::default())?;
        Ok((way, parts))
    }

    fn refusal(method: &str, target: &str, fields: &[(&str, &str)], empty: bool) -> Option<Refusal> {
        match admitted(method, target, fields, empty) {
            Err(Stop::Refuse(refusal, _)) => Some(refusal),
            _ => None,
        }
    }

    #[test]
    fn what_cannot_go_on_is_refused_by_name() {
        assert_eq!(refusal("CONNECT", "h:443", &[], true), Some(Refusal::ConnectMethod));
        assert_eq!(refusal("GET", "/", &[("connection", "close, cookie")], true), Some(Refusal::BadRequest));
        assert_eq!(refusal("TRACE", "/", &[], false), Some(Refusal::BadRequest));
        assert_eq!(refusal("PUT", "/", &[("expect", "a-miracle")], false), Some(Refusal::Expectation));
        assert_eq!(refusal("PUT", "/", &[("expect", "100-Continue"), ("content-length", "100")], false), None);
        assert_eq!(refusal("PUT", "/", &[("content-length", "101")], false), Some(Refusal::BodyTooLarge));
        assert_eq!(refusal("PUT", "ftp://h/", &[], false), Some(Refusal::BadRequest));
    }

    #[test]
    fn fields_of_this_connection_end_here() {
        let fields = [
            ("connection", "x-mine, te"),
            ("x-mine", "1"),
            ("te", "gzip, trailers"),
            ("expect", "100-continue"),
            ("keep-alive", "1"),
            ("via", "1.0 a"),
        ];
        let (way, parts) = admitted("GET", "/", &fields, true).unwrap();
        assert_eq!(way, Way::Service);
        for gone in ["connection", "x-mine", "expect", "keep-alive"] {
            assert!(!parts.headers.contains_key(gone), "{gone}");
        }
        assert_eq!(parts.headers["te"], "trailers");
        assert_eq!(parts.headers["via"], "1.0 a", "it tells of the way up to here");
    }

    #[test]
    fn an_upgrade_needs_everything_right() {
        let offer = |upgrade| [("connection", "keep-alive, Upgrade"), ("upgrade", upgrade)];
        assert_eq!(admitted("GET", "/", &offer("h2c, websocket"), true).unwrap().0, Way::Upgrade("websocket".parse().unwrap()));
        assert_eq!(admitted("GET", "/", &offer("h2c"), true).unwrap().0, Way::Service, "h2c is not passed on");
        assert_eq!(admitted("GET", "/", &offer("websocket"), false).unwrap().0, Way::Service, "a body is in the way");
        assert_eq!(admitted("GET", "/", &[("upgrade", "websocket")], true).unwrap().0, Way::Service, "not named in Connection");
        assert!(!admitted("GET", "/", &offer("websocket"), true).unwrap().1.headers.contains_key("upgrade"));
    }

    #[test]
    fn max_forwards_counts_down_to_us() {
        let left = |value| admitted("OPTIONS", "/", &[("max-forwards", value)], true);
        assert_eq!(left("3").unwrap().1.headers["max-forwards"], "2");
        assert_eq!(left("x").unwrap().1.headers["max-forwards"], "x", "an invalid value is left alone");
        let Err(Stop::Answer(answer)) = left("0") else { panic!("no answer") };
        assert_eq!(answer.status(), 204);
        let fields = [("max-forwards", "0"), ("cookie", "secret"), ("authorization", "secret"), ("x-mine", "1")];
        let Err(Stop::Answer(answer)) = admitted("TRACE", "/p", &fields, true) else { panic!("no answer") };
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(text.starts_with("TRACE http://h/p HTTP/1.1\r\n") && text.contains("x-mine: 1") && !text.contains("secret"), "{text}");
        assert_eq!(
            admitted("GET", "/", &[("max-forwards", "0")], true).unwrap().1.headers["max-forwards"],
            "0",
            "for other methods it means nothing"
        );
    }
}
