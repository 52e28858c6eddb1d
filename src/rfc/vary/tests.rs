use super::*;
use http::header::{ACCEPT_ENCODING, HeaderValue};
use proptest::prelude::*;

const FOO: HeaderName = HeaderName::from_static("foo");
const BAR: HeaderName = HeaderName::from_static("bar");

fn map(fields: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn vary(lines: &[&str]) -> Vary {
    let lines: Vec<_> = lines.iter().map(|line| (VARY, *line)).collect();
    Vary::read(&map(&lines))
}

/// Whether a request matches a stored one, by both ways of asking.
fn same(names: &[HeaderName], stored: &[(HeaderName, &str)], asked: &[(HeaderName, &str)]) -> bool {
    let (stored, asked) = (map(stored), map(asked));
    let selector = Selector::new(names, &stored);
    assert!(selector.matches(&stored));
    let other = Selector::new(names, &asked);
    let matches = selector.matches(&asked);
    assert_eq!(matches, selector.fingerprint() == other.fingerprint());
    assert_eq!(matches, other.matches(&stored));
    matches
}

#[test]
fn a_star_anywhere_is_a_star() {
    for lines in [&["*"][..], &["*, *"], &["*", "*"], &[", *"], &["", "*"], &["*, Foo"], &["Foo, *"], &["\"foo, *"]] {
        assert_eq!(vary(lines), Vary::Star, "{lines:?}");
    }
}

#[test]
fn an_invalid_name_is_a_star() {
    for line in ["foo bar", "foo, (", "\"foo\"", "foo;bar", "f\u{e9}"] {
        assert_eq!(vary(&[line]), Vary::Star, "{line}");
    }
}

#[test]
fn no_names_are_none() {
    assert_eq!(vary(&[]), Vary::None);
    assert_eq!(vary(&["", " , "]), Vary::None);
}

#[test]
fn names_are_sorted_and_each_stands_once() {
    let expected = Vary::Fields([BAR, FOO].into_iter().collect());
    assert_eq!(vary(&["Foo, bar", "FOO"]), expected);
}

#[test]
fn the_same_values_match_and_others_do_not() {
    assert!(same(&[FOO], &[(FOO, "1"), (BAR, "2")], &[(FOO, "1"), (BAR, "3")]));
    assert!(!same(&[FOO], &[(FOO, "1")], &[(FOO, "2")]));
    assert!(same(&[BAR, FOO], &[(FOO, "1"), (BAR, "abc")], &[(BAR, "abc"), (FOO, "1")]));
    assert!(!same(&[BAR, FOO], &[(FOO, "1"), (BAR, "abc4")], &[(FOO, "1"), (BAR, "abc")]));
    assert!(!same(&[FOO], &[(FOO, "a")], &[(FOO, "A")]));
}

#[test]
fn absent_matches_only_absent() {
    assert!(same(&[FOO], &[], &[]));
    assert!(!same(&[FOO], &[], &[(FOO, "1")]));
    assert!(!same(&[FOO], &[(FOO, "1")], &[]));
    assert!(!same(&[FOO], &[], &[(FOO, "")]));
    assert!(!same(&[FOO], &[(FOO, "")], &[]));
    assert!(same(&[FOO], &[(FOO, "")], &[(FOO, " ")]));
}

#[test]
fn unknown_fields_are_combined_and_lose_whitespace() {
    assert!(same(&[FOO], &[(FOO, "1, 2")], &[(FOO, "1"), (FOO, "2")]));
    assert!(same(&[FOO], &[(FOO, "1,2")], &[(FOO, " 1, 2 ")]));
    assert!(!same(&[FOO], &[(FOO, "1,2")], &[(FOO, "2,1")]));
    assert!(!same(&[FOO], &[(FOO, "1")], &[(FOO, "1"), (FOO, "1")]));
}

#[test]
fn languages_match_in_any_order_case_and_spacing() {
    let names = [ACCEPT_LANGUAGE];
    for asked in ["de, en", "eN, De", " en ,   de", "de;q=1.0,en;Q=1"] {
        assert!(same(&names, &[(ACCEPT_LANGUAGE, "en, de")], &[(ACCEPT_LANGUAGE, asked)]), "{asked}");
    }
    assert!(!same(&names, &[(ACCEPT_LANGUAGE, "en, de")], &[(ACCEPT_LANGUAGE, "en, de;q=0.9")]));
    assert!(same(&[ACCEPT_ENCODING], &[(ACCEPT_ENCODING, "gzip;q=0.50")], &[(ACCEPT_ENCODING, "gzip; q=0.5")]));
}

#[test]
fn values_cannot_be_moved_between_fields() {
    assert!(!same(&[BAR, FOO], &[(BAR, "1"), (FOO, "")], &[(BAR, ""), (FOO, "1")]));
    assert!(!same(&[BAR, FOO], &[(BAR, "1")], &[(FOO, "1")]));
    let (a, b) = (map(&[(FOO, "1")]), map(&[(BAR, "1")]));
    assert_ne!(Selector::new(&[FOO], &a).fingerprint(), Selector::new(&[BAR], &b).fingerprint());
}

#[test]
fn no_fields_match_everything() {
    assert!(Selector::new(&[], &map(&[])).matches(&map(&[(FOO, "1")])));
    assert!(Selector::default().fingerprint().is_empty());
}

#[test]
fn debug_does_not_tell_values() {
    let text = format!("{:?}", Selector::new(&[FOO], &map(&[(FOO, "s3cret")])));
    assert!(text.contains("foo") && !text.contains("s3cret"), "{text}");
}

#[test]
fn weight_grows_with_the_values() {
    let weight = |value: &str| Selector::new(&[FOO], &map(&[(FOO, value)])).weight();
    assert_eq!(weight("aaaa"), weight("") + 4);
    assert!(weight("a, a") > weight("a,a"));
}

#[test]
fn the_one_preferred_language_is_found() {
    let prefers = |accept: &str, language: &str| preferred_language_is(&map(&[(ACCEPT_LANGUAGE, accept)]), language.as_bytes());
    assert!(prefers("fr;q=0.5, de;q=1.0", "de"));
    assert!(prefers("DE, en;q=0.9, fr;q=0.9", " de "));
    assert!(prefers("en;q=0.9, fr;q=0.9, de", "de"));
    for (accept, language) in [
        ("en, de", "de"),
        ("de, de", "de"),
        ("de;q=0", "de"),
        ("fr;q=0.5, de", "fr"),
        ("de, fr;q=2", "de"),
        ("*", "*"),
        ("*", "de"),
        ("de", "de, en"),
        ("de", ""),
        ("", ""),
        ("de-DE", "de"),
        ("de;x=1", "de"),
        ("de;q=0.5, en, fr", "de"),
        ("en, fr, de;q=0.5", "en"),
    ] {
        assert!(!prefers(accept, language), "{accept} {language}");
    }
    assert!(!preferred_language_is(&map(&[]), b"de"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(a: Vec<u8>, b: Vec<u8>) {
        let (Ok(a), Ok(b)) = (HeaderValue::from_bytes(&a), HeaderValue::from_bytes(&b)) else {
            return Ok(());
        };
        let _ = Vary::read(&[(VARY, a.clone())].into_iter().collect());
        for name in [ACCEPT_LANGUAGE, FOO] {
            let stored: HeaderMap = [(name.clone(), a.clone())].into_iter().collect();
            let asked: HeaderMap = [(name.clone(), b.clone())].into_iter().collect();
            let selector = Selector::new(&[name], &stored);
            prop_assert!(selector.matches(&stored));
            let mut replayed = asked.clone();
            prop_assert!(selector.replay(&mut replayed) && selector.matches(&replayed));
            let _ = (selector.matches(&asked), selector.weight());
            let _ = preferred_language_is(&stored, b.as_bytes());
        }
    }

    #[test]
    fn matching_and_fingerprints_agree(
        a in proptest::collection::vec(r#"[aA,;q=01." ]{0,6}"#, 0..3),
        b in proptest::collection::vec(r#"[aA,;q=01." ]{0,6}"#, 0..3),
    ) {
        for name in [ACCEPT_LANGUAGE, FOO, http::header::COOKIE] {
            let fields = |lines: &[String]| -> Vec<(HeaderName, String)> {
                lines.iter().map(|line| (name.clone(), line.clone())).collect()
            };
            let (a, b) = (fields(&a), fields(&b));
            let refs = |fields: &[(HeaderName, String)]| {
                let mut headers = HeaderMap::new();
                for (name, value) in fields {
                    headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
                }
                headers
            };
            let (a, b) = (refs(&a), refs(&b));
            let names = [name.clone()];
            let (left, right) = (Selector::new(&names, &a), Selector::new(&names, &b));
            prop_assert_eq!(left.matches(&b), left.fingerprint() == right.fingerprint());
        }
    }
}
