//! Services that know nothing of thin heads: their responses have all their fields.

use crate::flow::thin::{MayBeThin, Thin};
use crate::sidecar::attend::{Attend, Hits};
use crate::sidecar::forwarded::Peer;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// Any service: its requests have all their fields, and so do its answers.
#[derive(Clone, Debug)]
pub(super) struct Full<S>(pub(super) S);

pin_project! {
    /// A body of any service.
    pub(super) struct FullBody<B> {
        #[pin]
        body: B,
    }
}

pin_project! {
    pub(super) struct FullFuture<F> {
        #[pin]
        future: F,
    }
}

impl<S, Q, B> Service<Request<Q>> for Full<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Response = Response<FullBody<B>>;
    type Error = S::Error;
    type Future = FullFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        FullFuture { future: self.0.call(request) }
    }
}

impl<S> Attend for Full<S> {
    fn attend(&mut self, _: Option<&Arc<Peer>>) {}

    fn reads_forwarding(&self) -> bool {
        true
    }

    fn hits(&self) -> Option<Arc<dyn Hits>> {
        None
    }
}

impl<F, B, E> Future for FullFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<FullBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.project().future.poll(cx));
        Poll::Ready(answer.map(|response| response.map(|body| FullBody { body })))
    }
}

impl<B> MayBeThin for FullBody<B> {
    fn take_thin(&mut self) -> Option<Thin> {
        None
    }
}

impl<B: Body<Data = Bytes>> Body for FullBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
