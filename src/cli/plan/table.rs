//! A plan for people. What it says comes from strangers too (targets, an admin API), so control characters are escaped.

use super::paper::Paper;
use super::words::{millis, number, plural, size, span};
use crate::cli::learn::escape::plain;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// Lines of items that are longer go on in a second one.
const WIDTH: usize = 80;

/// Columns to look at.
pub(super) struct Table<W> {
    out: W,
    live: bool,
    /// More than one: each item names its own.
    hosts: usize,
    /// The most items of a group that are shown.
    most: usize,
    shown: usize,
    /// Requests of the group at hand.
    requests: u64,
    groups: usize,
}

impl<W: Write> Table<W> {
    pub(super) fn new(out: W, most: usize) -> Self {
        Self { out, live: false, hosts: 1, most, shown: 0, requests: 0, groups: 0 }
    }

    fn line(&mut self, name: &str, words: &str) -> io::Result<()> {
        writeln!(self.out, "  {name:<9} {words}")
    }

    /// Says what is left of the group at hand.
    fn close(&mut self) -> io::Result<()> {
        let left = self.requests.saturating_sub(self.shown as u64);
        if self.groups == 0 || self.most == 0 || left == 0 {
            return Ok(());
        }
        writeln!(self.out, "       and {} more; --items all shows them", number(left))
    }

    fn next_runs(&mut self, group: &Value) -> io::Result<()> {
        let runs = list(group, "nextRuns").iter().map(|run| {
            let soon = format!("in {}", span(count(run, "inSeconds")));
            format!("{}  {soon:<11} {}", text(run, "at"), text(run, "trigger"))
        });
        let now = is(group, "running").then(|| "running now".to_owned());
        for (at, line) in now.into_iter().chain(runs).enumerate() {
            self.line(if at == 0 { "next" } else { "" }, line.trim_end())?;
        }
        Ok(())
    }

    fn counts(&mut self, group: &Value) -> io::Result<()> {
        let counts = &group["counts"];
        self.line("requests", &requests(counts, self.hosts))?;
        if count(counts, "combos") > 0 {
            let combos = plural(count(counts, "combos"), "combo");
            self.line("combos", &format!("{} of {combos}", plural(count(counts, "combinations"), "combination")))?;
        }
        for source in list(group, "sources") {
            let where_to = format!("{} {}: ", text(source, "url"), text(source, "select"));
            self.line("list", &(where_to + &list_words(source)))?;
        }
        let left_out = left_out(counts);
        if !left_out.is_empty() {
            self.line("left out", &left_out)?;
        }
        let cut = count(counts, "notLookedAt");
        if cut > 0 {
            let most = format!("at most {} more were not looked at", number(cut));
            let why = match &*text(group, "cutBy") {
                "max_items" => format!("at max_items = {}", count(group, "maxItems")),
                _ => "after too many duplicates and exclusions".into(),
            };
            self.line("cut", &format!("{why}: {most}"))?;
        }
        Ok(())
    }

    fn states(&mut self, group: &Value) -> io::Result<()> {
        for (words, about) in group["obstacles"].as_object().into_iter().flatten() {
            self.line("note", &format!("{}: {}", plural(about.as_u64().unwrap_or(0), "request"), plain(words)))?;
        }
        if !self.live {
            return Ok(());
        }
        self.line("now", &states(&group["states"]))?;
        self.line("to fetch", &estimate(&group["estimate"]))
    }
}

impl<W: Write> Paper for Table<W> {
    fn begin(&mut self, head: &Map<String, Value>, source: Option<&str>) -> io::Result<()> {
        let head = Value::Object(head.clone());
        self.live = is(&head, "live");
        let hosts: Vec<String> = list(&head, "hosts").iter().map(|host| plain(host.as_str().unwrap_or_default())).collect();
        self.hosts = hosts.len().max(1);
        writeln!(self.out, "warm plan of {}", plain(source.unwrap_or("the environment and flags")))?;
        self.line("for", &hosts.join(", "))?;
        self.line(
            "",
            match &*text(&head, "hostsFrom") {
                "warm.hosts" => "as warm.hosts says",
                "readers" => "the host that readers name most",
                "listener" => "the first listen address, until readers name another host; see warm.hosts",
                _ => "no TCP address is listened on, and readers have named no host; see warm.hosts",
            },
        )?;
        if !is(&head, "enabled") {
            self.line("off", "nothing is warmed: warm.enabled = false")?;
        }
        Ok(())
    }

