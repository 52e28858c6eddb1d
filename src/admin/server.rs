//! The listener of the admin API, on a thread and a runtime of its own.

use crate::admin::Rooms;
use crate::admin::asked::{Asked, parse_query};
use crate::admin::desk::{Control, Desk};
use crate::admin::guard::{self, Here};
use crate::admin::problem::Problem;
use crate::admin::routes::{Call, Found, find};
use crate::admin::seats::{Kept, LEAVE, Seat, Seats, Taken};
use crate::admin::settings::AdminSettings;
use crate::admin::stall::Impatient;
use crate::admin::stream::Content;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// How long a request head may take, and a connection be idle.
const HEAD: Duration = Duration::from_secs(15);
/// How long a body may take.
const BODY: Duration = Duration::from_secs(15);
/// The largest body.
pub(super) const MOST_BODY: usize = 1 << 20;
/// What is read of a larger one before it is refused, so that the refusal is read, and how long.
const MOST_DISCARD: usize = 16 << 20;
const DISCARD: Duration = Duration::from_secs(2);
/// How long answers under way may take when the API ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// An admin API that listens nowhere yet.
#[derive(Debug)]
pub struct Admin {
    settings: AdminSettings,
    rooms: Rooms,
}

/// An admin API that listens, and answers when it is [started](Bound::start).
#[derive(Debug)]
pub struct Bound {
    listener: StdListener,
    desk: Arc<Desk>,
}

/// As long as it lives, the API answers. Dropping it ends it.
#[derive(Debug)]
#[must_use = "dropping it ends the admin API"]
pub struct Serving {
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl Admin {
    /// An admin API over these rooms.
    #[must_use]
    pub fn new(settings: AdminSettings, rooms: Rooms) -> Self {
        Self { settings, rooms }
    }

    /// Listens. [`AdminSettings::listen`] is taken as it is: that an open address needs a token is checked with the configuration.
    ///
    /// # Errors
    /// The address cannot be listened on; the message names it.
    pub fn bind(self) -> io::Result<Bound> {
        let Self { settings, rooms } = self;
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {} for the admin API: {error}", settings.listen));
        let listener = StdListener::bind(settings.listen).map_err(named)?;
        listener.set_nonblocking(true).map_err(named)?;
        let bound = listener.local_addr().map_err(named)?;
        Ok(Bound { listener, desk: Desk::new(rooms, bound, settings) })
    }
}

impl Bound {
    /// Where it listens, with the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.desk.bound
    }

    /// What the rest of the house tells it.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.desk))
    }

    /// Starts to answer, on a thread of its own.
    ///
    /// # Errors
    /// There is no thread or no runtime to be had.
    pub fn start(self) -> io::Result<Serving> {
        let Self { listener, desk } = self;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("warmfront-admin".into()).spawn(move || {
            runtime.block_on(serve(listener, desk, stopped));
            runtime.shutdown_background(); // what still walks through a plan does not hold up the end
            drop(end);
        })?;
        Ok(Serving { stop, ended })
    }
}

impl Serving {
    /// Ends it: answers under way have a second. Returns when it has ended.
    pub async fn stop(self) {
        let Self { stop, ended } = self;
        stop.send_replace(true);
        let _ = ended.await; // it says nothing, it ends
    }
}

/// What all requests of one connection have in common.
#[derive(Clone, Debug)]
struct Place {
    desk: Arc<Desk>,
    seats: Arc<Seats>,
    seat: Arc<Seat>,
    peer: SocketAddr,
}

/// Takes connections until it is stopped.
async fn serve(listener: TcpListener, desk: Arc<Desk>, mut stopped: watch::Receiver<bool>) {
    let seats = Seats::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &seats) => accepted,
        };
        let Some((stream, peer, taken)) = accepted else { continue };
        let at = Place { desk: Arc::clone(&desk), seats: Arc::clone(&seats), seat: Arc::clone(&taken.seat), peer };
        let conversation = converse(stream, at, stopped.clone());
        tokio::spawn(async move {
            conversation.await;
            drop(taken);
        });
    }
    drop(listener);
    desk.rooms.logs.release(); // streams have no end of their own
    let _ = tokio::time::timeout(FAREWELL, seats.emptied()).await; // what takes longer is cut
}

/// The next connection, and a place for it: others make room if there is none.
async fn accept(listener: &TcpListener, seats: &Arc<Seats>) -> Option<(TcpStream, SocketAddr, Taken)> {
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, seats.take().await?)),
        Err(error) => {
            tracing::debug!(%error, "the admin API cannot accept");
            tokio::time::sleep(Duration::from_millis(50)).await; // no file descriptors: others give some back
            None
        }
    }
}

