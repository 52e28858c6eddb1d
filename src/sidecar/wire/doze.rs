//! Idle connections without hyper: it keeps some 20 KiB of buffers and futures for the next request, and a client that says nothing for a quarter of a second may well
//! say nothing for the rest of `server.idle_timeout`. What it says next is read here, and given to a new hyper.

use crate::sidecar::stream::Socket;
use crate::sidecar::wire::{Wait, Wire};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::ReadBuf;
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
/// What is read of the next request before hyper comes back: most heads.
const FIRST_READ: usize = 1 << 10;

impl<T: Socket> Wire<T> {
    /// What hyper's buffers must have room for (`max_buf_size`).
    pub(in crate::sidecar) const fn room(&self) -> usize {
        self.room
    }

    /// The same connection under a new hyper, with the settings of this moment.
    pub(in crate::sidecar) fn renew(&mut self) {
        let max_head = self.settings.load().server.max_header_bytes;
        self.room = room_for(max_head);
        self.scan.set_max_head(max_head);
        self.exchange.wake();
    }

    /// Whether the deadline `due` has passed. An idle connection that is not dozing yet does so before.
    pub(super) fn is_due(&mut self, cx: &mut Context<'_>, due: Instant) -> bool {
        if let Wait::Idle(since) = self.wait
            && !self.exchange.is_dozing()
            && since + DOZE_AFTER < due
        {
            if !self.alarm.passed(cx, since + DOZE_AFTER) {
                return false;
            }
            self.exchange.doze();
        }
        self.alarm.passed(cx, due)
    }

    /// Until hyper has to look at the connection: the client sends something, closes, or has kept us waiting for too long.
    pub(in crate::sidecar) fn poll_stir(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut piece = [0; FIRST_READ];
        let mut buf = ReadBuf::new(&mut piece);
        match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
            Poll::Ready(_) => {
                self.surplus.extend_from_slice(buf.filled());
                Poll::Ready(())
            }
            Poll::Pending => self.wait(cx),
        }
    }
}
