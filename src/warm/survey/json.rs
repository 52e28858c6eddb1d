//! A survey as JSON: the one place that spells it, for the command line and for the admin API.

use crate::warm::survey::{CopyState, Estimate, GroupSurvey, ItemSurvey, ListState, ListSurvey, Survey};
use serde_json::{Map, Value, json};

impl Survey {
    /// The whole survey as one object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = self.head_json();
        object.insert("groups".into(), self.groups.iter().map(|group| Value::Object(self.group_json(group))).collect());
        object.insert("totals".into(), self.totals_json());
        Value::Object(object)
    }

    /// What stands before the groups.
    #[must_use]
    pub fn head_json(&self) -> Map<String, Value> {
        let hosts: Value = self.hosts.names.iter().map(ToString::to_string).collect();
        object(json!({
            "at": self.at.millis(),
            "timeZone": self.zone.name(),
            "live": self.live,
            "enabled": self.enabled,
            "hosts": hosts,
            "hostsFrom": self.hosts.from.as_str(),
        }))
    }

    /// A group with the items that it holds, which stand last.
    #[must_use]
    pub fn group_json(&self, group: &GroupSurvey) -> Map<String, Value> {
        let next_runs: Value = group
            .next_runs
            .iter()
            .map(|run| {
                let in_seconds = run.at.since(self.at).as_secs();
                json!({"at": self.zone.rfc3339(run.at), "inSeconds": in_seconds, "trigger": run.trigger})
            })
            .collect();
        object(json!({
            "name": &*group.name,
            "priority": group.priority,
            "enabled": group.enabled,
            "task": group.is_task,
            "schedule": group.schedule,
            "scheduleWords": group.words,
            "nextRuns": next_runs,
            "running": group.running,
            "maxItems": group.max_items,
            "counts": counts_json(group),
            "cutBy": group.cut_by(),
            "states": states_json(group, self.live),
            "obstacles": group.obstacles,
            "sources": group.lists.iter().map(ListSurvey::to_json).collect::<Value>(),
            "estimate": group.estimate.map(|estimate| estimate.to_json()),
            "problems": group.problems,
            "items": group.items.iter().map(ItemSurvey::to_json).collect::<Value>(),
        }))
    }

    /// All groups together.
    #[must_use]
    pub fn totals_json(&self) -> Value {
        let mut sum = json!({"groups": 0, "switchedOff": 0});
        for group in &self.groups {
            let own = json!({
                "groups": 1,
                "switchedOff": u64::from(!group.enabled),
                "counts": counts_json(group),
                "states": states_json(group, self.live),
                "estimate": group.estimate.map(|estimate| estimate.to_json()),
                "problems": group.problems.len(),
            });
            add(&mut sum, &own);
        }
        sum
    }
}

impl ItemSurvey {
    /// One item. Values of headers that may be credentials are `***`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let shown = |value: &http::HeaderValue| Value::from(if value.is_sensitive() { "***" } else { value.to_str().unwrap_or("?") });
        let headers: Map<String, Value> = self.headers.iter().map(|(name, value)| (name.as_str().into(), shown(value))).collect();
        let mut item = object(json!({"target": self.target.as_str(), "headers": headers, "host": self.host.to_string()}));
        let mut say = |name: &str, value: Value| drop(item.insert(name.into(), value));
        if let Some(obstacle) = &self.obstacle {
            let words = obstacle.to_string();
            say("obstacle", json!({"kind": obstacle.as_str(), "neverStored": obstacle.is_final(), "words": words}));
        }
        if self.looked {
            match self.copy.as_ref().map(|copy| copy.state) {
                Some(CopyState::Fresh { left_millis }) => {
                    say("state", "fresh".into());
                    say("secondsLeft", (left_millis / 1000).into());
                }
                Some(CopyState::Stale { since_millis, invalidated }) => {
                    say("state", "stale".into());
                    say("secondsStale", (since_millis / 1000).into());
                    say("invalidated", invalidated.into());
                }
                None => say("state", "absent".into()),
            }
            say("due", self.due.into());
        }
        if let Some(copy) = &self.copy {
            say("costMillis", copy.cost_millis.into());
            say("bytes", copy.bytes.into());
            say("hits", copy.hits.into());
        }
        if let Some(last) = &self.last {
            say("lastTime", json!({"fate": last.fate, "reason": &*last.reason}));
        }
        Value::Object(item)
    }
}

impl ListSurvey {
    fn to_json(&self) -> Value {
        let (state, values, skipped, cut, problem) = match &self.state {
            ListState::NotAsked => ("notAsked", None, None, None, None),
            ListState::Read { values, skipped, cut } => ("read", Some(*values), Some(*skipped), Some(*cut), None),
            ListState::LastRun { values } => ("lastRun", Some(*values), None, None, None),
            ListState::Failed(why) => ("failed", None, None, None, Some(why.as_str())),
        };
        json!({
            "url": &*self.url, "select": &*self.select, "path": &*self.path,
            "state": state, "values": values, "skipped": skipped, "cut": cut, "problem": problem,
        })
    }
}

impl Estimate {
    fn to_json(self) -> Value {
        let Self { requests, origin_millis, bytes, guessed, unknown } = self;
        json!({"requests": requests, "originMillis": origin_millis, "bytes": bytes, "guessed": guessed, "unknown": unknown})
    }
}

fn counts_json(group: &GroupSurvey) -> Value {
    let tally = &group.tally;
    json!({
        "requests": group.requests(),
        "items": tally.items,
        "singles": group.singles,
        "combos": group.combos,
        "combinations": group.combinations,
        "product": tally.product,
        "excluded": tally.excluded,
        "duplicates": tally.duplicates,
        "unusable": tally.unusable,
        "notLookedAt": tally.cut,
    })
}

/// Offline nothing is known of copies.
fn states_json(group: &GroupSurvey, live: bool) -> Value {
    let states = &group.states;
    if live {
        json!({
            "fresh": states.fresh, "stale": states.stale, "absent": states.absent, "neverStored": states.never_stored, "troubled": states.troubled,
        })
    } else {
        json!({"neverStored": states.never_stored})
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(object) = value { object } else { Map::new() }
}

/// Adds the numbers of `more` to those of `sum`, name by name. For totals of plans that come from several answers, too.
pub(crate) fn add(sum: &mut Value, more: &Value) {
    match (sum, more) {
        (Value::Object(sum), Value::Object(more)) => {
            for (name, more) in more {
                match sum.get_mut(name) {
                    Some(sum) => add(sum, more),
                    None => drop(sum.insert(name.clone(), more.clone())),
                }
            }
        }
        (sum @ Value::Number(_), Value::Number(more)) => {
            *sum = sum.as_u64().unwrap_or(0).saturating_add(more.as_u64().unwrap_or(0)).into();
        }
        (sum @ Value::Null, more) => *sum = more.clone(),
        _ => {}
    }
}
