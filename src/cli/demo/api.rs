//! The sample API itself: one request in, a slow answer out.

use super::collection::{Collection, NAMES, Tagged};
use super::endpoint::{self, ENDPOINTS, Endpoint, Page};
use super::reply::{ReplyBody, events, has_tag, json, problem, ranged, tagged};
use super::{chat, data};
use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;

/// The most that a request body may have.
const MOST: usize = 64 << 10;
/// How long it takes to find out that nothing changed.
const UNCHANGED: Duration = Duration::from_millis(20);

/// The sample API: its data and how often each endpoint was asked.
#[derive(Debug)]
pub(super) struct Api {
    collections: [Collection; 3],
    counts: Vec<AtomicU64>,
    /// Multiplies every delay; 1 but in tests.
    slowness: u32,
}

impl Api {
    pub(super) fn new(slowness: u32) -> Arc<Self> {
        let counts = ENDPOINTS.iter().map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { collections: NAMES.map(Collection::new), counts, slowness })
    }

    /// Serves `listener` until it is dropped.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let api = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let api = Arc::clone(&api);
                    async move { Ok::<_, Infallible>(api.answer(request).await) }
                });
                // A client that goes away is no event here.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        let (head, body) = request.into_parts();
        let Some((at, segment)) = endpoint::find(head.uri.path()) else {
            return problem(StatusCode::NOT_FOUND, "no such endpoint; GET /api/_counts lists them all");
        };
        let endpoint = &ENDPOINTS[at];
        self.counts[at].fetch_add(1, Relaxed);
        let method = if head.method == Method::HEAD { Method::GET } else { head.method };
        if !endpoint.methods.contains(&method) {
            return not_allowed(endpoint);
        }
        let mut response = if method == Method::GET {
            self.read(endpoint, segment, head.uri.query().unwrap_or(""), &head.headers)
        } else {
            match Limited::new(body, MOST).collect().await {
                Ok(body) => self.write(endpoint, &method, segment, &body.to_bytes()),
                Err(_) => problem(StatusCode::PAYLOAD_TOO_LARGE, "at most 64 KiB"),
            }
        };
        let full = if response.status() == StatusCode::NOT_MODIFIED { UNCHANGED } else { Duration::from_millis(endpoint.delay_ms) };
        tokio::time::sleep(full * self.slowness).await;
        let headers = response.headers_mut();
        if let Ok(delay) = HeaderValue::from_str(&format!("{}ms", full.as_millis())) {
            headers.insert("x-sample-delay", delay);
        }
        if let Some(cache_control) = endpoint.cache_control {
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static(cache_control));
        }
        response
    }

    fn read(&self, endpoint: &Endpoint, segment: &str, query: &str, request: &HeaderMap) -> Response<ReplyBody> {
        match endpoint.page {
            Page::Schools => or_bad_request(data::schools(query)),
            Page::Districts => json(StatusCode::OK, &json!({ "items": data::DISTRICTS })),
            Page::Categories => json(StatusCode::OK, &json!({ "items": data::CATEGORIES })),
            Page::Statistics => json(StatusCode::OK, &data::statistics()),
            Page::School => or_not_found(segment.parse().ok().and_then(data::school), |school| {
                tagged(&format!("\"school-{segment}\""), school, request)
            }),
            Page::Brands => json(StatusCode::OK, &data::brands()),
            Page::TopBrands => or_bad_request(data::top_brands(query)),
            Page::BrandStats => or_not_found(data::brand_stats(segment), |stats| json(StatusCode::OK, stats)),
            Page::List(at) => {
                let Tagged { etag, value, .. } = self.collections[at].list();
                tagged(&etag, &value, request)
            }
            Page::Item(at) => {
                let item = self.collections[at].get(segment);
                item.map_or_else(not_found, |Tagged { etag, value, .. }| tagged(&etag, &value, request))
            }
            Page::Profile => user(request).map_or_else(who_are_you, |user| json(StatusCode::OK, &data::profile(&user))),
            Page::Usage => user(request).map_or_else(who_are_you, |user| json(StatusCode::OK, &data::usage(&user))),
            Page::Report => report(segment, request),
            Page::Stream => events(chat::tokens()),
            Page::Counts => json(StatusCode::OK, &self.counts()),
            Page::Completion => not_allowed(endpoint),
        }
    }

    fn write(&self, endpoint: &Endpoint, method: &Method, segment: &str, body: &[u8]) -> Response<ReplyBody> {
        if endpoint.page == Page::Completion {
            return chat::completion(body);
        }
        let (Page::List(at) | Page::Item(at)) = endpoint.page else { return not_allowed(endpoint) };
        let collection = &self.collections[at];
        if *method == Method::DELETE {
            let gone = collection.remove(segment);
            return if gone { no_content() } else { not_found() };
        }
        let Ok(item @ Value::Object(_)) = serde_json::from_slice(body) else {
            return problem(StatusCode::BAD_REQUEST, "the body is a JSON object, as {\"name\":\"new\"}");
        };
        if *method == Method::PUT {
            let replaced = collection.replace(segment, item);
            return replaced.map_or_else(not_found, |Tagged { etag, value, .. }| tagged(&etag, &value, &HeaderMap::new()));
        }
        let Tagged { id, etag, value } = collection.create(item);
        let mut response = tagged(&etag, &value, &HeaderMap::new());
        *response.status_mut() = StatusCode::CREATED;
        if let Ok(location) = HeaderValue::from_str(&format!("{}/{id}", endpoint.path)) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    /// How often each endpoint was asked.
    fn counts(&self) -> Value {
        ENDPOINTS
            .iter()
            .zip(&self.counts)
            .map(|(endpoint, count)| (endpoint.path.replace("{}", "{id}"), json!(count.load(Relaxed))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn report(segment: &str, request: &HeaderMap) -> Response<ReplyBody> {
    let Ok(number) = segment.parse() else { return not_found() };
    let etag = format!("\"report-{number}\"");
    // A report is dear to make: not for somebody who has it.
    let value = if has_tag(request, &etag) { Value::Null } else { data::report(number) };
    ranged(&etag, &value, request)
}

/// The user whom `Authorization: Bearer <user>` names.
fn user(request: &HeaderMap) -> Option<String> {
    let user = request.get(AUTHORIZATION)?.to_str().ok()?.rsplit(' ').next()?;
    (!user.is_empty()).then(|| user.to_owned())
}

fn or_bad_request(answer: Result<Value, String>) -> Response<ReplyBody> {
    match answer {
        Ok(value) => json(StatusCode::OK, &value),
        Err(detail) => problem(StatusCode::BAD_REQUEST, &detail),
    }
}

fn or_not_found(answer: Option<Value>, response: impl FnOnce(&Value) -> Response<ReplyBody>) -> Response<ReplyBody> {
    answer.as_ref().map_or_else(not_found, response)
}

fn not_found() -> Response<ReplyBody> {
    problem(StatusCode::NOT_FOUND, "there is none of that name or number")
}

fn no_content() -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Whole(Bytes::new().into()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn not_allowed(endpoint: &Endpoint) -> Response<ReplyBody> {
    let methods: Vec<&str> = endpoint.methods.iter().map(Method::as_str).collect();
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, &format!("{} takes {}", endpoint.path, methods.join(", ")));
    if let Ok(allow) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

fn who_are_you() -> Response<ReplyBody> {
    let mut response = problem(StatusCode::UNAUTHORIZED, "say who you are: -H 'Authorization: Bearer alice'");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
