//! Vary (RFC 9110 section 12.5.5) and the selection of a stored response by it
//! (RFC 9111 section 4.1).

use std::fmt;
use std::ops::Range;

use crate::rfc::forwarding::is_written_by_a_proxy;
use http::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderName, HeaderValue, VARY};
use smallvec::SmallVec;

use super::list::{members_of, trim};
use super::negotiation::{self, Text};

/// What a response says about the request fields that it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vary {
    /// It names none: there is no Vary, or an empty one.
    None,
    /// It depends on more than header fields (`*`), or on something that is no field name. No other
    /// request matches it (RFC 9111 section 4.1).
    Star,
    /// It depends on these fields: at least one, sorted by name, each of them once.
    Fields(SmallVec<[HeaderName; 4]>),
}

impl Vary {
    /// Reads all Vary lines of a response.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let mut fields = SmallVec::<[HeaderName; 4]>::new();
        for line in headers.get_all(VARY) {
            // Field names are tokens, so a quote is no reason to overlook a comma.
            for member in line.as_bytes().split(|&byte| byte == b',').map(trim) {
                if member.is_empty() {
                    continue;
                }
                match HeaderName::from_bytes(member) {
                    // `*` is a token and so a field name too, but not in this list.
                    Ok(name) if name.as_str() != "*" => fields.push(name),
                    _ => return Self::Star,
                }
            }
        }
        fields.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        fields.dedup();
        if fields.is_empty() { Self::None } else { Self::Fields(fields) }
    }
}

/// The selecting fields of a stored response with the values that its request had
/// (RFC 9111 section 4.1).
///
/// Values are compared in a normal form. An absent field differs from an empty one; several lines are
/// the same as one line with commas; whitespace around commas is nothing. In Accept, Accept-Charset,
/// Accept-Encoding and Accept-Language the order of the members, their case and the spelling of their
/// weights are nothing either. Cookie and Authorization are compared octet by octet.
#[derive(Clone, Default)]
pub struct Selector {
    fields: SmallVec<[HeaderName; 1]>,
    values: SmallVec<[Value; 1]>,
    fingerprint: Box<[u8]>,
    plain_language: bool,
    forwarding: bool,
}

/// The value of one selecting field.
#[derive(Clone)]
struct Value {
    /// Where its normal form stands in the fingerprint; `None` when the field is absent.
    normal: Option<Range<usize>>,
    /// How it was written.
    raw: Raw,
}

/// How a value was written, which is what most requests will repeat to the octet.
#[derive(Clone)]
enum Raw {
    /// As one line, which is its own normal form.
    Normal,
    /// As one line, these octets. A copy: the field itself would keep a whole network buffer alive.
    Line(Box<[u8]>),
    /// Not at all, or in several lines.
    Other,
}

impl Selector {
    /// Takes the values of `fields` from the request. Give the fields as [`Vary::Fields`] has them:
    /// their order is part of the fingerprint. Strip hop-by-hop fields first.
    #[must_use]
    pub fn new(fields: &[HeaderName], request: &HeaderMap) -> Self {
        let mut text = Text::new();
        let mut values = SmallVec::new();
        for name in fields {
            push_length(name.as_str().len(), &mut text);
            text.extend_from_slice(name.as_str().as_bytes());
            values.push(Value::read(name, request, &mut text));
        }
        let plain_language = *fields == [ACCEPT_LANGUAGE] && is_plain_language(request);
        Self {
            fields: SmallVec::from(fields),
            values,
            fingerprint: text.as_slice().into(),
            plain_language,
            forwarding: fields.iter().any(is_written_by_a_proxy),
        }
    }

    /// Whether a field that [a proxy writes](crate::rfc::forwarding) selects.
    #[must_use]
    pub const fn reads_forwarding(&self) -> bool {
        self.forwarding
    }

    /// Whether nothing but Accept-Language selects, and the stored request's was a short list of nothing but language ranges: an answer to it can
    /// hold nothing of the request but its choice of language.
    #[must_use]
    pub fn is_plain_language(&self) -> bool {
        self.plain_language
    }

    /// Whether the request has the values of the stored one. It allocates nothing when they are
    /// written as they were, or are not longer than a few hundred octets.
    #[must_use]
    pub fn matches(&self, request: &HeaderMap) -> bool {
        self.fields.iter().zip(&self.values).all(|(name, value)| value.matches(name, request, &self.fingerprint))
    }

    /// The selecting fields, in the order in which they were given.
    #[must_use]
    pub fn fields(&self) -> &[HeaderName] {
        &self.fields
    }

    /// The fields and their values in normal form, as a key: two selectors have the same one exactly
    /// when they have the same fields, and each matches the request of the other.
    ///
    /// It is unambiguous because every part has its length before it. It holds whatever the request
    /// said, possibly a cookie: do not log it.
    #[must_use]
    pub fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    /// Writes the selecting fields with their values into a request, so that it selects the same stored response. Fields that were absent are
    /// removed. `false` if a value cannot be written.
    pub fn replay(&self, request: &mut HeaderMap) -> bool {
        for (name, value) in self.fields.iter().zip(&self.values) {
            request.remove(name);
            let Some(normal) = value.normal.clone() else { continue };
            let octets = match &value.raw {
                Raw::Line(line) => line,
                Raw::Normal | Raw::Other => &self.fingerprint[normal],
            };
            let Ok(line) = HeaderValue::from_bytes(octets) else { return false };
            request.insert(name.clone(), line);
        }
        true
    }

