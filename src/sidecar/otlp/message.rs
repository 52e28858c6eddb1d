//! Spans as OTLP has them (opentelemetry.proto.trace.v1), by the stable semantic conventions for HTTP.

use crate::sidecar::otlp::protobuf::{Message, Value, field};
use crate::telemetry::span::{Asked, Place, Served, Side, Span, Verb};
use http::Version;

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `Span.kind`
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// `Status.code`
const ERROR: u64 = 2;
/// `SpanFlags`: the trace is recorded; whether the parent is remote is known; it is.
const RECORDED: u32 = 1;
const KNOWS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// An `ExportTraceServiceRequest`.
pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |of_resource| {
        of_resource.message(1, |message| resource.iter().for_each(|(key, value)| text(message, 1, key, value)));
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| {
                scope.text(1, NAME);
                scope.text(2, VERSION);
            });
            spans.iter().for_each(|span| of_scope.message(2, |message| write(message, span)));
        });
    });
    request.into_bytes()
}

/// What an `ExportTraceServiceResponse` says was not taken, and why; nothing if it cannot be read.
pub(super) fn rejected(response: &[u8]) -> (u64, String) {
    let mut partial = None;
    each(response, |number, value| {
        if let (1, Value::Bytes(bytes)) = (number, value) {
            partial = Some(bytes);
        }
    });
    let (mut rejected, mut why) = (0, String::new());
    each(partial.unwrap_or_default(), |number, value| match (number, value) {
        (1, Value::Number(count)) => rejected = count,
        (2, Value::Bytes(text)) => why = String::from_utf8_lossy(text).into_owned(),
        _ => {}
    });
    (rejected, why)
}

fn each<'a>(mut message: &'a [u8], mut see: impl FnMut(u64, Value<'a>)) {
    while let Some((number, value, rest)) = field(message) {
        see(number, value);
        message = rest;
    }
}

fn write(message: &mut Message, span: &Span) {
    message.bytes(1, &span.trace.id());
    message.bytes(2, &span.id.to_be_bytes());
    if let Some(parent) = span.parent {
        message.bytes(4, &parent.to_be_bytes());
    }
    let (kind, rule) = match &span.side {
        Side::Served(served) => (SERVER, served.rule.as_deref()),
        Side::Asked(_) => (CLIENT, None),
    };
    // Few names: never the path.
    let method = if let Verb::Known(method) = &span.method { method } else { "HTTP" };
    message.text(5, &rule.map_or_else(|| method.to_owned(), |rule| format!("{method} {rule}")));
    message.number(6, kind);
    message.fixed64(7, span.began);
    message.fixed64(8, span.ended);
    common(message, span);
    match &span.side {
        Side::Served(served) => serve(message, served),
        Side::Asked(asked) => ask(message, asked),
    }
    if is_error(span) {
        message.message(15, |status| status.number(3, ERROR));
    }
    let remote = if span.remote && span.parent.is_some() { IS_REMOTE } else { 0 };
    message.fixed32(16, u32::from(span.trace.flags()) | RECORDED | KNOWS_REMOTE | remote);
}

/// A server has failed by a 5xx alone; who asks it has by a 4xx as well, and without an answer.
fn is_error(span: &Span) -> bool {
    match (&span.side, span.status) {
        (Side::Served(_), status) => status.is_some_and(|status| status.is_server_error()),
        (Side::Asked(_), Some(status)) => status.as_u16() >= 400,
        (Side::Asked(_), None) => true,
    }
}

fn common(message: &mut Message, span: &Span) {
    match &span.method {
        Verb::Known(method) => text(message, ATTRIBUTES, "http.request.method", method),
        Verb::Other(method) => {
            text(message, ATTRIBUTES, "http.request.method", "_OTHER");
            text(message, ATTRIBUTES, "http.request.method_original", method);
        }
        Verb::Unknown => text(message, ATTRIBUTES, "http.request.method", "_OTHER"),
    }
    if let Some(status) = span.status {
        number(message, "http.response.status_code", status.as_u16().into());
    }
    if is_error(span) {
        // Our own word for it where there is one.
        let of_status = span.status.map(|status| status.as_str().to_owned());
        let failed = matches!(&span.side, Side::Served(served) if is_ours(served)) || span.status.is_none();
        let error = span.reason.filter(|_| failed).map(str::to_owned).or(of_status);
        text(message, ATTRIBUTES, "error.type", error.as_deref().unwrap_or("_OTHER"));
    }
    if let Some(reason) = span.reason {
        text(message, ATTRIBUTES, "warmfront.reason", reason);
    }
}

/// Whether its error is one of ours, and not the origin's.
fn is_ours(served: &Served) -> bool {
    use crate::telemetry::Outcome::{Failed, Refused};
    matches!(served.outcome, Failed | Refused)
}

fn serve(message: &mut Message, served: &Served) {
    let (path, query) = served.target.split_once('?').map_or((&*served.target, None), |(path, query)| (path, Some(query)));
    // Of a head that could not be read nothing is known.
    if !path.is_empty() {
        text(message, ATTRIBUTES, "url.path", path);
    }
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        text(message, ATTRIBUTES, "url.query", query);
    }
    if let Some(place) = &served.place {
        text(message, ATTRIBUTES, "url.scheme", scheme(place));
        address(message, place);
    }
    if let Some(version) = served.version.and_then(version) {
        text(message, ATTRIBUTES, "network.protocol.version", version);
    }
    if let Some(rule) = &served.rule {
        text(message, ATTRIBUTES, "http.route", rule);
    }
    text(message, ATTRIBUTES, "warmfront.outcome", served.outcome.as_str());
    number(message, "http.response.body.size", served.bytes);
    number(message, "warmfront.lookup_us", served.lookup / 1000);
    if let Some(upstream) = served.upstream {
        number(message, "warmfront.upstream_us", upstream / 1000);
    }
    if let Some(key) = served.key {
        text(message, ATTRIBUTES, "warmfront.key_hash", &format!("{key:016x}"));
    }
    if let Some(ended) = served.ended {
        text(message, ATTRIBUTES, "warmfront.ended", ended);
    }
}

fn ask(message: &mut Message, asked: &Asked) {
    let Place { host, port, .. } = &asked.place;
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    let full = format!("{}://{open}{host}{close}:{port}{}", scheme(&asked.place), asked.target);
    text(message, ATTRIBUTES, "url.full", &full);
    address(message, &asked.place);
    if asked.resent > 0 {
        number(message, "http.request.resend_count", asked.resent.into());
    }
    text(message, ATTRIBUTES, "warmfront.source", asked.source.as_str());
}

fn scheme(place: &Place) -> &'static str {
    if place.https { "https" } else { "http" }
}

fn address(message: &mut Message, place: &Place) {
    text(message, ATTRIBUTES, "server.address", &place.host);
    number(message, "server.port", place.port.into());
}

const fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

/// `Span.attributes`
const ATTRIBUTES: u64 = 9;

fn text(message: &mut Message, list: u64, key: &str, value: &str) {
    message.message(list, |pair| {
        pair.text(1, key);
        pair.message(2, |any| any.text(1, value));
    });
}

fn number(message: &mut Message, key: &str, value: u64) {
    message.message(ATTRIBUTES, |pair| {
        pair.text(1, key);
        pair.message(2, |any| any.number(3, value));
    });
}
