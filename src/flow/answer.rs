//! Turning something stored into a response: preconditions, ranges, HEAD, `Age` and `Cache-Status`. Pure, but for the bytes that it slices.

use crate::cache::entry::Stored;
use crate::cache::fields::Said;
use crate::cache::head::Head;
use crate::clock::Stamp;
use crate::flow::body::CacheBody;
use crate::flow::spool::Reader;
use crate::flow::thin::Thin;
use crate::rfc::cache_status::CacheStatus;
use crate::rfc::conditional;
use crate::rfc::range::{self, ByteRange, ContentRange, RangeSet};
use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    RANGE, TRAILER,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use std::collections::VecDeque;

/// More ranges than this in one request are ignored and answered with the whole.
const MAX_RANGES: usize = 16;

/// After so many hits a response keeps the head of its last answer.
const HOT: u64 = 8;

/// Who is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) now: Stamp,
    /// Whether the request may have a range or preconditions.
    pub(crate) conditional: bool,
    /// What to say in `Cache-Status`; `None` if it is switched off. Its `ttl` is filled in here.
    pub(crate) status: Option<CacheStatus>,
}

impl Client<'_> {
    fn wants_body(&self) -> bool {
        *self.method != Method::HEAD
    }

    fn range(&self) -> Option<&HeaderValue> {
        only_range(self.method, self.headers)
    }
}

/// The only Range line, if the method has ranges (RFC 9110 section 14.2).
fn only_range<'a>(method: &Method, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(RANGE).iter();
    lines.next().filter(|_| *method == Method::GET && lines.next().is_none())
}

/// An answer from a stored response.
pub(crate) fn from_stored<B>(stored: &Stored, client: &Client<'_>) -> Response<CacheBody<B>> {
    let head = &stored.head;
    if client.conditional && is_unmodified(head, client) {
        return not_modified(head, client);
    }
    if client.conditional
        && let Some(range) = client.range().filter(|_| range_applies(head, client.headers))
    {
        match stored.range() {
            None => {
                if let Some(response) = ranged(stored, range, client) {
                    return response;
                }
            }
            Some(part) => {
                let length = part.complete.unwrap_or(part.end + 1);
                if let Some(wanted) = range::requested(range.as_bytes()).and_then(|range| range.within(length)) {
                    return one_range(stored, wanted, length, part.start, client);
                }
            }
        }
    }
    let mut response = bare(head.status, head.fields.to_answer(said(head, client), stored.hits() >= HOT));
    if client.wants_body() {
        *response.body_mut() = CacheBody::stored(stored.body.clone(), stored.trailers());
    }
    response
}

/// The answer of a hit that leaves its fields and its content to whoever writes them.
pub(crate) fn thin<B>(thin: Thin) -> Response<CacheBody<B>> {
    let status = thin.stored().head.status;
    let mut response = Response::new(CacheBody::thin(thin));
    *response.status_mut() = status;
    response
}

/// Gives an answer without fields the map of its request, emptied: a server uses its room for the next request.
pub(crate) fn lend_map<B>(response: &mut Response<B>, spare: &mut HeaderMap) {
    if response.headers().is_empty() {
        spare.clear();
        std::mem::swap(response.headers_mut(), spare);
    }
}

/// An answer from a fill under way.
///
/// The one who caused the fill gets the `Age` that was received with it, if any: its answer comes straight from the origin (RFC 9111 section 5.1).
pub(crate) fn from_reader<B>(reader: Reader, client: &Client<'_>) -> Response<CacheBody<B>> {
    let head = reader.head().clone();
    if is_unmodified(&head, client) {
        return not_modified(&head, client);
    }
    let mut response = with_head(head.status, head.fields.to_map(), &head, client);
    if client.wants_body() {
        *response.body_mut() = CacheBody::follow(reader);
    }
    response
}

/// Preconditions apply to what would otherwise be a 200 (RFC 9110 section 13.2.1).
fn is_unmodified(head: &Head, client: &Client<'_>) -> bool {
    if !matches!(head.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        return false;
    }
    // The dates are read where they count: without an entity tag in question (RFC 9110 section 13.2.2).
    let dated = !client.headers.contains_key(IF_NONE_MATCH) && client.headers.contains_key(IF_MODIFIED_SINCE);
    let last_modified = dated.then(|| head.last_modified()).flatten();
    let date = dated.then(|| head.date().unwrap_or_else(|| head.life().received.seconds()));
    conditional::evaluate(client.headers, head.fields.bytes(&ETAG), last_modified, date)
}

/// RFC 9110 section 15.4.5: what a 200 would have said, but for what describes the content.
fn not_modified<B>(head: &Head, client: &Client<'_>) -> Response<CacheBody<B>> {
    let mut headers = head.fields.to_map();
    for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_RANGE, TRAILER] {
        headers.remove(name);
    }
    with_head(StatusCode::NOT_MODIFIED, headers, head, client)
}

