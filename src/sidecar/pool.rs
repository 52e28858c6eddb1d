//! Connections to the upstream, kept between requests.
//!
//! A request takes the idle connection that served last, else one that was opened ahead, else it opens one. It does not race: one that opens a
//! connection waits for that, though another may come free meanwhile. Under a burst the race opens as many and then throws away what it has just
//! paid for (hyper issue 4134); the gate before the pool bounds how many there can be.

mod arriving;
mod broken;
mod epoch;
mod idle;
pub(super) mod line;
mod many;
pub(super) mod one;
pub(super) mod tls;
mod trust;
pub(super) mod two;

pub(super) use arriving::Arriving;
pub(super) use broken::Broken;
pub(super) use epoch::Epoch;
pub(super) use many::Many;
pub(super) use one::{Connection, Settled, Switched};

use crate::error::BoxError;
use crate::sidecar::dial::Dial;
use crate::sidecar::live::Live;
use crate::sidecar::outgoing::Outbound;
use crate::sidecar::settings::{Http2, Origin, UpstreamSettings};
use crate::sidecar::stash::Stash;
use crate::sidecar::upload::{Monitor, Upload};
use http::Response;
use http_body::Body as _;
use idle::Idle;
use line::Line;
use many::Stream;
use one::{Exchanging, Missed};
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
        error: Broken,
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
        self.idle.put(&self.origin, settled, Instant::now());
    }
}

/// What carries one request.
enum Carrier {
    One(Box<Connection>),
    Two(Stream),
}

/// A connection that has just been opened, or a first stream of it.
pub(super) enum Carried {
    One(Settled),
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

    /// A connection to `origin` that lies ready, for a request without content that HTTP/1.1 carries best.
    pub(super) fn at_hand(
        &self,
        origin: &Origin,
        request: &Outbound<'_>,
        upload: &Upload,
        http2: Http2,
        now: Instant,
    ) -> Option<Box<Connection>> {
        let plain = upload.is_end_stream() && wanted(request, origin, http2) == Wanted::One;
        if plain { self.idle.take(origin, now) } else { None }
    }

