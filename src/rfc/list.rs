//! Comma-separated lists (RFC 9110 section 5.6.1) with quoted strings in them (section 5.6.4).

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName};
use memchr::memchr2;

/// The members of one field line, in order: optional whitespace is trimmed, empty members are skipped
/// (RFC 9110 section 5.6.1.2), and a comma inside a quoted string does not separate.
///
/// A quoted string that never closes runs to the end of the value.
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    elements(value).filter(|member| !member.is_empty())
}

/// The members of all lines of the field `name`, in order, as if they were one list
/// (RFC 9110 section 5.3). A quoted string never continues on the next line.
pub fn members_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers.get_all(name).iter().flat_map(|line| members(line.as_bytes()))
}

/// Like [`members`], but the empty members are there too: as many as there are commas, plus one.
pub(crate) fn elements(value: &[u8]) -> Elements<'_> {
    Elements { rest: Some(value) }
}

/// The iterator behind [`elements`].
#[derive(Debug, Clone)]
pub(crate) struct Elements<'a> {
    /// What is still to be split; `None` after the last member.
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let end = unquoted(rest, b',').unwrap_or(rest.len());
        self.rest = rest.get(end + 1..);
        Some(trim(&rest[..end]))
    }
}

/// Where `wanted` first stands outside of a quoted string.
pub(crate) fn unquoted(value: &[u8], wanted: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(wanted, b'"', &value[at..])?;
        if value[at] == wanted {
            return Some(at);
        }
        at += 1 + quoted_length(&value[at + 1..])?;
    }
}

/// The length of a quoted string whose opening quote was already taken, with its closing quote.
///
/// `None`: it never closes. RFC 9110 section 5.6.4: a backslash takes the next octet with it.
fn quoted_length(value: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', value.get(at..)?)?;
        if value[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Whether every quoted string in `value` is closed.
pub(crate) fn quotes_are_closed(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(at) = memchr::memchr(b'"', rest) {
        let Some(length) = quoted_length(&rest[at + 1..]) else {
            return false;
        };
        rest = &rest[at + 1 + length..];
    }
    true
}

/// The content of a quoted string that is all of `value`, unescaped (RFC 9110 section 5.6.4).
///
/// `None`: it is not exactly one quoted string. It allocates only when there is something to unescape.
#[must_use]
pub fn unquote(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = value.strip_prefix(b"\"")?;
    if quoted_length(inner)? != inner.len() {
        return None;
    }
    let inner = &inner[..inner.len() - 1];
    if memchr::memchr(b'\\', inner).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(if byte == b'\\' { *bytes.next()? } else { byte });
    }
    Some(Cow::Owned(plain))
}

/// `value` without the optional whitespace (SP and HTAB, RFC 9110 section 5.6.3) on its two sides.
#[must_use]
pub fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HeaderValue, VARY};
    use proptest::prelude::*;

    fn all(value: &[u8]) -> Vec<&[u8]> {
        members(value).collect()
    }

    #[test]
    fn whitespace_is_trimmed_and_empty_members_are_skipped() {
        assert_eq!(all(b" a ,\tb\t,, ,c"), [b"a", b"b", b"c"]);
        assert!(all(b"").is_empty());
        assert!(all(b" , ,").is_empty());
    }

    #[test]
    fn a_comma_inside_quotes_does_not_separate() {
        assert_eq!(all(br#"a="x, y", b"#), [&br#"a="x, y""#[..], b"b"]);
    }

    #[test]
    fn an_escaped_quote_does_not_close_the_string() {
        assert_eq!(all(br#"a="x\", y", b"#), [&br#"a="x\", y""#[..], b"b"]);
        assert_eq!(all(br#"a="x\\", b"#), [&br#"a="x\\""#[..], b"b"]);
    }

    #[test]
    fn an_unterminated_quote_runs_to_the_end_of_its_line() {
        assert_eq!(all(br#"a, b="x, y"#), [&b"a"[..], br#"b="x, y"#]);
        assert_eq!(all(br#"a="\"#), [br#"a="\"#]);
        assert!(!quotes_are_closed(br#"a="\"#));
        assert!(!quotes_are_closed(br#""a" "b"#));
        assert!(quotes_are_closed(br#""a\"" "b""#));
    }

    #[test]
    fn members_of_reads_all_lines_and_a_quote_stays_on_its_line() {
        let mut headers = HeaderMap::new();
        headers.append(VARY, HeaderValue::from_static("a, \"b"));
        headers.append(VARY, HeaderValue::from_static(""));
        headers.append(VARY, HeaderValue::from_static("c,d"));
        let got: Vec<_> = members_of(&headers, &VARY).collect();
        assert_eq!(got, [&b"a"[..], b"\"b", b"c", b"d"]);
    }

    #[test]
    fn elements_keep_the_empty_members() {
        let got: Vec<_> = elements(b"a,, b").collect();
        assert_eq!(got, [&b"a"[..], b"", b"b"]);
        assert_eq!(elements(b"").count(), 1);
    }

    #[test]
    fn unquote_takes_exactly_one_quoted_string() {
        assert_eq!(unquote(br#""a b""#).unwrap(), &b"a b"[..]);
        assert_eq!(unquote(br#""a\"b\\""#).unwrap(), &br#"a"b\"#[..]);
        assert_eq!(unquote(br#""""#).unwrap(), &b""[..]);
        for value in [&br#"a"#[..], br#""a"#, br#"""#, br#""a"b"#, br#""a\""#, br#"'a'"#, b""] {
            assert_eq!(unquote(value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_members_are_trimmed(value: Vec<u8>) {
            for member in members(&value) {
                prop_assert!(!member.is_empty());
                prop_assert_eq!(trim(member), member);
            }
            let _ = unquote(&value);
            let _ = quotes_are_closed(&value);
        }

        #[test]
        fn quoting_heavy_text_never_panics(value in r#"[a,"\\ \t]{0,24}"#) {
            let bytes = value.as_bytes();
            prop_assert!(members(bytes).count() <= elements(bytes).count());
            let _ = unquote(bytes);
            let _ = quotes_are_closed(bytes);
        }

        #[test]
        fn without_quotes_it_splits_at_every_comma(value in "[a-c, ]{0,24}") {
            let expected: Vec<_> =
                value.split(',').map(str::trim).filter(|m| !m.is_empty()).map(str::as_bytes).collect();
            prop_assert_eq!(all(value.as_bytes()), expected);
        }
    }
}
