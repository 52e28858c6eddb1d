//! The layer over a socket: it answers hits, hands over all other requests one at a time, whole and unambiguous, to the service or to hyper, and keeps the deadlines.
//!
//! hyper's own `header_read_timeout` makes a timer per request (a tenth of a request's CPU time); here one [`Alarm`] serves a connection.
//! A head is held back until it is complete and [scanned](super::scan); the head after it is not looked at before the response to this one is
//! written, so that whatever is wrong with it can be answered in order, on the socket, with nothing of hyper's in flight.

mod alone;
mod doze;
mod faces;
mod hits;
mod unsent;
mod writing;

use crate::sidecar::alarm::Alarm;
use crate::sidecar::at_once::AtOnce;
use crate::sidecar::exchange::Exchange;
use crate::sidecar::farewell::Farewell;
use crate::sidecar::limits::Pace;
use crate::sidecar::live::{Answer, Live, Settings, Watched};
use crate::sidecar::offer::part_offer;
use crate::sidecar::refuse;
use crate::sidecar::scan::{Progress, Scan};
use crate::sidecar::stream::Socket;
use crate::telemetry::{Outcome, Refusal};
use arc_swap::cache::Cache;
use bytes::{Buf as _, BytesMut};
pub(super) use doze::Stirred;
use doze::{DOZE_AFTER, room_for};
use hits::TakenUp;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::time::Instant;
use unsent::Unsent;

/// An uploader may be silent for so many times `server.header_timeout` (30 s by default) between two pieces of a body.
pub(super) const BODY_SILENCE: u32 = 3;
/// A client that has shut down its sending half may still be reading, or may have gone; for so long it gets the benefit of the doubt.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// Over a socket, and under hyper while there is one.
pub(super) struct Wire<T: Socket> {
    io: T,
    live: Arc<Live>,
    settings: Cache<Watched, Arc<Settings>>,
    exchange: Arc<Exchange>,
    /// The largest head that hyper takes.
    room: usize,
    scan: Scan,
    /// Read from the socket, not yet scanned: it came behind the request under way.
    surplus: BytesMut,
    /// A scanned head that hyper has not seen yet: one that came in pieces, is larger than its buffer, or came while there was none.
    head: BytesMut,
    /// What hyper takes for written or knows nothing of, and the socket has not taken yet.
    unsent: Unsent,
    /// A request is with hyper or the service, or is answered here, and its response is not written yet.
    busy: bool,
    wait: Wait,
    /// How slowly the body of the request under way comes.
    upload: Pace,
    /// How slowly its response is read.
    reading: Pace,
    /// Since when the client has not read what we write.
    stuck: Option<Instant>,
    /// How much of what the socket takes had left when that was last looked at.
    left: u64,
    /// Since when the client has had nothing more to send.
    ended: Option<Instant>,
    alarm: Alarm,
    farewell: Option<Farewell>,
    /// Where requests are taken up before hyper sees them; `None`: nowhere.
    at_once: Option<Box<AtOnce>>,
    /// There is no hyper above.
    is_alone: bool,
    /// The answer that is written ends the connection.
    is_last: bool,
    /// It has been idle for so long that what it needs for a next request only is gone.
    is_settled: bool,
    /// hyper is done with it, which has said that another protocol is spoken from now on.
    is_tunnel: bool,
}

/// What the connection waits for the client to do, and since when.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// Nothing: it is our turn.
    Nothing,
    /// A whole request head.
    Head(Instant),
    /// The first byte of the next request.
    Idle(Instant),
    /// More of a request body.
    Body(Instant),
}

impl<T: Socket> Wire<T> {
    /// Over a connection that was accepted at `since`; `early` is what has been read from it.
    pub(super) fn new(io: T, early: BytesMut, since: Instant, live: Arc<Live>, exchange: Arc<Exchange>) -> Self {
        let mut settings = Cache::new(Watched(live.clone()));
        let max_head = settings.load().server.max_header_bytes;
        let (room, scan) = (room_for(max_head), Scan::new(max_head));
        let (surplus, head, unsent) = (early, BytesMut::new(), Unsent::default());
        let wait = Wait::Head(since);
        let (upload, reading, alarm) = (Pace::default(), Pace::default(), Alarm::new());
        Self {
            io,
            live,
            settings,
            exchange,
            room,
            scan,
            surplus,
            head,
            unsent,
            busy: false,
            wait,
            upload,
            reading,
            stuck: None,
            left: 0,
            ended: None,
            alarm,
            farewell: None,
            at_once: None,
            is_alone: false,
            is_last: false,
            is_settled: false,
            is_tunnel: false,
        }
    }

