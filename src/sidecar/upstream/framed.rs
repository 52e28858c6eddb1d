//! What a response says of its own framing and of another protocol, settled.

use super::UpstreamBody;
use crate::rfc::hop;
use crate::sidecar::admission::tokens;
use crate::sidecar::failure::Failure;
use crate::sidecar::pool::{Arriving, Switched};
use crate::telemetry::Refusal;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Extensions, Response, StatusCode};

/// The body was read by Transfer-Encoding if there is one; the Content-Length beside it is a lie (RFC 9112 section 6.3 rule 3).
pub(super) fn settle_framing(headers: &mut HeaderMap, status: StatusCode) -> Result<(), Failure> {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    if status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH); // RFC 9110 section 8.6
    }
    // It has been seen that several lines agree.
    let Some(length) = headers.get(CONTENT_LENGTH) else { return Ok(()) };
    let first = length.to_str().ok().and_then(|text| text.split(',').next()).and_then(|text| text.trim().parse::<u64>().ok());
    let Some(first) = first else { return Err(Failure::new(Refusal::BadResponse, "invalid Content-Length in the upstream's response")) };
    // A number on a line of its own, as nearly always, stays as it is.
    let is_plain = length.as_bytes().iter().all(u8::is_ascii_digit) && !length.as_bytes().starts_with(b"0");
    if !is_plain || headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(first));
    }
    Ok(())
}

/// The 101 for the client, if it names one of the `offered` protocols (RFC 9110 section 7.8).
pub(super) fn switched(response: Response<Arriving>, offered: &HeaderValue) -> Option<(Response<UpstreamBody>, Switched)> {
    let chosen = response.headers().get(UPGRADE)?.clone();
    let offered = offered.to_str().ok()?;
    let is_offered = |protocol: &str| offered.split(',').any(|offer| offer.trim().eq_ignore_ascii_case(protocol));
    if !tokens(response.headers(), &UPGRADE).all(is_offered) {
        return None;
    }
    let (mut parts, body) = response.into_parts();
    let switched = body.into_switched()?;
    hop::strip_unstorable(&mut parts.headers);
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, chosen);
    parts.extensions = Extensions::new();
    Some((Response::from_parts(parts, UpstreamBody::ours(bytes::Bytes::new())), switched))
}
