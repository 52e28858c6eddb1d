//! The file as a JSON Schema (draft 2020-12), for editors: drawn from the table of keys.
//!
//! It never calls wrong what [`load`](super::load) takes. `load` knows more: the bounds of durations, what a path or a schedule looks like, and which values
//! make sense together.

use crate::config::defaults::Defaults;
use crate::config::kind::Kind;
use crate::config::schema::{self, Key};
use crate::config::units::{duration_pattern, show_duration, show_size, size_pattern};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The largest whole number that every reader of JSON takes as it is written (RFC 8259 section 6).
const MOST: u64 = (1 << 53) - 1;

/// The configuration file's JSON Schema, as indented text.
#[must_use]
pub fn json_schema() -> String {
    format!("{:#}", draw())
}

/// The schema as a value.
pub(super) fn draw() -> Value {
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "warmfront configuration",
        "description": "The configuration file of warmfront. `warmfront check` says more about a file than this schema can.",
    });
    extend(&mut root, table("", &Defaults::new()));
    root
}

/// The table at `path`: an object with the keys that lie there, and no others.
fn table(path: &str, defaults: &Defaults) -> Value {
    let names = schema::names_below(path);
    let properties: Map<String, Value> = names.iter().map(|name| ((*name).into(), member(&schema::join(path, name), defaults))).collect();
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    let required: Vec<_> =
        names.into_iter().filter(|name| schema::find(&schema::join(path, name)).is_some_and(|key| key.required)).collect();
    if !required.is_empty() {
        extend(&mut object, json!({ "required": required }));
    }
    object
}

/// What lies at `path`: a value, an array of tables or a table.
fn member(path: &str, defaults: &Defaults) -> Value {
    if let Some(key) = schema::find(path) {
        return value(key, defaults.of(path));
    }
    let items = format!("{path}[]");
    if schema::has_below(&items) {
        described(&items, json!({ "type": "array", "items": table(&items, defaults) }))
    } else {
        described(path, table(path, defaults))
    }
}

fn described(path: &str, rest: Value) -> Value {
    let doc = schema::TABLES.iter().find(|(table, _)| *table == path).map_or(path, |(_, doc)| doc);
    let mut object = json!({ "description": sentence(doc) });
    extend(&mut object, rest);
    object
}

fn value(key: &Key, default: Option<Value>) -> Value {
    let mut text = sentence(key.doc);
    if let Some(bounds) = bounds(key.kind) {
        text += &format!(" {bounds}");
    }
    if key.later.is_some() {
        text += " Known, but this version does not act on it.";
    }
    let mut object = json!({ "description": text });
    extend(&mut object, shape(key.kind));
    if let Some(default) = default {
        extend(&mut object, json!({ "default": default }));
    }
    object
}

/// What a value of `kind` looks like.
fn shape(kind: Kind) -> Value {
    match kind {
        Kind::Duration { .. } => json!({ "type": "string", "pattern": duration_pattern() }),
        Kind::Size { min, max } => bounded(json!({ "type": ["string", "integer"], "pattern": size_pattern() }), min, max),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Integer { min, max } => bounded(json!({ "type": "integer" }), min, max),
        Kind::Fraction => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Text | Kind::Secret => json!({ "type": "string" }),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::OneOrMore => json!({ "type": ["string", "array"], "items": { "type": "string" } }),
        Kind::AnyMap => any_map(),
        Kind::AnyMaps => json!({ "type": "array", "items": any_map() }),
    }
}

/// A table of the user's own: each name with one value or a list of them.
fn any_map() -> Value {
    json!({
        "type": "object",
        "additionalProperties": {
            "type": ["string", "number", "boolean", "array"],
            "items": { "type": ["string", "number", "boolean"] },
        },
    })
}

fn bounded(mut object: Value, min: u64, max: u64) -> Value {
    extend(&mut object, json!({ "minimum": min }));
    if max <= MOST {
        extend(&mut object, json!({ "maximum": max }));
    }
    object
}

/// How to write a value of `kind` and within which bounds, where a pattern cannot say it.
fn bounds(kind: Kind) -> Option<String> {
    match kind {
        Kind::Duration { min, max } => {
            let [min, max] = [min, max].map(|millis| show_duration(Duration::from_millis(millis)));
            Some(format!("A duration from {min} to {max}, as \"250ms\", \"5m\" or \"1h30m\"."))
        }
        Kind::Size { min, max } if max <= MOST => Some(format!("A size from {} to {}, as \"64KiB\".", show_size(min), show_size(max))),
        Kind::Size { min, .. } if min > 1 => Some(format!("A size of at least {}, as \"64MiB\".", show_size(min))),
        Kind::Size { .. } => Some("A size, as \"64MiB\" or a number of bytes.".into()),
        _ => None,
    }
}

/// `doc` with a capital and a full stop.
fn sentence(doc: &str) -> String {
    let mut letters = doc.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

/// Adds the members of `more` to `object`.
fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
