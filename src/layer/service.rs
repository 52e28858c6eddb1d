//! The Service. `call` is a table of contents.

use crate::cache::admit::NotStored;
use crate::cache::entry::Stored;
use crate::cache::fate::Fate;
use crate::cache::intent::Intent;
use crate::cache::key::KeyBuf;
use crate::cache::resource::Chosen;
use crate::flow::answer::{self, Client};
use crate::flow::begun::{Begun, Given};
use crate::flow::body::CacheBody;
use crate::flow::forwarding::Sight;
use crate::flow::glance::Glance;
use crate::flow::inner::{Inner, InnerBody};
use crate::flow::passing::{Passing, Why};
use crate::flow::serve::{Visit, serve};
use crate::flow::shared::Shared;
use crate::flow::sought::Sought;
use crate::flow::tally::{Tally, told};
use crate::flow::thin::Thin;
use crate::flow::through::{Handover, hand_over};
use crate::flow::visit::{self, Found, Route};
use crate::layer::{Cache, ResponseFuture};
use crate::rfc::cache_status::Forward;
use crate::rfc::directives::RequestDirectives;
use crate::rfc::method;
use crate::telemetry::Outcome;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, Version};
use http_body::Body;
use std::fmt::Display;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// A service with a cache around it.
///
/// It is always ready: an inner service that is not must not hold up hits. A request that needs the inner service waits for a clone of it to
/// become ready, and calls that one. The error is the inner service's; what the cache itself refuses is a response.
#[derive(Clone, Debug)]
pub struct CacheService<S> {
    inner: S,
    shared: Arc<Shared>,
    /// Whether the sidecar is in front: hits leave their fields and their bodies to it, and it has made the target and `Host` of each request agree.
    thin: bool,
    /// How much is seen of requests here.
    sight: Sight,
}

impl<S> CacheService<S> {
    /// Puts `cache` around `inner`.
    pub fn new(inner: S, cache: Cache) -> Self {
        Self { inner, shared: cache.into_shared(), thin: false, sight: Sight::Whole }
    }

    /// The same, for a server that [takes hits](crate::flow::thin::MayBeThin) as they are stored.
    #[cfg(feature = "sidecar")]
    pub(crate) fn with_thin_hits(self) -> Self {
        Self { thin: true, ..self }
    }

    /// What is behind it, to be changed. `sight`: what there is to see of requests before they get there.
    #[cfg(feature = "sidecar")]
    pub(crate) fn behind(&mut self, sight: Sight) -> &mut S {
        self.sight = sight;
        &mut self.inner
    }

    /// What it shares with all who hold its cache.
    #[cfg(feature = "sidecar")]
    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether forwarding fields select among stored responses, or say whose they are: requests must have them when they come here.
    #[cfg(feature = "sidecar")]
    pub(crate) fn selects_by_forwarding(&self) -> bool {
        self.shared.forwarding.is_read()
    }
}

