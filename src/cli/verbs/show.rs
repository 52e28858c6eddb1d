//! How a job is shown while it runs: bars on a terminal, lines elsewhere.

use crate::cli::plan::table::{count, text};
use crate::cli::plan::words::{millis, plural};
use crate::cli::report;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write as _};

/// A bar per group, on stderr.
const BAR: &str = "{prefix}  {bar:30.cyan} {pos:>5}/{len:<5} {msg}";

/// Where lines and bars go.
#[derive(Debug)]
pub(super) struct Show {
    /// `None`: lines only.
    bars: Option<MultiProgress>,
    of_groups: HashMap<String, ProgressBar>,
}

impl Show {
    /// Bars where somebody looks at both stdout and stderr, else lines.
    pub(super) fn new() -> Self {
        let looked_at = io::stdout().is_terminal() && io::stderr().is_terminal();
        Self { bars: looked_at.then(MultiProgress::new), of_groups: HashMap::new() }
    }

    /// Writes a line on stdout, above the bars.
    pub(super) fn line(&self, line: &str) -> io::Result<()> {
        let write = || {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}").and_then(|()| out.flush())
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// Says what goes on, above the bars.
    pub(super) fn note(&self, words: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| report::note(words)),
            None => report::note(words),
        }
    }

    /// Shows how far a group has come; `width` is that of the longest name.
    pub(super) fn progress(&mut self, group: &Value, width: usize) {
        let Some(bars) = &self.bars else { return };
        let name = text(group, "name");
        let bar = self.of_groups.entry(name.clone()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new(0));
            bar.set_style(ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(format!("{name:<width$}"));
            bar
        });
        bar.set_length(count(group, "planned"));
        bar.set_message(message(group));
        bar.set_position(count(group, "done"));
    }

    /// Takes a group's bar away.
    pub(super) fn ended(&mut self, name: &str) {
        if let Some(bar) = self.of_groups.remove(name) {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.of_groups.values().for_each(ProgressBar::finish_and_clear);
    }
}

/// What stands behind a bar: time left, and what failed.
fn message(group: &Value) -> String {
    let left = match group["etaMs"].as_u64() {
        Some(left) => format!("{} left", millis(left.next_multiple_of(100))),
        None if count(group, "done") == 0 => "waiting".into(),
        None => String::new(),
    };
    match count(group, "failed") {
        0 => left,
        failed => format!("{left}, {}", console::style(format!("{} failed", plural(failed, "item"))).red().for_stderr()),
    }
}
