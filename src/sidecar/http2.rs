//! HTTP/2 on the data port: one connection, and a task for each request on it.
//!
//! Over `h2` itself, not over hyper: hyper waits without end for a client that credits no window, does not say 100, and hides which streams wait for
//! whom. Here every wait has its deadline: for the client by `server.idle_timeout` and `server.header_timeout`, for us by nobody.
//! Memory of a connection: [`CONNECTION_WINDOW`] of uploads, [`SEND_BUFFER`] per response, `server.max_streams` of them, and as many request heads.

mod answer;
mod incoming;
mod line;
mod request;
mod vitals;

use crate::sidecar::alarm::Alarm;
use crate::sidecar::attend::{Answer, Serve};
use crate::sidecar::forward::Seat;
use crate::sidecar::http2::answer::{Ending, answer};
use crate::sidecar::http2::line::{Line, Traffic};
use crate::sidecar::http2::vitals::{Due, Vitals};
use crate::sidecar::open::Ticket;
use crate::sidecar::opening::Opened;
use crate::sidecar::word::Word;
use crate::telemetry::Refusal;
use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::Request;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// What one upload may have sent that nobody has read.
const STREAM_WINDOW: u32 = 64 << 10;
/// The same of all uploads of a connection together.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What of one response may wait in the connection for the socket.
const SEND_BUFFER: usize = 64 << 10;
/// Streams that a client has opened and reset before anybody looked at them (CVE-2023-44487).
const MAX_UNSEEN_RESETS: usize = 20;
/// Streams that ended by a fault of the client's which only we could notice (CVE-2025-8671).
const MAX_PROVOKED_RESETS: usize = 128;
/// Requests that a client may have given up beyond those that it let us answer.
const MAX_ABANDONED: u32 = 200;

/// What happens next on a connection.
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, and the largest is the usual one")]
enum Turn {
    Request(Request<RecvStream>, SendResponse<Bytes>),
    /// One request has its answer, or never will.
    Ended(Ending),
    /// The client has closed, or nothing can be understood any more.
    Over(Option<h2::Error>),
    Flooded,
    Drain,
    Cut,
    Due(Due),
}

/// One connection that a client can be heard on.
struct Talk {
    connection: Connection<Line, Bytes>,
    pings: Option<PingPong>,
    streams: JoinSet<Ending>,
    traffic: Arc<Traffic>,
    vitals: Vitals,
    alarm: Alarm,
    abandoned: u32,
    draining: bool,
}

/// One connection of HTTP/2 from its preface to its last byte.
pub(super) async fn converse<S: Serve<B>, B: Answer>(opened: Opened, seat: Arc<Seat>, service: S, ticket: &mut Ticket) {
    let since = opened.since;
    let (builder, due) = {
        let settings = seat.live.settings.load();
        (builder(settings.server.max_streams, settings.server.max_header_bytes), since + settings.server.header_timeout)
    };
    let traffic = Arc::new(Traffic::new(since));
    let line = Line::new(opened.stream, opened.early, seat.live.clone(), traffic.clone());
    let shaken = tokio::select! {
        shaken = timeout_at(due, builder.handshake(line)) => shaken,
        _ = ticket.told(Word::Finish) => return,
    };
    let mut connection = match shaken {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return note_end(Some(error), &seat),
        Err(_) => return seat.live.count(Refusal::HeaderTimeout),
    };
    let pings = connection.ping_pong();
    let (streams, vitals, alarm) = (JoinSet::new(), Vitals::new(since), Alarm::new());
    let mut talk = Talk { connection, pings, streams, traffic, vitals, alarm, abandoned: 0, draining: false };
    loop {
        match poll_fn(|cx| talk.poll_turn(cx, &seat, ticket)).await {
            Turn::Request(request, respond) => {
                talk.vitals.served();
                seat.exchange.stir();
                talk.streams.spawn(answer(service.clone(), seat.clone(), talk.traffic.clone(), request, respond));
            }
            Turn::Ended(ending) => {
                let now = Instant::now();
                talk.vitals.ended(now);
                if talk.streams.is_empty() {
                    seat.exchange.rest(now);
                }
                if talk.is_abandoned_too_often(ending) {
                    talk.refuse(&seat);
                }
            }
            Turn::Flooded => talk.refuse(&seat),
            Turn::Drain => {
                talk.draining = true;
                talk.retire();
            }
            Turn::Due(Due::Ping) => talk.ping(),
            Turn::Due(Due::Retire) => talk.retire(),
            Turn::Over(error) => {
                note_end(error, &seat);
                return;
            }
            Turn::Cut | Turn::Due(Due::GiveUp | Due::At(_)) => return,
        }
    }
}

