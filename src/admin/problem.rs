//! What is answered when a call cannot be done: RFC 9457 `application/problem+json`, with `success` and `message` for clients that know no problems.

use crate::admin::stream::Content;
use crate::suggest::{nearest, quote};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

/// One problem. Becomes a response.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem(Box<Words>);

#[derive(Clone, Debug, PartialEq)]
struct Words {
    status: StatusCode,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with these words for people.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Words { status, detail: detail.into(), more: Map::new(), headers: Vec::new() }))
    }

    /// A fault of the request at `place`: a JSON Pointer into the body, or `?name` of the query.
    pub(super) fn at(place: &str, what: &str) -> Self {
        let shown: String = place.chars().take(200).collect::<String>().escape_debug().to_string();
        let detail = if shown.is_empty() { what.to_owned() } else { format!("{shown}: {what}") };
        Self::new(StatusCode::BAD_REQUEST, detail).with("place", shown)
    }

    /// `word` at `place` is none of `known`: with the one that was probably meant.
    pub(super) fn unknown<'a>(place: &str, what: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().take(200).collect();
        let meant = nearest(word, known.iter().copied()).map_or_else(String::new, |meant| format!("; did you mean {}?", quote(meant)));
        let names = if known.is_empty() { "there are none".into() } else { format!("known: {}", known.join(", ")) };
        Self::at(place, &format!("{what} {}{meant} ({names})", quote(word))).with("known", known)
    }

    /// The same words under 404: what was asked for could be there, but is not.
    pub(super) fn absent(mut self) -> Self {
        self.0.status = StatusCode::NOT_FOUND;
        self
    }

    /// 405, with what is allowed.
    pub(super) fn method(allowed: &str, path: &str) -> Self {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} knows {allowed}"));
        problem.header(ALLOW, allowed)
    }

    /// 401.
    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail).header(WWW_AUTHENTICATE, "Bearer realm=\"warmfront admin\"")
    }

    /// 413; the connection ends with it.
    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes")).header(CONNECTION, "close")
    }

    /// 503, to come back in a second.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).header(RETRY_AFTER, "1")
    }

    /// Adds a member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(name.into(), value.into());
        self
    }

    /// Adds a header field.
    fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// What is wrong, in words.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }
}

impl From<Problem> for Response<Content> {
    fn from(problem: Problem) -> Self {
        Response::<Bytes>::from(problem).map(Content::from)
    }
}

impl From<Problem> for Response<Bytes> {
    fn from(problem: Problem) -> Self {
        let Words { status, detail, more, headers } = *problem.0;
        let mut body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": detail,
            "success": false,
            "message": detail,
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(more);
        }
        let text = Bytes::from(format!("{body}\n"));
        let length = HeaderValue::from(text.len());
        let mut response = Self::new(text);
        *response.status_mut() = status;
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        fields.insert(CONTENT_LENGTH, length);
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.extend(headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::Problem;
    use bytes::Bytes;
    use http::Response;
    use serde_json::Value;

    #[test]
    fn a_problem_names_the_place_the_known_names_and_the_nearest() {
        let response: Response<Bytes> = Problem::unknown("/items/chanels", "unknown group", "chanels", ["models", "channels"]).into();
        let value: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let words = "/items/chanels: unknown group \"chanels\"; did you mean \"channels\"? (known: models, channels)";
        assert_eq!((value["message"].as_str(), value["success"].as_bool()), (Some(words), Some(false)));
        assert_eq!((value["status"].as_u64(), value["place"].as_str()), (Some(400), Some("/items/chanels")));
        assert_eq!(value["known"][1], "channels");
    }
}
