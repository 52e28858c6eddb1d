//! The upstream as a tower service that cannot fail: whatever goes wrong is a response that says so.

mod told;

use crate::body::RequestBody;
use crate::error::OriginFailure;
use crate::priority::Priority;
use crate::problem;
use crate::rfc::hop;
use crate::sidecar::admission::tokens;
use crate::sidecar::download::Hold;
pub use crate::sidecar::download::UpstreamBody;
use crate::sidecar::failure::Failure;
use crate::sidecar::forwarded::{self, Peer};
use crate::sidecar::gate::{Gate, Place, Refused};
use crate::sidecar::live::{Asking, Live, Settings};
use crate::sidecar::origins::{Attempt, Origins, Search};
use crate::sidecar::outgoing::prepare;
use crate::sidecar::pool::{Arriving, Asked, Pool, Switched, within};
use crate::sidecar::settings::{Origin, UpstreamSettings};
use crate::sidecar::stash::Stash;
use crate::sidecar::upload::Upload;
use crate::telemetry::Refusal;
use crate::telemetry::log::Overruled;
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{Extensions, Request, Response, StatusCode};
use http_body::Body as _;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::Instant;
use told::Behalf;
use tower_service::Service;

/// No `Retry-After` of ours says more seconds: by then everything may be different.
const MOST_RETRY_AFTER: f64 = 60.0;

/// The upstream: a pool of connections, a gate before it, and deadlines. Cheap to clone; clones share all of it.
#[derive(Clone, Debug)]
pub struct Upstream {
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

impl Upstream {
    pub(super) fn new(live: Arc<Live>) -> Self {
        let (gate, origins) = {
            let upstream = &live.settings.load().upstream;
            let (limit, share) = limits(upstream);
            (Gate::new(limit, share), Origins::new(upstream))
        };
        Self { shared: Arc::new(Shared { pool: Pool::new(live.clone()), live, gate, origins }), peer: None }
    }

    /// What comes from now on comes from `peer`, and gets its forwarding fields here.
    pub(super) fn work_for(&mut self, peer: Option<Arc<Peer>>) {
        self.peer = peer;
    }

    /// Follows new settings, which are in force already.
    pub(super) fn follow(&self, old: &UpstreamSettings, settings: &UpstreamSettings) {
        let (limit, share) = limits(settings);
        self.shared.gate.resize(limit, share);
        self.shared.origins.follow(settings);
        self.shared.pool.follow(old, settings);
    }

    /// The origins, and what is known of them.
    pub(super) fn origins(&self) -> &Origins {
        &self.shared.origins
    }

    /// Opens connections before anybody needs them.
    pub(super) fn preconnect(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.pool.preconnect()
    }

    /// The connections that were opened ahead.
    pub(super) fn stash(&self) -> &Stash {
        self.shared.pool.stash()
    }

    /// Closes the connections that nobody uses.
    pub(super) fn rest(&self) {
        self.shared.pool.clear();
    }

    /// Requests that hold a place at the upstream.
    pub(super) fn in_flight(&self) -> usize {
        self.shared.gate.held()
    }

