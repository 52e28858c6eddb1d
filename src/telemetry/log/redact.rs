//! Keeps secrets of the query out of what is written.

use std::borrow::Cow;

/// The longest path with query that is told, in bytes; what is longer is cut, and ends in `…`.
const MOST: usize = 2048;
/// Stands for a value.
const HIDDEN: &str = "***";

/// Query parameters whose values are not written.
#[derive(Clone, Debug)]
pub struct Redaction {
    /// By the first byte of a name, in lower case, or its last: most names meet no pattern at all, and every request that is told of comes by here.
    first: Buckets,
    last: Buckets,
}

type Buckets = Box<[Vec<Pattern>; 256]>;

#[derive(Clone, Debug)]
struct Pattern {
    word: Box<str>,
    place: Place,
}

/// What of a name a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Whole,
    Beginning,
    End,
}

impl Pattern {
    fn new(name: &str) -> Self {
        let (word, place) = match (name.strip_suffix('*'), name.strip_prefix('*')) {
            (Some(start), _) => (start, Place::Beginning),
            (None, Some(end)) => (end, Place::End),
            (None, None) => (name, Place::Whole),
        };
        Self { word: word.into(), place }
    }

    fn matches(&self, name: &[u8]) -> bool {
        let part = match self.place {
            Place::Whole => Some(name),
            Place::Beginning => name.get(..self.word.len()),
            Place::End => name.len().checked_sub(self.word.len()).map(|from| &name[from..]),
        };
        part.is_some_and(|part| part.eq_ignore_ascii_case(self.word.as_bytes()))
    }
}

impl Default for Redaction {
    fn default() -> Self {
        Self::new::<&str>(&[])
    }
}

impl Redaction {
    /// Of parameters of these names, whatever their case; a `*` at the beginning or the end stands for anything.
    #[must_use]
    pub fn new<T: AsRef<str>>(names: &[T]) -> Self {
        let empty = || Box::new(std::array::from_fn(|_| Vec::new()));
        let mut redaction = Self { first: empty(), last: empty() };
        for pattern in names.iter().map(|name| Pattern::new(name.as_ref())) {
            let (buckets, byte) = match pattern.place {
                Place::End => (&mut redaction.last, pattern.word.bytes().last()),
                Place::Whole | Place::Beginning => (&mut redaction.first, pattern.word.bytes().next()),
            };
            match byte {
                Some(byte) => buckets[usize::from(byte.to_ascii_lowercase())].push(pattern),
                None => buckets.iter_mut().for_each(|bucket| bucket.push(pattern.clone())), // a `*` alone
            }
        }
        redaction
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

    /// Whether a query has a value that must not be seen, in one go.
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

    /// Whether the value of a parameter of this name must not be seen. An origin reads `t%6fken` as `token`.
    fn hides(&self, name: &[u8]) -> bool {
        if name.contains(&b'%') { self.knows(&decoded(name)) } else { self.knows(name) }
    }

    fn knows(&self, name: &[u8]) -> bool {
        let in_bucket = |buckets: &Buckets, byte: Option<&u8>| {
            byte.is_some_and(|byte| buckets[usize::from(byte.to_ascii_lowercase())].iter().any(|pattern| pattern.matches(name)))
        };
        in_bucket(&self.first, name.first()) || in_bucket(&self.last, name.last())
    }

    fn rewritten(&self, path: &str, query: &str) -> String {
        let mut text = String::with_capacity(path.len() + query.len() + 8);
        text.push_str(path);
        text.push('?');
        // To most origins a `;` belongs to the value that it stands in.
        let mut goes_on = false;
        for pair in query.split_inclusive(['&', ';']) {
            let bare = pair.trim_end_matches(['&', ';']);
            let end = &pair[bare.len()..];
            let hidden = bare.split_once('=').filter(|(name, value)| !value.is_empty() && self.hides(name.as_bytes()));
            match hidden {
                Some((name, _)) => text.extend([name, "=", HIDDEN, end]),
                None if goes_on && !bare.is_empty() => text.extend([HIDDEN, end]),
                None => text.push_str(pair),
            }
            goes_on = end == ";" && (goes_on || hidden.is_some());
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
            ("/a?t%6Fken=abc;y=1", "/a?t%6Fken=***;***"),
            ("/a?token=ab;c;d=e&y=1;z", "/a?token=***;***;***&y=1;z"),
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
