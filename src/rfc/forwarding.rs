//! The fields by which a proxy tells who asked it: `Forwarded` (RFC 7239), its forerunners `X-Forwarded-*`, and `Via` (RFC 9110 section 7.6.3).

use http::header::{FORWARDED, HeaderName, VIA};

/// `X-Forwarded-For`: the address of the client, and of each proxy but the last.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Host`: the host that the client asked for.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Proto`: the scheme by which the client asked.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whether a proxy writes, or continues, the field of this name.
///
/// ```
/// use http::header::{HOST, VIA};
/// assert!(warmfront::rfc::forwarding::is_written_by_a_proxy(&VIA) && !warmfront::rfc::forwarding::is_written_by_a_proxy(&HOST));
/// ```
#[must_use]
pub fn is_written_by_a_proxy(name: &HeaderName) -> bool {
    [FORWARDED, VIA, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO].contains(name)
}
