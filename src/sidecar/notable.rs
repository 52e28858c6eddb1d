//! Which fields of a message need a closer look. Most messages have none of them, and one pass over the names is all that they cost.

use crate::sidecar::forwarded::may_tell;
use http::header::{self, HeaderMap, HeaderName};

/// What one pass over the names has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Notable {
    /// A field of this connection only, perhaps.
    pub(super) hop: bool,
    /// `Expect`.
    pub(super) expect: bool,
    /// `Content-Length`.
    pub(super) length: bool,
    /// `Date`.
    pub(super) date: bool,
    /// `Forwarded`, `X-Forwarded-*`, or one that overrides the target or the method.
    pub(super) told: bool,
}

impl Notable {
    /// Looks at every name once.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            match *name {
                header::CONNECTION | header::TE | header::UPGRADE | header::TRANSFER_ENCODING => found.hop = true,
                header::EXPECT => found.expect = true,
                header::CONTENT_LENGTH => found.length = true,
                header::DATE => found.date = true,
                header::FORWARDED => found.told = true,
                _ => found.less_common(name),
            }
        }
        found
    }

    fn less_common(&mut self, name: &HeaderName) {
        if may_tell(name.as_str()) {
            self.told = true;
        }
        match name.as_str().as_bytes() {
            [b'k', b'e', b'e', b'p', ..] | [b'p', b'r', b'o', b'x', b'y', ..] | [b'h', b't', b't', b'p', ..] => self.hop = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Notable;
    use http::{HeaderMap, HeaderValue};

    fn of(name: &'static str) -> Notable {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static("*/*"));
        headers.insert(name, HeaderValue::from_static("x"));
        Notable::of(&headers)
    }

    #[test]
    fn nothing_that_matters_goes_unnoticed() {
        for name in
            ["connection", "te", "upgrade", "transfer-encoding", "keep-alive", "proxy-connection", "proxy-authorization", "http2-settings"]
        {
            assert!(of(name).hop, "{name}");
        }
        for name in ["forwarded", "x-forwarded-for", "x-original-url", "x-http-method-override", "x_forwarded_host", "front-end-https"] {
            assert!(of(name).told, "{name}");
        }
        assert!(of("expect").expect && of("content-length").length);
        assert_eq!(of("user-agent"), Notable::default());
    }
}
