//! Rules: what an operator knows about a part of the API. The first rule whose path matches a request decides.

use crate::cache::settings::KeySettings;
use crate::rfc::forwarding::is_written_by_a_proxy;
use http::HeaderName;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What holds for the requests whose path matches. Origin headers win over a rule unless [`override_origin`](Self::override_origin) is set.
///
/// ```
/// use std::time::Duration;
/// use warmfront::Rule;
/// let rule = Rule::path("/api/schools/**").unwrap().ttl(Duration::from_secs(300)).tag("schools");
/// assert!(rule.matches("/api/schools/primary") && !rule.matches("/api/brands"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The name in `Cache-Status`, logs and metrics. [`Rule::path`] takes the pattern itself.
    pub name: Arc<str>,
    /// Which paths it is about.
    pub path: PathPattern,
    /// Never look up, never store, never buffer.
    pub pass: bool,
    /// The lifetime where the origin names none; with `override_origin` also where it does.
    pub ttl: Option<Duration>,
    /// As [`Settings::stale_while_revalidate`](crate::Settings::stale_while_revalidate), for these paths.
    pub stale_while_revalidate: Option<Duration>,
    /// As [`Settings::stale_if_error`](crate::Settings::stale_if_error), for these paths.
    pub stale_if_error: Option<Duration>,
    /// Whether `ttl`, `stale_while_revalidate` and `stale_if_error` win over the origin's own. Prohibitions of the origin (`no-store`, `private`, Set-Cookie) still hold
    /// unless they are named in `ignore`. Default false.
    pub override_origin: bool,
    /// Prohibitions that these paths disregard. Default none.
    pub ignore: Ignore,
    /// Tags of what is stored, for invalidation.
    pub tags: Vec<Arc<str>>,
    /// A partition of its own for each value of a request header; what is stored in one is unreachable from any other.
    pub per_identity: Option<Identity>,
    /// How the query becomes part of the key; `None`: as the cache's own settings say.
    pub key: Option<KeySettings>,
}

/// Where a request's identity is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The request header whose whole value (all lines) is the identity. It is kept only as a keyed hash.
    pub header: HeaderName,
}

/// Prohibitions of a response that a rule disregards. Each is an opt-out of a protection; the default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    /// Store in spite of `no-store` in the response.
    pub no_store: bool,
    /// Store in spite of `private`.
    pub private: bool,
    /// Store responses with `Set-Cookie` and give the cookie to everybody.
    pub set_cookie: bool,
    /// Reuse in spite of `no-cache` in the response.
    pub no_cache: bool,
}

impl Ignore {
    /// The words of the configuration file, in the order of the fields.
    pub const WORDS: [&'static str; 4] = ["no-store", "private", "set-cookie", "no-cache"];

    /// Adds the prohibition called `word`; `false` if there is none of that name.
    pub fn add(&mut self, word: &str) -> bool {
        match word {
            "no-store" => self.no_store = true,
            "private" => self.private = true,
            "set-cookie" => self.set_cookie = true,
            "no-cache" => self.no_cache = true,
            _ => return false,
        }
        true
    }
}

impl Rule {
    /// A rule for the paths that match `pattern` (see [`PathPattern`]) that changes nothing yet.
    ///
    /// # Errors
    /// The pattern is malformed.
    pub fn path(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self {
            name: pattern.into(),
            path: PathPattern::parse(pattern)?,
            pass: false,
            ttl: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            override_origin: false,
            ignore: Ignore::default(),
            tags: Vec::new(),
            per_identity: None,
            key: None,
        })
    }

    /// Sets the name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the lifetime where the origin names none.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets how long a stale response may be served while it is refreshed.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = Some(window);
        self
    }

    /// Sets how long a stale response may stand in for an error.
    #[must_use]
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = Some(window);
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Gives each value of `header` a partition of its own.
    #[must_use]
    pub fn per_identity(mut self, header: HeaderName) -> Self {
        self.per_identity = Some(Identity { header });
        self
    }

    /// Makes these paths pass: never looked up, never stored.
    #[must_use]
    pub fn pass(mut self) -> Self {
        self.pass = true;
        self
    }

    /// Makes the rule's durations win over the origin's.
    #[must_use]
    pub fn override_origin(mut self) -> Self {
        self.override_origin = true;
        self
    }

    /// Whether its identity is read from a field that [a proxy writes](crate::rfc::forwarding).
    pub(crate) fn identifies_by_forwarding(&self) -> bool {
        self.per_identity.as_ref().is_some_and(|identity| is_written_by_a_proxy(&identity.header))
    }

    /// Whether `path` (as sent, undecoded, without the query) matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.path.matches(path)
    }
}

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
