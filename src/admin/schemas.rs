//! JSON Schemas (2020-12) of what calls take and answer. Orders are closed: what is not in them is refused. Answers are open: they may grow.

use crate::admin::calls::config::INTERVALS;
use crate::admin::calls::jobs::{FARTHEST, MOST};
use crate::admin::explain::MOST_HEADERS;
use crate::admin::keys;
use crate::layer::{KeySort, MOST_KEYS};
use serde_json::{Map, Value, json};
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

pub(super) fn flag(_: &[Arc<str>]) -> Value {
    boolean()
}

pub(super) fn any_text(_: &[Arc<str>]) -> Value {
    text()
}

pub(super) fn any_object(_: &[Arc<str>]) -> Value {
    json!({ "type": "object" })
}

pub(super) fn items(_: &[Arc<str>]) -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": crate::admin::calls::plan::MOST, "default": 100 })
}

pub(super) fn nothing(_: &[Arc<str>]) -> Value {
    order(&json!({}))
}

pub(super) fn message(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "message": text() }))
}

fn stats_data() -> Value {
    object(&json!({
        "totalWarms": count(),
        "lastWarmTime": or_null(count()),
        "lastWarmDuration": or_null(count()),
        "itemsCached": { "type": "object", "additionalProperties": count() },
        "backgroundRefreshCount": count(),
        "invalidationCount": count(),
        "groups": { "type": "array", "items": group() },
        "refreshAhead": object(&json!({ "waiting": count(), "worth": worth() })),
        "cache": object(&json!({
            "hits": count(), "misses": count(), "stale": count(), "hitRatio": number(), "entries": count(), "bytes": count(), "maxBytes": count(),
        })),
    }))
}

fn worth() -> Value {
    object(&json!({ "live": count(), "useful": count(), "wasted": count(), "savedMs": count() }))
}

fn group() -> Value {
    object(&json!({
        "name": text(), "priority": count(), "enabled": boolean(), "running": { "type": ["object", "null"] }, "lastRunAt": or_null(count()),
        "lastResult": { "type": ["object", "null"] }, "nextRunAt": or_null(count()), "runs": count(), "failedRuns": count(), "worth": worth(),
    }))
}

pub(super) fn stats(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "data": stats_data() }))
}

pub(super) fn stats_with_job(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "data": stats_data(), "job": job() }))
}

pub(super) fn config_answer(_: &[Arc<str>]) -> Value {
    let data = object(&json!({
        "enabled": boolean(),
        "warming": boolean(),
        "warmOnStartup": boolean(),
        "warmItems": { "type": "object", "additionalProperties": boolean() },
        "backgroundRefresh": object(&json!({ "enabled": boolean(), "intervalMs": count() })),
        "smartInvalidation": object(&json!({ "enabled": boolean(), "autoInvalidateOnUpdate": boolean() })),
    }));
    object(&json!({ "success": { "const": true }, "data": data }))
}

