//! One request on its way to the service, and its response on the way back.

use crate::body::RequestBody;
use crate::clock::Moment;
use crate::error::OriginFailure;
use crate::problem;
use crate::rfc::hop;
use crate::sidecar::admission::{self, Stop, Way};
use crate::sidecar::answering::Answering;
use crate::sidecar::at_once::Get;
use crate::sidecar::attend::{Answer, Question, Serve};
use crate::sidecar::exchange::Exchange;
use crate::sidecar::forwarded::{self, Peer};
use crate::sidecar::limited::Limited;
use crate::sidecar::live::{self, Live, Settings};
use crate::sidecar::notable::Notable;
use crate::sidecar::open::Open;
use crate::sidecar::reply::Reply;
use crate::sidecar::target::Memory;
use crate::sidecar::tunnel::Tunnel;
use crate::sidecar::upstream::{Upstream, UpstreamBody};
use crate::telemetry::log::{Overruled, Trace};
use crate::telemetry::span::Leg;
use crate::telemetry::{Outcome, Refusal};
use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::Empty;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Waker};

/// The reason of a request that asks for another protocol.
const SWITCH: &str = "upgrade";

/// What all requests of one connection have in common. On one of HTTP/2 several share its exchange, which nobody looks at: their streams end themselves.
pub(super) struct Seat {
    pub(super) live: Arc<Live>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) upstream: Upstream,
    pub(super) peer: Arc<Peer>,
    pub(super) open: Open,
}

/// Lives in the response body, which is dropped when it is written.
pub(super) struct UntilWritten(Arc<Seat>);

impl UntilWritten {
    /// The body broke off, and the end of the connection shall show it.
    pub(super) fn break_off(&self) {
        self.0.exchange.break_off();
    }
}

impl Drop for UntilWritten {
    fn drop(&mut self) {
        self.0.exchange.end();
    }
}

/// What must be remembered of a request to answer it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    head: bool,
    old: bool,
}

/// What a request with a body may come to be refused for after the service has got it.
pub(super) struct Upload {
    overruled: Overruled,
    /// `server.max_request_body`
    limit: u64,
    accept: Option<HeaderValue>,
}

/// A body of the service, or of the upstream when the service was passed by.
pub(super) type EitherBody<B> = http_body_util::Either<B, UpstreamBody>;

/// What the client gets.
pub(super) type Outgoing<B> = Response<Reply<EitherBody<B>>>;

/// Admits a request and has `service` answer it, which knows for whom if it is `attended`. What needs no waiting is done at once: only the answer is waited for.
pub(super) fn forward<S: Serve<B>, B: Answer, I: Question>(
    service: &mut S,
    attended: bool,
    seat: &Arc<Seat>,
    settings: &Settings,
    memory: &mut Memory,
    request: Request<I>,
) -> Answering<S::Future, B> {
    let (mut parts, body) = request.into_parts();
    if let Some(offered) = seat.exchange.take_offer() {
        parts.headers.insert(UPGRADE, offered);
    }
    let asked = Asked::of(&parts);
    let complete = |parts: &mut Parts| forwarded::complete(parts, &seat.peer, &settings.server, &settings.upstream);
    let counted = admission::count(&parts, settings, &seat.peer);
    match counted.and_then(|()| admission::admit(&mut parts, body.is_end_stream(), settings, &seat.peer, memory)) {
        Err(stop) => Answering::over(seat, stopped_at_once(seat, stop, &parts)),
        Ok(Way::Upgrade(offered)) => {
            complete(&mut parts);
            let asking = Arc::clone(seat);
            Answering::slow(seat, async move { upgrade(asking, parts, offered, asked).await })
        }
        Ok(Way::Service) => {
            if !attended {
                complete(&mut parts);
            }
            call(service, seat, settings.server.max_request_body, parts, body, asked)
        }
    }
}

/// Has `service` answer a request that was admitted when its client first [said](super::said) so.
pub(super) fn forward_get<S: Serve<B>, B: Answer>(
    service: &mut S,
    attended: bool,
    seat: &Arc<Seat>,
    Get { uri, said, .. }: Get,
) -> Answering<S::Future, B> {
    let within = said.check_rates(&uri, &seat.peer);
    let (mut parts, settings) = (said.request(uri), said.settings());
    if let Err(wait) = within {
        return Answering::over(seat, stopped_at_once(seat, Stop::Wait(wait), &parts));
    }
    if !attended {
        forwarded::complete(&mut parts, &seat.peer, &settings.server, &settings.upstream);
    }
    let asked = Asked::of(&parts);
    call(service, seat, settings.server.max_request_body, parts, Empty::<Bytes>::new(), asked)
}

