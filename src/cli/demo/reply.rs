//! Responses of the sample API: JSON, problems, conditional and partial answers, and token streams.

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// The pause between two tokens.
pub(super) const TOKEN_PAUSE: Duration = Duration::from_millis(80);

/// A whole body, or one that comes token by token.
pub(super) enum ReplyBody {
    Whole(Full<Bytes>),
    Tokens { left: std::vec::IntoIter<Bytes>, pause: Pin<Box<Sleep>> },
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Tokens { left, pause } => {
                ready!(pause.as_mut().poll(cx));
                *pause = Box::pin(tokio::time::sleep(TOKEN_PAUSE));
                Poll::Ready(left.next().map(|token| Ok(Frame::data(token))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        if let Self::Whole(body) = self { body.is_end_stream() } else { false }
    }

    fn size_hint(&self) -> SizeHint {
        if let Self::Whole(body) = self { body.size_hint() } else { SizeHint::default() }
    }
}

/// A JSON response.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<ReplyBody> {
    whole(status, "application/json", format!("{value}\n").into())
}

/// An RFC 9457 problem.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response<ReplyBody> {
    let title = status.canonical_reason().unwrap_or("Error");
    let value = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    let mut response = whole(status, "application/problem+json", format!("{value}\n").into());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response of events, one after the other.
pub(super) fn events(tokens: Vec<Bytes>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Tokens { left: tokens.into_iter(), pause: Box::pin(tokio::time::sleep(Duration::ZERO)) });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn whole(status: StatusCode, kind: &'static str, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Whole(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A JSON response with an entity tag; 304 if `request` has it already.
pub(super) fn tagged(etag: &str, value: &Value, request: &HeaderMap) -> Response<ReplyBody> {
    let mut response = if has_tag(request, etag) {
        let mut empty = whole(StatusCode::NOT_MODIFIED, "application/json", Bytes::new());
        empty.headers_mut().remove(CONTENT_TYPE);
        empty
    } else {
        json(StatusCode::OK, value)
    };
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}

/// Whether `request` says that it has the representation called `etag` (RFC 9110 section 13.1.2).
pub(super) fn has_tag(request: &HeaderMap, etag: &str) -> bool {
    let lines = request.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// As [`tagged`], for a body that may be asked for in part (RFC 9110 section 14).
pub(super) fn ranged(etag: &str, value: &Value, request: &HeaderMap) -> Response<ReplyBody> {
    let mut response = tagged(etag, value, request);
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let wanted = request.get(RANGE).and_then(|range| range.to_str().ok());
    let same = request.get(IF_RANGE).is_none_or(|tag| tag == etag);
    if let Some(wanted) = wanted.filter(|_| same && response.status() == StatusCode::OK) {
        let body = Bytes::from(format!("{value}\n"));
        match part(wanted, body.len()) {
            Part::None => {}
            Part::Unsatisfiable => {
                let length = body.len();
                response = problem(StatusCode::RANGE_NOT_SATISFIABLE, "the range lies beyond the end");
                content_range(&mut response, &format!("bytes */{length}"));
            }
            Part::Of(start, end) => {
                content_range(&mut response, &format!("bytes {start}-{end}/{}", body.len()));
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                *response.body_mut() = ReplyBody::Whole(Full::new(body.slice(start..=end)));
            }
        }
    }
    response
}

fn content_range(response: &mut Response<ReplyBody>, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// Not one range of bytes: answer with everything.
    None,
    Unsatisfiable,
    /// First and last byte.
    Of(usize, usize),
}

fn part(range: &str, length: usize) -> Part {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else { return Part::None };
    let (start, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(start), Ok(end)) if start <= end => (start, end),
        (Ok(start), _) if last.is_empty() => (start, usize::MAX),
        (_, Ok(suffix)) if first.is_empty() && suffix > 0 => (length.saturating_sub(suffix), usize::MAX),
        (_, Ok(0)) if first.is_empty() => return Part::Unsatisfiable,
        _ => return Part::None,
    };
    if start < length { Part::Of(start, end.min(length - 1)) } else { Part::Unsatisfiable }
}

#[cfg(test)]
mod tests {
    use super::{Part, part};

    #[test]
    fn one_range_is_a_part_and_anything_else_the_whole() {
        for (range, wanted) in [
            ("bytes=0-9", Part::Of(0, 9)),
            ("bytes=90-", Part::Of(90, 99)),
            ("bytes=90-200", Part::Of(90, 99)),
            ("bytes=-10", Part::Of(90, 99)),
            ("bytes=-200", Part::Of(0, 99)),
            ("bytes=100-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=9-0", Part::None),
            ("bytes=0-1,2-3", Part::None),
            ("lines=0-1", Part::None),
        ] {
            assert_eq!(part(range, 100), wanted, "{range}");
        }
    }
}
