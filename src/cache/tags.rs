//! What a response says that it belongs to: `Cache-Tag` (separated by commas), `Surrogate-Key` (by spaces) and `Cache-Groups` (RFC 9875).
//!
//! The first two share one name space with the tags of rules, and names are compared byte by byte. A response whose words are not understood, or
//! are too many, is not stored: a purge could not find it.

use crate::cache::admit::NotStored;
use crate::rfc::cache_groups::{self, CACHE_GROUPS};
use http::{HeaderMap, HeaderName};

/// Tags and groups of one response together; with more it is not stored.
pub(crate) const MOST_TAGS: usize = 512;
/// Bytes of one tag or group; with a longer one the response is not stored.
pub(crate) const LONGEST_TAG: usize = 1024;

const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// The fields that are read here.
pub(crate) static FIELDS: [HeaderName; 3] = [CACHE_TAG, SURROGATE_KEY, CACHE_GROUPS];

/// What a response belongs to by its own word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseTags {
    /// Of Cache-Tag and Surrogate-Key.
    pub(crate) tags: Vec<Box<str>>,
    /// Of Cache-Groups: they hold for the origin of the request alone (RFC 9875 section 2).
    pub(crate) groups: Vec<Box<str>>,
}

impl ResponseTags {
    /// Reads the three fields.
    ///
    /// # Errors
    /// [`NotStored::Tags`]: a member is malformed or too long, or there are too many.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, NotStored> {
        let mut read = Self::default();
        // One look where there is nothing to read, which is most of the time.
        if !FIELDS.iter().any(|name| headers.contains_key(name)) {
            return Ok(read);
        }
        for line in headers.get_all(CACHE_TAG) {
            read.add(line.as_bytes().split(|byte| *byte == b','))?;
        }
        for line in headers.get_all(SURROGATE_KEY) {
            read.add(line.as_bytes().split(|byte| *byte == b' ' || *byte == b'\t'))?;
        }
        let groups = cache_groups::read(headers, &CACHE_GROUPS).ok_or(NotStored::Tags)?;
        read.groups = groups.into_iter().map(String::into_boxed_str).collect();
        let fits = read.tags.len() + read.groups.len() <= MOST_TAGS && read.groups.iter().all(|group| group.len() <= LONGEST_TAG);
        if fits { Ok(read) } else { Err(NotStored::Tags) }
    }

    /// Adds the members of one line; empty ones are skipped, as in any list (RFC 9110 section 5.6.1.2).
    fn add<'a>(&mut self, members: impl Iterator<Item = &'a [u8]>) -> Result<(), NotStored> {
        for member in members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
            let tag = tag(member).filter(|_| self.tags.len() < MOST_TAGS).ok_or(NotStored::Tags)?;
            self.tags.push(tag.into());
        }
        Ok(())
    }
}

/// A tag: visible ASCII, with spaces inside at most.
fn tag(member: &[u8]) -> Option<&str> {
    let plain = member.len() <= LONGEST_TAG && member.iter().all(|byte| (b' '..=b'~').contains(byte));
    std::str::from_utf8(member).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_TAG, MOST_TAGS, ResponseTags};
    use crate::cache::admit::NotStored;
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn read(lines: &[(&'static str, &str)]) -> Result<(Vec<String>, Vec<String>), NotStored> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let own = |texts: Vec<Box<str>>| texts.into_iter().map(String::from).collect();
        ResponseTags::read(&headers).map(|read| (own(read.tags), own(read.groups)))
    }

    #[test]
    fn each_field_has_its_own_separator_and_lines_add_up() {
        let lines = [("cache-tag", " a,b c ,,"), ("cache-tag", "d"), ("surrogate-key", "e  f\tg,h"), ("cache-groups", r#""i", "j k""#)];
        let (tags, groups) = read(&lines).unwrap();
        assert_eq!(tags, ["a", "b c", "d", "e", "f", "g,h"]);
        assert_eq!(groups, ["i", "j k"]);
        assert_eq!(read(&[]).unwrap(), (Vec::<String>::new(), Vec::<String>::new()));
    }

    #[test]
    fn what_is_malformed_too_long_or_too_many_is_not_stored() {
        let (long, longest) = ("x".repeat(LONGEST_TAG + 1), "x".repeat(LONGEST_TAG));
        let most = vec!["x"; MOST_TAGS].join(",");
        for lines in [[("cache-tag", "a,\u{e9}")], [("surrogate-key", "\u{e9}")], [("cache-groups", "a")], [("cache-tag", long.as_str())]] {
            assert_eq!(read(&lines), Err(NotStored::Tags), "{lines:?}");
        }
        assert_eq!(read(&[("cache-groups", &format!("\"{long}\""))]), Err(NotStored::Tags));
        assert_eq!(read(&[("cache-tag", most.as_str()), ("surrogate-key", "y")]), Err(NotStored::Tags));
        assert_eq!(read(&[("cache-tag", most.as_str()), ("cache-groups", "\"y\"")]), Err(NotStored::Tags));
        assert!(read(&[("cache-tag", most.as_str())]).is_ok() && read(&[("cache-tag", longest.as_str())]).is_ok());
    }
}
