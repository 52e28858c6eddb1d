//! One question to the origin, and what its answer means for the cache.

mod phrasing;

pub(crate) use phrasing::{Phrasing, phrase};

use crate::cache::admit::{Asked, Kept, NotStored, admit};
use crate::cache::budget::Reserved;
use crate::cache::entry::Stored;
use crate::cache::fate::{Failing, Fate};
use crate::cache::freshness::Timing;
use crate::cache::groups::{Level, Membership};
use crate::cache::head::{Head, Lineage};
use crate::cache::intent::Intent;
use crate::cache::key::Key;
use crate::cache::ledger::Warmth;
use crate::cache::policy::may_cover_error;
use crate::cache::rules::Rule;
use crate::cache::tags::ResponseTags;
use crate::clock::Stamp;
use crate::error::OriginFailure;
use crate::flow::forwarding::Sight;
use crate::flow::in_force::InForce;
use crate::flow::shared::Shared;
use crate::rfc::directives::RequestDirectives;
use crate::rfc::forwarding::is_written_by_a_proxy;
use crate::rfc::range::ContentRange;
use crate::rfc::vary::Selector;
use crate::rfc::{date, etag, freshen, hop};
use crate::telemetry::Refusal;
use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH, DATE, ETAG, LAST_MODIFIED, RANGE, SET_COOKIE, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, response};
use http_body::Body;
use std::future::poll_fn;
use std::sync::Arc;
use tower_service::Service;

/// No server sends so many, but an application behind a layer may; a map has room for some twenty thousand.
const MOST_LINES: usize = 4096;

/// Everything about a question but the request itself.
#[derive(Clone)]
pub(crate) struct Errand {
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<InForce>,
    /// The place of the matching rule in `settings.rules`.
    pub(crate) rule: Option<usize>,
    pub(crate) key: Key,
    /// The groups of the answer; held until it has been stored.
    pub(crate) member: Membership,
    /// The sequence number at which the question was put.
    pub(crate) born: u64,
    pub(crate) method: Method,
    /// The request's headers as the client sent them.
    pub(crate) asked: Arc<HeaderMap>,
    pub(crate) directives: RequestDirectives,
    /// What is to be validated, or may cover an error.
    pub(crate) stored: Option<Arc<Stored>>,
    /// How the question differs from the client's.
    pub(crate) phrasing: Phrasing,
    /// The target as it is asked.
    pub(crate) uri: Uri,
    /// When it was put.
    pub(crate) began: Stamp,
    /// That of a warm request: what is learned is written down in it, and what its answer may not replace stays.
    pub(crate) intent: Option<Intent>,
    /// How much of what the origin is told `asked` has.
    pub(crate) sight: Sight,
}

/// What came of a question.
pub(crate) enum Answer<RB, E> {
    /// The stored response was confirmed (304). `extra` is for the one who asked: fields that are not shared.
    Confirmed { stored: Arc<Stored>, extra: HeaderMap, shared: bool },
    /// To be stored, once its body has arrived.
    Keep(Keep<RB>),
    /// To be passed on as it is.
    Pass { response: Response<RB>, why: NotStored },
    /// The origin failed and the stored response covers it (RFC 5861 section 4).
    Covered { status: Option<StatusCode>, refusal: Option<Refusal> },
    /// The origin could not be asked; the response in its place says so.
    Failed { response: Response<RB>, refusal: Refusal },
    /// The inner service's own error.
    Error(E),
}

/// A response that is to be stored.
pub(crate) struct Keep<RB> {
    pub(crate) head: Arc<Head>,
    /// What the one who asked gets beyond the stored head: fields that are not shared.
    pub(crate) extra: HeaderMap,
    /// `Age` as it was received.
    pub(crate) age: Option<HeaderValue>,
    pub(crate) range: Option<ContentRange>,
    pub(crate) length: Option<u64>,
    pub(crate) reserved: Reserved,
    pub(crate) body: RB,
}

impl Errand {
    pub(crate) fn rule(&self) -> Option<&Rule> {
        self.settings.rules.get(self.rule?)
    }

