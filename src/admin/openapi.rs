//! `/api/openapi.json`: the table of calls as an OpenAPI 3.1 document.

use crate::admin::answer::Answer;
use crate::admin::desk::Desk;
use crate::admin::routes::{CALLS, Call};
use crate::admin::schemas;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The document, with the groups of this moment.
pub(super) fn document(desk: &Desk) -> Answer {
    Answer::json(&describe(&desk.groups(), desk.settings.load().token.is_some()))
}

fn describe(groups: &[Arc<str>], needs_token: bool) -> Value {
    let mut paths = Map::new();
    for call in CALLS {
        let path = paths.entry(call.path).or_insert_with(|| json!({}));
        path[call.method.to_ascii_lowercase()] = operation(call, groups, needs_token);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "warmfront admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Errors are application/problem+json (RFC 9457) and carry \"success\": false and \"message\".",
        },
        "paths": paths,
        "components": {
            "schemas": { "Problem": schemas::problem() },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "admin.token, if one is set" } },
        },
    })
}

fn operation(call: &Call, groups: &[Arc<str>], needs_token: bool) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    if call.path.contains("{id}") {
        parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "integer", "minimum": 1 } }));
    }
    parameters.extend(
        call.query
            .iter()
            .map(|param| json!({ "name": param.name, "in": "query", "required": param.required, "schema": (param.schema)(groups) })),
    );
    let mut responses = Map::new();
    for (status, schema) in call.answers {
        let content = json!({ call.media: { "schema": schema(groups) } });
        responses.insert(status.to_string(), json!({ "description": if *status == 202 { "begun" } else { "done" }, "content": content }));
    }
    let problem = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    responses.insert("default".into(), json!({ "description": "not done, and why", "content": problem }));
    let mut operation = json!({ "operationId": name(call), "summary": call.summary, "parameters": parameters, "responses": responses });
    if let Some(body) = call.body {
        operation["requestBody"] = json!({ "required": false, "content": { "application/json": { "schema": body(groups) } } });
    }
    if needs_token && !call.open {
        operation["security"] = json!([{ "token": [] }]);
    }
    operation
}

/// `post_cache_warm` for `POST /api/cache/warm`.
fn name(call: &Call) -> String {
    let path = call.path.trim_start_matches("/api").trim_end_matches(".json");
    let words = path.split(['/', '-', '{', '}']).filter(|word| !word.is_empty());
    std::iter::once(call.method.to_ascii_lowercase()).chain(words.map(String::from)).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::describe;
    use crate::admin::routes::CALLS;
    use std::collections::HashSet;

    #[test]
    fn every_call_is_described_under_a_name_of_its_own() {
        let document = describe(&["channels".into()], true);
        let mut names = HashSet::new();
        for call in CALLS {
            let operation = &document["paths"][call.path][call.method.to_ascii_lowercase()];
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{}", call.path);
            assert!(!call.summary.is_empty() && !call.answers.is_empty(), "{}", call.path);
            assert_eq!(operation["security"].is_array(), !call.open, "{}", call.path);
        }
        let order = &document["paths"]["/api/cache/warm"]["post"]["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(order["properties"]["items"]["properties"]["channels"]["type"], "boolean");
        assert_eq!(order["additionalProperties"], false);
    }
}
