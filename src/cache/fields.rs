//! The header lines of a stored response, in little room.
//!
//! A `HeaderMap` costs over a hundred bytes per line and keeps room to grow; what is stored never grows, and most of the time its lines go to the wire as
//! they are. They are one text, and eight bytes per line say where its value is and what its name is.

use crate::rfc::age;
use crate::rfc::cache_status::{CACHE_STATUS, CacheStatus};
use arc_swap::ArcSwap;
use bytes::Bytes;
use foldhash::HashMap;
use http::header::{AGE, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

/// What stands between the names and the values: `: ` and CRLF.
const BETWEEN: usize = 4;

/// Header lines in their order; the lines of one name stand together. All values are parts of one text of exactly their size, so that none pins a buffer
/// that it was read from: the lines as HTTP/1 writes them.
#[derive(Debug)]
pub(crate) struct Fields {
    /// In the order of the text.
    lines: Box<[Line]>,
    /// `name: value` and CRLF for each line; `Content-Length` stands last.
    text: Bytes,
    /// Where `Content-Length` begins in the text.
    without_length: u32,
    /// The same as a map, for a response that is asked for often by those who need one.
    ready: OnceLock<Box<Ready>>,
}

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

/// One line of a text.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The value's length, and above it whether it is sensitive.
    length: u32,
    /// The name's length; it is shorter than 64 KiB.
    name_length: u16,
    /// Its place among the known names; [`UNKNOWN`] if it has none.
    name: u16,
}

const SENSITIVE: u32 = 1 << 31;
const UNKNOWN: u16 = u16::MAX;

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

/// The head of the last answer, which is the next one's too while it says the same, and the bytes that it counts for.
#[derive(Debug)]
struct Ready {
    last: ArcSwap<(Said, HeaderMap)>,
    bytes: usize,
}

impl Ready {
    /// `None` if there are enough.
    fn of(said: Said, map: &HeaderMap) -> Option<Self> {
        let bytes = size_of::<Self>() + size_of::<(Said, HeaderMap)>() + map.capacity() * READY_LINE;
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
        let is_length = |(name, _): &(&HeaderName, &HeaderValue)| *name == CONTENT_LENGTH;
        let room = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + BETWEEN).sum();
        let (mut text, mut lines) = (Vec::with_capacity(room), Vec::with_capacity(headers.len()));
        headers.iter().filter(|line| !is_length(line)).for_each(|line| write(&mut text, &mut lines, line));
        let without_length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        headers.iter().filter(is_length).for_each(|line| write(&mut text, &mut lines, line));
        Self { lines: lines.into_boxed_slice(), text: text.into(), without_length, ready: OnceLock::new() }
    }

    /// The lines as HTTP/1 writes them, each with its CRLF, but for `Content-Length`.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.text[..self.without_length as usize]
    }

    /// The first line of `name`.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<HeaderValue> {
        let wanted = name.as_str().as_bytes();
        let mut start = 0;
        for line in &self.lines {
            let value = start + usize::from(line.name_length) + 2;
            if &self.text[start..start + usize::from(line.name_length)] == wanted {
                return self.value(*line, value);
            }
            start = value + line.length() + 2;
        }
        None
    }

    /// Whether there is a line of `name`.
    pub(crate) fn has(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
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
                if let Some(ready) = Ready::of(said, &map) {
                    let _ = self.ready.set(Box::new(ready)); // another thread's is as good
                }
            }
            None => {}
        }
        map
    }

    /// All lines as a map, with room for a few more.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.lines.len() + 4); // Age, Cache-Status, Via, Date
        let known = NAMES.list.load();
        let mut start = 0;
        for line in &self.lines {
            let end_of_name = start + usize::from(line.name_length);
            let name = known.get(usize::from(line.name)).cloned().or_else(|| HeaderName::from_bytes(&self.text[start..end_of_name]).ok());
            // Both were valid when they were stored.
            if let (Some(name), Some(value)) = (name, self.value(*line, end_of_name + 2)) {
                map.append(name, value);
            }
            start = end_of_name + 2 + line.length() + 2;
        }
        map
    }

    fn value(&self, line: Line, start: usize) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_maybe_shared(self.text.slice(start..start + line.length())).ok()?;
        value.set_sensitive(line.length & SENSITIVE != 0);
        Some(value)
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> usize {
        self.text.len() + self.lines.len() * size_of::<Line>()
    }
}

impl Line {
    const fn length(self) -> usize {
        (self.length & !SENSITIVE) as usize
    }
}

fn write(text: &mut Vec<u8>, lines: &mut Vec<Line>, (name, value): (&HeaderName, &HeaderValue)) {
    // `http` bounds names below 64 KiB, and no head has values of 2 GiB; a line beyond that could not be found again.
    let (Ok(name_length), Ok(length)) = (u16::try_from(name.as_str().len()), i32::try_from(value.len()).map(i32::cast_unsigned)) else {
        return;
    };
    text.extend_from_slice(name.as_str().as_bytes());
    text.extend_from_slice(b": ");
    text.extend_from_slice(value.as_bytes());
    text.extend_from_slice(b"\r\n");
    let sensitive = if value.is_sensitive() { SENSITIVE } else { 0 };
    lines.push(Line { length: length | sensitive, name_length, name: NAMES.place_of(name) });
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
        let large = || Ready::of(said, &HeaderMap::with_capacity(24_000));
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
