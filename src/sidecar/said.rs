//! What clients say of themselves with every request: the fields of a head, read and admitted once for all requests that say the same.

use crate::flow::glance::Glance;
use crate::sidecar::admission::{Way, admit};
use crate::sidecar::forwarded::{Peer, Standing};
use crate::sidecar::head::field;
use crate::sidecar::live::Settings;
use crate::sidecar::notable::Notable;
use crate::sidecar::target::Memory;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri};
use std::array;
use std::cell::RefCell;
use std::sync::{Arc, Weak};

/// What different clients of a thread say that is known to it: a load generator and most applications have one way to put it on all their connections.
const KINDS: usize = 8;

thread_local! {
    /// What was read last on this thread, while a connection still says it.
    static LATELY: RefCell<Lately> = RefCell::new(Lately { said: array::from_fn(|_| Weak::new()), next: 0 });
}

struct Lately {
    said: [Weak<Said>; KINDS],
    next: usize,
}

/// The fields of a GET in HTTP/1.1 that has no content, asks nothing of this connection, and may be asked of the cache. Shared by all connections of a thread whose clients say it.
#[derive(Debug)]
pub(crate) struct Said {
    /// As they came, to the end of the empty line.
    pub(super) fields: Arc<[u8]>,
    /// The same as a map, where requests are counted by them.
    came: Option<HeaderMap>,
    /// As the service gets them.
    pub(super) headers: HeaderMap,
    pub(super) glance: Glance,
    scheme: Scheme,
    authority: Authority,
    /// Under what and from whom they were admitted.
    settings: Arc<Settings>,
    standing: Standing,
}

impl Said {
    /// What `fields`, which the [scan](super::scan) has found good, say under these settings when `peer` says it. `None` if a request that says so is not for here.
    pub(super) fn of(fields: &Arc<[u8]>, settings: &Arc<Settings>, peer: &Peer) -> Option<Arc<Self>> {
        let standing = peer.standing(&settings.server);
        LATELY.with_borrow_mut(|lately| {
            let known = lately.said.iter().filter_map(Weak::upgrade);
            if let Some(said) = known.into_iter().find(|said| *said.fields == **fields && said.holds(settings) && said.standing == standing)
            {
                return Some(said);
            }
            let said = Arc::new(Self::read(fields, settings, peer, standing)?);
            lately.said[lately.next] = Arc::downgrade(&said);
            lately.next = (lately.next + 1) % KINDS;
            Some(said)
        })
    }

    fn read(fields: &Arc<[u8]>, settings: &Arc<Settings>, peer: &Peer, standing: Standing) -> Option<Self> {
        let mut parts = Request::new(()).into_parts().0;
        parts.headers = map_of(fields)?;
        let came = settings.limits.is_some().then(|| parts.headers.clone());
        drop_keep_alive(&mut parts.headers);
        let notable = Notable::of(&parts.headers);
        if notable.hop || notable.expect {
            return None;
        }
        if admit(&mut parts, true, settings, peer, &mut Memory::default()).ok()? != Way::Service {
            return None;
        }
        let uri = parts.uri.into_parts();
        Some(Self {
            fields: Arc::clone(fields),
            came,
            glance: Glance::at(&parts.headers),
            headers: parts.headers,
            scheme: uri.scheme?,
            authority: uri.authority?,
            settings: Arc::clone(settings),
            standing,
        })
    }

    /// Whether it was admitted under these settings.
    pub(super) fn holds(&self, settings: &Arc<Settings>) -> bool {
        Arc::ptr_eq(&self.settings, settings)
    }

    /// Whether `target` may be asked for now, as far as rates go: then it counts as one request of `peer`.
    pub(super) fn is_within_rates(&self, target: &Uri, peer: &Peer) -> bool {
        match (&self.settings.limits, &self.came) {
            (Some(limits), Some(came)) => limits.check(target.path(), came, peer, &self.settings.server).is_ok(),
            _ => true,
        }
    }

    /// A target in origin-form (RFC 9112 section 3.2.1), made absolute.
    pub(super) fn absolute(&self, target: &[u8]) -> Option<Uri> {
        if target.first() != Some(&b'/') {
            return None;
        }
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(self.scheme.clone());
        uri.authority = Some(self.authority.clone());
        uri.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(target)).ok()?);
        Uri::from_parts(uri).ok()
    }
}

fn map_of(fields: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    let lines = fields.split_inclusive(|&b| b == b'\n').filter_map(|line| line.strip_suffix(b"\r\n"));
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = field(line).ok()?;
        headers.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    Some(headers)
}

/// What a connection of HTTP/1.1 does anyway (RFC 9112 section 9.3).
fn drop_keep_alive(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(CONNECTION).iter();
    if lines.next().is_some_and(|line| line.as_bytes().eq_ignore_ascii_case(b"keep-alive")) && lines.next().is_none() {
        headers.remove(CONNECTION);
    }
}

