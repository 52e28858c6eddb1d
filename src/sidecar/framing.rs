//! Answers as they go onto the wire: the head, and how the end of the body is told (RFC 9112 section 6).

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// What is left to come of a body, and how the client is told where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delimited {
    /// There is none, and no length is told.
    Absent,
    /// By its length: so many bytes more.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// A body does not have the length that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongLength;

/// The line that ends a chunk.
const CHUNK_END: &[u8] = b"\r\n";
/// That line, and behind it what ends the body.
const LAST_CHUNK_END: &[u8] = b"\r\n0\r\n\r\n";

impl Delimited {
    /// Of the answer to a GET in HTTP/1.1: by the length that its head tells, or that its body has, or else in chunks.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, exact: Option<u64>) -> Self {
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Self::Absent;
        }
        let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        told.or(exact).map_or(Self::Chunked, Self::Length)
    }

    /// Whether nothing more comes.
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Absent | Self::Length(0))
    }

    /// What stands in front of a piece of the body is put behind `out`; what stands behind it is returned. `is_last`: the body ends with it. The piece must have a byte at least.
    ///
    /// # Errors
    /// It is longer than all that may come.
    pub(super) fn piece(&mut self, out: &mut Vec<u8>, length: usize, is_last: bool) -> Result<&'static [u8], WrongLength> {
        match self {
            Self::Chunked => {
                write_hex(out, length);
                out.extend_from_slice(b"\r\n");
                if is_last {
                    *self = Self::Absent;
                }
                Ok(if is_last { LAST_CHUNK_END } else { CHUNK_END })
            }
            Self::Length(left) => {
                *left = left.checked_sub(length as u64).ok_or(WrongLength)?;
                Ok(b"")
            }
            Self::Absent => Err(WrongLength),
        }
    }

    /// The body has ended: puts behind `out` what says so.
    ///
    /// # Errors
    /// More was promised.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), WrongLength> {
        match std::mem::replace(self, Self::Absent) {
            Self::Length(1..) => return Err(WrongLength),
            Self::Chunked => out.extend_from_slice(b"0\r\n\r\n"),
            Self::Absent | Self::Length(0) => {}
        }
        Ok(())
    }
}

/// Puts a head behind `out`. What concerns the connection and the framing is told by `is_last` and `delimited`, whatever the fields say.
pub(super) fn write_head(out: &mut Vec<u8>, head: &Parts, delimited: Delimited, is_last: bool) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    write_fields(out, &head.headers);
    match delimited {
        Delimited::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Delimited::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Delimited::Absent => {}
    }
    if is_last {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Puts the lines of all fields behind `out` but for those of the connection and of the framing.
pub(super) fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        if *name != CONTENT_LENGTH && *name != CONNECTION && *name != TRANSFER_ENCODING {
            write_field(out, name, value);
        }
    }
}

/// Puts a line behind `out`.
pub(super) fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].iter().for_each(|part| out.extend_from_slice(part));
}

fn write_hex(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| b"0123456789abcdef"[number >> (4 * digit) & 0xf]));
}

#[cfg(test)]
mod tests {
    use super::{Delimited, WrongLength, write_head, write_hex};
    use http::{Response, StatusCode};

    /// The head of an answer with these fields and a body of this length, if that is known, and how the body is told.
    fn head(status: u16, fields: &[(&str, &str)], exact: Option<u64>, is_last: bool) -> (String, Delimited) {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let (parts, ()) = response.body(()).unwrap().into_parts();
        let delimited = Delimited::of(parts.status, &parts.headers, exact);
        let mut out = b"before".to_vec();
        write_head(&mut out, &parts, delimited, is_last);
        (String::from_utf8(out).unwrap().split_off("before".len()), delimited)
    }

    #[test]
    fn a_head_says_how_its_body_ends_once_and_whether_the_connection_does() {
        for (status, fields, exact, is_last, expected) in [
            (200, &[("a", "b"), ("a", "c")][..], Some(5), false, "HTTP/1.1 200 OK\r\na: b\r\na: c\r\ncontent-length: 5\r\n\r\n"),
            (200, &[], Some(0), true, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
            (200, &[("content-length", "7")], None, false, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"),
            (206, &[("a", "\u{e4}")], None, false, "HTTP/1.1 206 Partial Content\r\na: \u{e4}\r\ntransfer-encoding: chunked\r\n\r\n"),
            (404, &[("transfer-encoding", "gzip")], Some(1), false, "HTTP/1.1 404 Not Found\r\ncontent-length: 1\r\n\r\n"),
            (200, &[("connection", "keep-alive")], Some(1), true, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n"),
            (204, &[], Some(0), false, "HTTP/1.1 204 No Content\r\n\r\n"),
            (304, &[("etag", "\"v\"")], None, false, "HTTP/1.1 304 Not Modified\r\netag: \"v\"\r\n\r\n"),
            (299, &[], Some(0), false, "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n"),
        ] {
            assert_eq!(head(status, fields, exact, is_last).0, expected);
        }
    }

    #[test]
    fn a_body_by_its_length_is_neither_longer_nor_shorter() {
        let mut delimited = Delimited::of(StatusCode::OK, &http::HeaderMap::new(), Some(5));
        let mut out = Vec::new();
        assert_eq!(delimited.piece(&mut out, 3, false), Ok(&b""[..]));
        assert_eq!(delimited.clone().end(&mut out), Err(WrongLength));
        assert_eq!(delimited.clone().piece(&mut out, 3, true), Err(WrongLength));
        assert!(!delimited.is_over());
        assert_eq!((delimited.piece(&mut out, 2, true), delimited.is_over()), (Ok(&b""[..]), true));
        assert_eq!((delimited.end(&mut out), out), (Ok(()), vec![]));
    }

    #[test]
    fn a_body_in_chunks_ends_with_its_last_piece_or_behind_it() {
        let (mut out, mut one, mut two) = (Vec::new(), Delimited::Chunked, Delimited::Chunked);
        assert_eq!(one.piece(&mut out, 0x1a, false), Ok(&b"\r\n"[..]));
        assert_eq!((one.piece(&mut out, 1, true), one.is_over()), (Ok(&b"\r\n0\r\n\r\n"[..]), true));
        assert_eq!(out, b"1a\r\n1\r\n");
        out.clear();
        assert_eq!((two.is_over(), two.end(&mut out), two.is_over()), (false, Ok(()), true));
        assert_eq!(out, b"0\r\n\r\n");
        assert_eq!(Delimited::Absent.piece(&mut out, 1, true), Err(WrongLength), "where none may be");
    }

    #[test]
    fn lengths_of_chunks_are_hexadecimal() {
        for number in [0, 1, 9, 15, 16, 255, 256, 4095, 65536, usize::MAX] {
            let mut out = Vec::new();
            write_hex(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{number:x}"));
        }
    }
}
