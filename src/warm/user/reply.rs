//! What a user is answered who asks to be warmed.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// When to come back where there is no room now.
const LATER: Duration = Duration::from_secs(5);

pub(super) fn nobody(header: &HeaderName) -> Response<Bytes> {
    let detail = format!("say who you are: the header {header} is missing");
    let mut response = refused(StatusCode::UNAUTHORIZED, &detail);
    // RFC 9110 section 15.5.2: a 401 says how to authenticate.
    let scheme = if *header == AUTHORIZATION { HeaderValue::from_static("Bearer") } else { HeaderValue::from_static("Identity") };
    response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    response
}

pub(super) fn later(detail: &str) -> Response<Bytes> {
    with_retry_after(refused(StatusCode::SERVICE_UNAVAILABLE, detail), LATER)
}

pub(super) fn with_retry_after(mut response: Response<Bytes>, wait: Duration) -> Response<Bytes> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds(wait)));
    response
}

/// Whole seconds, rounded up.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

pub(super) fn refused(status: StatusCode, detail: &str) -> Response<Bytes> {
    let text = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
        "success": false,
        "message": detail,
    });
    let mut response = json_response(status, &text);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

pub(super) fn json_response(status: StatusCode, value: &Value) -> Response<Bytes> {
    let text = Bytes::from(value.to_string());
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
