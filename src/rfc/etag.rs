//! Entity tags (RFC 9110 section 8.8.3) and If-None-Match (section 13.1.2).

use memchr::memchr;

use super::list::trim;

/// One entity tag, borrowed from its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Whether it has the prefix `W/`.
    pub weak: bool,
    /// What stands between the quotes. It may be empty; a backslash in it is a backslash.
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Reads one entity tag that is all of `value`; whitespace around it is allowed.
    ///
    /// `None`: it is not one. The prefix is case-sensitive, the quotes are required
    /// (RFC 9110 section 8.8.3).
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        match Self::take(trim(value))? {
            (tag, []) => Some(tag),
            _ => None,
        }
    }

    /// Reads the entity tag at the beginning of `value`; the second part is what follows it.
    fn take(value: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, rest) = match value.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let rest = rest.strip_prefix(b"\"")?;
        let (opaque, rest) = rest.split_at(memchr(b'"', rest)?);
        // etagc: %x21 / %x23-7E / obs-text. The quote, %x22, cannot be in here.
        let is_valid = opaque.iter().all(|&byte| byte > b' ' && byte != 0x7f);
        is_valid.then_some((Self { weak, opaque }, &rest[1..]))
    }

    /// Strong comparison: the same, and neither is weak (RFC 9110 section 8.8.3.2).
    #[must_use]
    pub fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Weak comparison: the same, weak or not (RFC 9110 section 8.8.3.2).
    #[must_use]
    pub fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// Whether one of the lines is `*`, which matches whatever exists (RFC 9110 section 13.1.2).
pub fn any_star<'a>(mut if_none_match: impl Iterator<Item = &'a [u8]>) -> bool {
    if_none_match.any(|line| trim(line) == b"*")
}

/// Whether an If-None-Match lists the ETag `current`: by weak comparison, or because it is `*`
/// (RFC 9110 section 13.1.2). `if_none_match` are the lines of the field.
///
/// Tags that are no entity tags (unquoted, `w/"a"`) match only if a whole line is the same octets.
pub fn any_matches<'a>(mut if_none_match: impl Iterator<Item = &'a [u8]>, current: &[u8]) -> bool {
    let current = trim(current);
    let tag = EntityTag::parse(current);
    if_none_match.any(|line| {
        let line = trim(line);
        line == b"*"
            || (line == current && !line.is_empty())
            || tag.is_some_and(|tag| Tags { rest: line }.any(|listed| listed.weak_eq(&tag)))
    })
}

