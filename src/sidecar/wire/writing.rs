//! How what is written gets to the socket, and how long that may take.

use crate::flow::thin::Thin;
use crate::sidecar::splice::splice;
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::Wire;
use crate::telemetry::Refusal;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

impl<T: Socket> Wire<T> {
    /// What a write came to; a client that reads nothing for `server.idle_timeout`, or for so long in all less than `server.min_body_rate`, is given up.
    pub(super) fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = &written {
            if self.stuck.is_some() {
                self.took(outcome.as_ref().map_or(0, |bytes| *bytes));
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
        let written = splice(thin, head, |piece, body| unsent.send(io, cx, (piece, body, b""), &thin.stored().body).map(|_| head.len()));
        Poll::Ready(written.unwrap_or_else(|| Err(io::Error::other("a head without content was expected"))))
    }

    /// Until the socket has taken what is unsent.
    pub(in crate::sidecar) fn send_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    /// The socket has taken so many bytes: that ends a wait for the client, for whom counts what has left.
    pub(super) fn took(&mut self, bytes: usize) {
        let left = self.io.left();
        let before = std::mem::replace(&mut self.left, left);
        let moved = if left == 0 { bytes } else { usize::try_from(left.saturating_sub(before)).unwrap_or(usize::MAX) };
        let waited = self.stuck.take().map(|since| since.elapsed());
        if waited.is_some() {
            self.ended = self.ended.map(|_| Instant::now()); // it was still reading
        }
        self.reading.moved(waited.unwrap_or_default(), moved, self.settings.load().server.min_body_rate);
    }

    /// What it came to that the socket passes on what it has taken. Who does not read holds that up as well as a write, and is given up as there.
    pub(super) fn passed_on(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if self.io.left() > self.left {
            self.took(0);
        }
        if outcome.is_pending() {
            return self.wrote(cx, Poll::Pending).map_ok(|_| ());
        }
        self.stuck = None;
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

#[cfg(test)]
mod tests {
    use super::{Socket, Wire};
    use crate::sidecar::Sidecar;
    use crate::sidecar::exchange::Exchange;
    use crate::sidecar::settings::{Origin, ServerSettings, UpstreamSettings};
    use bytes::BytesMut;
    use http::uri::Authority;
    use std::future::poll_fn;
    use std::io;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};
    use std::time::Duration;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio::time::{Instant, advance};

    /// Takes everything at once as TLS does, and says how much of it has left.
    struct Crawling(u64);

    impl AsyncRead for Crawling {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Crawling {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Socket for Crawling {
        fn left(&self) -> u64 {
            self.0
        }
    }

    /// After how many seconds a client is given up of whose answer so many bytes leave each ten seconds; `None`: not within an hour.
    async fn given_up(bytes: u64) -> Option<u64> {
        let server = ServerSettings { idle_timeout: Duration::from_secs(60), min_body_rate: 100, ..ServerSettings::default() };
        let sidecar = Sidecar::new(server, UpstreamSettings::new(Origin::http(Authority::from_static("o:1"))));
        let (live, exchange) = (sidecar.live().clone(), Arc::new(Exchange::new()));
        let mut wire = Wire::new(Crawling(0), BytesMut::new(), Instant::now(), live, exchange);
        for seconds in (0..3600).step_by(10) {
            if let Poll::Ready(flushed) = poll_fn(|cx| Poll::Ready(Pin::new(&mut wire).poll_flush(cx))).await {
                assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::TimedOut);
                return Some(seconds);
            }
            advance(Duration::from_secs(10)).await;
            wire.io.0 += bytes;
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_below_the_floor_is_given_up_though_tls_has_taken_all_that_is_written() {
        assert_eq!((given_up(0).await, given_up(10).await), (Some(60), Some(70)));
    }

    #[tokio::test]
    async fn while_it_is_shut_down_hyper_is_not_taken_away() {
        let sidecar = Sidecar::new(ServerSettings::default(), UpstreamSettings::new(Origin::http(Authority::from_static("o:1"))));
        let (live, exchange) = (sidecar.live().clone(), Arc::new(Exchange::new()));
        let mut wire = Wire::new(Crawling(0), BytesMut::new(), Instant::now(), live, Arc::clone(&exchange));
        exchange.rest(Instant::now());
        exchange.doze();
        assert!(exchange.is_dozing());
        assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut wire).poll_shutdown(cx))).await.is_pending());
        assert!(!exchange.is_dozing());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_keeps_to_the_floor_may_take_for_ever() {
        assert_eq!(given_up(1000).await, None);
    }
}
