//! Requests that the cache only hands on, and learns nothing from: passes of safe methods. The way of most that it has no part in, and kept small.

use crate::flow::body::CacheBody;
use crate::flow::inner::InnerBody;
use crate::flow::tally::{SERVICE_ERROR, Tally, tell_at_end};
use crate::flow::through::passed;
use crate::rfc::cache_status::{CacheStatus, Forward};
use crate::telemetry::Outcome;
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// What is said of such a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Why {
    pub(crate) forward: Forward,
    pub(crate) detail: Option<&'static str>,
    /// Not only counted, but told the client in `Cache-Status`.
    pub(crate) is_told: bool,
}

pin_project! {
    /// The answer that the service behind the cache comes to. No `async fn`, whose future would hold the request three times.
    pub(crate) struct Passing<S, B, F> {
        #[pin]
        asking: Asking<S, B, F>,
        // None at its end.
        tally: Option<Arc<Tally>>,
        why: Why,
    }
}

pin_project! {
    #[project = AskingProjected]
    enum Asking<S, B, F> {
        // Until the service is ready for the request.
        Waiting { inner: S, request: Option<Request<B>> },
        Asked { #[pin] future: F },
        // The future is dropped as soon as it has come to its end, as that of an `async fn` is: it may hold what others wait for.
        Over,
    }
}

impl<S, B, F> Passing<S, B, F> {
    /// Puts `request` to `inner` as soon as that is ready.
    pub(crate) const fn new(inner: S, request: Request<B>, tally: Arc<Tally>, why: Why) -> Self {
        Self { asking: Asking::Waiting { inner, request: Some(request) }, tally: Some(tally), why }
    }
}

impl<S, B, F, RB, E> Future for Passing<S, B, F>
where
    S: Service<Request<B>, Future = F, Error = E>,
    F: Future<Output = Result<Response<RB>, E>>,
    RB: InnerBody,
{
    type Output = Result<Response<CacheBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answered = loop {
            match this.asking.as_mut().project() {
                AskingProjected::Waiting { inner, request } => match (ready!(inner.poll_ready(cx)), request.take()) {
                    (Ok(()), Some(mut request)) => {
                        this.tally.iter().for_each(|tally| tally.mark(request.extensions_mut()));
                        let future = inner.call(request);
                        this.asking.set(Asking::Asked { future });
                    }
                    (Err(error), _) => break Err(error),
                    (Ok(()), None) => return Poll::Pending,
                },
                AskingProjected::Asked { future } => break ready!(future.poll(cx)),
                AskingProjected::Over => return Poll::Pending, // polled again after it was ready: a fault of the caller
            }
        };
        this.asking.set(Asking::Over);
        let Some(tally) = this.tally.take() else { return Poll::Pending };
        let response = match answered {
            Ok(response) => response,
            Err(error) => {
                tally.count(Outcome::Failed, Some(SERVICE_ERROR));
                return Poll::Ready(Err(error));
            }
        };
        let Why { forward, detail, is_told } = *this.why;
        tally.count_handed_on(response.extensions().get().copied(), detail.unwrap_or(forward.as_str()));
        let status = CacheStatus { name: super::NAME, fwd: Some(forward), detail, ..CacheStatus::default() };
        let mut response = passed(response, is_told, status);
        tell_at_end(&mut response, tally);
        Poll::Ready(Ok(response))
    }
}
