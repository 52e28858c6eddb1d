//! A cache with an origin behind it, and a client in front.

use crate::origin::{Origin, OriginBody, OriginError, lines};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use std::time::Duration;
use tokio::task::JoinHandle;
use tower::{Layer as _, ServiceExt as _};
use warmfront::clock::Clock;
use warmfront::layer::{CacheBody, CacheService, Lookup};
use warmfront::warm::{Guard, Plan, UserWarmup, Warmer};
use warmfront::{Cache, CacheLayer, Rule, Settings};

/// 2023-11-14 22:13:20 UTC.
pub(crate) const START: u64 = 1_700_000_000;

pub(crate) type Answer = Response<CacheBody<OriginBody>>;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) cache: Cache,
    pub(crate) clock: Clock,
    pub(crate) origin: Origin,
    service: CacheService<Origin>,
}

/// A cache with default settings in front of `origin`.
pub(crate) fn world(origin: Origin) -> World {
    world_with(Settings::default(), origin)
}

pub(crate) fn world_with(settings: Settings, origin: Origin) -> World {
    World::new(settings, Clock::manual(START), origin)
}

/// A cache with one rule for all paths.
pub(crate) fn world_under(rule: Rule, origin: Origin) -> World {
    world_with(Settings { rules: vec![rule], ..Settings::default() }, origin)
}

/// A rule for all paths.
pub(crate) fn everywhere() -> Rule {
    Rule::path("/**").unwrap()
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The HTTP date of `START` plus `offset` seconds.
pub(crate) fn date(offset: i64) -> String {
    let at = START.saturating_add_signed(offset);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + seconds(at))
}

impl World {
    pub(crate) fn new(settings: Settings, clock: Clock, origin: Origin) -> Self {
        let cache = Cache::builder().settings(settings).clock(clock.clone()).build();
        let service = CacheLayer::new(cache.clone()).layer(origin.clone());
        Self { cache, clock, origin, service }
    }

    /// A world whose clock runs with tokio's time, which the test has paused: what waits and what expires move together.
    pub(crate) fn running(settings: Settings, origin: Origin) -> Self {
        Self::new(settings, Clock::starting(START), origin)
    }

    /// A plan for this cache, with the host that readers here use.
    pub(crate) fn plan(&self) -> Plan {
        Plan::new(&self.cache).host("example.com".parse().unwrap())
    }

    /// Warms by `plan` from now on.
    pub(crate) fn warm(&self, plan: Plan) -> Guard {
        Warmer::new::<_, Full<Bytes>, _>(self.service.clone(), plan).spawn().unwrap()
    }

    /// The way in with the warm-up of users in front.
    pub(crate) fn door(&self, guard: &Guard) -> Door {
        Door(UserWarmup::new(self.service.clone(), guard.handle()))
    }

    pub(crate) fn pass(&self, time: u64) {
        self.clock.advance(seconds(time));
    }

    /// Up to the response headers.
    pub(crate) async fn try_head(&self, ask: Ask) -> Result<Answer, OriginError> {
        self.service.clone().oneshot(ask.0).await
    }

    pub(crate) async fn head(&self, ask: Ask) -> Answer {
        self.try_head(ask).await.unwrap()
    }

    /// The whole answer. Whoever waits for ever learns it after an hour of time that is not real.
    pub(crate) async fn send(&self, ask: Ask) -> Got {
        tokio::time::timeout(seconds(3600), async { Got::of(self.head(ask).await).await }).await.unwrap()
    }

    pub(crate) async fn get(&self, target: &str) -> Got {
        self.send(get(target)).await
    }

    /// The whole answer, in a task of its own.
    pub(crate) fn spawn(&self, ask: Ask) -> JoinHandle<Got> {
        let world = self.clone();
        tokio::spawn(async move { world.send(ask).await })
    }

    /// `count` clients at once, and what all of them got.
    pub(crate) async fn crowd(&self, count: usize, ask: impl Fn(usize) -> Ask) -> Vec<Got> {
        let tasks: Vec<_> = (0..count).map(|at| self.spawn(ask(at))).collect();
        let mut got = Vec::new();
        for task in tasks {
            got.push(task.await.unwrap());
        }
        got
    }

