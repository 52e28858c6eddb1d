//! What can go wrong between a request and the end of its response.

use crate::error::BoxError;
use std::error::Error;
use std::fmt;
use std::io;

/// Why an exchange with the upstream came to nothing, or broke off.
#[derive(Debug)]
pub(in crate::sidecar) enum Broken {
    /// The upstream ended the connection too early.
    Closed,
    /// The connection failed.
    Io(io::Error),
    /// What came is no response, or one that could be read in two ways.
    Malformed(Malformed),
    /// The request's body broke off, or is not what its head says.
    Upload(BoxError),
    /// What HTTP/2 says.
    Two(hyper::Error),
}

/// What is wrong with the bytes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sidecar) enum Malformed {
    /// Something came before the request was sent.
    Unasked,
    /// Not `HTTP/1.x SP 3DIGIT SP reason`.
    StatusLine,
    /// A field line that is not `name: value`: no name, whitespace before the colon, a fold, a control character.
    Field,
    /// The heads of one answer have more bytes than anybody should need.
    TooLarge,
    /// More than a hundred fields.
    TooManyFields,
    /// Interim responses without an end.
    TooManyInterim,
    /// `Content-Length` that is no number, or several that differ.
    ContentLength,
    /// A `Transfer-Encoding` that hides how the body is to be read.
    TransferEncoding,
    /// A chunk that is not framed as RFC 9112 section 7.1 says.
    Chunk,
    /// A trailer section that is malformed, too large, or names framing.
    Trailer,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("connection closed before message completed"),
            Self::Io(_) => f.write_str("connection error"),
            Self::Malformed(what) => what.fmt(f),
            Self::Upload(_) => f.write_str("error from the request's body"),
            Self::Two(error) => error.fmt(f),
        }
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed | Self::Malformed(_) => None,
            Self::Io(error) => Some(error),
            Self::Upload(error) => Some(&**error),
            Self::Two(error) => Some(error),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for Broken {
    fn from(what: Malformed) -> Self {
        Self::Malformed(what)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unasked => "bytes that nobody had asked for",
            Self::StatusLine => "malformed status line",
            Self::Field => "malformed header field",
            Self::TooLarge => "response head over 64 KiB",
            Self::TooManyFields => "more than 100 header fields",
            Self::TooManyInterim => "more than 100 interim responses",
            Self::ContentLength => "invalid Content-Length, or several that differ",
            Self::TransferEncoding => "Transfer-Encoding other than chunked",
            Self::Chunk => "malformed chunk",
            Self::Trailer => "malformed trailer section",
        })
    }
}
