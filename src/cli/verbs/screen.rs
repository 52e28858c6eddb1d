//! Stats for people: one screen, or one line. What comes from the server is escaped.

use super::words::fates;
use crate::cli::plan::table::{count, is, list, text};
use crate::cli::plan::words::{millis, number, plural, size, span};
use crate::clock::Stamp;
use crate::warm::Zone;
use console::style;
use serde_json::Value;
use std::fmt::Display;

/// Outcomes of requests, in the order in which they are told.
const OUTCOMES: [&str; 8] = ["hits", "stale", "revalidated", "collapsed", "misses", "passed", "refused", "failed"];
/// Columns of the table that are numbers.
const NUMBERS: [usize; 4] = [3, 4, 5, 6];

/// The figures of one moment.
#[derive(Debug)]
pub(super) struct Moment {
    /// As the API tells them.
    pub(super) data: Value,
}

impl Moment {
    /// `None`: that is something else.
    pub(super) fn read(data: Value) -> Option<Self> {
        data["cache"].is_object().then_some(Self { data })
    }

    fn cache(&self, name: &str) -> u64 {
        count(&self.data["cache"], name)
    }

    /// Requests that have been answered.
    fn requests(&self) -> u64 {
        OUTCOMES.iter().map(|name| self.cache(name)).sum()
    }

    /// As a word: `93.1%`, or `-` where nothing was looked up.
    fn hit_ratio(&self) -> String {
        let looked_up: u64 = OUTCOMES[..5].iter().map(|name| self.cache(name)).sum();
        let ratio = self.data["cache"]["hitRatio"].as_f64().unwrap_or(0.0);
        if looked_up == 0 { "-".into() } else { format!("{:.1}%", ratio * 100.0) }
    }

    /// What has come since `before`, unless counts were reset between.
    fn since(&self, before: Option<&Self>, of: impl Fn(&Self) -> u64) -> Option<u64> {
        of(self).checked_sub(of(before?))
    }

    /// Requests a second since `before`.
    fn rate(&self, before: Option<&Self>) -> Option<f64> {
        let millis = self.since(before, |moment| count(&moment.data, "now")).filter(|millis| *millis > 0)?;
        Some(self.since(before, Self::requests)? as f64 * 1000.0 / millis as f64)
    }
}

/// One line: what a log of figures wants.
pub(super) fn line(now: &Moment, before: Option<&Moment>) -> String {
    let at = Zone::parse("UTC").map(|zone| zone.rfc3339(Stamp::from_millis(count(&now.data, "now")))).unwrap_or_default();
    let rate = now.rate(before).map_or_else(|| "-".into(), |rate| format!("{rate:.1}"));
    let mut line = format!("{at} hit_ratio={} requests={} per_second={rate}", now.hit_ratio(), now.requests());
    for name in OUTCOMES {
        line += &format!(" {name}={}", now.cache(name));
    }
    for (name, of) in
        [("entries", now.cache("entries")), ("bytes", now.cache("bytes")), ("in_flight", count(&now.data, "upstreamInFlight"))]
    {
        line += &format!(" {name}={of}");
    }
    line
}

/// Everything on one screen.
pub(super) fn screen(admin: &impl Display, now: &Moment, before: Option<&Moment>) -> Vec<String> {
    let mut lines = vec![style(format!("warmfront at {admin}")).bold().to_string()];
    let mut line = |label: &str, words: &str| lines.push(format!("  {label:<9} {words}"));
    let rate = now.rate(before).map(|rate| format!(", {rate:.1} a second now")).unwrap_or_default();
    line("hit ratio", &now.hit_ratio());
    line("requests", &format!("{}{rate}", number(now.requests())));
    line("", &outcomes(now));
    let (bytes, most) = (now.cache("bytes"), now.cache("maxBytes"));
    let share = if most == 0 { 0.0 } else { bytes as f64 * 100.0 / most as f64 };
    line("stored", &format!("{} entries, {} of {} ({share:.1}%)", number(now.cache("entries")), size(bytes), size(most)));
    let (all, warm) = (count(&now.data, "upstreamInFlight"), count(&now.data, "warmInFlight"));
    line("upstream", &format!("{} in flight, {} of warming", plural(all, "request"), number(warm)));
    line("purges", &plural(count(&now.data, "invalidationCount"), "invalidation"));
    if now.data["warming"] == false {
        line("warming", "switched off");
    }
    lines.push(String::new());
    lines.extend(groups(&now.data));
    lines
}