#[cfg(test)]
mod tests {
    use super::Said;
    use crate::sidecar::forwarded::Peer;
    use crate::sidecar::live::Settings;
    use crate::sidecar::settings::{Forwarded, Origin, RateKey, RateLimit, ServerSettings, UpstreamSettings};
    use http::uri::Authority;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));
    const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    /// What is near is trusted.
    fn settings(adjust: impl FnOnce(&mut ServerSettings, &mut UpstreamSettings)) -> Arc<Settings> {
        let mut server = ServerSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..ServerSettings::default() };
        let mut upstream = UpstreamSettings::new(Origin::http(Authority::from_static("o:1")));
        adjust(&mut server, &mut upstream);
        Arc::new(Settings::after(None, server, upstream))
    }

    fn appending() -> Arc<Settings> {
        settings(|_, upstream| upstream.forwarded = Forwarded::Append)
    }

    fn fields(lines: &str) -> Arc<[u8]> {
        format!("{}\r\n", lines.lines().map(|line| format!("{line}\r\n")).collect::<String>()).into_bytes().into()
    }

    fn said_by(lines: &str, settings: &Arc<Settings>, peer: &Peer) -> Option<Arc<Said>> {
        Said::of(&fields(lines), settings, peer)
    }

    fn said(lines: &str) -> Option<Arc<Said>> {
        said_by(lines, &settings(|_, _| ()), &Peer::new(Some(FAR)))
    }

    #[test]
    fn what_concerns_the_connection_or_asks_for_more_than_an_answer_is_unfit() {
        for unfit in [
            "Connection: close",
            "connection: CLOSE",
            "Connection: keep-alive, close",
            "Connection: keep-alive\nConnection: keep-alive",
            "Connection: keep-alive\nConnection: close",
            "Connection: x-mine\nX-Mine: 1",
            "Connection: cookie",
            "Connection:",
            "TE: trailers",
            "TE: trailers\nConnection: TE",
            "Upgrade: websocket",
            "Upgrade: websocket\nConnection: upgrade",
            "Transfer-Encoding: chunked",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic x",
            "HTTP2-Settings: x",
            "Expect: 100-continue",
            "expect: a-miracle",
            "Content-Length: 99999999999",
        ] {
            assert!(said(&format!("Host: h\n{unfit}\nAccept: */*")).is_none(), "{unfit:?}");
        }
        for fine in ["", "Accept: */*", "Cookie: a=b\nCookie: c=d", "Content-Length: 0", "Via: 1.0 a", "Cache-Control: no-cache"] {
            assert!(said(format!("Host: h\n{fine}").trim_end()).is_some(), "{fine:?}");
        }
    }

    #[test]
    fn a_host_that_is_missing_or_none_is_unfit_and_any_other_is_normalised() {
        for lines in ["", "Accept: */*", "Host:", "Host: a b", "Host: a,b", "Host: u@h", "Host: h:x", "Host: h/p", "Host: [::g]"] {
            assert!(said(lines).is_none(), "{lines:?}");
        }
        let said = said("HOST:  Example.COM:80 ").unwrap();
        assert_eq!(
            (said.headers["host"].as_bytes(), &*said.absolute(b"/a?b").unwrap().to_string()),
            (&b"example.com"[..], "http://example.com/a?b")
        );
    }

    #[test]
    fn keep_alive_says_nothing_and_is_not_among_the_fields() {
        for line in ["Connection: keep-alive", "connection: Keep-Alive", "CONNECTION: KEEP-ALIVE "] {
            let said = said(&format!("Host: h\n{line}\nAccept: */*")).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(said.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["host", "accept"], "{line}");
        }
    }

    #[test]
    fn a_stranger_tells_nothing_of_others_and_a_trusted_proxy_does() {
        let lines =
            "Host: h\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-Proto: https\nForwarded: for=1.1.1.1\nX-Original-Url: /admin\nX-Mine: 1";
        let names = |peer, settings: &Arc<Settings>| {
            let said = said_by(lines, settings, &Peer::new(peer)).unwrap();
            let mut names: Vec<_> = said.headers.keys().map(|name| name.as_str()).collect();
            names.sort_unstable();
            (names.join(" "), said.absolute(b"/").unwrap().to_string())
        };
        let all = "forwarded host x-forwarded-for x-forwarded-proto x-mine x-original-url";
        for (peer, expected, target) in [(FAR, "host x-mine", "http://h/"), (NEAR, all, "https://h/")] {
            assert_eq!(names(Some(peer), &appending()), (expected.to_owned(), target.to_owned()), "{peer}");
        }
        assert_eq!(names(None, &appending()).0, "host x-mine", "nobody's address is in no network");
        assert_eq!(
            names(Some(NEAR), &settings(|_, _| ())),
            ("host x-mine x-original-url".to_owned(), "http://h/".to_owned()),
            "overwritten"
        );
    }

    #[test]
    fn what_overrides_the_target_is_glanced_at() {
        let said = said_by("Host: h\nX-Original-Url: /admin", &appending(), &Peer::new(Some(NEAR))).unwrap();
        assert!(said.glance.overridden);
    }

    #[test]
    fn who_says_the_same_shares_it_and_who_stands_elsewhere_does_not() {
        let (one, other) = (appending(), appending());
        let said = |lines: &str, settings, peer| said_by(lines, settings, &peer).unwrap();
        let first = said("Host: h\nA: b", &one, Peer::new(Some(FAR)));
        assert!(Arc::ptr_eq(&first, &said("Host: h\nA: b", &one, Peer::new(Some(Ipv4Addr::LOCALHOST.into())))), "another stranger");
        assert!(first.holds(&one) && !first.holds(&other));
        for (lines, settings, peer, what) in [
            ("Host: h\nA: c", &one, Peer::new(Some(FAR)), "other fields"),
            ("Host: h\na: b", &one, Peer::new(Some(FAR)), "other bytes"),
            ("Host: h\nA: b", &other, Peer::new(Some(FAR)), "other settings"),
            ("Host: h\nA: b", &one, Peer::new(Some(FAR)).over(true), "over TLS"),
            ("Host: h\nA: b", &one, Peer::new(Some(NEAR)), "a trusted one"),
        ] {
            assert!(!Arc::ptr_eq(&first, &said(lines, settings, peer)), "{what}");
        }
        assert_eq!(said("Host: h\nA: b", &one, Peer::new(None).over(true)).absolute(b"/").unwrap().scheme_str(), Some("https"));
    }

    #[test]
    fn what_nobody_says_any_more_is_let_go_and_many_kinds_do_not_add_up() {
        let (settings, peer) = (appending(), Peer::new(None));
        let gone = Arc::downgrade(&said_by("Host: h\nA: gone", &settings, &peer).unwrap());
        assert!(gone.upgrade().is_none());
        let kinds: Vec<_> = (0..20).map(|at| said_by(&format!("Host: h\nA: {at}"), &settings, &peer).unwrap()).collect();
        let shared = |at: usize| Arc::ptr_eq(&kinds[at], &said_by(&format!("Host: h\nA: {at}"), &settings, &peer).unwrap());
        assert!(shared(19) && shared(12), "the last eight are known");
        assert!(!shared(11), "and no more");
    }

    #[test]
    fn only_a_target_in_origin_form_is_made_absolute() {
        let said = said("Host: h:8080").unwrap();
        for target in ["", "*", "a", "http://h/", "http://h:8080/a", "h:8080", "?q", "/a\u{7f}", "/a b"] {
            assert!(said.absolute(target.as_bytes()).is_none(), "{target:?}");
        }
        for target in ["/", "//x", "//other.example/x", "/a?b=c&d", "/%2e%2e/a%00", "/a?", "/a;b/../c", "/:80@x"] {
            let uri = said.absolute(target.as_bytes()).unwrap_or_else(|| panic!("{target}"));
            assert_eq!((uri.to_string(), uri.host(), uri.port_u16()), (format!("http://h:8080{target}"), Some("h"), Some(8080)));
        }
    }

    #[test]
    fn rates_count_by_what_came_and_only_where_there_are_some() {
        let by = |by| {
            let rate_limit = RateLimit { per_second: 1, burst: 2, by };
            settings(|server, _| server.rate_limit = rate_limit)
        };
        let peer = Peer::new(Some(FAR));
        let free = said("Host: h").unwrap();
        let uri = free.absolute(b"/").unwrap();
        assert!((0..100).all(|_| free.is_within_rates(&uri, &peer)));
        let limited = said_by("Host: h", &by(RateKey::Client), &peer).unwrap();
        assert_eq!([(); 3].map(|()| limited.is_within_rates(&uri, &peer)), [true, true, false]);
        assert!(limited.is_within_rates(&uri, &Peer::new(Some(NEAR))), "another client");
        let settings = by(RateKey::Header("x-real-ip".parse().unwrap())); // dropped of a stranger, and counted by all the same
        let one = said_by("Host: h\nX-Real-Ip: 1", &settings, &peer).unwrap();
        let other = said_by("Host: h\nX-Real-Ip: 2", &settings, &peer).unwrap();
        assert!(!one.headers.contains_key("x-real-ip"));
        assert_eq!([(); 3].map(|()| one.is_within_rates(&uri, &peer)), [true, true, false]);
        assert_eq!([(); 3].map(|()| other.is_within_rates(&uri, &peer)), [true, true, false]);
    }
}