    /// About how many octets of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let spilled = |is_spilled: bool, count: usize, size: usize| {
            if is_spilled { count.saturating_mul(size) } else { 0 }
        };
        let fields = spilled(self.fields.spilled(), self.fields.len(), size_of::<HeaderName>());
        let values = spilled(self.values.spilled(), self.values.len(), size_of::<Value>());
        let names: usize = self.fields.iter().map(|name| name.as_str().len()).sum();
        let raw: usize = self.values.iter().map(Value::raw_length).sum();
        [fields, values, names, raw, self.fingerprint.len()].into_iter().fold(size_of::<Self>(), usize::saturating_add)
    }
}

impl fmt::Debug for Selector {
    /// The names only: the values may be credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Selector").field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl Value {
    /// Reads the value and appends it to the fingerprint: 0 when absent; else 1, its length, itself.
    fn read(name: &HeaderName, request: &HeaderMap, fingerprint: &mut Text) -> Self {
        let lines = request.get_all(name);
        let mut rest = lines.iter();
        let Some(first) = rest.next() else {
            fingerprint.push(0);
            return Self { normal: None, raw: Raw::Other };
        };
        let mut normal = Text::new();
        negotiation::normalise(name, &lines, &mut normal);
        fingerprint.push(1);
        push_length(normal.len(), fingerprint);
        let start = fingerprint.len();
        fingerprint.extend_from_slice(&normal);
        let raw = match rest.next() {
            Some(_) => Raw::Other,
            None if first.as_bytes() == normal.as_slice() => Raw::Normal,
            None => Raw::Line(first.as_bytes().into()),
        };
        Self { normal: Some(start..fingerprint.len()), raw }
    }

    fn matches(&self, name: &HeaderName, request: &HeaderMap, fingerprint: &[u8]) -> bool {
        let lines = request.get_all(name);
        let mut rest = lines.iter();
        let (Some(first), Some(normal)) = (rest.next(), self.normal.clone()) else {
            // RFC 9111 section 4.1: absent matches only absent.
            return self.normal.is_none() && !request.contains_key(name);
        };
        let normal = &fingerprint[normal];
        let is_repeated = match &self.raw {
            Raw::Normal => first.as_bytes() == normal,
            Raw::Line(line) => first.as_bytes() == &**line,
            Raw::Other => false,
        };
        if is_repeated && rest.next().is_none() {
            return true;
        }
        let mut text = Text::new();
        negotiation::normalise(name, &lines, &mut text);
        text.as_slice() == normal
    }

    /// The octets of the line that is kept beside the normal form.
    fn raw_length(&self) -> usize {
        match &self.raw {
            Raw::Line(line) => line.len(),
            Raw::Normal | Raw::Other => 0,
        }
    }
}

/// RFC 5646 section 2.1: subtags of at most eight letters and digits, or `*`; with or without a weight; at most a dozen.
fn is_plain_language(request: &HeaderMap) -> bool {
    let is_range = |tag: &[u8]| {
        tag == b"*"
            || tag
                .split(|&byte| byte == b'-')
                .all(|sub| (1..=8).contains(&sub.len()) && sub.is_ascii() && sub.iter().all(u8::is_ascii_alphanumeric))
    };
    let mut count = 0;
    members_of(request, &ACCEPT_LANGUAGE).all(|member| {
        count += 1;
        count <= 12 && negotiation::weighted(member).is_some_and(|(tag, _)| is_range(tag))
    })
}

/// Appends a length in eight octets, so that no length is beyond them.
fn push_length(length: usize, text: &mut Text) {
    text.extend_from_slice(&(length as u64).to_be_bytes());
}

/// Whether the request's Accept-Language prefers exactly this one language: one member has the
/// highest weight, above zero and shared with no other, and it is `content_language`, in any case.
///
/// A stored response in that language is then what the origin would select, whatever the request was
/// that it answered. `false` when a member cannot be read, and when `content_language` is not one tag.
#[must_use]
pub fn preferred_language_is(request: &HeaderMap, content_language: &[u8]) -> bool {
    let mut best: (&[u8], u16) = (b"", 0);
    let mut is_shared = false;
    for member in members_of(request, &ACCEPT_LANGUAGE) {
        let Some((tag, weight)) = negotiation::weighted(member) else {
            return false;
        };
        is_shared = weight == best.1 || (is_shared && weight < best.1);
        if weight > best.1 {
            best = (tag, weight);
        }
    }
    let wanted = trim(content_language);
    let is_tag = !wanted.is_empty() && wanted.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_tag && best.1 > 0 && !is_shared && best.0.eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests;
