//! A request as a call sees it: let in, routed, its body read.

use crate::admin::fields::Fields;
use crate::admin::problem::Problem;
use bytes::Bytes;
use percent_encoding::percent_decode_str;

/// What was asked of a call.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What stands in the path where the table says `{..}`.
    pub(super) part: Option<String>,
    /// The parameters of the query, decoded, in their order.
    pub(super) query: Vec<(String, String)>,
    /// The body, within its limit.
    pub(super) body: Bytes,
}

impl Asked {
    /// The body as a JSON object; an empty one stands for `{}`, whatever its content type says: curl's `-d` says form.
    pub(super) fn fields(&self) -> Result<Fields, Problem> {
        Fields::parse(&self.body)
    }

    /// The first parameter of this name.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `true` or `false` of the query.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Problem> {
        let Some(text) = self.param(name) else { return Ok(default) };
        text.parse().map_err(|_| Problem::at(&format!("?{name}"), "expected true or false"))
    }

    /// A whole number of the query, within `least` and `most`.
    pub(super) fn number(&self, name: &str, default: usize, least: usize, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.param(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| Problem::at(&format!("?{name}"), &format!("expected a whole number from {least} to {most}")))
    }
}

/// Reads a query: pairs, percent-decoded. A plus is a plus: values here are URLs and header fields.
pub(super) fn parse_query(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let decode = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(String::from).map_err(|_| Problem::at("?", "the query is not UTF-8"))
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| Ok((decode(name)?, decode(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Asked, parse_query};

    #[test]
    fn a_query_is_pairs_and_a_plus_is_a_plus() {
        let query = parse_query("url=/a%3Fx=1%262&header=a:%20b+c&&flag").unwrap();
        let pairs: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("url", "/a?x=1&2"), ("header", "a: b+c"), ("flag", "")]);
        assert!(parse_query("a=%ff").is_err());
    }

    #[test]
    fn numbers_have_bounds() {
        let asked = |query: &str| Asked { query: parse_query(query).unwrap(), ..Asked::default() };
        assert_eq!(asked("").number("limit", 7, 1, 9), Ok(7));
        assert_eq!(asked("limit=9").number("limit", 7, 1, 9), Ok(9));
        for wrong in ["limit=0", "limit=10", "limit=-1", "limit=x", "limit=99999999999999999999999", "limit="] {
            assert!(asked(wrong).number("limit", 7, 1, 9).is_err(), "{wrong}");
        }
    }
}
