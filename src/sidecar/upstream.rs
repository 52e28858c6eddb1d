//! The upstream as a tower service that cannot fail: whatever goes wrong is a response that says so.

mod framed;
mod told;

use crate::body::RequestBody;
use crate::error::OriginFailure;
use crate::priority::Priority;
use crate::problem;
use crate::rfc::hop;
use crate::sidecar::download::Hold;
pub use crate::sidecar::download::UpstreamBody;
use crate::sidecar::failure::Failure;
use crate::sidecar::forwarded::Peer;
use crate::sidecar::gate::{Gate, Place, Refused};
use crate::sidecar::live::{Asking, Live, Settings};
use crate::sidecar::origins::{Attempt, Origins, Search};
use crate::sidecar::outgoing::{Names, OnTop, Outbound, forward, prepare};
use crate::sidecar::pool::{Arriving, Asked, Pool, Switched, Unanswered, within};
use crate::sidecar::settings::{Origin, UpstreamSettings};
use crate::sidecar::stash::Stash;
use crate::sidecar::upload::{Monitor, Upload};
use crate::telemetry::Refusal;
use crate::telemetry::log::Overruled;
use bytes::Bytes;
use framed::{settle_framing, switched};
use http::header::{ACCEPT, CONNECTION, DATE, HeaderMap, HeaderValue, RETRY_AFTER, UPGRADE};
use http::request::Parts;
use http::{Extensions, Request, Response, StatusCode};
use http_body::Body as _;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use told::Behalf;
use tower_service::Service;

/// No `Retry-After` of ours says more seconds: by then everything may be different.
const MOST_RETRY_AFTER: f64 = 60.0;

/// The upstream: a pool of connections, a gate before it, and deadlines. Cheap to clone; clones share all of it.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<Door>);

/// One of several ways to the same upstream.
#[derive(Debug)]
struct Door {
    shared: Arc<Shared>,
    /// Whose requests come, if without forwarding fields.
    peer: Option<Arc<Peer>>,
}

/// One allocation for all: a request that is handed on clones it twice, and each counter that workers share costs as much as a hundred instructions.
#[derive(Debug)]
struct Shared {
    live: Arc<Live>,
    gate: Gate,
    origins: Origins,
    pool: Pool,
}

/// An attempt that brought a head, and what it holds.
struct Answered {
    response: Response<Arriving>,
    hold: Hold,
}

/// One that brought none, where, and the place for the next.
struct Failed {
    failure: Failure,
    origin: Origin,
    place: Place,
}

impl Upstream {
    pub(super) fn new(live: Arc<Live>) -> Self {
        let (gate, origins) = {
            let upstream = &live.settings.load().upstream;
            let (limit, share) = limits(upstream);
            (Gate::new(limit, share), Origins::new(upstream))
        };
        let shared = Arc::new(Shared { pool: Pool::new(live.clone()), live, gate, origins });
        Self(Arc::new(Door { shared, peer: None }))
    }

    /// What comes from now on comes from `peer`, and gets its forwarding fields here.
    pub(super) fn work_for(&mut self, peer: Option<Arc<Peer>>) {
        self.0 = Arc::new(Door { shared: Arc::clone(&self.0.shared), peer });
    }

    /// Follows new settings, which are in force already.
    pub(super) fn follow(&self, old: &UpstreamSettings, settings: &UpstreamSettings) {
        let (limit, share) = limits(settings);
        self.0.shared.gate.resize(limit, share);
        self.0.shared.origins.follow(settings);
        self.0.shared.pool.follow(old, settings);
    }

    /// The origins, and what is known of them.
    pub(super) fn origins(&self) -> &Origins {
        &self.0.shared.origins
    }

    /// Opens connections before anybody needs them.
    pub(super) fn preconnect(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.shared.pool.preconnect()
    }

    /// The connections that were opened ahead.
    pub(super) fn stash(&self) -> &Stash {
        self.0.shared.pool.stash()
    }

    /// Closes the connections that nobody uses.
    pub(super) fn rest(&self) {
        self.0.shared.pool.clear();
    }

    /// Requests that hold a place at the upstream.
    pub(super) fn in_flight(&self) -> usize {
        self.0.shared.gate.held()
    }

