//! The head of a response (RFC 9112 sections 4 and 5), as strict as those of requests are read but for one thing: a line may end in LF alone, as those of old
//! servers do (section 2.2). What goes on from here has lines of ours, and the connection is not used again.

use crate::sidecar::head::MAX_FIELDS;
use crate::sidecar::pool::broken::Malformed;
use crate::sidecar::pool::one::framing::Said;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use memchr::{memchr, memchr_iter};
use smallvec::SmallVec;

/// Bytes in the heads of one answer, interim ones among them.
pub(super) const MOST_BYTES: usize = 64 << 10;
/// Fields that are put on behind us: room for them spares a map that grows.
const OURS: usize = 4;

/// A head as it was read.
#[derive(Debug)]
pub(in crate::sidecar::pool) struct Head {
    pub(in crate::sidecar::pool) status: StatusCode,
    /// HTTP/1.0.
    pub(in crate::sidecar::pool) old: bool,
    pub(in crate::sidecar::pool) fields: HeaderMap,
    pub(super) said: Said,
    /// Nothing need be done to its fields.
    pub(in crate::sidecar::pool) is_settled: bool,
}

/// The lines of a head that may still be coming: each byte is looked at once, however slowly they drip.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Where each ends, behind its LF.
    ends: SmallVec<[u32; 24]>,
    /// Up to where has been looked.
    seen: usize,
    /// One of them ends in LF alone.
    bare: bool,
}

impl Lines {
    /// Where the head with which `bytes` begin ends, if it has come whole. Of `bytes` only the end may have changed since the last time.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let from = std::mem::replace(&mut self.seen, bytes.len());
        let mut start = self.ends.last().map_or(0, |&end| end as usize);
        for at in memchr_iter(b'\n', &bytes[from..]).map(|at| from + at) {
            let is_bare = at == start || bytes[at - 1] != b'\r';
            self.bare |= is_bare;
            if at == start + usize::from(!is_bare) {
                return Ok(Some(at + 1)); // the line is empty
            }
            // The status line is one of them.
            if self.ends.len() > MAX_FIELDS {
                return Err(Malformed::TooManyFields);
            }
            start = at + 1;
            self.ends.push(u32::try_from(start).map_err(|_| Malformed::TooLarge)?);
        }
        // What is no head at all need not be waited for.
        let beginning = bytes.len().min(BEGINNING.len());
        if bytes[..beginning] != BEGINNING[..beginning] {
            return Err(Malformed::StatusLine);
        }
        Ok(None)
    }

    /// Forgets all, for the next head.
    pub(super) fn clear(&mut self) {
        self.ends.clear();
        (self.seen, self.bare) = (0, false);
    }

    /// Whether a line has ended in LF alone. It may have been in a value that somebody else has chosen: nobody can say for sure where the response ends.
    pub(super) const fn are_bare(&self) -> bool {
        self.bare
    }

    /// Reads `head`, whose lines these are. Values are slices of it.
    pub(super) fn read(&self, head: &Bytes) -> Result<Head, Malformed> {
        let mut ends = self.ends.iter().map(|&end| end as usize);
        let first = ends.next().ok_or(Malformed::StatusLine)?;
        let (old, status) = status_line(line(&head[..first]))?;
        let (mut fields, mut said) = (HeaderMap::with_capacity(self.ends.len() + OURS), Said::default());
        let mut start = first;
        for end in ends {
            let (name, value) = field(head, start, start + line(&head[start..end]).len())?;
            start = end;
            match name {
                CONTENT_LENGTH => said.content_length(value.as_bytes())?,
                TRANSFER_ENCODING => said.transfer_encoding(value.as_bytes())?,
                // What was for us alone has been heard.
                CONNECTION if !said.connection(value.as_bytes()) => continue,
                _ => said.field(&name),
            }
            fields.append(name, value);
        }
        let is_settled = said.is_settled(status);
        Ok(Head { status, old, fields, said, is_settled })
    }
}

