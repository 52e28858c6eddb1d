//! What is answered when a call could be done.

use crate::admin::stream::{Content, Events};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// The media type of server-sent events.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// One answer. Becomes a response.
#[derive(Debug)]
pub(super) struct Answer(Response<Content>);

impl Answer {
    /// 200 with JSON.
    pub(super) fn json(value: &Value) -> Self {
        Self::text("application/json", format!("{value}\n"))
    }

    /// 200 with a message and nothing else.
    pub(super) fn message(words: &str) -> Self {
        Self::json(&json!({ "success": true, "message": words }))
    }

    /// 202 with JSON, and where to look how it goes on.
    pub(super) fn accepted(value: &Value, job: u64) -> Self {
        let Self(mut response) = Self::json(value);
        *response.status_mut() = StatusCode::ACCEPTED;
        if let Ok(location) = HeaderValue::try_from(format!("/api/warm/jobs/{job}")) {
            response.headers_mut().insert(LOCATION, location);
        }
        Self(response)
    }

    /// 200 with messages that are there already.
    pub(super) fn events(messages: Bytes) -> Self {
        Self::of_events(Content::Text(messages))
    }

    /// 200 with events as they come.
    pub(super) fn stream(events: Events) -> Self {
        Self::of_events(Content::Events(Box::new(events)))
    }

    fn of_events(content: Content) -> Self {
        let mut response = Response::new(content);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // nginx would collect them.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        Self(response)
    }

    /// 200 with any text.
    pub(super) fn text(kind: &'static str, text: String) -> Self {
        let text = Bytes::from(text);
        let length = HeaderValue::from(text.len());
        let mut response = Response::new(Content::Text(text));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self(response)
    }
}

impl From<Answer> for Response<Content> {
    fn from(Answer(response): Answer) -> Self {
        response
    }
}
