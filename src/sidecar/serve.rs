//! Accepting, serving and draining connections.

use crate::body::RequestBody;
use crate::error::BoxError;
use crate::layer::CacheService;
use crate::sidecar::Sidecar;
use crate::sidecar::at_once::AtOnce;
use crate::sidecar::attend::{Answer, Attend, Serve};
use crate::sidecar::desk::Desk;
use crate::sidecar::forward::Seat;
use crate::sidecar::forwarded::Peer;
use crate::sidecar::full::Full;
use crate::sidecar::http2;
use crate::sidecar::listen::{Arrival, Listener, accept, accept_waiting};
use crate::sidecar::open::{Open, Ticket};
use crate::sidecar::open_files;
use crate::sidecar::opening::{Opened, open};
use crate::sidecar::origins::keep_checking;
use crate::sidecar::settings::ListenAddr;
use crate::sidecar::stash::MAX_AGE;
use crate::sidecar::stream::Stream;
use crate::sidecar::talk::talk;
use crate::sidecar::tls::{self, Stamp};
use crate::sidecar::upstream::Upstream;
use crate::sidecar::wire::Wire;
use crate::sidecar::word::Word;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower_service::Service;

/// How long a connection that must close may still bring a request, which is answered with `Connection: close`: what a client sends just now is
/// not lost, and its next request goes elsewhere.
const LAST_REQUEST: Duration = Duration::from_millis(250);
/// How long after the start connections to the upstream are opened ahead: what starts with the process goes first.
const PRECONNECT_DELAY: Duration = Duration::from_millis(100);

/// How long a connection has been idle at least before it makes room for another: who asks one thing after the other keeps its own.
const LEAST_IDLE: Duration = Duration::from_millis(100);

/// A sidecar that listens, and answers when it is [run](Bound::run).
#[derive(Debug)]
pub struct Bound {
    pub(super) sidecar: Sidecar,
    pub(super) listeners: Vec<Listener>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Whether every connection ended within `server.drain_timeout`.
    pub finished: bool,
    /// How many connections were cut.
    pub open: usize,
}

impl Bound {
    /// Where it listens, with the real ports.
    #[must_use]
    pub fn addresses(&self) -> Vec<ListenAddr> {
        self.listeners.iter().filter_map(Listener::address).collect()
    }

    /// Answers requests with `service` until `shutdown` is ready. Then it stops listening, says `Connection: close` in every answer, soon closes
    /// idle connections, lets responses under way finish for up to `server.drain_timeout` in all, and cuts what is left.
    pub async fn run<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Drained
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.run_thin(Full(service), shutdown).await
    }

    /// The same with a cache right in front of the [`Upstream`], as `warmfront run` has it: a hit costs less than through a service that is not known. Its stored head
    /// is written as it is, and what only the origin wants to know of the client (`X-Forwarded-For` and its like, `Via`) is put on behind the cache, until a response varies by
    /// it or a rule reads an identity from it.
    pub async fn run_cached(self, service: CacheService<Upstream>, shutdown: impl Future<Output = ()>) -> Drained {
        self.run_thin(service.with_thin_hits(), shutdown).await
    }

    /// The same with a service whose hits may leave their fields and bodies to us.
    pub(crate) async fn run_thin<S: Serve<B> + Attend, B: Answer>(self, service: S, shutdown: impl Future<Output = ()>) -> Drained {
        let Self { sidecar, listeners } = self;
        let open = Open::default();
        let max = {
            let settings = sidecar.live().settings.load();
            open_files::clients(settings.server.max_connections, settings.upstream.max_in_flight)
        };
        let room = Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)));
        let entrance = Entrance { sidecar: sidecar.clone(), service, open: open.clone(), room: room.clone() };
        let (listeners, hand) = (Arc::new(listeners), Arc::<Mutex<Option<Arrival>>>::default());
        let mut ahead = JoinSet::new(); // ends with this run, however that ends
        ahead.spawn(look_ahead(sidecar.clone()));
        ahead.spawn(keep_checking(sidecar.live().clone(), sidecar.upstream()));
        if sidecar.live().tls.load().is_some() {
            ahead.spawn(look_at_certificate(sidecar.clone()));
        }
        // In a task: it runs on the workers, which then need not be woken from outside for each connection.
        let mut accepting = JoinSet::new();
        accepting.spawn(accept_all(listeners.clone(), entrance.clone(), hand.clone()));
        {
            let mut shutdown = pin!(shutdown);
            tokio::select! {
                biased;
                () = &mut shutdown => {}
                Some(Err(fault)) = accepting.join_next() => if let Ok(panic) = fault.try_into_panic() { std::panic::resume_unwind(panic) },
                else => {}
            }
        }
        accepting.shutdown().await;
        drop(ahead);
        // What is accepted already, by us or by the kernel for us, has sent its request, and would be reset.
        if let Some(connection) = hand.lock().take() {
            entrance.welcome(connection, None);
        }
        for listener in &*listeners {
            while let Ok(permit) = room.clone().try_acquire_owned() {
                let Some(connection) = accept_waiting(listener) else { break };
                entrance.welcome(connection, Some(permit));
            }
        }
        drop((listeners, entrance));
        let limit = sidecar.live().settings.load().server.drain_timeout;
        let grace = LAST_REQUEST.min(limit / 4);
        open.announce();
        let mut finished = tokio::time::timeout(grace, open.emptied()).await.is_ok();
        open.drain();
        if !finished {
            finished = tokio::time::timeout(limit - grace, open.emptied()).await.is_ok();
        }
        let left = open.count();
        open.cut();
        sidecar.upstream.rest();
        Drained { finished, open: left }
    }
}