/// A line without its end.
fn line(bytes: &[u8]) -> &[u8] {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// With what every head begins.
const BEGINNING: &[u8] = b"HTTP/1.";

/// Whether it is HTTP/1.0, and the status. Reason phrases say nothing that anybody may rely on (RFC 9112 section 4): they are checked, and dropped.
fn status_line(line: &[u8]) -> Result<(bool, StatusCode), Malformed> {
    let rest = line.strip_prefix(BEGINNING).ok_or(Malformed::StatusLine)?;
    let [minor @ (b'0' | b'1'), b' ', code @ ..] = rest else { return Err(Malformed::StatusLine) };
    let (code, reason) = code.split_at_checked(3).ok_or(Malformed::StatusLine)?;
    // Some leave out the blank with the phrase.
    let is_phrase = matches!(reason, [] | [b' ', ..]) && reason.iter().all(|&byte| (byte >= b' ' && byte != 0x7f) || byte == b'\t');
    let status = StatusCode::from_bytes(code).map_err(|_| Malformed::StatusLine)?;
    if is_phrase { Ok((*minor == b'0', status)) } else { Err(Malformed::StatusLine) }
}

/// The field line from `start` to `end`, where its line end begins. Whitespace before the colon or the name, a fold among it, is no part of a name; control characters
/// but for the tab are no part of a value.
fn field(head: &Bytes, start: usize, end: usize) -> Result<(HeaderName, HeaderValue), Malformed> {
    let colon = start + memchr(b':', &head[start..end]).ok_or(Malformed::Field)?;
    let name = HeaderName::from_bytes(&head[start..colon]).map_err(|_| Malformed::Field)?;
    let (mut from, mut to) = (colon + 1, end);
    while from < to && matches!(head[from], b' ' | b'\t') {
        from += 1;
    }
    while from < to && matches!(head[to - 1], b' ' | b'\t') {
        to -= 1;
    }
    let value = HeaderValue::from_maybe_shared(head.slice(from..to)).map_err(|_| Malformed::Field)?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::{Head, Lines, MAX_FIELDS, Malformed};
    use bytes::Bytes;

    /// Reads `text` in pieces: the head and how long it is; `None` if it has not come whole.
    fn read_in(text: &[u8], piece: usize) -> Result<Option<(Head, usize)>, Malformed> {
        let mut lines = Lines::default();
        let mut come = 0;
        while come < text.len() {
            come = (come + piece).min(text.len());
            if let Some(end) = lines.end(&text[..come])? {
                return Ok(Some((lines.read(&Bytes::copy_from_slice(&text[..end]))?, end)));
            }
        }
        Ok(None)
    }

    fn read(text: &str) -> Result<Head, Malformed> {
        let one_by_one = read_in(text.as_bytes(), 1);
        let whole = read_in(text.as_bytes(), usize::MAX >> 1);
        assert_eq!(format!("{whole:?}"), format!("{one_by_one:?}"), "{text:?}");
        whole.map(|read| read.expect("it is whole").0)
    }

    #[test]
    fn a_head_is_read_up_to_its_empty_line() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Type:text/plain\r\nx-a:  1 \t\r\nX-A: \xe9\r\nEmpty:\r\n\r\nHTTP/1.1 body";
        let (head, end) = read_in(text, text.len()).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), head.old, end), (200, false, text.len() - 13));
        assert_eq!(head.fields["content-type"], "text/plain");
        let all: Vec<_> = head.fields.get_all("x-a").iter().map(|value| value.as_bytes()).collect();
        assert_eq!(all, [&b"1"[..], b"\xe9"]);
        assert_eq!((head.fields["empty"].as_bytes(), head.fields.len()), (&b""[..], 4));
    }

    #[test]
    fn status_lines_with_and_without_a_phrase_are_read() {
        for (line, status, old) in [
            ("HTTP/1.1 200 OK", 200, false),
            ("HTTP/1.1 204 ", 204, false),
            ("HTTP/1.0 404", 404, true),
            ("HTTP/1.1 999 \u{e9}, what? \t", 999, false),
            ("HTTP/1.1 100 Continue", 100, false),
        ] {
            let head = read(&format!("{line}\r\n\r\n")).unwrap();
            assert_eq!((head.status.as_u16(), head.old), (status, old), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_status_line_is_refused() {
        for line in [
            "garbage",
            "HTTP/0.9 200 OK",
            "HTTP/2.0 200 OK",
            "HTTP/1.2 200 OK",
            "HTTP/1.10 200 OK",
            "http/1.1 200 OK",
            " HTTP/1.1 200 OK",
            "HTTP/1.1  200 OK",
            "HTTP/1.1\t200 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 099 OK",
            "HTTP/1.1 -20 OK",
            "HTTP/1.1 2\u{b2} OK",
            "HTTP/1.1 200\tOK",
            "HTTP/1.1 200 O\0K",
            "HTTP/1.1 200 O\rK",
            "HTTP/1.1",
            "PRI * HTTP/2.0",
        ] {
            assert_eq!(read(&format!("{line}\r\n\r\n")).err(), Some(Malformed::StatusLine), "{line:?}");
        }
        assert_eq!(read_in(b"\0\0\x12\x04\0\0\0\0\0", 9).err(), Some(Malformed::StatusLine), "the settings of HTTP/2 need no end");
        assert_eq!(read_in(b"HTTX", 1).err(), Some(Malformed::StatusLine));
        assert_eq!(read("\r\nHTTP/1.1 200 OK\r\n\r\n").err(), Some(Malformed::StatusLine), "an empty line is no head");
    }

    #[test]
    fn malformed_fields_are_refused() {
        for field in
            ["X : 1", " X: 1", "\tfold", " fold", ": 1", "no colon", "X: a\0b", "X: a\rb", "X: \x01", "X: \x7f", "X\u{e9}: 1", "(x): 1"]
        {
            assert_eq!(read(&format!("HTTP/1.1 200 OK\r\nA: b\r\n{field}\r\n\r\n")).err(), Some(Malformed::Field), "{field:?}");
        }
    }

    #[test]
    fn a_line_may_end_in_lf_alone_and_not_in_cr() {
        for text in ["HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n", "HTTP/1.1 200 OK\nA: b\r\n\n"] {
            let (head, end) = read_in(text.as_bytes(), 1).unwrap().unwrap();
            assert_eq!((head.fields["a"].as_bytes(), head.fields.len(), end), (&b"b"[..], 1, text.len()), "{text:?}");
        }
        for text in ["HTTP/1.1 200 OK\rA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n", "HTTP/1.1 200 OK\r\r\n\r\n", "\n", "\r\n"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_hundred_fields_are_enough() {
        let head = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(count));
        assert_eq!(read(&head(MAX_FIELDS)).unwrap().fields.len(), MAX_FIELDS);
        assert_eq!(read(&head(MAX_FIELDS + 1)).err(), Some(Malformed::TooManyFields));
    }
}
