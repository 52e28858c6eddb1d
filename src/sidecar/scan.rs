//! The framing of a connection's bytes, read before hyper reads them: where a head is complete, where a body ends, and what nobody should read.
//!
//! A pure state machine: it holds the bytes of a head that is not complete yet and nothing else, and what it says does not depend on how
//! the bytes were cut into pieces.

use crate::sidecar::chunk::Chunks;
use crate::sidecar::fault::Fault;
use crate::sidecar::head::{Framing, Head, is_token};
use crate::sidecar::said;
use bytes::BytesMut;
use std::sync::Arc;

/// What the bytes given to [`Scan::feed`] were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All of them belong to a head that is not complete; the scan keeps them.
    Held,
    /// The first `used` of them complete a head. It consists of [`Scan::take_held`] if that is not empty, else of these bytes.
    Head {
        /// How many bytes.
        used: usize,
    },
    /// The first `used` of them belong to a body: all, unless it ended there.
    Body {
        /// How many bytes.
        used: usize,
    },
    /// They cannot be read safely. Every later answer is the same.
    Fault(Fault),
}

/// The reader of one direction of one connection.
#[derive(Debug)]
pub(super) struct Scan {
    max_head: usize,
    state: State,
    head: Head,
    held: BytesMut,
    line_start: usize,
    /// The last complete head had an `Upgrade` field; whether no body follows it.
    upgrade: Option<bool>,
    /// The line read last belonged to a head of HTTP/1.0.
    was_old: bool,
    /// The fields of an earlier head, to the end of its empty line.
    known: Option<Arc<[u8]>>,
    /// The last complete head had these again.
    is_repeat: bool,
}

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Box<Chunks>),
    Faulty(Fault),
}

impl Scan {
    /// At the start of a connection whose heads may have `max_head` bytes.
    pub(super) fn new(max_head: usize) -> Self {
        let (state, head, held) = (State::Head, Head::default(), BytesMut::new());
        Self { max_head, state, head, held, line_start: 0, upgrade: None, was_old: false, known: None, is_repeat: false }
    }

    /// Changes the limit for the heads that follow.
    pub(super) const fn set_max_head(&mut self, max_head: usize) {
        self.max_head = max_head;
    }

    /// Whether the next byte belongs to a head.
    pub(super) const fn at_head(&self) -> bool {
        matches!(self.state, State::Head)
    }

    /// The bytes of a complete head that came in pieces.
    pub(super) fn take_held(&mut self) -> BytesMut {
        std::mem::take(&mut self.held)
    }

    /// Whether the head that was just completed offers to switch protocols: `Some(true)` without a body.
    pub(super) const fn take_upgrade(&mut self) -> Option<bool> {
        self.upgrade.take()
    }

    /// Whether the head that was just completed came in one piece, has no body and offers nothing.
    pub(super) fn is_whole(&self) -> bool {
        self.at_head() && self.held.is_empty() && self.upgrade.is_none()
    }

    /// The fields of the head that was just completed, if they are those of an earlier one.
    pub(super) fn repeated(&mut self) -> Option<&mut Arc<[u8]>> {
        self.known.as_mut().filter(|_| self.is_repeat)
    }