    fn group(&mut self, group: &Map<String, Value>) -> io::Result<()> {
        self.close()?;
        let group = Value::Object(group.clone());
        (self.groups, self.shown, self.requests) = (self.groups + 1, 0, count(&group["counts"], "requests"));
        let off = if is(&group, "enabled") { "" } else { ", off: enabled = false" };
        writeln!(self.out, "\n{} (priority {}{off})", text(&group, "name"), count(&group, "priority"))?;
        self.line("schedule", &text(&group, "scheduleWords"))?;
        self.next_runs(&group)?;
        self.counts(&group)?;
        self.states(&group)?;
        for problem in list(&group, "problems") {
            self.line("problem", &plain(problem.as_str().unwrap_or_default()))?;
        }
        Ok(())
    }

    fn item(&mut self, item: &Value) -> io::Result<()> {
        self.shown += 1;
        if self.shown == 1 {
            if self.live {
                writeln!(self.out, "\n{:>5}  {}target", "#", row("state", "cost", "size", "hits"))?;
            } else {
                writeln!(self.out)?;
            }
        }
        let copy = if self.live { columns(item) } else { String::new() };
        let line = format!("{:>5}  {copy}{}", self.shown, text(item, "target"));
        let more = remarks(item, self.hosts > 1);
        match line.chars().count() + 2 + more.chars().count() {
            _ if more.is_empty() => writeln!(self.out, "{line}"),
            0..=WIDTH => writeln!(self.out, "{line}  {more}"),
            _ => writeln!(self.out, "{line}\n         {more}"),
        }
    }

    fn end(&mut self, totals: &Value) -> io::Result<()> {
        self.close()?;
        if self.groups == 0 {
            writeln!(self.out, "\nno groups: nothing but what is hit often is warmed, before it expires")?;
            return self.out.flush();
        }
        let off = count(totals, "switchedOff");
        let off = if off > 0 { format!(" ({off} off)") } else { String::new() };
        let counts = &totals["counts"];
        writeln!(self.out, "\ntotal: {}{off}", plural(count(totals, "groups"), "group"))?;
        self.line("requests", &requests(counts, self.hosts))?;
        let left_out = left_out(counts);
        if !left_out.is_empty() {
            self.line("left out", &left_out)?;
        }
        if self.live {
            self.line("now", &states(&totals["states"]))?;
            self.line("to fetch", &estimate(&totals["estimate"]))?;
        } else if count(&totals["states"], "neverStored") > 0 {
            self.line("note", &format!("{} never stored", number(count(&totals["states"], "neverStored"))))?;
        }
        let problems = count(totals, "problems");
        if problems > 0 {
            self.line("problems", &number(problems))?;
        }
        self.out.flush()
    }
}

/// `6`, or `12: 6 items for 2 hosts`.
fn requests(counts: &Value, hosts: usize) -> String {
    let all = number(count(counts, "requests"));
    if hosts > 1 { format!("{all}: {} for {hosts} hosts", plural(count(counts, "items"), "item")) } else { all }
}

fn left_out(counts: &Value) -> String {
    let named = [("duplicates", "duplicate"), ("excluded", "excluded"), ("unusable", "unusable")];
    let parts = named.iter().map(|(name, word)| (count(counts, name), *word)).filter(|(number, _)| *number > 0);
    let words = parts.map(|(count, word)| if word == "duplicate" { plural(count, word) } else { format!("{} {word}", number(count)) });
    words.collect::<Vec<_>>().join(", ")
}

