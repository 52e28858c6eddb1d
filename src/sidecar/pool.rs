//! Connections to the upstream, kept between requests.
//!
//! A request takes the idle connection that served last, else one that was opened ahead, else it opens one. It does not race: one that opens a
//! connection waits for that, though another may come free meanwhile. Under a burst the race opens as many and then throws away what it has just
//! paid for (hyper issue 4134); the gate before the pool bounds how many there can be.

mod arriving;
mod connection;
mod idle;
pub(super) mod line;

pub(super) use arriving::Arriving;
pub(super) use idle::Way;

use crate::error::BoxError;
use crate::sidecar::dial::Dial;
use crate::sidecar::live::Live;
use crate::sidecar::stash::Stash;
use crate::sidecar::upload::Upload;
use connection::{Connection, Settled};
use http::header::UPGRADE;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body::Body as _;
use hyper::body::Incoming;
use idle::Idle;
use std::sync::Arc;

/// All connections to all origins. Clones are the same pool.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    idle: Arc<Idle>,
    dial: Dial,
}

/// Why a request got no response head.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// There was no connection.
    Connect(BoxError),
    /// The connection brought none.
    Exchange {
        error: hyper::Error,
        /// It had been good before, so it was probably closed while it lay in the pool.
        stale: bool,
    },
}

/// Where a connection goes when it is done: the pool, and which way it leads.
#[derive(Debug)]
struct Home {
    idle: Arc<Idle>,
    tls: bool,
    authority: Authority,
}

impl Home {
    fn way(&self) -> Way<'_> {
        Way { tls: self.tls, authority: &self.authority }
    }

    fn keep(&self, settled: Settled) {
        self.idle.put(self.way(), settled);
    }
}

impl Pool {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self { idle: Arc::default(), dial: Dial::new(live) }
    }

    /// Opens connections before anybody needs them.
    pub(super) fn preconnect(&self) -> impl Future<Output = ()> + Send + use<> {
        self.dial.clone().ahead()
    }

    /// The connections that were opened ahead.
    pub(super) fn stash(&self) -> &Stash {
        self.dial.stash()
    }

    /// Closes what nobody uses.
    pub(super) fn clear(&self) {
        self.idle.clear();
        self.dial.stash().clear();
    }

    /// Asks the origin that the URI of `request` names. A connection that turns out to be closed before anything was written to it is replaced.
    pub(super) async fn ask(&self, mut request: Request<Upload>) -> Result<Response<Arriving>, Unanswered> {
        let Some((tls, authority)) = route(request.uri_mut()) else {
            return Err(Unanswered::Connect("the request names no origin".into()));
        };
        let mut home = Home { idle: self.idle.clone(), tls, authority };
        loop {
            let connection = match self.idle.take(home.way()) {
                Some(connection) => connection,
                None => self.open(home.way()).await?,
            };
            let proven = connection.proven;
            let mut unanswered = match exchange(connection, home, request).await {
                Ok(response) => return Ok(response),
                Err((unanswered, back)) => {
                    home = back;
                    unanswered
                }
            };
            match unanswered.take_message() {
                Some(again) if proven => request = again,
                _ => {
                    if proven {
                        // Whatever closed that one has probably closed these.
                        self.idle.forget(home.way());
                        self.dial.stash().clear();
                    }
                    return Err(Unanswered::Exchange { error: unanswered.into_error(), stale: proven });
                }
            }
        }
    }

    /// A connection that nobody has used yet.
    async fn open(&self, way: Way<'_>) -> Result<Box<Connection>, Unanswered> {
        let (line, proven) = match self.dial.stash().take(way.authority) {
            Some(spare) => spare,
            None => (self.dial.open(way).await.map_err(Unanswered::Connect)?, false),
        };
        Connection::new(line, proven).await.map_err(|error| Unanswered::Exchange { error, stale: false })
    }
}

/// One request over one connection, in the way that suits it. Without an answer `home` comes back.
async fn exchange(
    connection: Box<Connection>,
    home: Home,
    request: Request<Upload>,
) -> Result<Response<Arriving>, (connection::Unanswered, Home)> {
    if request.headers().contains_key(UPGRADE) {
        return connection.switch(request).await.map(aside).map_err(|unanswered| (unanswered, home));
    }
    if !request.body().is_end_stream() {
        let kept = Home { idle: home.idle.clone(), tls: home.tls, authority: home.authority.clone() };
        let answer = connection.exchange_aside(request, move |settled| kept.keep(settled));
        return answer.await.map(aside).map_err(|unanswered| (unanswered, home));
    }
    match connection.exchange(request).await {
        Ok((response, connection)) => Ok(response.map(|body| Arriving::over(connection, home, body))),
        Err(unanswered) => Err((unanswered, home)),
    }
}

fn aside(response: Response<Incoming>) -> Response<Arriving> {
    response.map(Arriving::driven)
}

/// Takes the origin out of `uri`: over HTTP/1 the target is path and query alone (RFC 9112 section 3.2.1). Whether TLS is spoken there, and where it is.
fn route(uri: &mut Uri) -> Option<(bool, Authority)> {
    let mut parts = std::mem::take(uri).into_parts();
    let tls = parts.scheme.take()? == Scheme::HTTPS;
    let authority = parts.authority.take()?;
    *uri = Uri::from_parts(parts).ok()?;
    Some((tls, authority))
}
