//! A plan as TOML.

use super::escape::{plain, toml_string};
use super::plan::{Plan, Query, plural};
use super::tally::UNTIMED;
use std::fmt::Write as _;

/// Comments stand in one column, unless a request is longer.
const COLUMN: usize = 56;

pub(super) fn write(plan: &Plan) -> String {
    let mut text = header(plan);
    let _ = writeln!(text, "\n[[warm.groups]]\nname = {}", toml_string(&plan.wish.group));
    let _ = writeln!(text, "max_items = {}\nrequests = [", plan.queries.len());
    let noun = plan.tally.counts.noun();
    for query in &plan.queries {
        let request = toml_string(&query.target) + ",";
        let _ = writeln!(text, "    {request:COLUMN$} # {}", figures(query, noun));
    }
    text + "]\n"
}

/// `1234 misses, 812 ms each, 14.2 %`
fn figures(query: &Query, noun: &str) -> String {
    let each = query.mean.map_or_else(String::new, |micros| format!(", {} each", millis(micros)));
    format!("{} {noun}{each}, {}", query.count, percent(query.share))
}

/// What the plan was learned from, as comments.
fn header(plan: &Plan) -> String {
    let counts = &plan.tally.counts;
    let mut lines = vec![
        format!("A warm plan, learned by `warmfront learn` from {}.", plan.wish.sources.join(", ")),
        format!("Lines: {} read, {} counted{}.", counts.lines, counts.counted, skipped(plan)),
        format!("Weight: {}.", weight(plan)),
        format!(
            "Covered: {} of {} different queries, {} of the weight of all that were counted.",
            plan.queries.len(),
            plan.different_text(),
            percent(plan.share)
        ),
    ];
    if plan.error > 0.0 {
        let most = (plan.error * 1000.0).ceil() / 10.0;
        lines.push(format!("Error: any query may lack up to {most:.1} % of the weight; more were asked for than are held at a time."));
    }
    if let Some(config) = &plan.wish.config {
        lines.push(format!("Keys and rules: those of {config}."));
    }
    lines.extend(hosts(plan));
    lines.iter().fold(String::new(), |text, line| text + "# " + &plain(line) + "\n")
}

fn skipped(plan: &Plan) -> String {
    let text = plan.tally.counts.skipped_text();
    if text.is_empty() { text } else { format!("; skipped: {text}") }
}

fn weight(plan: &Plan) -> String {
    let counts = &plan.tally.counts;
    let noun = counts.noun();
    let mut text = match (counts.of_origin, counts.of_request) {
        (0, 0) => format!("{noun}; the log has no times"),
        (_, 0) => format!("{noun} x origin time"),
        (0, _) => format!("{noun} x time of the request; the log has no time of the origin alone"),
        (_, whole) => format!("{noun} x origin time, where the log has it; that of the whole request in {}", plural(whole, "line")),
    };
    if counts.has_times() && counts.untimed > 0 {
        text += &format!("; {} without a time, taken as {} ms", plural(counts.untimed, "line"), UNTIMED / 1000);
    }
    if counts.told == 0 {
        text += "; the log does not tell hits from misses";
    } else if counts.told < counts.counted {
        text += &format!("; {} without a cache status, taken as misses", plural(counts.counted - counts.told, "line"));
    }
    text
}

/// Which hosts occurred, and what to do about several.
fn hosts(plan: &Plan) -> Vec<String> {
    let hosts = &plan.tally.hosts;
    let mut seen: Vec<_> = hosts.seen.iter().collect();
    seen.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let others = if hosts.others > 0 { format!(", others {}", hosts.others) } else { String::new() };
    match &seen[..] {
        [] => Vec::new(),
        [(host, _)] if hosts.others == 0 => vec![format!("Host: {host}.")],
        _ => {
            let counted: Vec<_> = seen.iter().map(|(host, number)| format!("{host} {number}")).collect();
            let names: Vec<_> = seen.iter().map(|(host, _)| toml_string(host)).collect();
            vec![
                format!(
                    "Hosts: {}{others}. Their queries are merged: --host H keeps those of one. To warm for each of them:",
                    counted.join(", ")
                ),
                "    [warm]".into(),
                format!("    hosts = [{}]", names.join(", ")),
            ]
        }
    }
}

pub(super) fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.0005 { "< 0.1 %".into() } else { format!("{:.1} %", share * 100.0) }
}

#[allow(clippy::cast_precision_loss, reason = "a mean is at most a day")]
pub(super) fn millis(micros: u64) -> String {
    let millis = micros as f64 / 1000.0;
    if millis >= 10.0 { format!("{millis:.0} ms") } else { format!("{millis:.1} ms") }
}

#[cfg(test)]
mod tests;
