//! What HTTP/2 needs that HTTP/1.1 does not: its bounds, and requests in its own form.

use crate::sidecar::outgoing::Outbound;
use crate::sidecar::pool::line::Line;
use crate::sidecar::settings::Origin;
use crate::sidecar::upload::Upload;
use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, Request, Uri, Version};
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error;
use std::time::Duration;

/// Requests on one connection; beyond, another is opened. `upstream.max_in_flight` bounds how many there are.
pub(super) const STREAMS: usize = 64;
/// What one response body may run ahead of its reader. A client that reads slowly keeps that much.
const STREAM_WINDOW: u32 = 128 << 10;
/// Enough for all streams, so that slow readers do not stop the others: the most that a connection can hold, 8 MiB.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// The largest response head, as large as hyper's read buffer makes it over HTTP/1.1.
const HEAD: u32 = 64 << 10;
/// While there are streams, a peer that says nothing for so long is asked whether it is there, ...
const PING_AFTER: Duration = Duration::from_secs(10);
/// ... and has so long to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Streams that we have reset and may still hear of.
const RESETS: usize = 64;
/// Errors of the peer's streams before the connection is closed.
const ERRORS: usize = 256;
/// Bytes of uploads that wait in each stream.
const SEND_BUFFER: usize = 64 << 10;

/// Begins HTTP/2 over `line`.
pub(super) async fn handshake(line: Line) -> hyper::Result<(SendRequest<Upload>, Connection<TokioIo<Line>, Upload, TokioExecutor>)> {
    Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .adaptive_window(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD)
        .max_concurrent_reset_streams(RESETS)
        .max_local_error_reset_streams(ERRORS)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(TokioIo::new(line))
        .await
}

/// The request that consists of `asked` and `upload` in the form of HTTP/2: the client's Host as authority, nothing of the connection (RFC 9113 section 8.2.2).
pub(super) fn request(asked: &Outbound<'_>, upload: Upload, origin: &Origin) -> Request<Upload> {
    let parts = asked.parts;
    let mut request = Request::new(upload);
    *request.method_mut() = parts.method.clone();
    *request.version_mut() = Version::HTTP_2;
    let mut headers = parts.headers.clone();
    asked.top.append_to(&mut headers);
    let host = headers.remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok()).unwrap_or_else(|| origin.authority.clone());
    let mut uri = http::uri::Parts::default();
    (uri.scheme, uri.authority) = (Some(origin.scheme()), Some(authority));
    uri.path_and_query = Some(parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default(); // all parts of a URI are there
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection")]
    {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|te| !te.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        headers.remove(TE);
    }
    *request.headers_mut() = headers;
    request
}

/// What an error says about the request that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sidecar) enum Verdict {
    /// The peer says that it has not looked at it (RFC 9113 section 8.7): it may be asked again.
    Unprocessed,
    /// The peer has looked at it and given it up.
    Refused,
    /// The peer has broken the rules.
    Malformed,
    /// Nothing: the connection is gone, or it is no matter of HTTP/2.
    Nothing,
}

/// What `error` means if it comes from HTTP/2.
pub(in crate::sidecar) fn verdict(error: &hyper::Error) -> Verdict {
    let Some(error) = error.source().and_then(|source| source.downcast_ref::<h2::Error>()) else { return Verdict::Nothing };
    if error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM)) {
        Verdict::Unprocessed
    } else if error.is_remote() && error.is_reset() {
        Verdict::Refused
    } else if error.is_library() {
        Verdict::Malformed
    } else {
        Verdict::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::request;
    use crate::sidecar::outgoing::{OnTop, Outbound};
    use crate::sidecar::settings::Origin;
    use crate::sidecar::upload::Upload;
    use bytes::Bytes;
    use http::Request;
    use http::uri::Authority;

    #[test]
    fn what_goes_out_on_top_is_among_its_fields() {
        let (parts, ()) = Request::get("http://h/").header("host", "h").header("via", "1.1 other").body(()).unwrap().into_parts();
        let forwarding = Bytes::from_static(b"x-forwarded-for: 192.0.2.7\r\nvia: 1.1 warmfront\r\n");
        let top = OnTop { forwarding, traceparent: Some(*b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") };
        let request = request(&Outbound { top, ..Outbound::plain(&parts) }, Upload::none(), &Origin::http(Authority::from_static("o:1")));
        assert_eq!(request.headers().get_all("via").iter().collect::<Vec<_>>(), ["1.1 other", "1.1 warmfront"]);
        assert_eq!((&request.headers()["x-forwarded-for"], request.headers().len()), (&"192.0.2.7".parse().unwrap(), 4));
    }
}