fn builder(max_streams: u32, max_header_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(max_streams)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
        .max_local_error_reset_streams(Some(MAX_PROVOKED_RESETS));
    builder
}

impl Talk {
    fn poll_turn(&mut self, cx: &mut Context<'_>, seat: &Seat, ticket: &mut Ticket) -> Poll<Turn> {
        let told = ticket.poll_told(cx, if self.draining { Word::Finish } else { Word::Nothing });
        if told == Poll::Ready(Word::Close) {
            return Poll::Ready(Turn::Cut);
        }
        if let Poll::Ready(Some(joined)) = self.streams.poll_join_next(cx) {
            return Poll::Ready(Turn::Ended(joined.unwrap_or(Ending::Answered))); // a panic in it is its own
        }
        match self.connection.poll_accept(cx) {
            Poll::Ready(Some(Ok((request, respond)))) => return Poll::Ready(Turn::Request(request, respond)),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Turn::Over(Some(error))),
            Poll::Ready(None) => return Poll::Ready(Turn::Over(None)),
            Poll::Pending => {}
        }
        if self.traffic.take_flood() {
            return Poll::Ready(Turn::Flooded);
        }
        if told.is_ready() {
            return Poll::Ready(Turn::Drain);
        }
        let (header_timeout, idle_timeout) = {
            let settings = seat.live.settings.load();
            (settings.server.header_timeout, settings.server.idle_timeout)
        };
        loop {
            let busy = !self.streams.is_empty();
            match self.vitals.due(Instant::now(), busy, self.traffic.heard(), header_timeout, idle_timeout) {
                Due::At(due) if self.alarm.passed(cx, due) => {}
                Due::At(_) => return Poll::Pending,
                due => return Poll::Ready(Turn::Due(due)),
            }
        }
    }

    /// Tells the client that no further request is taken; those under way are answered.
    fn retire(&mut self) {
        self.connection.graceful_shutdown();
        self.vitals.retire(Instant::now());
    }

    /// Ends the connection, all that is under way on it included.
    fn refuse(&mut self, seat: &Seat) {
        seat.live.count(Refusal::Http2Flood);
        tracing::debug!(reason = Refusal::Http2Flood.as_str(), "connection refused");
        self.streams.abort_all();
        self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        self.vitals.retire(Instant::now());
    }

    fn is_abandoned_too_often(&mut self, ending: Ending) -> bool {
        match ending {
            Ending::Answered => self.abandoned = self.abandoned.saturating_sub(1),
            Ending::Abandoned => self.abandoned += 1,
        }
        self.abandoned == MAX_ABANDONED
    }

    fn ping(&mut self) {
        self.vitals.ping(Instant::now());
        if let Some(pings) = &mut self.pings {
            // Whatever is heard shows that the client lives; an answer of long ago only makes room for the next question.
            let _ = pings.poll_pong(&mut Context::from_waker(std::task::Waker::noop()));
            let _ = pings.send_ping(Ping::opaque());
        }
    }
}

/// How a connection ended. What `h2` refuses by itself it says by a GOAWAY of its own, with a reason; faults of one stream it does not tell us of.
fn note_end(error: Option<h2::Error>, seat: &Seat) {
    let Some(error) = error else { return };
    tracing::debug!(%error, "connection ended");
    if error.is_library() {
        let is_flood = error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
        seat.live.count(if is_flood { Refusal::Http2Flood } else { Refusal::Http2Protocol });
    }
}
