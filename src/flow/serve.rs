//! The way of a request that cannot be answered at once: lead a fill, follow one, or go alone.

mod answers;

use crate::cache::entry::Stored;
use crate::cache::fate::{Failing, Fate};
use crate::cache::groups::{Level, Membership};
use crate::cache::head::Head;
use crate::cache::intent::Intent;
use crate::cache::key::Key;
use crate::cache::policy::{Verdict, judge};
use crate::flow::body::CacheBody;
use crate::flow::errand::{Errand, Phrasing, phrase};
use crate::flow::flight::{FlightKey, Landing, Seat, Ticket};
use crate::flow::forwarding::Sight;
use crate::flow::in_force::InForce;
use crate::flow::pump::pump;
use crate::flow::settle::{Settled, fill, settle};
use crate::flow::shared::Shared;
use crate::flow::tally::Tally;
use crate::flow::visit;
use crate::priority::Priority;
use crate::rfc::cache_status::Forward;
use crate::rfc::conditional;
use crate::rfc::directives::RequestDirectives;
use crate::rfc::vary::Selector;
use crate::telemetry::{Refusal, Source};
use bytes::Bytes;
use http::header::RANGE;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body::Body;
use std::fmt::Display;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tower_service::Service;

/// A request on its way, with all that is known about it.
pub(crate) struct Visit<S, B> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<InForce>,
    pub(crate) rule: Option<usize>,
    pub(crate) key: Key,
    pub(crate) directives: RequestDirectives,
    /// Why it goes to the origin.
    pub(crate) why: Forward,
    /// What is stored, to be validated or to cover an error.
    pub(crate) stored: Option<Arc<Stored>>,
    pub(crate) request: Request<B>,
    pub(crate) inner: S,
    /// A warm request: it wants a copy stored, and is not counted among those of the readers.
    pub(crate) intent: Option<Intent>,
    /// The count of a reader's request that has no answer yet.
    pub(crate) tally: Option<Arc<Tally>>,
    pub(crate) sight: Sight,
}

/// Whether a follower may use what the leader's fill brought.
enum Boarding {
    Welcome,
    /// It is another variant; this is the flight of the variant that the follower wants.
    OtherFlight(u64),
    /// A purge that could not be foreseen, by a tag that only the response knows, has hit it: another flight starts.
    Overtaken,
    Alone,
}

type Outgoing<RB> = Response<CacheBody<RB>>;

/// Serves a request for which the origin has to be asked.
pub(crate) async fn serve<S, B, RB>(visit: Visit<S, B>) -> Result<Outgoing<RB>, S::Error>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: Default + Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Display,
{
    if visit.directives.only_if_cached {
        return Ok(visit.refuse(Refusal::OnlyIfCached, "nothing stored may answer this request, and it said only-if-cached"));
    }
    if visit.intent.is_none() {
        visit.shared.hosts.note(&visit.key);
    }
    if visit.goes_alone() {
        return visit.alone().await;
    }
    let mut variant = visit.likely_variant();
    // Twice at most: once more when the first flight turns out to carry another variant or a purged response, or its leader's request to have met
    // a bad end.
    for first in [true, false] {
        let key = visit.flight(variant);
        let shared = &visit.shared;
        let flight = match shared.flights.join(key, || visit.enlist(), &shared.groups, visit.priority()) {
            Seat::Lead(ticket) => return visit.lead(ticket).await,
            // What was asked for before a change does not make up for it.
            Seat::Follow(flight) if visit.intent.as_ref().is_some_and(|intent| !intent.is_met_since(flight.born)) => break,
            Seat::Follow(flight) => flight,
        };
        let late = flight.has_landed();
        let Some(landing) = flight.landing().await else { break };
        let boarding = match &landing {
            Landing::Stream(spool) => visit.boards(&spool.head, late),
            Landing::Stored(stored) => visit.boards(&stored.head, late),
            Landing::Alone => break,
            Landing::Failed(refusal) => {
                if let Some(response) = visit.covered(None) {
                    visit.settle(Fate::Failed(refusal.map_or(Failing::Service, Failing::Refused)));
                    return Ok(response);
                }
                let Some(refusal) = *refusal else { break };
                if first && may_be_the_leaders_fault(refusal) {
                    continue;
                }
                return Ok(visit.fail(refusal));
            }
        };
        match boarding {
            Boarding::Welcome => match visit.board(landing) {
                Some(response) => return Ok(response),
                None => break,
            },
            Boarding::OtherFlight(other) => variant = other,
            Boarding::Overtaken if first => {}
            Boarding::Overtaken | Boarding::Alone => break,
        }
    }
    visit.alone().await
}