fn list_words(source: &Value) -> String {
    let values = || plural(count(source, "values"), "value");
    let skipped = match count(source, "skipped") {
        0 => String::new(),
        skipped => format!(", {} skipped", number(skipped)),
    };
    let cut = if is(source, "cut") { ", and more that were not taken" } else { "" };
    match &*text(source, "state") {
        "read" => format!("{}{skipped}{cut}", values()),
        "lastRun" => format!("{} in the last run", values()),
        "failed" => "failed".into(),
        _ => "not asked, so its requests are not here".into(),
    }
}

fn states(states: &Value) -> String {
    let part = |name: &str, word: &str| format!("{} {word}", number(count(states, name)));
    let mut words = format!("{}, {}, {}", part("fresh", "fresh"), part("stale", "stale"), part("absent", "absent"));
    if count(states, "neverStored") > 0 {
        words += &format!(", {}", part("neverStored", "never stored"));
    }
    if count(states, "troubled") > 0 {
        words += &format!("; {}", part("troubled", "did not go well the last time"));
    }
    words
}

fn estimate(estimate: &Value) -> String {
    let requests = count(estimate, "requests");
    let (guessed, unknown) = (count(estimate, "guessed"), count(estimate, "unknown"));
    if requests == 0 {
        return "nothing".into();
    }
    let words = plural(requests, "request");
    if unknown == requests {
        return format!("{words}, of unknown cost");
    }
    let cost = format!("about {} of the origin's time, {}", millis(count(estimate, "originMillis")), size(count(estimate, "bytes")));
    let guessed = if guessed > 0 { format!(" ({} guessed)", number(guessed)) } else { String::new() };
    let unknown = if unknown > 0 { format!(", and {} of unknown cost", number(unknown)) } else { String::new() };
    format!("{words}, {cost}{guessed}{unknown}")
}

/// State, cost, size and hits of a live item.
fn columns(item: &Value) -> String {
    let state = match &*text(item, "state") {
        "fresh" => format!("fresh {}", span(count(item, "secondsLeft"))),
        "stale" if is(item, "invalidated") => "stale, purged".into(),
        "stale" => format!("stale {}", span(count(item, "secondsStale"))),
        "" => "never".into(),
        other => other.to_owned(),
    };
    let of_copy = |name: &str, show: fn(u64) -> String| item[name].as_u64().map_or_else(|| "-".into(), show);
    row(&state, &of_copy("costMillis", millis), &of_copy("bytes", size), &of_copy("hits", number))
}

fn row(state: &str, cost: &str, size: &str, hits: &str) -> String {
    format!("{state:<13} {cost:>6} {size:>9} {hits:>6}  ")
}

/// Host, headers, and what is known already.
fn remarks(item: &Value, with_host: bool) -> String {
    let mut words = Vec::new();
    if with_host {
        words.push(format!("@{}", text(item, "host")));
    }
    for (name, value) in item["headers"].as_object().into_iter().flatten() {
        words.push(format!("{}: {}", plain(name), plain(value.as_str().unwrap_or_default())));
    }
    if item["obstacle"].is_object() {
        words.push(format!("! {}", obstacle(&item["obstacle"])));
    }
    if item["lastTime"].is_object() {
        words.push(format!("! last time {}: {}", text(&item["lastTime"], "fate"), text(&item["lastTime"], "reason")));
    }
    words.join("  ")
}

/// What stands in the way; of what is not final only its gist, the rest is said once for the group.
fn obstacle(obstacle: &Value) -> String {
    let words = text(obstacle, "words");
    match words.split_once(": ") {
        Some((gist, _)) if !is(obstacle, "neverStored") => gist.to_owned(),
        _ => words,
    }
}

pub(in crate::cli) fn count(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

pub(in crate::cli) fn text(value: &Value, name: &str) -> String {
    plain(value[name].as_str().unwrap_or_default())
}

pub(in crate::cli) fn is(value: &Value, name: &str) -> bool {
    value[name].as_bool().unwrap_or(false)
}

pub(in crate::cli) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}
