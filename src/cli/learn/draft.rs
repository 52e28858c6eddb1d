//! What one line of a log has said, whatever its format.

use super::answered::{self, Answered};
use super::time::{self, Unit};
use std::borrow::Cow;

/// What a field of a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Method,
    /// The whole request line.
    Request,
    Target,
    Query,
    Status,
    Host,
    User,
    /// How long the request took.
    Time(Unit),
    /// How long the origin took.
    Origin(Unit),
    Cache,
}

const SLOTS: usize = 10;

impl Slot {
    fn index(self) -> usize {
        match self {
            Self::Method => 0,
            Self::Request => 1,
            Self::Target => 2,
            Self::Query => 3,
            Self::Status => 4,
            Self::Host => 5,
            Self::User => 6,
            Self::Time(_) => 7,
            Self::Origin(_) => 8,
            Self::Cache => 9,
        }
    }
}

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Text(Cow<'a, [u8]>),
    Whole(u64),
    Fraction(f64),
}

/// The fields of a line as they come in; of several for the same thing the one of the lowest rank stays.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    fields: [Option<(u16, Slot, Value<'a>)>; SLOTS],
    /// The request is an object of its own, as Caddy writes it: its numbers are seconds.
    pub(super) nested_request: bool,
}

/// One request of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub(super) method: Cow<'a, [u8]>,
    /// As it was sent: a path, an absolute URL, or anything else.
    pub(super) target: Cow<'a, [u8]>,
    pub(super) status: u16,
    pub(super) host: Option<Cow<'a, [u8]>>,
    /// Whether somebody had signed in.
    pub(super) user: bool,
    pub(super) took: Took,
    pub(super) answered: Option<Answered>,
}

/// How long it took, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// The origin alone.
    Origin(u64),
    /// The whole request.
    Request(u64),
    Unknown,
}

impl<'a> Draft<'a> {
    /// Takes a field. One that says nothing (``, `-`) leaves the word to others; a request line of `-` says that there was no request.
    pub(super) fn offer(&mut self, rank: u16, slot: Slot, value: Value<'a>) {
        if slot != Slot::Request && matches!(&value, Value::Text(text) if matches!(&**text, b"" | b"-" | b"\"\"")) {
            return;
        }
        let field = &mut self.fields[slot.index()];
        if field.as_ref().is_none_or(|(held, ..)| rank <= *held) {
            *field = Some((rank, slot, value));
        }
    }

    /// As [`offer`](Self::offer), but of the same rank the first stays.
    pub(super) fn offer_first(&mut self, rank: u16, slot: Slot, value: Value<'a>) {
        if self.fields[slot.index()].as_ref().is_none_or(|(held, ..)| rank < *held) {
            self.offer(rank, slot, value);
        }
    }

    /// The request, if the line has named method, target and status.
    pub(super) fn finish(mut self) -> Option<Asked<'a>> {
        let status = self.status()?;
        let took = self.took();
        let answered = self.text(Slot::Cache).and_then(|text| answered::parse(&text));
        let user = self.take(Slot::User).is_some();
        let host = self.text(Slot::Host).filter(|host| **host != *b"_");
        let (method, target) = match self.text(Slot::Request) {
            Some(Cow::Borrowed(line)) => request_line(line).map_or((b"-".into(), line.into()), |(a, b)| (a.into(), b.into())),
            Some(Cow::Owned(line)) => {
                request_line(&line).map_or_else(|| (b"-".into(), line.clone().into()), |(a, b)| (a.to_vec().into(), b.to_vec().into()))
            }
            None => {
                let target = self.text(Slot::Target)?;
                (self.text(Slot::Method)?, with_query(target, self.text(Slot::Query)))
            }
        };
        Some(Asked { method, target, status, host, user, took, answered })
    }

    fn take(&mut self, slot: Slot) -> Option<(Slot, Value<'a>)> {
        self.fields[slot.index()].take().map(|(_, slot, value)| (slot, value))
    }

    fn text(&mut self, slot: Slot) -> Option<Cow<'a, [u8]>> {
        match self.take(slot)?.1 {
            Value::Text(text) => Some(text),
            Value::Whole(number) => Some(number.to_string().into_bytes().into()),
            Value::Fraction(_) => None,
        }
    }

    fn status(&mut self) -> Option<u16> {
        let number = match self.take(Slot::Status)?.1 {
            Value::Text(text) => std::str::from_utf8(&text).ok()?.trim().parse().ok()?,
            Value::Whole(number) => u16::try_from(number).ok()?,
            Value::Fraction(_) => return None,
        };
        (number < 1000).then_some(number)
    }

    fn took(&mut self) -> Took {
        if let Some(micros) = self.micros(Slot::Origin(Unit::Guess)) {
            return Took::Origin(micros);
        }
        self.micros(Slot::Time(Unit::Guess)).map_or(Took::Unknown, Took::Request)
    }

    fn micros(&mut self, slot: Slot) -> Option<u64> {
        let nested = self.nested_request;
        let (Slot::Time(unit) | Slot::Origin(unit), value) = self.take(slot)? else { return None };
        let unit = unit.or_seconds_if(nested);
        match value {
            Value::Text(text) => time::parse(&text, unit),
            #[allow(clippy::cast_precision_loss, reason = "whoever waits so long does not look at microseconds")]
            Value::Whole(number) => time::micros(number as f64, unit),
            Value::Fraction(number) => time::micros(number, unit.or_seconds_if(true)),
        }
    }
}

/// Method and target of `GET /x HTTP/1.1`; HTTP/0.9 names no version.
fn request_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memchr(b' ', line)?;
    let (method, rest) = (&line[..space], &line[space + 1..]);
    let end = memchr::memrchr(b' ', rest).filter(|at| rest[at + 1..].starts_with(b"HTTP/")).unwrap_or(rest.len());
    Some((method, &rest[..end]))
}

/// Joins a target and a query that were written apart.
fn with_query<'a>(target: Cow<'a, [u8]>, query: Option<Cow<'a, [u8]>>) -> Cow<'a, [u8]> {
    let Some(query) = query else { return target };
    let query = query.strip_prefix(b"?").unwrap_or(&query);
    if query.is_empty() || target.contains(&b'?') {
        return target;
    }
    [&target, &b"?"[..], query].concat().into()
}
