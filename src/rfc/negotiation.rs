//! The normal form of selecting fields (RFC 9111 section 4.1): values that are known to mean the same
//! become the same octets, so that they select the same variant.

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, GetAll, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
};
use smallvec::SmallVec;

use super::list;

/// Where normal forms are written; everyday values need no allocation.
pub(crate) type Text = SmallVec<[u8; 256]>;

/// How a field may be rewritten without changing what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A list of preferences: order, case and whitespace mean nothing (RFC 9110 section 12.5).
    Preferences,
    /// A list of something: whitespace around commas means nothing.
    List,
    /// Credentials are compared as they are; several lines are joined by this.
    Opaque(&'static [u8]),
}

impl Kind {
    fn of(name: &HeaderName) -> Self {
        match *name {
            ACCEPT | ACCEPT_CHARSET | ACCEPT_ENCODING | ACCEPT_LANGUAGE => Self::Preferences,
            // RFC 9113 section 8.2.3: a cookie may come in pieces, and this joins them.
            COOKIE => Self::Opaque(b"; "),
            AUTHORIZATION | PROXY_AUTHORIZATION => Self::Opaque(b","),
            _ => Self::List,
        }
    }
}

/// Values longer than this, in octets, are compared as they are: nobody negotiates at that length, and the work would be the client's to choose.
const LONGEST: usize = 1024;

/// Appends the normal form of a field's lines, at least one, to `text`.
pub(crate) fn normalise(name: &HeaderName, lines: &GetAll<'_, HeaderValue>, text: &mut Text) {
    let length: usize = lines.iter().map(HeaderValue::len).sum();
    let lines = lines.iter().map(HeaderValue::as_bytes);
    match Kind::of(name) {
        Kind::List | Kind::Preferences if length > LONGEST => join(lines, b",", text),
        Kind::Opaque(glue) => join(lines, glue, text),
        // Empty members stay: nobody knows what they mean in an unknown field.
        Kind::List => join(lines.flat_map(list::elements), b",", text),
        Kind::Preferences => preferences(lines.flat_map(list::members), text),
    }
}

/// Appends the parts with `glue` between them.
fn join<'a>(parts: impl Iterator<Item = &'a [u8]>, glue: &[u8], text: &mut Text) {
    for (at, part) in parts.enumerate() {
        if at > 0 {
            text.extend_from_slice(glue);
        }
        text.extend_from_slice(part);
    }
}

/// Appends the members, each in its normal form, sorted.
fn preferences<'a>(members: impl Iterator<Item = &'a [u8]>, text: &mut Text) {
    let mut forms = Text::new();
    let mut ranges = SmallVec::<[std::ops::Range<usize>; 16]>::new();
    for member in members {
        let start = forms.len();
        push_preference(member, &mut forms);
        ranges.push(start..forms.len());
    }
    ranges.sort_unstable_by(|a, b| forms[a.clone()].cmp(&forms[b.clone()]));
    join(ranges.into_iter().map(|range| &forms[range]), b",", text);
}

/// Appends `value *( ";" parameter )` without whitespace around the semicolons. The case is dropped,
/// except in the values of parameters, which may be case-sensitive, and in quoted strings.
fn push_preference(member: &[u8], text: &mut Text) {
    let mut parts = Parts { rest: Some(member) };
    push_lower_case(parts.next().unwrap_or_default(), text);
    let mut has_weight = false;
    while let Some(part) = parts.next() {
        let weight = weight_of(part).filter(|_| !has_weight);
        has_weight |= weight.is_some();
        match weight {
            // 1 is the default. What follows a weight is another thing than what precedes it, so it
            // can be left out only at the end.
            Some(MAX_WEIGHT) if parts.rest.is_none() => {}
            Some(weight) => {
                text.extend_from_slice(b";q=");
                push_weight(weight, text);
            }
            None => {
                text.push(b';');
                let name = list::unquoted(part, b'=').unwrap_or(part.len());
                push_lower_case(&part[..name], text);
                text.extend_from_slice(&part[name..]);
            }
        }
    }
}

/// The parts between the semicolons that no quoted string holds, trimmed.
struct Parts<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let end = list::unquoted(rest, b';').unwrap_or(rest.len());
        self.rest = rest.get(end + 1..);
        Some(list::trim(&rest[..end]))
    }
}

/// Appends the part in lower case, unless there is a quoted string in it.
fn push_lower_case(part: &[u8], text: &mut Text) {
    let start = text.len();
    text.extend_from_slice(part);
    if memchr::memchr(b'"', part).is_none() {
        text[start..].make_ascii_lowercase();
    }
}

/// The weight of a member that has none, in thousandths.
const MAX_WEIGHT: u16 = 1000;

/// The weight in a parameter `q=0.5`, in thousandths. `None`: another parameter, or no valid weight.
fn weight_of(parameter: &[u8]) -> Option<u16> {
    match parameter {
        [b'q' | b'Q', b'=', value @ ..] => weight(value),
        _ => None,
    }
}

/// `qvalue` of RFC 9110 section 12.4.2, in thousandths.
fn weight(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = match value {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] => (whole, fraction),
        _ => return None,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = (0..3).fold(0_u16, |sum, at| sum * 10 + u16::from(fraction.get(at).map_or(0, |digit| digit - b'0')));
    match (whole, thousandths) {
        (b'0', _) => Some(thousandths),
        (b'1', 0) => Some(MAX_WEIGHT),
        _ => None,
    }
}

/// Appends a weight without needless zeros.
fn push_weight(weight: u16, text: &mut Text) {
    if weight >= MAX_WEIGHT {
        text.push(b'1');
        return;
    }
    text.push(b'0');
    let (mut rest, mut place) = (weight, 100);
    if rest > 0 {
        text.push(b'.');
    }
    while rest > 0 {
        // A digit: the weight is below a thousand, so this is below ten.
        text.push(b'0' + u8::try_from(rest / place).unwrap_or(0));
        rest %= place;
        place /= 10;
    }
}

