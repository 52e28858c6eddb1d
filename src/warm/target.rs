//! Targets: what a plan may ask for. The host is never the plan's to choose.

use crate::warm::fault::{PlanFault, TargetFault};
use http::uri::PathAndQuery;
use std::fmt;

/// The most bytes of a target.
pub const LONGEST_TARGET: usize = 8 << 10;

/// The path and query of a request, checked: it starts with one `/`, is ASCII, has no fragment and at most [`LONGEST_TARGET`] bytes.
///
/// ```
/// use warmfront::warm::Target;
/// assert_eq!(Target::parse("/api/brands?page=1").unwrap().as_str(), "/api/brands?page=1");
/// assert!(Target::parse("http://169.254.169.254/latest/meta-data").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Target(PathAndQuery);

impl Target {
    /// Reads a target.
    ///
    /// # Errors
    /// [`PlanFault::Target`]: it names a host or a fragment, has characters that must be percent-encoded, or is too long.
    pub fn parse(text: &str) -> Result<Self, PlanFault> {
        check(text).map(Self).map_err(|why| PlanFault::Target(text.into(), why))
    }

    /// The target as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The target for a request's URI.
    #[must_use]
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.0
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The target that `text` is, or why it is none.
pub(crate) fn check(text: &str) -> Result<PathAndQuery, TargetFault> {
    if let Some((scheme, rest)) = text.split_once("://")
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        let path = rest.find(['/', '?']).map_or("/", |at| &rest[at..]);
        return Err(TargetFault::Absolute(if path.starts_with('/') { path.into() } else { format!("/{path}") }));
    }
    match text {
        _ if !text.starts_with('/') => Err(TargetFault::NoLeadingSlash),
        _ if text.starts_with("//") => Err(TargetFault::DoubleSlash),
        _ if text.len() > LONGEST_TARGET => Err(TargetFault::TooLong),
        _ if text.contains('#') => Err(TargetFault::Fragment),
        _ => text.parse().map_err(|_| TargetFault::Character(unfit(text))).and_then(|target| {
            match text.chars().find(|c| !c.is_ascii_graphic()) {
                Some(c) => Err(TargetFault::Character(c)),
                None => Ok(target),
            }
        }),
    }
}

/// The character for which a text is refused.
fn unfit(text: &str) -> char {
    let refused = |c: &char| !c.is_ascii_graphic() || format!("/{c}").parse::<PathAndQuery>().is_err();
    let in_path = text.split('?').next().unwrap_or_default().chars().find(refused);
    in_path.or_else(|| text.chars().find(|c| format!("/?{c}").parse::<PathAndQuery>().is_err())).unwrap_or('?')
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_target_is_a_path_from_the_root_with_a_query() {
        for text in ["/", "/a/b", "/a?b=1&c", "/a//b", "/%7Bx%7D", "/a?x=%20;y='*'"] {
            assert_eq!(Target::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_no_target_is_told_what_to_write() {
        for (text, words) in [
            (
                "http://h/x?y",
                "\"http://h/x?y\" names a host: the plan asks the upstream only; write the path and the query alone: \"/x?y\"",
            ),
            ("https://h?y", "\"https://h?y\" names a host: the plan asks the upstream only; write the path and the query alone: \"/?y\""),
            ("//h/x", "\"//h/x\" starts with `//`, which would name a host; start with one `/`"),
            ("x", "\"x\" does not start with `/`; write the path from the root: \"/api/brands?page=1\""),
            ("", "\"\" does not start with `/`; write the path from the root: \"/api/brands?page=1\""),
            ("*", "\"*\" does not start with `/`; write the path from the root: \"/api/brands?page=1\""),
            ("/a#b", "\"/a#b\" has a `#`: fragments are not sent; remove it, or write %23"),
            ("/a b", "\"/a b\" has \" \", which no target has; write it percent-encoded: %20"),
            ("/a?b\r\nc", "\"/a?b\\r\\nc\" has \"\\r\", which no target has; write it percent-encoded: %0D"),
            ("/ü", "\"/ü\" has \"ü\", which no target has; write it percent-encoded: %C3%BC"),
            ("/a\u{7f}", "\"/a\\u{7f}\" has \"\\u{7f}\", which no target has; write it percent-encoded: %7F"),
        ] {
            assert_eq!(Target::parse(text).unwrap_err().to_string(), words);
        }
        assert!(
            Target::parse(&format!("/{}", "a".repeat(8192))).unwrap_err().to_string().ends_with("is longer than 8192 bytes; shorten it")
        );
        assert!(Target::parse(&format!("/{}", "a".repeat(8191))).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn a_target_stays_as_it_was_written(text in "/[ -~]{0,20}|.{0,20}") {
            if let Ok(target) = Target::parse(&text) {
                assert_eq!(target.as_str(), text);
                assert!(text.starts_with('/') && !text.starts_with("//") && text.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
            }
        }
    }
}
