//! Targeted cache control (RFC 9213): `CDN-Cache-Control` and its kin.
//!
//! These fields are structured fields, so one mistake makes a whole field void, names are lower case
//! and the last of two equal names counts (RFC 9651 section 3.2).

use std::borrow::Cow;
use std::convert::Infallible;

use http::header::{HeaderMap, HeaderName};
use sfv::{BareItemFromInput, KeyRef, Parser, visitor};

use super::directives::{Directive, FieldScope, ResponseDirectives};
use super::number::MAX_DELTA_SECONDS;

/// Reads the first field of `names` that is present, not empty and a valid dictionary
/// (RFC 9213 section 2.2). Void and empty ones are passed over as if they were not there
/// (section 2.1).
///
/// `None`: there is none, so Cache-Control and Expires apply. `Some`: only these directives apply, and
/// Cache-Control and Expires are to be ignored, even if none of the directives was understood.
///
/// A number of the wrong type is ignored, and so are `public`, `immutable` and `must-understand`
/// unless they are true. What restricts counts with any value but `?0`. Parameters are ignored.
#[must_use]
pub fn from_targeted(headers: &HeaderMap, names: &[HeaderName]) -> Option<ResponseDirectives> {
    names.iter().find_map(|name| {
        let value = combined(headers, name)?;
        let field = Parser::new(&*value).parse_dictionary_with_visitor(Field::default());
        field.ok().filter(|field| !field.is_empty).map(|field| field.directives)
    })
}

/// All lines of the field as one value (RFC 9110 section 5.3); `None` when there are none.
pub(super) fn combined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut lines = headers.get_all(name).iter();
    let mut value = Cow::Borrowed(lines.next()?.as_bytes());
    for line in lines {
        let value = value.to_mut();
        value.extend_from_slice(b", ");
        value.extend_from_slice(line.as_bytes());
    }
    Some(value)
}

/// What has been read of the dictionary so far.
struct Field {
    directives: ResponseDirectives,
    is_empty: bool,
}

impl Default for Field {
    fn default() -> Self {
        Self { directives: ResponseDirectives::default(), is_empty: true }
    }
}

impl<'de> visitor::DictionaryVisitor<'de> for Field {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl visitor::EntryVisitor<'de>, Infallible> {
        self.is_empty = false;
        Ok(Directive::named(key.as_str().as_bytes()).map(|directive| Member { directives: &mut self.directives, directive }))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

/// One member of the dictionary whose name is known.
struct Member<'a> {
    directives: &'a mut ResponseDirectives,
    directive: Directive,
}

impl<'de> visitor::EntryVisitor<'de> for Member<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl visitor::ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl visitor::InnerListVisitor<'de>, Infallible> {
        self.set(None);
        Ok(visitor::Ignored)
    }
}

impl<'de> visitor::ItemVisitor<'de> for Member<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl visitor::ParameterVisitor<'de, Out = ()>, Infallible> {
        self.set(Some(&item));
        // RFC 9213 section 2.1: parameters are ignored.
        Ok(visitor::Ignored)
    }
}

impl Member<'_> {
    /// Takes the value, over whatever an earlier member of the same name said (RFC 9651 section 3.2).
    /// `None` is an inner list.
    fn set(self, item: Option<&BareItemFromInput<'_>>) {
        let directives = self.directives;
        let is_false = matches!(item, Some(BareItemFromInput::Boolean(false)));
        let is_true = matches!(item, Some(BareItemFromInput::Boolean(true)));
        match self.directive {
            Directive::NoStore => directives.no_store = !is_false,
            Directive::NoTransform => directives.no_transform = !is_false,
            Directive::MustRevalidate => directives.must_revalidate = !is_false,
            Directive::ProxyRevalidate => directives.proxy_revalidate = !is_false,
            Directive::MustUnderstand => directives.must_understand = is_true,
            Directive::Public => directives.public = is_true,
            Directive::Immutable => directives.immutable = is_true,
            Directive::NoCache => directives.no_cache = scope(item),
            Directive::Private => directives.private = scope(item),
            Directive::MaxAge => directives.max_age = seconds(item),
            Directive::SMaxage => directives.s_maxage = seconds(item),
            Directive::StaleWhileRevalidate => directives.stale_while_revalidate = seconds(item),
            Directive::StaleIfError => directives.stale_if_error = seconds(item),
        }
    }
}

/// A non-negative integer; every other type is ignored.
fn seconds(item: Option<&BareItemFromInput<'_>>) -> Option<u64> {
    let Some(BareItemFromInput::Integer(number)) = item else {
        return None;
    };
    let seconds = u64::try_from(i64::from(*number)).ok()?;
    Some(seconds.min(MAX_DELTA_SECONDS))
}