pub(super) fn config_change(groups: &[Arc<str>]) -> Value {
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

pub(super) fn warm_order(groups: &[Arc<str>]) -> Value {
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

pub(super) fn invalidate_order(groups: &[Arc<str>]) -> Value {
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

pub(super) fn replace_order(groups: &[Arc<str>]) -> Value {
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

pub(super) fn group_filter(groups: &[Arc<str>]) -> Value {
    group_name(groups, false)
}

pub(super) fn target_url(_: &[Arc<str>]) -> Value {
    url()
}

pub(super) fn header_lines(_: &[Arc<str>]) -> Value {
    json!({
        "type": "array",
        "items": { "type": "string", "pattern": "^[A-Za-z0-9-]+: ?[ -~]*$" },
        "maxItems": MOST_HEADERS,
        "description": "one parameter for each line; no host where the url names one",
    })
}

pub(super) fn method(_: &[Arc<str>]) -> Value {
    json!({ "type": "string", "pattern": "^[A-Z]+$", "default": "GET" })
}

pub(super) fn explanation(_: &[Arc<str>]) -> Value {
    let key = object(&json!({
        "scheme": text(), "authority": text(), "path": text(), "query": or_null(text()), "partitioned": boolean(),
    }));
    let mut verdict = object(&json!({ "outcome": text(), "why": text() }));
    for (name, schema) in [("forward", text()), ("detail", text()), ("coversErrors", boolean())] {
        verdict["properties"][name] = schema; // where there is something to say
    }
    let data = object(&json!({
        "method": text(),
        "key": key,
        "rule": or_null(object(&json!({ "name": text(), "path": text() }))),
        "route": { "enum": ["pass", "lookup"] },
        "verdict": verdict,
        "stored": { "type": ["object", "null"] },
        "variants": { "type": "array", "items": object(&json!({
            "chosen": boolean(), "selectedBy": { "type": "object" }, "status": count(), "bytes": count(), "level": text(),
        })) },
        "collapses": boolean(),
        "notCollapsed": or_null(text()),
        "notStored": or_null(object(&json!({ "reason": text(), "at": count(), "agoMs": count() }))),
        "warmedBy": or_null(text()),
        "text": text(),
    }));
    object(&json!({ "success": { "const": true }, "data": data }))
}

pub(super) fn key_sort(_: &[Arc<str>]) -> Value {
    json!({ "type": "string", "enum": KeySort::ALL.map(KeySort::as_str), "default": KeySort::default().as_str() })
}

pub(super) fn key_limit(_: &[Arc<str>]) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": MOST_KEYS, "default": keys::USUAL })
}

pub(super) fn key_cursor(_: &[Arc<str>]) -> Value {
    let sorts = KeySort::ALL.map(KeySort::as_str).join("|");
    json!({
        "type": "string",
        "pattern": format!("^({sorts})-[0-9a-f]{{1,16}}-[0-9a-f]{{1,16}}$"),
        "description": "as the page before gave it, with the same sort",
    })
}

pub(super) fn key_page(_: &[Arc<str>]) -> Value {
    let mut key = object(&json!({
        "method": text(), "url": text(), "hits": count(), "bytes": count(), "ageMs": count(), "ttlMs": { "type": "integer" }, "level": text(),
        "rule": or_null(text()), "warmed": boolean(), "variants": count(),
    }));
    key["properties"]["partitioned"] = json!({ "const": true }); // or it is left out
    let data = object(&json!({
        "sort": text(), "keys": { "type": "array", "items": key }, "cursor": or_null(text()), "complete": boolean(),
    }));
    object(&json!({ "success": { "const": true }, "data": data }))
}

pub(super) fn plan(_: &[Arc<str>]) -> Value {
    let list = |items: Value| json!({ "type": "array", "items": items });
    let item = object(&json!({ "target": text(), "headers": { "type": "object" }, "host": text() }));
    let group = object(&json!({
        "name": text(),
        "priority": count(),
        "enabled": boolean(),
        "task": boolean(),
        "schedule": list(text()),
        "nextRuns": list(object(&json!({ "at": text(), "inSeconds": count(), "trigger": or_null(text()) }))),
        "running": boolean(),
        "maxItems": count(),
        "counts": { "type": "object" },
        "sources": list(json!({ "type": "object" })),
        "estimate": { "type": ["object", "null"] },
        "items": list(item),
    }));
    let data = object(&json!({
        "at": count(),
        "timeZone": text(),
        "live": { "const": true },
        "enabled": boolean(),
        "hosts": list(text()),
        "hostsFrom": text(),
        "groups": list(group),
        "totals": { "type": "object" },
    }));
    object(&json!({ "success": { "const": true }, "data": data }))
}

pub(super) fn execute_order(groups: &[Arc<str>]) -> Value {
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

pub(super) fn scheduler_order(groups: &[Arc<str>]) -> Value {
    order(&json!({ "type": group_name(groups, true), "async": boolean() }))
}

pub(super) fn clear_order(_: &[Arc<str>]) -> Value {
    order(&json!({ "async": boolean() }))
}

fn metrics() -> Value {
    object(&json!({
        "duration_seconds": number(),
        "total_tasks": count(),
        "completed_tasks": count(),
        "failed_tasks": count(),
        "cached_items": count(),
        "success_rate": number(),
    }))
}

pub(super) fn metrics_with_job(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "metrics": metrics(), "job": or_null(job()) }))
}

pub(super) fn warmup_status(_: &[Arc<str>]) -> Value {
    let task = object(&json!({ "name": text(), "type": text(), "next_run": or_null(text()) }));
    object(&json!({
        "success": { "const": true },
        "warmup": object(&json!({
            "running": boolean(),
            "registered_tasks": { "type": "array", "items": text() },
            "last_metrics": or_null(metrics()),
        })),
        "scheduler": object(&json!({ "running": boolean(), "tasks": { "type": "array", "items": task } })),
    }))
}

pub(super) fn scheduler_status(_: &[Arc<str>]) -> Value {
    let job = object(&json!({
        "id": text(),
        "name": text(),
        "type": text(),
        "schedule": { "type": "array", "items": text() },
        "enabled": boolean(),
        "running": boolean(),
        "progress": { "type": ["object", "null"] },
        "next_run": or_null(text()),
        "next_run_in_ms": or_null(count()),
        "copies": object(&json!({ "live": count(), "useful": count(), "wasted": count(), "savedOriginMs": count() })),
        "last_run": or_null(text()),
        "last_result": { "type": ["object", "null"] },
    }));
    object(&json!({ "success": { "const": true }, "running": boolean(), "jobs": { "type": "array", "items": job } }))
}

fn job() -> Value {
    let fates = json!({ "type": "object", "additionalProperties": count() });
    let group = object(&json!({
        "name": text(), "state": text(), "joined": boolean(), "startedAt": count(), "durationMs": or_null(count()), "done": count(), "planned": count(),
        "etaMs": or_null(count()), "fates": fates, "failed": count(), "slowed": or_null(count()), "reasons": { "type": ["object", "null"] }, "problems": { "type": ["array", "null"] },
    }));
    object(&json!({
        "id": count(),
        "state": { "type": "string", "enum": ["running", "done", "cancelled"] },
        "cause": text(),
        "startedAt": count(),
        "endedAt": or_null(count()),
        "durationMs": or_null(count()),
        "done": count(),
        "planned": count(),
        "etaMs": or_null(count()),
        "fates": fates,
        "failed": count(),
        "bytes": count(),
        "originMs": count(),
        "successRate": number(),
        "groups": { "type": "array", "items": group },
    }))
}

pub(super) fn job_answer(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "message": text(), "job": job() }))
}

