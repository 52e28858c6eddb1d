//! The bytes of one connection to the upstream.

use parking_lot::Mutex;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A socket that can be asked what it holds while hyper has it. The lock is never waited for: hyper and whoever asks are the same task.
#[derive(Clone, Debug)]
pub(in crate::sidecar) struct Socket(Arc<Mutex<TcpStream>>);

/// One connection, as hyper reads and writes it.
#[derive(Debug)]
pub(in crate::sidecar) struct Line {
    socket: Socket,
    tls: Option<Box<TlsStream<Socket>>>,
    /// HTTP/2 is spoken over it.
    pub(super) two: bool,
    /// That of the settings under which it was opened.
    pub(in crate::sidecar) epoch: u64,
    heard: Heard,
}

/// Whether anything has come over a line since this was last [forgotten](Heard::forget), but for what TLS has to say.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<AtomicBool>);

impl Heard {
    pub(super) fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    pub(super) fn anything(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Socket {
    /// Whether the peer has neither sent nor closed anything. Asked of the socket itself: what tokio knows of it may be older.
    pub(super) fn is_quiet(&self) -> bool {
        let stream = self.0.lock();
        let peeked = SockRef::from(&*stream).peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }
}

impl Line {
    /// Over which nobody but the network watches.
    pub(in crate::sidecar) fn plain(socket: Socket, two: bool) -> Self {
        Self { socket, tls: None, two, epoch: 0, heard: Heard::default() }
    }

    /// The `stream` over `socket` after its handshake.
    pub(super) fn tls(stream: TlsStream<Socket>, socket: Socket, two: bool) -> Self {
        Self { socket, tls: Some(Box::new(stream)), two, epoch: 0, heard: Heard::default() }
    }

    pub(super) const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) const fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) const fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Where it leads.
    pub(in crate::sidecar) fn peer(&self) -> Option<SocketAddr> {
        self.socket.0.lock().peer_addr().ok()
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_write(cx, buf)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut stream = self.0.lock();
        match bufs {
            [head] => Pin::new(&mut *stream).poll_write(cx, head), // a request without content: less work for the kernel
            _ => Pin::new(&mut *stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // a socket buffers nothing in user space
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_shutdown(cx)
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.tls {
            None => Pin::new(&mut self.socket).poll_read(cx, buf),
            Some(tls) => Pin::new(tls).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            self.heard.0.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.tls {
            None => Pin::new(&mut self.socket).poll_write(cx, buf),
            Some(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut self.tls {
            None => Pin::new(&mut self.socket).poll_write_vectored(cx, bufs),
            Some(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.tls {
            None => Pin::new(&mut self.socket).poll_flush(cx),
            Some(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.tls {
            None => Pin::new(&mut self.socket).poll_shutdown(cx),
            Some(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
