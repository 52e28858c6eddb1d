//! The header lines of a stored response, in little room.
//!
//! A `HeaderMap` costs over a hundred bytes per line and keeps room to grow; what is stored never grows. Building a map with room for our own
//! fields for each answer costs no more than cloning one and letting it grow.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What a line costs beyond its bytes: name and value as they lie in memory, and a share of what the allocator rounds up.
const LINE_WEIGHT: usize = size_of::<(HeaderName, HeaderValue)>() + 24;

/// What stands between the names and the values: `: ` and CRLF.
const BETWEEN: usize = 4;

/// Header lines in their order; the lines of one name stand together. All values are parts of one text of exactly their size, so that none pins a buffer
/// that it was read from: the lines as HTTP/1 writes them.
#[derive(Debug)]
pub(crate) struct Fields {
    lines: Box<[(HeaderName, HeaderValue)]>,
    /// `name: value` and CRLF for each line; `Content-Length` stands last.
    text: Bytes,
    /// Where `Content-Length` begins in the text.
    without_length: usize,
}

impl Fields {
    pub(crate) fn compact(headers: &HeaderMap) -> Self {
        let is_length = |(name, _): &(&HeaderName, &HeaderValue)| *name == CONTENT_LENGTH;
        let room = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + BETWEEN).sum();
        let mut text = Vec::with_capacity(room);
        headers.iter().filter(|line| !is_length(line)).for_each(|line| write(&mut text, line));
        let without_length = text.len();
        headers.iter().filter(is_length).for_each(|line| write(&mut text, line));
        let text = Bytes::from(text);
        let (mut at, mut at_length) = (0, without_length);
        let lines = headers.iter().map(|(name, value)| {
            let at = if *name == CONTENT_LENGTH { &mut at_length } else { &mut at };
            let start = *at + name.as_str().len() + 2;
            let end = start + value.len();
            *at = end + 2;
            // The bytes were a valid value a moment ago; should they not be, the original is as good.
            let mut copy = HeaderValue::from_maybe_shared(text.slice(start..end)).unwrap_or_else(|_| value.clone());
            copy.set_sensitive(value.is_sensitive());
            (name.clone(), copy)
        });
        Self { lines: lines.collect(), text: text.clone(), without_length }
    }

    /// The lines as HTTP/1 writes them, each with its CRLF, but for `Content-Length`.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.text[..self.without_length]
    }

    /// The first line of `name`.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.lines.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// All lines as a map, with room for a few more.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.lines.len() + 4); // Age, Cache-Status, Via, Date
        for (name, value) in &self.lines {
            map.append(name.clone(), value.clone());
        }
        map
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> usize {
        self.text.len() + self.lines.len() * LINE_WEIGHT
    }
}

fn write(text: &mut Vec<u8>, (name, value): (&HeaderName, &HeaderValue)) {
    text.extend_from_slice(name.as_str().as_bytes());
    text.extend_from_slice(b": ");
    text.extend_from_slice(value.as_bytes());
    text.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::Fields;
    use http::{HeaderMap, HeaderName, HeaderValue};

    #[test]
    fn what_went_in_comes_out_with_its_order_and_its_repeats() {
        let mut map = HeaderMap::new();
        for (name, value) in [("b", "1"), ("a", "2"), ("b", "3"), ("x-empty", "")] {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let fields = Fields::compact(&map);
        assert_eq!(fields.to_map(), map);
        assert_eq!(fields.get(&HeaderName::from_static("b")).unwrap(), "1");
        assert_eq!(fields.get(&HeaderName::from_static("c")), None);
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
