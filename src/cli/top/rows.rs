//! What the admin API answers, as rows to show. What is missing from an answer is shown as nothing: the sidecar may be another version than this.

use crate::cli::learn::escape::plain;
use crate::telemetry::BreakerState;
use serde_json::Value;

/// The most characters of a text that are kept: more than any screen shows.
const LONGEST: usize = 600;

/// A warm group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Group {
    /// Its name, as it is.
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) progress: Option<Progress>,
    pub(super) is_running: bool,
    pub(super) next_millis: Option<u64>,
    pub(super) last: Option<Last>,
    pub(super) live: u64,
    pub(super) useful: u64,
    pub(super) wasted: u64,
    pub(super) saved_millis: u64,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) planned: u64,
    pub(super) eta_millis: Option<u64>,
}

/// A run that has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Last {
    pub(super) millis: u64,
    /// Items by what became of them, without those of which there were none.
    pub(super) fates: Vec<(String, u64)>,
    pub(super) went_well: bool,
}

/// A stored key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Key {
    pub(super) url: String,
    pub(super) hits: u64,
    pub(super) bytes: u64,
    pub(super) age_millis: u64,
    pub(super) ttl_millis: i64,
    pub(super) rule: String,
    pub(super) warmed: bool,
    pub(super) variants: u64,
}

/// What is in the cache and how much there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Room {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) max_bytes: u64,
    pub(super) in_flight: u64,
    pub(super) max_in_flight: u64,
}

/// One origin of the upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Origin {
    pub(super) name: String,
    /// It gets requests as any other.
    pub(super) up: bool,
    /// Its breaker lets nothing through, or one at a time.
    pub(super) breaker: Option<String>,
    pub(super) in_flight: u64,
    pub(super) failures: u64,
    pub(super) ejections: u64,
}

/// The groups of `/api/scheduler/status`.
pub(super) fn groups(answer: &Value) -> Vec<Group> {
    list(&answer["jobs"]).map(group).collect()
}

/// The keys of `/api/cache/keys`.
pub(super) fn keys(answer: &Value) -> Vec<Key> {
    list(&answer["keys"]).map(key).collect()
}

/// The figures of `/api/cache/stats`.
pub(super) fn room(answer: &Value) -> Room {
    let data = &answer["data"];
    let of_cache = |name: &str| count(&data["cache"][name]);
    Room {
        entries: of_cache("entries"),
        bytes: of_cache("bytes"),
        max_bytes: of_cache("maxBytes"),
        in_flight: count(&data["upstreamInFlight"]),
        max_in_flight: count(&data["upstreamMaxInFlight"]),
    }
}

/// The origins of `/api/cache/stats`.
pub(super) fn origins(answer: &Value) -> Vec<Origin> {
    list(&answer["data"]["upstreams"]).map(origin).collect()
}

/// Text of strangers as it may stand on a terminal.
pub(super) fn shown(text: &str) -> String {
    plain(&text.chars().take(LONGEST).collect::<String>())
}

fn group(job: &Value) -> Group {
    let (progress, copies) = (&job["progress"], &job["copies"]);
    Group {
        name: job["name"].as_str().unwrap_or_default().to_owned(),
        enabled: job["enabled"].as_bool().unwrap_or(true),
        progress: progress.is_object().then(|| Progress {
            done: count(&progress["done"]),
            planned: count(&progress["planned"]),
            eta_millis: progress["etaMs"].as_u64(),
        }),
        is_running: job["running"] == true,
        next_millis: job["next_run_in_ms"].as_u64(),
        last: Some(&job["last_result"]).filter(|last| last.is_object()).map(last),
        live: count(&copies["live"]),
        useful: count(&copies["useful"]),
        wasted: count(&copies["wasted"]),
        saved_millis: count(&copies["savedOriginMs"]),
    }
}

fn last(result: &Value) -> Last {
    let fates = result["fates"].as_object().into_iter().flatten().map(|(name, number)| (shown(name), count(number)));
    Last {
        millis: count(&result["durationMs"]),
        fates: fates.filter(|(_, number)| *number > 0).collect(),
        went_well: result["success"] == true,
    }
}

fn origin(state: &Value) -> Origin {
    let breaker = state["breaker"].as_str().filter(|breaker| *breaker != BreakerState::Closed.as_str());
    Origin {
        name: shown(state["origin"].as_str().unwrap_or_default()),
        up: state["up"] == true,
        breaker: breaker.map(shown),
        in_flight: count(&state["inFlight"]),
        failures: count(&state["failures"]),
        ejections: count(&state["ejections"]),
    }
}

fn key(entry: &Value) -> Key {
    Key {
        url: shown(entry["url"].as_str().unwrap_or_default()),
        hits: count(&entry["hits"]),
        bytes: count(&entry["bytes"]),
        age_millis: count(&entry["ageMs"]),
        ttl_millis: entry["ttlMs"].as_i64().unwrap_or_default(),
        rule: shown(entry["rule"].as_str().unwrap_or("-")),
        warmed: entry["warmed"] == true,
        variants: count(&entry["variants"]),
    }
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::{Group, Key, groups, keys, room, shown};
    use serde_json::{Value, json};

    #[test]
    fn answers_of_another_version_are_read_as_far_as_they_go() {
        for answer in [Value::Null, json!([]), json!({ "jobs": 7, "keys": "x", "data": [] }), json!({ "jobs": [], "keys": [] })] {
            assert_eq!((groups(&answer), keys(&answer), room(&answer).entries), (vec![], vec![], 0));
        }
        let odd = json!({ "jobs": [null], "keys": [{ "hits": -1, "url": 7 }] });
        assert_eq!(groups(&odd), [Group { enabled: true, ..Group::default() }]);
        assert_eq!(keys(&odd), [Key { rule: "-".into(), ..Key::default() }]);
    }

    #[test]
    fn no_text_reaches_the_terminal_raw_or_without_end() {
        assert_eq!(shown("a\u{1b}[2J\u{9b}1m"), "a\\u{1b}[2J\\u{9b}1m");
        assert_eq!(shown(&"x".repeat(10_000)).len(), 600);
        let key = &keys(&json!({ "keys": [{ "url": "http://h/\u{7}", "rule": "\n" }] }))[0];
        assert_eq!((&*key.url, &*key.rule), ("http://h/\\u{7}", "\\n"));
    }
}
