//! Who a request is for: its target and `Host`, made into one absolute URI (RFC 9112 section 3.2).

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Uri, Version};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::Ipv6Addr;

/// A validated authority: lower case, without a default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) authority: Authority,
    /// The same, as the `Host` that the upstream gets.
    pub(super) value: HeaderValue,
}

impl Host {
    /// Reads `host [":" port]` (RFC 3986 section 3.2). `None` for anything else: userinfo, lists, blanks, an empty name. The default port is that
    /// of https or of http.
    pub(super) fn parse(raw: &[u8], https: bool) -> Option<Self> {
        let raw = std::str::from_utf8(raw).ok()?;
        let (name, port) = match raw.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (&raw[..address.len() + 2], if after.is_empty() { "" } else { after.strip_prefix(':')? })
            }
            None => raw.split_once(':').unwrap_or((raw, "")),
        };
        if name.is_empty() || !(name.starts_with('[') || is_reg_name(name.as_bytes())) {
            return None;
        }
        let mut text = name.to_ascii_lowercase();
        if !port.is_empty() {
            let number = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse::<u16>().ok())??;
            if number != if https { 443 } else { 80 } {
                write!(text, ":{number}").ok()?;
            }
        }
        Self::from_text(text)
    }

    fn from_text(text: String) -> Option<Self> {
        let bytes = Bytes::from(text);
        let value = HeaderValue::from_maybe_shared(bytes.clone()).ok()?;
        Some(Self { authority: Authority::from_maybe_shared(bytes).ok()?, value })
    }
}

/// reg-name of RFC 3986 section 3.2.2, which covers IPv4; a comma, though allowed there, smells of a joined list and is refused.
fn is_reg_name(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(&b) = bytes.next() {
        let good = match b {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(u8::is_ascii_hexdigit)),
            _ => b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&b),
        };
        if !good {
            return false;
        }
    }
    true
}

/// The last Host seen on a connection: the next request nearly always has the same, and need not be validated again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    last: Option<Seen>,
}

thread_local! {
    /// The last Host that was validated on this thread: most connections ask for the same.
    static LATELY: RefCell<Memory> = const { RefCell::new(Memory { last: None }) };
}

/// A `Host` field, and whom it names.
#[derive(Clone, Debug)]
struct Seen {
    https: bool,
    raw: HeaderValue,
    host: Host,
    /// The field says exactly what the upstream shall get.
    is_normal: bool,
}

impl Memory {
    fn host(&mut self, raw: &HeaderValue, https: bool) -> Option<&Seen> {
        if !self.knows(raw, https) {
            self.last = LATELY.with_borrow_mut(|lately| {
                if !lately.knows(raw, https) {
                    lately.last = Some(Seen::read(raw, https)?);
                }
                lately.last.clone()
            });
        }
        self.last.as_ref().filter(|seen| seen.is(raw, https))
    }

    fn knows(&self, raw: &HeaderValue, https: bool) -> bool {
        self.last.as_ref().is_some_and(|seen| seen.is(raw, https))
    }
}

impl Seen {
    fn read(raw: &HeaderValue, https: bool) -> Option<Self> {
        let host = Host::parse(raw.as_bytes(), https)?;
        // A value straight from hyper pins its whole read buffer: keep a copy.
        let raw = HeaderValue::from_bytes(raw.as_bytes()).ok()?;
        Some(Self { https, is_normal: raw == host.value, raw, host })
    }

    fn is(&self, raw: &HeaderValue, https: bool) -> bool {
        self.https == https && self.raw == raw
    }
}

