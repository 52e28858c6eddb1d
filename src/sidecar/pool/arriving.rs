//! A response body on its way in, and with it the connection that brings it.

use crate::sidecar::pool::Home;
use crate::sidecar::pool::connection::Connection;
use crate::sidecar::pool::many::Stream;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The body of a response. At a clean end its connection goes back to the pool; dropped before, it is closed.
#[derive(Debug)]
pub(in crate::sidecar) struct Arriving {
    body: Incoming,
    rest: Rest,
}

/// What a body still needs.
#[derive(Debug)]
enum Rest {
    /// Nothing: it is here, or somebody else drives its connection.
    Nothing,
    /// To be driven by whoever reads it.
    Drive(Box<Connection>, Home),
    /// Its stream of a connection that carries several.
    Stream { _stream: Stream },
}

impl Arriving {
    /// A body that somebody else drives.
    pub(super) const fn driven(body: Incoming) -> Self {
        Self { body, rest: Rest::Nothing }
    }

    /// A body that comes over a stream.
    pub(super) const fn streamed(stream: Stream, body: Incoming) -> Self {
        Self { body, rest: Rest::Stream { _stream: stream } }
    }

    /// A body that `connection` brings.
    pub(super) fn over(connection: Box<Connection>, home: Home, body: Incoming) -> Self {
        let is_done = connection.is_done();
        let mut arriving = Self { body, rest: Rest::Drive(connection, home) };
        if is_done {
            arriving.settle(); // a short body has come with its head
        }
        arriving
    }

    /// The end is here: the connection goes home.
    fn settle(&mut self) {
        if let Rest::Drive(connection, home) = std::mem::replace(&mut self.rest, Rest::Nothing)
            && let Some(settled) = connection.settle()
        {
            home.keep(settled);
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Rest::Drive(connection, _) = &mut this.rest else { return Pin::new(&mut this.body).poll_frame(cx) };
        // What drives the connection is woken by it: the way from there to here wakes nobody.
        let mut quietly = Context::from_waker(Waker::noop());
        let mut polled = Pin::new(&mut this.body).poll_frame(&mut quietly);
        if polled.is_pending() {
            if connection.poll(cx).is_ready() {
                this.rest = Rest::Nothing; // it was closed after its response, or it broke: the body knows
                return Pin::new(&mut this.body).poll_frame(cx);
            }
            polled = Pin::new(&mut this.body).poll_frame(&mut quietly);
        }
        match &polled {
            Poll::Ready(Some(Err(_))) => this.rest = Rest::Nothing,
            Poll::Ready(None) => this.settle(),
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => this.settle(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
