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