    /// Reads on. `bytes` must not be empty; what is not used must be given again.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Progress {
        let progress = match &mut self.state {
            State::Faulty(fault) => Err(*fault),
            State::Length(left) => {
                let used = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= used as u64;
                if *left == 0 {
                    self.state = State::Head;
                }
                Ok(Progress::Body { used })
            }
            State::Chunked(chunks) => chunks.feed(bytes).map(|(used, ended)| {
                if ended {
                    self.state = State::Head;
                }
                Progress::Body { used }
            }),
            State::Head if self.held.is_empty() => self.head_in_place(bytes),
            State::Head => self.head_in_pieces(bytes),
        };
        progress.unwrap_or_else(|fault| {
            self.state = State::Faulty(fault);
            Progress::Fault(fault)
        })
    }

    /// The fast path: a head that came whole is read where it lies.
    fn head_in_place(&mut self, bytes: &[u8]) -> Result<Progress, Fault> {
        // Whatever begins with another byte is not HTTP: no need to wait for its first line to end.
        if bytes.first().is_some_and(|&b| !is_token(b) && b != b'\r') {
            return Err(Fault::RequestLine);
        }
        let (mut used, mut fields) = (0, 0);
        while let Some(end) = memchr::memchr(b'\n', &bytes[used..]).map(|at| used + at + 1) {
            self.fits(end)?;
            let begins = self.head.wants_request_line();
            if self.line(&bytes[used..end])? {
                self.remember(&bytes[fields..end]);
                return Ok(Progress::Head { used: end });
            }
            used = end;
            if begins && !self.head.wants_request_line() {
                fields = used;
                if let Some(end) = self.known_fields(&bytes[used..]).map(|length| used + length) {
                    self.fits(end)?;
                    (self.head, self.upgrade, self.is_repeat) = (Head::default(), None, true);
                    return Ok(Progress::Head { used: end });
                }
            }
        }
        self.fits(bytes.len())?;
        self.held.extend_from_slice(bytes);
        self.line_start = used;
        Ok(Progress::Held)
    }

    /// How long the fields of this head are if they are those of the last one, byte by byte: what a client says of itself it says with every request,
    /// and it was read before.
    fn known_fields(&self, bytes: &[u8]) -> Option<usize> {
        let known = self.known.as_deref()?;
        (bytes.starts_with(known) && !self.head.is_old()).then_some(known.len())
    }

    /// Remembers the fields of a head of HTTP/1.1 without a body and without an offer to switch protocols.
    fn remember(&mut self, fields: &[u8]) {
        if fields.len() <= said::MOST && self.at_head() && self.upgrade.is_none() && !self.was_old {
            self.known = Some(fields.into());
        }
    }

    fn head_in_pieces(&mut self, bytes: &[u8]) -> Result<Progress, Fault> {
        let mut used = 0;
        while let Some(end) = memchr::memchr(b'\n', &bytes[used..]).map(|at| used + at + 1) {
            self.fits(self.held.len() + end - used)?;
            self.held.extend_from_slice(&bytes[used..end]);
            let held = std::mem::take(&mut self.held);
            let complete = self.line(&held[self.line_start..]);
            self.line_start = held.len();
            self.held = held;
            if complete? {
                self.line_start = 0;
                return Ok(Progress::Head { used: end });
            }
            used = end;
        }
        self.fits(self.held.len() + bytes.len() - used)?;
        self.held.extend_from_slice(&bytes[used..]);
        Ok(Progress::Held)
    }

    /// One line of a head, its LF included; true if it was the last.
    fn line(&mut self, line: &[u8]) -> Result<bool, Fault> {
        let upgrade = self.head.has_upgrade();
        (self.was_old, self.is_repeat) = (self.head.is_old(), false);
        let Some(framing) = self.head.line(line)? else { return Ok(false) };
        self.upgrade = upgrade.then_some(framing == Framing::Length(0));
        self.state = match framing {
            Framing::Length(0) => State::Head,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Box::new(Chunks::new(self.max_head))),
        };
        Ok(true)
    }

    fn fits(&self, size: usize) -> Result<(), Fault> {
        match size <= self.max_head {
            true => Ok(()),
            false if self.head.wants_request_line() => Err(Fault::TargetTooLong),
            false => Err(Fault::HeadTooLarge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Progress, Scan};
    use proptest::prelude::*;

    /// Everything a scan says about `pieces`, in a form that does not know where they were cut: heads, bodies and the fault at their offsets.
    #[derive(Debug, PartialEq, Eq)]
    enum Event {
        Head(Vec<u8>),
        BodyUpTo(usize),
        Fault(Fault),
    }

    fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>, max_head: usize) -> Vec<Event> {
        let (mut scan, mut events, mut offset) = (Scan::new(max_head), Vec::new(), 0);
        for mut piece in pieces {
            while !piece.is_empty() {
                let used = match scan.feed(piece) {
                    Progress::Held => piece.len(),
                    Progress::Head { used } => {
                        let held = scan.take_held();
                        events.push(Event::Head(if held.is_empty() { piece[..used].to_vec() } else { held.to_vec() }));
                        used
                    }
                    Progress::Body { used } => {
                        if let Some(Event::BodyUpTo(_)) = events.last() {
                            events.pop();
                        }
                        events.push(Event::BodyUpTo(offset + used));
                        used
                    }
                    Progress::Fault(fault) => {
                        if let Some(Event::BodyUpTo(_)) = events.last() {
                            events.pop(); // how much of a body came before its fault does depend on the cuts
                        }
                        events.push(Event::Fault(fault));
                        return events;
                    }
                };
                (piece, offset) = (&piece[used..], offset + used);
            }
            assert!(scan.held.len() <= max_head, "memory is bounded");
        }
        events
    }

    const STREAM: &str = "\r\nGET /a HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello\
        PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nT: v\r\n\r\nGET /d HTTP/1.0\r\n\r\n";

    #[test]
    fn a_stream_of_requests_is_told_apart() {
        let found = events(std::iter::once(STREAM.as_bytes()), 1000);
        let heads = found.iter().filter(|event| matches!(event, Event::Head(_))).count();
        assert_eq!((heads, found.len()), (4, 6), "{found:?}");
    }

    #[test]
    fn a_cut_at_any_byte_changes_nothing() {
        let whole = events(std::iter::once(STREAM.as_bytes()), 1000);
        for at in 1..STREAM.len() {
            let (one, two) = STREAM.as_bytes().split_at(at);
            assert_eq!(events([one, two].into_iter(), 1000), whole, "cut at {at}");
        }
        assert_eq!(events(STREAM.as_bytes().chunks(1), 1000), whole, "byte by byte");
    }

    #[test]
    fn too_long_a_head_is_431_and_too_long_a_line_414_however_it_comes() {
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(200));
        let line = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(200));
        for size in [1, 7, 10_000] {
            assert_eq!(events(head.as_bytes().chunks(size), 100), [Event::Fault(Fault::HeadTooLarge)]);
            assert_eq!(events(line.as_bytes().chunks(size), 100), [Event::Fault(Fault::TargetTooLong)]);
        }
        assert!(matches!(events(head.as_bytes().chunks(9), head.len())[..], [Event::Head(_)]), "exactly the limit is fine");
    }

    #[test]
    fn fields_that_came_before_are_known_and_no_others_are() {
        let (first, again) = ("GET /a HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n", "GET /bc HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
        for (second, expected) in [
            (again, vec![Event::Head(again.into())]),
            ("GET /bc HTTP/1.0\r\nHost: h\r\nA: b\r\n\r\n", vec![Event::Head("GET /bc HTTP/1.0\r\nHost: h\r\nA: b\r\n\r\n".into())]),
            ("GET /bc HTTP/1.1\r\nHost: h\r\nA: b\r\nHost: i\r\n\r\n", vec![Event::Fault(Fault::Host)]),
            ("GET /b c HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n", vec![Event::Fault(Fault::Version)]),
            (
                "PUT / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 2\r\n\r\nxy",
                vec![
                    Event::Head("PUT / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 2\r\n\r\n".into()),
                    Event::BodyUpTo(first.len() + 54),
                ],
            ),
        ] {
            let mut all = vec![Event::Head(first.into())];
            all.extend(expected);
            assert_eq!(events([first.as_bytes(), second.as_bytes()].into_iter(), 1000), all, "{second:?}");
            assert_eq!(events(std::iter::once([first, second].concat().as_bytes()), 1000), all, "{second:?} at once");
        }
        let without_host = ["GET / HTTP/1.0\r\nA: b\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n\r\n"];
        assert_eq!(
            events(without_host.iter().map(|head| head.as_bytes()), 1000)[1],
            Event::Fault(Fault::Host),
            "what HTTP/1.0 may leave out"
        );
    }

    #[test]
    fn what_is_not_http_is_refused_at_its_first_byte() {
        let mut scan = Scan::new(100);
        assert_eq!(scan.feed(b"\x16"), Progress::Fault(Fault::RequestLine));
        assert_eq!(scan.feed(b"GET"), Progress::Fault(Fault::RequestLine), "and stays refused");
    }

    fn fragment() -> impl Strategy<Value = Vec<u8>> {
        let words = [
            "GET / HTTP/1.1\r\n",
            "POST /x HTTP/1.1\r\n",
            "GET / HTTP/1.0\r\n",
            "Host: h\r\n",
            "Content-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\n",
            "\r\n",
            "abc",
            "3\r\nabc\r\n",
            "0\r\n\r\n",
            "0\r\nT: v\r\n\r\n",
            ";x=\"y\"",
            "\n",
            "\r",
            "\0",
            " ",
            "X : 1\r\n",
            "G",
            "5",
            ":",
        ];
        prop_oneof![
            9 => proptest::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 1..6),
        ]
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic_and_no_cut_changes_what_it_says(
            fragments in proptest::collection::vec(fragment(), 1..24), cuts in proptest::collection::vec(1usize..40, 1..60), max_head in 20usize..200,
        ) {
            let stream = fragments.concat();
            let whole = events(std::iter::once(&stream[..]), max_head);
            let mut rest = &stream[..];
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                (rest, pieces) = (later, { pieces.push(piece); pieces });
            }
            pieces.push(rest);
            prop_assert_eq!(events(pieces.into_iter(), max_head), whole);
        }
    }
}