/// One member of a list of preferences: its value and its weight in thousandths.
///
/// `None`: it has a parameter that is no weight.
pub(crate) fn weighted(member: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = Parts { rest: Some(member) };
    let value = parts.next()?;
    let weight = match parts.next() {
        None => MAX_WEIGHT,
        Some(part) => weight_of(part)?,
    };
    parts.rest.is_none().then_some((value, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalise_all(name: &HeaderName, lines: &[HeaderValue], text: &mut Text) {
        let map: http::HeaderMap = lines.iter().map(|line| (name.clone(), line.clone())).collect();
        normalise(name, &map.get_all(name), text);
    }
    use proptest::prelude::*;

    fn normal(name: &HeaderName, lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| HeaderValue::from_str(line).unwrap()).collect();
        let mut text = Text::new();
        normalise_all(name, &lines, &mut text);
        String::from_utf8(text.to_vec()).unwrap()
    }

    #[test]
    fn preferences_lose_order_case_and_whitespace() {
        assert_eq!(normal(&ACCEPT_LANGUAGE, &[" en ,   De"]), "de,en");
        assert_eq!(normal(&ACCEPT_LANGUAGE, &["eN", "de,"]), "de,en");
        assert_eq!(normal(&ACCEPT_ENCODING, &["GZIP ; Q=0.50, br"]), "br,gzip;q=0.5");
        assert_eq!(normal(&ACCEPT, &["Text/HTML; Level=1 ;q=1.000"]), "text/html;level=1");
    }

    #[test]
    fn weights_are_normalised() {
        for (value, expected) in [
            ("a;q=1", "a"),
            ("a;q=1.", "a"),
            ("a;q=1.000", "a"),
            ("a;q=0", "a;q=0"),
            ("a;q=0.000", "a;q=0"),
            ("a;q=0.50", "a;q=0.5"),
            ("a;q=0.05", "a;q=0.05"),
            ("a;q=0.123", "a;q=0.123"),
            ("a;q=0.001", "a;q=0.001"),
            ("a;q=0.9", "a;q=0.9"),
            ("a;q=0.", "a;q=0"),
        ] {
            assert_eq!(normal(&ACCEPT_LANGUAGE, &[value]), expected, "{value}");
        }
    }

    #[test]
    fn an_invalid_weight_stays_as_it_is() {
        for value in ["a;q=1.1", "a;q=2", "a;q=", "a;q=0.1234", "a;q=.5", "a;q=-1", "a;q=x", "a;q"] {
            assert_eq!(normal(&ACCEPT_LANGUAGE, &[value]), value);
        }
    }

    #[test]
    fn a_weight_is_dropped_only_where_nothing_depends_on_it() {
        assert_eq!(normal(&ACCEPT, &["a/b;q=1;c=d"]), "a/b;q=1;c=d");
        assert_eq!(normal(&ACCEPT, &["a/b;q=0.5;q=1"]), "a/b;q=0.5;q=1");
    }

    #[test]
    fn values_of_parameters_and_quoted_strings_keep_their_case() {
        let line = "A/B;Profile=\"X;q=1, Y\", c/d;V=Z";
        assert_eq!(normal(&ACCEPT, &[line]), "a/b;profile=\"X;q=1, Y\",c/d;v=Z");
    }

    #[test]
    fn other_lists_keep_order_and_case_and_lose_whitespace_at_commas() {
        let name = HeaderName::from_static("foo");
        assert_eq!(normal(&name, &[" 1, 2 "]), "1,2");
        assert_eq!(normal(&name, &["1", "2"]), "1,2");
        assert_eq!(normal(&name, &["B a,\tA"]), "B a,A");
        assert_eq!(normal(&name, &["1,,2", ""]), "1,,2,");
        assert_eq!(normal(&name, &["\"a, b\" , c"]), "\"a, b\",c");
    }

    #[test]
    fn credentials_are_left_alone() {
        assert_eq!(normal(&COOKIE, &["a=1, 2", "b=3"]), "a=1, 2; b=3");
        assert_eq!(normal(&AUTHORIZATION, &["Digest a , b"]), "Digest a , b");
    }

    #[test]
    fn a_weighted_member_has_nothing_but_a_weight() {
        assert_eq!(weighted(b"de"), Some((&b"de"[..], 1000)));
        assert_eq!(weighted(b"de ; q=0.5"), Some((&b"de"[..], 500)));
        for member in [&b"de;q=2"[..], b"de;x=1", b"de;q=0.5;x", b"de;"] {
            assert_eq!(weighted(member), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(value: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                for name in [ACCEPT, COOKIE, HeaderName::from_static("foo")] {
                    normalise_all(&name, std::slice::from_ref(&value), &mut Text::new());
                }
                let _ = weighted(value.as_bytes());
            }
        }

        #[test]
        fn the_normal_form_of_a_normal_form_is_itself(value in r#"[aB*/;=q01. ,-]{0,32}"#) {
            for name in [ACCEPT, HeaderName::from_static("foo")] {
                let once = normal(&name, &[&value]);
                prop_assert_eq!(normal(&name, &[&once]), once.clone());
            }
        }

        #[test]
        fn the_order_of_preferences_never_matters(mut members in proptest::collection::vec("[a-c]{1,2}(;q=0\\.[0-9])?", 1..6)) {
            let forward = normal(&ACCEPT_LANGUAGE, &[&members.join(", ")]);
            members.reverse();
            prop_assert_eq!(normal(&ACCEPT_LANGUAGE, &[&members.join(",")]), forward);
        }
    }
}