/// Opens connections to the upstream shortly after the start, and closes those that nobody has taken in their time.
async fn look_ahead(sidecar: Sidecar) {
    tokio::time::sleep(PRECONNECT_DELAY).await;
    sidecar.preconnect().await;
    tokio::time::sleep(MAX_AGE).await;
    sidecar.upstream.stash().tidy();
}

/// Reads the certificate again whenever its files change: whoever renews it need not tell us.
async fn look_at_certificate(sidecar: Sidecar) {
    let mut last = None;
    loop {
        let settings = sidecar.live().settings.load().server.clone();
        let (tls, http2) = (settings.tls, settings.http2);
        let stamped = tokio::task::spawn_blocking(move || (Stamp::of(&tls), tls)).await;
        let Ok(found) = stamped else { return };
        if last.as_ref().is_some_and(|last| *last != found) {
            let (sidecar, tls) = (sidecar.clone(), found.1.clone());
            let _ = tokio::task::spawn_blocking(move || sidecar.read_certificate(&tls, http2)).await;
        }
        last = Some(found);
        tokio::time::sleep(tls::LOOK_INTERVAL).await;
    }
}

/// Where connections come in.
#[derive(Clone)]
struct Entrance<S> {
    sidecar: Sidecar,
    service: S,
    open: Open,
    room: Arc<Semaphore>,
}

impl<S> Entrance<S> {
    /// Serves a connection, in a task of its own: a panic in it ends that task, and nothing else.
    fn welcome<B: Answer>(&self, arrival: Arrival, permit: Option<OwnedSemaphorePermit>)
    where
        S: Serve<B> + Attend,
    {
        // By itself: a block around it that awaits it would take its room twice.
        tokio::spawn(converse(self.sidecar.clone(), arrival, self.service.clone(), self.open.enter(), permit));
    }
}

/// Takes connections for ever, as many at a time as there is `room` for (`server.max_connections`). When there is none, one waits in our `hand`, the
/// others in the kernel, and those that have been idle longest make room: who holds connections and asks nothing shall not keep out who asks.
async fn accept_all<S: Serve<B> + Attend, B: Answer>(
    listeners: Arc<Vec<Listener>>,
    entrance: Entrance<S>,
    hand: Arc<Mutex<Option<Arrival>>>,
) {
    let mut last = 0;
    loop {
        let arrival = accept(&listeners, &mut last).await;
        *hand.lock() = Some(arrival);
        let Some(permit) = make_room(&entrance.room, &entrance.open).await else { return };
        let arrival = hand.lock().take();
        if let Some(arrival) = arrival {
            entrance.welcome(arrival, Some(permit));
        }
    }
}