impl<S, B, RB> Service<Request<B>> for CacheService<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: Body + Default + Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Display,
{
    type Response = Response<CacheBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<RB, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let began = self.shared.clock.moment();
        let settings = self.shared.settings.load();
        let (mut parts, body) = request.into_parts();
        let intent = take_intent(&mut parts);
        let rule = visit::match_rule(&settings, parts.uri.path());
        let matched = rule.and_then(|rule| settings.rules.get(rule));
        let glance = Glance::at(&parts.headers);
        let begun = Begun { settings: &settings, rule, began, glance };
        let route = visit::route(Sought::of(&parts), glance, &settings, matched, !body.is_end_stream(), self.sight, self.thin);
        if let Route::Pass(why, detail) = route {
            return self.pass(&begun, parts, body, intent, why, detail);
        }
        let key = visit::key_for(&self.shared, &settings, matched, &mut parts.uri, &parts.headers);
        let directives = visit::directives(&parts.headers, glance);
        let found = visit::look_up(&self.shared, &key, Sought::of(&parts), &directives, began.stamp(), self.sight);
        if let Some(intent) = intent {
            return self.warm(&begun, Request::from_parts(parts, body), &key, directives, found, intent);
        }
        match found {
            Found::Fresh(stored) => self.fresh(&begun, &mut parts, &key, stored),
            Found::Stale(stored, refresh) => {
                let response = self.stale(&begun, &parts, &key, &stored, refresh);
                if refresh {
                    let request = Request::from_parts(parts, body);
                    let found = Found::Ask { why: Forward::Stale, stored: Some(stored) };
                    self.visit(&begun, request, &key, directives, found).refresh_behind();
                }
                ResponseFuture::ready(response)
            }
            Found::Ask { why, stored } if visit::is_handed_on(&parts.method, &directives) => self.hand_over(
                &begun,
                Request::from_parts(parts, body),
                Handing { why, detail: None, key: Some(key), stored, is_looked_up: true },
            ),
            found @ Found::Ask { .. } => {
                let request = Request::from_parts(parts, body);
                let tally = Tally::new(&self.shared, &begun, &request, Some(key.hash_value()), true);
                let visit = self.visit(&begun, request, &key, directives, found);
                ResponseFuture::slow(told(serve(Visit { tally: Some(Arc::clone(&tally)), ..visit }), tally))
            }
        }
    }
}

/// How and why a request is handed on.
struct Handing {
    why: Forward,
    detail: Option<&'static str>,
    key: Option<KeyBuf>,
    stored: Option<Arc<Stored>>,
    /// The cache was asked for it.
    is_looked_up: bool,
}

/// Takes the intent of a warm request: a cache behind this one is asked as any origin is.
fn take_intent(parts: &mut Parts) -> Option<Intent> {
    if parts.extensions.is_empty() { None } else { parts.extensions.remove() }
}

