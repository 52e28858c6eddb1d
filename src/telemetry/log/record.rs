//! Events as they wait: what was said, one after the other in one piece of memory, without a box for each.

use std::fmt;
use std::ops::Range;
use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};

/// Bytes of one value at most; what is longer is cut, and ends in `…`.
const MOST_VALUE: usize = 2048;
/// Bytes of all values of an event together; what comes behind is left out.
const MOST_EVENT: usize = 8192;

/// Events in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Batch {
    heads: Vec<Head>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    /// Microseconds since the Unix epoch.
    at: u64,
    meta: &'static Metadata<'static>,
    end: usize,
}

/// One event of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    pub(super) at: u64,
    meta: &'static Metadata<'static>,
    values: &'a [u8],
}

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said<'a> {
    Text(&'a str),
    /// Text of which the rest was cut.
    Cut(&'a str),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Forgets everything, and keeps the room.
    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.bytes.clear();
    }

    /// Gives back room that a flood has taken.
    pub(super) fn shrink(&mut self) {
        self.heads.shrink_to(1024);
        self.bytes.shrink_to(256 << 10);
    }

    /// Adds an event whose values `record` says, if `fits` likes its size in bytes.
    pub(super) fn push(
        &mut self,
        at: u64,
        meta: &'static Metadata<'static>,
        record: impl FnOnce(&mut Writer<'_>),
        fits: impl FnOnce(usize) -> bool,
    ) -> bool {
        let from = self.bytes.len();
        record(&mut Writer { bytes: &mut self.bytes, from });
        let fits = fits(self.bytes.len() - from);
        if fits {
            self.heads.push(Head { at, meta, end: self.bytes.len() });
        } else {
            self.bytes.truncate(from);
        }
        fits
    }

    pub(super) fn event(&self, at: usize) -> Option<Event<'_>> {
        let from = at.checked_sub(1).and_then(|before| self.heads.get(before)).map_or(0, |head| head.end);
        let head = self.heads.get(at)?;
        Some(Event { at: head.at, meta: head.meta, values: self.bytes.get(from..head.end)? })
    }

    /// When each event came, in their order.
    pub(super) fn times(&self) -> impl Iterator<Item = u64> {
        self.heads.iter().map(|head| head.at)
    }
}

impl<'a> Event<'a> {
    pub(super) fn level(&self) -> Level {
        *self.meta.level()
    }

    pub(super) fn target(&self) -> &'static str {
        self.meta.target()
    }

    /// The fields and what they say, in their order.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, Said<'a>)> {
        // The names are walked through alongside: values come in the order of their fields.
        let (mut names, mut passed, mut rest) = (self.meta.fields().iter(), 0, self.values);
        std::iter::from_fn(move || {
            let (field, said, after) = read(rest)?;
            rest = after;
            let name = field.checked_sub(passed).and_then(|ahead| names.nth(ahead));
            passed = field + 1;
            Some((name.map_or("", |field| field.name()), said))
        })
    }
}

const TEXT: u8 = 0;
const CUT: u8 = 1;
const UNSIGNED: u8 = 2;
const SIGNED: u8 = 3;
const FLOAT: u8 = 4;
const BOOL: u8 = 5;

/// Takes one value off: the number of its field, its kind, its size, and its bytes.
fn read(bytes: &[u8]) -> Option<(usize, Said<'_>, &[u8])> {
    let (&[field, kind, low, high], rest) = bytes.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
    let number = || value.try_into().map(u64::from_le_bytes).unwrap_or_default();
    let text = || std::str::from_utf8(value).unwrap_or_default();
    let said = match kind {
        CUT => Said::Cut(text()),
        UNSIGNED => Said::Unsigned(number()),
        SIGNED => Said::Signed(number().cast_signed()),
        FLOAT => Said::Float(f64::from_bits(number())),
        BOOL => Said::Bool(number() != 0),
        _ => Said::Text(text()),
    };
    Some((usize::from(field), said, rest))
}

/// Writes the values of one event.
pub(super) struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    from: usize,
}

impl Writer<'_> {
    /// Begins a value; where its size and its bytes go. `None` if the event has its fill.
    fn begin(&mut self, field: &Field, kind: u8) -> Option<usize> {
        let number = u8::try_from(field.index()).ok()?;
        if self.bytes.len() - self.from > MOST_EVENT - MOST_VALUE {
            return None;
        }
        self.bytes.extend_from_slice(&[number, kind, 0, 0]);
        Some(self.bytes.len())
    }

    fn number(&mut self, field: &Field, kind: u8, value: u64) {
        let Ok(number) = u8::try_from(field.index()) else { return };
        let mut all = [number, kind, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        all[4..].copy_from_slice(&value.to_le_bytes());
        self.bytes.extend_from_slice(&all);
    }

    fn text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let Some(from) = self.begin(field, TEXT) else { return };
        let mut capped = Capped { bytes: self.bytes, room: from..from + MOST_VALUE };
        let cut = fmt::write(&mut capped, value).is_err();
        self.end(from, cut);
    }

    fn end(&mut self, from: usize, cut: bool) {
        let length = u16::try_from(self.bytes.len() - from).unwrap_or(0).to_le_bytes();
        self.bytes[from - 2..from].copy_from_slice(&length);
        if cut {
            self.bytes[from - 3] = CUT;
        }
    }
}

impl Visit for Writer<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let Some(from) = self.begin(field, TEXT) else { return };
        let cut = value.len() > MOST_VALUE;
        let kept = if cut { &value[..value.floor_char_boundary(MOST_VALUE)] } else { value };
        self.bytes.extend_from_slice(kept.as_bytes());
        self.end(from, cut);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, UNSIGNED, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, SIGNED, value.cast_unsigned());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, FLOAT, value.to_bits());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, BOOL, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }
}

/// Text that ends where there is no more room.
struct Capped<'a> {
    bytes: &'a mut Vec<u8>,
    room: Range<usize>,
}

impl fmt::Write for Capped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = self.room.end.saturating_sub(self.bytes.len());
        if text.len() > left {
            self.bytes.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(left)]);
            return Err(fmt::Error);
        }
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
