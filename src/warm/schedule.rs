//! When a group runs: at start-up, at each refresh, at an interval, at the moments of a cron line. Nothing here reads a clock.

mod cron;
mod zone;

pub use cron::Cron;
pub use zone::Zone;

use crate::clock::Stamp;
use crate::units::{parse_duration, show_duration};
use crate::warm::fault::PlanFault;
use std::fmt;
use std::time::Duration;

/// The shortest and the longest interval.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(365 * 86_400);
/// How late jitter may make a run: a twentieth of the interval, and at most this.
const MOST_JITTER: Duration = Duration::from_secs(300);

/// One reason to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// `startup`: once, when the process starts.
    Startup,
    /// `refresh`: at the interval that [`WarmSettings::refresh_interval`](crate::warm::WarmSettings::refresh_interval) says.
    Refresh,
    /// `every 2h`: at this interval, from one second to a year.
    Every(Duration),
    /// `cron 0 3 * * *`: at these moments, in the time zone of the settings.
    Cron(Cron),
}

impl Trigger {
    /// Reads `startup`, `refresh`, `every 2h` or `cron 0 3 * * *`.
    ///
    /// # Errors
    /// [`PlanFault::Trigger`], [`PlanFault::Interval`], [`PlanFault::Cron`], [`PlanFault::NeverFires`]
    pub fn parse(text: &str) -> Result<Self, PlanFault> {
        let (word, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let trigger = match (word, rest.trim()) {
            ("startup", "") => Self::Startup,
            ("refresh", "") => Self::Refresh,
            ("every", interval) => Self::Every(parse_duration(interval).ok_or_else(|| PlanFault::Trigger(text.into()))?),
            ("cron", fields) => Self::cron(fields)?,
            _ => return Err(PlanFault::Trigger(text.into())),
        };
        trigger.check()?;
        Ok(trigger)
    }

    /// Reads the fields of a cron line, as `0 3 * * *`.
    ///
    /// # Errors
    /// [`PlanFault::Cron`], [`PlanFault::NeverFires`]
    pub fn cron(fields: &str) -> Result<Self, PlanFault> {
        Cron::parse(fields).map(Self::Cron)
    }

    /// Whether an interval is within its bounds.
    pub(crate) fn check(&self) -> Result<(), PlanFault> {
        match self {
            Self::Every(interval) if !INTERVALS.contains(interval) => Err(PlanFault::Interval(*interval)),
            _ => Ok(()),
        }
    }

    /// When to run next after the run that began at `last`, or for the first time, seen from `now`. `None`: never, or not by time.
    ///
    /// What was missed while the process slept lies before `now`: run once, at once, and ask again with `last` = `now`. `refresh` is what [`Refresh`](Self::Refresh)
    /// means, zero: never. `jitter`, from 0 to 1, says how much of a twentieth of the interval (at most five minutes) is added to it, so that
    /// several processes do not run at the same moment. Cron lines have no jitter.
    #[must_use]
    pub fn next(&self, last: Option<Stamp>, now: Stamp, zone: &Zone, refresh: Duration, jitter: f64) -> Option<Stamp> {
        let after = last.unwrap_or(now);
        match self {
            Self::Startup => None,
            Self::Refresh if refresh.is_zero() => None,
            Self::Refresh => Some(later(after, refresh, jitter)),
            Self::Every(interval) => Some(later(after, *interval, jitter)),
            Self::Cron(cron) => cron.after(after, zone),
        }
    }
}

/// `after`, and the interval with its jitter.
fn later(after: Stamp, interval: Duration, jitter: f64) -> Stamp {
    // What was not checked shall not run in circles.
    let interval = interval.max(*INTERVALS.start());
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
    let wait = interval.saturating_add((interval / 20).min(MOST_JITTER).mul_f64(jitter));
    after.plus_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup => f.write_str("startup"),
            Self::Refresh => f.write_str("refresh"),
            Self::Every(interval) => write!(f, "every {}", show_duration(*interval)),
            Self::Cron(cron) => write!(f, "cron {cron}"),
        }
    }
}

/// All reasons to run. The default, where nobody said anything: `startup` and `refresh`.
#[derive(Clone, Debug)]
pub struct Schedule {
    triggers: Vec<Trigger>,
    /// Whether somebody said something: then the default is gone.
    said: bool,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { triggers: vec![Trigger::Startup, Trigger::Refresh], said: false }
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.triggers == other.triggers
    }
}

impl Schedule {
    /// No reason to run but being asked.
    #[must_use]
    pub fn on_demand() -> Self {
        Self { triggers: Vec::new(), said: true }
    }

    /// Adds a trigger. The first one takes the place of the default.
    pub fn push(&mut self, trigger: Trigger) {
        if !self.said {
            *self = Self::on_demand();
        }
        self.triggers.push(trigger);
    }

    /// The triggers, in the order in which they were said.
    #[must_use]
    pub fn triggers(&self) -> &[Trigger] {
        &self.triggers
    }

    /// Whether it runs when the process starts.
    #[must_use]
    pub fn runs_at_startup(&self) -> bool {
        self.triggers.contains(&Trigger::Startup)
    }

    /// The next `most` runs after `now`, without jitter, as if each trigger began at `now`: for people to look at.
    #[must_use]
    pub fn next_runs(&self, now: Stamp, zone: &Zone, refresh: Duration, most: usize) -> Vec<(Stamp, &Trigger)> {
        let mut runs: Vec<(Stamp, &Trigger)> = Vec::new();
        for trigger in &self.triggers {
            let first = trigger.next(None, now, zone, refresh, 0.0);
            let moments = std::iter::successors(first, |last| trigger.next(Some(*last), *last, zone, refresh, 0.0));
            runs.extend(moments.take(most).map(|moment| (moment, trigger)));
        }
        runs.sort_by_key(|(moment, _)| *moment);
        runs.truncate(most);
        runs
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, trigger) in self.triggers.iter().enumerate() {
            write!(f, "{}{trigger}", if at == 0 { "" } else { ", " })?;
        }
        if self.triggers.is_empty() { f.write_str("on demand") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
