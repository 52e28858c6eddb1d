//! How a question is put: with whose conditions, and for how much.

use crate::cache::entry::Stored;
use crate::flow::errand::Errand;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, Request};

/// How the question differs from the client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phrasing {
    /// For the whole representation, with our conditions instead of the client's.
    Whole,
    /// For the client's range, with our conditions instead of the client's.
    Range,
    /// Word for word.
    Verbatim,
}

/// Rewrites the conditions of a request (RFC 9111 section 4.3.1).
pub(crate) fn phrase(headers: &mut HeaderMap, phrasing: Phrasing, stored: Option<&Stored>) {
    if phrasing == Phrasing::Verbatim {
        return;
    }
    headers.remove(IF_NONE_MATCH);
    headers.remove(IF_MODIFIED_SINCE);
    if phrasing == Phrasing::Whole {
        for name in [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE] {
            headers.remove(name);
        }
    }
    let Some(stored) = stored else { return };
    if let Some(etag) = stored.head.etag() {
        headers.insert(IF_NONE_MATCH, etag);
    }
    if let Some(modified) = stored.head.fields.get(&LAST_MODIFIED) {
        headers.insert(IF_MODIFIED_SINCE, modified);
    }
}

impl Errand {
    /// The same question without our conditions, in case the answer to them makes no sense; `None` if none of ours are in it.
    pub(super) fn unconditional<B: Default>(&self, request: &Request<B>) -> Option<Request<B>> {
        let ours = self.stored.as_ref().is_some_and(|stored| stored.head.has_validator());
        (ours && self.phrasing != Phrasing::Verbatim).then(|| {
            let mut again = Request::new(B::default());
            *again.method_mut() = request.method().clone();
            *again.uri_mut() = request.uri().clone();
            *again.version_mut() = request.version();
            *again.headers_mut() = request.headers().clone();
            *again.extensions_mut() = request.extensions().clone();
            again.headers_mut().remove(IF_NONE_MATCH);
            again.headers_mut().remove(IF_MODIFIED_SINCE);
            again
        })
    }
}
