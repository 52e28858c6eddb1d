//! Per-user warm-up: a user who comes asks for what only they may see to be warmed, with their own credentials, into their own partition.

mod reply;

use crate::cache::Site;
use crate::cache::key::origin_of;
use crate::clock::Stamp;
use crate::flow::body::CacheBody;
#[cfg(feature = "sidecar")]
use crate::flow::shared::Shared;
use crate::flow::tally::answered_here;
use crate::flow::visit;
use crate::layer::Cache;
use crate::warm::ask::Ask;
use crate::warm::books::Run;
use crate::warm::handle::Warm;
use crate::warm::settings::{UserSettings, WarmSettings};
use arc_swap::Guard;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ALLOW};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use reply::{json_response, later, nobody, refused, seconds, with_retry_after};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// How often a full book is looked through for users whose time is over.
const TIDY: Duration = Duration::from_secs(1);

/// A user, as a keyed hash of 128 bits: whoever reads this memory learns no credentials.
type UserHash = [u8; 16];

/// Answers [`UserSettings::path`] in front of a service with a cache; everything else goes on to that.
///
/// `POST` starts a warm-up of the user whom the identity header names, `GET` tells how it is. Both answer at once.
#[derive(Clone, Debug)]
pub struct UserWarmup<S> {
    inner: S,
    desk: Arc<UserDesk>,
}

/// Who has been warmed, and how far it has come.
#[derive(Debug)]
pub(crate) struct UserDesk {
    warm: Warm,
    users: Mutex<Users>,
}

#[derive(Debug, Default)]
struct Users {
    known: HashMap<UserHash, User>,
    running: usize,
    tidied: Option<Stamp>,
}

/// What is known of a user.
#[derive(Clone, Copy, Debug)]
struct User {
    /// When the user last asked and was not refused.
    asked: Stamp,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Done { at: Stamp, items: u64, failed: u64 },
}

/// What is answered to a `POST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Start,
    InProgress,
    Already,
    TooSoon(Duration),
    Full,
}

impl<S> UserWarmup<S> {
    /// Puts the warm-up of users in front of `inner`, which holds the cache that `warm` warms.
    #[must_use]
    pub fn new(inner: S, warm: Warm) -> Self {
        Self { inner, desk: Arc::new(UserDesk { warm, users: Mutex::default() }) }
    }

    /// What is behind it.
    #[cfg(feature = "sidecar")]
    pub(crate) fn inner(&self) -> &S {
        &self.inner
    }

    /// Who answers in front of it.
    #[cfg(feature = "sidecar")]
    pub(crate) const fn desk(&self) -> &Arc<UserDesk> {
        &self.desk
    }

    /// What is behind it, to be changed.
    #[cfg(feature = "sidecar")]
    pub(crate) fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S, B, RB> Service<Request<B>> for UserWarmup<S>
where
    S: Service<Request<B>, Response = Response<CacheBody<RB>>>,
{
    type Response = Response<CacheBody<RB>>;
    type Error = S::Error;
    type Future = UserFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let settings = self.desk.settings_for(request.uri().path());
        let Some((user, enabled)) = settings.as_ref().and_then(|settings| Some((settings.user.as_ref()?, settings.enabled))) else {
            return UserFuture { kind: Kind::Inner { future: self.inner.call(request) } };
        };
        let shared = self.desk.warm.cache().shared();
        let (is_head, began, request) = (*request.method() == Method::HEAD, shared.clock.moment(), request.map(drop));
        let mut answer = self.desk.answer(user, enabled, &request);
        answered_here(shared, &request, began, answer.status(), answer.body().len() as u64, "user-warmup");
        if is_head {
            *answer.body_mut() = Bytes::new();
        }
        UserFuture { kind: Kind::Ours { answer: Some(answer.map(|text| CacheBody::stored(text, None))) } }
    }
}

pin_project! {
    /// The answer of a [`UserWarmup`].
    pub struct UserFuture<F, RB> {
        #[pin]
        kind: Kind<F, RB>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, RB> {
        // That of the service behind it.
        Inner { #[pin] future: F },
        // One of its own, until it is taken.
        Ours { answer: Option<Response<CacheBody<RB>>> },
    }
}

impl<F, RB, E> Future for UserFuture<F, RB>
where
    F: Future<Output = Result<Response<CacheBody<RB>>, E>>,
{
    type Output = Result<Response<CacheBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Inner { future } => future.poll(cx),
            KindProjection::Ours { answer } => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
        }
    }
}

