//! Connections to the upstream, kept between requests.
//!
//! A request takes the idle connection that served last, else one that was opened ahead, else it opens one. It does not race: one that opens a
//! connection waits for that, though another may come free meanwhile. Under a burst the race opens as many and then throws away what it has just
//! paid for (hyper issue 4134); the gate before the pool bounds how many there can be.

mod arriving;
mod connection;
mod epoch;
mod idle;
pub(super) mod line;
mod many;
pub(super) mod tls;
pub(super) mod two;

pub(super) use arriving::Arriving;
pub(super) use connection::{Connection, Settled};
pub(super) use epoch::Epoch;
pub(super) use many::Many;

use crate::error::BoxError;
use crate::sidecar::dial::Dial;
use crate::sidecar::live::Live;
use crate::sidecar::settings::{Http2, Origin, UpstreamSettings};
use crate::sidecar::stash::Stash;
use crate::sidecar::upload::{Monitor, Upload};
use connection::{Exchanging, Unanswered as Unsent};
use http::header::UPGRADE;
use http::{Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use idle::Idle;
use line::{Heard, Line};
use many::Stream;
use pin_project_lite::pin_project;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use two::Verdict;

/// All connections to all origins. Clones are the same pool.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    live: Arc<Live>,
    idle: Arc<Idle>,
    many: Many,
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
        /// It had been good before, so it was probably closed while it lay in the pool; or the upstream says that it has not looked at the request.
        stale: bool,
        /// The answer had begun: the request has been seen.
        begun: bool,
    },
}

/// Where a connection goes when it is done.
#[derive(Clone, Debug)]
struct Home {
    idle: Arc<Idle>,
    origin: Origin,
}

impl Home {
    fn keep(&self, settled: Settled) {
        self.idle.put(&self.origin, settled);
    }
}

/// What carries one request.
pub(super) enum Carrier {
    One(Box<Connection>),
    Two(Stream),
}

/// What a request may be carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// It asks for another protocol, which only a connection of its own can become.
    Switch,
    /// HTTP/1.1.
    One,
    /// Whatever the origin prefers.
    Any,
}

impl Pool {
    pub(super) fn new(live: Arc<Live>) -> Self {
        let epoch = Epoch::default();
        Self { idle: Arc::new(Idle::new(epoch.clone())), many: Many::default(), dial: Dial::new(live.clone(), epoch), live }
    }

    /// Opens connections before anybody needs them.
    pub(super) fn preconnect(&self) -> impl Future<Output = ()> + Send + use<> {
        let pool = self.clone();
        async move { pool.dial.ahead(&pool.many).await }
    }

    /// The connections that were opened ahead.
    pub(super) fn stash(&self) -> &Stash {
        self.dial.stash()
    }

    /// Closes what nobody uses.
    pub(super) fn clear(&self) {
        self.idle.clear();
        self.many.clear();
        self.dial.stash().clear();
    }

    /// Follows new settings: a connection that was made under other rules serves nobody any more.
    pub(super) fn follow(&self, old: &UpstreamSettings, new: &UpstreamSettings) {
        if (&old.tls, old.http2) != (&new.tls, new.http2) {
            self.idle.outdate();
            self.clear();
        }
        self.many.keep(&new.origins);
        self.dial.stash().tidy();
    }

    /// A connection to `origin` that lies ready, for a `request` without content that HTTP/1.1 carries best.
    pub(super) fn at_hand(&self, origin: &Origin, request: &Request<Upload>, now: Instant) -> Option<Box<Connection>> {
        let plain = request.body().is_end_stream() && self.wanted(request, origin) == Wanted::One;
        if plain { self.idle.take(origin, now) } else { None }
    }