    async fn answer(&self, parts: &mut Parts, body: RequestBody) -> Response<UpstreamBody> {
        let settings = self.0.shared.live.settings.load_full();
        let names = Names::of(&parts.headers);
        let forwarding = self.0.peer.as_ref().map_or_else(Bytes::new, |peer| forward(parts, names, peer, &settings));
        let overruled = if parts.extensions.is_empty() { None } else { parts.extensions.get::<Overruled>().cloned() };
        let mut behalf = Behalf::of(self.0.shared.live.log(), parts);
        let fetched = self.fetch(parts, (names, forwarding), body, &settings, &mut behalf).await;
        behalf.end(&fetched);
        match fetched.and_then(|answered| self.accept(answered, &settings)) {
            Ok(response) => response,
            // Whoever has found the request body at fault counts that, and answers; one that broke off has nobody to answer.
            Err(failure) if overruled.is_some_and(|body| body.is_abandoned() || body.get().is_some()) => {
                failure_response(&failure, parts.headers.get(ACCEPT).cloned())
            }
            Err(failure) => self.failed(&failure, parts.headers.get(ACCEPT).cloned()),
        }
    }

    /// Asks for a switch to one of the `offered` protocols; with the 101 comes the connection.
    pub(super) async fn upgrade(&self, mut parts: Parts, offered: HeaderValue) -> (Response<UpstreamBody>, Option<Switched>) {
        let settings = self.0.shared.live.settings.load_full();
        let accept = parts.headers.get(ACCEPT).cloned();
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, offered.clone());
        let (names, mut behalf) = (Names::of(&parts.headers), Behalf::of(self.0.shared.live.log(), &parts));
        let fetching = self.fetch(&mut parts, (names, Bytes::new()), RequestBody::default(), &settings, &mut behalf);
        let fetched = Box::pin(fetching).await;
        behalf.end(&fetched);
        let answered = match fetched {
            Ok(answered) => answered,
            Err(failure) => return (self.failed(&failure, accept), None),
        };
        if answered.response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let response = self.accept(answered, &settings);
            return (response.unwrap_or_else(|failure| self.failed(&failure, accept)), None);
        }
        switched(answered.response, &offered).map_or_else(
            || (self.failed(&Failure::new(Refusal::BadResponse, "the upstream switched to a protocol that nobody offered"), accept), None),
            |(response, switched)| (response, Some(switched)),
        )
    }

    /// Through the gate, and as many attempts as may be made. What only some requests do, as to wait for a place, is in boxes: its futures are large, and every
    /// request would carry and copy them.
    async fn fetch(
        &self,
        parts: &mut Parts,
        (names, forwarding): (Names, Bytes),
        body: RequestBody,
        settings: &Settings,
        behalf: &mut Behalf,
    ) -> Result<Answered, Failure> {
        let (upstream, now) = (&settings.upstream, Instant::now());
        // Read before `prepare`, which leaves nothing of ours on the request.
        let priority = Priority::of(&parts.extensions).cloned();
        let (place, now) = match self.0.shared.gate.enter_at_once(priority.as_ref()) {
            Some(place) => (place, now),
            None => {
                // Nobody need queue to hear that no origin may be asked.
                self.0.shared.origins.refusal(now, upstream).map_or(Ok(()), Err)?;
                (Box::pin(self.wait(priority, settings)).await?, Instant::now())
            }
        };
        let search = Search::new(parts, &upstream.balance);
        let known = parts.extensions.get().copied();
        prepare(parts, names, &body, settings)?;
        let traceparent = Some(behalf.mark(&mut parts.headers, names, known, self.0.shared.live.log()));
        let request = Outbound { parts, switches: names.upgrade, top: OnTop { forwarding, traceparent } };
        let again = body.is_end_stream() && request.parts.method.is_idempotent();
        let left = if again { upstream.retries } else { 0 };
        let attempt = self.0.shared.origins.choose(&search, left > 0, now, upstream)?;
        let upload = if again { Upload::none() } else { Upload::new(body) };
        let failed = match self.attempt(&request, upload, attempt, behalf, place, settings).await {
            Ok(answered) => return Ok(answered),
            Err(failed) if !again => return Err(failed.failure),
            Err(failed) => failed,
        };
        Box::pin(self.retry(&request, search, failed, left, behalf, settings)).await
    }

    /// A place of the gate, waited for.
    async fn wait(&self, priority: Option<Priority>, settings: &Settings) -> Result<Place, Failure> {
        let upstream = &settings.upstream;
        let entering = self.0.shared.gate.enter(priority.as_ref(), upstream.max_queue, upstream.queue_timeout);
        entering.await.map_err(|refused| full(refused, priority.as_ref(), settings))
    }

    /// Further attempts after one that has `failed`; `left` of them may be made, and one more if a connection was stale.
    async fn retry(
        &self,
        request: &Outbound<'_>,
        mut search: Search,
        mut failed: Failed,
        mut left: u32,
        behalf: &mut Behalf,
        settings: &Settings,
    ) -> Result<Answered, Failure> {
        let (upstream, mut stale_left) = (&settings.upstream, 1);
        loop {
            let Failed { failure, origin, place } = failed;
            if failure.stale && stale_left > 0 {
                stale_left -= 1;
            } else {
                search.failed_at(&origin, &self.0.shared.origins);
                // Waiting for a connection or shaking hands again is worth while elsewhere only.
                let elsewhere = matches!(failure.refusal, Refusal::ConnectTimeout | Refusal::UpstreamTls);
                if left == 0 || !(failure.is_connection_level() || elsewhere && self.0.shared.origins.has_another(&search, upstream)) {
                    return Err(failure);
                }
                left -= 1;
            }
            let Ok(attempt) = self.0.shared.origins.choose(&search, left > 0, Instant::now(), upstream) else { return Err(failure) };
            match self.attempt(request, Upload::none(), attempt, behalf, place, settings).await {
                Ok(answered) => return Ok(answered),
                Err(again) => failed = again,
            }
        }
    }

    /// One attempt at one origin.
    #[expect(clippy::manual_async_fn, reason = "the future of an `async fn` holds its arguments twice")]
    fn attempt(
        &self,
        request: &Outbound<'_>,
        upload: Upload,
        attempt: Attempt<'_>,
        behalf: &mut Behalf,
        place: Place,
        settings: &Settings,
    ) -> impl Future<Output = Result<Answered, Failed>> + Send {
        async move {
            behalf.sent_to(attempt.origin());
            let counted = Asking::new(&self.0.shared.live, behalf.source(), attempt.began());
            let (pool, limit, monitor) = (&self.0.shared.pool, settings.upstream.response_timeout, upload.monitor());
            if let Some(connection) = pool.at_hand(attempt.origin(), request, &upload, settings.upstream.http2, attempt.began())
                && let Asked::Done(asked, now) =
                    pool.ask_over(connection, attempt.origin(), request, attempt.began().checked_add(limit)).await
            {
                return came_to(asked, attempt, counted, (place, monitor), now, limit);
            }
            let asked = Box::pin(within(pool.ask(attempt.origin().clone(), request, upload), limit, monitor.as_ref())).await;
            came_to(asked, attempt, counted, (place, monitor), Instant::now(), limit)
        }
    }

    /// One request to `origin`, over a connection of the pool, and its answer.
    pub(super) async fn exchange(&self, origin: Origin, parts: &Parts) -> Result<Response<Arriving>, Failure> {
        self.0.shared.pool.ask(origin, &Outbound::plain(parts), Upload::none()).await.map_err(|unanswered| Failure::of(&unanswered))
    }

    /// A response as the rest of the house may see it: framed in one way, without fields of that connection, dated.
    fn accept(&self, answered: Answered, settings: &Settings) -> Result<Response<UpstreamBody>, Failure> {
        let (mut parts, body) = answered.response.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::new(Refusal::BadResponse, "the upstream switched protocols unasked"));
        }
        if !body.is_settled() {
            settle_framing(&mut parts.headers, parts.status)?;
            hop::strip_unstorable(&mut parts.headers);
            if !parts.headers.contains_key(DATE) {
                self.0.shared.live.date(&mut parts.headers);
            }
        }
        parts.extensions = Extensions::new();
        Ok(Response::from_parts(
            parts,
            UpstreamBody::arriving(body, settings.upstream.idle_body_timeout, answered.hold, &self.0.shared.live),
        ))
    }

    fn failed(&self, failure: &Failure, accept: Option<HeaderValue>) -> Response<UpstreamBody> {
        self.0.shared.live.count(failure.refusal);
        failure_response(failure, accept)
    }
}

