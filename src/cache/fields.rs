//! The header lines of a stored response, in little room.
//!
//! A `HeaderMap` costs over a hundred bytes per line and keeps room to grow; what is stored never grows, and most of the time its lines go to the wire as
//! they are. They are one text, and five bytes per line say how long its name and its value are, and what the name is.

use crate::cache::room::room;
use crate::rfc::age;
use crate::rfc::cache_status::{CACHE_STATUS, CacheStatus};
use arc_swap::ArcSwap;
use bytes::Bytes;
use foldhash::HashMap;
use http::header::{AGE, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;
use once_cell::race::OnceBox;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// What stands between the names and the values: `: ` and CRLF.
const BETWEEN: usize = 4;

/// Header lines in their order; the lines of one name stand together. One allocation of exactly their size, so that none pins a buffer that it was read from.
#[derive(Debug)]
pub(crate) struct Fields {
    /// How many lines there are, and where `Content-Length` begins in their text ([`LEAD`] bytes); [`Line::SIZE`] bytes for each line; and their text,
    /// the lines as HTTP/1 writes them: `name: value` and CRLF. `Content-Length` stands last.
    block: Box<[u8]>,
    /// The same as a map, for a response that is asked for often by those who need one.
    ready: OnceBox<Ready>,
}

/// Bytes before the marks of the lines.
const LEAD: usize = 6;

/// So many lines the head of a stored response may have by its origin's word, and its trailers. No server sends so many, but an application behind a layer may; a map
/// has room for some twenty thousand names.
pub(crate) const MOST_LINES: usize = 4096;
/// `Date` and `Content-Length`, which a head that is stored gets if it has none.
const ADDED: usize = 2;

/// What an answer says beside what is stored. It changes twice a second, with the age and with the lifetime that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Seconds.
    pub(crate) age: u64,
    /// `None`: nothing, `Cache-Status` is switched off.
    pub(crate) status: Option<CacheStatus>,
}

impl Said {
    /// Adds it: RFC 9111 section 5.1 (Age), and RFC 9211 behind what other caches have said.
    pub(crate) fn add_to(&self, map: &mut HeaderMap) {
        map.insert(AGE, age::value(self.age));
        if let Some(status) = self.status {
            map.append(&CACHE_STATUS, status.to_value());
        }
    }
}

/// What is kept of a line beside its text.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The value's length; [`LONG`] if it is not shorter than that.
    length: u16,
    /// The name's place among the known names, [`UNKNOWN`] if it has none; and above it whether the value is sensitive.
    name: u16,
    /// The name's length; [`LONG_NAME`] if it is not shorter than that.
    name_length: u8,
}

/// A name of so many bytes or more ends at the colon.
const LONG_NAME: u8 = u8::MAX;

/// A value of so many bytes or more ends where the line does: it has no CR in it (RFC 9110 section 5.5).
const LONG: u16 = u16::MAX;
const SENSITIVE: u16 = 1 << 15;
const UNKNOWN: u16 = SENSITIVE - 1;

/// Names that were stored once, so that a map is built without reading them again. An origin uses few; one that invents them has the later ones read.
static NAMES: LazyLock<Names> = LazyLock::new(Names::default);
/// So many names are known, of so many bytes at most: 100 KiB in all.
const MOST_NAMES: usize = 1024;
const LONGEST_NAME: usize = 64;

/// Bytes of answers' maps that are kept, of all caches of the process.
static READY: AtomicUsize = AtomicUsize::new(0);
/// So many there are at most: with a usual head, of the two thousand responses that are asked for most in process or over HTTP/2.
const MOST_READY: usize = 4 << 20;
/// What a line takes in a map: its bucket, its places in the index, and room that a map keeps free.
const READY_LINE: usize = 144;
/// What the text of a map takes beside its bytes: that its values share it.
const READY_TEXT: usize = 32;

/// The head of the last answer, which is the next one's too while it says the same, and the bytes that it counts for.
#[derive(Debug)]
struct Ready {
    last: ArcSwap<(Said, HeaderMap)>,
    bytes: usize,
}

