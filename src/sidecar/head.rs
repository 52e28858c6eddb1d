//! One request head, line by line: strict where hyper is lenient, silent about what hyper checks just as well.

use crate::sidecar::fault::Fault;

/// The longest request target in bytes; RFC 9110 section 4.1 asks for at least 8000 octets. Over it 414.
pub(super) const MAX_TARGET: usize = 8 << 10;

/// Fields in one head; over it 431. hyper has the same limit, but refuses without a word.
pub(super) const MAX_FIELDS: usize = 100;

/// Empty lines before a request line that are overlooked (RFC 9112 section 2.2 asks for at least one).
const MAX_EMPTY_LINES: u8 = 2;

/// How the body that follows a head is framed (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Exactly so many bytes; none where a head says nothing.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What the lines of a head have said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    begun: bool,
    empty_lines: u8,
    old: bool,
    /// One more than [`MAX_FIELDS`] at most.
    fields: u8,
    host: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl Head {
    /// Whether the request line has not been seen yet.
    pub(super) const fn wants_request_line(&self) -> bool {
        !self.begun
    }

    /// Whether the request line that was read is one of HTTP/1.0.
    pub(super) const fn is_old(&self) -> bool {
        self.old
    }

    /// Whether an `Upgrade` field has been seen.
    pub(super) const fn has_upgrade(&self) -> bool {
        self.upgrade
    }

    /// Reads one line, its LF included. `Some` at the empty line that ends the head.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<Option<Framing>, Fault> {
        // RFC 9112 section 2.2 allows a lone LF as a line end; a peer that does not would see other lines than we do.
        let line = line.strip_suffix(b"\r\n").ok_or(Fault::LineEnd)?;
        if !self.begun {
            return self.first_line(line).map(|()| None);
        }
        if line.is_empty() {
            return self.end().map(Some);
        }
        self.fields += 1;
        if usize::from(self.fields) > MAX_FIELDS {
            return Err(Fault::TooManyFields);
        }
        let (name, value) = field(line)?;
        self.framing_field(name, value)?;
        Ok(None)
    }

    fn first_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.is_empty() {
            self.empty_lines += 1;
            return if self.empty_lines > MAX_EMPTY_LINES { Err(Fault::RequestLine) } else { Ok(()) };
        }
        self.old = request_line(line)?;
        self.begun = true;
        Ok(())
    }

    fn framing_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let is = |field: &[u8]| name.eq_ignore_ascii_case(field);
        let fault = match name.len() {
            // RFC 9112 section 3.2: more than one Host line is a 400.
            4 if is(b"host") => std::mem::replace(&mut self.host, true).then_some(Fault::Host),
            14 if is(b"content-length") => {
                // RFC 9112 section 6.3 rule 5; identical repetitions are refused too, as RFC 9110 section 8.6 allows.
                let length = digits(value).ok_or(Fault::ContentLength)?;
                self.length.replace(length).map(|_| Fault::ContentLength)
            }
            17 if is(b"transfer-encoding") => {
                // RFC 9112 sections 6.1 and 6.3 rule 4: one coding, the only one we know, and never in HTTP/1.0.
                let known = !self.old && value.eq_ignore_ascii_case(b"chunked");
                let again = std::mem::replace(&mut self.chunked, true);
                (!known || again).then_some(Fault::TransferEncoding)
            }
            7 if is(b"upgrade") => {
                self.upgrade = true;
                None
            }
            // CGI and its heirs take `_` for `-`: an origin that does would see another framing than we do.
            14 if is(b"content_length") => Some(Fault::ContentLength),
            17 if is(b"transfer_encoding") => Some(Fault::TransferEncoding),
            _ => None,
        };
        fault.map_or(Ok(()), Err)
    }

    fn end(&mut self) -> Result<Framing, Fault> {
        let head = std::mem::take(self);
        // RFC 9112 section 3.2: an HTTP/1.1 request without Host is a 400.
        if !head.host && !head.old {
            return Err(Fault::Host);
        }
        match (head.chunked, head.length) {
            (true, Some(_)) => Err(Fault::TwoFramings),
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// Checks `method SP target SP version` (RFC 9112 section 3); true for HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Fault> {
    let method_end = memchr::memchr(b' ', line).ok_or(Fault::RequestLine)?;
    let (method, rest) = (&line[..method_end], &line[method_end + 1..]);
    let target_end = memchr::memchr(b' ', rest).ok_or(Fault::RequestLine)?;
    let (target, version) = (&rest[..target_end], &rest[target_end + 1..]);
    if method.is_empty() || target.is_empty() || !method.iter().all(|&b| is_token(b)) {
        return Err(Fault::RequestLine);
    }
    if target.len() > MAX_TARGET {
        return Err(Fault::TargetTooLong);
    }
    // RFC 9112 section 3.2: a target has no fragment; hyper would cut it off without a word.
    if !target.iter().fold(true, |good, &b| good & (b > b' ') & (b != 0x7f) & (b != b'#')) {
        return Err(Fault::Target);
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ => Err(Fault::Version),
    }
}

/// Splits a field line without its CRLF into name and trimmed value (RFC 9112 section 5).
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let colon = memchr::memchr(b':', line).ok_or(Fault::Field)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    // Section 5.1: no whitespace before the colon; section 5.2: no line folding. Both fail the token test.
    if name.is_empty() || !name.iter().all(|&b| is_token(b)) {
        return Err(Fault::Field);
    }
    // RFC 9110 section 5.5: CR, LF and NUL are dangerous, the other controls are invalid.
    if !value.iter().fold(true, |good, &b| good & ((b >= b' ') | (b == b'\t')) & (b != 0x7f)) {
        return Err(Fault::Field);
    }
    Ok((name, trim(value)))
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// 1*DIGIT that fits a `u64`: no sign, no list, no blanks.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 20 {
        return None;
    }
    value.iter().try_fold(0u64, |sum, &b| if b.is_ascii_digit() { sum.checked_mul(10)?.checked_add(u64::from(b - b'0')) } else { None })
}