/// The response that says what has failed.
fn failure_response(failure: &Failure, accept: Option<HeaderValue>) -> Response<UpstreamBody> {
    tracing::debug!(reason = failure.refusal.as_str(), detail = failure.detail, "upstream failed");
    let headers: HeaderMap = accept.map(|accept| (ACCEPT, accept)).into_iter().collect();
    let mut response = problem::response(failure.refusal, &failure.detail, &headers).map(UpstreamBody::ours);
    if let Some(wait) = failure.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().clamp(1.0, MOST_RETRY_AFTER) as u64));
    }
    response.extensions_mut().insert(OriginFailure(failure.refusal));
    response
}

impl Service<Request<RequestBody>> for Upstream {
    type Response = Response<UpstreamBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // the gate refuses by a response
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        Box::pin(answering(self.clone(), request))
    }
}

fn answering(upstream: Upstream, request: Request<RequestBody>) -> impl Future<Output = Result<Response<UpstreamBody>, Infallible>> + Send {
    let (mut parts, body) = request.into_parts();
    async move { Ok(upstream.answer(&mut parts, body).await) }
}

/// What an attempt came to that was answered so `now`, or by nothing within this `limit`.
fn came_to(
    asked: Option<Result<Response<Arriving>, Unanswered>>,
    attempt: Attempt<'_>,
    mut counted: Asking<'_>,
    (place, monitor): (Place, Option<Monitor>),
    now: Instant,
    limit: Duration,
) -> Result<Answered, Failed> {
    let failure = match asked {
        Some(Ok(response)) => {
            counted.answered(response.status(), now);
            let load = attempt.answered(response.status(), now);
            return Ok(Answered { response, hold: Hold::new(place, load, monitor) });
        }
        Some(Err(unanswered)) => Failure::of(&unanswered),
        None => Failure::new(Refusal::ResponseTimeout, format!("upstream.response_timeout ({limit:?}) passed")),
    };
    let origin = attempt.origin().clone();
    attempt.failed(&failure);
    Err(Failed { failure, origin, place })
}

