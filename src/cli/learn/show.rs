//! A plan for people and for programs.

use super::plan::Plan;
use super::toml_text::{millis, percent};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One object.
pub(super) fn json(plan: &Plan) -> String {
    let counts = &plan.tally.counts;
    let each = |micros: u64| {
        #[allow(clippy::cast_precision_loss, reason = "a mean is at most a day")]
        let millis = micros as f64 / 1000.0;
        millis
    };
    let queries: Vec<Value> = plan
        .queries
        .iter()
        .map(|query| json!({"target": query.target, "count": query.count, "meanMs": query.mean.map(each), "share": query.share}))
        .collect();
    let value = json!({
        "sources": plan.wish.sources,
        "group": plan.wish.group,
        "lines": counts.lines,
        "counted": counts.counted,
        "skipped": counts.skipped().collect::<std::collections::BTreeMap<_, _>>(),
        "counts": counts.noun(),
        "times": {"origin": counts.of_origin, "request": counts.of_request, "none": counts.untimed},
        "hosts": plan.tally.hosts.seen.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "different": plan.different,
        "exact": plan.error == 0.0,
        "error": plan.error,
        "share": plan.share,
        "queries": queries,
    });
    format!("{value:#}\n")
}

/// Columns.
pub(super) fn table(plan: &Plan) -> String {
    let counts = &plan.tally.counts;
    let mut text = format!("{:>10}  {:>10}  {:>7}  query\n", counts.noun(), "each", "share");
    for query in &plan.queries {
        let each = query.mean.map_or_else(|| "-".into(), millis);
        let _ = writeln!(text, "{:>10}  {each:>10}  {:>7}  {}", query.count, percent(query.share), query.target);
    }
    let (shown, held) = (plan.queries.len(), plan.different_text());
    let _ = writeln!(text, "\n{shown} of {held} queries, {} of the weight of {} counted lines", percent(plan.share), counts.counted);
    text
}