impl UserDesk {
    /// Whether requests of this path are answered here.
    #[cfg(feature = "sidecar")]
    pub(crate) fn answers(&self, path: &str) -> bool {
        self.settings_for(path).is_some()
    }

    /// The settings in force, with those of users, if requests of this path are answered here.
    fn settings_for(&self, path: &str) -> Option<Guard<Arc<WarmSettings>>> {
        let settings = self.warm.serves_users().then(|| self.warm.settings_now())?;
        settings.user.as_ref().is_some_and(|user| user.path.path() == path).then_some(settings)
    }

    /// What the cache behind it shares.
    #[cfg(feature = "sidecar")]
    pub(crate) fn shared(&self) -> &Shared {
        self.warm.cache().shared()
    }

    fn answer(self: &Arc<Self>, settings: &UserSettings, enabled: bool, request: &Request<()>) -> Response<Bytes> {
        let (method, headers) = (request.method(), request.headers());
        if !matches!(*method, Method::GET | Method::HEAD | Method::POST) {
            let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "POST starts a warm-up, GET tells how it is");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            return response;
        }
        let header = &settings.identity.header;
        if !headers.get_all(header).iter().any(|value| !value.is_empty()) {
            return nobody(header);
        }
        let cache = self.warm.cache();
        let user = cache.shared().secrets.partition(&settings.identity, headers);
        let now = cache.shared().clock.now();
        if *method != Method::POST {
            return self.status(&user, settings, now);
        }
        if !enabled {
            return later("warming is switched off");
        }
        let verdict = self.users.lock().judge(&user, settings, now);
        match verdict {
            Verdict::InProgress => json_response(StatusCode::OK, &json!({ "success": true, "inProgress": true })),
            Verdict::Already => json_response(StatusCode::OK, &json!({ "success": true, "alreadyWarmedUp": true })),
            Verdict::TooSoon(wait) => {
                let detail = format!("once in {} s is enough; come back in {} s", settings.min_interval.as_secs_f64(), seconds(wait));
                with_retry_after(refused(StatusCode::TOO_MANY_REQUESTS, &detail), wait)
            }
            Verdict::Full => later("too many users are being warmed or remembered"),
            Verdict::Start => self.start(user, settings, request),
        }
    }

    /// Starts a warm-up; its place has been taken already.
    fn start(self: &Arc<Self>, user: UserHash, settings: &UserSettings, request: &Request<()>) -> Response<Bytes> {
        let (asks, refused) = asks(self.warm.cache(), settings, request);
        let refused = refused as u64;
        let Some(ended) = self.warm.warm_user(asks) else {
            self.users.lock().forget(&user);
            return later("too much is waiting to be warmed");
        };
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            // What has been cancelled, or was never begun, leaves nobody warmed.
            let run: Option<Arc<Run>> = ended.await.ok().filter(|run: &Arc<Run>| !run.is_cancelled());
            let Some(fates) = run.map(|run| run.fates()) else { return desk.users.lock().forget(&user) };
            let at = desk.warm.cache().shared().clock.now();
            let (items, failed) = (fates.items() + refused, fates.items() - fates.warm() + refused);
            desk.users.lock().finish(&user, State::Done { at, items, failed });
        });
        json_response(StatusCode::ACCEPTED, &json!({ "success": true, "newWarmupStarted": true }))
    }

    fn status(&self, user: &UserHash, settings: &UserSettings, now: Stamp) -> Response<Bytes> {
        let known = self.users.lock().known.get(user).copied();
        let state = known.map(|user| user.state);
        let done = match state {
            Some(State::Done { at, items, failed }) if is_valid(at, items, failed, settings, now) => Some((at, items, failed)),
            _ => None,
        };
        let millis = |at: Stamp| Value::from(at.millis());
        let expires = |at: Stamp| at.plus_millis(u64::try_from(settings.valid_for.as_millis()).unwrap_or(u64::MAX));
        let status = json!({
            "isWarmedUp": done.is_some(),
            "inProgress": state == Some(State::Running),
            "warmedAt": done.map_or(Value::Null, |(at, ..)| millis(at)),
            "expiresAt": done.map_or(Value::Null, |(at, ..)| millis(expires(at))),
            "items": done.map_or(0, |(_, items, _)| items),
            "failed": done.map_or(0, |(_, _, failed)| failed),
        });
        json_response(StatusCode::OK, &json!({ "success": true, "warmupStatus": status }))
    }
}

