//! Where readers ask: the scheme and the authority of their requests.

use http::HeaderValue;
use http::uri::{Authority, InvalidUri, PathAndQuery, Scheme, Uri};
use std::fmt;
use std::str::FromStr;

/// A scheme and an authority, as readers name them: what RFC 9110 section 4.3.1 calls an origin, a word that here belongs to the upstream. Written `api.example.com`
/// for http, or with its scheme: `https://api.example.com`. The default port of the scheme is no difference.
///
/// ```
/// let site: warmfront::warm::Site = "https://api.example.com:443".parse().unwrap();
/// assert_eq!(site.to_string(), "https://api.example.com");
/// assert_eq!("http://127.0.0.1:8080".parse::<warmfront::warm::Site>().unwrap().to_string(), "127.0.0.1:8080");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    https: bool,
    authority: Authority,
}

impl Site {
    /// The site of `authority`, over https or in clear.
    #[must_use]
    pub fn new(https: bool, authority: Authority) -> Self {
        let default_port = if https { ":443" } else { ":80" };
        let short = authority.as_str().strip_suffix(default_port).and_then(|short| short.parse().ok());
        Self { https, authority: short.unwrap_or(authority) }
    }

    /// Of a process that nobody has named yet.
    pub(crate) fn localhost() -> Self {
        Self { https: false, authority: Authority::from_static("localhost") }
    }

    /// Whether readers ask over https.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// The host, with its port unless that is the default of the scheme.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The `Host` of a request.
    pub(crate) fn host(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(self.authority.as_str()).ok()
    }

    /// The URI of a request. What identifies it stands in Host, as readers of HTTP/1.1 have it; only https needs an absolute target.
    pub(crate) fn uri(&self, target: PathAndQuery) -> Option<Uri> {
        if !self.https {
            return Some(Uri::from(target));
        }
        let mut parts = http::uri::Parts::default();
        (parts.scheme, parts.authority, parts.path_and_query) = (Some(Scheme::HTTPS), Some(self.authority.clone()), Some(target));
        Uri::from_parts(parts).ok()
    }
}

impl From<Authority> for Site {
    fn from(authority: Authority) -> Self {
        Self::new(false, authority)
    }
}

impl FromStr for Site {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        let (https, authority) = match text.strip_prefix("https://") {
            Some(authority) => (true, authority),
            None => (false, text.strip_prefix("http://").unwrap_or(text)),
        };
        Ok(Self::new(https, authority.parse()?))
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.https { "https://" } else { "" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::Site;

    #[test]
    fn a_site_is_a_scheme_and_an_authority() {
        for (text, https, shown) in [
            ("h", false, "h"),
            ("h:80", false, "h"),
            ("http://h:443", false, "h:443"),
            ("https://H:443", true, "https://H"),
            ("https://[::1]:8443", true, "https://[::1]:8443"),
        ] {
            let site: Site = text.parse().unwrap();
            assert_eq!((site.is_https(), site.to_string().as_str()), (https, shown));
        }
        for wrong in ["", "ftp://h", "https://", "h/x", "a b"] {
            assert!(wrong.parse::<Site>().is_err(), "{wrong}");
        }
        let site = |text: &str| text.parse::<Site>().unwrap();
        assert_eq!(site("A"), site("a"));
        assert_ne!(site("https://a"), site("a"));
    }

    #[test]
    fn only_https_is_said_in_the_target() {
        let uri = |site: &str| site.parse::<Site>().unwrap().uri("/x?y".parse().unwrap()).unwrap().to_string();
        assert_eq!((uri("h"), uri("https://h")), ("/x?y".into(), "https://h/x?y".into()));
    }
}