impl Asked {
    pub(super) fn of(parts: &Parts) -> Self {
        Self { head: parts.method == Method::HEAD, old: parts.version == Version::HTTP_10 }
    }
}

/// Gives the request to `service`; one that is not ready is waited for, as a clone.
fn call<S: Serve<B>, B: Answer, I: Question>(
    service: &mut S,
    seat: &Arc<Seat>,
    limit: u64,
    mut parts: Parts,
    body: I,
    asked: Asked,
) -> Answering<S::Future, B> {
    let (mut upload, length) = (None, body.size_hint().exact());
    let body = if length == Some(0) {
        RequestBody::default()
    } else {
        // Whatever is found wrong with the body, the request is told of once.
        let overruled = parts.extensions.get::<Overruled>().cloned().unwrap_or_default();
        seat.exchange.overrule_with(overruled.clone());
        parts.extensions.insert(overruled.clone());
        upload = Some(Box::new(Upload { overruled: overruled.clone(), limit, accept: parts.headers.get(ACCEPT).cloned() }));
        // A length that is known was checked, and hyper holds it to that.
        RequestBody::new(Limited::new(body, if length.is_some() { u64::MAX } else { limit }, overruled))
    };
    let request = Request::from_parts(parts, body);
    if service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready() {
        return Answering::called(seat, service.call(request), asked, upload);
    }
    let (mut service, waiting) = (service.clone(), Arc::clone(seat));
    Answering::slow(seat, async move {
        let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
        let Ok(response) = service.call(request).await;
        answered(waiting, response, asked, upload.as_deref())
    })
}

/// What the service has answered, unless something of the request's body stands against it.
pub(super) fn answered<B: Answer>(seat: Arc<Seat>, response: Response<B>, asked: Asked, upload: Option<&Upload>) -> Outgoing<B> {
    if let Some(Upload { overruled, limit, accept }) = upload {
        if overruled.get() == Some(Refusal::BodyTooLarge) {
            return stopped(&seat, admission::body_too_large(*limit), accept.clone(), None);
        }
        overruled.settle();
    }
    if response.status().is_informational() {
        let accept = upload.and_then(|upload| upload.accept.clone());
        return stopped(&seat, bad_response("an interim response that nobody asked for"), accept, None);
    }
    thin_or_full(seat, response, asked)
}

/// A response of the service: a hit is left to the wire, any other is made fit for the client.
fn thin_or_full<B: Answer>(seat: Arc<Seat>, mut response: Response<B>, asked: Asked) -> Outgoing<B> {
    match response.body_mut().take_thin() {
        Some(thin) => {
            seat.exchange.leave(thin);
            response.map(|body| Reply::service(http_body_util::Either::Left(body), false, UntilWritten(seat)))
        }
        None => passed(seat, response.map(http_body_util::Either::Left), asked),
    }
}

/// Asks the upstream to switch protocols. Only its 101 makes a tunnel; any other answer is a response like all others.
async fn upgrade<B: Answer>(seat: Arc<Seat>, mut parts: Parts, offered: HeaderValue, asked: Asked) -> Outgoing<B> {
    let log = seat.live.log();
    let leg = log.spans().and_then(|_| log.leg(Trace::of(&parts.headers).unwrap_or_else(|| log.new_trace())));
    if let Some(leg) = &leg {
        parts.extensions.insert(leg.clone());
    }
    let before = parts.clone();
    let switching = Switching { seat: &seat, told: Some(Told { parts: &before, began: seat.live.clock.moment(), leg }) };
    let (response, upstream) = seat.upstream.upgrade(parts, offered).await;
    let failure = response.extensions().get::<OriginFailure>().map(|failure| failure.0.as_str());
    let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Pass };
    switching.end(outcome, failure.unwrap_or(SWITCH), Some(response.status()));
    let Some(upstream) = upstream else { return passed(seat, response.map(http_body_util::Either::Right), asked) };
    seat.exchange.switch(Tunnel { upstream });
    response.map(|body| Reply::service(http_body_util::Either::Right(body), false, UntilWritten(seat)))
}

fn bad_response(detail: &'static str) -> Stop {
    Stop::Refuse(Refusal::BadResponse, detail.into())
}