/// Failures that another request may not meet: those who waited try once more, as a group. Time-outs and refused connections are everybody's.
fn may_be_the_leaders_fault(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::UpstreamClosed | Refusal::BadResponse | Refusal::FillAborted)
}

impl<S, B> Visit<S, B> {
    /// Requests whose answer concerns them alone, and keys for which waiting has proved useless.
    fn goes_alone(&self) -> bool {
        visit::alone(&self.shared, self.key.hash_value(), self.request.headers(), &self.directives, self.whole().is_some()).is_some()
    }

    /// Joins the groups of what will be fetched.
    fn enlist(&self) -> Membership {
        let rule = self.rule.and_then(|rule| self.settings.rules.get(rule));
        self.shared.groups.enlist(&self.key, rule)
    }

    /// What is stored, if it is the whole representation.
    fn whole(&self) -> Option<&Arc<Stored>> {
        self.stored.as_ref().filter(|stored| stored.range().is_none())
    }

    fn flight(&self, variant: u64) -> FlightKey {
        let reload = self.directives.no_cache || self.directives.max_age == Some(0);
        FlightKey { key: self.key.clone(), variant, reload }
    }

    fn priority(&self) -> Option<&Priority> {
        self.intent.as_ref().map(|intent| &intent.priority)
    }

    /// The flight of the variant that this request wants, as far as what is stored tells.
    fn likely_variant(&self) -> u64 {
        self.shared.store.get_owned(&self.key).map_or(0, |resource| self.variant(resource.selecting_fields()))
    }

    fn variant(&self, fields: &[HeaderName]) -> u64 {
        if fields.is_empty() {
            return 0;
        }
        self.shared.secrets.hash(Selector::new(fields, self.request.headers()).fingerprint()) | 1
    }

    /// RFC 9111 section 4: a response may answer other requests than its own only where it may be reused for them.
    /// `late`: it had landed before this request came.
    fn boards(&self, head: &Head, late: bool) -> Boarding {
        let headers = self.request.headers();
        if head.status == StatusCode::PARTIAL_CONTENT {
            return Boarding::Alone; // a part answers only requests for what is in it (RFC 9111 section 3.3)
        }
        if self.sight.hides_selection(head) {
            return Boarding::Alone;
        }
        if !head.is_selected_by(headers) {
            let fields = head.selector.as_ref().map_or(&[][..], |selector| selector.fields());
            return Boarding::OtherFlight(self.variant(fields));
        }
        let level = head.level(&self.shared.groups);
        match judge(&head.life(), level, &self.directives, self.shared.clock.now()) {
            Verdict::Fresh => Boarding::Welcome,
            // A request that wants the origin's own word gets it from a fill that is only now being answered; a reload boards none but those
            // that another reload began.
            Verdict::Validate(cause) if cause.is_of_the_request() && !late => Boarding::Welcome,
            _ if level > Level::Valid => Boarding::Overtaken,
            Verdict::Validate(_) | Verdict::Stale { .. } | Verdict::Gone => Boarding::Alone,
        }
    }
}

impl<S, B, RB> Visit<S, B>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: Default + Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Display,
{
    /// Leads a fill. It runs in a task of its own: a client that leaves does not end it.
    async fn lead(mut self, ticket: Ticket) -> Result<Outgoing<RB>, S::Error> {
        if let Some(stored) = self.landed_meanwhile() {
            ticket.land(Landing::Stored(Arc::clone(&stored)));
            drop(ticket);
            return Ok(self.collapsed_onto(&stored));
        }
        let (send, receive) = oneshot::channel();
        let (errand, request) = self.errand(Phrasing::Whole);
        let inner = self.inner.clone();
        let (born, member) = (ticket.flight.born, ticket.flight.member.clone());
        let fill = tokio::spawn(fill(Errand { born, member, ..errand }, inner, request, ticket, Some(send)));
        let unwanted = self.priority().map(|priority| Unwanted { fill: Some(fill.abort_handle()), priority: priority.clone() });
        let led = receive.await;
        unwanted.into_iter().for_each(Unwanted::answered);
        match led {
            Ok(led) => self.finish(led),
            // The task died: a panic of the inner service, or the runtime is going down.
            Err(_) => {
                self.settle(Fate::Failed(Failing::Refused(Refusal::FillAborted)));
                Ok(self.covered(None).unwrap_or_else(|| self.fail(Refusal::FillAborted)))
            }
        }
    }