/// All places, and the share of what yields.
fn limits(settings: &UpstreamSettings) -> (usize, usize) {
    (settings.max_in_flight, settings.warm_share.of(settings.max_in_flight))
}

fn full(refused: Refused, priority: Option<&Priority>, settings: &Settings) -> Failure {
    let upstream = &settings.upstream;
    let detail = match refused.refusal {
        Refusal::QueueTimeout => format!("upstream.queue_timeout ({:?}) passed", upstream.queue_timeout),
        Refusal::Overload => format!("more wait already than can be served within upstream.queue_timeout ({:?})", upstream.queue_timeout),
        _ if priority.is_some_and(Priority::yields) => "warm.max_share leaves no place to what readers do not wait for".into(),
        _ => format!("upstream.max_in_flight ({}) and upstream.max_queue ({}) are reached", upstream.max_in_flight, upstream.max_queue),
    };
    Failure { retry_after: refused.wait, ..Failure::new(refused.refusal, detail) }
}

#[cfg(test)]
mod tests {
    use super::{RequestBody, Upstream, answering};
    use crate::flow::passing::Passing;
    use http::Request;
    use tower_service::Service;

    /// Of what a function returns, without calling it.
    const fn size_of_answer<F>(_: &impl Fn(Upstream, Request<RequestBody>) -> F) -> usize {
        size_of::<F>()
    }

    /// The allocator has a slow way for what is larger than a kilobyte, and each request has one of either.
    #[test]
    fn what_waits_for_the_answer_to_a_pass_is_small() {
        let answering = size_of_answer(&answering);
        assert!(answering <= 1024, "{answering} bytes");
        let passing = size_of::<Passing<Upstream, RequestBody, <Upstream as Service<Request<RequestBody>>>::Future>>();
        assert!(passing <= 320, "{passing} bytes");
    }
}
