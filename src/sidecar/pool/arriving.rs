//! A response body on its way in, and with it the connection that brings it.

use crate::sidecar::pool::broken::Broken;
use crate::sidecar::pool::many::Stream;
use crate::sidecar::pool::one::{Connection, Early, Head, Switched};
use crate::sidecar::pool::{Home, Pool};
use crate::sidecar::settings::Origin;
use bytes::Bytes;
use http::{Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// The body of a response. At a clean end its connection goes back to the pool; dropped before, it is closed.
#[derive(Debug)]
pub(in crate::sidecar) struct Arriving {
    source: Source,
    is_settled: bool,
}

/// Where a body comes from.
#[derive(Debug)]
enum Source {
    /// It is here; none if it has ended.
    Here(Option<Bytes>),
    /// Whoever reads it drives its connection.
    One(Box<Connection>, Home),
    /// Of a request that is still on its way out.
    Early(Early, Home),
    /// A stream of a connection that carries several.
    Two(Box<(Incoming, Stream)>),
    /// There is none, and the connection speaks another protocol.
    Switched(Box<Connection>),
}

impl Arriving {
    /// The response that began `now` with `head`, and that a `connection` of `pool` to `origin` brings.
    pub(super) fn over(mut connection: Box<Connection>, head: Head, pool: &Pool, origin: &Origin, now: Instant) -> Response<Self> {
        let source = if head.status == StatusCode::SWITCHING_PROTOCOLS {
            Source::Switched(connection)
        } else if let Some(body) = connection.whole() {
            if let Some(settled) = connection.settle() {
                pool.idle.put(origin, settled, now); // a short body has come with its head
            }
            Source::Here(Some(body).filter(|body| !body.is_empty()))
        } else if connection.is_sent() {
            Source::One(connection, pool.home(origin))
        } else {
            Source::Early(Early::new(connection), pool.home(origin))
        };
        let mut response = Response::new(Self { source, is_settled: head.is_settled });
        *response.status_mut() = head.status;
        *response.version_mut() = if head.old { Version::HTTP_10 } else { Version::HTTP_11 };
        *response.headers_mut() = head.fields;
        response
    }

    /// A body that comes over a stream.
    pub(super) fn streamed(stream: Stream, body: Incoming) -> Self {
        Self { source: Source::Two(Box::new((body, stream))), is_settled: false }
    }

    /// Whether the fields in front of it are as the rest of the house may see them.
    pub(in crate::sidecar) const fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The connection behind a 101.
    pub(in crate::sidecar) fn into_switched(self) -> Option<Switched> {
        if let Source::Switched(connection) = self.source { connection.switched() } else { None }
    }

    /// The end is here: the connection goes home.
    fn settle(&mut self) {
        let (connection, home) = match std::mem::replace(&mut self.source, Source::Here(None)) {
            Source::One(connection, home) => (Some(connection), home),
            Source::Early(early, home) => (early.take(), home),
            _ => return,
        };
        if let Some(settled) = connection.and_then(Connection::settle) {
            home.keep(settled);
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Here(body) => return Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Source::Switched(_) => return Poll::Ready(None),
            Source::Two(body) => return Pin::new(&mut body.0).poll_frame(cx).map_err(Broken::Two),
            Source::One(connection, _) => ready!(connection.poll_frame(cx)),
            Source::Early(early, _) => ready!(early.poll_frame(cx)),
        };
        match &polled {
            Some(Err(_)) => this.source = Source::Here(None),
            Some(Ok(_)) if !this.is_end_stream() => {}
            Some(Ok(_)) | None => this.settle(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Here(body) => body.is_none(),
            Source::One(connection, _) => connection.is_over(),
            Source::Early(early, _) => early.rest().0,
            Source::Two(body) => body.0.is_end_stream(),
            Source::Switched(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Here(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Source::One(connection, _) => connection.size_hint(),
            Source::Early(early, _) => early.rest().1,
            Source::Two(body) => body.0.size_hint(),
            Source::Switched(_) => SizeHint::with_exact(0),
        }
    }
}
