use super::*;
use http::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

fn lines(name: HeaderName, lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name.clone(), HeaderValue::from_str(line).unwrap());
    }
    headers
}

fn response(all: &[&str]) -> ResponseDirectives {
    ResponseDirectives::from_cache_control(&lines(CACHE_CONTROL, all))
}

fn request(all: &[&str]) -> RequestDirectives {
    RequestDirectives::read(&lines(CACHE_CONTROL, all))
}

fn fields(names: &[&'static str]) -> FieldScope {
    FieldScope::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect())
}

#[test]
fn every_response_directive_is_read_in_any_case_and_from_all_lines() {
    let got = response(&[
        "No-StOrE, no-transform, MUST-revalidate, proxy-revalidate, must-understand",
        "public, immutable, no-cache, private, MaX-aGe=1, s-maxage=2, foobar, ext=\"a, b\"",
        "stale-while-revalidate=3, stale-if-error=4",
    ]);
    let expected = ResponseDirectives {
        no_store: true,
        no_transform: true,
        must_revalidate: true,
        proxy_revalidate: true,
        must_understand: true,
        public: true,
        immutable: true,
        no_cache: FieldScope::Everything,
        private: FieldScope::Everything,
        max_age: Some(1),
        s_maxage: Some(2),
        stale_while_revalidate: Some(3),
        stale_if_error: Some(4),
    };
    assert_eq!(got, expected);
}

#[test]
fn no_cache_control_says_nothing_and_a_response_pragma_does_not_either() {
    let headers = lines(PRAGMA, &["no-cache"]);
    let got = ResponseDirectives::from_cache_control(&headers);
    assert_eq!(got, ResponseDirectives::default());
}

#[test]
fn an_invalid_max_age_is_stale() {
    for line in [
        "max-age",
        "max-age=",
        "max-age=-3600",
        "max-age=+3600",
        "max-age=3600.0",
        "max-age='3600'",
        "max-age=a3600",
        "max-age=3600a",
        "max-age =3600",
        "max-age= 3600",
        "max-age=\"\"",
        "max-age=3600; x",
        "max-age 3600",
        "max-age=\" 3600\"",
    ] {
        assert_eq!(response(&[line]).max_age, Some(0), "{line}");
        assert_eq!(response(&[&line.replace("max-age", "s-maxage")]).s_maxage, Some(0), "{line}");
    }
}

#[test]
fn max_age_may_be_quoted_have_leading_zeros_and_be_huge() {
    assert_eq!(response(&["max-age=\"3600\""]).max_age, Some(3600));
    assert_eq!(response(&["max-age=003600"]).max_age, Some(3600));
    assert_eq!(response(&["max-age=2147483648"]).max_age, Some(1 << 31));
    assert_eq!(response(&["max-age=99999999999"]).max_age, Some(1 << 31));
}

#[test]
fn a_max_age_inside_of_a_quoted_string_is_not_one() {
    assert_eq!(response(&["extension=\"max-age=3600\", max-age=1"]).max_age, Some(1));
    assert_eq!(response(&["max-age=1, extension=\"max-age=3600\""]).max_age, Some(1));
    assert_eq!(response(&["max-age=\"1\", extension=\"max-age=3600\""]).max_age, Some(1));
    assert_eq!(response(&["extension=\"x, max-age=3600\""]).max_age, None);
}

#[test]
fn a_repeated_number_takes_the_least() {
    assert_eq!(response(&["max-age=1800, max-age=1"]).max_age, Some(1));
    assert_eq!(response(&["max-age=1", "max-age=1800"]).max_age, Some(1));
    assert_eq!(response(&["max-age=1800, max-age=x"]).max_age, Some(0));
    assert_eq!(response(&["stale-if-error=9, stale-if-error=8"]).stale_if_error, Some(8));
}

#[test]
fn an_invalid_stale_directive_is_absent() {
    let got = response(&["stale-while-revalidate=x, stale-if-error, stale-if-error=-1"]);
    assert_eq!(got, ResponseDirectives::default());
}

#[test]
fn fields_are_named_in_a_quoted_string_or_by_a_token() {
    assert_eq!(response(&["no-cache=\"a, B\""]).no_cache, fields(&["a", "b"]));
    assert_eq!(response(&["private=Set-Cookie"]).private, fields(&["set-cookie"]));
    assert_eq!(response(&["private=\"a\"", "private=\"b\""]).private.fields().len(), 2);
}

