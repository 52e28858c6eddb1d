//! Requests that the cache hands on: other methods, passes, HEAD. It still learns from their answers.

use crate::cache::entry::Stored;
use crate::cache::freshness::Timing;
use crate::cache::groups::Level;
use crate::cache::key::Key;
use crate::cache::policy::may_cover_error;
use crate::cache::settings::Settings;
use crate::error::OriginFailure;
use crate::flow::answer::{self, Client};
use crate::flow::body::CacheBody;
use crate::flow::change::Change;
use crate::flow::errand::{Errand, Keep, Phrasing, call, is_covered_status};
use crate::flow::forwarding::Sight;
use crate::flow::glance::Glance;
use crate::flow::in_force::InForce;
use crate::flow::inner::{Inner, InnerBody};
use crate::flow::pump::pump;
use crate::flow::shared::Shared;
use crate::flow::spool::Spool;
use crate::flow::tally::{SERVICE_ERROR, Tally};
use crate::flow::visit;
use crate::rfc::cache_status::{CACHE_STATUS, CacheStatus, Forward};
use crate::rfc::directives::RequestDirectives;
use crate::rfc::freshen::{HeadVerdict, head_updates, merge_304};
use crate::rfc::method;
use crate::telemetry::Outcome;
use http::header::DATE;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use std::sync::Arc;

/// A request that is handed on.
pub(crate) struct Handover<S, B> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<InForce>,
    pub(crate) rule: Option<usize>,
    pub(crate) why: Forward,
    pub(crate) detail: Option<&'static str>,
    /// The key, for what may be stored or freshened by the answer: of HEAD and POST.
    pub(crate) key: Option<Key>,
    /// What is stored and may stand in for an error: for HEAD.
    pub(crate) stored: Option<Arc<Stored>>,
    pub(crate) request: Request<B>,
    pub(crate) inner: S,
    pub(crate) tally: Arc<Tally>,
    pub(crate) sight: Sight,
}

/// Hands a request on and draws the consequences of its answer. One whose answer has none is [passed](super::passing).
pub(crate) async fn hand_over<S, B, RB>(handover: Handover<S, B>) -> Result<Response<CacheBody<RB>>, S::Error>
where
    S: Inner<B, RB>,
    RB: InnerBody,
{
    let Handover { shared, settings, rule, why, detail, key, stored, mut request, mut inner, tally, sight } = handover;
    tally.mark(request.extensions_mut());
    let question = Question::of(&request);
    // The groups before the question: a purge that comes while it is answered must find them.
    let member = key.as_ref().map(|key| shared.groups.enlist(key, rule.and_then(|rule| settings.rules.get(rule))));
    let born = shared.groups.now();
    let requested = tally.looked();
    let response = match call(&mut inner, request).await {
        Ok(response) => response,
        Err(error) => {
            tally.count(Outcome::Failed, Some(SERVICE_ERROR));
            return Err(error);
        }
    };
    let failure = response.extensions().get::<OriginFailure>().copied();
    let failed = failure.is_some();
    if let Some(stored) = stored.filter(|_| failed || is_covered_status(response.status())) {
        let fwd_status = (!failed).then(|| response.status().as_u16());
        let status =
            CacheStatus { name: super::NAME, fwd: Some(why), fwd_status, detail: Some("stale-if-error"), ..CacheStatus::default() };
        if let Some(covered) = covered(&shared, &settings, &stored, &question, status) {
            tally.count(Outcome::Stale, Some("stale-if-error"));
            return Ok(covered);
        }
    }
    tally.count_handed_on(failure, detail.unwrap_or(why.as_str()));
    let status = CacheStatus { name: super::NAME, fwd: Some(why), detail, ..CacheStatus::default() };
    if failed {
        return Ok(passed(response, settings.cache_status, status));
    }
    let timing = Timing { requested, received: shared.clock.now() };
    let errand = key.zip(member).map(|(key, member)| Errand {
        shared: Arc::clone(&shared),
        settings: Arc::clone(&settings),
        rule,
        key,
        member,
        born,
        method: question.method.clone(),
        asked: Arc::clone(&question.headers),
        directives: question.directives(),
        stored: None,
        phrasing: Phrasing::Verbatim,
        uri: question.uri.clone(),
        began: shared.clock.now(),
        intent: None,
        sight,
    });
    Ok(learn(&shared, &settings, &question, errand, response, timing, status))
}

/// What is remembered of a request whose answer says something about what is stored.
struct Question {
    method: Method,
    uri: Uri,
    headers: Arc<HeaderMap>,
}

impl Question {
    fn of<B>(request: &Request<B>) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone(), headers: Arc::new(request.headers().clone()) }
    }

    fn directives(&self) -> RequestDirectives {
        visit::directives(&self.headers, Glance::at(&self.headers))
    }
}

