//! How what hyper writes gets to the socket.

use crate::flow::thin::Thin;
use crate::sidecar::splice::splice;
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::Wire;
use crate::sidecar::wire::unsent::write_both;
use crate::telemetry::Refusal;
use std::io;
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
                self.ended = self.ended.map(|_| Instant::now()); // it was still reading
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

    /// Writes `thin` for the `head` that hyper wants written. What the socket does not take is kept, and written before anything else.
    pub(super) fn write_thin(&mut self, cx: &mut Context<'_>, thin: &Thin, head: &[u8]) -> Poll<io::Result<usize>> {
        let (io, unsent) = (&mut self.io, &mut self.unsent);
        let written = splice(thin, head, |piece, body| {
            let polled = write_both(Pin::new(io), cx, piece, body);
            let taken = match polled {
                Poll::Ready(taken) => taken?,
                Poll::Pending => 0, // `poll_flush` comes next, and waits
            };
            unsent.keep(taken, piece, body, &thin.stored().body);
            Ok(head.len())
        });
        Poll::Ready(written.unwrap_or_else(|| Err(io::Error::other("a head without content was expected"))))
    }

    /// Until the socket has taken what is unsent.
    pub(super) fn send_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = self.unsent.poll_write(Pin::new(&mut self.io), cx);
            match ready!(self.wrote(cx, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.unsent.advance(taken),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Until the socket has passed on what it has taken: TLS keeps up to 64 KiB of its own.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.passed_on(cx, flushed)
    }

    /// What it came to that the socket passes on what it has taken. Who does not read holds that up as well as a write, and is given up as there.
    pub(super) fn passed_on(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if outcome.is_pending() {
            return self.wrote(cx, Poll::Pending).map_ok(|_| ());
        }
        if self.stuck.take().is_some() {
            self.ended = self.ended.map(|_| Instant::now());
        }
        outcome
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