/// Makes the target absolute and the `Host` field agree with it. The scheme is that of the connection, `https` or not, whatever the target says: a client in clear
/// must not have stored what readers over TLS get. `upstream` stands in where HTTP/1.0 names nobody.
pub(super) fn resolve(parts: &mut Parts, memory: &mut Memory, https: bool, upstream: Option<&Authority>) -> Result<(), &'static str> {
    let (authority, field, path) = match (parts.uri.scheme(), parts.uri.authority()) {
        (Some(scheme), Some(authority)) => {
            if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
                return Err("request target with a scheme other than http");
            }
            // RFC 9112 section 3.2.2: the Host field is ignored.
            let host = Host::parse(authority.as_str().as_bytes(), https).ok_or("invalid authority in the request target")?;
            (host.authority, Some(host.value), Some(absolute_path(parts)?))
        }
        (None, None) => {
            let (authority, field) = from_field(parts, memory, https, upstream)?;
            check_path(parts)?;
            (authority, field, std::mem::take(&mut parts.uri).into_parts().path_and_query)
        }
        _ => return Err("request target that is neither a path nor an http URL"),
    };
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if https { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(authority);
    uri.path_and_query = path;
    parts.uri = Uri::from_parts(uri).map_err(|_| "invalid request target")?;
    if let Some(field) = field {
        parts.headers.insert(HOST, field);
    }
    Ok(())
}

/// Whom the request names, and what its `Host` shall be if it is not that yet.
fn from_field(
    parts: &Parts,
    memory: &mut Memory,
    https: bool,
    upstream: Option<&Authority>,
) -> Result<(Authority, Option<HeaderValue>), &'static str> {
    match parts.headers.get(HOST) {
        Some(raw) if !(raw.is_empty() && parts.version == Version::HTTP_10) => {
            let seen = memory.host(raw, https).ok_or("invalid Host")?;
            Ok((seen.host.authority.clone(), (!seen.is_normal).then(|| seen.host.value.clone())))
        }
        _ if parts.version == Version::HTTP_10 => {
            let host = upstream.and_then(|upstream| Host::parse(upstream.as_str().as_bytes(), https)).ok_or("no Host")?;
            Ok((host.authority, Some(host.value)))
        }
        _ => Err("no Host"),
    }
}

/// origin-form and asterisk-form (RFC 9112 sections 3.2.1 and 3.2.4).
fn check_path(parts: &Parts) -> Result<(), &'static str> {
    let path = parts.uri.path_and_query().ok_or("request target without a path")?;
    let good = path.as_str().starts_with('/') || path == "*" && parts.method == Method::OPTIONS;
    if good { Ok(()) } else { Err("request target without a path") }
}

