//! The wait for an answer.

use crate::sidecar::attend::Answer;
use crate::sidecar::forward::{Asked, Outgoing, Seat, Upload, answered};
use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A request on its way, until there is the head of its answer. By hand: what an `async` block has captured is copied once more when it is first polled.
    pub(super) struct Answering<F, B> {
        #[pin]
        way: Way<F, B>,
        // The answer takes it along.
        seat: Option<Arc<Seat>>,
    }
}

pin_project! {
    #[project = WayProjection]
    enum Way<F, B> {
        // The service has it.
        Called { #[pin] answering: F, asked: Asked, upload: Option<Box<Upload>> },
        // It does not come to the service, or waits for one that is not ready, or wants to switch protocols: rare, and large.
        Slow { waiting: Pin<Box<dyn Future<Output = Outgoing<B>> + Send>> },
    }
}

impl<F, B: Answer> Answering<F, B> {
    /// The service is answering.
    pub(super) fn called(seat: &Arc<Seat>, answering: F, asked: Asked, upload: Option<Box<Upload>>) -> Self {
        Self { way: Way::Called { answering, asked, upload }, seat: Some(Arc::clone(seat)) }
    }

    /// Something else will.
    pub(super) fn slow(seat: &Arc<Seat>, waiting: impl Future<Output = Outgoing<B>> + Send + 'static) -> Self {
        Self { way: Way::Slow { waiting: Box::pin(waiting) }, seat: Some(Arc::clone(seat)) }
    }

    /// It is answered already.
    pub(super) fn over(seat: &Arc<Seat>, response: Outgoing<B>) -> Self {
        Self::slow(seat, std::future::ready(response))
    }
}

impl<F, B> Future for Answering<F, B>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Answer,
{
    type Output = Result<Outgoing<B>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut response, is_closing) = match this.way.project() {
            WayProjection::Called { answering, asked, upload } => {
                let Ok(response) = ready!(answering.poll(cx));
                let Some(seat) = this.seat.take() else { return Poll::Pending };
                let is_closing = begin(&seat);
                (answered(seat, response, *asked, upload.as_deref()), is_closing)
            }
            WayProjection::Slow { waiting } => {
                let response = ready!(waiting.as_mut().poll(cx));
                let Some(seat) = this.seat.take() else { return Poll::Pending };
                (response, begin(&seat))
            }
        };
        if is_closing && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

/// From now on it is written. Whether the connection is to close after that.
fn begin(seat: &Seat) -> bool {
    seat.exchange.begin();
    seat.open.is_closing()
}