/// A response of the service, made fit for the client.
fn passed<B: Answer>(seat: Arc<Seat>, response: Response<EitherBody<B>>, asked: Asked) -> Outgoing<B> {
    let (mut parts, body) = response.into_parts();
    let notable = Notable::of(&parts.headers);
    let mut is_dated = notable.date;
    if notable.hop {
        hop::strip_unstorable(&mut parts.headers);
        is_dated = parts.headers.contains_key(DATE);
    }
    forwarded::via(&mut parts.headers, parts.version);
    if !is_dated {
        seat.live.date(&mut parts.headers); // not left to hyper, which cannot see the Date of a head that is left to the wire
    }
    parts.version = Version::HTTP_11; // a proxy speaks its own version (RFC 9110 section 2.5)
    let exact = body.size_hint().exact();
    if notable.length
        && let Some(length) = parts.headers.get(CONTENT_LENGTH)
    {
        // RFC 9110 section 8.6 forbids it with 204; with 304 hyper would complain. Elsewhere it is trusted over the body.
        let silent = matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let contradicted = !asked.head && exact.is_some_and(|exact| length.to_str().ok().and_then(|text| text.parse().ok()) != Some(exact));
        if silent || contradicted {
            parts.headers.remove(CONTENT_LENGTH);
        }
    }
    let close_delimited = asked.old && exact.is_none() && !parts.headers.contains_key(CONTENT_LENGTH);
    if close_delimited {
        seat.exchange.begin_close_delimited();
    }
    Response::from_parts(parts, Reply::service(body, close_delimited, UntilWritten(seat)))
}

/// A request that does not come to the service, which tells of all others.
pub(super) struct Told<'a> {
    pub(super) parts: &'a Parts,
    pub(super) began: Moment,
    /// Of one that is taken to the upstream past the service.
    pub(super) leg: Option<Leg>,
}

impl Told<'_> {
    fn tell(&self, seat: &Seat, outcome: Outcome, reason: &'static str, status: Option<StatusCode>, bytes: u64) {
        let asked = (&self.parts.method, &self.parts.uri, &self.parts.headers);
        seat.live.tell(Some(asked), &live::Answer { outcome, reason, status, bytes }, Some(self.began), self.leg.as_ref());
    }
}

/// A switch that the upstream is asked for. It is told of when it is answered, or as this is dropped, when nobody waits for that any more.
struct Switching<'a> {
    seat: &'a Seat,
    told: Option<Told<'a>>,
}

impl Switching<'_> {
    fn end(mut self, outcome: Outcome, reason: &'static str, status: Option<StatusCode>) {
        self.tell(outcome, reason, status);
    }

    fn tell(&mut self, outcome: Outcome, reason: &'static str, status: Option<StatusCode>) {
        if let Some(told) = self.told.take() {
            told.tell(self.seat, outcome, reason, status, 0);
        }
    }
}

impl Drop for Switching<'_> {
    fn drop(&mut self) {
        self.tell(if std::thread::panicking() { Outcome::Failed } else { Outcome::Abandoned }, SWITCH, None);
    }
}

/// A response of our own, to a request that does not come to the service.
fn stopped_at_once<B: Answer>(seat: &Arc<Seat>, stop: Stop, parts: &Parts) -> Outgoing<B> {
    let told = Told { parts, began: seat.live.clock.moment(), leg: None };
    stopped(seat, stop, parts.headers.get(ACCEPT).cloned(), Some(&told))
}

/// A response of our own, to a request that accepts these types. `told`: unless the service tells of the request.
pub(super) fn stopped<B: Answer>(seat: &Arc<Seat>, stop: Stop, accept: Option<HeaderValue>, told: Option<&Told<'_>>) -> Outgoing<B> {
    let (outcome, reason) = match &stop {
        Stop::Answer(_) => (Outcome::Pass, "max-forwards"),
        Stop::Wait(_) => (Outcome::Refused, Refusal::RateLimited.as_str()),
        Stop::Refuse(refusal, _) => (Outcome::Refused, refusal.as_str()),
    };
    let mut response = match stop {
        Stop::Answer(response) => *response,
        Stop::Wait(wait) => {
            seat.live.count(Refusal::RateLimited);
            problem::rate_limited(wait, &accepting(accept))
        }
        Stop::Refuse(refusal, detail) => {
            seat.live.count(refusal);
            tracing::debug!(reason = refusal.as_str(), %detail, "request refused");
            let mut response = problem::response(refusal, &detail, &accepting(accept));
            // What could not be read safely, or will not be read at all, ends the connection; what follows a CONNECT may be no HTTP.
            if matches!(refusal, Refusal::BadRequest | Refusal::BodyTooLarge | Refusal::ConnectMethod | Refusal::Expectation) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    };
    seat.live.date(response.headers_mut());
    if let Some(told) = told {
        told.tell(seat, outcome, reason, Some(response.status()), response.body().len() as u64);
    }
    let until = UntilWritten(Arc::clone(seat));
    response.map(|text| Reply::ours(text, until))
}

/// The one field that the choice of an error's type looks at.
fn accepting(accept: Option<HeaderValue>) -> HeaderMap {
    accept.map(|accept| (ACCEPT, accept)).into_iter().collect()
}
