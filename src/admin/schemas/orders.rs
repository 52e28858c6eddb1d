//! What calls take: the bodies, closed, and the parameters.

use crate::admin::calls::config::INTERVALS;
use crate::admin::calls::jobs::{FARTHEST, MOST};
use crate::admin::explain::MOST_HEADERS;
use crate::admin::keys;
use crate::admin::schemas::{boolean, order};
use crate::layer::{KeySort, MOST_KEYS};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// `{"type": ..}` with the names of groups; `all` where that is one too.
fn group_name(groups: &[Arc<str>], all: bool) -> Value {
    let mut names: Vec<&str> = groups.iter().map(|name| &**name).collect();
    if all && !names.contains(&"all") {
        names.push("all");
    }
    if names.is_empty() { Value::Bool(false) } else { json!({ "enum": names }) }
}

/// Groups by name, each on or off.
fn switches(groups: &[Arc<str>]) -> Value {
    let members: Map<String, Value> = groups.iter().map(|name| (String::from(&**name), boolean())).collect();
    order(&members.into())
}

pub(in crate::admin) fn flag(_: &[Arc<str>]) -> Value {
    boolean()
}

pub(in crate::admin) fn items(_: &[Arc<str>]) -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": crate::admin::calls::plan::MOST, "default": 100 })
}

pub(in crate::admin) fn nothing(_: &[Arc<str>]) -> Value {
    order(&json!({}))
}

pub(in crate::admin) fn config_change(groups: &[Arc<str>]) -> Value {
    order(&json!({
        "enabled": boolean(),
        "warming": { "type": "boolean", "description": "warming alone; cannot be true while enabled is false" },
        "warmOnStartup": boolean(),
        "warmItems": switches(groups),
        "backgroundRefresh": order(&json!({
            "enabled": boolean(),
            "intervalMs": { "type": "integer", "minimum": INTERVALS[0], "maximum": INTERVALS[1] },
        })),
        "smartInvalidation": order(&json!({ "enabled": boolean(), "autoInvalidateOnUpdate": boolean() })),
    }))
}

pub(in crate::admin) fn warm_order(groups: &[Arc<str>]) -> Value {
    order(&json!({
        "items": switches(groups),
        "async": boolean(),
        "force": { "type": "boolean", "description": "fetch also what is fresh" },
    }))
}

// What a host, a path and a query are made of, as crate `http` reads them; hosts in brackets are taken too.
const HOST: &str = "[A-Za-z0-9.-]*[A-Za-z0-9](:[0-9]{1,4})?";
const PATH: &str = r"/[^\x00-\x20#<>?`\x7F]*";
const QUERY: &str = r##"(\?[^\x00-\x20"#<>\x7F]*)?"##;
const FRAGMENT: &str = r"(#[\s\S]*)?";

/// A path with its query, or a URL; the fragment is no matter.
fn url() -> Value {
    json!({ "type": "string", "pattern": format!("^({PATH}|https?://{HOST}({PATH})?){QUERY}{FRAGMENT}$") })
}

/// How paths or URLs begin.
fn prefix() -> Value {
    json!({ "type": "string", "pattern": format!(r"^(/[\s\S]*|https?://{HOST}({PATH})?{QUERY}{FRAGMENT})$") })
}

pub(in crate::admin) fn invalidate_order(groups: &[Arc<str>]) -> Value {
    let mut schema = order(&json!({
        "type": group_name(groups, true),
        "tag": { "type": "string", "minLength": 1 },
        "prefix": prefix(),
        "url": url(),
        "soft": { "type": "boolean", "description": "stale from now on, instead of gone" },
    }));
    one_of_what(&mut schema);
    schema
}

/// Of `type`, `tag`, `prefix` and `url` at most one.
fn one_of_what(schema: &mut Value) {
    schema["description"] = "one of type, tag, prefix and url, or none of them for everything; type may also be a tag".into();
    schema["not"] = json!({ "anyOf": [
        { "required": ["type", "tag"] }, { "required": ["type", "prefix"] }, { "required": ["type", "url"] },
        { "required": ["tag", "prefix"] }, { "required": ["tag", "url"] }, { "required": ["prefix", "url"] },
    ] });
}

pub(in crate::admin) fn replace_order(groups: &[Arc<str>]) -> Value {
    let mut schema = order(&json!({
        "type": group_name(groups, true),
        "tag": { "type": "string", "minLength": 1 },
        "prefix": prefix(),
        "url": url(),
        "async": boolean(),
    }));
    one_of_what(&mut schema);
    schema
}

pub(in crate::admin) fn group_filter(groups: &[Arc<str>]) -> Value {
    group_name(groups, false)
}

pub(in crate::admin) fn target_url(_: &[Arc<str>]) -> Value {
    url()
}

pub(in crate::admin) fn header_lines(_: &[Arc<str>]) -> Value {
    json!({
        "type": "array",
        "items": { "type": "string", "pattern": "^[A-Za-z0-9-]+: ?[ -~]*$" },
        "maxItems": MOST_HEADERS,
        "description": "one parameter for each line; no host where the url names one",
    })
}

pub(in crate::admin) fn method(_: &[Arc<str>]) -> Value {
    json!({ "type": "string", "pattern": "^[A-Z]+$", "default": "GET" })
}

pub(in crate::admin) fn key_sort(_: &[Arc<str>]) -> Value {
    json!({ "type": "string", "enum": KeySort::ALL.map(KeySort::as_str), "default": KeySort::default().as_str() })
}

pub(in crate::admin) fn key_limit(_: &[Arc<str>]) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": MOST_KEYS, "default": keys::USUAL })
}

pub(in crate::admin) fn key_cursor(_: &[Arc<str>]) -> Value {
    let sorts = KeySort::ALL.map(KeySort::as_str).join("|");
    json!({
        "type": "string",
        "pattern": format!("^({sorts})-[0-9a-f]{{1,16}}-[0-9a-f]{{1,16}}$"),
        "description": "as the page before gave it, with the same sort",
    })
}

pub(in crate::admin) fn execute_order(groups: &[Arc<str>]) -> Value {
    let mut schema = order(&json!({
        "tasks": { "type": "array", "items": group_name(groups, false) },
        "concurrent": boolean(),
        "async": boolean(),
    }));
    schema["not"] = json!({
        "required": ["async", "concurrent"],
        "properties": { "async": { "const": true }, "concurrent": { "const": false } },
    });
    schema
}

pub(in crate::admin) fn scheduler_order(groups: &[Arc<str>]) -> Value {
    order(&json!({ "type": group_name(groups, true), "async": boolean() }))
}

pub(in crate::admin) fn clear_order(_: &[Arc<str>]) -> Value {
    order(&json!({ "async": boolean() }))
}

pub(in crate::admin) fn offset(_: &[Arc<str>]) -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": FARTHEST, "default": 0 })
}

pub(in crate::admin) fn limit(_: &[Arc<str>]) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": 100 })
}