/// RFC 9213 section 2.1: true, or a string that lists fields; anything else but `?0` restricts too.
fn scope(item: Option<&BareItemFromInput<'_>>) -> FieldScope {
    match item {
        Some(BareItemFromInput::Boolean(false)) => FieldScope::Absent,
        Some(BareItemFromInput::String(names)) => FieldScope::from_list(names.as_str().as_bytes()),
        _ => FieldScope::Everything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;
    use proptest::prelude::*;

    const OWN: HeaderName = HeaderName::from_static("warmfront-cache-control");
    const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");

    fn read(lines: &[(HeaderName, &'static str)]) -> Option<ResponseDirectives> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        from_targeted(&headers, &[OWN, CDN])
    }

    fn cdn(value: &'static str) -> Option<ResponseDirectives> {
        read(&[(CDN, value)])
    }

    #[test]
    fn the_first_valid_field_wins() {
        let max_age = |lines: &[(HeaderName, &'static str)]| read(lines).and_then(|read| read.max_age);
        assert_eq!(max_age(&[(CDN, "max-age=1"), (OWN, "max-age=2")]), Some(2));
        assert_eq!(max_age(&[(CDN, "max-age=1"), (OWN, "")]), Some(1));
        assert_eq!(max_age(&[(CDN, "max-age=1"), (OWN, "max-age=2, &&&&&")]), Some(1));
        assert_eq!(max_age(&[]), None);
    }

    #[test]
    fn an_invalid_or_empty_field_is_ignored_whole() {
        for value in [
            "",
            " ",
            "max-age=10000, &&&&&",
            "max-age =100",
            "max-age= 100",
            "MaX-aGe=3600",
            "max-age=",
            "max-age=1,",
            "no-store=\"",
            "max-age=1; 2",
            "max-age='1'",
            "max-age=9999999999999999",
        ] {
            assert_eq!(cdn(value), None, "{value}");
        }
    }

    #[test]
    fn numbers_are_non_negative_integers_and_saturate() {
        for (value, expected) in [
            ("max-age=3600", Some(3600)),
            ("max-age=2147483648", Some(1 << 31)),
            ("max-age=99999999999", Some(1 << 31)),
            ("max-age=0", Some(0)),
            ("foobar, max-age=5;a=b", Some(5)),
            ("max-age=\"10000\"", None),
            ("max-age=-1", None),
            ("max-age=1.0", None),
            ("max-age", None),
            ("max-age=(1 2)", None),
        ] {
            assert_eq!(cdn(value).expect("a valid field").max_age, expected, "{value}");
        }
    }

    #[test]
    fn all_directives_are_read() {
        let got = cdn("no-store, no-transform, must-revalidate, proxy-revalidate, must-understand, public, \
                       immutable, no-cache, private, max-age=1, s-maxage=2, stale-while-revalidate=3, \
                       stale-if-error=4");
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
        assert_eq!(got, Some(expected));
    }

    #[test]
    fn a_false_directive_is_absent() {
        let got = cdn("no-store=?0, private=?0, no-cache=?0, public=?0, max-age=?0");
        assert_eq!(got, Some(ResponseDirectives::default()));
    }

    #[test]
    fn what_restricts_counts_with_any_type_and_what_permits_only_when_true() {
        for value in ["no-store=1", "no-store=\"no\"", "no-store=()", "no-store=?1;x", "no-store=:YQ==:"] {
            assert!(cdn(value).expect("a valid field").no_store, "{value}");
        }
        let got = cdn("public=1, immutable=yes, must-understand=(), private=x, no-cache=(a b)");
        let got = got.expect("a valid field");
        assert!(!got.public && !got.immutable && !got.must_understand);
        assert!(got.private.is_everything() && got.no_cache.is_everything());
    }

    #[test]
    fn a_string_names_fields() {
        let got = cdn("private=\"Set-Cookie, a\", no-cache=\"\"").expect("a valid field");
        assert_eq!(got.private.fields(), ["set-cookie", "a"]);
        assert!(got.no_cache.is_everything());
    }

    #[test]
    fn the_last_of_two_equal_names_counts_also_over_lines() {
        let got = read(&[(CDN, "max-age=1, no-store"), (CDN, "max-age=x, no-store=?0")]);
        assert_eq!(got, Some(ResponseDirectives::default()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(value: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers: HeaderMap = [(CDN, value)].into_iter().collect();
                let _ = from_targeted(&headers, &[CDN]);
            }
        }

        #[test]
        fn it_is_valid_exactly_when_sfv_says_so(value in r#"[a-c\-=?01";,() ]{0,16}"#) {
            let headers: HeaderMap = [(CDN, HeaderValue::from_str(&value).unwrap())].into_iter().collect();
            let dictionary = Parser::new(&value).parse::<sfv::Dictionary>();
            let expected = dictionary.is_ok_and(|dictionary| !dictionary.is_empty());
            prop_assert_eq!(from_targeted(&headers, &[CDN]).is_some(), expected);
        }
    }
}
