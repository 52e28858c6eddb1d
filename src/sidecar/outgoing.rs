//! A request as it goes out to the upstream: its own fields, and those that it gets on top.

use crate::body::RequestBody;
use crate::rfc::forwarding::is_written_by_a_proxy;
use crate::sidecar::failure::Failure;
use crate::sidecar::forwarded::{self, Peer};
use crate::sidecar::head::field;
use crate::sidecar::live::Settings;
use crate::sidecar::settings::Balance;
use crate::telemetry::Refusal;
use crate::telemetry::log::{TRACEPARENT, TraceText};
use bytes::Bytes;
use http::header::{self, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Extensions, Version};
use http_body::Body as _;

/// A request, and all that goes out with it. How a body is framed is for whoever writes it.
#[derive(Debug)]
pub(super) struct Outbound<'a> {
    pub(super) parts: &'a Parts,
    /// It asks for another protocol.
    pub(super) switches: bool,
    pub(super) top: OnTop,
}

impl<'a> Outbound<'a> {
    /// Without more than it has.
    pub(super) fn plain(parts: &'a Parts) -> Self {
        Self { parts, switches: Names::of(&parts.headers).upgrade, top: OnTop::default() }
    }
}

/// Fields that a request gets on top of its own. They are no part of its map: what is written as it is need not be hashed, looked up and dropped for each request.
#[derive(Debug, Default)]
pub(super) struct OnTop {
    /// The lines that forward it, each with its end.
    pub(super) forwarding: Bytes,
    /// The value of this field.
    pub(super) traceparent: Option<TraceText>,
}

impl OnTop {
    /// As lines of HTTP/1.
    pub(super) fn write(&self, head: &mut Vec<u8>) {
        head.extend_from_slice(&self.forwarding);
        if let Some(text) = &self.traceparent {
            head.extend_from_slice(b"traceparent: ");
            head.extend_from_slice(text);
            head.extend_from_slice(b"\r\n");
        }
    }

    /// As fields of a map.
    pub(super) fn append_to(&self, headers: &mut HeaderMap) {
        let lines = self.forwarding.split(|&byte| byte == b'\n').filter_map(|line| field(line.strip_suffix(b"\r")?).ok());
        let fields = lines.filter_map(|(name, value)| Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?)));
        let traceparent = self.traceparent.and_then(|text| Some((TRACEPARENT.clone(), HeaderValue::from_bytes(&text).ok()?)));
        for (name, value) in fields.chain(traceparent) {
            headers.append(name, value);
        }
    }
}

/// What one pass over the names of a request has found that bears on how it goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    host: bool,
    length: bool,
    te: bool,
    pub(super) upgrade: bool,
    /// `Forwarded` or `X-Forwarded-*`.
    forwarded: bool,
    pub(super) traceparent: bool,
    pub(super) tracestate: bool,
}

impl Names {
    /// Looks at every name once.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            match *name {
                HOST => found.host = true,
                CONTENT_LENGTH => found.length = true,
                header::TE => found.te = true,
                header::UPGRADE => found.upgrade = true,
                header::FORWARDED => found.forwarded = true,
                _ => match name.as_str().as_bytes() {
                    b"traceparent" => found.traceparent = true,
                    b"tracestate" => found.tracestate = true,
                    [b'x', b'-', b'f', ..] => found.forwarded = true,
                    _ => {}
                },
            }
        }
        found
    }
}

/// Has a request of `peer` say for whom it is: by lines on top, where nothing looks for these fields, or has to go on with some that are there; else in its map. The lines.
pub(super) fn forward(parts: &mut Parts, names: Names, peer: &Peer, settings: &Settings) -> Bytes {
    let looked_at = match &settings.upstream.balance {
        Balance::Client => true,
        Balance::Header(name) => is_written_by_a_proxy(name),
        Balance::Load | Balance::Path => false,
    };
    if !looked_at
        && !names.forwarded
        && let Some(host) = parts.headers.get(HOST)
    {
        return peer.lines(host, parts.uri.scheme(), parts.version);
    }
    forwarded::complete(parts, peer, &settings.server, &settings.upstream);
    Bytes::new()
}

