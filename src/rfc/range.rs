//! Byte ranges (RFC 9110 section 14).

use http::header::HeaderValue;
use smallvec::SmallVec;

use super::list;
use super::number::{digits, exact_digits};

/// A part of a representation of known length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first octet, counted from zero.
    pub start: u64,
    /// The last octet, inclusive; never before `start`.
    pub end: u64,
}

impl ByteRange {
    /// How many octets the range has, at least one.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.end.saturating_sub(self.start).saturating_add(1)
    }

    /// The two as one range, if they overlap or touch.
    fn union(self, other: Self) -> Option<Self> {
        let is_apart = self.start > other.end.saturating_add(1) || other.start > self.end.saturating_add(1);
        (!is_apart).then(|| Self { start: self.start.min(other.start), end: self.end.max(other.end) })
    }
}

/// What a Range field asks of a representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeSet {
    /// Answer as if there were no Range (RFC 9110 section 14.2).
    Ignore,
    /// Answer 416 with [`unsatisfied`] (RFC 9110 section 15.5.17).
    Unsatisfiable,
    /// Answer 206 with these ranges. There is at least one, they lie within the representation, no two
    /// of them overlap or touch, and they stand in the order in which they were asked for.
    Satisfiable(SmallVec<[ByteRange; 1]>),
}

/// The only range of a request, before the length of the representation is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedRange {
    /// `bytes=2-5`: both inclusive, the second is not before the first.
    FromTo(u64, u64),
    /// `bytes=2-`: from there to the end.
    From(u64),
    /// `bytes=-5`: the last so many octets; zero cannot be satisfied.
    Suffix(u64),
}

