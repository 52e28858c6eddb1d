//! Opens connections to the upstream: ahead or when they are needed. Connecting has a deadline that includes resolving.

use crate::error::BoxError;
use crate::sidecar::live::Live;
use crate::sidecar::pool::line::Line;
use crate::sidecar::pool::tls::Tls;
use crate::sidecar::pool::{Carried, Epoch, Many, carry};
use crate::sidecar::resolve::Resolve;
use crate::sidecar::settings::{Http2, Origin};
use crate::sidecar::stash::Stash;
use http::Uri;
use http::uri::{Authority, PathAndQuery};
use hyper_util::client::legacy::connect::HttpConnector;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

/// All that is opened ahead to one origin has at least this time, or four times what the first took. An upstream whose backlog is full lets it knock again after a second, and would
/// have it behind what readers have opened meanwhile: one that gives each connection a worker would come to it and wait, though nobody has anything to say there.
const LEAST_PATIENCE: Duration = Duration::from_millis(500);

/// Opens connections. Clones share the memory of names, the stash and the sessions of TLS.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    http: HttpConnector<Resolve>,
    live: Arc<Live>,
    stash: Arc<Stash>,
    tls: Tls,
    epoch: Epoch,
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
    pub(super) fn new(live: Arc<Live>, epoch: Epoch) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolve::default());
        http.set_nodelay(true);
        http.set_keepalive(Some(Duration::from_secs(60)));
        http.enforce_http(false); // the scheme names the default port
        Self { http, stash: Arc::new(Stash::new(live.clone(), epoch.clone())), live, tls: Tls::default(), epoch }
    }

    /// What was opened ahead.
    pub(super) fn stash(&self) -> &Stash {
        &self.stash
    }

    /// Opens as many connections as are missing from `upstream.preconnect` (more than `upstream.max_in_flight` are of no use), the same share to each
    /// origin, and lays them by. Nothing is sent over them.
    pub(super) async fn ahead(&self, many: &Many) {
        self.stash.tidy();
        let (origins, wanted) = {
            let upstream = &self.live.settings.load().upstream;
            (upstream.origins.clone(), upstream.preconnect.min(upstream.max_in_flight))
        };
        let share = wanted.div_ceil(origins.len().max(1));
        for origin in origins {
            self.ahead_to(&origin, share, many).await;
        }
    }

    async fn ahead_to(&self, origin: &Origin, wanted: usize, many: &Many) {
        let missing = wanted.saturating_sub(self.stash.count(origin));
        if missing == 0 {
            return;
        }
        // One goes alone: it asks for the name, and an upstream that is down or slow to say so is met once.
        let start = Instant::now();
        let first = self.open(origin, None, false).await;
        let patience = (start.elapsed() * 4).max(LEAST_PATIENCE);
        let Some(found) = self.lay_by(first, origin, many).await else { return };
        // The others set out together, each begun before the next: the stash has them in the order in which the upstream accepts them.
        let (mut under_way, mut opened, due) = (JoinSet::new(), BTreeMap::new(), Instant::now() + patience);
        for at in 1..missing {
            let mut opening = Box::pin(self.open(origin, Some(found), false));
            match poll_fn(|cx| Poll::Ready(opening.as_mut().poll(cx))).await {
                Poll::Ready(line) => {
                    opened.insert(at, line);
                }
                Poll::Pending => {
                    under_way.spawn(async move { (at, timeout_at(due, opening).await) });
                }
            }
        }
        while let Some(ended) = under_way.join_next().await {
            match ended {
                Ok((at, Ok(line))) => {
                    opened.insert(at, line);
                }
                Ok((_, Err(_))) => tracing::debug!(%origin, ?patience, "a connection ahead of need is given up: it is late"),
                Err(error) => tracing::debug!(%origin, %error, "no connection ahead of need"),
            }
        }
        for line in opened.into_values() {
            self.lay_by(line, origin, many).await;
        }
    }

    /// Lays a connection to `origin` by; where it leads, if there shall be more of its kind. A failure is only told.
    async fn lay_by(&self, opened: Result<Line, BoxError>, origin: &Origin, many: &Many) -> Option<SocketAddr> {
        let found = opened.as_ref().ok().and_then(Line::peer);
        let laid = match opened {
            Ok(line) => carry(many, origin, line).await.map_err(BoxError::from),
            Err(error) => Err(error),
        };
        match laid {
            Ok(Carried::One(settled)) => {
                self.stash.put(settled, origin);
                found
            }
            Ok(Carried::Two(_)) => None, // one carries all
            Err(error) => {
                tracing::debug!(%origin, %error, "no connection ahead of need");
                None
            }
        }
    }

    /// Opens one connection within `upstream.connect_timeout`, and shakes hands over it; `at` this address, if the name is resolved already. `one`: HTTP/1.1
    /// alone may be spoken over it.
    pub(super) fn open(
        &self,
        origin: &Origin,
        at: Option<SocketAddr>,
        one: bool,
    ) -> impl Future<Output = Result<Line, BoxError>> + Send + use<> {
        let epoch = self.epoch.now();
        let settings = self.live.settings.load_full();
        let limit = settings.upstream.connect_timeout;
        let connecting = self.http.clone().call(address(origin, at));
        let (tls, origin) = (self.tls.clone(), origin.clone());
        let opening = async move {
            let socket = connecting.await?.into_inner();
            let http2 = settings.upstream.http2;
            let mut line = if origin.tls {
                tls.secure(socket, &origin, (settings.upstream.tls.clone(), http2), one).await?
            } else {
                Line::plain(socket, http2 == Http2::Always && !one)
            };
            line.epoch = epoch;
            Ok(line)
        };
        async move { tokio::time::timeout(limit, opening).await.unwrap_or_else(|_| Err(ConnectTimeout(limit).into())) }
    }
}

/// What a connector asks for to reach `origin`.
fn address(origin: &Origin, at: Option<SocketAddr>) -> Uri {
    let mut uri = http::uri::Parts::default();
    let found = at.and_then(|at| Authority::try_from(at.to_string()).ok());
    uri.scheme = Some(origin.scheme());
    (uri.authority, uri.path_and_query) = (Some(found.unwrap_or_else(|| origin.authority.clone())), Some(PathAndQuery::from_static("/")));
    Uri::from_parts(uri).unwrap_or_default() // all parts of a URI are there
}