    /// Sends a request without content over such a `connection`, and waits until `due`.
    pub(super) fn ask_over<'a>(
        &'a self,
        connection: Box<Connection>,
        origin: &'a Origin,
        request: &Outbound<'_>,
        due: Option<Instant>,
    ) -> AskingOver<'a> {
        let proven = connection.proven;
        AskingOver { exchanging: connection.exchange(request, Upload::none(), due), pool: self, origin, proven }
    }

    /// Asks `origin`. A connection that turns out to be closed before anything was written to it is replaced.
    pub(super) async fn ask(&self, origin: Origin, request: &Outbound<'_>, mut upload: Upload) -> Result<Response<Arriving>, Unanswered> {
        let wanted = wanted(request, &origin, self.live.settings.load().upstream.http2);
        loop {
            let carrier = self.carrier(&origin, wanted).await?;
            let (proven, exchanged) = match carrier {
                Carrier::One(connection) => (connection.proven, self.over_one(connection, &origin, wanted, request, upload).await),
                Carrier::Two(stream) => (stream.is_proven(), Box::pin(over_two(stream, &origin, request, upload)).await),
            };
            match exchanged {
                Ok(response) => return Ok(response),
                Err(missed) => upload = self.again(missed, proven, &origin)?,
            }
        }
    }

    /// One request over one connection.
    async fn over_one(
        &self,
        mut connection: Box<Connection>,
        origin: &Origin,
        wanted: Wanted,
        request: &Outbound<'_>,
        upload: Upload,
    ) -> Result<Response<Arriving>, Missed> {
        if wanted == Wanted::Switch {
            connection.carry_once();
        }
        match connection.exchange(request, upload, None).await {
            Some(Ok((head, connection))) => Ok(Arriving::over(connection, head, self, origin, Instant::now())),
            Some(Err(missed)) => Err(missed),
            None => std::future::pending().await, // nobody has said until when to wait
        }
    }

    fn home(&self, origin: &Origin) -> Home {
        Home { idle: self.idle.clone(), origin: origin.clone() }
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
            Ok(line) => self.opened(origin, line).await.map_err(|error| Unanswered::Exchange { error, stale: false, begun: false }),
            Err(error) => {
                if wanted == Wanted::Any {
                    self.many.failed(origin);
                }
                Err(Unanswered::Connect(error))
            }
        }
    }

    async fn opened(&self, origin: &Origin, line: Line) -> Result<Carrier, Broken> {
        match carry(&self.many, origin, line).await? {
            // What it says before it was asked is no answer.
            Carried::One(settled) => settled.first().await.map(Carrier::One),
            Carried::Two(stream) => Ok(Carrier::Two(stream)),
        }
    }

    /// The body of a request that brought nothing, to be put again at once: if nothing of it was written, over a connection that was good before.
    fn again(&self, missed: Missed, proven: bool, origin: &Origin) -> Result<Upload, Unanswered> {
        match missed.unsent {
            Some(upload) if proven => Ok(upload),
            _ => Err(self.given_up(missed.error, proven, missed.begun, origin)),
        }
    }

    /// The end of an attempt that brought nothing, and what it means for other connections.
    fn given_up(&self, error: Broken, proven: bool, begun: bool, origin: &Origin) -> Unanswered {
        let verdict = match &error {
            Broken::Two(error) => two::verdict(error),
            Broken::Closed | Broken::Io(_) | Broken::Malformed(_) => Verdict::Nothing,
            Broken::Upload(_) => Verdict::Refused, // the client's doing, which says nothing of this connection or of others
        };
        let stale = match verdict {
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

/// What may carry `request` to `origin`.
fn wanted(request: &Outbound<'_>, origin: &Origin, http2: Http2) -> Wanted {
    if request.switches {
        return Wanted::Switch;
    }
    match http2 {
        Http2::Never => Wanted::One,
        Http2::Auto if !origin.tls => Wanted::One,
        _ => Wanted::Any,
    }
}

/// A request over a connection that lay ready: the way of nearly all.
pub(super) struct AskingOver<'a> {
    exchanging: Exchanging,
    pool: &'a Pool,
    origin: &'a Origin,
    proven: bool,
}

/// What came of it.
pub(super) enum Asked {
    /// An answer or none, and when; `None`: not in time.
    Done(Option<Result<Response<Arriving>, Unanswered>>, Instant),
    /// The connection was closed before anything was written: the request wants another one.
    Unsent,
}

impl Future for AskingOver<'_> {
    type Output = Asked;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Asked> {
        let exchanged = ready!(Pin::new(&mut self.exchanging).poll(cx));
        let now = Instant::now();
        Poll::Ready(match exchanged {
            Some(Ok((head, connection))) => Asked::Done(Some(Ok(Arriving::over(connection, head, self.pool, self.origin, now))), now),
            Some(Err(missed)) => match self.pool.again(missed, self.proven, self.origin) {
                Ok(_) => Asked::Unsent,
                Err(unanswered) => Asked::Done(Some(Err(unanswered)), now),
            },
            None => Asked::Done(None, now),
        })
    }
}

/// Begins what is spoken over `line`.
pub(super) async fn carry(many: &Many, origin: &Origin, line: Line) -> Result<Carried, Broken> {
    if line.two {
        return many.add(origin, line).await.map(Carried::Two).map_err(Broken::Two);
    }
    if line.is_tls() {
        many.speaks_one(origin);
    }
    Ok(Carried::One(Connection::open(line)))
}

/// One request over one of the streams of a connection.
async fn over_two(stream: Stream, origin: &Origin, request: &Outbound<'_>, upload: Upload) -> Result<Response<Arriving>, Missed> {
    match stream.exchange(two::request(request, upload, origin)).await {
        Ok(response) => Ok(response.map(|body| Arriving::streamed(stream, body))),
        Err(mut error) => {
            let unsent = error.take_message().map(http::Request::into_body);
            Err(Missed { error: Broken::Two(error.into_error()), begun: false, unsent })
        }
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