/// tchar of RFC 9110 section 5.6.2.
pub(super) const fn is_token(b: u8) -> bool {
    matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
        || b.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::{Fault, Framing, Head};

    fn read(head: &str) -> Result<Framing, Fault> {
        let mut scan = Head::default();
        for line in head.as_bytes().split_inclusive(|&b| b == b'\n') {
            if let Some(framing) = scan.line(line)? {
                return Ok(framing);
            }
        }
        panic!("{head:?} has no end");
    }

    fn with(fields: &str) -> Result<Framing, Fault> {
        read(&format!("POST /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n"))
    }

    #[test]
    fn a_plain_head_has_no_body() {
        assert_eq!(read("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Ok(Framing::Length(0)));
        assert_eq!(read("GET / HTTP/1.0\r\n\r\n"), Ok(Framing::Length(0)), "HTTP/1.0 needs no Host");
        assert_eq!(read("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), Ok(Framing::Length(0)), "one empty line is overlooked");
    }

    #[test]
    fn the_framing_is_read_as_rfc_9112_says() {
        assert_eq!(with("content-LENGTH:\t 12 "), Ok(Framing::Length(12)));
        assert_eq!(with("Transfer-Encoding: Chunked"), Ok(Framing::Chunked));
    }

    #[test]
    fn request_lines_are_strict() {
        for (line, fault) in [
            ("GET  / HTTP/1.1", Fault::RequestLine),
            (" GET / HTTP/1.1", Fault::RequestLine),
            ("GET /", Fault::RequestLine),
            ("G\u{e9}T / HTTP/1.1", Fault::RequestLine),
            ("GET / HTTP/1.1 ", Fault::Version),
            ("GET /a b HTTP/1.1", Fault::Version),
            ("GET / HTTP/2.0", Fault::Version),
            ("GET / http/1.1", Fault::Version),
            ("GET / HTTP/1.2", Fault::Version),
            ("GET /#x HTTP/1.1", Fault::Target),
            ("GET /\0 HTTP/1.1", Fault::Target),
            ("GET /\x7f HTTP/1.1", Fault::Target),
            ("GET /\t HTTP/1.1", Fault::Target),
        ] {
            assert_eq!(read(&format!("{line}\r\nHost: h\r\n\r\n")), Err(fault), "{line:?}");
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(super::MAX_TARGET));
        assert_eq!(read(&long), Err(Fault::TargetTooLong));
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for (fields, fault) in [
            ("Content-Length: 1\r\nTransfer-Encoding: chunked", Fault::TwoFramings),
            ("Transfer-Encoding: chunked\r\nContent-Length: 1", Fault::TwoFramings),
            ("Content-Length: 1\r\nContent-Length: 2", Fault::ContentLength),
            ("Content-Length: 1\r\nContent-Length: 1", Fault::ContentLength),
            ("Content-Length: 1, 1", Fault::ContentLength),
            ("Content-Length: +1", Fault::ContentLength),
            ("Content-Length: -1", Fault::ContentLength),
            ("Content-Length: 0x1", Fault::ContentLength),
            ("Content-Length:", Fault::ContentLength),
            ("Content-Length: 18446744073709551616", Fault::ContentLength),
            ("Transfer-Encoding: gzip, chunked", Fault::TransferEncoding),
            ("Transfer-Encoding: chunked, identity", Fault::TransferEncoding),
            ("Transfer-Encoding: xchunked", Fault::TransferEncoding),
            ("Transfer-Encoding:\u{b}chunked", Fault::Field),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Fault::TransferEncoding),
            ("Transfer-Encoding: identity", Fault::TransferEncoding),
            ("Content_Length: 1", Fault::ContentLength),
            ("Transfer_Encoding: chunked", Fault::TransferEncoding),
            ("Host: other", Fault::Host),
        ] {
            assert_eq!(with(fields), Err(fault), "{fields:?}");
        }
        assert_eq!(read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(Fault::TransferEncoding));
        assert_eq!(read("GET / HTTP/1.1\r\nAccept: x\r\n\r\n"), Err(Fault::Host));
    }

    #[test]
    fn a_hundred_fields_are_enough() {
        assert_eq!(with(&["X: y"; super::MAX_FIELDS - 1].join("\r\n")), Ok(Framing::Length(0)));
        assert_eq!(with(&["X: y"; super::MAX_FIELDS].join("\r\n")), Err(Fault::TooManyFields));
    }

    #[test]
    fn malformed_lines_are_refused() {
        for fields in ["X : 1", " X: 1", "\tfold", ": 1", "no colon", "X: a\0b", "X: a\rb", "X: \x01", "X\u{e9}: 1", "(x): 1"] {
            assert_eq!(with(fields), Err(Fault::Field), "{fields:?}");
        }
        assert_eq!(with("X: a\nY: b"), Err(Fault::LineEnd));
        assert_eq!(with("X: \u{e9}, \"(]\" \t ok"), Ok(Framing::Length(0)), "obs-text and punctuation are fine in values");
    }
}
