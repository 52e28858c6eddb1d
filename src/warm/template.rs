//! Paths with placeholders, and the encoding of what is put into them.

use crate::warm::fault::{PlanFault, TargetFault, TemplateFault};
use crate::warm::target::{self, LONGEST_TARGET};
use std::fmt;

/// A target with placeholders in its path or query, as `/api/{kind}/list?page={page}`. A brace of the target itself is written `%7B` or `%7D`.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    pieces: Box<[Piece]>,
}

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Hole { name: Box<str>, in_path: bool },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`PlanFault::Template`]: a brace without its partner, a name that is none, or something that is no target whatever the values are.
    pub fn parse(text: &str) -> Result<Self, PlanFault> {
        pieces(text).map(|pieces| Self { text: text.into(), pieces }).map_err(|why| PlanFault::Template(text.into(), why))
    }

    /// The template as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its placeholders, as often as they occur.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| if let Piece::Hole { name, .. } = piece { Some(&**name) } else { None })
    }

    /// Whether there is a query already.
    pub(crate) fn has_query(&self) -> bool {
        self.text.contains('?')
    }

    /// Whether `value` may stand where `name` stands: a segment of the path cannot be empty or a dot segment (RFC 3986 section 3.3).
    pub(crate) fn accepts(&self, name: &str, value: &str) -> bool {
        let in_path = self.pieces.iter().any(|piece| matches!(piece, Piece::Hole { name: hole, in_path: true } if **hole == *name));
        !in_path || !matches!(value, "" | "." | "..")
    }

    /// Appends the template to `into`, with `fill(n)` for its placeholder number n. `None`: there was nothing for one of them.
    pub(crate) fn render<'v>(&self, into: &mut String, fill: impl Fn(usize) -> Option<&'v str>) -> Option<()> {
        let mut hole = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => into.push_str(text),
                Piece::Hole { .. } => {
                    into.push_str(fill(hole)?);
                    hole += 1;
                }
            }
        }
        Some(())
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

fn pieces(text: &str) -> Result<Box<[Piece]>, TemplateFault> {
    let (mut pieces, mut rest, mut example) = (Vec::new(), text, String::new());
    while let Some(at) = rest.find(['{', '}']) {
        let (literal, from) = rest.split_at(at);
        let (name, after) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or(TemplateFault::Brace)?;
        if name.contains('{') {
            return Err(TemplateFault::Brace);
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Err(TemplateFault::Name(name.into()));
        }
        example.push_str(literal);
        let in_path = !example.contains('?');
        pieces.extend([Piece::Literal(literal.into()), Piece::Hole { name: name.into(), in_path }]);
        example.push('x');
        rest = after;
    }
    pieces.push(Piece::Literal(rest.into()));
    example.push_str(rest);
    target::check(&example).map_err(TemplateFault::Target)?;
    // `/{a}` could become `//host` only if a value began with a slash, which is always encoded.
    if text.len() > LONGEST_TARGET { Err(TemplateFault::Target(TargetFault::TooLong)) } else { Ok(pieces.into()) }
}

/// `text` percent-encoded as JavaScript's `encodeURIComponent` does it: everything but ASCII letters, digits and `-_.!~*'()`.
#[must_use]
pub(crate) fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{Template, encode};

    #[test]
    fn a_template_has_holes_in_path_and_query() {
        let template = Template::parse("/api/{kind}/list?page={page}&k={kind}").unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["kind", "page", "kind"]);
        let mut text = String::new();
        template.render(&mut text, |at| Some(["a", "1", "b"][at])).unwrap();
        assert_eq!(text, "/api/a/list?page=1&k=b");
        assert!(
            !template.accepts("kind", "..")
                && !template.accepts("kind", "")
                && template.accepts("page", "")
                && template.accepts("kind", "...")
        );
        assert_eq!(template.render(&mut text, |_| None), None);
    }

    #[test]
    fn what_is_no_template_is_told_why() {
        for (text, words) in [
            ("/{a", "\"/{a\" has a brace without its partner; write placeholders as {name}; a brace of the path itself is %7B or %7D"),
            ("/a}", "\"/a}\" has a brace without its partner; write placeholders as {name}; a brace of the path itself is %7B or %7D"),
            (
                "/{a{b}}",
                "\"/{a{b}}\" has a brace without its partner; write placeholders as {name}; a brace of the path itself is %7B or %7D",
            ),
            ("/{}", "\"/{}\" has {}, which is no name of a placeholder; use letters, digits, - and _"),
            ("/{a b}", "\"/{a b}\" has {a b}, which is no name of a placeholder; use letters, digits, - and _"),
            ("{a}", "\"{a}\" does not start with `/`; write the path from the root: \"/api/brands?page=1\""),
            ("http://{a}/b", "\"http://{a}/b\" names a host: the plan asks the upstream only; write the path and the query alone: \"/b\""),
            ("//{a}", "\"//{a}\" starts with `//`, which would name a host; start with one `/`"),
        ] {
            assert_eq!(Template::parse(text).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn values_are_encoded_like_encode_uri_component() {
        assert_eq!(encode("AZaz09-_.!~*'()"), "AZaz09-_.!~*'()");
        assert_eq!(encode("a b/c?d&e=f#g%+,:;@$"), "a%20b%2Fc%3Fd%26e%3Df%23g%25%2B%2C%3A%3B%40%24");
        assert_eq!(encode("灣仔\r\n"), "%E7%81%A3%E4%BB%94%0D%0A");
    }
}