    pub(crate) fn lookup(&self, target: &str) -> Option<Lookup> {
        self.cache.lookup(get(target).0)
    }

    /// Whether something is stored that may be used without asking.
    pub(crate) fn has_fresh(&self, target: &str) -> bool {
        self.lookup(target).is_some_and(|found| found.ttl_millis > 0 && found.level == warmfront::Level::Valid)
    }

    /// Lets everything run that can run without time going by.
    pub(crate) async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }
}

/// A way in where users can ask to be warmed.
#[derive(Clone)]
pub(crate) struct Door(UserWarmup<CacheService<Origin>>);

impl Door {
    pub(crate) async fn send(&self, ask: Ask) -> Got {
        Got::of(self.0.clone().oneshot(ask.0).await.unwrap()).await
    }
}

/// A request.
pub(crate) struct Ask(pub(crate) Request<Full<Bytes>>);

pub(crate) fn get(target: &str) -> Ask {
    Ask(Request::get(format!("http://example.com{target}")).body(Full::default()).unwrap())
}

pub(crate) fn method(method: &str, target: &str) -> Ask {
    let mut ask = get(target);
    *ask.0.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    ask
}

impl Ask {
    /// Adds a header line.
    pub(crate) fn h(mut self, name: &str, value: &str) -> Self {
        self.0.headers_mut().append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        self
    }

    pub(crate) fn cc(self, value: &str) -> Self {
        self.h("cache-control", value)
    }

    pub(crate) fn body(self, text: &'static str) -> Self {
        Self(self.0.map(|_| Full::from(text)))
    }

    /// The whole URI instead of the one with the usual authority.
    pub(crate) fn uri(mut self, uri: &str) -> Self {
        *self.0.uri_mut() = uri.parse().unwrap();
        self
    }
}

/// An answer with all of its body.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// What came, and how it broke off if it did.
    pub(crate) body: Bytes,
    pub(crate) broken: Option<String>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Got {
    pub(crate) async fn of(answer: Answer) -> Self {
        let (parts, mut stream) = answer.into_parts();
        let (mut body, mut broken, mut trailers) = (Vec::new(), None, None);
        while let Some(frame) = stream.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => body.extend_from_slice(&data),
                Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
                Err(error) => {
                    broken = Some(error.to_string());
                    break;
                }
            }
        }
        Self { status: parts.status, headers: parts.headers, body: body.into(), broken, trailers }
    }

    /// The body, which must be whole.
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.broken, None);
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> u16 {
        self.status.as_u16()
    }

    /// All lines of a header, joined by ` | `.
    pub(crate) fn h(&self, name: &str) -> String {
        lines(&self.headers, name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// What this cache said about it.
    pub(crate) fn said(&self) -> &str {
        self.headers.get_all("cache-status").iter().next_back().map_or("", |line| line.to_str().unwrap())
    }

    pub(crate) fn is_hit(&self) -> bool {
        self.said().starts_with("warmfront; hit")
    }
}

/// A client that reads as it likes.
pub(crate) struct Tap {
    body: CacheBody<OriginBody>,
}

impl Tap {
    pub(crate) fn of(answer: Answer) -> Self {
        Self { body: answer.into_body() }
    }

    /// The next piece: data as text, trailers as `|`, an error as `!`, the end as nothing.
    pub(crate) async fn next(&mut self) -> Option<String> {
        Some(match self.body.frame().await? {
            Ok(frame) if frame.is_data() => String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap(),
            Ok(_) => "|".into(),
            Err(_) => "!".into(),
        })
    }

    /// What is there without time going by.
    pub(crate) async fn now(&mut self) -> String {
        let mut text = String::new();
        while let Ok(Some(piece)) = tokio::time::timeout(Duration::ZERO, self.next()).await {
            text.push_str(&piece);
            if piece == "!" {
                break;
            }
        }
        text
    }

    /// All that is left.
    pub(crate) async fn rest(mut self) -> String {
        let mut text = String::new();
        while let Some(piece) = self.next().await {
            text.push_str(&piece);
            if piece == "!" {
                break;
            }
        }
        text
    }
}

/// Where the first byte of an answer is in memory.
pub(crate) async fn first_byte(answer: Answer) -> *const u8 {
    answer.into_body().frame().await.unwrap().unwrap().into_data().unwrap().as_ptr()
}
