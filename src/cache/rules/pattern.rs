//! Patterns of paths.

use std::fmt;

/// A pattern of paths, segment by segment: `*` inside a segment matches any run of characters but `/`; a segment `**` matches any number of
/// segments, none included, so `/api/**` matches `/api`, `/api/` and `/api/a/b`. Everything else matches itself, byte by byte, undecoded.
#[derive(Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: Box<str>,
    shape: Shape,
}

/// How a pattern is compared. Each request is compared with the patterns of all rules up to the one that matches, and most patterns are of the first two
/// shapes: one comparison of bytes tells.
#[derive(Clone, PartialEq, Eq)]
enum Shape {
    /// No stars: the text itself.
    Exact,
    /// `/a/b/**`: the first so many bytes of the text (`/a/b`), and nothing or a slash behind them.
    Below(usize),
    /// Any other: what matches starts with the first so many bytes of the text, the literal segments in front of the first star.
    Segments(usize, Box<[Segment]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Glob(Box<str>),
    AnyDepth,
}

/// Why a pattern is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It does not start with `/`.
    NoLeadingSlash,
    /// It has a `?` or `#`: patterns are about paths only.
    NotAPath,
    /// A segment mixes `**` with other characters.
    DoubleStar,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLeadingSlash => "a path pattern starts with `/`",
            Self::NotAPath => "a path pattern has no `?` or `#`: the query is no part of it",
            Self::DoubleStar => "`**` stands alone in its segment: `/api/**`",
        })
    }
}

