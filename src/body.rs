//! The request body of the sidecar, useful to any hyper app: it can be made from nothing, which the cache needs for requests of its own.

use crate::error::BodyError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A request body that is empty by default. `hyper::body::Incoming` cannot be made out of thin air, this can:
/// `request.map(RequestBody::new)` in front of a `CacheLayer` is all that a hyper app needs.
///
/// ```
/// use http_body::Body as _;
/// assert!(warmfront::RequestBody::default().is_end_stream());
/// ```
#[derive(Debug, Default)]
pub struct RequestBody(Option<UnsyncBoxBody<Bytes, BodyError>>);

impl RequestBody {
    /// Wraps `body`; one that has ended already costs no allocation.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Display,
    {
        if body.is_end_stream() { Self(None) } else { Self(Some(body.map_err(BodyError::new).boxed_unsync())) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