/// The request as the upstream gets it: the client's Host, and no length that its body does not have.
pub(super) fn prepare(parts: &mut Parts, names: Names, body: &RequestBody, settings: &Settings) -> Result<(), Failure> {
    if !names.host {
        let host = parts.uri.authority().or_else(|| settings.upstream.host()).and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        let host = host.ok_or_else(|| Failure::new(Refusal::BadRequest, "invalid authority"))?;
        parts.headers.insert(HOST, host);
    }
    parts.version = Version::HTTP_11;
    parts.extensions = Extensions::new();
    if names.length && body.is_end_stream() && parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0") {
        parts.headers.remove(CONTENT_LENGTH);
    }
    if names.te {
        parts.headers.append(CONNECTION, HeaderValue::from_static("te")); // RFC 9110 section 10.1.4
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Names, OnTop, forward};
    use crate::sidecar::forwarded::{Peer, complete};
    use crate::sidecar::live::Settings;
    use crate::sidecar::settings::{Balance, Forwarded, Origin, ServerSettings, UpstreamSettings};
    use http::request::Parts;
    use http::uri::Authority;
    use http::{HeaderMap, HeaderValue, Request, Version};

    fn settings(mode: Forwarded, balance: Balance) -> Settings {
        let server = ServerSettings { trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()], ..ServerSettings::default() };
        let origin = Origin::http(Authority::from_static("o:1"));
        Settings::after(None, server, UpstreamSettings { forwarded: mode, balance, ..UpstreamSettings::new(origin) })
    }

    fn request(scheme: &str, version: Version, fields: &[(&'static str, &'static str)]) -> Parts {
        let mut request = Request::get(format!("{scheme}://h/")).version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// What the upstream gets of it, and whether some of that is on top.
    fn forwarded(mut parts: Parts, peer: &Peer, settings: &Settings) -> (HeaderMap, bool) {
        let names = Names::of(&parts.headers);
        let lines = forward(&mut parts, names, peer, settings);
        let top = OnTop { forwarding: lines, traceparent: None };
        top.append_to(&mut parts.headers);
        (parts.headers, !top.forwarding.is_empty())
    }

    #[test]
    fn the_lines_on_top_say_what_the_fields_of_a_map_would() {
        for mode in [Forwarded::Overwrite, Forwarded::Append] {
            let settings = settings(mode, Balance::Load);
            for peer in [Some("192.0.2.7"), Some("2001:db8::1"), Some("10.0.0.1"), None] {
                let peer = Peer::new(peer.map(|ip| ip.parse().unwrap())).over(mode == Forwarded::Append);
                for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                    for (scheme, host) in [("http", "h"), ("http", "h"), ("https", "h"), ("https", "[::1]:8080"), ("http", "h")] {
                        let parts = request(scheme, version, &[("host", host), ("via", "1.1 other"), ("x-mine", "1")]);
                        let mut whole = parts.clone();
                        complete(&mut whole, &peer, &settings.server, &settings.upstream);
                        assert_eq!(
                            forwarded(parts, &peer, &settings),
                            (whole.headers, true),
                            "{mode:?} {peer:?} {scheme} {host} {version:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn fields_that_are_gone_on_with_looked_at_or_made_without_a_host_are_in_the_map() {
        let peer = Peer::new(Some("192.0.2.7".parse().unwrap()));
        let append = |balance| settings(Forwarded::Append, balance);
        for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded"] {
            let parts = request("http", Version::HTTP_11, &[("host", "h"), (name, "x")]);
            let (headers, on_top) = forwarded(parts, &peer, &append(Balance::Load));
            assert!(!on_top && headers.get_all(name).iter().count() == 1, "{name}: {headers:?}");
        }
        for balance in [Balance::Client, Balance::Header("x-forwarded-for".parse().unwrap())] {
            assert!(!forwarded(request("http", Version::HTTP_11, &[("host", "h")]), &peer, &append(balance)).1);
        }
        for balance in [Balance::Load, Balance::Path, Balance::Header("x-tenant".parse().unwrap())] {
            assert!(forwarded(request("http", Version::HTTP_11, &[("host", "h")]), &peer, &append(balance)).1);
        }
        let (headers, on_top) = forwarded(request("http", Version::HTTP_10, &[]), &peer, &append(Balance::Load));
        assert!(!on_top && headers["x-forwarded-for"] == "192.0.2.7" && !headers.contains_key("forwarded"));
    }

    #[test]
    fn a_trace_is_told_in_a_line_and_in_a_map_alike() {
        let top = OnTop { traceparent: Some(*b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ..OnTop::default() };
        let (mut head, mut headers) = (Vec::new(), HeaderMap::new());
        top.write(&mut head);
        top.append_to(&mut headers);
        assert_eq!(head, format!("traceparent: {}\r\n", headers["traceparent"].to_str().unwrap()).into_bytes());
        let (mut head, mut headers) = (Vec::new(), HeaderMap::new());
        OnTop::default().write(&mut head);
        OnTop::default().append_to(&mut headers);
        assert!(head.is_empty() && headers.is_empty());
    }

    #[test]
    fn no_name_that_matters_goes_unnoticed() {
        let of = |name: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("accept", HeaderValue::from_static("*/*"));
            headers.insert(name, HeaderValue::from_static("x"));
            Names::of(&headers)
        };
        assert!(of("host").host && of("content-length").length && of("te").te && of("upgrade").upgrade);
        assert!(of("traceparent").traceparent && of("tracestate").tracestate);
        assert!(["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"].map(of).iter().all(|names| names.forwarded));
        assert_eq!(of("user-agent"), Names::default());
    }
}
