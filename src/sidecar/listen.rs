//! The sockets that clients connect to.

use crate::sidecar::settings::ListenAddr;
use crate::sidecar::stream::Stream;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Connections that the kernel keeps for us until we accept them.
const BACKLOG: i32 = 4096;
/// How long accepting rests when the process has no file descriptors or memory left: connections that end meanwhile give some back.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// One bound address.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Tls(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A connection that has just been accepted; nobody has read from it yet.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: Stream,
    /// Where it comes from; nothing for a Unix socket.
    pub(super) ip: Option<IpAddr>,
    /// Whether TLS is spoken where it came in.
    pub(super) tls: bool,
}

/// The file of a Unix socket, removed when we stop listening.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Arrival {
    const fn tcp(stream: TcpStream, ip: Option<IpAddr>, tls: bool) -> Self {
        Self { stream: Stream::Tcp(stream), ip, tls }
    }

    const fn unix(stream: UnixStream) -> Self {
        Self { stream: Stream::Unix(stream), ip: None, tls: false }
    }
}

impl Listener {
    /// Listens at `address`; an error names it.
    pub(super) fn bind(address: &ListenAddr) -> io::Result<Self> {
        let (bound, shown) = match address {
            ListenAddr::Tcp(address) => (tcp(*address).map(Listener::Tcp), address.to_string()),
            ListenAddr::Tls(address) => (tcp(*address).map(Listener::Tls), address.to_string()),
            ListenAddr::Unix(path) => (unix(path), format!("unix:{}", path.display())),
        };
        bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {shown}: {error}")))
    }

    /// Where it listens, with the real port.
    pub(super) fn address(&self) -> Option<ListenAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(ListenAddr::Tcp),
            Self::Tls(listener) => listener.local_addr().ok().map(ListenAddr::Tls),
            Self::Unix(_, file) => Some(ListenAddr::Unix(file.0.clone())),
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?; // inherited by what is accepted
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn unix(path: &Path) -> io::Result<Listener> {
    let stale = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if stale {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(socket.into()).map(|listener| Listener::Unix(listener, SocketFile(path.to_owned())))
}

/// The next connection of any listener, beginning with the one after `last`, so that a busy address does not starve the others.
pub(super) async fn accept(listeners: &[Listener], last: &mut usize) -> Arrival {
    loop {
        let accepted = poll_fn(|cx| {
            for step in 1..=listeners.len() {
                let index = (*last + step) % listeners.len();
                let polled = match &listeners[index] {
                    Listener::Tcp(listener) => {
                        listener.poll_accept(cx).map_ok(|(stream, peer)| Arrival::tcp(stream, Some(peer.ip()), false))
                    }
                    Listener::Tls(listener) => {
                        listener.poll_accept(cx).map_ok(|(stream, peer)| Arrival::tcp(stream, Some(peer.ip()), true))
                    }
                    Listener::Unix(listener, _) => listener.poll_accept(cx).map_ok(|(stream, _)| Arrival::unix(stream)),
                };
                if polled.is_ready() {
                    *last = index;
                    return polled;
                }
            }
            Poll::Pending
        });
        match accepted.await {
            Ok(connection) => return connection,
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; pausing");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// A connection that the kernel has accepted for us already, without waiting for one.
pub(super) fn accept_waiting(listener: &Listener) -> Option<Arrival> {
    let accept = |raw: SockRef<'_>| {
        let (socket, peer) = raw.accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some((socket, peer.as_socket().map(|peer| peer.ip())))
    };
    match listener {
        Listener::Tcp(bound) | Listener::Tls(bound) => {
            let (socket, ip) = accept(SockRef::from(bound))?;
            Some(Arrival::tcp(TcpStream::from_std(socket.into()).ok()?, ip, matches!(listener, Listener::Tls(_))))
        }
        Listener::Unix(listener, _) => {
            let (socket, _) = accept(SockRef::from(listener))?;
            Some(Arrival::unix(UnixStream::from_std(socket.into()).ok()?))
        }
    }
}

/// An error of a connection that was gone before we took it; the next accept may do better at once.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, NetworkDown, NetworkUnreachable};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | NetworkDown | NetworkUnreachable)
}
