//! The layer between a socket and `h2`: it counts what comes in, and gives up a client that reads nothing.

use crate::sidecar::alarm::Alarm;
use crate::sidecar::live::Live;
use crate::sidecar::stream::Stream;
use bytes::{Buf as _, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes that a client may send beyond those of requests and uploads: settings, pings, priorities, resets, empty frames.
const ALLOWANCE: i64 = 1 << 20;
/// What may be saved up by requests and uploads: what a window of uploads needs, and the allowance.
const MOST_CREDIT: i64 = 2 * ALLOWANCE;
/// So many of them are forgiven in a second.
const FORGIVEN: i64 = 4 << 10;
/// For so many bytes that a client reads it may send one, to credit windows with.
const READ_PER_CREDIT: usize = 32;
/// What framing and padding may add to one request or one piece of an upload.
const FRAMING: usize = 128;

/// What the line and the streams over it know of each other: when the client was last heard, and what of all that it sends is of use.
#[derive(Debug)]
pub(super) struct Traffic {
    start: Instant,
    /// Microseconds since the start: a pong can come within a millisecond of its ping.
    heard: AtomicU64,
    credit: AtomicI64,
    flooded: AtomicBool,
}

impl Traffic {
    pub(super) const fn new(start: Instant) -> Self {
        Self { start, heard: AtomicU64::new(0), credit: AtomicI64::new(ALLOWANCE), flooded: AtomicBool::new(false) }
    }

    /// When the last byte came.
    pub(super) fn heard(&self) -> Instant {
        self.start + Duration::from_micros(self.heard.load(Ordering::Relaxed))
    }

    fn hear(&self, now: Instant) {
        let since_start = now.saturating_duration_since(self.start).as_micros();
        self.heard.store(u64::try_from(since_start).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// So many bytes of a request or an upload were of use.
    pub(super) fn used(&self, bytes: usize) {
        self.add(bytes + FRAMING);
    }

    /// Whether the client has sent too much of no use, said once.
    pub(super) fn take_flood(&self) -> bool {
        self.flooded.load(Ordering::Relaxed) && self.flooded.swap(false, Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(ALLOWANCE);
        let _ =
            self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |credit| Some(credit.saturating_add(bytes).min(MOST_CREDIT)));
    }
}

/// Under `h2`, over a socket.
pub(super) struct Line {
    io: Stream,
    /// Read from the socket before it was known that this is HTTP/2.
    early: BytesMut,
    live: Arc<Live>,
    traffic: Arc<Traffic>,
    /// Until when what was sent in vain has been forgiven.
    forgiven: Instant,
    /// The client has sent too much: nothing more is read.
    deaf: bool,
    /// Since when the client has not read what we write.
    stuck: Option<Instant>,
    alarm: Alarm,
}

impl Line {
    pub(super) fn new(io: Stream, early: BytesMut, live: Arc<Live>, traffic: Arc<Traffic>) -> Self {
        Self { io, early, live, traffic, forgiven: Instant::now(), deaf: false, stuck: None, alarm: Alarm::new() }
    }

    /// `count` bytes came; whether that was too much.
    fn heard(&mut self, count: usize, cx: &Context<'_>) {
        let now = Instant::now();
        self.traffic.hear(now);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let left = self.traffic.credit.fetch_sub(count, Ordering::Relaxed) - count;
        if left >= 0 {
            return;
        }
        let seconds = now.saturating_duration_since(self.forgiven).as_secs();
        self.forgiven += Duration::from_secs(seconds);
        let forgiven = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(FORGIVEN).min(ALLOWANCE);
        if self.traffic.credit.fetch_add(forgiven, Ordering::Relaxed) + forgiven < 0 {
            self.deaf = true;
            self.traffic.flooded.store(true, Ordering::Relaxed);
            cx.waker().wake_by_ref();
        }
    }

    /// What a write came to; a client that reads nothing for `server.idle_timeout` is given up.
    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.stuck = None;
            if let Ok(count) = &written {
                self.traffic.add(count / READ_PER_CREDIT);
            }
            return Poll::Ready(written);
        }
        let since = *self.stuck.get_or_insert_with(Instant::now);
        if self.alarm.passed(cx, since + self.live.settings.load().server.idle_timeout) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.deaf {
            return Poll::Pending;
        }
        if !this.early.is_empty() {
            let fits = this.early.len().min(buf.remaining());
            buf.put_slice(&this.early[..fits]);
            this.early.advance(fits);
            if this.early.is_empty() {
                this.early = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        this.heard(buf.filled().len() - before, cx);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.wrote(cx, written)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx).map_ok(|()| 0);
        this.wrote(cx, flushed).map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{ALLOWANCE, MOST_CREDIT, Traffic};
    use std::sync::atomic::Ordering;
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn a_pong_within_a_millisecond_of_its_ping_is_heard_after_it() {
        let start = Instant::now();
        let (traffic, ping) = (Traffic::new(start), start + Duration::from_micros(30_000_400));
        traffic.hear(ping + Duration::from_micros(200));
        assert!(traffic.heard() > ping);
    }

    #[test]
    fn credit_cannot_be_saved_up_without_end() {
        let traffic = Traffic::new(Instant::now());
        (0..1000).for_each(|_| traffic.used(64 << 10));
        assert_eq!(traffic.credit.load(Ordering::Relaxed), MOST_CREDIT);
        assert_eq!(Traffic::new(Instant::now()).credit.load(Ordering::Relaxed), ALLOWANCE);
    }
}