#[test]
fn a_field_list_that_is_empty_or_unreadable_covers_everything() {
    for line in [
        "private=\"\"",
        "private=",
        "private=\" , \"",
        "private=\"a b\"",
        "private=\"a, (\"",
        "private=\"a",
        "private, private=\"a\"",
        "private=\"a\", private",
        "private;",
        "private =\"a\"",
    ] {
        let got = response(&[line]).private;
        assert!(got.is_everything(), "{line} {got:?}");
    }
}

#[test]
fn garbage_after_a_name_still_restricts_but_never_permits() {
    let got = response(&["no-store; foo, must-revalidate=1, public=1, immutable x, must-understand=y"]);
    assert!(got.no_store && got.must_revalidate);
    assert!(!got.public && !got.immutable && !got.must_understand);
    assert!(response(&["no-store max-age=5"]).no_store);
}

#[test]
fn a_line_whose_quotes_do_not_close_is_not_stored() {
    assert!(response(&["max-age=60, ext=\"foo, no-store"]).no_store);
    assert!(!response(&["max-age=60, ext=\"foo, no-store\""]).no_store);
}

#[test]
fn a_name_that_only_begins_like_a_directive_is_another_one() {
    let got = response(&["no-storex, xno-store, max-age2=3, no_store"]);
    assert_eq!(got, ResponseDirectives::default());
}

#[test]
fn every_request_directive_is_read() {
    let got = request(&["no-cache, NO-store, only-if-cached, no-transform", "max-age=1, min-fresh=2, max-stale=3, stale-if-error=\"4\""]);
    let expected = RequestDirectives {
        no_cache: true,
        no_store: true,
        only_if_cached: true,
        no_transform: true,
        max_age: Some(1),
        min_fresh: Some(2),
        max_stale: Some(MaxStale::Seconds(3)),
        stale_if_error: Some(4),
    };
    assert_eq!(got, expected);
}

#[test]
fn max_stale_without_a_number_is_any_and_an_invalid_one_is_none() {
    assert_eq!(request(&["max-stale"]).max_stale, Some(MaxStale::Any));
    assert_eq!(request(&["max-stale=x"]).max_stale, None);
    for line in ["max-stale, max-stale=5", "max-stale=5, max-stale", "max-stale=5, max-stale=9"] {
        assert_eq!(request(&[line]).max_stale, Some(MaxStale::Seconds(5)), "{line}");
    }
}

#[test]
fn a_repeated_request_directive_takes_the_most_restrictive() {
    let got = request(&["max-age=5, max-age=3, min-fresh=5, min-fresh=3"]);
    assert_eq!((got.max_age, got.min_fresh), (Some(3), Some(5)));
    assert_eq!(request(&["max-age=x"]).max_age, Some(0));
    assert_eq!(request(&["min-fresh=x"]).min_fresh, None);
}

#[test]
fn pragma_counts_only_without_cache_control() {
    assert!(RequestDirectives::read(&lines(PRAGMA, &["foo, No-Cache"])).no_cache);
    assert!(!RequestDirectives::read(&lines(PRAGMA, &["unrecognised-extension"])).no_cache);
    let mut headers = lines(PRAGMA, &["no-cache"]);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
    assert!(!RequestDirectives::read(&headers).no_cache);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(value: Vec<u8>) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let mut headers = HeaderMap::new();
            headers.append(CACHE_CONTROL, value);
            let _ = ResponseDirectives::from_cache_control(&headers);
            let _ = RequestDirectives::read(&headers);
        }
    }

    #[test]
    fn a_no_store_member_is_found_whatever_stands_before_it(before in r#"[a-z="\\;, 0-9]{0,20}"#) {
        let line = format!("{before},no-store");
        let got = response(&[&line]);
        // Hidden only by a string that is closed after it, and here nothing closes after it.
        prop_assert!(got.no_store, "{line}");
    }

    #[test]
    fn seconds_never_exceed_the_cap(number in "[0-9]{1,40}") {
        let got = response(&[&format!("max-age={number}, stale-if-error={number}")]);
        prop_assert!(got.max_age <= Some(1 << 31) && got.stale_if_error <= Some(1 << 31));
    }
}
