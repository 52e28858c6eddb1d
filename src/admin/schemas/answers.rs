//! What calls answer.

use crate::admin::schemas::{boolean, count, number, object, or_null, text};
use serde_json::{Value, json};
use std::sync::Arc;

pub(in crate::admin) fn any_text(_: &[Arc<str>]) -> Value {
    text()
}

pub(in crate::admin) fn any_object(_: &[Arc<str>]) -> Value {
    json!({ "type": "object" })
}

pub(in crate::admin) fn message(_: &[Arc<str>]) -> Value {
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

pub(in crate::admin) fn stats(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "data": stats_data() }))
}

pub(in crate::admin) fn stats_with_job(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "data": stats_data(), "job": job() }))
}

pub(in crate::admin) fn config_answer(_: &[Arc<str>]) -> Value {
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

pub(in crate::admin) fn explanation(_: &[Arc<str>]) -> Value {
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

pub(in crate::admin) fn key_page(_: &[Arc<str>]) -> Value {
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

pub(in crate::admin) fn plan(_: &[Arc<str>]) -> Value {
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

pub(in crate::admin) fn metrics_with_job(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "metrics": metrics(), "job": or_null(job()) }))
}

pub(in crate::admin) fn warmup_status(_: &[Arc<str>]) -> Value {
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

pub(in crate::admin) fn scheduler_status(_: &[Arc<str>]) -> Value {
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

pub(in crate::admin) fn job_answer(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "message": text(), "job": job() }))
}

/// A page of something.
fn paged(mut members: Value) -> Value {
    for (name, schema) in [("total", count()), ("offset", count()), ("limit", count()), ("nextOffset", or_null(count()))] {
        members[name] = schema;
    }
    object(&members)
}

pub(in crate::admin) fn jobs(_: &[Arc<str>]) -> Value {
    paged(json!({ "success": { "const": true }, "jobs": { "type": "array", "items": job() } }))
}

pub(in crate::admin) fn job_page(_: &[Arc<str>]) -> Value {
    let outcome = object(&json!({
        "group": text(), "target": text(), "variant": text(), "fate": text(), "reason": or_null(text()), "ms": count(), "bytes": count(),
    }));
    paged(json!({ "success": { "const": true }, "job": job(), "outcomes": { "type": "array", "items": outcome } }))
}

pub(in crate::admin) fn health(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "status": text() }))
}

pub(in crate::admin) fn readiness(_: &[Arc<str>]) -> Value {
    object(&json!({ "success": { "const": true }, "ready": { "const": true }, "reasons": { "type": "array", "items": text() } }))
}

/// What is answered when a call cannot be done.
pub(in crate::admin) fn problem() -> Value {
    object(&json!({
        "type": text(), "title": text(), "status": count(), "detail": text(), "success": { "const": false }, "message": text(),
    }))
}
