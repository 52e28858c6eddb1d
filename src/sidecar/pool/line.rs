//! The bytes of one connection to the upstream.

use socket2::SockRef;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// One connection, as it is read and written.
#[derive(Debug)]
pub(in crate::sidecar) struct Line {
    stream: Stream,
    /// HTTP/2 is spoken over it.
    pub(super) two: bool,
    /// That of the settings under which it was opened.
    pub(in crate::sidecar) epoch: u64,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a peer has done on a socket that nobody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peeked {
    Quiet,
    Bytes,
    Closed,
}

impl Line {
    /// Over which nobody but the network watches.
    pub(in crate::sidecar) const fn plain(socket: TcpStream, two: bool) -> Self {
        Self { stream: Stream::Plain(socket), two, epoch: 0 }
    }

    /// The `stream` after its handshake.
    pub(super) fn tls(stream: TlsStream<TcpStream>, two: bool) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), two, epoch: 0 }
    }

    pub(super) const fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Whether the peer has neither sent nor closed anything.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.peek(), Ok(Peeked::Quiet))
    }

    /// What the peer has done. Asked of the socket itself: what tokio knows of it may be older.
    pub(super) fn peek(&self) -> io::Result<Peeked> {
        match SockRef::from(self.socket()).peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => Ok(Peeked::Closed),
            Ok(_) => Ok(Peeked::Bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Peeked::Quiet),
            Err(error) => Err(error),
        }
    }

    /// Where it leads.
    pub(in crate::sidecar) fn peer(&self) -> Option<SocketAddr> {
        self.socket().peer_addr().ok()
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(_) => Poll::Ready(Ok(())), // a socket buffers nothing in user space
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