/// Draws the consequences of the origin's answer: what a change has put out of date, and what a HEAD or a POST tells for later GETs.
fn learn<RB>(
    shared: &Shared,
    settings: &Settings,
    question: &Question,
    mut errand: Option<Errand>,
    response: Response<RB>,
    timing: Timing,
    status: CacheStatus,
) -> Response<CacheBody<RB>>
where
    RB: InnerBody,
{
    let Question { method, uri, headers } = question;
    if !method::is_safe(method) && (response.status().is_success() || response.status().is_redirection()) {
        let change = Change::new(shared, settings, method, uri, headers, response.headers());
        // The answer to a POST is newer than the invalidation that it causes itself, and than no other one: those that have come are found here,
        // those to come have higher numbers.
        if let Some(errand) = errand.as_mut().filter(|errand| !errand.is_overtaken(response.headers())) {
            errand.born = change.sequence();
        }
        change.invalidate();
    }
    match errand {
        Some(errand) if *method == Method::HEAD => learn_from_head(&errand, &response, timing),
        Some(errand) if *method == Method::POST && response.status().is_success() => {
            return match errand.keep(response, timing) {
                Ok(keep) => keep_answer(errand, settings, keep, CacheStatus { stored: true, ..status }),
                Err((response, _)) => passed(response, settings.cache_status, status),
            };
        }
        _ => {}
    }
    passed(response, settings.cache_status, status)
}

/// The answer as it came, with what this cache says of it if that is told.
pub(super) fn passed<RB>(mut response: Response<RB>, is_told: bool, status: CacheStatus) -> Response<CacheBody<RB>> {
    note(is_told, response.headers_mut(), status);
    response.map(CacheBody::pass)
}

/// The stored response in place of an error, if its window allows it (RFC 5861 section 4).
fn covered<RB>(
    shared: &Shared,
    settings: &Settings,
    stored: &Stored,
    question: &Question,
    status: CacheStatus,
) -> Option<Response<CacheBody<RB>>> {
    let now = shared.clock.now();
    let status = settings.cache_status.then_some(status);
    let client = Client { method: &question.method, headers: &question.headers, now, conditional: true, status };
    let level = stored.level(&shared.groups);
    let allowed = stored.range().is_none() && may_cover_error(&stored.head.life(), level, &question.directives(), now);
    allowed.then(|| answer::from_stored(stored, &client))
}

/// RFC 9110 section 9.3.3: the answer to a POST that names the target itself is stored for later GETs.
fn keep_answer<RB>(errand: Errand, settings: &Settings, keep: Keep<RB>, status: CacheStatus) -> Response<CacheBody<RB>>
where
    RB: InnerBody,
{
    let mut response = Response::new(CacheBody::empty());
    *response.status_mut() = keep.head.status;
    *response.headers_mut() = keep.head.fields.to_map();
    note(settings.cache_status, response.headers_mut(), status);
    for (name, value) in &keep.extra {
        response.headers_mut().append(name.clone(), value.clone());
    }
    let (spool, reader) = Spool::new(keep.head, keep.length, keep.reserved);
    *response.body_mut() = CacheBody::follow(reader);
    tokio::spawn(pump(errand, spool, keep.body, keep.range, None));
    response
}

/// RFC 9111 section 4.3.5: the answer to a HEAD freshens what is stored for GET, or shows that it is out of date.
fn learn_from_head<RB>(errand: &Errand, response: &Response<RB>, timing: Timing) {
    if response.status() != StatusCode::OK {
        return;
    }
    let store = &errand.shared.store;
    let Some(resource) = store.get_owned(&errand.key) else { return };
    let Some(stored) = resource.select(&errand.asked, |_, _| false).filter(|stored| stored.head.status == StatusCode::OK) else { return };
    if errand.sight.hides_selection(&stored.head) {
        return;
    }
    match head_updates(&stored.head.fields.to_map(), response.headers(), Some(stored.body.len() as u64)) {
        HeadVerdict::Invalidate => stored.mark(Level::Invalid),
        // An invalidated response wants a validation of its own; a HEAD without validators is none (RFC 9111 section 4.4).
        HeadVerdict::Freshen if stored.level(&errand.shared.groups) > Level::Valid => {}
        HeadVerdict::Freshen => {
            let (mut parts, ()) = Response::new(()).into_parts();
            parts.headers = merge_304(&stored.head.fields.to_map(), response.headers());
            if !response.headers().contains_key(DATE) {
                parts.headers.insert(DATE, crate::rfc::date::format(timing.received.seconds()));
            }
            let as_get = Errand { method: Method::GET, ..errand.clone() };
            if let Some(head) = as_get.freshened_head(&parts, timing) {
                let fresh = stored.under(head).costing(stored.cost_millis);
                let _ = store.freshen(&errand.key, stored, &Arc::new(fresh), &errand.member, errand.settings.max_variants); // or something newer is there
            }
        }
    }
}

fn note(is_told: bool, headers: &mut HeaderMap, status: CacheStatus) {
    if is_told {
        headers.append(&CACHE_STATUS, status.to_value_again()); // of all passes it is nearly always the same
    }
}
