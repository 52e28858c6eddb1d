//! The future of a response: there already for a hit, boxed for everything else.

use crate::flow::body::CacheBody;
use http::Response;
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future in a box, for the ways that wait.
pub(crate) type Slow<RB, E> = Pin<Box<dyn Future<Output = Result<Response<CacheBody<RB>>, E>> + Send>>;

pin_project! {
    /// The future of [`CacheService`](crate::layer::CacheService). A hit is ready at once and allocates nothing.
    pub struct ResponseFuture<RB, E> {
        state: State<RB, E>,
    }
}

enum State<RB, E> {
    Ready(Option<Response<CacheBody<RB>>>),
    Slow(Slow<RB, E>),
}

impl<RB, E> ResponseFuture<RB, E> {
    pub(crate) fn ready(response: Response<CacheBody<RB>>) -> Self {
        Self { state: State::Ready(Some(response)) }
    }

    pub(crate) fn slow(future: impl Future<Output = Result<Response<CacheBody<RB>>, E>> + Send + 'static) -> Self {
        Self { state: State::Slow(Box::pin(future)) }
    }
}

impl<RB, E> Future for ResponseFuture<RB, E> {
    type Output = Result<Response<CacheBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state {
            // Polled again after it was ready: a fault of the caller, answered by never waking it.
            State::Ready(response) => response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            State::Slow(future) => future.as_mut().poll(cx),
        }
    }
}

impl<RB, E> fmt::Debug for ResponseFuture<RB, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("ready", &matches!(self.state, State::Ready(_))).finish()
    }
}
