//! A request as it goes out to the upstream.

use crate::body::RequestBody;
use crate::sidecar::failure::Failure;
use crate::sidecar::live::Settings;
use crate::telemetry::Refusal;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TE};
use http::request::Parts;
use http::{Extensions, Version};
use http_body::Body as _;

/// The request as the upstream gets it: the client's Host, and no length that its body does not have. How a body is framed is for whoever writes it.
pub(super) fn prepare(parts: &mut Parts, body: &RequestBody, settings: &Settings) -> Result<(), Failure> {
    if !parts.headers.contains_key(HOST) {
        let host = parts.uri.authority().or_else(|| settings.upstream.host()).and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        let host = host.ok_or_else(|| Failure::new(Refusal::BadRequest, "invalid authority"))?;
        parts.headers.insert(HOST, host);
    }
    parts.version = Version::HTTP_11;
    parts.extensions = Extensions::new();
    if body.is_end_stream() && parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0") {
        parts.headers.remove(CONTENT_LENGTH);
    }
    if parts.headers.contains_key(TE) {
        parts.headers.append(CONNECTION, HeaderValue::from_static("te")); // RFC 9110 section 10.1.4
    }
    Ok(())
}
