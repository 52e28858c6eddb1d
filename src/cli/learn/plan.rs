//! The plan: the heaviest queries of a tally.

use super::escape::plain;
use super::tally::{Tally, UNTIMED};

/// What a plan shall have.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) group: String,
    /// The most queries.
    pub(super) top: usize,
    /// The least occurrences of each.
    pub(super) min_hits: u64,
    /// Where lines came from.
    pub(super) sources: Vec<String>,
    /// The configuration whose keys and rules hold, if there is one.
    pub(super) config: Option<String>,
}

/// A plan and what it was learned from.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) wish: Wish,
    pub(super) tally: Tally,
    /// The heaviest first.
    pub(super) queries: Vec<Query>,
    /// Different queries; the least number if there were more than are held.
    pub(super) different: usize,
    /// Which share of the whole weight the plan covers.
    pub(super) share: f64,
    /// Which share any query may lack; 0: the numbers are exact.
    pub(super) error: f64,
}

/// A query of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    pub(super) target: String,
    pub(super) count: u64,
    /// Microseconds each, where the log has times.
    pub(super) mean: Option<u64>,
    pub(super) share: f64,
}

impl Plan {
    /// Chooses; `Err` says in one line why there is nothing to choose.
    pub(super) fn new(mut tally: Tally, wish: Wish) -> Result<Self, String> {
        let sketch = std::mem::replace(&mut tally.sketch, super::sketch::Sketch::new(1));
        let whole = tally.counts.weight;
        let (different, error) = (sketch.len(), share(sketch.floor(), whole));
        let chosen = sketch.into_heaviest().into_iter().filter(|item| item.count >= wish.min_hits).take(wish.top);
        let mut weight = 0;
        let queries: Vec<Query> = chosen
            .map(|item| {
                weight += item.weight;
                let timed = item.weight.saturating_sub(UNTIMED * (item.count - item.timed));
                let mean = timed.checked_div(item.timed);
                Query { target: item.key.to_string(), count: item.count, mean, share: share(item.weight, whole) }
            })
            .collect();
        if queries.is_empty() {
            return Err(nothing(&tally, &wish));
        }
        Ok(Self { wish, tally, queries, different, share: share(weight, whole), error })
    }

    /// How many different queries there were.
    pub(super) fn different_text(&self) -> String {
        if self.error > 0.0 { format!("more than {}", self.different) } else { self.different.to_string() }
    }
}

#[allow(clippy::cast_precision_loss, reason = "shares are shown with one decimal")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Why there is no plan, in one line.
fn nothing(tally: &Tally, wish: &Wish) -> String {
    let counts = &tally.counts;
    let mut text = format!("nothing to warm in {}: {}", plain(&wish.sources.join(", ")), plural(counts.lines, "line"));
    if counts.lines > 0 {
        text += &format!(" read, {}", counts.skipped_text());
    }
    if counts.counted > 0 {
        let joint = if counts.skipped().next().is_some() { ", " } else { "" };
        text += &format!("{joint}{} counted, but no query {} times (--min-hits 1 takes them all)", counts.counted, wish.min_hits);
    }
    if let Some(line) = &tally.example {
        text += &format!("; the first line that is not recognised: {line}");
    }
    text
}

/// `1 line`, `2 lines`
pub(super) fn plural(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