impl RequestedRange {
    /// `int-range` or `suffix-range` of RFC 9110 section 14.1.1. Numbers saturate.
    fn parse(spec: &[u8]) -> Option<Self> {
        let dash = memchr::memchr(b'-', spec)?;
        let (first, last) = (&spec[..dash], &spec[dash + 1..]);
        match (first, last) {
            ([], last) => digits(last).map(Self::Suffix),
            (first, []) => digits(first).map(Self::From),
            (first, last) => {
                let (first, last) = (digits(first)?, digits(last)?);
                // RFC 9110 section 14.1.1: an int-range that ends before it begins is invalid.
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    /// The range within a representation of `length` octets, which is not zero. `None`: it has none of
    /// these octets (RFC 9110 section 14.1.2).
    #[must_use]
    pub fn within(self, length: u64) -> Option<ByteRange> {
        let last = length.checked_sub(1)?;
        let (start, end) = match self {
            Self::FromTo(first, end) => (first, end.min(last)),
            Self::From(first) => (first, last),
            Self::Suffix(0) => return None,
            Self::Suffix(count) => (length.saturating_sub(count), last),
        };
        (start <= last).then_some(ByteRange { start, end })
    }
}

/// Decides a Range field for a representation of `length` octets (RFC 9110 sections 14.1.2 and 14.2).
///
/// More than `max_ranges` ranges are ignored as a whole, counted as they were written; the work grows
/// with the square of that limit, so keep it small. Overlapping and adjacent ranges are merged
/// (section 15.3.7.2).
#[must_use]
pub fn parse(value: &[u8], length: u64, max_ranges: usize) -> RangeSet {
    let Some(specs) = specs(value) else {
        return RangeSet::Ignore;
    };
    let mut ranges = SmallVec::new();
    let mut count = 0;
    for spec in specs {
        count += 1;
        let Some(spec) = RequestedRange::parse(spec).filter(|_| count <= max_ranges) else {
            return RangeSet::Ignore;
        };
        if length == 0 && matches!(spec, RequestedRange::Suffix(1..)) {
            // Satisfiable by RFC 9110 section 14.1.2, but no Content-Range can name an empty range.
            return RangeSet::Ignore;
        }
        if let Some(range) = spec.within(length) {
            merge(&mut ranges, range);
        }
    }
    match (count, ranges.is_empty()) {
        (0, _) => RangeSet::Ignore,
        (_, true) => RangeSet::Unsatisfiable,
        (_, false) => RangeSet::Satisfiable(ranges),
    }
}

/// The range of a Range field that has exactly one. `None`: none, several, another unit or invalid.
#[must_use]
pub fn requested(value: &[u8]) -> Option<RequestedRange> {
    let mut specs = specs(value)?;
    let spec = RequestedRange::parse(specs.next()?)?;
    specs.next().is_none().then_some(spec)
}

/// The members of the range set; `None` for another unit (RFC 9110 section 14.1: in any case).
fn specs(value: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let (unit, set) = list::trim(value).split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then(|| list::members(set))
}

/// Adds a range to ranges that do not touch each other, and keeps them so. What merges takes the place
/// of the first of its parts.
fn merge(ranges: &mut SmallVec<[ByteRange; 1]>, range: ByteRange) {
    let mut merged = range;
    let mut place = None;
    let mut at = 0;
    while at < ranges.len() {
        let Some(union) = ranges[at].union(merged) else {
            at += 1;
            continue;
        };
        merged = union;
        ranges.remove(at);
        place = Some(place.map_or(at, |place: usize| place.min(at)));
        // The larger range may touch one that was passed already.
        at = 0;
    }
    ranges.insert(place.unwrap_or(ranges.len()), merged);
}

/// The Content-Range of a 206 (RFC 9110 section 14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The first octet, counted from zero.
    pub start: u64,
    /// The last octet, inclusive: not before `start`, and below `complete` and [`u64::MAX`].
    pub end: u64,
    /// The length of the whole representation; `None` for `*`, unknown.
    pub complete: Option<u64>,
}

impl ContentRange {
    /// Reads `bytes 0-4/10` or `bytes 0-4/*`.
    ///
    /// `None`: another unit, invalid, an unsatisfied range, or a number beyond a [`u64`]: a length must
    /// not be guessed, so these do not saturate.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, rest) = list::trim(value).split_at_checked(6)?;
        if !unit.eq_ignore_ascii_case(b"bytes ") {
            return None;
        }
        let dash = memchr::memchr(b'-', rest)?;
        let slash = memchr::memchr(b'/', rest)?;
        let start = exact_digits(&rest[..dash])?;
        let end = exact_digits(rest.get(dash + 1..slash)?)?;
        let complete = match &rest[slash + 1..] {
            b"*" => None,
            complete => Some(exact_digits(complete)?),
        };
        // RFC 9110 section 14.4: invalid when it ends before it begins or beyond the whole.
        let is_valid = start <= end && end < complete.unwrap_or(u64::MAX);
        is_valid.then_some(Self { start, end, complete })
    }

    /// The range without the complete length.
    #[must_use]
    pub const fn range(&self) -> ByteRange {
        ByteRange { start: self.start, end: self.end }
    }
}

/// Writes the Content-Range of a 206: `bytes 0-4/10`.
#[must_use]
pub fn content_range(range: ByteRange, complete: u64) -> HeaderValue {
    let mut number = itoa::Buffer::new();
    let mut text = SmallVec::<[u8; 96]>::new();
    text.extend_from_slice(b"bytes ");
    text.extend_from_slice(number.format(range.start).as_bytes());
    text.push(b'-');
    text.extend_from_slice(number.format(range.end).as_bytes());
    text.push(b'/');
    text.extend_from_slice(number.format(complete).as_bytes());
    written(&text)
}

/// Writes the Content-Range of a 416: `bytes */10`.
#[must_use]
pub fn unsatisfied(complete: u64) -> HeaderValue {
    let mut text = SmallVec::<[u8; 96]>::new();
    text.extend_from_slice(b"bytes */");
    text.extend_from_slice(itoa::Buffer::new().format(complete).as_bytes());
    written(&text)
}

/// Digits and punctuation are always a field value, so the other arm is never taken.
fn written(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn got(value: &str, length: u64) -> Option<Vec<(u64, u64)>> {
        match parse(value.as_bytes(), length, 8) {
            RangeSet::Satisfiable(ranges) => Some(ranges.iter().map(|r| (r.start, r.end)).collect()),
            RangeSet::Unsatisfiable => Some(Vec::new()),
            RangeSet::Ignore => None,
        }
    }

    #[test]
    fn the_three_forms_are_cut_to_the_length() {
        assert_eq!(got("bytes=0-1", 11), Some(vec![(0, 1)]));
        assert_eq!(got("bytes=1-", 11), Some(vec![(1, 10)]));
        assert_eq!(got("bytes=-1", 11), Some(vec![(10, 10)]));
        assert_eq!(got("bytes=5-99999999999999999999999", 11), Some(vec![(5, 10)]));
        assert_eq!(got("bytes=-99999999999999999999999", 11), Some(vec![(0, 10)]));
        assert_eq!(got("BYTES=0-0", 1), Some(vec![(0, 0)]));
    }

    #[test]
    fn what_lies_beyond_the_end_is_unsatisfiable() {
        for value in ["bytes=11-", "bytes=11-12", "bytes=-0", "bytes=18446744073709551616-", "bytes=-0, 20-30"] {
            assert_eq!(got(value, 11), Some(vec![]), "{value}");
        }
        assert_eq!(got("bytes=20-30, 1-2", 11), Some(vec![(1, 2)]));
    }

    #[test]
    fn an_invalid_range_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=2-1",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes =1-2",
            "items=1-2",
            "bytes=1-2, x",
            "bytes=0x1-2",
            "bytes:1-2",
            "bytes=1-2;3-4",
            "byt\u{e9}=1-2",
        ] {
            assert_eq!(got(value, 11), None, "{value}");
            assert_eq!(requested(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn an_empty_representation_satisfies_nothing() {
        assert_eq!(got("bytes=0-0", 0), Some(vec![]));
        assert_eq!(got("bytes=0-", 0), Some(vec![]));
        assert_eq!(got("bytes=-0", 0), Some(vec![]));
        assert_eq!(got("bytes=-5", 0), None);
    }

    #[test]
    fn too_many_ranges_are_ignored() {
        assert_eq!(parse(b"bytes=0-0,2-2,4-4", 9, 2), RangeSet::Ignore);
        assert_eq!(parse(b"bytes=0-0,0-0,0-0", 9, 2), RangeSet::Ignore);
        assert_eq!(parse(b"bytes=0-0", 9, 0), RangeSet::Ignore);
        assert!(matches!(parse(b"bytes=0-0,,2-2", 9, 2), RangeSet::Satisfiable(_)));
    }

    #[test]
    fn overlapping_and_adjacent_ranges_are_merged_and_the_order_is_kept() {
        assert_eq!(got("bytes=5-6, 0-1", 99), Some(vec![(5, 6), (0, 1)]));
        assert_eq!(got("bytes=0-1, 2-3", 99), Some(vec![(0, 3)]));
        assert_eq!(got("bytes=0-5, 3-9, 20-", 30), Some(vec![(0, 9), (20, 29)]));
        assert_eq!(got("bytes=50-60, 0-1, 10-11, 1-10", 99), Some(vec![(50, 60), (0, 11)]));
        assert_eq!(got("bytes=0-, 0-, 0-", 9), Some(vec![(0, 8)]));
    }

    #[test]
    fn the_only_range_is_known_before_the_length() {
        assert_eq!(requested(b"bytes=2-5"), Some(RequestedRange::FromTo(2, 5)));
        assert_eq!(requested(b"bytes=2-"), Some(RequestedRange::From(2)));
        assert_eq!(requested(b"bytes=-5,"), Some(RequestedRange::Suffix(5)));
        assert_eq!(requested(b"bytes=2-5, 7-8"), None);
    }

    #[test]
    fn content_range_is_read() {
        let read = |value: &str| ContentRange::parse(value.as_bytes()).map(|r| (r.start, r.end, r.complete));
        assert_eq!(read("bytes 4-9/10"), Some((4, 9, Some(10))));
        assert_eq!(read("Bytes 0-0/*"), Some((0, 0, None)));
        for value in [
            "bytes */10",
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes 0-4",
            "bytes=0-4/10",
            "items 0-4/10",
            "bytes 0-4/",
            "bytes -4/10",
            "bytes 0-/10",
            "bytes 0-4/18446744073709551616",
            "bytes 4/9-10",
            "bytes 0-18446744073709551615/*",
            "bytes 0-4/10, 5-9/10",
            "bytes  0-4/10",
            "",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn content_range_is_written() {
        assert_eq!(content_range(ByteRange { start: 4, end: 9 }, 10), "bytes 4-9/10");
        assert_eq!(unsatisfied(10), "bytes */10");
        let most = ByteRange { start: u64::MAX, end: u64::MAX };
        assert_eq!(content_range(most, u64::MAX).len(), 6 + 3 * 20 + 2);
        assert_eq!(most.length(), 1);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(value: Vec<u8>, length: u64) {
            let _ = (parse(&value, length, 8), requested(&value), ContentRange::parse(&value));
        }

        #[test]
        fn whatever_is_satisfiable_is_sound(set in "[0-9]{0,3}-[0-9]{0,3}(,[0-9]{1,2}-[0-9]{2}){0,6}", length in 0_u64..300) {
            let value = format!("bytes={set}");
            if let RangeSet::Satisfiable(ranges) = parse(value.as_bytes(), length, 8) {
                prop_assert!(!ranges.is_empty());
                for (at, range) in ranges.iter().enumerate() {
                    prop_assert!(range.start <= range.end && range.end < length);
                    prop_assert!(ranges[at + 1..].iter().all(|other| range.union(*other).is_none()));
                }
            }
        }

        #[test]
        fn a_written_content_range_is_read_back(start: u32, more: u32, after in 1..=u32::MAX) {
            let range = ByteRange { start: start.into(), end: u64::from(start) + u64::from(more) };
            let complete = range.end + u64::from(after);
            let read = ContentRange::parse(content_range(range, complete).as_bytes());
            prop_assert_eq!(read, Some(ContentRange { start: range.start, end: range.end, complete: Some(complete) }));
        }
    }
}
