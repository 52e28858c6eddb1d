//! How what hyper writes gets to the socket.

use crate::flow::thin::Thin;
use crate::sidecar::splice::{Spliced, splice};
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::Wire;
use crate::telemetry::Refusal;
use bytes::{Buf as _, BytesMut};
use smallvec::SmallVec;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

impl<T: Socket> Wire<T> {
    /// What a write came to; a client that reads nothing for `server.idle_timeout`, or for so long in all less than `server.min_body_rate`, is given up.
    pub(super) fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = &written {
            if let Some(since) = self.stuck.take() {
                let floor = self.settings.load().server.min_body_rate;
                self.reading.moved(since.elapsed(), outcome.as_ref().map_or(0, |bytes| *bytes), floor);
            }
            return written;
        }
        let since = *self.stuck.get_or_insert_with(Instant::now);
        let settings = self.settings.load();
        let due = since + self.reading.left(settings.server.idle_timeout, settings.server.min_body_rate);
        if !self.is_tunnel && self.alarm.passed(cx, due) {
            self.live.count(Refusal::StalledReader);
            self.exchange.break_off();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    /// Writes `bufs` with the fields of `thin` in their head. What the socket does not take of the head is kept, and written before anything else.
    pub(super) fn write_thin(&mut self, cx: &mut Context<'_>, thin: &Thin, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let (io, unsent) = (&mut self.io, &mut self.unsent);
        let written = splice(thin, bufs, |spliced| {
            let Spliced { piece, rest, covers } = spliced;
            let polled = if rest.is_empty() {
                Pin::new(io).poll_write(cx, piece)
            } else {
                let all: SmallVec<[IoSlice<'_>; 8]> =
                    std::iter::once(IoSlice::new(piece)).chain(rest.iter().map(|buf| IoSlice::new(buf))).collect();
                Pin::new(io).poll_write_vectored(cx, &all)
            };
            let taken = match polled {
                Poll::Ready(Ok(taken)) => taken,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => 0, // `poll_flush` comes next, and waits
            };
            unsent.extend_from_slice(&piece[taken.min(piece.len())..]);
            Ok(covers + taken.saturating_sub(piece.len()))
        });
        Poll::Ready(written.unwrap_or_else(|| Err(io::Error::other("a head was expected"))))
    }

    /// Until the socket has taken what is unsent.
    pub(super) fn send_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = Pin::new(&mut self.io).poll_write(cx, &self.unsent);
            match ready!(self.wrote(cx, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.unsent.advance(taken),
            }
        }
        if self.unsent.capacity() > 0 {
            self.unsent = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing more is written once the farewell has begun.
    pub(super) fn may_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.farewell.is_some() {
            ready!(self.say_farewell(cx))?;
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.send_unsent(cx)
    }
}