    /// The entry for a copy that took `cost_millis`, if warming makes it or has made the one that it replaces.
    pub(crate) fn warmth(&self, cost_millis: u32) -> Option<Warmth> {
        match &self.intent {
            Some(intent) => {
                let ledger = intent.ledger.clone().or_else(|| self.stored.as_ref()?.ledger());
                ledger.map(|ledger| Warmth::enter(ledger, cost_millis))
            }
            None => self.stored.as_ref()?.warmth.as_ref().map(Warmth::inherit),
        }
    }

    /// The copy in whose place warming puts another.
    pub(crate) fn replaced(&self) -> Option<&Stored> {
        self.stored.as_deref().filter(|_| self.intent.is_some())
    }

    /// Writes down what became of a warm request.
    pub(crate) fn settle(&self, fate: impl FnOnce() -> Fate) {
        if let Some(intent) = &self.intent {
            intent.settle(fate());
        }
    }

    /// Puts the question to `inner` and reads the answer's head.
    pub(crate) async fn ask<S, B, RB>(&self, mut inner: S, request: Request<B>) -> Answer<RB, S::Error>
    where
        S: Service<Request<B>, Response = Response<RB>> + Clone,
        B: Default,
        RB: Body<Data = Bytes>,
    {
        let again = self.unconditional(&request);
        let mut conditional = again.is_some();
        let mut requested = self.shared.clock.now();
        let mut result = call(&mut inner, request).await;
        // The origin confirmed something that it was not asked about (RFC 9111 section 4.3.4): ask without conditions.
        let senseless = match (&result, &self.stored) {
            (Ok(response), Some(stored)) => response.status() == StatusCode::NOT_MODIFIED && !confirms(response.headers(), stored),
            _ => false,
        };
        if let Some(again) = again.filter(|_| senseless) {
            requested = self.shared.clock.now();
            conditional = false;
            result = call(&mut inner, again).await;
        }
        let response = match result {
            Ok(response) => response,
            Err(_) if self.may_cover() => return Answer::Covered { status: None, refusal: None },
            Err(error) => return Answer::Error(error),
        };
        let timing = Timing { requested, received: self.shared.clock.now() };
        self.read(response, timing, conditional)
    }

    fn read<RB: Body<Data = Bytes>, E>(&self, response: Response<RB>, timing: Timing, conditional: bool) -> Answer<RB, E> {
        let status = response.status();
        if let Some(intent) = &self.intent {
            intent.note_retry_after(response.headers(), timing.received);
        }
        let failure = response.extensions().get::<OriginFailure>().copied();
        if let Some(OriginFailure(refusal)) = failure {
            if self.may_cover() {
                return Answer::Covered { status: None, refusal: Some(refusal) };
            }
            return Answer::Failed { response, refusal };
        }
        if is_covered_status(status) && self.may_cover() {
            return Answer::Covered { status: Some(status), refusal: None };
        }
        match &self.stored {
            Some(stored) if conditional && status == StatusCode::NOT_MODIFIED => self.confirm(stored, response.headers(), timing),
            _ => self.consider(response, timing),
        }
    }

    /// Whether the stored response may stand in for a failure now.
    pub(crate) fn may_cover(&self) -> bool {
        let Shared { groups, clock, .. } = &*self.shared;
        self.stored.as_ref().is_some_and(|stored| {
            stored.range().is_none() && may_cover_error(&stored.head.life(), stored.level(groups), &self.directives, clock.now())
        })
    }