    async fn answer(&self, parts: &mut Parts, body: RequestBody) -> Response<UpstreamBody> {
        let settings = self.shared.live.settings.load_full();
        if let Some(peer) = &self.peer {
            forwarded::complete(parts, peer, &settings.server, &settings.upstream);
        }
        let overruled = if parts.extensions.is_empty() { None } else { parts.extensions.get::<Overruled>().cloned() };
        let mut behalf = Behalf::of(self.shared.live.log(), parts);
        let fetched = self.fetch(parts, body, &settings, &mut behalf).await;
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
        let settings = self.shared.live.settings.load_full();
        let accept = parts.headers.get(ACCEPT).cloned();
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, offered.clone());
        let mut behalf = Behalf::of(self.shared.live.log(), &parts);
        let fetched = Box::pin(self.fetch(&mut parts, RequestBody::default(), &settings, &mut behalf)).await;
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
    async fn fetch(&self, parts: &mut Parts, body: RequestBody, settings: &Settings, behalf: &mut Behalf) -> Result<Answered, Failure> {
        let (upstream, now) = (&settings.upstream, Instant::now());
        // Read before `prepare`, which leaves nothing of ours on the request.
        let priority = Priority::of(&parts.extensions).cloned();
        let (place, now) = match self.shared.gate.enter_at_once(priority.as_ref()) {
            Some(place) => (place, now),
            None => {
                // Nobody need queue to hear that no origin may be asked.
                self.shared.origins.refusal(now, upstream).map_or(Ok(()), Err)?;
                (Box::pin(self.wait(priority, settings)).await?, Instant::now())
            }
        };
        let search = Search::new(parts, &upstream.balance);
        let known = parts.extensions.get().copied();
        prepare(parts, &body, settings)?;
        behalf.mark(&mut parts.headers, known, self.shared.live.log());
        let again = body.is_end_stream() && parts.method.is_idempotent();
        let left = if again { upstream.retries } else { 0 };
        let attempt = self.shared.origins.choose(&search, left > 0, now, upstream)?;
        if !again {
            return self.attempt(parts, Upload::new(body), attempt, behalf, place, settings).await.map_err(|(failure, _)| failure);
        }
        let origin = attempt.origin().clone();
        match self.attempt(parts, Upload::none(), attempt, behalf, place, settings).await {
            Ok(answered) => Ok(answered),
            Err(failed) => Box::pin(self.retry(parts, search, failed, (origin, left), behalf, settings)).await,
        }
    }

    /// A place of the gate, waited for.
    async fn wait(&self, priority: Option<Priority>, settings: &Settings) -> Result<Place, Failure> {
        let upstream = &settings.upstream;
        let entering = self.shared.gate.enter(priority.as_ref(), upstream.max_queue, upstream.queue_timeout);
        entering.await.map_err(|refused| full(refused, priority.as_ref(), settings))
    }

    /// Further attempts after one that has `failed` at `origin`; `left` of them may be made, and one more if a connection was stale.
    async fn retry(
        &self,
        parts: &Parts,
        mut search: Search,
        mut failed: (Failure, Place),
        (mut origin, mut left): (Origin, u32),
        behalf: &mut Behalf,
        settings: &Settings,
    ) -> Result<Answered, Failure> {
        let (upstream, mut stale_left) = (&settings.upstream, 1);
        loop {
            let (failure, place) = failed;
            if failure.stale && stale_left > 0 {
                stale_left -= 1;
            } else {
                search.failed_at(&origin, &self.shared.origins);
                // Waiting for a connection or shaking hands again is worth while elsewhere only.
                let elsewhere = matches!(failure.refusal, Refusal::ConnectTimeout | Refusal::UpstreamTls);
                if left == 0 || !(failure.is_connection_level() || elsewhere && self.shared.origins.has_another(&search, upstream)) {
                    return Err(failure);
                }
                left -= 1;
            }
            let Ok(attempt) = self.shared.origins.choose(&search, left > 0, Instant::now(), upstream) else { return Err(failure) };
            origin = attempt.origin().clone();
            match self.attempt(parts, Upload::none(), attempt, behalf, place, settings).await {
                Ok(answered) => return Ok(answered),
                Err(again) => failed = again,
            }
        }
    }