impl std::error::Error for PatternError {}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It does not start with `/`, has a query or fragment, or misplaces `**`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let rest = text.strip_prefix('/').ok_or(PatternError::NoLeadingSlash)?;
        if text.contains(['?', '#']) {
            return Err(PatternError::NotAPath);
        }
        let segments = rest.split('/').map(Segment::parse).collect::<Result<Box<[_]>, _>>()?;
        Ok(Self { text: text.into(), shape: Shape::of(segments) })
    }

    /// Whether `path` matches; a path that does not start with `/` (as `*` of OPTIONS) never does.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let literal = |length: usize| path.as_bytes().strip_prefix(&self.text.as_bytes()[..length]);
        match &self.shape {
            Shape::Exact => *path == *self.text,
            Shape::Below(length) => literal(*length).is_some_and(|rest| rest.first().map_or(*length > 0, |byte| *byte == b'/')),
            Shape::Segments(length, segments) => {
                literal(*length).is_some() && path.strip_prefix('/').is_some_and(|rest| match_segments(segments, rest))
            }
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Shape {
    fn of(segments: Box<[Segment]>) -> Self {
        let literals = segments.iter().map_while(|segment| match segment {
            Segment::Literal(literal) => Some("/".len() + literal.len()),
            Segment::Glob(_) | Segment::AnyDepth => None,
        });
        let (count, length) = literals.fold((0, 0), |(count, length), one| (count + 1, length + one));
        match &segments[count..] {
            [] => Self::Exact,
            [Segment::AnyDepth] => Self::Below(length),
            _ => Self::Segments(length, segments),
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PatternError> {
        match text {
            "**" => Ok(Self::AnyDepth),
            _ if text.contains("**") => Err(PatternError::DoubleStar),
            _ if text.contains('*') => Ok(Self::Glob(text.into())),
            _ => Ok(Self::Literal(text.into())),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => **literal == *text,
            Self::Glob(glob) => match_glob(glob.as_bytes(), text.as_bytes()),
            Self::AnyDepth => true,
        }
    }
}

/// Greedy, with one point to come back to, the last `**`: of several ways to divide a path among them the first is as good as any. So the work is
/// at most segments of the pattern times segments of the path. A path with a trailing slash ends in an empty segment.
fn match_segments(pattern: &[Segment], path: &str) -> bool {
    let rest_of = |text: &'_ str| text.find('/').map(|slash| slash + 1);
    // Offsets into `path`; `None` once it has ended.
    let (mut p, mut at, mut back) = (0, Some(0), None);
    loop {
        let segment = at.map(|at| &path[at..]);
        match (pattern.get(p), segment) {
            (None, None) => return true,
            (Some(Segment::AnyDepth), _) => {
                back = Some((p, at));
                p += 1;
                continue;
            }
            (Some(one), Some(text)) if one.matches(text.split('/').next().unwrap_or_default()) => {
                p += 1;
                at = rest_of(text).zip(at).map(|(rest, at)| at + rest);
                continue;
            }
            _ => {}
        }
        // No match here: let the last `**` take one segment more, if there is one.
        let Some((star, Some(from))) = back else { return false };
        let next = rest_of(&path[from..]).map(|rest| from + rest);
        back = Some((star, next));
        (p, at) = (star + 1, next);
    }
}

/// Greedy match of `*` with one backtracking point: linear in practice, quadratic at worst.
fn match_glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, matched)) = star {
            star = Some((at, matched + 1));
            p = at + 1;
            t = matched + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::{PathPattern, PatternError};

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn a_pattern_without_stars_matches_itself_alone() {
        assert!(
            matches("/api", "/api") && !matches("/api", "/api/") && !matches("/api", "/API") && !matches("/", "/a") && matches("/", "/")
        );
    }

    #[test]
    fn a_star_stays_inside_its_segment() {
        assert!(
            matches("/a/*/c", "/a/b/c") && !matches("/a/*/c", "/a/b/b/c") && matches("/v*.js", "/v12.js") && !matches("/v*.js", "/v/1.js")
        );
    }

    #[test]
    fn two_stars_match_any_depth_and_the_place_itself() {
        for path in ["/api", "/api/", "/api/a", "/api/a/b/"] {
            assert!(matches("/api/**", path), "{path}");
        }
        assert!(matches("/**", "/") && !matches("/**", "*") && !matches("/**", ""), "a path starts with a slash");
        assert!(!matches("/api/**", "/apiary") && matches("/**/x", "/x") && matches("/**/x", "/a/b/x") && !matches("/**/x", "/a/b/y"));
    }

    #[test]
    fn several_double_stars_divide_a_path_among_them() {
        assert!(matches("/**/a/**/b", "/a/b") && matches("/**/a/**/b", "/x/a/y/a/z/b") && !matches("/**/a/**/b", "/b/a"));
        assert!(matches("/**/**", "/") && matches("/a/**/b/**", "/a/b") && !matches("/a/**/b/*", "/a/b"));
    }

    #[test]
    fn a_hostile_path_costs_no_more_than_its_length_times_the_patterns() {
        let path = "/a".repeat(50_000);
        assert!(!matches("/**/a/**/a/**/a/**/b", &path) && !matches("/**/*a*/**/*a*/**/x", &path));
    }

    #[test]
    fn malformed_patterns_are_refused() {
        assert_eq!(PathPattern::parse("api"), Err(PatternError::NoLeadingSlash));
        assert_eq!(PathPattern::parse("/a?b"), Err(PatternError::NotAPath));
        assert_eq!(PathPattern::parse("/a**"), Err(PatternError::DoubleStar));
    }

    proptest::proptest! {
        #[test]
        fn a_pattern_matches_what_trying_every_division_matches(pattern in "(/([ab*]|\\*\\*|ab?)){1,4}", path in "(/[ab]{0,2}){1,5}") {
            fn every(pattern: &[&str], path: &[&str]) -> bool {
                match (pattern.split_first(), path.split_first()) {
                    (None, rest) => rest.is_none(),
                    (Some((&"**", tail)), rest) => every(tail, path) || rest.is_some_and(|(_, rest)| every(pattern, rest)),
                    (Some(_), None) => false,
                    (Some((glob, tail)), Some((text, rest))) => super::match_glob(glob.as_bytes(), text.as_bytes()) && every(tail, rest),
                }
            }
            if let Ok(parsed) = PathPattern::parse(&pattern) {
                let segments = |text: &'static str| text[1..].split('/').collect::<Vec<_>>();
                let (pattern, path): (&'static str, &'static str) = (pattern.leak(), path.leak());
                assert_eq!(parsed.matches(path), every(&segments(pattern), &segments(path)), "{pattern} {path}");
            }
        }

        #[test]
        fn no_path_makes_a_pattern_panic(pattern in "/[a*/]{0,12}", path in ".{0,40}") {
            if let Ok(pattern) = PathPattern::parse(&pattern) {
                let _ = pattern.matches(&path);
            }
        }
    }
}
