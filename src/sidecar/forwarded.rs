//! `X-Forwarded-*`, `Forwarded` (RFC 7239), and the fields by which a stranger would have the origin read another request than we did.

use crate::rfc::forwarding::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::sidecar::settings::{Forwarded, ServerSettings, UpstreamSettings};
use bytes::Bytes;
use http::header::{FORWARDED, HOST, VIA};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::OnceLock;

/// Fields that a request gets from us: `X-Forwarded-For`, `-Host`, `-Proto`, `Forwarded` and `Via`.
const OUR_FIELDS: usize = 5;
/// Bytes of them as lines, without Host; with an IPv6 address they are some more.
const LINES: usize = 192;
/// Nothing is remembered for a Host of more bytes than a name in DNS has, and a port.
const LONGEST_HOST: usize = 260;

/// Fields that some frameworks obey in place of the target, the scheme, Host or the address of the client.
const OVERRIDES: [&str; 17] = [
    "front-end-https",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-host",
    "x-http-host-override",
    "x-http-path-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-real-ip",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];
/// Fields that some frameworks obey in place of the method: a legitimate idiom on POST, a trick on a method whose answers are stored.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// The client's end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    ip: Option<IpAddr>,
    /// Its address as a field value, made for the first request that goes to the upstream.
    address: OnceLock<Option<HeaderValue>>,
    /// Whether it speaks TLS with us.
    https: bool,
    /// What was made for the last Host seen: the next request nearly always has the same.
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// Host, and the `Forwarded` element for it.
    element: Option<(HeaderValue, HeaderValue)>,
    /// Host, whether https was asked for, and in which version; and the lines for such requests.
    lines: Option<((HeaderValue, bool, Version), Bytes)>,
}

/// What makes a difference between two peers that say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    https: bool,
    trusted: bool,
}

impl Peer {
    /// A peer at `ip`; `None` for one without an address.
    pub(super) fn new(ip: Option<IpAddr>) -> Self {
        let ip = ip.map(|ip| ip.to_canonical());
        Self { ip, address: OnceLock::new(), https: false, last: Mutex::default() }
    }

    /// The same, over TLS or in clear.
    pub(super) fn over(self, https: bool) -> Self {
        Self { https, ..self }
    }

    /// Whether the client asks over https: of us, or of a peer that is believed, by what that says of it in `X-Forwarded-Proto`. Of several members the first counts, as
    /// it does for the frameworks that read it.
    pub(super) fn is_asked_over_https(&self, headers: &HeaderMap, server: &ServerSettings, upstream: &UpstreamSettings) -> bool {
        if !self.may_append(server, upstream) {
            return self.https;
        }
        let said = headers.get(X_FORWARDED_PROTO).and_then(|value| value.to_str().ok()?.split(',').next()).unwrap_or_default().trim();
        match said {
            _ if said.eq_ignore_ascii_case("https") || said.eq_ignore_ascii_case("wss") => true,
            _ if said.eq_ignore_ascii_case("http") || said.eq_ignore_ascii_case("ws") => false,
            _ => self.https,
        }
    }

    /// Its address; none for a Unix socket.
    pub(super) const fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// The same as a field value; nothing for a Unix socket.
    fn address(&self) -> Option<&HeaderValue> {
        self.address.get_or_init(|| HeaderValue::from_str(&self.ip?.to_string()).ok()).as_ref()
    }

    /// All of it that the admission of a request depends on.
    pub(super) fn standing(&self, server: &ServerSettings) -> Standing {
        Standing { https: self.https, trusted: self.is_trusted(server) }
    }

    fn is_trusted(&self, server: &ServerSettings) -> bool {
        is_trusted(self.ip, server)
    }

    fn may_append(&self, server: &ServerSettings, upstream: &UpstreamSettings) -> bool {
        upstream.forwarded == Forwarded::Append && self.is_trusted(server)
    }

    /// `for=..;host=..;proto=..`: IPv6 addresses in brackets and quotes (RFC 7239 section 6), hosts in quotes because of their colon.
    fn element(&self, host: &HeaderValue) -> Option<String> {
        let node = match self.ip {
            Some(IpAddr::V4(ip)) => ip.to_string(),
            Some(IpAddr::V6(ip)) => format!("\"[{ip}]\""),
            None => "unknown".to_owned(),
        };
        Some(format!("for={node};host=\"{}\";proto={}", host.to_str().ok()?, scheme(self.https)))
    }