impl Ready {
    /// An answer whose values are parts of a `text` of so many bytes; `None` if there are enough.
    fn of(said: Said, map: &HeaderMap, text: usize) -> Option<Self> {
        let bytes = size_of::<Self>() + size_of::<(Said, HeaderMap)>() + map.capacity() * READY_LINE + text + READY_TEXT;
        let added = READY.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| Some(all + bytes).filter(|all| *all <= MOST_READY));
        added.is_ok().then(|| Self { last: ArcSwap::from_pointee((said, map.clone())), bytes }) // a Ready that was made counts
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        READY.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Names {
    list: ArcSwap<Vec<HeaderName>>,
    places: Mutex<HashMap<HeaderName, u16>>,
}

impl Names {
    fn place_of(&self, name: &HeaderName) -> u16 {
        let mut places = self.places.lock();
        if let Some(place) = places.get(name) {
            return *place;
        }
        if places.len() >= MOST_NAMES || name.as_str().len() > LONGEST_NAME {
            return UNKNOWN;
        }
        let Ok(place) = u16::try_from(places.len()) else { return UNKNOWN };
        // For ever: then cloning it for an answer touches no count that all cores share.
        let name = HeaderName::from_static(name.as_str().to_owned().leak());
        let mut list = Vec::clone(&self.list.load());
        list.push(name.clone());
        self.list.store(Arc::new(list));
        places.insert(name, place);
        place
    }
}

impl Fields {
    pub(crate) fn compact(headers: &HeaderMap) -> Self {
        // What is left out, if it is, belongs to what is not stored.
        let fits = |(name, value): &(&HeaderName, &HeaderValue)| i32::try_from(name.as_str().len() + value.len() + BETWEEN).is_ok();
        let kept = || headers.iter().filter(fits).take(MOST_LINES + ADDED);
        let is_length = |(name, _): &(&HeaderName, &HeaderValue)| *name == CONTENT_LENGTH;
        let (mut count, mut room, mut length) = (0_u16, 0, 0);
        for line in kept() {
            let text = line.0.as_str().len() + line.1.len() + BETWEEN;
            count += 1;
            room += text;
            length += if is_length(&line) { text } else { 0 };
        }
        let mut block = Vec::with_capacity(LEAD + usize::from(count) * Line::SIZE + room);
        block.extend_from_slice(&count.to_le_bytes());
        block.extend_from_slice(&u32::try_from(room - length).unwrap_or(u32::MAX).to_le_bytes());
        let ordered = || kept().filter(|line| !is_length(line)).chain(kept().filter(is_length));
        ordered().for_each(|(name, value)| block.extend_from_slice(&Line::of(name, value).bytes()));
        for (name, value) in ordered() {
            block.extend_from_slice(name.as_str().as_bytes());
            block.extend_from_slice(b": ");
            block.extend_from_slice(value.as_bytes());
            block.extend_from_slice(b"\r\n");
        }
        Self { block: block.into_boxed_slice(), ready: OnceBox::new() }
    }

    /// The lines as HTTP/1 writes them, each with its CRLF, but for `Content-Length`.
    pub(crate) fn lines(&self) -> &[u8] {
        let text = self.text();
        match self.block.get(2..).and_then(<[u8]>::first_chunk) {
            Some(without_length) => text.get(..u32::from_le_bytes(*without_length) as usize).unwrap_or(text),
            None => text,
        }
    }

    fn count(&self) -> usize {
        self.block.first_chunk().map_or(0, |count| usize::from(u16::from_le_bytes(*count)))
    }

    fn text(&self) -> &[u8] {
        self.block.get(LEAD + self.count() * Line::SIZE..).unwrap_or_default()
    }

    /// Each line, with where its name and its value are in the text.
    fn places(&self) -> impl Iterator<Item = (Line, Range<usize>, Range<usize>)> {
        let (text, mut start) = (self.text(), 0);
        let marks = self.block.get(LEAD..).unwrap_or_default().chunks_exact(Line::SIZE).take(self.count());
        marks.filter_map(move |mark| {
            let line = Line::from(mark);
            let name_length = if line.name_length == LONG_NAME { memchr(b':', text.get(start..)?)? } else { usize::from(line.name_length) };
            let name = start..start + name_length;
            let value = name.end + 2;
            let length = if line.length == LONG { memchr(b'\r', text.get(value..)?)? } else { usize::from(line.length) };
            start = value + length + 2;
            Some((line, name, value..value + length))
        })
    }

    /// The value of the first line of `name`.
    pub(crate) fn bytes(&self, name: &HeaderName) -> Option<&[u8]> {
        self.find(name).map(|(_, value)| value)
    }

    /// The first line of `name`.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<HeaderValue> {
        let (line, value) = self.find(name)?;
        let mut value = HeaderValue::from_bytes(value).ok()?; // it was valid when it was stored
        value.set_sensitive(line.is_sensitive());
        Some(value)
    }

    fn find(&self, name: &HeaderName) -> Option<(Line, &[u8])> {
        let (text, wanted) = (self.text(), name.as_str().as_bytes());
        let (line, _, value) = self.places().find(|(_, name, _)| text.get(name.clone()) == Some(wanted))?;
        Some((line, text.get(value)?))
    }

    /// Whether there is a line of `name`.
    pub(crate) fn has(&self, name: &HeaderName) -> bool {
        self.find(name).is_some()
    }

    /// All lines as a map, with what is `said` beside them. For a response that is `hot` the map is kept, if there is room: most answers of one second say
    /// the same.
    pub(crate) fn to_answer(&self, said: Said, hot: bool) -> HeaderMap {
        let ready = self.ready.get();
        if let Some(ready) = ready {
            let last = ready.last.load();
            if last.0 == said {
                return last.1.clone();
            }
        }
        let mut map = self.to_map();
        said.add_to(&mut map);
        match ready {
            Some(ready) => ready.last.store(Arc::new((said, map.clone()))), // it has as many lines as before, give or take one
            None if hot => {
                if let Some(ready) = Ready::of(said, &map, self.text().len()) {
                    let _ = self.ready.set(Box::new(ready)); // another thread's is as good
                }
            }
            None => {}
        }
        map
    }