fn absolute_path(parts: &Parts) -> Result<PathAndQuery, &'static str> {
    match parts.uri.path_and_query() {
        Some(path) if path.as_str().starts_with('?') => {
            PathAndQuery::from_maybe_shared(Bytes::from(format!("/{}", path.as_str()))).map_err(|_| "invalid request target")
        }
        // RFC 9112 section 3.2.4: an OPTIONS for a whole server becomes an asterisk at the last hop. http::Uri shows an empty path as "/".
        None if parts.method == Method::OPTIONS => Ok(PathAndQuery::from_static("*")),
        Some(path) => Ok(path.clone()),
        None => Ok(PathAndQuery::from_static("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Host, Memory, resolve};
    use http::uri::Authority;
    use http::{Request, Version};

    fn resolved(method: &str, target: &str, host: Option<&str>) -> Result<(String, String), &'static str> {
        resolved_by(false, method, target, host)
    }

    fn resolved_by(https: bool, method: &str, target: &str, host: Option<&str>) -> Result<(String, String), &'static str> {
        let mut request = Request::builder().method(method).uri(target);
        if let Some(host) = host {
            request = request.header("host", host);
        } else {
            request = request.version(Version::HTTP_10);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        resolve(&mut parts, &mut Memory::default(), https, Some(&Authority::from_static("origin:9000")))?;
        Ok((parts.uri.to_string(), parts.headers["host"].to_str().unwrap().to_owned()))
    }

    #[test]
    fn hosts_are_normalised() {
        for (raw, expected) in [
            ("Example.COM", "example.com"),
            ("h:80", "h"),
            ("h:080", "h"),
            ("h:", "h"),
            ("h:8080", "h:8080"),
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("[::1]", "[::1]"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
            ("[::1]:81", "[::1]:81"),
            ("my_host", "my_host"),
        ] {
            assert_eq!(Host::parse(raw.as_bytes(), false).unwrap().authority, expected, "{raw}");
        }
    }

    #[test]
    fn each_scheme_has_its_own_default_port() {
        let over_tls = |raw: &str| Host::parse(raw.as_bytes(), true).unwrap().authority;
        assert_eq!((over_tls("h:443").as_str(), over_tls("h:80").as_str()), ("h", "h:80"));
    }

    #[test]
    fn invalid_hosts_are_refused() {
        for raw in [
            "",
            ":80",
            "a b",
            "a,b",
            "u@h",
            "u:p@h",
            "h/x",
            "h?x",
            "h#x",
            "h:x",
            "h:1:2",
            "h:65536",
            "h:-1",
            "h:+80",
            "[::1",
            "[::1]x",
            "[x]",
            "[fe80::1%25eth0]",
            "h%2",
            "h%zz",
            "h\\x",
            "\u{e9}",
            "h\"",
            "<h>",
            "h\t",
            "[v1.x]",
        ] {
            assert_eq!(Host::parse(raw.as_bytes(), false), None, "{raw:?}");
        }
    }

    #[test]
    fn targets_become_absolute_and_paths_stay_as_sent() {
        for (method, target, host, uri, field) in [
            ("GET", "/a%2Fb/../c;d?x=%41&&y", Some("H:80"), "http://h/a%2Fb/../c;d?x=%41&&y", "h"),
            ("GET", "//evil/x", Some("h"), "http://h//evil/x", "h"),
            ("GET", "http://Other:80/x?y", Some("h"), "http://other/x?y", "other"),
            ("GET", "http://other", Some("h"), "http://other/", "other"),
            ("GET", "http://other?x=1", Some("h"), "http://other/?x=1", "other"),
            ("GET", "https://other/x", Some("h"), "http://other/x", "other"),
            ("GET", "/x", None, "http://origin:9000/x", "origin:9000"),
        ] {
            assert_eq!(resolved(method, target, host), Ok((uri.into(), field.into())), "{method} {target}");
        }
    }

    #[test]
    fn the_scheme_is_that_of_the_connection_whatever_the_target_says() {
        for (target, host, uri, field) in [
            ("/x", "H:443", "https://h/x", "h"),
            ("/x", "h:80", "https://h:80/x", "h:80"),
            ("http://other/x", "h", "https://other/x", "other"),
        ] {
            assert_eq!(resolved_by(true, "GET", target, Some(host)), Ok((uri.into(), field.into())), "{target}");
        }
    }

    #[test]
    fn an_asterisk_is_for_options_only() {
        assert!(resolved("OPTIONS", "*", Some("h")).is_ok());
        assert!(resolved("GET", "*", Some("h")).is_err());
    }

    #[test]
    fn other_forms_are_refused() {
        for target in ["ftp://h/x", "http://u@h/x", "http://u:p@h/", "h:80"] {
            assert!(resolved("GET", target, Some("h")).is_err(), "{target}");
        }
        assert!(resolved("GET", "/x", Some("a,b")).is_err());
    }

    #[test]
    fn a_connection_remembers_one_host_and_is_not_fooled_by_another() {
        let mut memory = Memory::default();
        let mut asked = |raw, https| {
            let mut parts = Request::get("/").header("host", raw).body(()).unwrap().into_parts().0;
            resolve(&mut parts, &mut memory, https, None)?;
            assert_eq!(parts.headers["host"], parts.uri.authority().unwrap().as_str());
            Ok(parts.uri.to_string())
        };
        for (raw, expected) in [("A", "http://a/"), ("A", "http://a/"), ("b", "http://b/"), ("b", "http://b/"), ("A", "http://a/")] {
            assert_eq!(asked(raw, false), Ok(expected.to_owned()));
        }
        assert_eq!(asked("a b", false), Err("invalid Host"));
        assert_eq!((asked("a:443", false), asked("a:443", true)), (Ok("http://a:443/".to_owned()), Ok("https://a/".to_owned())));
    }
}
