//! JSON Schemas (2020-12) of what calls take and answer. Orders are closed: what is not in them is refused. Answers are open: they may grow.

mod answers;
mod orders;

pub(super) use answers::*;
pub(super) use orders::*;

use serde_json::{Value, json};
use std::sync::Arc;

/// A schema, given the names of the groups that there are.
pub(super) type Schema = fn(&[Arc<str>]) -> Value;

/// An object of which all members are there.
fn object(members: &Value) -> Value {
    let required: Vec<&String> = members.as_object().map(|members| members.keys().collect()).unwrap_or_default();
    json!({ "type": "object", "properties": members, "required": required })
}

/// An object with these members and no others, each of which may be left out.
fn order(members: &Value) -> Value {
    json!({ "type": "object", "properties": members, "additionalProperties": false })
}

fn boolean() -> Value {
    json!({ "type": "boolean" })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn number() -> Value {
    json!({ "type": "number" })
}

fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}