impl<S> CacheService<S> {
    /// The answer that is stored and fresh.
    fn fresh<RB, E>(&self, begun: &Begun<'_>, parts: &mut Parts, key: &KeyBuf, stored: Chosen) -> ResponseFuture<RB, E>
    where
        RB: Body<Data = Bytes>,
    {
        begun.take(&self.shared, key, &stored);
        let thin = if self.thin && parts.version != Version::HTTP_2 {
            Thin::of(stored, &parts.method, begun.glance, begun.began.stamp(), begun.settings.cache_status)
        } else {
            Err(stored)
        };
        let mut response = match thin {
            Ok(thin) => answer::thin(thin),
            Err(stored) => answer::from_stored(&stored, &begun.client(Sought::of(parts), None)),
        };
        self.tell(begun, parts, key, (Outcome::Hit, None), &mut response);
        answer::lend_map(&mut response, &mut parts.headers);
        ResponseFuture::ready(response)
    }

    /// The answer that is stored and stale, and still good enough.
    fn stale<RB>(&self, begun: &Begun<'_>, parts: &Parts, key: &KeyBuf, stored: &Stored, refresh: bool) -> Response<CacheBody<RB>>
    where
        RB: Body<Data = Bytes>,
    {
        stored.touch(begun.began.stamp());
        let detail = Some(if refresh { "stale-while-revalidate" } else { "max-stale" });
        let mut response = answer::from_stored(stored, &begun.client(Sought::of(parts), detail));
        self.tell(begun, parts, key, (Outcome::Stale, detail), &mut response);
        response
    }

    fn tell<RB: Body>(
        &self,
        begun: &Begun<'_>,
        parts: &Parts,
        key: &KeyBuf,
        (outcome, detail): (Outcome, Option<&'static str>),
        response: &mut Response<CacheBody<RB>>,
    ) {
        let given = Given { outcome, detail, status: response.status(), bytes: response.body().stored_length() };
        if let Some((name, value)) = begun.answered(&self.shared, Sought::of(parts), key.hash_value(), &given) {
            response.headers_mut().append(name, value);
        }
    }

    fn visit<B>(&self, begun: &Begun<'_>, request: Request<B>, key: &KeyBuf, directives: RequestDirectives, found: Found) -> Visit<S, B>
    where
        S: Clone,
    {
        let (why, stored) = match found {
            Found::Ask { why, stored } => (why, stored),
            Found::Fresh(stored) => (Forward::Stale, Some(Arc::clone(stored.stored()))),
            Found::Stale(stored, _) => (Forward::Stale, Some(stored)),
        };
        Visit {
            shared: Arc::clone(&self.shared),
            settings: Arc::clone(begun.settings),
            rule: begun.rule,
            key: key.to_key(),
            directives,
            why,
            stored,
            request,
            inner: self.inner.clone(),
            intent: None,
            tally: None,
            sight: self.sight,
        }
    }

    /// Has a good copy stored. What is good enough stays; nothing is taken away before its replacement is there.
    fn warm<B, RB>(
        &self,
        begun: &Begun<'_>,
        request: Request<B>,
        key: &KeyBuf,
        directives: RequestDirectives,
        found: Found,
        intent: Intent,
    ) -> ResponseFuture<RB, S::Error>
    where
        S: Inner<B, RB>,
        B: Default + Send + 'static,
        RB: InnerBody,
    {
        let now = self.shared.clock.now();
        if let Found::Fresh(stored) = &found
            && intent.is_met_by(stored, now)
        {
            intent.settle(Fate::Skipped);
            let client = Client { method: request.method(), headers: request.headers(), now, conditional: true, status: None };
            return ResponseFuture::ready(answer::from_stored(stored, &client));
        }
        let visit = self.visit(begun, request, key, directives, found);
        ResponseFuture::slow(serve(Visit { intent: Some(intent), ..visit }))
    }

    /// Hands on what the cache has no part in. Nothing can be warmed by that.
    fn pass<B, RB>(
        &self,
        begun: &Begun<'_>,
        parts: Parts,
        body: B,
        intent: Option<Intent>,
        why: Forward,
        detail: Option<&'static str>,
    ) -> ResponseFuture<RB, S::Error>
    where
        S: Inner<B, RB>,
        B: Send + 'static,
        RB: InnerBody,
    {
        if let Some(intent) = intent {
            intent.settle(Fate::Uncacheable(NotStored::Pass));
            return ResponseFuture::ready(Response::new(CacheBody::empty()));
        }
        // The answer to a POST may be one for later GETs; the POST itself is sent on as it came.
        let stores = parts.method == Method::POST && why == Forward::Method;
        let key = stores.then(|| visit::key_for(&self.shared, begun.settings, begun.rule(), &mut parts.uri.clone(), &parts.headers));
        self.hand_over(begun, Request::from_parts(parts, body), Handing { why, detail, key, stored: None, is_looked_up: false })
    }

    fn hand_over<B, RB>(&self, begun: &Begun<'_>, request: Request<B>, handing: Handing) -> ResponseFuture<RB, S::Error>
    where
        S: Inner<B, RB>,
        B: Send + 'static,
        RB: InnerBody,
    {
        let changes = !method::is_safe(request.method());
        let key = handing.key.as_ref().map(KeyBuf::hash_value);
        let Begun { settings, rule, .. } = *begun;
        let tally = Tally::new(&self.shared, begun, &request, key, handing.is_looked_up);
        let inner = self.inner.clone();
        if key.is_none() && !changes {
            let why = Why { forward: handing.why, detail: handing.detail, is_told: settings.cache_status };
            return ResponseFuture::slow(Passing::new(inner, request, tally, why));
        }
        let handover = hand_over(Handover {
            shared: Arc::clone(&self.shared),
            settings: Arc::clone(settings),
            rule,
            why: handing.why,
            detail: handing.detail,
            key: handing.key.map(|key| key.to_key()),
            stored: handing.stored,
            request,
            inner,
            tally: Arc::clone(&tally),
            sight: self.sight,
        });
        let handover = told(handover, tally);
        // What a change has changed must be invalidated even if its client does not wait for the answer.
        if changes { ResponseFuture::slow(to_its_end(handover)) } else { ResponseFuture::slow(handover) }
    }
}

/// Runs `future` in a task of its own; a panic in it is one of the caller.
async fn to_its_end<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(future).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await, // the runtime is going down
        },
    }
}
