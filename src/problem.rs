//! Refusals as responses: RFC 9457 `application/problem+json`, or plain text for whoever does not ask for JSON.

use crate::telemetry::Refusal;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use std::time::Duration;

/// The response for `refusal`, with `detail` naming the limit or the place. JSON when `request` prefers or accepts it, else text.
/// It carries `Cache-Control: no-store` and, for 503, `Retry-After: 1`.
#[must_use]
pub fn response(refusal: Refusal, detail: &str, request: &HeaderMap) -> Response<Bytes> {
    let status = refusal.status();
    let title = status.canonical_reason().unwrap_or("Error");
    let (kind, body) = if wants_json(request) {
        let body = serde_json::json!({
            "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail, "reason": refusal.as_str(),
        });
        ("application/problem+json", format!("{body}\n"))
    } else {
        ("text/plain; charset=utf-8", format!("{} {title}\n{detail}\n", status.as_u16()))
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == http::StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if refusal == Refusal::ConnectMethod {
        headers.insert(http::header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"));
    }
    response
}

/// The 429 for a client that asks too often: `Retry-After` says when it may come again, in whole seconds, rounded up (RFC 9110 section 10.2.3).
#[must_use]
pub fn rate_limited(wait: Duration, request: &HeaderMap) -> Response<Bytes> {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let mut response = response(Refusal::RateLimited, "you ask more often than you may (rate_limit)", request);
    response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// Whether the client would rather read JSON: it names a JSON type, and does not ask for HTML or text.
fn wants_json(request: &HeaderMap) -> bool {
    request.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|accept| {
        let accept = accept.to_ascii_lowercase();
        accept.contains("json") && !accept.contains("text/html")
    })
}

#[cfg(test)]
mod tests {
    use super::response;
    use crate::telemetry::Refusal;
    use http::{HeaderMap, HeaderValue, header::ACCEPT};

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let json = response(Refusal::BodyTooLarge, "over \"10\"", &headers);
        assert_eq!(json.headers()["content-type"], "application/problem+json");
        let value: serde_json::Value = serde_json::from_slice(json.body()).unwrap();
        assert_eq!((value["status"].as_u64(), value["detail"].as_str()), (Some(413), Some("over \"10\"")));
    }

    #[test]
    fn text_is_the_default_and_503_says_when_to_come_back() {
        let text = response(Refusal::QueueFull, "upstream.max_queue", &HeaderMap::new());
        assert_eq!((text.status().as_u16(), &text.headers()["retry-after"]), (503, &HeaderValue::from_static("1")));
        assert!(text.body().ends_with(b"upstream.max_queue\n"));
    }
}
