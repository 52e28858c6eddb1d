//! The body of a response, cut out of what has come. Each piece is a slice of the buffer that it was read into.

use crate::sidecar::chunk::Chunks;
use crate::sidecar::fault::Fault;
use crate::sidecar::pool::broken::{Broken, Malformed};
use crate::sidecar::pool::one::framing::Framing;
use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

/// The largest trailer section, as large as hyper's.
const MOST_TRAILER: usize = 16 << 10;

/// What is left of a body.
#[derive(Debug)]
pub(super) enum Left {
    /// So many bytes; none: it has ended.
    Length(u64),
    Chunked(Chunks),
    /// Its trailers: the framing has ended.
    Trailers(HeaderMap),
    /// Everything up to the end of the connection.
    UntilClose,
    /// Nothing that can be read.
    Malformed(Malformed),
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Frame(Frame<Bytes>),
    End,
    /// Nothing before more has come.
    More,
}

impl Left {
    /// Nothing.
    pub(super) const NOTHING: Self = Self::Length(0);

    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunks::collecting(MOST_TRAILER)),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Whether it has ended, and by itself.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// How long the rest is, if that is known.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            _ => SizeHint::new(),
        }
    }

    /// Cuts the next piece out of what has `come`.
    pub(super) fn next(&mut self, come: &mut BytesMut) -> Result<Next, Malformed> {
        match self {
            Self::Length(0) => Ok(Next::End),
            Self::Malformed(what) => Err(*what),
            Self::Trailers(fields) => {
                let fields = std::mem::take(fields);
                *self = Self::NOTHING;
                Ok(Next::Frame(Frame::trailers(fields)))
            }
            _ if come.is_empty() => Ok(Next::More),
            Self::Length(left) => {
                let taken = usize::try_from(*left).map_or(come.len(), |left| left.min(come.len()));
                *left -= taken as u64;
                Ok(Next::Frame(Frame::data(come.split_to(taken).freeze())))
            }
            Self::UntilClose => Ok(Next::Frame(Frame::data(come.split().freeze()))),
            Self::Chunked(_) => {
                self.pass_framing(come);
                let Self::Chunked(chunks) = self else { return self.next(come) };
                let taken = chunks.content(come.len());
                if taken == 0 {
                    return Ok(Next::More);
                }
                let piece = come.split_to(taken).freeze();
                // So that the end of a body is known as soon as it has come.
                self.pass_framing(come);
                Ok(Next::Frame(Frame::data(piece)))
            }
        }
    }

    /// Reads what stands between two chunks or behind the last.
    fn pass_framing(&mut self, come: &mut BytesMut) {
        let Self::Chunked(chunks) = self else { return };
        match chunks.framing(come) {
            Ok((used, ended)) => {
                come.advance(used);
                if ended {
                    *self = chunks.take_trailers().map_or(Self::NOTHING, Self::Trailers);
                }
            }
            Err(fault) => *self = Self::Malformed(if fault == Fault::Trailer { Malformed::Trailer } else { Malformed::Chunk }),
        }
    }

    /// The upstream has ended the connection: whether that is where the body ends.
    pub(super) fn closed(&mut self) -> Result<(), Broken> {
        match self {
            Self::UntilClose | Self::Length(0) => {
                *self = Self::NOTHING;
                Ok(())
            }
            _ => Err(Broken::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Framing, Left, Malformed, Next};
    use bytes::BytesMut;

    /// All that can be cut out of `text`, which comes in pieces; what it came to, and what it left.
    fn read(framing: Framing, text: &str, piece: usize) -> (Result<bool, Malformed>, String, String) {
        let (mut left, mut come, mut body) = (Left::new(framing), BytesMut::new(), String::new());
        let mut pieces = text.as_bytes().chunks(piece);
        loop {
            match left.next(&mut come) {
                Ok(Next::Frame(frame)) => match frame.into_data() {
                    Ok(data) => {
                        assert!(!data.is_empty());
                        body.push_str(std::str::from_utf8(&data).unwrap());
                    }
                    Err(frame) => body.push_str(&format!("{:?}", frame.into_trailers().unwrap())),
                },
                Ok(Next::End) => {
                    let rest = pieces.flatten().copied().collect::<Vec<_>>();
                    come.extend_from_slice(&rest);
                    return (Ok(true), body, String::from_utf8(come.to_vec()).unwrap());
                }
                Ok(Next::More) => match pieces.next() {
                    Some(piece) => come.extend_from_slice(piece),
                    None => return (Ok(left.closed().is_ok()), body, String::new()),
                },
                Err(what) => return (Err(what), body, String::new()),
            }
        }
    }

    #[test]
    fn a_body_is_cut_out_alike_however_it_comes() {
        for (framing, text, whole, expected, rest) in [
            (Framing::Length(0), "next", Ok(true), "", "next"),
            (Framing::Length(5), "hellonext", Ok(true), "hello", "next"),
            (Framing::Length(5), "hell", Ok(false), "hell", ""),
            (Framing::UntilClose, "hello", Ok(true), "hello", ""),
            (Framing::Chunked, "5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\nnext", Ok(true), "hello!", "next"),
            (Framing::Chunked, "5\r\nhello\r\n0\r\nX: 1\r\n\r\nnext", Ok(true), "hello{\"x\": \"1\"}", "next"),
            (Framing::Chunked, "5\r\nhello\r\n0\r\n\r", Ok(false), "hello", ""),
            (Framing::Chunked, "5\r\nhel", Ok(false), "hel", ""),
            (Framing::Chunked, "5\r\nhello\r\nx", Err(Malformed::Chunk), "hello", ""),
            (Framing::Chunked, "5\r\nhelloX", Err(Malformed::Chunk), "hello", ""),
            (Framing::Chunked, "FFFFFFFFFFFFFFFFF\r\n", Err(Malformed::Chunk), "", ""),
            (Framing::Chunked, "-1\r\n", Err(Malformed::Chunk), "", ""),
            (Framing::Chunked, "1\r\nx\r\n0\r\nContent-Length: 1\r\n\r\n", Ok(true), "x", ""),
            (Framing::Chunked, "1\r\nx\r\n0\r\nX : 1\r\n\r\n", Err(Malformed::Trailer), "x", ""),
        ] {
            for piece in [1, 3, 1000] {
                let expected = (whole, expected.to_owned(), rest.to_owned());
                assert_eq!(read(framing, text, piece), expected, "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn the_end_is_known_with_the_last_piece() {
        let mut come = BytesMut::from("5\r\nhello\r\n0\r\n\r\n");
        let mut left = Left::new(Framing::Chunked);
        assert!(matches!(left.next(&mut come), Ok(Next::Frame(_))));
        assert!(left.is_over() && come.is_empty());
        let (mut left, mut come) = (Left::new(Framing::Length(2)), BytesMut::from("ok"));
        assert_eq!(left.size_hint().exact(), Some(2));
        assert!(matches!(left.next(&mut come), Ok(Next::Frame(_))));
        assert!(left.is_over());
    }
}