    /// One attempt at one origin; a failed one gives the place back for the next.
    async fn attempt(
        &self,
        parts: &Parts,
        upload: Upload,
        attempt: Attempt<'_>,
        behalf: &mut Behalf,
        place: Place,
        settings: &Settings,
    ) -> Result<Answered, (Failure, Place)> {
        behalf.sent_to(attempt.origin());
        let mut counted = Asking::new(&self.shared.live, behalf.source(), attempt.began());
        let (origin, monitor) = (attempt.origin(), upload.monitor());
        let (pool, limit) = (&self.shared.pool, settings.upstream.response_timeout);
        let asked = match pool.at_hand(origin, parts, &upload, attempt.began()) {
            Some(connection) => match pool.ask_over(connection, origin, parts, attempt.began().checked_add(limit)).await {
                Asked::Done(asked) => asked,
                Asked::Unsent => Box::pin(within(pool.ask(origin.clone(), parts, upload), limit, None)).await,
            },
            None => Box::pin(within(pool.ask(origin.clone(), parts, upload), limit, monitor.as_ref())).await,
        };
        let failure = match asked {
            Some(Ok(response)) => {
                let now = Instant::now();
                counted.answered(response.status(), now);
                let load = attempt.answered(response.status(), now);
                return Ok(Answered { response, hold: Hold::new(place, load, monitor) });
            }
            Some(Err(unanswered)) => Failure::of(&unanswered),
            None => Failure::new(Refusal::ResponseTimeout, format!("upstream.response_timeout ({limit:?}) passed")),
        };
        attempt.failed(&failure);
        Err((failure, place))
    }

    /// One request to `origin`, over a connection of the pool, and its answer.
    pub(super) async fn exchange(&self, origin: Origin, parts: &Parts) -> Result<Response<Arriving>, Failure> {
        self.shared.pool.ask(origin, parts, Upload::none()).await.map_err(|unanswered| Failure::of(&unanswered))
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
            self.date(&mut parts.headers);
        }
        parts.extensions = Extensions::new();
        Ok(Response::from_parts(parts, UpstreamBody::arriving(body, settings.upstream.idle_body_timeout, answered.hold, &self.shared.live)))
    }

    /// RFC 9110 section 6.6.1: a recipient with a clock dates a message that has no Date.
    fn date(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(DATE) {
            let now = UNIX_EPOCH + Duration::from_secs(self.shared.live.clock.now().seconds());
            if let Ok(now) = HeaderValue::try_from(httpdate::fmt_http_date(now)) {
                headers.insert(DATE, now);
            }
        }
    }

    fn failed(&self, failure: &Failure, accept: Option<HeaderValue>) -> Response<UpstreamBody> {
        self.shared.live.count(failure.refusal);
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
        let upstream = self.clone();
        let (mut parts, body) = request.into_parts();
        Box::pin(async move { Ok(upstream.answer(&mut parts, body).await) })
    }
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

/// The body was read by Transfer-Encoding if there is one; the Content-Length beside it is a lie (RFC 9112 section 6.3 rule 3).
fn settle_framing(headers: &mut HeaderMap, status: StatusCode) -> Result<(), Failure> {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    if status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH); // RFC 9110 section 8.6
    }
    // It has been seen that several lines agree.
    let Some(length) = headers.get(CONTENT_LENGTH) else { return Ok(()) };
    let first = length.to_str().ok().and_then(|text| text.split(',').next()).and_then(|text| text.trim().parse::<u64>().ok());
    let Some(first) = first else { return Err(Failure::new(Refusal::BadResponse, "invalid Content-Length in the upstream's response")) };
    // A number on a line of its own, as nearly always, stays as it is.
    let is_plain = length.as_bytes().iter().all(u8::is_ascii_digit) && !length.as_bytes().starts_with(b"0");
    if !is_plain || headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(first));
    }
    Ok(())
}

/// The 101 for the client, if it names one of the `offered` protocols (RFC 9110 section 7.8).
fn switched(response: Response<Arriving>, offered: &HeaderValue) -> Option<(Response<UpstreamBody>, Switched)> {
    let chosen = response.headers().get(UPGRADE)?.clone();
    let offered = offered.to_str().ok()?;
    let is_offered = |protocol: &str| offered.split(',').any(|offer| offer.trim().eq_ignore_ascii_case(protocol));
    if !tokens(response.headers(), &UPGRADE).all(is_offered) {
        return None;
    }
    let (mut parts, body) = response.into_parts();
    let switched = body.into_switched()?;
    hop::strip_unstorable(&mut parts.headers);
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, chosen);
    parts.extensions = Extensions::new();
    Some((Response::from_parts(parts, UpstreamBody::ours(bytes::Bytes::new())), switched))
}