/// A place for a connection that waits; `None` if there will be none any more.
async fn make_room(room: &Arc<Semaphore>, open: &Open) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = room.clone().try_acquire_owned() {
        return Some(permit);
    }
    let mut waiting = pin!(room.clone().acquire_owned());
    loop {
        open.shed(Instant::now(), LEAST_IDLE);
        tokio::select! {
            biased;
            permit = &mut waiting => return permit.ok(),
            () = tokio::time::sleep(LEAST_IDLE) => {}
        }
    }
}

/// Both ends of a connection: the wire under hyper and the desk above it. By a function: what they are made of takes no room in the task.
fn furnish<S: Attend>(opened: Opened, seat: Arc<Seat>, service: S) -> (Box<Wire<Stream>>, Desk<S>) {
    let Opened { stream, early, since, .. } = opened;
    let wire = Wire::new(stream, early, since, Arc::clone(&seat.live), Arc::clone(&seat.exchange));
    let at_once = service.hits().map(|hits| AtOnce::new(hits, Arc::clone(&seat)));
    (Box::new(wire.with_hits(at_once)), Desk::new(service, seat))
}

/// One connection from its first byte to its last; `_permit` is its place among all.
async fn converse<S: Serve<B> + Attend, B: Answer>(
    sidecar: Sidecar,
    arrival: Arrival,
    service: S,
    mut ticket: Ticket,
    _permit: Option<OwnedSemaphorePermit>,
) {
    let (live, exchange) = (sidecar.live().clone(), ticket.exchange.clone());
    let opened = tokio::select! {
        biased;
        opened = Box::pin(open(arrival, &live)) => opened, // its room is free again while the connection lives
        _ = ticket.told(Word::Nothing) => return,
    };
    let Some((opened, _place)) = opened else { return };
    let seat = Seat {
        live: live.clone(),
        exchange: exchange.clone(),
        upstream: sidecar.upstream(),
        peer: Arc::new(Peer::new(opened.ip).over(opened.https)),
        open: ticket.open().clone(),
    };
    let seat = Arc::new(seat);
    if opened.http2 {
        return Box::pin(http2::converse(opened, seat, service, &mut ticket)).await; // larger than one of HTTP/1.1
    }
    let (wire, desk) = furnish(opened, seat, service);
    let talked = talk(wire, desk, &mut ticket).await;
    let Ok(Some(mut wire)) = talked else { return };
    if let Some(tunnel) = exchange.take_tunnel() {
        wire.become_tunnel();
        tokio::select! {
            () = Box::pin(tunnel.run(wire)) => {}
            _ = ticket.told(Word::Finish) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Sidecar, Ticket, converse};
    use crate::flow::body::CacheBody;
    use crate::layer::CacheService;
    use crate::sidecar::exchange::Exchange;
    use crate::sidecar::stream::Stream;
    use crate::sidecar::upstream::{Upstream, UpstreamBody};
    use crate::sidecar::wire::Wire;
    use tokio::sync::OwnedSemaphorePermit;

    type Permit = Option<OwnedSemaphorePermit>;

    /// Of what a function returns, without calling it.
    const fn size_of_answer<S, F>(_: &impl Fn(Sidecar, Arrival, S, Ticket, Permit) -> F) -> usize {
        size_of::<F>()
    }

    /// There may be tens of thousands, and each has these from its first byte to its last. An `async` block around another takes its room twice.
    #[test]
    fn a_connection_takes_a_task_of_a_kilobyte_and_a_half_at_most() {
        let task = size_of_answer(&converse::<CacheService<Upstream>, CacheBody<UpstreamBody>>);
        assert!(task <= 1408, "{task} bytes, and what tokio puts around them");
        assert!(size_of::<Wire<Stream>>() <= 528, "{}", size_of::<Wire<Stream>>());
        assert!(size_of::<Exchange>() <= 240, "{}", size_of::<Exchange>());
    }
}
