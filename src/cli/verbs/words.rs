//! How jobs and their items are told. Names, targets and reasons come from the server: control characters in them are escaped.

use crate::cli::learn::escape::plain;
use crate::cli::plan::table::{count, is, list, text};
use crate::cli::plan::words::{millis, number, plural, size};
use serde_json::Value;
use std::collections::BTreeMap;

/// `8 stored, 2 failed`: what became of items, without what did not happen.
pub(super) fn fates(fates: &Value) -> String {
    let parts = fates.as_object().into_iter().flatten().filter_map(|(name, count)| {
        let count = count.as_u64().filter(|count| *count > 0)?;
        Some(format!("{} {}", number(count), plain(name)))
    });
    let words = parts.collect::<Vec<_>>().join(", ");
    if words.is_empty() { "no items".into() } else { words }
}

/// Reasons with how often each came, the most frequent first: `status 503 (2), no-store (1)`.
fn reasons<'a>(of: impl Iterator<Item = &'a Value>) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, count) in of.filter_map(Value::as_object).flatten() {
        *sums.entry(reason).or_default() += count.as_u64().unwrap_or(0);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sums.iter().map(|(reason, count)| format!("{} ({})", plain(reason), number(*count))).collect::<Vec<_>>().join(", ")
}

/// A group that has ended: what became of its items, and what could not be done.
pub(super) fn group(group: &Value) -> Vec<String> {
    let name = text(group, "name");
    let how = if text(group, "state") == "cancelled" { "cancelled after" } else { "done in" };
    let joined = if is(group, "joined") { " (it was running already)" } else { "" };
    let why = reasons(std::iter::once(&group["reasons"]));
    let why = if why.is_empty() { why } else { format!("; {why}") };
    let first = format!("{name}: {how} {}: {}{why}{joined}", millis(count(group, "durationMs")), fates(&group["fates"]));
    let problems =
        list(group, "problems").iter().map(|problem| format!("{name}: problem: {}", plain(problem.as_str().unwrap_or_default())));
    std::iter::once(first).chain(problems).collect()
}

/// One item: what became of it, time, size, group and target, variant, reason.
pub(super) fn item(outcome: &Value) -> String {
    let mut line = format!("{:<11} {:>7} {:>9}  ", text(outcome, "fate"), millis(count(outcome, "ms")), size(count(outcome, "bytes")));
    line += &text(outcome, "group");
    for (name, before) in [("target", "  "), ("variant", "  "), ("reason", "  ! ")] {
        let words = text(outcome, name);
        if !words.is_empty() {
            line += before;
            line += &words;
        }
    }
    line
}

/// What came of a whole job.
pub(super) fn summary(job: &Value) -> Vec<String> {
    let groups = list(job, "groups");
    let all: u64 = job["fates"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    let took = millis(count(job, "durationMs"));
    let mut lines = vec![match &*text(job, "state") {
        _ if groups.is_empty() && text(job, "cause") == "change" => "nothing to warm: nothing of it is read or was warmed".to_owned(),
        _ if groups.is_empty() => "nothing to warm: no group is switched on".to_owned(),
        "cancelled" => format!("cancelled after {took}: {}", plural(all, "item")),
        _ => format!("{} in {took}", plural(all, "item")),
    }];
    let mut line = |label: &str, words: &str| {
        if !words.is_empty() {
            lines.push(format!("  {label:<9} {words}"));
        }
    };
    if groups.is_empty() {
        return lines;
    }
    line("items", &fates(&job["fates"]));
    line("reasons", &reasons(groups.iter().map(|group| &group["reasons"])));
    line("origin", &format!("{} of its time, {}", millis(count(job, "originMs")), size(count(job, "bytes"))));
    let slowed: u64 = groups.iter().map(|group| count(group, "slowed")).max().unwrap_or(0);
    if slowed > 0 {
        line("slowed", &format!("{}: the origin was slow or in trouble", plural(slowed, "time")));
    }
    lines
}

/// What did not go well with a job, in one line.
pub(super) fn trouble(job: &Value) -> Option<String> {
    let failed = count(job, "failed");
    let problems: u64 = list(job, "groups").iter().map(|group| list(group, "problems").len() as u64).sum();
    if text(job, "state") == "cancelled" {
        return Some(format!("job {} was cancelled", count(job, "id")));
    }
    let mut words = Vec::new();
    if failed > 0 {
        words.push(format!("{} failed", plural(failed, "item")));
    }
    if problems > 0 {
        words.push(plural(problems, "problem"));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{group, item, summary, trouble};
    use serde_json::json;

    #[test]
    fn what_the_server_says_cannot_move_the_cursor() {
        let evil = json!({
            "name": "a\u{1b}[2J", "state": "done", "fates": { "fa\u{7}iled": 1 }, "reasons": { "b\r\n": 1 }, "problems": ["c\u{9b}1m"],
        });
        let job = json!({ "groups": [&evil], "fates": evil["fates"] });
        let outcome = json!({ "fate": "\u{1b}", "group": "\u{1b}", "target": "/\u{1b}", "variant": "\n", "reason": "\u{202e}\u{1b}" });
        let lines = [group(&evil), summary(&job), vec![item(&outcome)]].concat();
        assert!(lines.iter().flat_map(|line| line.chars()).all(|c| !c.is_control()), "{lines:?}");
        assert!(lines[0].contains("a\\u{1b}[2J: done in 0 ms: 1 fa\\u{7}iled; b\\r\\n (1)"), "{lines:?}");
    }

    #[test]
    fn a_summary_adds_groups_up_and_leaves_out_what_did_not_happen() {
        let one = json!({ "name": "a", "reasons": { "status 503": 1, "no-store": 2 }, "slowed": 1, "problems": [] });
        let other = json!({ "name": "b", "reasons": { "status 503": 2 }, "slowed": 3, "problems": ["x"] });
        let mut job = json!({
            "id": 7, "state": "done", "durationMs": 3100, "fates": { "stored": 8, "skipped": 0, "uncacheable": 2, "failed": 3 },
            "failed": 3, "originMs": 4200, "bytes": 12_400, "groups": [one, other],
        });
        assert_eq!(
            summary(&job),
            [
                "13 items in 3.1 s",
                "  items     8 stored, 2 uncacheable, 3 failed",
                "  reasons   status 503 (3), no-store (2)",
                "  origin    4.2 s of its time, 12.1 KiB",
                "  slowed    3 times: the origin was slow or in trouble",
            ]
        );
        assert_eq!(trouble(&job).as_deref(), Some("3 items failed, 1 problem"));
        job["state"] = "cancelled".into();
        assert_eq!((&*summary(&job)[0], trouble(&job).as_deref()), ("cancelled after 3.1 s: 13 items", Some("job 7 was cancelled")));
        let mut nothing = json!({ "state": "done", "cause": "asked", "groups": [], "fates": {}, "failed": 0 });
        assert_eq!((summary(&nothing), trouble(&nothing)), (vec!["nothing to warm: no group is switched on".into()], None));
        nothing["cause"] = "change".into();
        assert_eq!(summary(&nothing), ["nothing to warm: nothing of it is read or was warmed"]);
    }
}
