//! A request as it goes out to the upstream.

use crate::body::RequestBody;
use crate::sidecar::failure::Failure;
use crate::sidecar::live::Settings;
use crate::sidecar::upload::Upload;
use crate::telemetry::Refusal;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TE, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Extensions, Request, Uri, Version};
use http_body::Body as _;

/// The request as the upstream gets it: the client's Host, one framing.
pub(super) fn prepare(parts: &mut Parts, body: &RequestBody, settings: &Settings) -> Result<(), Failure> {
    if !parts.headers.contains_key(HOST) {
        let host = parts.uri.authority().or_else(|| settings.upstream.host()).and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        let host = host.ok_or_else(|| Failure::new(Refusal::BadRequest, "invalid authority"))?;
        parts.headers.insert(HOST, host);
    }
    parts.version = Version::HTTP_11;
    parts.extensions = Extensions::new();
    if body.is_end_stream() {
        if parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0") {
            parts.headers.remove(CONTENT_LENGTH);
        }
    } else if !parts.headers.contains_key(CONTENT_LENGTH) && body.size_hint().exact().is_none() {
        // Without it hyper would send a GET with content of unknown length as one without content.
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if parts.headers.contains_key(TE) {
        parts.headers.append(CONNECTION, HeaderValue::from_static("te")); // RFC 9110 section 10.1.4
    }
    Ok(())
}

/// The request as it goes out, with path and query alone as its target (RFC 9112 section 3.2.1). `parts` is left without fields.
pub(super) fn taken(parts: &mut Parts, body: Upload) -> Box<Request<Upload>> {
    let headers = std::mem::take(&mut parts.headers);
    outgoing(parts, headers, body)
}

/// The same for a request without content, which may have to be put again.
pub(super) fn copied(parts: &Parts) -> Box<Request<Upload>> {
    outgoing(parts, parts.headers.clone(), Upload::new(RequestBody::default()))
}

fn outgoing(parts: &Parts, headers: HeaderMap, body: Upload) -> Box<Request<Upload>> {
    let mut request = Box::new(Request::new(body));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = Uri::from(parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.headers_mut() = headers;
    request
}