    /// Sends `request` over such a `connection`, and waits until `due`.
    pub(super) fn ask_over<'a>(
        &'a self,
        connection: Box<Connection>,
        origin: &'a Origin,
        request: Request<Upload>,
        due: Option<Instant>,
    ) -> AskingOver<'a, impl Future<Output = Result<Response<Incoming>, Unsent>>> {
        let (proven, heard) = (connection.proven, connection.listen());
        AskingOver { exchanging: connection.exchange(request, due), pool: self, origin, proven, heard }
    }

    /// Asks `origin`. A connection that turns out to be closed before anything was written to it is replaced.
    pub(super) async fn ask(&self, origin: Origin, mut request: Request<Upload>) -> Result<Response<Arriving>, Unanswered> {
        let wanted = self.wanted(&request, &origin);
        let mut home = Home { idle: self.idle.clone(), origin };
        loop {
            let carrier = self.carrier(&home.origin, wanted).await?;
            let (proven, heard, exchanged) = match carrier {
                Carrier::One(connection) => {
                    (connection.proven, Some(connection.listen()), over_one(connection, home, wanted, request).await)
                }
                Carrier::Two(stream) => (stream.is_proven(), None, Box::pin(over_two(stream, home, request)).await),
            };
            match exchanged {
                Ok(response) => return Ok(response),
                Err((unsent, back)) => {
                    home = back;
                    let begun = heard.is_some_and(|heard| heard.anything());
                    request = self.again(unsent, proven, begun, &home.origin)?;
                }
            }
            if request.version() == Version::HTTP_2 {
                two::restore(&mut request);
            }
        }
    }

    fn wanted(&self, request: &Request<Upload>, origin: &Origin) -> Wanted {
        if request.headers().contains_key(UPGRADE) {
            return Wanted::Switch;
        }
        match self.live.settings.load().upstream.http2 {
            Http2::Never => Wanted::One,
            Http2::Auto if !origin.tls => Wanted::One,
            _ => Wanted::Any,
        }
    }

    /// What can carry a request to `origin` now, or as soon as it is open.
    async fn carrier(&self, origin: &Origin, wanted: Wanted) -> Result<Carrier, Unanswered> {
        if wanted == Wanted::Any
            && let Some(stream) = self.many.take(origin)
        {
            return Ok(Carrier::Two(stream));
        }
        if let Some(connection) = self.idle.take(origin, Instant::now()).or_else(|| self.dial.stash().take(origin)) {
            return Ok(Carrier::One(connection));
        }
        // Rare, and large: a handshake of TLS is kilobytes, which every request would carry along.
        Box::pin(self.new_carrier(origin, wanted)).await
    }

    async fn new_carrier(&self, origin: &Origin, wanted: Wanted) -> Result<Carrier, Unanswered> {
        let before = if wanted == Wanted::Any { self.many.knowledge(origin) } else { return self.open(origin, wanted).await };
        if before.one {
            return self.open(origin, wanted).await;
        }
        let alone = self.many.dialing(origin).await;
        if let Some(stream) = self.many.take(origin) {
            return Ok(Carrier::Two(stream));
        }
        if self.many.knowledge(origin) != before {
            drop(alone); // whoever went first has failed, or found HTTP/1.1: all may go at once
        }
        self.open(origin, wanted).await
    }

    /// Opens a connection.
    async fn open(&self, origin: &Origin, wanted: Wanted) -> Result<Carrier, Unanswered> {
        match self.dial.open(origin, None, wanted == Wanted::Switch).await {
            Ok(line) => carry(&self.many, origin, line).await.map_err(|error| Unanswered::Exchange { error, stale: false, begun: false }),
            Err(error) => {
                if wanted == Wanted::Any {
                    self.many.failed(origin);
                }
                Err(Unanswered::Connect(error))
            }
        }
    }

    /// The request of an attempt that brought nothing, to be put again at once: if nothing of it was written, over a connection that was good before.
    fn again(&self, mut unsent: Unsent, proven: bool, begun: bool, origin: &Origin) -> Result<Request<Upload>, Unanswered> {
        match unsent.take_message() {
            Some(request) if proven => Ok(request),
            _ => Err(self.given_up(unsent.into_error(), proven, begun, origin)),
        }
    }

    /// The end of an attempt that brought nothing, and what it means for other connections.
    fn given_up(&self, error: hyper::Error, proven: bool, begun: bool, origin: &Origin) -> Unanswered {
        let stale = match two::verdict(&error) {
            Verdict::Unprocessed => true,
            Verdict::Refused | Verdict::Malformed => false,
            Verdict::Nothing => proven && !begun,
        };
        if proven && stale {
            // Whatever closed that one has probably closed these.
            self.idle.forget(origin);
            self.dial.stash().forget(origin);
        }
        Unanswered::Exchange { error, stale, begun }
    }
}