    /// All lines as a map, with room for a few more. Its values are parts of one copy of the text.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let text = Bytes::copy_from_slice(self.text());
        let mut map = HeaderMap::with_capacity(self.count() + 4); // Age, Cache-Status, Via, Date
        let known = NAMES.list.load();
        for (line, name, value) in self.places() {
            let name = known.get(line.place()).cloned().or_else(|| HeaderName::from_bytes(&text[name]).ok());
            // Both were valid when they were stored.
            if let (Some(name), Ok(mut value)) = (name, HeaderValue::from_maybe_shared(text.slice(value))) {
                value.set_sensitive(line.is_sensitive());
                map.append(name, value);
            }
        }
        map
    }

    /// Bytes of memory.
    pub(crate) const fn weight(&self) -> usize {
        room(self.block.len())
    }
}

/// Without the map.
impl Clone for Fields {
    fn clone(&self) -> Self {
        Self { block: self.block.clone(), ready: OnceBox::new() }
    }
}

impl Line {
    const SIZE: usize = 5;

    fn of(name: &HeaderName, value: &HeaderValue) -> Self {
        let sensitive = if value.is_sensitive() { SENSITIVE } else { 0 };
        let name_length = u8::try_from(name.as_str().len()).unwrap_or(LONG_NAME);
        Self { length: u16::try_from(value.len()).unwrap_or(LONG), name: NAMES.place_of(name) | sensitive, name_length }
    }

    fn bytes(self) -> [u8; Self::SIZE] {
        let ([a, b], [c, d]) = (self.length.to_le_bytes(), self.name.to_le_bytes());
        [a, b, c, d, self.name_length]
    }

    fn from(bytes: &[u8]) -> Self {
        let at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self { length: at(0), name: at(2), name_length: bytes[4] }
    }

    fn place(self) -> usize {
        usize::from(self.name & !SENSITIVE)
    }

    const fn is_sensitive(self) -> bool {
        self.name & SENSITIVE != 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, LONGEST_NAME, READY_LINE, Ready, Said};
    use crate::rfc::cache_status::CacheStatus;
    use http::{HeaderMap, HeaderName, HeaderValue};

    #[test]
    fn what_went_in_comes_out_with_its_order_and_its_repeats() {
        let long = HeaderName::from_bytes(&[b'x'; LONGEST_NAME + 1]).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in [("b", "1"), ("a", "2"), ("b", "3"), ("x-empty", "")] {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map.append(long, HeaderValue::from_static("4"));
        let mut secret = HeaderValue::from_static("5");
        secret.set_sensitive(true);
        map.append("authentication-info", secret);
        let fields = Fields::compact(&map);
        assert_eq!(fields.to_map(), map);
        assert!(fields.to_map()["authentication-info"].is_sensitive() && !fields.to_map()["a"].is_sensitive());
        assert_eq!(fields.get(&HeaderName::from_static("b")).unwrap(), "1");
        assert_eq!(fields.get(&HeaderName::from_static("c")), None);
    }

    #[test]
    fn an_answer_says_what_is_stored_and_what_is_true_now() {
        let mut map = HeaderMap::new();
        for (name, value) in [("b", "1"), ("cache-status", "other; hit"), ("b", "3")] {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let fields = Fields::compact(&map);
        let said = |age, ttl| Said { age, status: Some(CacheStatus { name: "w", hit: true, ttl: Some(ttl), ..CacheStatus::default() }) };
        for hot in [false, true] {
            for (said, age, status) in [
                (said(1, 9), "1", vec!["other; hit", "w; hit; ttl=9"]),
                (said(1, 9), "1", vec!["other; hit", "w; hit; ttl=9"]),
                (said(2, 8), "2", vec!["other; hit", "w; hit; ttl=8"]),
                (Said { status: None, ..said(2, 8) }, "2", vec!["other; hit"]),
            ] {
                let mut answer = fields.to_answer(said, hot);
                assert_eq!(answer.get_all("cache-status").iter().collect::<Vec<_>>(), status);
                assert_eq!(answer.remove("age").unwrap(), age);
                answer.insert("cache-status", HeaderValue::from_static("other; hit"));
                assert_eq!(answer, map);
            }
            assert_eq!(fields.ready.get().is_some(), hot, "nothing is kept of what is not hot");
        }
    }

    #[test]
    fn there_is_a_bound_on_all_answers_that_are_kept() {
        let said = Said { age: 0, status: None };
        let large = || Ready::of(said, &HeaderMap::with_capacity(24_000), 0);
        let first = large();
        assert!(first.is_some() && large().is_none(), "{}", 24_000 * READY_LINE);
        drop(first);
        assert!(large().is_some());
    }

    #[test]
    fn the_text_has_every_line_but_the_length() {
        let mut map = HeaderMap::new();
        for (name, value) in [("b", "1"), ("content-length", "77"), ("a", ""), ("b", "3")] {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let fields = Fields::compact(&map);
        assert_eq!(fields.lines(), b"b: 1\r\nb: 3\r\na: \r\n");
        assert_eq!(fields.to_map(), map);
        assert_eq!(fields.get(&HeaderName::from_static("content-length")).unwrap(), "77");
    }
}