    /// RFC 9111 section 4.3.4: the 304 freshens the stored response.
    fn confirm<RB, E>(&self, stored: &Arc<Stored>, new: &HeaderMap, timing: Timing) -> Answer<RB, E> {
        let mut merged = freshen::merge_304(&stored.head.fields.to_map(), new);
        if !new.contains_key(DATE) {
            // The stored Date is that of the older response: the age would be counted from there.
            merged.insert(DATE, date::format(timing.received.seconds()));
        }
        let mut extra = HeaderMap::new();
        if !self.rule().is_some_and(|rule| rule.ignore.set_cookie) {
            move_fields(&mut merged, &mut extra, &[SET_COOKIE]);
        }
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = stored.head.status;
        parts.headers = merged;
        // The lifetime is worked out from an Age that only the 304 can have brought.
        let age = new.get(AGE).cloned();
        age.into_iter().for_each(|age| drop(parts.headers.insert(AGE, age)));
        match self.admit(&parts, timing) {
            Ok((kept, lineage)) => {
                move_fields(&mut parts.headers, &mut extra, &kept.omit);
                let head = self.head(&parts, &kept, lineage);
                let fresh = stored.under(head);
                // What a hit on it saves is a whole fetch, as before.
                let fresh = fresh.costing(stored.cost_millis).warmed(self.warmth(stored.cost_millis)).after(self.replaced());
                let fresh = Arc::new(fresh);
                if !self.shared.store.freshen(&self.key, stored, &fresh, &self.member, self.settings.max_variants) {
                    self.settle(|| Fate::Failed(Failing::Purged)); // a warm request has warmed nothing then
                }
                Answer::Confirmed { stored: fresh, extra, shared: true }
            }
            Err(why) => {
                self.shared.unstored.note(self.key.hash_value(), why, timing.received);
                // Still the right answer for the one who asked. It goes only if it is the origin that does not want it kept: a client's own
                // `no-store` or credentials must not take it from the others, and neither does warming.
                if !why.is_of_the_request() && self.intent.is_none() {
                    self.shared.store.forget(&self.key, stored);
                }
                let life = crate::cache::freshness::Life { received: timing.received, initial_age: 0, lifetime: 0, ..stored.head.life() };
                parts.headers.remove(AGE);
                let head = Head::new(parts.status, &parts.headers, life, self.no_groups());
                let once = Arc::new(stored.under(head));
                Answer::Confirmed { stored: once, extra, shared: false }
            }
        }
    }

    /// A full answer: keep it, or pass it on.
    fn consider<RB: Body<Data = Bytes>, E>(&self, response: Response<RB>, timing: Timing) -> Answer<RB, E> {
        match self.keep(response, timing) {
            Ok(keep) => Answer::Keep(keep),
            Err((response, why)) => Answer::Pass { response, why },
        }
    }

