//! Cache groups (RFC 9875): `Cache-Groups` and `Cache-Group-Invalidation`, both lists of strings (RFC 9651 section 3.1).

use super::targeted::combined;
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, List, ListEntry, Parser};

/// The groups that a response belongs to (RFC 9875 section 2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// The groups that the answer to an unsafe request invalidates (RFC 9875 section 3).
pub const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// The strings of the list called `name`, over all of its lines; none if the field is not there. Parameters are ignored (RFC 9875 section 2).
///
/// `None`: it is no list of strings, so the whole field is void (RFC 9651 section 4.2).
#[must_use]
pub fn read(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let Some(value) = combined(headers, name) else { return Some(Vec::new()) };
    let list: List = Parser::new(&*value).parse().ok()?;
    list.into_iter()
        .map(|entry| match entry {
            ListEntry::Item(item) => match item.bare_item {
                BareItem::String(text) => Some(text.into()),
                _ => None,
            },
            ListEntry::InnerList(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{CACHE_GROUPS, read};
    use http::{HeaderMap, HeaderValue};

    fn groups(lines: &[&str]) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_GROUPS, HeaderValue::from_str(line).unwrap());
        }
        read(&headers, &CACHE_GROUPS)
    }

    #[test]
    fn all_lines_are_one_list_of_strings_and_parameters_do_not_count() {
        assert_eq!(groups(&[]), Some(Vec::new()));
        assert_eq!(groups(&[r#""a", "b c";x=1"#, r#""\"d\"""#]).unwrap(), ["a", "b c", "\"d\""]);
    }

    #[test]
    fn one_member_that_is_no_string_makes_the_field_void() {
        for line in ["a", r#""a", 1"#, r#"("a")"#, r#""a"#, r#""a","#, "\"\u{e9}\""] {
            assert_eq!(groups(&[line]), None, "{line}");
        }
    }
}
