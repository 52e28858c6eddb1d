//! What warming has done, as anybody may read it.

use crate::cache::{Fate, Gain};
use crate::clock::Stamp;
use crate::warm::pace::Backoff;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Whether anything is warmed at all.
    pub enabled: bool,
    /// Every group, the highest priority first.
    pub groups: Vec<GroupReport>,
    /// Refreshes of hot copies before they expire.
    pub ahead: AheadReport,
    /// Warm-ups of single users.
    pub users: RunTotals,
    /// How warming has backed off before the origin.
    pub backoff: Backoff,
    /// Warm requests under way.
    pub in_flight: usize,
}

/// One group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupReport {
    /// Its name.
    pub name: Arc<str>,
    /// Higher goes first.
    pub priority: u64,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether it is a task in Rust.
    pub is_task: bool,
    /// When it runs, in the words of the configuration.
    pub schedule: Vec<String>,
    /// When it runs next (wall clock), if it is scheduled.
    pub next_run: Option<Stamp>,
    /// The run that is going on.
    pub running: Option<Progress>,
    /// The last run that has ended.
    pub last: Option<RunReport>,
    /// All runs that have ended.
    pub totals: RunTotals,
    /// What its copies have been worth to readers.
    pub gain: Gain,
}

/// Runs that have ended, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunTotals {
    /// Runs.
    pub runs: u64,
    /// Runs in which at least one item failed, or that could not do all they should.
    pub failed_runs: u64,
    /// Runs that the word `refresh` of a schedule began.
    pub refreshes: u64,
    /// Items and what became of them.
    pub fates: Fates,
}

/// Refresh-ahead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AheadReport {
    /// Hot copies that wait for their refresh.
    pub waiting: usize,
    /// What became of those that were due.
    pub fates: Fates,
    /// What the refreshed copies have been worth.
    pub gain: Gain,
}

/// Items and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    counts: [u64; Fate::NAMES.len()],
    /// Bytes of bodies that came from the origin.
    pub bytes: u64,
    /// Time that the origin took for them, in milliseconds, added up.
    pub origin_millis: u64,
}

impl Fates {
    /// Adds one item.
    pub(crate) fn add(&mut self, fate: Fate, bytes: u64, took: Duration) {
        self.counts[fate.place()] += 1;
        if fate != Fate::Skipped {
            self.bytes += bytes;
            self.origin_millis += u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        }
    }

    /// Adds another tally.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(fate, more)| *fate += more);
        self.bytes += other.bytes;
        self.origin_millis += other.origin_millis;
    }

    /// Items by what became of them: name and number, in the order of [`Fate::NAMES`].
    pub fn by_fate(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Fate::NAMES.into_iter().zip(self.counts)
    }

    /// Items that ended with this fate, by its name; 0 for a name that there is not.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.by_fate().find(|(known, _)| *known == name).map_or(0, |(_, count)| count)
    }

    /// All items.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Items of which a good copy is stored now.
    #[must_use]
    pub fn warm(&self) -> u64 {
        self.counts[..4].iter().sum()
    }

    /// Items that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.counts[5]
    }

    /// The share of items of which a good copy is stored now, in percent; 100 if there were none.
    #[must_use]
    pub fn success_rate(&self) -> f64 {
        if self.items() == 0 { 100.0 } else { self.warm() as f64 * 100.0 / self.items() as f64 }
    }
}

/// A run that is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// When it began (wall clock).
    pub started: Stamp,
    /// Items that have ended.
    pub done: u64,
    /// Items that there are, as far as that is known: duplicates and exclusions show only on the way.
    pub planned: u64,
    /// How long it will take at the pace so far; none before the first item.
    pub eta: Option<Duration>,
    /// What became of the items so far.
    pub fates: Fates,
}

/// A run that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunReport {
    /// Why it ran.
    pub cause: Cause,
    /// When it began (wall clock).
    pub started: Stamp,
    /// How long it took.
    pub duration: Duration,
    /// Its items.
    pub fates: Fates,
    /// Reasons and how often each: `no-store`, `status 503`.
    pub reasons: BTreeMap<String, u64>,
    /// What could not be done as planned, in words.
    pub problems: Vec<String>,
    /// How often the pace was cut while it ran.
    pub slowed: u64,
    /// Whether it was cancelled.
    pub cancelled: bool,
}

/// One item of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The target: path and query.
    pub target: Box<str>,
    /// The headers that the plan gave it: `accept-language: en`.
    pub variant: Box<str>,
    /// What became of it.
    pub fate: Fate,
    /// How long it took, in milliseconds.
    pub millis: u32,
    /// Bytes of its body.
    pub bytes: u64,
}

/// Why a run began.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The process has started.
    Startup,
    /// Its schedule, in the words of the configuration.
    Schedule(String),
    /// Somebody asked for it.
    Asked,
    /// A change invalidated what it warms.
    Change,
    /// A user came.
    User,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Startup => "startup",
            Self::Schedule(words) => words,
            Self::Asked => "asked",
            Self::Change => "change",
            Self::User => "user",
        })
    }
}
