//! A strict reader of chunked framing (RFC 9112 section 7.1), a little less so of upstreams' than of clients'. It tells framing from content, and where the body ends, or that it is broken.

use crate::rfc::hop::ends_here;
use crate::sidecar::fault::Fault;
use crate::sidecar::head::{MAX_FIELDS, field, is_token};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Hexadecimal digits in one chunk size; more could overflow somewhere behind us.
const MAX_DIGITS: u8 = 16;
/// Bytes of extensions in one chunk header.
const MAX_EXTENSION: usize = 1 << 10;
/// Bytes of extensions in a whole body. hyper has 16 KiB, and breaks off without a word.
const MAX_EXTENSIONS: usize = 15 << 10;

/// Where in a chunked body the reader is.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    at: At,
    size: u64,
    digits: u8,
    extension: usize,
    /// Of all chunks.
    extensions: usize,
    trailer: usize,
    line: Vec<u8>,
    max_trailer: usize,
    /// The fields of the trailer section, where somebody wants them.
    fields: Option<Box<HeaderMap>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    /// Blanks after the size or between extensions: only `;` may follow.
    Blank,
    /// Blanks and the name after a `;`; true once a name has begun.
    Name(bool),
    /// After `=`, before the value.
    Equals,
    Token,
    Quoted,
    Escape,
    /// After a quoted value.
    Unquoted,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
}

impl Chunks {
    /// At the start of a body whose trailer section may have `max_trailer` bytes.
    pub(super) const fn new(max_trailer: usize) -> Self {
        Self { at: At::Size, size: 0, digits: 0, extension: 0, extensions: 0, trailer: 0, line: Vec::new(), max_trailer, fields: None }
    }

    /// The same, and the fields of the trailer section are kept.
    pub(super) fn collecting(max_trailer: usize) -> Self {
        Self { fields: Some(Box::default()), ..Self::new(max_trailer) }
    }

