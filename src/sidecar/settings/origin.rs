//! One upstream: where it is, and whether TLS is spoken there.

use http::uri::{Authority, InvalidUri, Scheme};
use std::fmt;
use std::str::FromStr;

/// One origin in front of which warmfront stands. A name that resolves to several addresses is one origin.
#[derive(Clone, Debug, Eq, Hash)]
pub struct Origin {
    /// Whether it is asked over TLS (`https://`).
    pub tls: bool,
    /// `host[:port]`, as it is connected to.
    pub authority: Authority,
}

impl PartialEq for Origin {
    /// Clones share their text, so that most comparisons need not read it.
    fn eq(&self, other: &Self) -> bool {
        self.tls == other.tls && (std::ptr::eq(self.authority.as_str(), other.authority.as_str()) || self.authority == other.authority)
    }
}

impl Origin {
    /// `http://authority`
    #[must_use]
    pub const fn http(authority: Authority) -> Self {
        Self { tls: false, authority }
    }

    /// `https://authority`
    #[must_use]
    pub const fn https(authority: Authority) -> Self {
        Self { tls: true, authority }
    }

    /// The scheme of its URIs.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        if self.tls { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// The port that is connected to: the default of the scheme (RFC 9110 section 4.2) where none is named.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.tls { 443 } else { 80 })
    }

    /// Name or address without the brackets of IPv6, which are no part of it (RFC 3986 section 3.2.2).
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// Whether both are the same place, however they are written.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.tls == other.tls && self.port() == other.port() && self.host().eq_ignore_ascii_case(other.host())
    }
}

/// `host:port` alone is meant without TLS.
impl FromStr for Origin {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        let after =
            |scheme: &str| text.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| &text[scheme.len()..]);
        match (after("https://"), after("http://")) {
            (Some(rest), _) => rest.parse().map(Self::https),
            (None, Some(rest)) => rest.parse().map(Self::http),
            (None, None) => text.parse().map(Self::http),
        }
    }
}

/// As it is written in the configuration.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn an_origin_is_read_with_and_without_its_scheme_and_written_with_it() {
        for (text, tls, port, written) in [
            ("127.0.0.1:9000", false, 9000, "http://127.0.0.1:9000"),
            ("HTTP://api", false, 80, "http://api"),
            ("https://api", true, 443, "https://api"),
            ("https://[::1]:8443", true, 8443, "https://[::1]:8443"),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!((origin.tls, origin.port(), origin.to_string()), (tls, port, written.to_owned()));
        }
        assert!("https://a/path".parse::<Origin>().is_err() && "".parse::<Origin>().is_err());
        assert_eq!("[::1]:1".parse::<Origin>().unwrap().host(), "::1");
    }

    #[test]
    fn the_same_place_can_be_written_in_several_ways() {
        for (one, other, same) in [
            ("http://API", "api:80", true),
            ("https://api", "https://api:443", true),
            ("https://api", "http://api:443", false),
            ("api:1", "api:2", false),
        ] {
            assert_eq!(one.parse::<Origin>().unwrap().is_same_place(&other.parse().unwrap()), same, "{one} {other}");
        }
    }
}