    /// From now on it carries whatever comes.
    pub(super) const fn become_tunnel(&mut self) {
        self.is_tunnel = true;
    }

    /// The next bytes that hyper may see.
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.head.is_empty() {
                give(&mut self.head, buf);
                return Poll::Ready(Ok(()));
            }
            if self.busy && self.scan.at_head() {
                return self.watch_for_end(cx, buf);
            }
            let start = buf.filled().len();
            let in_body = !self.scan.at_head();
            let progress = if self.surplus.is_empty() {
                match Pin::new(&mut self.io).poll_read(cx, buf) {
                    Poll::Ready(read) => read?,
                    Poll::Pending => {
                        ready!(self.wait(cx));
                        return self.say_farewell(cx);
                    }
                }
                if buf.filled().len() == start {
                    return Poll::Ready(Ok(())); // the client has closed; hyper knows whether that is an error
                }
                self.scan.feed(&buf.filled()[start..])
            } else {
                let offered = if self.scan.at_head() { self.surplus.len() } else { self.surplus.len().min(buf.remaining()) };
                self.scan.feed(&self.surplus[..offered])
            };
            let from_surplus = !self.surplus.is_empty();
            match progress {
                Progress::Held => self.hold(buf, start, from_surplus),
                Progress::Head { used } => match self.take_up(cx, buf, (start, used), from_surplus)? {
                    TakenUp::Answered => {}
                    TakenUp::Asked => return Poll::Ready(Ok(())),
                    TakenUp::Left if self.let_head_in(buf, start, used, from_surplus) => return Poll::Ready(Ok(())),
                    TakenUp::Left => {}
                },
                Progress::Body { used } => {
                    if let Wait::Body(since) = std::mem::replace(&mut self.wait, Wait::Nothing) {
                        let floor = self.settings.load().server.min_body_rate;
                        self.upload.moved(since.elapsed(), used, floor);
                    }
                    self.split(buf, start, used, from_surplus, false);
                    return Poll::Ready(Ok(()));
                }
                Progress::Fault(fault) => {
                    buf.set_filled(start);
                    self.refuse(fault.refusal(), fault.detail(), in_body);
                    return self.say_farewell(cx);
                }
            }
        }
    }

    /// A head is complete that hyper must see; whether it sees it now: one that came in pieces is given to it from `self.head`.
    fn let_head_in(&mut self, buf: &mut ReadBuf<'_>, start: usize, used: usize, from_surplus: bool) -> bool {
        self.open();
        self.exchange.wake(); // hyper has something to do, whatever was said before
        let mut held = self.scan.take_held();
        if let Some(empty) = self.scan.take_upgrade() {
            let whole = match (&*held, from_surplus) {
                ([], true) => &self.surplus[..used],
                ([], false) => &buf.filled()[start..start + used],
                (held, _) => held,
            };
            let (kept, offered) = part_offer(whole, empty);
            held = kept;
            offered.into_iter().for_each(|offered| self.exchange.offer(offered));
        }
        let in_pieces = !held.is_empty();
        // The last piece is in `held` as well.
        self.split(buf, start, used, from_surplus, in_pieces);
        if in_pieces {
            self.head = held;
        }
        !in_pieces
    }

    /// All the bytes belong to a head that is not complete: hyper does not see them yet.
    fn hold(&mut self, buf: &mut ReadBuf<'_>, start: usize, from_surplus: bool) {
        if from_surplus {
            self.surplus.clear();
        } else {
            buf.set_filled(start);
        }
        self.exchange.stir();
        if !matches!(self.wait, Wait::Head(_)) {
            self.wait = Wait::Head(Instant::now());
        }
    }

    /// `used` bytes go to hyper (unless it gets them from elsewhere), the others are surplus.
    fn split(&mut self, buf: &mut ReadBuf<'_>, start: usize, used: usize, from_surplus: bool, elsewhere: bool) {
        if from_surplus {
            let mut taken = self.surplus.split_to(used);
            if !elsewhere {
                give(&mut taken, buf);
                self.head = taken;
            }
        } else {
            self.surplus.extend_from_slice(&buf.filled()[start + used..]);
            buf.set_filled(if elsewhere { start } else { start + used });
        }
        if self.surplus.is_empty() && self.surplus.capacity() > 0 {
            self.surplus = BytesMut::new();
        }
    }

    fn open(&mut self) {
        self.busy = true;
        self.wait = Wait::Nothing;
        (self.upload, self.reading) = (Pace::default(), Pace::default());
        self.exchange.open();
    }

    /// While a request is under way it is only to be heard whether the client has gone. What comes early is kept, once.
    fn watch_for_end(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.surplus.is_empty() {
            return Poll::Pending; // woken when the response is written
        }
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() == start {
            let ended = *self.ended.get_or_insert_with(Instant::now);
            if self.stuck.is_some() || !self.unsent.is_empty() {
                return Poll::Pending; // writing will tell whether it has gone
            }
            return if self.alarm.passed(cx, ended + HALF_CLOSED) { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        self.surplus.extend_from_slice(&buf.filled()[start..]);
        buf.set_filled(start);
        Poll::Pending
    }

    /// The response is written: the next head may come.
    fn complete(&mut self, cx: &mut Context<'_>) {
        self.busy = false;
        self.exchange.complete();
        let now = Instant::now();
        let settings = self.settings.load();
        self.scan.set_max_head(settings.server.max_header_bytes.min(self.room));
        let (wait, limit) = if self.surplus.is_empty() {
            (Wait::Idle(now), settings.server.idle_timeout.min(DOZE_AFTER))
        } else {
            (Wait::Head(now), settings.server.header_timeout)
        };
        if !self.surplus.is_empty() || self.ended.is_some() {
            cx.waker().wake_by_ref(); // hyper waits for the socket, which has nothing new to say
        }
        let at_head = self.scan.at_head(); // else the rest of a body is to come, which nobody has waited for
        if at_head && matches!(wait, Wait::Idle(_)) {
            self.rest(now);
        }
        self.wait = if at_head { wait } else { Wait::Nothing };
        self.alarm.set(cx, now + limit);
    }

    /// Pending until the client has kept us waiting for too long; then the connection has been closed or refused.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.wait, Wait::Nothing) {
            let now = Instant::now();
            self.wait = if self.scan.at_head() {
                self.rest(now);
                Wait::Idle(now)
            } else {
                Wait::Body(now)
            };
        }
        let settings = self.settings.load();
        let (header_timeout, idle_timeout) = (settings.server.header_timeout, settings.server.idle_timeout);
        let floor = settings.server.min_body_rate;
        let silence = header_timeout * BODY_SILENCE;
        let due = match self.wait {
            Wait::Nothing => return Poll::Pending,
            Wait::Head(since) => since + header_timeout,
            Wait::Idle(since) => since + idle_timeout,
            Wait::Body(since) => since + self.upload.left(silence, floor),
        };
        if !self.is_due(cx, due) {
            return Poll::Pending;
        }
        match self.wait {
            Wait::Idle(_) | Wait::Nothing => self.farewell = Some(Farewell::silent()),
            Wait::Head(_) => self.refuse(Refusal::HeaderTimeout, &format!("server.header_timeout ({header_timeout:?}) passed"), false),
            Wait::Body(_) => {
                let detail = format!("{silence:?} (three times server.header_timeout) without server.min_body_rate ({floor} B/s)");
                self.refuse(Refusal::BodyTimeout, &detail, true);
            }
        }
        Poll::Ready(())
    }

    /// Answers on the socket, unless the request has its answer already, or the beginning of it: then the only honest thing is to break off.
    /// `in_body`: it is the body of a request that is at fault, not the head of the next one.
    fn refuse(&mut self, refusal: Refusal, detail: &str, in_body: bool) {
        self.live.count(refusal);
        tracing::debug!(reason = refusal.as_str(), detail, "request refused");
        self.surplus.clear();
        let begun = (self.busy || in_body) && self.exchange.has_begun();
        let response = (!begun).then(|| refuse::response(refusal, detail, self.live.clock.now().seconds()));
        // The service tells of the request whose body is at fault.
        if !in_body || !(begun || self.exchange.overrule(refusal)) {
            let bytes = response.as_deref().map_or(0, refuse::body_length);
            let status = response.as_ref().map(|_| refusal.status());
            self.live.tell(None, &Answer { outcome: Outcome::Refused, reason: refusal.as_str(), status, bytes }, None, None);
        }
        self.farewell = Some(response.map_or_else(Farewell::silent, Farewell::with));
    }

    /// Says what is left to say and closes; for hyper that is the end of the client's bytes.
    fn say_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.farewell {
            Some(farewell) => farewell.poll(&mut self.io, &mut self.alarm, cx).map(|()| Ok(())),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// Moves as much of `from` into `buf` as fits.
fn give(from: &mut BytesMut, buf: &mut ReadBuf<'_>) {
    let fits = from.len().min(buf.remaining());
    buf.put_slice(&from[..fits]);
    from.advance(fits);
    if from.is_empty() {
        *from = BytesMut::new();
    }
}