    /// What the trailer section has said, if it has said anything.
    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.fields.take().map(|fields| *fields).filter(|fields| !fields.is_empty())
    }

    /// Reads on. How many of `bytes` belong to the body, and whether it has ended with them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), Fault> {
        let mut used = 0;
        while used < bytes.len() {
            let (framing, ended) = self.framing(&bytes[used..])?;
            used += framing;
            if ended {
                return Ok((used, true));
            }
            used += self.content(bytes.len() - used);
        }
        Ok((used, false))
    }

    /// How many of the next `available` bytes are content. They are taken for read.
    pub(super) fn content(&mut self, available: usize) -> usize {
        if self.at != At::Data {
            return 0;
        }
        let taken = usize::try_from(self.size).map_or(available, |size| size.min(available));
        self.size -= taken as u64;
        if self.size == 0 {
            self.at = At::DataCr;
        }
        taken
    }

    /// Reads on to where content begins: how many of `bytes` are framing, and whether the body has ended with them.
    pub(super) fn framing(&mut self, bytes: &[u8]) -> Result<(usize, bool), Fault> {
        for (at, &byte) in bytes.iter().enumerate() {
            match self.at {
                At::Data => return Ok((at, false)),
                At::Trailer => {
                    if self.trailer_byte(byte)? {
                        return Ok((at + 1, true));
                    }
                }
                At::DataCr => self.expect(byte, b'\r', At::DataLf)?,
                At::DataLf => {
                    self.expect(byte, b'\n', At::Size)?;
                    (self.digits, self.extension) = (0, 0);
                }
                At::SizeLf => self.expect(byte, b'\n', if self.size == 0 { At::Trailer } else { At::Data })?,
                At::Size => self.size_byte(byte)?,
                _ => self.extension_byte(byte)?,
            }
        }
        Ok((bytes.len(), false))
    }

    fn expect(&mut self, byte: u8, wanted: u8, next: At) -> Result<(), Fault> {
        self.at = next;
        if byte == wanted { Ok(()) } else { Err(Fault::Chunk) }
    }

    fn size_byte(&mut self, byte: u8) -> Result<(), Fault> {
        match (char::from(byte).to_digit(16), byte) {
            (Some(digit), _) if self.digits < MAX_DIGITS => {
                self.size = if self.digits == 0 { 0 } else { self.size << 4 } | u64::from(digit);
                self.digits += 1;
            }
            (None, b'\r') if self.digits > 0 => self.at = At::SizeLf,
            (None, b';') if self.digits > 0 => self.at = At::Name(false),
            (None, b' ' | b'\t') if self.digits > 0 => self.at = At::Blank,
            _ => return Err(Fault::Chunk),
        }
        Ok(())
    }

    /// chunk-ext of RFC 9112 section 7.1.1. A CR inside a quoted string is refused: some would end the line there, some would not.
    fn extension_byte(&mut self, byte: u8) -> Result<(), Fault> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > MAX_EXTENSION || self.extensions > MAX_EXTENSIONS {
            return Err(Fault::Chunk);
        }
        let blank = matches!(byte, b' ' | b'\t');
        let printable = blank || (byte >= b' ' && byte != 0x7f);
        self.at = match (self.at, byte) {
            (At::Quoted, b'"') => At::Unquoted,
            (At::Quoted, b'\\') => At::Escape,
            (At::Quoted | At::Escape, _) if printable => At::Quoted,
            (At::Quoted | At::Escape, _) => return Err(Fault::Chunk),
            (At::Name(true) | At::Token | At::Unquoted, b'\r') => At::SizeLf,
            // Old servers pad their sizes; what goes on from here is framed by us.
            (At::Blank, b'\r') if self.fields.is_some() => At::SizeLf,
            (At::Name(true) | At::Token | At::Unquoted | At::Blank, b';') => At::Name(false),
            (At::Name(true), b'=') => At::Equals,
            (At::Equals, b'"') => At::Quoted,
            (At::Name(_), _) if is_token(byte) => At::Name(true),
            (At::Equals | At::Token, _) if is_token(byte) => At::Token,
            (At::Name(false), _) if blank => At::Name(false),
            (At::Equals, _) if blank => At::Equals,
            (At::Token | At::Unquoted | At::Blank, _) if blank => At::Blank,
            _ => return Err(Fault::Chunk),
        };
        Ok(())
    }

    /// True at the empty line that ends the trailer section.
    fn trailer_byte(&mut self, byte: u8) -> Result<bool, Fault> {
        self.trailer += 1;
        if self.trailer > self.max_trailer {
            return Err(Fault::Trailer);
        }
        self.line.push(byte);
        if byte != b'\n' {
            return Ok(false);
        }
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r\n").ok_or(Fault::Trailer)?;
        if line.is_empty() {
            return Ok(true);
        }
        let (name, value) = field(line).map_err(|_| Fault::Trailer)?;
        if !may_trail(name) {
            // Of an upstream they are left out.
            return if self.fields.is_some() { Ok(false) } else { Err(Fault::Trailer) };
        }
        if let Some(fields) = &mut self.fields {
            let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else { return Err(Fault::Trailer) };
            if fields.len() >= MAX_FIELDS {
                return Err(Fault::Trailer);
            }
            // HTTP/2 would refuse all of them for one that ends here.
            if !ends_here(&name, true) {
                fields.append(name, value);
            }
        }
        Ok(false)
    }
}

/// RFC 9110 section 6.5.1: fields for framing, routing and authentication have no business in trailers. Whoever merges trailers into the head would believe
/// them, and those by which a proxy vouches for its client as well.
pub(super) fn may_trail(name: &[u8]) -> bool {
    let forbidden = [&b"content-length"[..], b"transfer-encoding", b"host", b"authorization", b"cookie", b"forwarded"];
    let forwarded = name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"));
    !forwarded && !forbidden.iter().any(|field| name.eq_ignore_ascii_case(field))
}

#[cfg(test)]
mod tests {
    use super::{Chunks, Fault};

    fn read(body: &str) -> Result<Option<usize>, Fault> {
        let mut chunks = Chunks::new(64);
        let (used, ended) = chunks.feed(body.as_bytes())?;
        Ok(ended.then_some(used))
    }