    /// The same, as a field value.
    fn element_value(&self, host: &HeaderValue) -> Option<HeaderValue> {
        if let Some((seen, element)) = &self.last.lock().element
            && seen == host
        {
            return Some(element.clone());
        }
        let element = HeaderValue::try_from(self.element(host)?).ok()?;
        self.last.lock().element = copy(host).map(|host| (host, element.clone()));
        Some(element)
    }

    /// What [`complete`] adds to a request that has none of these fields, as lines of HTTP/1. `scheme`: of its target.
    pub(super) fn lines(&self, host: &HeaderValue, scheme: Option<&Scheme>, version: Version) -> Bytes {
        let https = scheme == Some(&Scheme::HTTPS);
        if let Some(((seen, was_https, was_version), lines)) = &self.last.lock().lines
            && (seen, *was_https, *was_version) == (host, https, version)
        {
            return lines.clone();
        }
        let mut lines = Vec::with_capacity(LINES + 2 * host.len());
        let mut line = |name: &HeaderName, value: &[u8]| {
            [name.as_str().as_bytes(), b": ", value, b"\r\n"].iter().for_each(|part| lines.extend_from_slice(part));
        };
        if let Some(address) = self.address() {
            line(&X_FORWARDED_FOR, address.as_bytes());
        }
        if let Some(element) = self.element(host) {
            line(&FORWARDED, element.as_bytes());
        }
        line(&X_FORWARDED_HOST, host.as_bytes());
        line(&X_FORWARDED_PROTO, self::scheme(https).as_bytes());
        line(&VIA, received_by(version).as_bytes());
        let lines = Bytes::from(lines);
        self.last.lock().lines = copy(host).map(|host| ((host, https, version), lines.clone()));
        lines
    }
}

/// A Host to be remembered: no part of the buffer that the request came in. One that is too long is made a line of each time.
fn copy(host: &HeaderValue) -> Option<HeaderValue> {
    if host.len() <= LONGEST_HOST { HeaderValue::from_bytes(host.as_bytes()).ok() } else { None }
}

const fn scheme(https: bool) -> &'static str {
    if https { "https" } else { "http" }
}

/// Whether `ip` is in `server.trusted_proxies`.
pub(super) fn is_trusted(ip: Option<IpAddr>, server: &ServerSettings) -> bool {
    ip.map(|ip| ip.to_canonical()).is_some_and(|ip| server.trusted_proxies.iter().any(|network| network.contains(&ip)))
}

/// Completes a request from `peer` that was [admitted](super::admission::admit), for the origin: our forwarding fields, or the continued ones of a peer that is believed,
/// and `Via`. The scheme is the one that the answer is stored under: the origin is told the same.
pub(super) fn complete(parts: &mut Parts, peer: &Peer, server: &ServerSettings, upstream: &UpstreamSettings) {
    let https = parts.uri.scheme() == Some(&Scheme::HTTPS);
    let append = peer.may_append(server, upstream);
    let headers = &mut parts.headers;
    headers.reserve(OUR_FIELDS);
    match peer.address() {
        Some(address) => join(headers, X_FORWARDED_FOR, address, append),
        None if !append => drop(headers.remove(X_FORWARDED_FOR)),
        None => {}
    }
    if let Some(host) = headers.get(HOST).cloned() {
        if let Some(element) = peer.element_value(&host) {
            join(headers, FORWARDED, &element, append);
        }
        if !(append && headers.contains_key(X_FORWARDED_HOST)) {
            headers.insert(X_FORWARDED_HOST, host);
        }
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme(https)));
    via(headers, parts.version);
}

/// Adds ourselves as a recipient of a message that came in `version` (RFC 9110 section 7.6.3).
pub(super) fn via(headers: &mut HeaderMap, version: Version) {
    // Only a map of 32768 fields refuses; hyper passes on a hundred.
    let _ = headers.try_append(VIA, HeaderValue::from_static(received_by(version)));
}