/// A page of something.
fn paged(mut members: Value) -> Value {
    for (name, schema) in [("total", count()), ("offset", count()), ("limit", count()), ("nextOffset", or_null(count()))] {
        members[name] = schema;
    }
    object(&members)
}

pub(super) fn jobs(_: &[Arc<str>]) -> Value {
    paged(json!({ "success": { "const": true }, "jobs": { "type": "array", "items": job() } }))
}

pub(super) fn job_page(_: &[Arc<str>]) -> Value {
    let outcome = object(&json!({
        "group": text(), "target": text(), "variant": text(), "fate": text(), "reason": or_null(text()), "ms": count(), "bytes": count(),
    }));
    paged(json!({ "success": { "const": true }, "job": job(), "outcomes": { "type": "array", "items": outcome } }))
}

pub(super) fn offset(_: &[Arc<str>]) -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": FARTHEST, "default": 0 })
}

pub(super) fn limit(_: &[Arc<str>]) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": 100 })
}

pub(super) fn health(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "status": text() }))
}

pub(super) fn readiness(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "ready": { "const": true }, "reasons": { "type": "array", "items": text() } }))
}

/// What is answered when a call cannot be done.
pub(super) fn problem() -> Value {
    object(&json!({
        "type": text(), "title": text(), "status": count(), "detail": text(), "success": { "const": false }, "message": text(),
    }))
}