/// The entity tags of one line; what is not one is skipped up to the next comma.
///
/// This is not [`super::list::members`]: no backslash escapes anything in an entity tag.
struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tags<'a> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<EntityTag<'a>> {
        loop {
            let value = trim(self.rest);
            if value.is_empty() {
                return None;
            }
            let tag = EntityTag::take(value);
            let rest = tag.map_or(value, |(_, rest)| rest);
            let comma = memchr(b',', rest);
            // Something between the tag and the comma makes it no tag.
            let is_alone = trim(&rest[..comma.unwrap_or(rest.len())]).is_empty();
            self.rest = comma.map_or(&[], |comma| &rest[comma + 1..]);
            if let (Some((tag, _)), true) = (tag, is_alone) {
                return Some(tag);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tag(value: &[u8]) -> EntityTag<'_> {
        EntityTag::parse(value).expect("an entity tag")
    }

    fn matches(lines: &[&str], current: &str) -> bool {
        any_matches(lines.iter().map(|line| line.as_bytes()), current.as_bytes())
    }

    #[test]
    fn strong_and_weak_tags_are_read() {
        assert_eq!(tag(b"\"a\""), EntityTag { weak: false, opaque: b"a" });
        assert_eq!(tag(b" W/\"a\"\t"), EntityTag { weak: true, opaque: b"a" });
        assert_eq!(tag(b"\"\"").opaque, b"");
        assert_eq!(tag(b"\"a\\\"").opaque, b"a\\");
        assert_eq!(tag(b"\"\xfc,!#~\"").opaque, b"\xfc,!#~");
    }

    #[test]
    fn malformed_tags_are_refused() {
        for value in [
            &b"a"[..],
            b"\"a",
            b"a\"",
            b"\"",
            b"",
            b"w/\"a\"",
            b"W\\\"a\"",
            b"W\"a\"",
            b"W/a",
            b"\"a\"b",
            b"\"a b\"",
            b"\"a\x7f\"",
            b"\"a\"\"",
            b"W/ \"a\"",
            b"*",
            b"\"a\", \"b\"",
        ] {
            assert_eq!(EntityTag::parse(value), None, "{value:?}");
        }
    }

    #[test]
    fn the_comparison_table_of_rfc_9110_section_8_8_3_2() {
        for (a, b, strong, weak) in [
            (&b"W/\"1\""[..], &b"W/\"1\""[..], false, true),
            (b"W/\"1\"", b"W/\"2\"", false, false),
            (b"W/\"1\"", b"\"1\"", false, true),
            (b"\"1\"", b"\"1\"", true, true),
        ] {
            assert_eq!(tag(a).strong_eq(&tag(b)), strong);
            assert_eq!(tag(a).weak_eq(&tag(b)), weak);
        }
    }

    #[test]
    fn every_member_of_every_line_may_match() {
        assert!(matches(&["\"abcdef\", \"1234\", \"5678\""], "\"abcdef\""));
        assert!(matches(&["\"1234\",\"abcdef\" , \"5678\""], "\"abcdef\""));
        assert!(matches(&["\"1234\", \"5678\", \"abcdef\""], "W/\"abcdef\""));
        assert!(matches(&["\"1234\"", ", ,W/\"abcdef\""], "\"abcdef\""));
        assert!(!matches(&["\"1234\", \"5678\""], "\"abcdef\""));
        assert!(!matches(&[], "\"a\""));
    }

    #[test]
    fn a_comma_or_a_backslash_inside_a_tag_belongs_to_it() {
        assert!(matches(&["\"x\", \"a,b\""], "\"a,b\""));
        assert!(!matches(&["\"a,b\""], "\"b\""));
        assert!(matches(&["\"a\\\", \"b\""], "\"b\""));
    }

    #[test]
    fn a_star_matches_alone() {
        assert!(matches(&[" * "], "\"a\""));
        assert!(!matches(&["*, \"b\""], "\"a\""));
        assert!(any_star([&b"*"[..]].into_iter()));
        assert!(!any_star([&b"\"*\""[..]].into_iter()));
    }

    #[test]
    fn malformed_tags_match_only_as_the_same_octets() {
        for value in ["abcdef", "w/\"abcdef\"", "W\\\"abcdef\"", "W\"abcdef\""] {
            assert!(matches(&[value], value), "{value}");
            assert!(!matches(&[value], "\"abcdef\""), "{value}");
            assert!(!matches(&["\"abcdef\""], value), "{value}");
        }
        assert!(!matches(&[""], ""));
        assert!(!matches(&["x\"a\", \"b\"x"], "\"a\""));
        assert!(!matches(&["\"b\"x"], "\"b\""));
    }

    #[test]
    fn a_malformed_member_does_not_hide_the_next() {
        assert!(matches(&["abc, \"a\""], "\"a\""));
        assert!(matches(&["\"a b\", \"a\""], "\"a\""));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(line: Vec<u8>, current: Vec<u8>) {
            let _ = EntityTag::parse(&line);
            let _ = any_matches([line.as_slice()].into_iter(), &current);
        }

        #[test]
        fn tag_like_text_never_panics_and_ends(line in r#"[W/", a\\*]{0,24}"#) {
            let _ = any_matches([line.as_bytes()].into_iter(), b"\"a\"");
        }

        #[test]
        fn a_listed_tag_always_matches(before in "[a-z,]{0,4}", wanted in "[a-z,\\\\]{0,6}", weak: bool) {
            let prefix = if weak { "W/" } else { "" };
            let line = format!("\"{before}\", {prefix}\"{wanted}\"");
            let current = format!("\"{wanted}\"");
            prop_assert!(matches(&[&line], &current));
        }
    }
}