/// Whether the `If-Range` of `request`, if there is one, lets its range count (RFC 9110 section 13.1.5).
fn range_applies(head: &Head, request: &HeaderMap) -> bool {
    matches!(head.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT)
        && request.get(IF_RANGE).is_none_or(|if_range| {
            let etag = head.fields.bytes(&ETAG);
            conditional::if_range_holds(if_range.as_bytes(), etag, head.last_modified(), head.date())
        })
}

/// A part of a whole stored response; `None` if the range is to be ignored.
fn ranged<B>(stored: &Stored, range: &HeaderValue, client: &Client<'_>) -> Option<Response<CacheBody<B>>> {
    let length = stored.body.len() as u64;
    match range::parse(range.as_bytes(), length, MAX_RANGES) {
        RangeSet::Ignore => None,
        RangeSet::Unsatisfiable => {
            let mut headers = stored.head.fields.to_map();
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, TRAILER] {
                headers.remove(name);
            }
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            headers.insert(CONTENT_RANGE, range::unsatisfied(length));
            Some(with_head(StatusCode::RANGE_NOT_SATISFIABLE, headers, &stored.head, client))
        }
        RangeSet::Satisfiable(ranges) => Some(match ranges[..] {
            [only] => one_range(stored, only, length, 0, client),
            _ => several_ranges(stored, &ranges, length, client),
        }),
    }
}

/// One range of a stored body that begins at `offset` of the representation.
fn one_range<B>(stored: &Stored, wanted: ByteRange, length: u64, offset: u64, client: &Client<'_>) -> Response<CacheBody<B>> {
    let mut headers = stored.head.fields.to_map();
    headers.insert(CONTENT_RANGE, range::content_range(wanted, length));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(wanted.length()));
    let mut response = with_head(StatusCode::PARTIAL_CONTENT, headers, &stored.head, client);
    *response.body_mut() = CacheBody::stored(slice(&stored.body, wanted, offset), None);
    response
}

/// `multipart/byteranges` (RFC 9110 section 14.6).
fn several_ranges<B>(stored: &Stored, ranges: &[ByteRange], length: u64, client: &Client<'_>) -> Response<CacheBody<B>> {
    let boundary = format!("warmfront-{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>());
    let mut headers = stored.head.fields.to_map();
    let kind = headers.get(CONTENT_TYPE).map(|kind| [b"content-type: ", kind.as_bytes(), b"\r\n"].concat()).unwrap_or_default();
    let mut pieces = VecDeque::with_capacity(2 * ranges.len() + 1);
    for (at, range) in ranges.iter().enumerate() {
        let mut lead = format!("{}--{boundary}\r\n", if at == 0 { "" } else { "\r\n" }).into_bytes();
        lead.extend_from_slice(&kind);
        lead.extend_from_slice(b"content-range: ");
        lead.extend_from_slice(range::content_range(*range, length).as_bytes());
        lead.extend_from_slice(b"\r\n\r\n");
        pieces.push_back(lead.into());
        pieces.push_back(slice(&stored.body, *range, 0));
    }
    pieces.push_back(format!("\r\n--{boundary}--\r\n").into());
    let total: usize = pieces.iter().map(Bytes::len).sum();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(total));
    if let Ok(kind) = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}")) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.remove(CONTENT_RANGE);
    let mut response = with_head(StatusCode::PARTIAL_CONTENT, headers, &stored.head, client);
    *response.body_mut() = CacheBody::pieces(pieces);
    response
}

/// `wanted`, cut out of a body that begins at `offset`; clamped, whatever the numbers say.
fn slice(body: &Bytes, wanted: ByteRange, offset: u64) -> Bytes {
    let at = |position: u64| usize::try_from(position.saturating_sub(offset)).unwrap_or(usize::MAX).min(body.len());
    let (start, end) = (at(wanted.start), at(wanted.end.saturating_add(1)));
    body.slice(start.min(end)..end)
}

/// What is true of an answer now.
fn said(head: &Head, client: &Client<'_>) -> Said {
    let status = client.status.map(|status| {
        let ttl = if status.hit { Some(head.life().left(client.now).div_euclid(1000)) } else { status.ttl };
        CacheStatus { ttl, ..status }
    });
    Said { age: head.life().age(client.now) / 1000, status }
}

/// An answer with these headers, and with what is true of it now.
fn with_head<B>(status: StatusCode, mut headers: HeaderMap, head: &Head, client: &Client<'_>) -> Response<CacheBody<B>> {
    said(head, client).add_to(&mut headers);
    bare(status, headers)
}

/// An answer without a body.
fn bare<B>(status: StatusCode, headers: HeaderMap) -> Response<CacheBody<B>> {
    let mut response = Response::new(CacheBody::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Whether a stored part answers a request with these headers: one range, wholly inside, and no If-Range that wants the whole instead.
pub(crate) fn part_answers(head: &Head, part: &ContentRange, method: &Method, request: &HeaderMap) -> bool {
    let wanted = only_range(method, request).and_then(|range| range::requested(range.as_bytes()));
    let (Some(wanted), Some(length)) = (wanted, part.complete) else { return false };
    wanted.within(length).is_some_and(|wanted| part.start <= wanted.start && wanted.end <= part.end) && range_applies(head, request)
}