const fn received_by(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0 warmfront",
        Version::HTTP_2 => "2.0 warmfront",
        _ => "1.1 warmfront",
    }
}

/// Continues the chain of a peer that is believed, or begins one.
fn join(headers: &mut HeaderMap, name: HeaderName, ours: &HeaderValue, append: bool) {
    let chain = append.then(|| {
        let lines = headers.get_all(&name).iter().map(HeaderValue::as_bytes).chain(std::iter::once(ours.as_bytes()));
        HeaderValue::from_bytes(&lines.collect::<Vec<_>>().join(&b", "[..])).ok()
    });
    headers.insert(name, chain.flatten().unwrap_or_else(|| ours.clone()));
}

/// Drops what `peer` may not say.
pub(super) fn drop_untold(headers: &mut HeaderMap, method: &Method, peer: &Peer, server: &ServerSettings, upstream: &UpstreamSettings) {
    let (trusted, append) = (peer.is_trusted(server), peer.may_append(server, upstream));
    let is_untold = |name: &str| {
        // CGI and its heirs (WSGI, Rack, PHP) take `_` for `-`. Nobody who may say these things spells them so.
        let spelled = name.replace('_', "-");
        let (trusted, append) = (trusted && spelled == name, append && spelled == name);
        (!append && (spelled == "forwarded" || spelled.starts_with("x-forwarded-")))
            || (!trusted && (OVERRIDES.contains(&&*spelled) || (method.is_safe() && METHOD_OVERRIDES.contains(&&*spelled))))
    };
    let names: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| may_tell(name.as_str()) && is_untold(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether a name has one of the beginnings that all these fields have.
pub(super) fn may_tell(name: &str) -> bool {
    matches!(name.as_bytes(), [b'x', b'-' | b'_', ..] | [b'f', b'o' | b'r', ..])
}

#[cfg(test)]
mod tests {
    use super::{Peer, complete, drop_untold, via};
    use crate::sidecar::settings::{Forwarded, Origin, ServerSettings, UpstreamSettings};
    use http::uri::Authority;
    use http::{HeaderMap, HeaderValue, Method, Request, Version};

    const SENT: [(&str, &str); 9] = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("forwarded", "for=1.1.1.1"),
        ("x-original-url", "/admin"),
        ("x-real-ip", "127.0.0.1"),
        ("x-http-method-override", "DELETE"),
        ("x-mine", "1"),
    ];

    fn forwarded(peer: &str, trusted: &[&str], mode: Forwarded, method: &Method) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in SENT {
            headers.append(name, HeaderValue::from_static(value));
        }
        let server =
            ServerSettings { trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(), ..ServerSettings::default() };
        let upstream = UpstreamSettings { forwarded: mode, ..UpstreamSettings::new(Origin::http(Authority::from_static("o:1"))) };
        let peer = Peer::new(Some(peer.parse().unwrap()));
        let https = peer.is_asked_over_https(&headers, &server, &upstream);
        drop_untold(&mut headers, method, &peer, &server, &upstream);
        headers.insert("host", HeaderValue::from_static("h:8080"));
        let mut parts = Request::get(format!("{}://h:8080/", super::scheme(https))).body(()).unwrap().into_parts().0;
        parts.headers = headers;
        complete(&mut parts, &peer, &server, &upstream);
        assert_eq!(parts.headers["via"], "1.1 warmfront");
        parts.headers
    }

    #[test]
    fn via_tells_the_version_that_was_received() {
        let mut headers = HeaderMap::new();
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            via(&mut headers, version);
        }
        assert_eq!(headers.get_all("via").iter().collect::<Vec<_>>(), ["1.0 warmfront", "1.1 warmfront", "2.0 warmfront"]);
    }

    #[test]
    fn what_was_made_for_a_host_is_remembered_but_for_an_endless_one() {
        let peer = Peer::new(Some("192.0.2.7".parse().unwrap()));
        for (length, is_remembered) in [(1, true), (super::LONGEST_HOST, true), (super::LONGEST_HOST + 1, false)] {
            let host = HeaderValue::try_from("h".repeat(length)).unwrap();
            let lines = peer.lines(&host, None, Version::HTTP_11);
            peer.element_value(&host).unwrap();
            assert_eq!(lines, peer.lines(&host, None, Version::HTTP_11));
            let last = peer.last.lock();
            assert_eq!((last.lines.is_some(), last.element.is_some()), (is_remembered, is_remembered), "{length}");
        }
    }

    #[test]
    fn a_stranger_is_not_believed() {
        for mode in [Forwarded::Overwrite, Forwarded::Append] {
            let headers = forwarded("192.0.2.7", &["10.0.0.0/8"], mode, &Method::GET);
            assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
            assert_eq!(
                (&headers["x-forwarded-host"], &headers["x-forwarded-proto"]),
                (&"h:8080".parse().unwrap(), &"http".parse().unwrap())
            );
            assert_eq!(headers["forwarded"], "for=192.0.2.7;host=\"h:8080\";proto=http");
            for gone in ["x-forwarded-port", "x-original-url", "x-http-method-override", "x-real-ip"] {
                assert!(!headers.contains_key(gone), "{gone}");
            }
            assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
            assert_eq!(headers["x-mine"], "1");
        }
    }

    #[test]
    fn an_underscore_does_not_make_it_another_field() {
        let server = ServerSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..ServerSettings::default() };
        let upstream =
            UpstreamSettings { forwarded: Forwarded::Append, ..UpstreamSettings::new(Origin::http(Authority::from_static("o:1"))) };
        for name in ["x_forwarded_host", "x-forwarded_proto", "x_original_url", "x_http_method_override", "front_end_https"] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("evil"));
            drop_untold(&mut headers, &Method::GET, &Peer::new(Some("10.1.2.3".parse().unwrap())), &server, &upstream);
            assert!(headers.is_empty(), "{name}, even from a peer that is believed");
        }
    }

    #[test]
    fn the_method_override_of_a_post_is_an_idiom() {
        assert!(forwarded("192.0.2.7", &[], Forwarded::Overwrite, &Method::POST).contains_key("x-http-method-override"));
    }

    #[test]
    fn the_chain_of_a_trusted_peer_is_continued() {
        let headers = forwarded("::ffff:10.1.2.3", &["10.0.0.0/8"], Forwarded::Append, &Method::GET);
        assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 10.1.2.3");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["forwarded"], "for=1.1.1.1, for=10.1.2.3;host=\"h:8080\";proto=http");
        assert!(headers.contains_key("x-forwarded-port") && headers.contains_key("x-original-url"));
    }

    #[test]
    fn the_scheme_is_what_a_trusted_peer_says_of_its_client_and_else_our_own() {
        let server = ServerSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..ServerSettings::default() };
        let upstream = |mode| UpstreamSettings { forwarded: mode, ..UpstreamSettings::new(Origin::http(Authority::from_static("o:1"))) };
        let (append, overwrite) = (upstream(Forwarded::Append), upstream(Forwarded::Overwrite));
        for (said, clear, tls) in [
            ("https", true, true),
            ("HTTPS , http", true, true),
            ("wss", true, true),
            ("http", false, false),
            ("http, https", false, false),
            ("", false, true),
            ("gopher", false, true),
        ] {
            let headers = HeaderMap::from_iter([("x-forwarded-proto".parse().unwrap(), HeaderValue::from_static(said))]);
            let told = |ip: &str, https, upstream| {
                Peer::new(Some(ip.parse().unwrap())).over(https).is_asked_over_https(&headers, &server, upstream)
            };
            assert_eq!((told("10.1.2.3", false, &append), told("10.1.2.3", true, &append)), (clear, tls), "{said:?}");
            assert!(!told("192.0.2.7", false, &append) && told("192.0.2.7", true, &append), "a stranger is not believed: {said:?}");
            assert!(!told("10.1.2.3", false, &overwrite), "{said:?}");
        }
    }

    #[test]
    fn an_ipv6_peer_is_quoted() {
        let headers = forwarded("2001:db8::1", &[], Forwarded::Overwrite, &Method::GET);
        assert_eq!(
            (&headers["forwarded"], &headers["x-forwarded-for"]),
            (&"for=\"[2001:db8::1]\";host=\"h:8080\";proto=http".parse().unwrap(), &"2001:db8::1".parse().unwrap())
        );
    }
}
