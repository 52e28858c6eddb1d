//! Reads a JSON body strictly: every field is asked for by name and type, what is left over is a fault, and each fault names its place.

use crate::admin::once::Once;
use crate::admin::problem::Problem;
use serde_json::{Map, Value};

/// An object that is being read.
#[derive(Debug)]
pub(super) struct Fields {
    /// A JSON Pointer (RFC 6901).
    place: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Reads a body; an empty one is an empty object.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(body)
            .map_err(|error| Problem::at("", &format!("the body is not UTF-8: it breaks off after {} bytes", error.valid_up_to())))?;
        if text.is_empty() {
            return Ok(Self::new(String::new(), Map::new()));
        }
        let Once(value) = serde_json::from_str(text).map_err(|error| {
            let what = if error.is_data() { "the body says it in two ways" } else { "the body is not JSON" };
            Problem::at("", &format!("{what}: {error}"))
        })?;
        match value {
            Value::Object(map) => Ok(Self::new(String::new(), map)),
            other => Err(wrong_type("", "an object", &other)),
        }
    }

    fn new(place: String, map: Map<String, Value>) -> Self {
        Self { place, map, known: Vec::new() }
    }

    /// A field that is `true` or `false`.
    pub(super) fn bool(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        self.take(name, "true or false", |value| value.as_bool())
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.take(name, "a text", |value| value.as_str().map(String::from))
    }

    /// A whole number within `least` and `most`.
    pub(super) fn number(&mut self, name: &'static str, least: u64, most: u64) -> Result<Option<u64>, Problem> {
        let words = format!("a whole number from {least} to {most}");
        self.take(name, &words, |value| whole(value).filter(|number| (least..=most).contains(number)))
    }

    /// A list of names, each one of `names`.
    pub(super) fn names(&mut self, name: &'static str, what: &str, names: &[&str]) -> Result<Option<Vec<String>>, Problem> {
        let Some(items) = self.take(name, "a list of names", |value| value.as_array().cloned())? else { return Ok(None) };
        let mut found = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let place = format!("{}/{at}", self.place_of(name));
            let Some(text) = item.as_str() else { return Err(wrong_type(&place, "a name", item)) };
            if !names.contains(&text) {
                return Err(Problem::unknown(&place, &format!("unknown {what}"), text, names.iter().copied()));
            }
            found.push(text.to_owned());
        }
        Ok(Some(found))
    }

    /// An object with names of `names` that are `true` or `false`.
    pub(super) fn switches(&mut self, name: &'static str, what: &str, names: &[&str]) -> Result<Vec<(String, bool)>, Problem> {
        let Some(Fields { place, map, .. }) = self.object(name)? else { return Ok(Vec::new()) };
        let switch = |(name, value): (String, Value)| {
            let place = join(&place, &name);
            if !names.contains(&name.as_str()) {
                return Err(Problem::unknown(&place, &format!("unknown {what}"), &name, names.iter().copied()));
            }
            let on = value.as_bool().ok_or_else(|| wrong_type(&place, "true or false", &value))?;
            Ok((name, on))
        };
        map.into_iter().map(switch).collect()
    }

    /// An object.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Self>, Problem> {
        let place = self.place_of(name);
        let map = self.take(name, "an object", |value| value.as_object().cloned())?;
        Ok(map.map(|map| Self::new(place, map)))
    }

    /// The end: whatever nobody asked for is unknown.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => Err(Problem::unknown(&join(&self.place, name), "unknown field", name, self.known.iter().copied())),
        }
    }

    /// Where a field is.
    pub(super) fn place_of(&self, name: &str) -> String {
        join(&self.place, name)
    }

    fn take<T>(&mut self, name: &'static str, wanted: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<Option<T>, Problem> {
        self.known.push(name);
        let Some(value) = self.map.remove(name) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| wrong_type(&self.place_of(name), wanted, &value))
    }
}

/// A whole number, also where it is written `60000.0`: JSON knows one kind of number.
fn whole(value: &Value) -> Option<u64> {
    // Up to 2^53 a float is exact (RFC 8259 section 6).
    let exact = |number: &f64| number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(number);
    value.as_u64().or_else(|| value.as_f64().filter(exact).map(|number| number as u64))
}

/// RFC 6901 section 3.
fn join(place: &str, name: &str) -> String {
    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn wrong_type(place: &str, wanted: &str, found: &Value) -> Problem {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {}", crate::suggest::quote(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    Problem::at(place, &format!("expected {wanted}, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::Fields;

    fn fault(body: &str) -> String {
        let read = || {
            let mut fields = Fields::parse(body.as_bytes())?;
            fields.bool("async")?;
            fields.number("ms", 1, 9)?;
            fields.switches("items", "group", &["channels", "models"])?;
            fields.names("tasks", "task", &["channels"])?;
            if let Some(mut inner) = fields.object("inner")? {
                inner.text("a/b")?;
                inner.finish()?;
            }
            fields.finish()
        };
        read().map_or_else(|problem| problem.detail().to_owned(), |()| "none".into())
    }

    #[test]
    fn every_fault_names_its_place() {
        for (body, words) in [
            ("", "none"),
            (" {} ", "none"),
            (r#"{"async":true,"ms":9,"items":{"models":false},"tasks":["channels"],"inner":{"a/b":"x"}}"#, "none"),
            (r#"{"ms":9.0}"#, "none"),
            (r#"{"asinc":true}"#, "/asinc: unknown field \"asinc\"; did you mean \"async\"? (known: async, ms, items, tasks, inner)"),
            (r#"{"async":1}"#, "/async: expected true or false, found the number 1"),
            (r#"{"ms":-1}"#, "/ms: expected a whole number from 1 to 9, found the number -1"),
            (r#"{"ms":1.5}"#, "/ms: expected a whole number from 1 to 9, found the number 1.5"),
            (r#"{"items":{"models":1}}"#, "/items/models: expected true or false, found the number 1"),
            (r#"{"tasks":["channels",null]}"#, "/tasks/1: expected a name, found null"),
            (r#"{"inner":{"a/b":[]}}"#, "/inner/a~1b: expected a text, found a list"),
            (r#"{"inner":{"c":1}}"#, "/inner/c: unknown field \"c\" (known: a/b)"),
            ("[]", "expected an object, found a list"),
            (r#"{"ms":1,"async":true,"ms":2}"#, "the body says it in two ways: \"ms\" is there twice at line 1 column 25"),
            (r#"{"inner":{"a/b":"x","a/b":"x"}}"#, "the body says it in two ways: \"a/b\" is there twice at line 1 column 25"),
        ] {
            assert_eq!(fault(body), words, "{body}");
        }
        assert!(
            fault(r#"{"items":{"chanels":true}}"#).starts_with("/items/chanels: unknown group \"chanels\"; did you mean \"channels\"?")
        );
    }

    #[test]
    fn what_is_not_json_is_told_and_nothing_overflows() {
        for body in ["{", "\u{b}", "\u{a0}"] {
            assert!(fault(body).starts_with("the body is not JSON: "), "{body:?}");
        }
        assert!(fault(&"[".repeat(1 << 20)).contains("recursion limit"));
        assert!(fault(r#"{"ms":1e999}"#).starts_with("the body is not JSON: "));
        assert!(fault(r#"{"ms":123456789012345678901234567890}"#).starts_with("/ms: expected"));
        assert!(Fields::parse(b"{\"a\xff\":1}").unwrap_err().detail().contains("not UTF-8"));
        assert!(fault(&format!("{{\"{}\\u0000\":1}}", "x".repeat(10_000))).len() < 600);
    }
}
