//! The header lines of a stored response, in little room.
//!
//! A `HeaderMap` costs over a hundred bytes per line and keeps room to grow; what is stored never grows. Building a map with room for our own
//! fields for each answer costs no more than cloning one and letting it grow.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What a line costs beyond its bytes: name and value as they lie in memory, and a share of what the allocator rounds up.
const LINE_WEIGHT: usize = size_of::<(HeaderName, HeaderValue)>() + 24;

/// Header lines in their order; the lines of one name stand together. The values share one allocation of exactly their size, so that none pins
/// a buffer that it was read from.
#[derive(Debug)]
pub(crate) struct Fields(Box<[(HeaderName, HeaderValue)]>);

impl Fields {
    pub(crate) fn compact(headers: &HeaderMap) -> Self {
        let block: Bytes = headers.values().flat_map(|value| value.as_bytes()).copied().collect::<Vec<u8>>().into();
        let mut at = 0;
        let lines = headers.iter().map(|(name, value)| {
            let end = at + value.len();
            // The bytes were a valid value a moment ago; should they not be, the original is as good.
            let mut copy = HeaderValue::from_maybe_shared(block.slice(at..end)).unwrap_or_else(|_| value.clone());
            copy.set_sensitive(value.is_sensitive());
            at = end;
            (name.clone(), copy)
        });
        Self(lines.collect())
    }

    /// The first line of `name`.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// All lines as a map, with room for a few more.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.0.len() + 4); // Age, Cache-Status, Via, Date
        for (name, value) in &self.0 {
            map.append(name.clone(), value.clone());
        }
        map
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> usize {
        self.0.iter().map(|(name, value)| name.as_str().len() + value.len() + LINE_WEIGHT).sum()
    }
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
}