pin_project! {
    /// A request over a connection that lay ready: the way of nearly all. No `async fn`, as its future would hold the request three times.
    pub(super) struct AskingOver<'a, F> {
        #[pin]
        exchanging: Exchanging<F>,
        pool: &'a Pool,
        origin: &'a Origin,
        proven: bool,
        heard: Heard,
    }
}

/// What came of it.
pub(super) enum Asked {
    /// An answer or none; `None`: not in time.
    Done(Option<Result<Response<Arriving>, Unanswered>>),
    /// The connection was closed before anything was written: the request wants another one.
    Unsent(Box<Request<Upload>>),
}

impl<F: Future<Output = Result<Response<Incoming>, Unsent>>> Future for AskingOver<'_, F> {
    type Output = Asked;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Asked> {
        let this = self.project();
        let (pool, origin) = (*this.pool, *this.origin);
        Poll::Ready(match ready!(this.exchanging.poll(cx)) {
            Some(Ok((response, connection))) => {
                let home = Home { idle: pool.idle.clone(), origin: origin.clone() };
                Asked::Done(Some(Ok(response.map(|body| Arriving::over(connection, home, body)))))
            }
            Some(Err(unsent)) => match pool.again(unsent, *this.proven, this.heard.anything(), origin) {
                Ok(request) => Asked::Unsent(Box::new(request)),
                Err(unanswered) => Asked::Done(Some(Err(unanswered))),
            },
            None => Asked::Done(None),
        })
    }
}

/// Begins what is spoken over `line`.
pub(super) async fn carry(many: &Many, origin: &Origin, line: Line) -> hyper::Result<Carrier> {
    if line.two {
        return many.add(origin, line).await.map(Carrier::Two);
    }
    if line.is_tls() {
        many.speaks_one(origin);
    }
    Connection::new(line).await.map(Carrier::One)
}

/// One request over one connection, in the way that suits it. Without an answer `home` comes back.
async fn over_one(
    connection: Box<Connection>,
    home: Home,
    wanted: Wanted,
    request: Request<Upload>,
) -> Result<Response<Arriving>, (Unsent, Home)> {
    let aside = |response: Response<Incoming>| response.map(Arriving::driven);
    if wanted == Wanted::Switch {
        return connection.switch(request).await.map(aside).map_err(|unsent| (unsent, home));
    }
    if !request.body().is_end_stream() {
        let kept = home.clone();
        let answer = connection.exchange_aside(request, move |settled| kept.keep(settled));
        return answer.await.map(aside).map_err(|unsent| (unsent, home));
    }
    match connection.exchange(request, None).await {
        Some(Ok((response, connection))) => Ok(response.map(|body| Arriving::over(connection, home, body))),
        Some(Err(unsent)) => Err((unsent, home)),
        None => std::future::pending().await, // nobody has said until when to wait
    }
}

/// One request over one of the streams of a connection.
async fn over_two(stream: Stream, home: Home, mut request: Request<Upload>) -> Result<Response<Arriving>, (Unsent, Home)> {
    two::translate(&mut request, &home.origin);
    match stream.exchange(request).await {
        Ok(response) => Ok(response.map(|body| Arriving::streamed(stream, body))),
        Err(unsent) => Err((unsent, home)),
    }
}

/// `asking`, unless `limit` passes without a head and without a piece of the upload going out.
pub(super) async fn within<F: Future>(asking: F, limit: Duration, upload: Option<&Monitor>) -> Option<F::Output> {
    let mut asking = pin!(asking);
    let mut seen = 0;
    loop {
        if let Ok(answer) = tokio::time::timeout(limit, &mut asking).await {
            return Some(answer);
        }
        match upload.map(Monitor::pieces) {
            Some(pieces) if pieces > seen => seen = pieces,
            _ => return None,
        }
    }
}
