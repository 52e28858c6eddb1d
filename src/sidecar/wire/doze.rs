//! Connections without hyper. It keeps some 20 KiB of buffers and futures for the next request, and a client that says nothing for a quarter of a second may well
//! say nothing for the rest of `server.idle_timeout`; and one that sends plain GETs, which are [answered at once](crate::sidecar::at_once) or [directly](crate::sidecar::direct), does not need it. What
//! hyper must see is given to a new one.

use crate::sidecar::at_once::Get;
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::{Wait, Wire};
use bytes::BytesMut;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::Instant;

/// What hyper may keep of an answer that is not read, beside the piece that it is about; a larger `server.max_header_bytes` raises it.
const BUFFER: usize = 64 << 10;
/// hyper refuses a head that fills its buffer.
pub(super) fn room_for(max_head: usize) -> usize {
    max_head.saturating_add(1).max(BUFFER)
}

/// How long a connection is idle before hyper goes: longer than the pauses of who asks one thing after the other, and so short that a burst of clients that
/// ask for one thing each does not have a hyper for all of them at a time.
pub(super) const DOZE_AFTER: Duration = Duration::from_millis(250);
/// What is read at once while there is no hyper: most heads.
pub(super) const FIRST_READ: usize = 4 << 10;

/// What a connection without hyper comes to.
#[derive(Debug)]
pub(in crate::sidecar) enum Stirred {
    /// There is a request for the service.
    Get(Get),
    /// There is something for hyper.
    Request,
    Ended,
}

impl<T: Socket> Wire<T> {
    /// What hyper's buffers must have room for (`max_buf_size`).
    pub(in crate::sidecar) const fn room(&self) -> usize {
        self.room
    }

    /// From now on there is no hyper.
    pub(in crate::sidecar) fn be_alone(&mut self) {
        self.is_alone = true;
        self.exchange.doze();
    }

    /// The same connection under a new hyper, with the settings of this moment.
    pub(in crate::sidecar) fn renew(&mut self) {
        self.make_room();
        self.is_alone = false;
        self.exchange.wake();
    }

    /// The heads that follow may be what the settings of this moment say: there is no hyper whose buffers have room for so much only.
    fn make_room(&mut self) {
        let max_head = self.settings.load().server.max_header_bytes;
        self.room = room_for(max_head);
        self.scan.set_max_head(max_head);
    }

    /// The connection waits for a request. If the last ones did not need hyper, it may do so without.
    pub(super) fn rest(&mut self, now: Instant) {
        self.is_settled = false;
        self.exchange.rest(now);
        if self.at_once.as_ref().is_some_and(|at_once| at_once.is_enough()) {
            self.exchange.doze();
        }
    }

    fn settle(&mut self) {
        self.is_settled = true;
        self.exchange.doze();
        self.at_once.iter_mut().for_each(|at_once| at_once.forget());
    }

    /// Whether hyper can be taken away: it has no request, and what comes next is a head.
    pub(in crate::sidecar) fn is_free(&self) -> bool {
        !self.busy && self.scan.at_head() && self.head.is_empty()
    }

    /// Whether the deadline `due` has passed. An idle connection that is not dozing yet does so before.
    pub(super) fn is_due(&mut self, cx: &mut Context<'_>, due: Instant) -> bool {
        if let Wait::Idle(since) = self.wait
            && !self.is_settled
            && since + DOZE_AFTER < due
        {
            if !self.alarm.passed(cx, since + DOZE_AFTER) {
                return false;
            }
            self.settle();
        }
        self.alarm.passed(cx, due)
    }

    /// Until there is a request that the wire cannot answer, or one that hyper must make, which it can read then, or the connection has ended.
    ///
    /// # Errors
    /// It has failed.
    pub(in crate::sidecar) fn poll_stir(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stirred>> {
        self.make_room();
        let mut piece = [const { MaybeUninit::uninit() }; FIRST_READ];
        let mut buf = ReadBuf::uninit(&mut piece);
        if !self.is_last
            && let Poll::Ready(read) = Pin::new(&mut *self).poll_read(cx, &mut buf)
        {
            read?;
            if let Some(get) = self.at_once.as_mut().and_then(|at_once| at_once.asked.take()) {
                return Poll::Ready(Ok(Stirred::Get(get)));
            }
            let mut first = BytesMut::from(buf.filled());
            first.unsplit(std::mem::take(&mut self.head)); // what there was no room for
            self.head = first;
            self.is_last = self.head.is_empty(); // the client has closed, or the farewell is over
            if !self.is_last {
                return Poll::Ready(Ok(Stirred::Request));
            }
        }
        let flushed = Pin::new(&mut *self).poll_flush(cx)?;
        if self.is_last && flushed.is_ready() {
            return Pin::new(self).poll_shutdown(cx).map_ok(|()| Stirred::Ended);
        }
        Poll::Pending
    }
}
