//! What clients say of themselves with every request: the fields of a head, read and admitted once for all requests that say the same.

#[cfg(test)]
mod tests;

use crate::flow::glance::Glance;
use crate::sidecar::admission::{Way, admit};
use crate::sidecar::forwarded::{Peer, Standing};
use crate::sidecar::head::field;
use crate::sidecar::live::Settings;
use crate::sidecar::notable::Notable;
use crate::sidecar::target::Memory;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, Version};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

/// Fields longer than this are not remembered.
pub(super) const MOST: usize = 1 << 10;
/// What different clients say that a thread remembers: a load generator and most applications have one way to put it on all their connections.
const KINDS: usize = 8;

thread_local! {
    /// What was read last on this thread, but for what has credentials in it.
    static LATELY: RefCell<Lately> = const { RefCell::new(Lately { said: [const { None }; KINDS], next: 0 }) };
}

struct Lately {
    said: [Option<Arc<Said>>; KINDS],
    next: usize,
}

/// The fields of a head without a body. Shared by all connections of a thread whose clients say them, unless they are long.
#[derive(Debug)]
pub(super) struct Said {
    /// As they came, to the end of the empty line.
    pub(super) fields: Arc<[u8]>,
    /// In HTTP/1.0.
    old: bool,
    /// Under what and from whom they were admitted.
    settings: Arc<Settings>,
    standing: Standing,
    /// `None`: a request that says so asks something of its connection, or is refused.
    pub(super) plain: Option<Plain>,
}

/// What a GET with such fields is, whatever its target.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(super) version: Version,
    /// As the service gets them.
    pub(super) headers: HeaderMap,
    pub(super) glance: Glance,
    pub(super) end: End,
    /// The fields as they came, where requests are counted by them.
    came: Option<HeaderMap>,
    scheme: Scheme,
    authority: Authority,
}

/// What becomes of the connection behind the answer (RFC 9112 section 9.3), and what the answer says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It stays, as those of HTTP/1.1 do.
    Stays,
    /// It stays, which is not usual in HTTP/1.0.
    StaysOld,
    /// It ends, which is not usual in HTTP/1.1.
    Closes,
    /// It ends, as those of HTTP/1.0 do.
    ClosesOld,
}

impl Said {
    /// What `fields`, which the [scan](super::scan) has found good, say under these settings when `peer` says it.
    pub(super) fn of(fields: &[u8], old: bool, settings: &Arc<Settings>, peer: &Peer) -> Arc<Self> {
        let standing = peer.standing(&settings.server);
        LATELY.with_borrow_mut(|lately| {
            let is_it = |said: &&Arc<Self>| said.is(fields, old, settings) && said.standing == standing;
            if let Some(said) = lately.said.iter().flatten().find(is_it) {
                return Arc::clone(said);
            }
            let plain = Plain::read(fields, old, settings, peer);
            let said = Arc::new(Self { fields: fields.into(), old, settings: Arc::clone(settings), standing, plain });
            lately.said.iter_mut().for_each(|known| *known = known.take().filter(|known| known.holds(settings)));
            if fields.len() <= MOST && !said.is_personal() {
                lately.said[lately.next] = Some(Arc::clone(&said));
                lately.next = (lately.next + 1) % KINDS;
            }
            said
        })
    }

    /// Whether it has `Authorization`, `Cookie` or `X-API-Key`, or cannot be answered here: other connections will not say the same, or not need it.
    fn is_personal(&self) -> bool {
        let names = [AUTHORIZATION, COOKIE, HeaderName::from_static("x-api-key")];
        self.plain.as_ref().is_none_or(|plain| names.iter().any(|name| plain.headers.contains_key(name)))
    }

    /// Whether it is these fields, under these settings.
    pub(super) fn is(&self, fields: &[u8], old: bool, settings: &Arc<Settings>) -> bool {
        self.old == old && self.holds(settings) && *self.fields == *fields
    }

    /// Whether it was admitted under these settings.
    fn holds(&self, settings: &Arc<Settings>) -> bool {
        Arc::ptr_eq(&self.settings, settings)
    }

    /// Whether `target` may be asked for now, as far as rates go: then it counts as one request of `peer`.
    ///
    /// # Errors
    /// It may not: only after so long.
    pub(super) fn check_rates(&self, target: &Uri, peer: &Peer) -> Result<(), Duration> {
        let came = self.plain.as_ref().and_then(|plain| plain.came.as_ref());
        match (&self.settings.limits, came) {
            (Some(limits), Some(came)) => limits.check(target.path(), came, peer, &self.settings.server),
            _ => Ok(()),
        }
    }

    /// Under what it was admitted.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The GET of `uri` that says this, as the service gets it.
    pub(super) fn request(&self, uri: Uri) -> Parts {
        let mut parts = Request::new(()).into_parts().0;
        if let Some(plain) = &self.plain {
            (parts.version, parts.headers) = (plain.version, plain.headers.clone());
        }
        parts.uri = uri;
        parts
    }
}

impl Plain {
    fn read(fields: &[u8], old: bool, settings: &Settings, peer: &Peer) -> Option<Self> {
        let mut parts = Request::new(()).into_parts().0;
        parts.version = if old { Version::HTTP_10 } else { Version::HTTP_11 };
        parts.headers = map_of(fields)?;
        let came = settings.limits.is_some().then(|| parts.headers.clone());
        let end = End::take(&mut parts.headers, old)?;
        let notable = Notable::of(&parts.headers);
        if notable.hop || notable.expect || admit(&mut parts, true, settings, peer, &mut Memory::default()).ok()? != Way::Service {
            return None;
        }
        let (version, headers, uri) = (parts.version, parts.headers, parts.uri.into_parts());
        Some(Self { version, glance: Glance::at(&headers), headers, end, came, scheme: uri.scheme?, authority: uri.authority? })
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

impl End {
    /// Takes what is said of it out of the fields; `None` where more is said.
    fn take(headers: &mut HeaderMap, old: bool) -> Option<Self> {
        let mut lines = headers.get_all(CONNECTION).iter();
        let stays = match (lines.next(), lines.next()) {
            (None, _) => !old,
            (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"keep-alive") => true,
            (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"close") => false,
            _ => return None,
        };
        headers.remove(CONNECTION);
        Some(match (stays, old) {
            (true, false) => Self::Stays,
            (true, true) => Self::StaysOld,
            (false, false) => Self::Closes,
            (false, true) => Self::ClosesOld,
        })
    }

    /// Whether the connection ends.
    pub(super) const fn is_near(self) -> bool {
        matches!(self, Self::Closes | Self::ClosesOld)
    }

    /// The status line of a 200: who speaks HTTP/1.0 is answered in it.
    pub(super) const fn status_line(self) -> &'static [u8] {
        match self {
            Self::Stays | Self::Closes => b"HTTP/1.1 200 OK\r\n",
            Self::StaysOld | Self::ClosesOld => b"HTTP/1.0 200 OK\r\n",
        }
    }

    /// The line of the answer's head that says what is not usual.
    pub(super) const fn line(self) -> &'static [u8] {
        match self {
            Self::StaysOld => b"connection: keep-alive\r\n",
            Self::Closes => b"connection: close\r\n",
            Self::Stays | Self::ClosesOld => b"",
        }
    }
}

fn map_of(fields: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(memchr::memchr_iter(b'\n', fields).count());
    let lines = fields.split_inclusive(|&b| b == b'\n').filter_map(|line| line.strip_suffix(b"\r\n"));
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = field(line).ok()?;
        headers.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    Some(headers)
}
