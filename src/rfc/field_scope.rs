//! What `no-cache` and `private` cover (RFC 9111 sections 5.2.2.4 and 5.2.2.7).

use http::header::HeaderName;

use super::list;

/// What `no-cache` or `private` covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FieldScope {
    /// The directive is not there.
    #[default]
    Absent,
    /// The directive covers the whole response.
    Everything,
    /// The directive covers these fields of the response (RFC 9111 sections 5.2.2.4 and 5.2.2.7).
    /// Never empty; a name may stand in it twice.
    Fields(Vec<HeaderName>),
}

impl FieldScope {
    /// The field names in `text`, a comma-separated list without its quotes.
    ///
    /// A list that is empty or holds something that is no field name covers everything.
    #[must_use]
    pub fn from_list(text: &[u8]) -> Self {
        let names: Result<Vec<_>, _> =
            text.split(|&byte| byte == b',').map(list::trim).filter(|name| !name.is_empty()).map(HeaderName::from_bytes).collect();
        match names {
            Ok(names) if !names.is_empty() => Self::Fields(names),
            _ => Self::Everything,
        }
    }

    /// Whether the directive is absent.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the directive covers the whole response.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }

    /// The fields that are covered by name; empty for the other two.
    #[must_use]
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Absent | Self::Everything => &[],
        }
    }

    /// Covers what either of the two covers.
    pub(super) fn widen(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Everything, _) | (_, Self::Absent) => {}
            (Self::Fields(names), Self::Fields(more)) => names.extend(more),
            (_, other) => *self = other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn widened(mut scope: FieldScope, other: FieldScope) -> FieldScope {
        scope.widen(other);
        scope
    }

    #[test]
    fn names_are_read_in_any_case() {
        let scope = FieldScope::from_list(b" Set-Cookie ,, a");
        assert_eq!(scope.fields(), ["set-cookie", "a"]);
    }

    #[test]
    fn a_list_that_is_empty_or_holds_no_name_covers_everything() {
        for text in [&b""[..], b" , ", b"a b", b"a, (", b"\"a\"", b"a\\"] {
            assert!(FieldScope::from_list(text).is_everything(), "{text:?}");
        }
    }

    #[test]
    fn the_wider_of_two_scopes_stays() {
        let named = || FieldScope::from_list(b"a");
        let every = FieldScope::Everything;
        assert!(widened(FieldScope::Absent, FieldScope::Absent).is_absent());
        assert_eq!(widened(FieldScope::Absent, named()), named());
        assert_eq!(widened(named(), FieldScope::Absent), named());
        assert_eq!(widened(named(), named()).fields().len(), 2);
        assert_eq!(widened(named(), every.clone()), every);
        assert_eq!(widened(every.clone(), named()), every);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_are_never_absent(text: Vec<u8>) {
            prop_assert!(!FieldScope::from_list(&text).is_absent());
        }
    }
}