/// One connection from its first byte to its last.
async fn converse(stream: TcpStream, at: Place, mut stopped: watch::Receiver<bool>) {
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true); // slower, not wrong
    let seat = Arc::clone(&at.seat);
    let service = service_fn(move |request| {
        let answering = answer(at.clone(), local, request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let io = TokioIo::new(Impatient::new(stream));
    let mut server = http1::Builder::new();
    let connection = server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10).serve_connection(io, service);
    let mut connection = pin!(connection);
    let patience = tokio::select! {
        biased;
        _ = connection.as_mut() => return, // who breaks off need not be told
        _ = stopped.wait_for(|stop| *stop) => FAREWELL,
        () = seat.told_to_leave() => LEAVE,
    };
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(patience, connection).await; // a request that still drips in is cut
}

/// One request: let in, routed, read, done, written down. That the answer to HEAD has no body is hyper's business.
async fn answer(at: Place, local: SocketAddr, request: Request<Incoming>) -> Response<Kept<Content>> {
    let Place { desk, seats, seat, peer } = at;
    let plain = |response: Response<Content>| response.map(|text| Kept::new(text, None));
    let (parts, mut body) = request.into_parts();
    let (call, part) = match let_in(&parts, &desk, local) {
        Ok(found) => found,
        Err(problem) => {
            if !matches!(parts.method, Method::GET | Method::HEAD) {
                tracing::warn!(target: "warmfront::audit", %peer, method = %parts.method, path = ?parts.uri.path(), why = problem.detail(), "refused");
            }
            let _ = tokio::time::timeout(DISCARD, read(&mut body, 0)).await;
            return plain(problem.into());
        }
    };
    let asked = match asked(call, part, &parts, body).await {
        Ok(asked) => asked,
        Err(problem) => return plain(problem.into()),
    };
    let busy = match seats.busy(&seat, call.waits) {
        Ok(busy) => busy,
        Err(problem) => return plain(problem.into()),
    };
    let response: Response<Content> = if call.changes() {
        change(desk, call, asked, peer).await
    } else {
        (call.run)(desk, asked).await.map_or_else(Into::into, Into::into)
    };
    response.map(|text| Kept::new(text, Some(busy)))
}

/// Who asks, and for what. What there is is told only to those who may ask.
fn let_in<'a>(parts: &'a Parts, desk: &Desk, local: SocketAddr) -> Result<(&'static Call, Option<&'a str>), Problem> {
    let settings = desk.settings.load();
    guard::admit(parts, &settings, Here { bound: desk.bound, local })?;
    let path = parts.uri.path();
    let found = find(&parts.method, path);
    if !matches!(found, Found::Call { call, .. } if call.open) {
        guard::authorise(&parts.headers, &settings)?;
    }
    match found {
        Found::Call { call, part } => Ok((call, part)),
        Found::Methods(allowed) => Err(Problem::method(&allowed, path)),
        Found::Nothing => Err(crate::admin::routes::not_found(path)),
    }
}

/// Reads the query and the body.
async fn asked(call: &Call, part: Option<&str>, parts: &Parts, mut body: Incoming) -> Result<Asked, Problem> {
    let query = parse_query(parts.uri.query().unwrap_or_default())?;
    if let Some((name, _)) = query.iter().find(|(name, _)| !call.query.iter().any(|param| param.name == name)) {
        return Err(Problem::unknown(&format!("?{name}"), "unknown parameter", name, call.query.iter().map(|param| param.name)));
    }
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let most = if announced.is_some_and(|length| length > MOST_BODY) { 0 } else { MOST_BODY };
    let read = tokio::time::timeout(BODY, read(&mut body, most)).await;
    let read = read.map_err(|_| Problem::new(http::StatusCode::REQUEST_TIMEOUT, format!("the body took longer than {BODY:?}")))?;
    Ok(Asked { part: part.map(String::from), query, body: read?.unwrap_or_default() })
}

/// A body of up to `most` bytes. Of a larger one some more is read, and thrown away, so that whoever sends it gets to the answer.
async fn read(body: &mut Incoming, most: usize) -> Result<Option<Bytes>, Problem> {
    let (mut kept, mut seen) = (BytesMut::new(), 0_usize);
    let started = tokio::time::Instant::now();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::new(http::StatusCode::BAD_REQUEST, format!("the body breaks off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= most {
            kept.extend_from_slice(&data);
        } else if seen > MOST_DISCARD || started.elapsed() > DISCARD {
            break;
        }
    }
    if seen > most { Err(Problem::too_large(MOST_BODY)) } else { Ok(body.is_end_stream().then(|| kept.freeze())) }
}

/// Runs a call that changes something to its end, whether or not its client waits, and writes down who did what.
async fn change(desk: Arc<Desk>, call: &'static Call, asked: Asked, peer: SocketAddr) -> Response<Content> {
    let what: String = String::from_utf8_lossy(&asked.body).chars().take(200).collect();
    let part = asked.part.clone().unwrap_or_default();
    let running = tokio::spawn(async move {
        let result = (call.run)(desk, asked).await;
        let (method, path) = (call.method, call.path);
        match &result {
            Ok(_) => {
                tracing::info!(target: "warmfront::audit", %peer, method, path, part = ?part, what = ?what, result = "done", "changed")
            }
            Err(problem) => {
                tracing::info!(target: "warmfront::audit", %peer, method, path, part = ?part, what = ?what, result = problem.detail(), "not changed");
            }
        }
        result
    });
    match running.await {
        Ok(result) => result.map_or_else(Into::into, Into::into),
        Err(_) => Problem::new(http::StatusCode::INTERNAL_SERVER_ERROR, "a fault of warmfront's own; see its log").into(),
    }
}