    /// Refreshes behind an answer that was served stale; nothing to do if that is under way already.
    pub(crate) fn refresh_behind(mut self) {
        let key = self.flight(self.likely_variant());
        let shared = Arc::clone(&self.shared);
        let priority = Priority::new(Source::Refresh);
        if let Seat::Lead(ticket) = shared.flights.join(key, || self.enlist(), &shared.groups, Some(&priority)) {
            *self.request.method_mut() = Method::GET;
            let (errand, mut request) = self.errand(Phrasing::Whole);
            request.extensions_mut().insert(priority);
            let (born, member) = (ticket.flight.born, ticket.flight.member.clone());
            tokio::spawn(fill(Errand { born, member, ..errand }, self.inner, request, ticket, None));
        }
    }

    /// A fill may have landed between the look into the store and the seat in the flight.
    fn landed_meanwhile(&self) -> Option<Arc<Stored>> {
        let resource = self.shared.store.get_owned(&self.key)?;
        let stored = resource.select(self.request.headers(), |_, _| false)?;
        if self.sight.hides_selection(&stored.head) {
            return None;
        }
        let same = self.stored.as_ref().is_some_and(|old| Arc::ptr_eq(old, stored));
        let verdict = judge(&stored.head.life(), stored.level(&self.shared.groups), &self.directives, self.shared.clock.now());
        let enough = self.intent.as_ref().is_none_or(|intent| intent.is_met_by(stored, self.shared.clock.now()));
        (!same && enough && verdict == Verdict::Fresh).then(|| Arc::clone(stored))
    }

    /// Asks for itself, without making anybody wait; the answer is stored all the same if it may be.
    async fn alone(mut self) -> Result<Outgoing<RB>, S::Error> {
        let phrasing = if conditional::is_for_origin(self.request.headers()) || (self.stored.is_none() && self.predicted_unshareable()) {
            Phrasing::Verbatim
        } else if self.request.headers().contains_key(RANGE) && self.whole().is_none() {
            Phrasing::Range
        } else {
            Phrasing::Whole
        };
        let (errand, request) = self.errand(phrasing);
        let answer = errand.ask(self.inner.clone(), request).await;
        let led = settle(&errand, answer, None);
        self.finish(match led {
            Settled::Led(led) => led,
            Settled::Stream { led, spool, keep_body, range } => {
                tokio::spawn(pump(errand, spool, keep_body, range, None));
                led
            }
        })
    }

    fn predicted_unshareable(&self) -> bool {
        self.shared.predictor.is_unshareable(self.key.hash_value(), self.shared.clock.now())
    }

    /// The question to put: the request itself, rephrased; what answers the client stays here.
    fn errand(&mut self, phrasing: Phrasing) -> (Errand, Request<B>) {
        let (mut parts, body) = std::mem::replace(&mut self.request, Request::new(B::default())).into_parts();
        let asked = Arc::new(parts.headers.clone());
        *self.request.method_mut() = parts.method.clone();
        self.request.headers_mut().clone_from(&parts.headers);
        let errand = Errand {
            shared: Arc::clone(&self.shared),
            settings: Arc::clone(&self.settings),
            rule: self.rule,
            key: self.key.clone(),
            member: self.enlist(),
            born: self.shared.groups.now(),
            method: parts.method.clone(),
            asked,
            directives: self.directives,
            stored: self.stored.clone(),
            phrasing,
            uri: parts.uri.clone(),
            began: self.shared.clock.now(),
            intent: self.intent.clone(),
            sight: self.sight,
        };
        if let Some(priority) = self.priority() {
            parts.extensions.insert(priority.clone());
        }
        if let Some(tally) = &self.tally {
            tally.mark(&mut parts.extensions);
        }
        phrase(&mut parts.headers, phrasing, self.stored.as_deref());
        (errand, Request::from_parts(parts, body))
    }
}

/// A fill that a warm request leads and that has not been answered: it ends with the request, unless a reader has come to wait for it.
struct Unwanted {
    fill: Option<AbortHandle>,
    priority: Priority,
}

impl Unwanted {
    /// The answer is coming in: from here on it is worth having.
    fn answered(mut self) {
        self.fill = None;
    }
}

impl Drop for Unwanted {
    fn drop(&mut self) {
        if let Some(fill) = self.fill.take().filter(|_| self.priority.yields()) {
            fill.abort();
        }
    }
}