    /// Whether a full answer is kept; if not, why.
    pub(crate) fn keep<RB: Body<Data = Bytes>>(
        &self,
        response: Response<RB>,
        timing: Timing,
    ) -> Result<Keep<RB>, (Response<RB>, NotStored)> {
        let (mut parts, body) = response.into_parts();
        // A part that nobody asked for answers nobody else.
        let unasked = parts.status == StatusCode::PARTIAL_CONTENT && (self.phrasing == Phrasing::Whole || !self.asked.contains_key(RANGE));
        let admitted = if unasked { Err(NotStored::Partial) } else { self.admit(&parts, timing) };
        let (kept, lineage) = match admitted {
            Ok(admitted) => admitted,
            Err(why) => return Err((Response::from_parts(parts, body), why)),
        };
        let announced = content_length(&parts.headers);
        let length = announced.or(body.size_hint().exact());
        let mut reserved = self.shared.budget.reserve_none();
        let smallest = length.unwrap_or(body.size_hint().lower());
        let why = if smallest > self.settings.max_object || parts.headers.len() > MOST_LINES {
            Some(NotStored::TooLarge)
        } else if !reserved.cover(smallest) {
            Some(NotStored::Memory)
        } else {
            None
        };
        if let Some(why) = why {
            return Err((Response::from_parts(parts, body), why));
        }
        let mut extra = HeaderMap::new();
        move_fields(&mut parts.headers, &mut extra, &kept.omit);
        if !parts.headers.contains_key(DATE) {
            parts.headers.insert(DATE, date::format(timing.received.seconds())); // RFC 9110 section 6.6.1
        }
        let has_content = !matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
        if let Some(length) = length.filter(|_| has_content && !parts.headers.contains_key(TRAILER)) {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let head = Arc::new(self.head(&parts, &kept, lineage));
        let age = parts.headers.remove(AGE);
        Ok(Keep { head, extra, age, range: kept.range, length, reserved, body })
    }

    /// RFC 9111 section 4.3.3: a full answer says that the stored response is not suitable any more, also when it cannot be stored itself. Answers
    /// that concern the one request say nothing of the kind, and neither do errors, which anybody can provoke with an odd request. Warming takes
    /// nothing away that readers may have.
    pub(crate) fn outdate(&self, status: StatusCode, why: NotStored) {
        let speaks_for_all = status.is_success() || matches!(status.as_u16(), 300..=303 | 307 | 308 | 404 | 410);
        if let Some(stored) = self.stored.as_ref().filter(|_| speaks_for_all && !why.is_of_the_request() && self.intent.is_none()) {
            stored.mark(Level::Invalid);
        }
    }

    /// The head of a stored response whose fields a HEAD has updated; `None` if it may not be stored with them.
    pub(crate) fn freshened_head(&self, parts: &response::Parts, timing: Timing) -> Option<Head> {
        self.admit(parts, timing).ok().map(|(kept, lineage)| self.head(parts, &kept, lineage))
    }

    /// Whether a response of these fields may be kept, for how long, and in which groups.
    fn admit(&self, parts: &response::Parts, timing: Timing) -> Result<(Kept, Lineage), NotStored> {
        let asked = Asked {
            method: &self.method,
            headers: &self.asked,
            directives: &self.directives,
            rule: self.rule(),
            locates_itself: self.method == Method::POST && crate::flow::target::locates(&parts.headers, &self.uri, &self.asked),
        };
        let kept = admit(&asked, parts, timing, &self.settings)?;
        if kept.vary.iter().any(is_written_by_a_proxy) {
            self.shared.forwarding.read(); // from the next request on, whoever has asked
            if self.sight.is_partial() {
                return Err(NotStored::VaryForwarded);
            }
        }
        let groups = self.member.groups_with(&kept.tags, self.born, &self.shared.groups)?;
        Ok((kept, Lineage { born: self.born, groups: Some(groups), key: self.key.clone() }))
    }

    /// Whether a purge has hit a response of these fields while it was fetched.
    pub(crate) fn is_overtaken(&self, headers: &HeaderMap) -> bool {
        let groups = ResponseTags::read(headers).and_then(|own| self.member.groups_with(&own, self.born, &self.shared.groups));
        let own = groups.map_or(Level::Dead, |groups| groups.iter().map(|group| group.level_since(self.born)).max().unwrap_or_default());
        own.max(self.member.level_since(self.born, &self.shared.groups)) > Level::Valid
    }

    fn head(&self, parts: &response::Parts, kept: &Kept, lineage: Lineage) -> Head {
        let mut headers = parts.headers.clone();
        hop::strip_unstorable(&mut headers); // RFC 9111 section 3.1
        headers.remove(AGE);
        let selector = (!kept.vary.is_empty()).then(|| Box::new(Selector::new(&kept.vary, &self.asked)));
        let rule = self.rule().map(|rule| Arc::clone(&rule.name));
        Head::new(parts.status, &headers, kept.life, lineage).selected_by(selector).under_rule(rule)
    }

    /// The lineage of what is never stored.
    fn no_groups(&self) -> Lineage {
        Lineage { born: self.born, groups: None, key: self.key.clone() }
    }
}

/// The errors that a stored response may stand in for (RFC 5861 section 4).
pub(crate) fn is_covered_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Readies `inner` and calls the one that is ready.
pub(crate) async fn call<S, B>(inner: &mut S, request: Request<B>) -> Result<S::Response, S::Error>
where
    S: Service<Request<B>>,
{
    poll_fn(|cx| inner.poll_ready(cx)).await?;
    inner.call(request).await
}

/// Whether a 304 is about this stored response: it names no other entity tag, or none and no other date.
fn confirms(new: &HeaderMap, stored: &Stored) -> bool {
    let old = stored.head.etag();
    match (new.get(ETAG), &old) {
        (Some(new), Some(old)) => etag::any_matches(std::iter::once(new.as_bytes()), old.as_bytes()),
        (Some(_), None) => false,
        (None, _) => new.get(LAST_MODIFIED).is_none_or(|new| {
            old.is_some() || stored.head.fields.bytes(&LAST_MODIFIED).is_none_or(|old| date::parse(old) == date::parse(new.as_bytes()))
        }),
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Moves all lines of `names`.
fn move_fields(from: &mut HeaderMap, to: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        let lines: Vec<HeaderValue> = from.get_all(name).iter().cloned().collect();
        from.remove(name);
        for line in lines {
            to.append(name.clone(), line);
        }
    }
}