impl Users {
    /// What a user who asks now is told. With [`Verdict::Start`] the place is taken.
    fn judge(&mut self, hash: &UserHash, settings: &UserSettings, now: Stamp) -> Verdict {
        if let Some(user) = self.known.get_mut(hash) {
            let since = now.since(user.asked);
            if since < settings.min_interval {
                return Verdict::TooSoon(settings.min_interval - since);
            }
            match user.state {
                State::Running => {
                    user.asked = now;
                    return Verdict::InProgress;
                }
                State::Done { at, items, failed } if is_valid(at, items, failed, settings, now) => {
                    user.asked = now;
                    return Verdict::Already;
                }
                State::Done { .. } => {}
            }
        }
        if self.running >= settings.max_running.max(1) {
            return Verdict::Full;
        }
        if !self.known.contains_key(hash) && self.known.len() >= settings.max_users.max(1) {
            self.tidy(settings, now);
            if self.known.len() >= settings.max_users.max(1) {
                return Verdict::Full;
            }
        }
        self.running += 1;
        self.known.insert(*hash, User { asked: now, state: State::Running });
        Verdict::Start
    }

    fn finish(&mut self, hash: &UserHash, state: State) {
        self.running = self.running.saturating_sub(1);
        if let Some(user) = self.known.get_mut(hash) {
            user.state = state;
        }
    }

    fn forget(&mut self, hash: &UserHash) {
        self.running = self.running.saturating_sub(1);
        self.known.remove(hash);
    }

    /// Forgets users whose warm-up does not count any more.
    fn tidy(&mut self, settings: &UserSettings, now: Stamp) {
        if self.tidied.is_some_and(|last| now.since(last) < TIDY) {
            return;
        }
        self.tidied = Some(now);
        self.known.retain(|_, user| match user.state {
            State::Running => true,
            State::Done { at, items, failed } => {
                is_valid(at, items, failed, settings, now) || now.since(user.asked) < settings.min_interval
            }
        });
    }
}

/// Whether a warm-up counts: something of it went well, and not too long ago.
fn is_valid(at: Stamp, items: u64, failed: u64, settings: &UserSettings, now: Stamp) -> bool {
    (items > failed || items == 0) && now.since(at) < settings.valid_for
}

/// The requests for a user: as the user's own would be, and only those whose answers go into the user's own partition. How many others there were.
fn asks(cache: &Cache, settings: &UserSettings, request: &Request<()>) -> (Vec<Ask>, usize) {
    let headers = request.headers();
    // Where the user's other requests go: the same origin as this one.
    let (https, authority) = origin_of(request.uri(), headers);
    let site = authority.parse().map_or_else(|_| Site::localhost(), |authority| Site::new(https, authority));
    let mut own = HeaderMap::new();
    for name in [&settings.identity.header, &ACCEPT, &ACCEPT_ENCODING, &ACCEPT_LANGUAGE] {
        for value in headers.get_all(name) {
            let mut value = value.clone();
            value.set_sensitive(*name == settings.identity.header);
            own.append(name.clone(), value);
        }
    }
    let rules = cache.shared().settings.load();
    let is_partitioned = |path: &str| {
        let rule = visit::match_rule(&rules, path).and_then(|rule| rules.rules.get(rule));
        rule.is_some_and(|rule| !rule.pass && rule.per_identity.as_ref() == Some(&settings.identity))
    };
    let (mine, others): (Vec<_>, Vec<_>) = settings.requests.iter().partition(|target| is_partitioned(target.path_and_query().path()));
    let asks = mine.iter().map(|target| Ask::new(&site, target.path_and_query().clone(), own.clone())).collect();
    (asks, others.len())
}
