//! Opens connections to the upstream: ahead or when they are needed. Connecting has a deadline that includes resolving.

use crate::error::BoxError;
use crate::sidecar::live::Live;
use crate::sidecar::pool::Way;
use crate::sidecar::pool::line::Line;
use crate::sidecar::resolve::Resolve;
use crate::sidecar::stash::Stash;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use hyper_util::client::legacy::connect::HttpConnector;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tower_service::Service;

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
        http.enforce_http(false); // the scheme names the default port
        Self { http, stash: Arc::new(Stash::new(live.clone())), live }
    }

    /// What was opened ahead.
    pub(super) fn stash(&self) -> &Stash {
        &self.stash
    }

    /// Opens as many connections as are missing from `upstream.preconnect` (more than `upstream.max_in_flight` are of no use), and lays them by. Nothing is
    /// sent over them.
    pub(super) async fn ahead(self) {
        let (authority, wanted) = {
            let upstream = &self.live.settings.load().upstream;
            (upstream.authority.clone(), upstream.preconnect.min(upstream.max_in_flight))
        };
        self.stash.tidy();
        let missing = wanted.saturating_sub(self.stash.len());
        if missing == 0 {
            return;
        }
        // One goes alone: it asks for the name, and an upstream that is down or slow to say so is met once.
        let first = self.open(Way { tls: false, authority: &authority }).await;
        let Some(found) = self.lay_by(first, &authority) else { return };
        let Ok(found) = Authority::try_from(found.to_string()) else { return };
        // The others set out together, each begun before the next: the stash has them in the order in which the upstream accepts them.
        let mut begun = Vec::new();
        for _ in 1..missing {
            let mut opening = Box::pin(self.open(Way { tls: false, authority: &found }));
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
                let found = line.peer_addr();
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
    pub(super) fn open(&self, way: Way<'_>) -> impl Future<Output = Result<Line, BoxError>> + use<> {
        let limit = self.live.settings.load().upstream.connect_timeout;
        let connecting = self.http.clone().call(address(way));
        async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(Ok(io)) => Ok(Line::plain(io.into_inner())),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(ConnectTimeout(limit).into()),
            }
        }
    }
}

/// What a connector asks for to go that way.
fn address(way: Way<'_>) -> Uri {
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if way.tls { Scheme::HTTPS } else { Scheme::HTTP });
    (uri.authority, uri.path_and_query) = (Some(way.authority.clone()), Some(PathAndQuery::from_static("/")));
    Uri::from_parts(uri).unwrap_or_default() // all parts of a URI are there
}
