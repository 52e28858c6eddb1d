//! A connection that no longer speaks HTTP: bytes both ways until one side ends or both are silent.

use crate::sidecar::pool::Switched;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

/// How long a tunnel may be silent in both directions.
const TUNNEL_IDLE: Duration = Duration::from_mins(10);

/// The other end of a tunnel to be.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) upstream: Switched,
}

impl Tunnel {
    /// Carries bytes until an end closes both ways, fails, or both have been silent for [`TUNNEL_IDLE`].
    pub(super) async fn run(self, client: impl AsyncRead + AsyncWrite + Unpin) {
        let stirred = Arc::new(AtomicBool::new(false));
        let mut client = Stirring { io: client, stirred: stirred.clone() };
        let mut upstream = self.upstream;
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut upstream) => {}
            () = silence(&stirred) => {}
        }
    }
}

/// Ends when a whole idle limit has passed without a byte: at most twice the limit after the last one.
async fn silence(stirred: &AtomicBool) {
    loop {
        tokio::time::sleep(TUNNEL_IDLE).await;
        if !stirred.swap(false, Ordering::Relaxed) {
            return;
        }
    }
}

/// Notes that bytes have moved, either way.
struct Stirring<T> {
    io: T,
    stirred: Arc<AtomicBool>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Stirring<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if polled.is_ready() {
            self.stirred.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stirring<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        if polled.is_ready() {
            self.stirred.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        if polled.is_ready() {
            self.stirred.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