    #[test]
    fn well_formed_bodies_end_where_they_end() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "0000000000000003\r\nabc\r\n0\r\n\r\n",
            "A;name\r\n0123456789\r\n00;x=y;z=\"a\\\"b;\"\r\n\r\n",
            "1 ;a=b\r\nx\r\n0\r\nTrailer-Field: v\r\n\r\n",
        ] {
            assert_eq!(read(body), Ok(Some(body.len())), "{body:?}");
            assert_eq!(read(&format!("{body}GET ")), Ok(Some(body.len())), "what follows is not the body's");
        }
        assert_eq!(read("3\r\nab"), Ok(None), "more is to come");
    }

    #[test]
    fn the_fields_at_the_end_are_kept_for_who_wants_them() {
        let body = "1\r\nx\r\n0\r\nX-Sum:  7 \r\nx-sum: 8\r\n\r\n";
        let mut chunks = Chunks::collecting(64);
        assert_eq!(chunks.feed(body.as_bytes()), Ok((body.len(), true)));
        let fields = chunks.take_trailers().unwrap();
        assert_eq!(fields.get_all("x-sum").iter().collect::<Vec<_>>(), ["7", "8"]);
        assert!(Chunks::new(64).feed(body.as_bytes()).is_ok());
        let mut many = Chunks::collecting(64 << 10);
        let fields = |count: usize| "X: y\r\n".repeat(count);
        assert_eq!(many.feed(format!("0\r\n{}", fields(100)).as_bytes()).map(|(_, ended)| ended), Ok(false));
        assert_eq!(many.feed(b"X: y\r\n"), Err(Fault::Trailer), "a hundred are enough");
    }

    #[test]
    fn upstreams_may_pad_their_sizes_and_are_not_believed_in_trailers() {
        let body = "3  \r\nabc\r\n2 ;a=b \r\nde\r\n0 \r\nX-Sum: 1\r\nContent-Length: 9\r\nCookie: a\r\nKeep-Alive: x\r\n\r\n";
        let mut chunks = Chunks::collecting(128);
        assert_eq!(chunks.feed(body.as_bytes()), Ok((body.len(), true)));
        let trailers = chunks.take_trailers().unwrap();
        assert_eq!((trailers.len(), trailers["x-sum"].as_bytes()), (1, &b"1"[..]));
        assert_eq!(Chunks::new(128).feed(body.as_bytes()), Err(Fault::Chunk), "clients may not");
        for body in ["3 x\r\n", "3 \n", "3 \rx", " 3\r\n"] {
            assert_eq!(Chunks::collecting(64).feed(body.as_bytes()), Err(Fault::Chunk), "{body:?}");
        }
    }

    #[test]
    fn content_is_told_from_framing() {
        let mut chunks = Chunks::new(64);
        assert_eq!(chunks.framing(b"5;a=b\r\nabcde\r\n"), Ok((7, false)));
        assert_eq!((chunks.content(3), chunks.content(9), chunks.content(9)), (3, 2, 0));
        assert_eq!(chunks.framing(b"\r\n0\r\n\r\nmore"), Ok((7, true)));
    }

    #[test]
    fn everything_else_is_refused() {
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\ra",
            "1\r\nxy\r\n",
            "1\r\nx\n",
            "1\r\nx\ry",
            "00000000000000001\r\n",
            "FFFFFFFFFFFFFFFF0\r\n",
            "1;\r\n",
            "1;a=\r\n",
            "1;a=\"b\r\n\"\r\n",
            "1;a\nb\r\n",
            "1;a\0\r\n",
            "1;=b\r\n",
        ] {
            assert_eq!(read(body), Err(Fault::Chunk), "{body:?}");
        }
        assert_eq!(read(&format!("1;{}\r\n", "a".repeat(1100))), Err(Fault::Chunk));
        assert_eq!(read(&format!("1;{}\r\nx\r\n", "a".repeat(1000)).repeat(16)), Err(Fault::Chunk), "in all chunks together too");
        assert_eq!(read(&format!("1;{}\r\nx\r\n", "a".repeat(1000)).repeat(15)), Ok(None));
        for body in [
            "0\r\nx\r\n\r\n",
            "0\r\nX: 1\n\r\n",
            "0\r\n X: 1\r\n\r\n",
            "0\r\nContent-Length: 1\r\n\r\n",
            "0\r\nX-Forwarded-For: 1\r\n\r\n",
            "0\r\nAuthorization: 1\r\n\r\n",
            "0\r\n\n",
        ] {
            assert_eq!(read(body), Err(Fault::Trailer), "{body:?}");
        }
        assert_eq!(read(&format!("0\r\nX: {}\r\n\r\n", "a".repeat(64))), Err(Fault::Trailer), "trailers are bounded");
    }
}
