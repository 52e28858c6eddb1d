//! The first bytes of a connection, before anyone speaks HTTP: the PROXY header, the TLS handshake, and which HTTP it will be. All of it, and the
//! first request head, have one `server.header_timeout` from the accept.

use crate::sidecar::alarm::Alarm;
use crate::sidecar::farewell::Farewell;
use crate::sidecar::forwarded::is_trusted;
use crate::sidecar::limits::Place;
use crate::sidecar::listen::Arrival;
use crate::sidecar::live::Live;
use crate::sidecar::proxy_header::{self, Client, Read};
use crate::sidecar::refuse;
use crate::sidecar::stream::{Counted, Stream};
use crate::telemetry::Refusal;
use bytes::BytesMut;
use std::future::poll_fn;
use std::net::IpAddr;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

/// How a client begins that speaks HTTP/2 by prior knowledge (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What is read at once while nobody knows which HTTP it is: most request heads.
const FIRST_READ: usize = 2 << 10;

/// A connection on which HTTP begins.
pub(super) struct Opened {
    pub(super) stream: Stream,
    /// What was read of it already.
    pub(super) early: BytesMut,
    /// The client's address, as far as it is known.
    pub(super) ip: Option<IpAddr>,
    pub(super) https: bool,
    pub(super) http2: bool,
    /// When it was accepted.
    pub(super) since: Instant,
}

/// Brings a connection to where HTTP begins, and takes its client's place for it; `None` if it ends before.
pub(super) async fn open(arrival: Arrival, live: &Live) -> Option<(Opened, Place)> {
    let Arrival { mut stream, mut ip, tls } = arrival;
    let since = Instant::now();
    let (due, owes_header, http2) = {
        let settings = live.settings.load();
        let server = &settings.server;
        (since + server.header_timeout, server.proxy_protocol && is_trusted(ip, server), server.http2)
    };
    if owes_header && let Stream::Tcp(tcp) = &mut stream {
        let Ok(Some(client)) = timeout_at(due, proxied(tcp)).await else {
            live.count(Refusal::ProxyHeader);
            tracing::debug!(peer = ?ip, "no PROXY header, or a malformed one; closed");
            return None;
        };
        if let Client::At(address) = client {
            ip = Some(address);
        }
    }
    // The client's from here on, whom a PROXY header may have named: before the handshake, and before it has said anything.
    let place = live.place(ip)?;
    let mut early = BytesMut::new();
    let opened = match stream {
        Stream::Tcp(tcp) if tls => {
            let (stream, http2) = Box::pin(shake_hands(tcp, live, due)).await?; // large, and rare
            Opened { stream, early, ip, https: true, http2, since }
        }
        mut stream => {
            // Where nothing comes in time, the wire of HTTP/1.1 says so.
            let http2 = http2 && timeout_at(due, begins_http2(&mut stream, &mut early)).await.unwrap_or(false);
            Opened { stream, early, ip, https: false, http2, since }
        }
    };
    Some((opened, place))
}

/// Reads the PROXY header and not a byte more; `None` if there is none.
async fn proxied(stream: &mut TcpStream) -> Option<Client> {
    let mut seen = Vec::new();
    let mut chunk = [0; 512];
    loop {
        let taken = seen.len();
        let peeked = stream.peek(&mut chunk).await.ok().filter(|&count| count > 0)?;
        seen.extend_from_slice(&chunk[..peeked]);
        let (used, client) = match proxy_header::read(&seen) {
            Read::More(used) => (used, None),
            Read::Whole(used, client) => (used, Some(client)),
            Read::Malformed => return None,
        };
        stream.read_exact(&mut chunk[..used - taken]).await.ok()?;
        if client.is_some() {
            return client;
        }
    }
}

/// The handshake, and whether HTTP/2 was chosen in it. Who comes without TLS is told so.
async fn shake_hands(mut tcp: TcpStream, live: &Live, due: Instant) -> Option<(Stream, bool)> {
    let config = live.tls.load_full()?;
    let shaking = async {
        let mut first = [0; 1];
        match tcp.peek(&mut first).await {
            Ok(1..) if first[0].is_ascii_uppercase() => {
                plain_http(&mut tcp, live).await;
                None
            }
            Ok(1..) => Some(TlsAcceptor::from(config).accept(Counted::new(tcp)).await),
            _ => None, // it was only looked at whether anybody listens
        }
    };
    let refused = match timeout_at(due, shaking).await {
        Ok(Some(Ok(stream))) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            return Some((Stream::Tls(Box::new(stream)), http2));
        }
        Ok(Some(Err(error))) => error.to_string(),
        Ok(None) => return None,
        Err(_) => "server.header_timeout passed".to_owned(),
    };
    live.count(Refusal::TlsHandshake);
    tracing::debug!(error = refused, "TLS handshake failed");
    None
}

/// Answers a request that came without TLS where TLS is spoken.
async fn plain_http(tcp: &mut TcpStream, live: &Live) {
    live.count(Refusal::TlsHandshake);
    let words = refuse::response(Refusal::TlsHandshake, "TLS is spoken here: use https://", live.clock.now().seconds());
    let (mut farewell, mut alarm) = (Farewell::with(words), Alarm::new());
    poll_fn(|cx| farewell.poll(tcp, &mut alarm, cx)).await;
}

/// Whether the client begins with HTTP/2; what was read to know it is in `early`.
async fn begins_http2(stream: &mut Stream, early: &mut BytesMut) -> bool {
    // An idle connection has no buffer.
    let ready = match stream {
        Stream::Tcp(stream) => stream.readable().await,
        Stream::Unix(stream) => stream.readable().await,
        Stream::Tls(_) => Ok(()),
    };
    if ready.is_err() {
        return false;
    }
    early.reserve(FIRST_READ);
    loop {
        if !matches!(stream.read_buf(early).await, Ok(1..)) {
            return false;
        }
        let count = early.len().min(PREFACE.len());
        if early[..count] != PREFACE[..count] {
            return false;
        }
        if count == PREFACE.len() {
            return true;
        }
    }
}
