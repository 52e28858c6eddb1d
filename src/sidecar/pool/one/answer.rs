//! The answer to one request, as far as it has come.

use crate::sidecar::pool::broken::Malformed;
use crate::sidecar::pool::one::body::Left;
use crate::sidecar::pool::one::head::{Head, Lines, MOST_BYTES};
use bytes::BytesMut;
use http::StatusCode;

/// Interim responses before one answer. They are read over: there is nobody to tell.
const MOST_INTERIM: u8 = 100;

/// From the first byte of the first head to the last of the body.
#[derive(Debug)]
pub(super) struct Answer {
    /// To a HEAD.
    head: bool,
    /// Its lines, while a head is not whole.
    lines: Lines,
    /// Bytes in its heads.
    bytes: usize,
    interim: u8,
    /// A line of its heads has ended in LF alone.
    bare: bool,
    /// Its body.
    pub(super) left: Left,
    /// Behind it another request may follow.
    pub(super) persists: bool,
}

impl Answer {
    /// Of a connection that has not been asked anything.
    pub(super) fn none() -> Self {
        Self { head: false, lines: Lines::default(), bytes: 0, interim: 0, bare: false, left: Left::NOTHING, persists: true }
    }

    /// The next one begins: to a HEAD if `head`.
    pub(super) fn begin(&mut self, head: bool) {
        self.lines.clear();
        (self.head, self.bytes, self.interim, self.bare, self.persists) = (head, 0, 0, false, false);
    }

    /// Cuts its head out of what has `come`, if it has come whole. From then on it is known how the body is framed.
    pub(super) fn read_head(&mut self, come: &mut BytesMut) -> Result<Option<Head>, Malformed> {
        loop {
            let Some(end) = self.lines.end(come)? else {
                return if self.bytes + come.len() < MOST_BYTES { Ok(None) } else { Err(Malformed::TooLarge) };
            };
            self.bytes += end;
            if self.bytes > MOST_BYTES {
                return Err(Malformed::TooLarge);
            }
            let head = self.lines.read(&come.split_to(end).freeze())?;
            self.bare |= self.lines.are_bare();
            self.lines.clear();
            let is_switch = head.status == StatusCode::SWITCHING_PROTOCOLS;
            if head.status.is_informational() && !is_switch {
                self.interim += 1;
                if self.interim > MOST_INTERIM {
                    return Err(Malformed::TooManyInterim);
                }
                continue;
            }
            self.left = Left::new(head.said.framing(self.head, head.status, head.old)?);
            self.persists = head.said.persists(head.status, head.old) && !self.bare && !matches!(self.left, Left::UntilClose) && !is_switch;
            return Ok(Some(head));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, MOST_BYTES, MOST_INTERIM, Malformed};
    use bytes::BytesMut;

    fn read(text: &str) -> Result<Option<u16>, Malformed> {
        let mut answer = Answer::none();
        answer.begin(false);
        Ok(answer.read_head(&mut BytesMut::from(text))?.map(|head| head.status.as_u16()))
    }

    #[test]
    fn interim_responses_are_read_over_so_many_times() {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(usize::from(MOST_INTERIM));
        assert_eq!(read(&interim), Ok(None));
        assert_eq!(read(&format!("{interim}HTTP/1.1 200 OK\r\n\r\n")), Ok(Some(200)));
        assert_eq!(read(&format!("{interim}HTTP/1.1 102 Processing\r\n\r\n")), Err(Malformed::TooManyInterim));
        assert_eq!(read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n"), Ok(Some(101)), "that is an answer");
    }

    #[test]
    fn heads_have_so_many_bytes_in_all() {
        let field = |size: usize| format!("X: {}\r\n", "y".repeat(size));
        assert_eq!(read(&format!("HTTP/1.1 200 OK\r\n{}\r\n", field(MOST_BYTES - 24))), Ok(Some(200)));
        assert_eq!(read(&format!("HTTP/1.1 200 OK\r\n{}\r\n", field(MOST_BYTES - 23))), Err(Malformed::TooLarge));
        assert_eq!(read(&format!("HTTP/1.1 200 OK\r\n{}", field(MOST_BYTES))), Err(Malformed::TooLarge), "whole or not");
        let interim = format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", field(MOST_BYTES / 2));
        assert_eq!(read(&interim), Ok(None));
        assert_eq!(read(&interim.repeat(2)), Err(Malformed::TooLarge), "interim ones among them");
    }
}
