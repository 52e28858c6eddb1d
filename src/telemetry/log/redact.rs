//! Keeps secrets of the query out of what is written.

use std::borrow::Cow;

/// The longest path with query that is told, in bytes; what is longer is cut, and ends in `…`.
const MOST: usize = 2048;
/// Stands for a value.
const HIDDEN: &str = "***";

/// Query parameters whose values are not written.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    patterns: Box<[Pattern]>,
    /// With which bytes names may begin and end that a pattern knows: most are told from them at a glance.
    first: Bytes,
    last: Bytes,
}

#[derive(Clone, Debug)]
struct Pattern {
    word: Box<str>,
    place: Place,
    /// The byte of the word that is looked at before the others, in lower case: its first, or its last where it is the end of names.
    telling: Option<u8>,
}

/// What of a name a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Whole,
    Beginning,
    End,
}

/// A set of bytes, whatever their case.
#[derive(Clone, Copy, Debug, Default)]
struct Bytes([u64; 4]);

impl Bytes {
    fn insert(&mut self, byte: u8) {
        for byte in [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
            self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
    }

    fn has(&self, byte: Option<&u8>) -> bool {
        byte.is_some_and(|byte| self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1)
    }
}

impl Pattern {
    fn new(name: &str) -> Self {
        let (word, place) = match (name.strip_suffix('*'), name.strip_prefix('*')) {
            (Some(start), _) => (start, Place::Beginning),
            (None, Some(end)) => (end, Place::End),
            (None, None) => (name, Place::Whole),
        };
        let telling = if place == Place::End { word.bytes().last() } else { word.bytes().next() };
        Self { word: word.into(), place, telling: telling.map(|byte| byte.to_ascii_lowercase()) }
    }

    fn matches(&self, name: &[u8]) -> bool {
        let byte = if self.place == Place::End { name.last() } else { name.first() };
        if self.telling.is_some() && byte.map(u8::to_ascii_lowercase) != self.telling {
            return false;
        }
        let part = match self.place {
            Place::Whole => Some(name),
            Place::Beginning => name.get(..self.word.len()),
            Place::End => name.len().checked_sub(self.word.len()).map(|from| &name[from..]),
        };
        part.is_some_and(|part| part.eq_ignore_ascii_case(self.word.as_bytes()))
    }
}

impl Redaction {
    /// Of parameters of these names, whatever their case; a `*` at the beginning or the end stands for anything.
    #[must_use]
    pub fn new<T: AsRef<str>>(names: &[T]) -> Self {
        let patterns: Box<[Pattern]> = names.iter().map(|name| Pattern::new(name.as_ref())).collect();
        let (mut first, mut last) = (Bytes::default(), Bytes::default());
        for pattern in &patterns {
            match (pattern.telling, pattern.place) {
                (Some(byte), Place::End) => last.insert(byte),
                (Some(byte), _) => first.insert(byte),
                (None, _) => first = Bytes([u64::MAX; 4]), // a `*` alone
            }
        }
        Self { patterns, first, last }
    }

    /// `target` (a path, perhaps with a query) as it may be written. Nothing is copied if nothing has to be hidden.
    #[must_use]
    pub fn clean<'a>(&self, target: &'a str) -> Cow<'a, str> {
        let clean = match memchr::memchr(b'?', target.as_bytes()) {
            Some(at) if self.hides_any(&target.as_bytes()[at + 1..]) => Cow::Owned(self.rewritten(&target[..at], &target[at + 1..])),
            _ => Cow::Borrowed(target),
        };
        if clean.len() > MOST { Cow::Owned(format!("{}…", &clean[..clean.floor_char_boundary(MOST)])) } else { clean }
    }

    /// Whether a query has a value that must not be seen. In one go, since every request that is told of comes by here.
    fn hides_any(&self, query: &[u8]) -> bool {
        let mut name = Some(0);
        for (at, byte) in query.iter().enumerate() {
            match (byte, name) {
                (b'=', Some(from)) => {
                    if self.hides(&query[from..at]) {
                        return true;
                    }
                    name = None;
                }
                (b'&' | b';', _) => name = Some(at + 1),
                _ => {}
            }
        }
        false
    }

    /// Whether the value of a parameter of this name must not be seen.
    fn hides(&self, name: &[u8]) -> bool {
        if name.contains(&b'%') {
            // An origin reads `t%6fken` as `token`.
            let name = decoded(name);
            return self.patterns.iter().any(|pattern| pattern.matches(&name));
        }
        (self.first.has(name.first()) || self.last.has(name.last())) && self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    fn rewritten(&self, path: &str, query: &str) -> String {
        let mut text = String::with_capacity(path.len() + query.len() + 8);
        text.push_str(path);
        text.push('?');
        for pair in query.split_inclusive(['&', ';']) {
            let bare = pair.trim_end_matches(['&', ';']);
            match bare.split_once('=').filter(|(name, value)| !value.is_empty() && self.hides(name.as_bytes())) {
                Some((name, _)) => text.extend([name, "=", HIDDEN, &pair[bare.len()..]]),
                None => text.push_str(pair),
            }
        }
        text
    }
}

fn decoded(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        rest = match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                &after[2..]
            }
            _ => {
                bytes.push(byte);
                after
            }
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::Redaction;
    use crate::telemetry::log::LogSettings;
    use std::borrow::Cow;

    #[test]
    fn values_of_secret_parameters_are_not_written_and_others_are() {
        let redaction = Redaction::new(&LogSettings::default().redact);
        for (target, clean) in [
            ("/a?page=1&token=abc&x=2", "/a?page=1&token=***&x=2"),
            ("/a?API_KEY=abc", "/a?API_KEY=***"),
            ("/a?t%6Fken=abc;y=1", "/a?t%6Fken=***;y=1"),
            ("/a?access_token=a=b&refresh_token=c", "/a?access_token=***&refresh_token=***"),
            ("/a?X-Amz-Signature=abc&token", "/a?X-Amz-Signature=***&token"),
            ("/token=abc?monkey=1", "/token=abc?monkey=1"),
            ("/a?", "/a?"),
            ("/a", "/a"),
            ("/a?%=1&%zz=2&token=", "/a?%=1&%zz=2&token="),
        ] {
            assert_eq!(redaction.clean(target), clean);
        }
        assert!(matches!(redaction.clean("/a?page=1"), Cow::Borrowed(_)));
        assert_eq!(Redaction::new(&["*"]).clean("/a?b=1&c=2"), "/a?b=***&c=***");
        assert_eq!(Redaction::new::<&str>(&[]).clean("/a?token=1"), "/a?token=1");
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        let long = format!("/{}?token=1", "é".repeat(3000));
        let clean = Redaction::new(&["token"]).clean(&long).into_owned();
        assert!(clean.ends_with("é…") && clean.len() <= 2052, "{}", clean.len());
    }
}
