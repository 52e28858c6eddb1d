//! What can be wrong with the bytes of a request.

use crate::telemetry::Refusal;

/// Why the scan refused a request: the bytes can be read in two ways, or not at all, or are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not `method SP target SP version`.
    RequestLine,
    /// A control character or a fragment in the target.
    Target,
    /// The target is longer than [`MAX_TARGET`](super::head::MAX_TARGET), or the request line alone fills the head.
    TargetTooLong,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// A line that does not end in CRLF.
    LineEnd,
    /// A field line that is not `name: value`: no name, whitespace before the colon, a fold, a control character.
    Field,
    /// Several `Content-Length`, or one that is not all digits.
    ContentLength,
    /// A `Transfer-Encoding` that is not exactly `chunked`, or in HTTP/1.0.
    TransferEncoding,
    /// Both framings at once.
    TwoFramings,
    /// No `Host`, or several.
    Host,
    /// The head is larger than `server.max_header_bytes`.
    HeadTooLarge,
    /// More than a hundred fields in one head.
    TooManyFields,
    /// A chunk that is not framed as RFC 9112 section 7.1 says.
    Chunk,
    /// A trailer section that is malformed, too large, or names framing.
    Trailer,
}

impl Fault {
    /// The refusal that answers it.
    pub(super) const fn refusal(self) -> Refusal {
        match self {
            Self::TargetTooLong => Refusal::TargetTooLong,
            Self::HeadTooLarge | Self::TooManyFields => Refusal::HeadersTooLarge,
            _ => Refusal::BadRequest,
        }
    }

    /// What is wrong, in words for the client.
    pub(super) const fn detail(self) -> &'static str {
        match self {
            Self::RequestLine => "malformed request line",
            Self::Target => "request target with a fragment or a control character",
            Self::TargetTooLong => "request target over 8 KiB",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            Self::LineEnd => "a line does not end in CRLF",
            Self::Field => "malformed header field",
            Self::ContentLength => "several or invalid Content-Length",
            Self::TransferEncoding => "Transfer-Encoding other than chunked",
            Self::TwoFramings => "both Content-Length and Transfer-Encoding",
            Self::Host => "exactly one Host is needed",
            Self::HeadTooLarge => "request head over server.max_header_bytes",
            Self::TooManyFields => "more than 100 header fields",
            Self::Chunk => "malformed chunk",
            Self::Trailer => "malformed trailer section",
        }
    }
}
