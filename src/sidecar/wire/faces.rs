//! What hyper sees of the wire.

use crate::sidecar::farewell::Farewell;
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::{Wire, give};
use smallvec::SmallVec;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is no larger goes out in one piece, put together on the stack: copying it costs less than the kernel's look at several. Hits are [put
/// together](super::super::splice) elsewhere, in a buffer with room for more.
const ON_STACK: usize = 4 << 10;

impl<T: Socket> Wire<T> {
    fn write_pieces(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if let [buf] = bufs {
            return Pin::new(&mut self.io).poll_write(cx, buf);
        }
        if length > ON_STACK {
            return Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        }
        let mut piece = SmallVec::<[u8; ON_STACK]>::new();
        bufs.iter().for_each(|buf| piece.extend_from_slice(buf));
        Pin::new(&mut self.io).poll_write(cx, &piece)
    }
}

impl<T: Socket> AsyncRead for Wire<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.farewell.is_some() {
            return this.say_farewell(cx);
        }
        if !this.exchange.has_switched() {
            return this.read(cx, buf);
        }
        if !this.is_tunnel {
            return Poll::Pending; // what comes now is not for hyper, which has only a 101 to write
        }
        if this.surplus.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        give(&mut this.surplus, buf);
        Poll::Ready(Ok(()))
    }
}

impl<T: Socket> AsyncWrite for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.may_write(cx))?;
        if let Some(thin) = this.take_thin() {
            return this.write_thin(cx, &thin, buf);
        }
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.wrote(cx, written)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.may_write(cx))?;
        if let Some(thin) = this.take_thin() {
            return this.write_thin(cx, &thin, bufs.first().map_or(&[], |head| &**head));
        }
        let written = this.write_pieces(cx, bufs);
        this.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper flushes when it has written all it has: with the response body gone too, the exchange is over.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.send_unsent(cx))?;
        ready!(this.flush(cx))?;
        if this.busy && this.exchange.is_done() && !this.exchange.has_switched() {
            this.complete(cx);
        }
        Poll::Ready(Ok(()))
    }

    /// Unread input would turn our close into a reset, and the reset could overtake the response: it is read and dropped for a while.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.exchange.wake(); // hyper has this to do, and may not go
        if this.exchange.is_broken() {
            return Poll::Ready(Ok(())); // not even TLS may say that this is the end
        }
        ready!(this.send_unsent(cx))?;
        if this.exchange.has_switched() && !this.is_tunnel {
            return Poll::Ready(Ok(())); // the end of hyper is not that of the connection
        }
        let unread = !this.scan.at_head() || !this.surplus.is_empty();
        if this.farewell.is_none() && unread && !this.exchange.has_switched() {
            this.farewell = Some(Farewell::with(Vec::new()));
        }
        if this.farewell.is_some() {
            return this.say_farewell(cx);
        }
        if this.io.ends_when_dropped() && !this.is_tunnel {
            return Poll::Ready(Ok(())); // which is now, and says the same
        }
        let ended = Pin::new(&mut this.io).poll_shutdown(cx);
        this.passed_on(cx, ended)
    }
}

impl<T: Socket> Drop for Wire<T> {
    fn drop(&mut self) {
        if self.exchange.is_broken() {
            self.io.reset_on_close();
        }
    }
}
