//! A small house for the tests of this room: an origin in process, a cache around it, a warmer, and a sidecar that nobody calls.

use crate::admin::Rooms;
use crate::clock::Clock;
use crate::layer::CacheService;
use crate::sidecar::Sidecar;
use crate::sidecar::settings::{ServerSettings, UpstreamSettings};
use crate::warm::{Guard, Plan, Warmer};
use crate::{Cache, CacheLayer, RequestBody, Settings};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use std::convert::Infallible;
use std::pin::Pin;
use tower::{Layer as _, ServiceExt as _};

type Answering = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;
type Origin = tower::util::ServiceFn<fn(Request<RequestBody>) -> Answering>;

/// A minute of freshness for everything, but for `/private`, and `/never`, which has no answer.
fn origin(request: Request<RequestBody>) -> Answering {
    Box::pin(async move {
        let path = request.uri().path();
        if path == "/never" {
            std::future::pending::<()>().await;
        }
        let control = if path == "/private" { "private" } else { "max-age=60" };
        let response = Response::builder().header("cache-control", control).header("vary", "accept-language");
        Ok(response.header("etag", "\"1\"").header("cache-tag", "brands").body(Full::from("0123456789")).unwrap())
    })
}

pub(super) struct House {
    pub(super) rooms: Rooms,
    pub(super) service: CacheService<Origin>,
    pub(super) clock: Clock,
    _guard: Guard,
}

/// A request for `path` of the host `h`.
pub(super) fn get(path: &str) -> Request<RequestBody> {
    Request::get(format!("http://h{path}")).body(RequestBody::default()).unwrap()
}

impl House {
    pub(super) fn new(settings: Settings, plan: impl FnOnce(Plan) -> Plan) -> Self {
        let clock = Clock::manual(1_700_000_000);
        let cache = Cache::builder().settings(settings).clock(clock.clone()).build();
        let service = CacheLayer::new(cache.clone()).layer(tower::service_fn(origin as fn(_) -> _));
        let plan = plan(Plan::new(&cache).host("h".parse().unwrap()));
        let guard = Warmer::new::<_, RequestBody, _>(service.clone(), plan).spawn().unwrap();
        let sidecar = Sidecar::new(ServerSettings::default(), UpstreamSettings::new("127.0.0.1:9".parse().unwrap()));
        Self {
            rooms: Rooms { cache, warm: guard.handle(), sidecar, logs: crate::telemetry::log::Logs::default() },
            service,
            clock,
            _guard: guard,
        }
    }

    /// Asks, and reads the answer to its end.
    pub(super) async fn ask(&self, request: Request<RequestBody>) {
        let response = self.service.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        tokio::task::yield_now().await; // the fill stores what it has handed out
    }
}