fn outcomes(now: &Moment) -> String {
    let told =
        OUTCOMES.iter().map(|name| (*name, now.cache(name))).filter(|(name, count)| *count > 0 || matches!(*name, "hits" | "misses"));
    let words = told.map(|(name, count)| match (name, count) {
        ("failed", _) => style(format!("{} failed", number(count))).red().to_string(),
        ("hits", 1) => "1 hit".into(),
        ("misses", 1) => "1 miss".into(),
        (name, _) => format!("{} {name}", number(count)),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The table of warm groups.
fn groups(data: &Value) -> Vec<String> {
    let now = count(data, "now");
    let head = ["warm group", "last run", "next run", "live", "useful", "wasted", "saved", "items"].map(String::from);
    let mut rows = vec![head.to_vec()];
    rows.extend(list(data, "groups").iter().map(|group| {
        let items = if group["lastResult"].is_object() { fates(&group["lastResult"]["fates"]) } else { String::new() };
        row(text(group, "name"), last_run(group, now), items, &group["worth"], next_run(group, now))
    }));
    let ahead = &data["refreshAhead"];
    let waiting = format!("{} waiting", number(count(ahead, "waiting")));
    rows.push(row("refresh-ahead".into(), waiting, fates(&ahead["fates"]), &ahead["worth"], String::new()));
    aligned(&rows)
}

fn row(name: String, last: String, items: String, worth: &Value, next: String) -> Vec<String> {
    let [live, useful, wasted] = ["live", "useful", "wasted"].map(|name| number(count(worth, name)));
    vec![name, last, next, live, useful, wasted, millis(count(worth, "savedMs")), items]
}

fn last_run(group: &Value, now: u64) -> String {
    let running = &group["running"];
    if running.is_object() {
        let left = running["etaMs"].as_u64().map(|left| format!(", {} left", millis(left))).unwrap_or_default();
        return format!("running {}/{}{left}", count(running, "done"), count(running, "planned"));
    }
    let Some(at) = group["lastRunAt"].as_u64() else { return "never".into() };
    let took = if is(&group["lastResult"], "cancelled") { "cancelled".into() } else { millis(count(&group["lastResult"], "durationMs")) };
    format!("{} ago ({took})", span(now.saturating_sub(at) / 1000))
}

fn next_run(group: &Value, now: u64) -> String {
    match group["nextRunAt"].as_u64() {
        _ if group["enabled"] == false => "off".into(),
        Some(at) => format!("in {}", span(at.saturating_sub(now) / 1000)),
        None => "when asked".into(),
    }
}

/// Columns as wide as their widest cell, numbers to the right.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| console::measure_text_width(cell)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |(number, row): (usize, &Vec<String>)| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            let side = if NUMBERS.contains(&at) { console::Alignment::Right } else { console::Alignment::Left };
            console::pad_str(cell, *width, side, None).into_owned()
        });
        let line = cells.collect::<Vec<_>>().join("  ").trim_end().to_owned();
        if number == 0 { style(line).dim().to_string() } else { line }
    };
    rows.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{Moment, line, screen};
    use serde_json::{Value, json};

    fn data(now: u64, hits: u64) -> Value {
        json!({
            "now": now, "invalidationCount": 2, "warmInFlight": 1, "upstreamInFlight": 3, "warming": true,
            "cache": { "hits": hits, "misses": 7, "failed": 0, "hitRatio": 0.931, "entries": 12, "bytes": 12_400, "maxBytes": 1 << 20 },
            "groups": [
                { "name": "a\u{1b}[2J", "enabled": true, "running": null, "lastRunAt": now - 120_000, "nextRunAt": now + 7_200_000,
                  "lastResult": { "durationMs": 3100, "fates": { "stored": 8, "failed": 2 }, "cancelled": false },
                  "worth": { "live": 10, "useful": 8, "wasted": 0, "savedMs": 4100 } },
                { "name": "off", "enabled": false, "running": { "done": 1, "planned": 9, "etaMs": 800 } },
            ],
            "refreshAhead": { "waiting": 1, "fates": { "refreshed": 3 }, "worth": {} },
        })
    }

    #[test]
    fn one_screen_has_everything_and_no_control_character() {
        console::set_colors_enabled(false);
        let (before, now) = (Moment::read(data(9_000_000, 90)).unwrap(), Moment::read(data(9_002_000, 100)).unwrap());
        let told = screen(&"http://a:1", &now, Some(&before));
        let expected = [
            "warmfront at http://a:1",
            "  hit ratio 93.1%",
            "  requests  107, 5.0 a second now",
            "            100 hits, 7 misses",
            "  stored    12 entries, 12.1 KiB of 1.0 MiB (1.2%)",
            "  upstream  3 requests in flight, 1 of warming",
            "  purges    2 invalidations",
            "",
            "warm group     last run                  next run  live  useful  wasted  saved  items",
            "a\\u{1b}[2J     2m ago (3.1 s)            in 2h       10       8       0  4.1 s  8 stored, 2 failed",
            "off            running 1/9, 800 ms left  off          0       0       0   0 ms",
            "refresh-ahead  1 waiting                              0       0       0   0 ms  3 refreshed",
        ];
        for (told, expected) in told.iter().zip(expected) {
            assert_eq!(told, expected);
        }
        assert_eq!(told.len(), expected.len());
    }

    #[test]
    fn a_line_can_be_split_at_blanks() {
        let (before, now) = (Moment::read(data(9_000_000, 90)).unwrap(), Moment::read(data(9_002_000, 100)).unwrap());
        let told = line(&now, Some(&before));
        assert!(told.starts_with("1970-01-01T02:30:02+00:00 hit_ratio=93.1% requests=107 per_second=5.0 hits=100 stale=0 "), "{told}");
        assert!(line(&before, Some(&now)).contains(" per_second=- "), "counts were reset");
        assert!(told.ends_with(" entries=12 bytes=12400 in_flight=3"), "{told}");
        assert!(Moment::read(json!({})).is_none());
    }
}
