//! A request body on its way to the upstream: it can be watched, and stopped from the other side of the exchange.

use crate::body::RequestBody;
use crate::error::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};

/// The body as the client sends it. An empty one has no monitor and costs nothing.
#[derive(Debug)]
pub(super) struct Upload {
    body: RequestBody,
    monitor: Option<Monitor>,
}

/// The other hand on an upload.
#[derive(Clone, Debug)]
pub(super) struct Monitor(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pieces: AtomicU64,
    /// Its client broke it off.
    broken: AtomicBool,
    end: Mutex<End>,
}

#[derive(Debug, Default)]
struct End {
    stopped: bool,
    waker: Option<Waker>,
}

impl Upload {
    pub(super) fn new(body: RequestBody) -> Self {
        let monitor = (!body.is_end_stream()).then(|| Monitor(Arc::default()));
        Self { body, monitor }
    }

    /// Of a request without content.
    pub(super) fn none() -> Self {
        Self { body: RequestBody::default(), monitor: None }
    }

    pub(super) fn monitor(&self) -> Option<Monitor> {
        self.monitor.clone()
    }
}

impl Monitor {
    /// How many pieces have gone out.
    pub(super) fn pieces(&self) -> u64 {
        self.0.pieces.load(Ordering::Relaxed)
    }

    /// Whether its client broke it off: what comes of that is nobody else's fault.
    pub(super) fn is_broken(&self) -> bool {
        self.0.broken.load(Ordering::Relaxed)
    }

    /// Ends the upload with an error, unless it is complete: the answer is there, nobody needs the rest. The connection is closed then.
    pub(super) fn stop(&self) {
        let waker = {
            let mut end = self.0.end.lock();
            end.stopped = true;
            end.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(monitor) = self.monitor.clone() else { return Poll::Ready(None) };
        {
            let mut end = monitor.0.end.lock();
            if end.stopped {
                return Poll::Ready(Some(Err("the upstream answered before the upload was complete".into())));
            }
            if !end.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                end.waker = Some(cx.waker().clone());
            }
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        monitor.0.pieces.fetch_add(1, Ordering::Relaxed);
        if matches!(frame, Some(Err(_))) {
            monitor.0.broken.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
