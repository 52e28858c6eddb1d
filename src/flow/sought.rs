//! What a request asks for, as far as an answer from what is stored depends on it.

use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};

/// The head of a request, piece by piece: a server that reads HTTP/1 itself has no request to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Sought<'a> {
    /// What the request with these `parts` asks for.
    pub(crate) const fn of(parts: &'a Parts) -> Self {
        Self { method: &parts.method, uri: &parts.uri, version: parts.version, headers: &parts.headers }
    }
}
