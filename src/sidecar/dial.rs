//! Connections to the upstream: opened ahead or when they are needed; names that were resolved once stay usable, and connecting has a deadline that
//! includes resolving.

use crate::error::BoxError;
use crate::sidecar::live::Live;
use crate::sidecar::stash::Stash;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use socket2::SockRef;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Opens connections. Clones share the memory of names and the stash.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    http: HttpConnector<Resolve>,
    live: Arc<Live>,
    stash: Arc<Stash>,
}

/// `upstream.connect_timeout` passed before there was a connection.
#[derive(Debug)]
pub(super) struct ConnectTimeout(pub(super) Duration);

impl std::fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "upstream.connect_timeout ({:?}) passed", self.0)
    }
}

impl std::error::Error for ConnectTimeout {}

impl Dial {
    pub(super) fn new(live: Arc<Live>) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolve::default());
        http.set_nodelay(true);
        http.set_keepalive(Some(Duration::from_secs(60)));
        Self { http, stash: Arc::new(Stash::new(live.clone())), live }
    }

    /// What was opened ahead.
    pub(super) fn stash(&self) -> &Stash {
        &self.stash
    }

    /// Opens as many connections as are missing from `upstream.preconnect` (more than `upstream.max_in_flight` are of no use), and lays them by. Nothing is
    /// sent over them.
    pub(super) async fn ahead(mut self) {
        let (plain, wanted) = {
            let upstream = &self.live.settings.load().upstream;
            let plain = upstream.origins.iter().find(|origin| !origin.tls).map(|origin| origin.authority.clone());
            (plain, upstream.preconnect.min(upstream.max_in_flight))
        };
        let Some(authority) = plain else { return };
        self.stash.tidy();
        let missing = wanted.saturating_sub(self.stash.len());
        if missing == 0 {
            return;
        }
        // One goes alone: it asks for the name, and an upstream that is down or slow to say so is met once.
        let first = self.open(address(authority.clone())).await;
        let Some(found) = self.lay_by(first, &authority) else { return };
        let Ok(found) = Authority::try_from(found.to_string()) else { return };
        // The others set out together, each begun before the next: the stash has them in the order in which the upstream accepts them.
        let mut begun = Vec::new();
        for _ in 1..missing {
            let mut opening = Box::pin(self.open(address(found.clone())));
            let polled = poll_fn(|cx| Poll::Ready(opening.as_mut().poll(cx))).await;
            begun.push((opening, polled));
        }
        for (opening, polled) in begun {
            let opened = if let Poll::Ready(opened) = polled { opened } else { opening.await };
            self.lay_by(opened, &authority);
        }
    }

    /// Lays a connection to the upstream `authority` by; where it leads. A failure is only told.
    fn lay_by(&self, opened: Result<Line, BoxError>, authority: &Authority) -> Option<SocketAddr> {
        match opened {
            Ok(line) => {
                let found = line.io.inner().peer_addr().ok();
                self.stash.put(line, authority);
                found
            }
            Err(error) => {
                tracing::debug!(%authority, %error, "no connection ahead of need");
                None
            }
        }
    }

    /// Opens one connection within `upstream.connect_timeout`.
    fn open(&mut self, uri: Uri) -> impl Future<Output = Result<Line, BoxError>> + use<> {
        let limit = self.live.settings.load().upstream.connect_timeout;
        let connecting = self.http.call(uri);
        async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(Ok(io)) => Ok(Line { io, proven: Proven::default() }),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(ConnectTimeout(limit).into()),
            }
        }
    }
}

impl Service<Uri> for Dial {
    type Response = Line;
    type Error = BoxError;
    type Future = BoxFuture<Result<Line, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if let Some(line) = uri.authority().and_then(|authority| self.stash.take(authority)) {
            return Box::pin(std::future::ready(Ok(line)));
        }
        Box::pin(self.open(uri))
    }
}

/// What a connector asks for to connect to `authority`.
fn address(authority: Authority) -> Uri {
    let mut uri = http::uri::Parts::default();
    (uri.scheme, uri.authority, uri.path_and_query) = (Some(Scheme::HTTP), Some(authority), Some(PathAndQuery::from_static("/")));
    Uri::from_parts(uri).unwrap_or_default() // all parts of a URI are there
}

/// Whether a connection was good before: it has brought a response, or lain in the stash for a while. One that was, and now ends without a word, was merely
/// stale.
#[derive(Clone, Debug, Default)]
pub(super) struct Proven(Arc<AtomicBool>);

impl Proven {
    pub(super) fn prove(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    io: TokioIo<TcpStream>,
    proven: Proven,
}

impl Line {
    /// Whether the peer has neither sent nor closed anything. Asked of the socket itself: what tokio knows of it may be older.
    pub(super) fn is_quiet(&self) -> bool {
        let peeked = SockRef::from(self.io.inner()).peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(super) const fn proven(&self) -> &Proven {
        &self.proven
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.proven.clone())
    }
}

impl Read for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

/// The system's resolver, with a memory: when it fails, the addresses of the last time serve.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolve(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl Service<Name> for Resolve {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let known = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map(Iterator::collect::<Vec<_>>);
            remember(&mut known.lock(), name.as_str(), found).map(Vec::into_iter)
        })
    }
}

fn remember(known: &mut HashMap<String, Vec<SocketAddr>>, name: &str, found: io::Result<Vec<SocketAddr>>) -> io::Result<Vec<SocketAddr>> {
    match found {
        Ok(addresses) if !addresses.is_empty() => {
            known.insert(name.to_owned(), addresses.clone());
            Ok(addresses)
        }
        Ok(_) => known.get(name).cloned().ok_or_else(|| io::Error::other("the name has no address")),
        Err(error) => known.get(name).cloned().ok_or(error),
    }
}

#[cfg(test)]
mod tests {
    use super::remember;
    use std::collections::HashMap;
    use std::io;

    #[test]
    fn old_addresses_serve_while_the_resolver_fails() {
        let (mut known, address) = (HashMap::new(), "127.0.0.1:0".parse().unwrap());
        assert!(remember(&mut known, "o", Err(io::Error::other("down"))).is_err());
        assert_eq!(remember(&mut known, "o", Ok(vec![address])).unwrap(), [address]);
        assert_eq!(remember(&mut known, "o", Err(io::Error::other("down"))).unwrap(), [address]);
        assert_eq!(remember(&mut known, "o", Ok(vec![])).unwrap(), [address]);
        assert!(remember(&mut known, "other", Ok(vec![])).is_err());
    }
}
