//! One run of one group, and what became of its items.

use crate::cache::Fate;
use crate::clock::Stamp;
use crate::warm::ask::{Ask, Flown};
use crate::warm::expand::Tally as PlanTally;
use crate::warm::report::{Cause, Fates, Outcome, Progress, RunReport};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Outcomes that a run keeps, by item. Failures and what cannot be cached go first.
const MOST_OUTCOMES: usize = 4096;
/// Different reasons that a run keeps.
const MOST_REASONS: usize = 32;
/// Problems that a run keeps.
const MOST_PROBLEMS: usize = 16;

/// One run of one group.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) group: Arc<str>,
    pub(crate) cause: Cause,
    /// When it was decided on.
    decided: Stamp,
    begun: OnceLock<(Stamp, Instant)>,
    cancel: watch::Sender<bool>,
    /// `true` once it has ended.
    ended: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fates: Fates,
    planned: u64,
    plan: Option<PlanTally>,
    outcomes: VecDeque<Outcome>,
    /// Outcomes that had no room.
    left_out: u64,
    reasons: BTreeMap<String, u64>,
    problems: Vec<String>,
    took: Option<Duration>,
    slowed: u64,
}

impl Run {
    pub(crate) fn new(group: Arc<str>, cause: Cause, decided: Stamp) -> Arc<Self> {
        Arc::new(Self {
            group,
            cause,
            decided,
            begun: OnceLock::new(),
            cancel: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            state: Mutex::default(),
        })
    }

    /// It begins now.
    pub(crate) fn begin(&self, now: Stamp) {
        self.begun.get_or_init(|| (now, Instant::now()));
    }

    /// When it began, or was decided on if it has not begun.
    fn started(&self) -> Stamp {
        self.begun.get().map_or(self.decided, |(started, _)| *started)
    }

    fn elapsed(&self) -> Duration {
        self.begun.get().map_or(Duration::ZERO, |(_, begun)| begun.elapsed())
    }

    /// Says how many items there are, as far as is known.
    pub(crate) fn plan(&self, planned: u64) {
        self.state.lock().planned = planned;
    }

    /// Says what the plan came to, once all of it has been looked at.
    pub(crate) fn planned(&self, tally: PlanTally, hosts: u64) {
        let mut state = self.state.lock();
        state.planned = tally.items.saturating_mul(hosts);
        state.plan = Some(tally);
    }

    /// Writes down one item.
    pub(crate) fn note(&self, ask: &Ask, flown: &Flown) {
        self.add(flown.outcome(ask), flown.took);
    }

    /// Writes down an item that was not even tried.
    pub(crate) fn note_untried(&self, ask: &Ask, fate: Fate) {
        let outcome = Outcome { target: ask.target().into(), variant: ask.variant(), fate, millis: 0, bytes: 0 };
        self.add(outcome, Duration::ZERO);
    }

    pub(crate) fn add(&self, outcome: Outcome, took: Duration) {
        let mut state = self.state.lock();
        state.fates.add(outcome.fate, outcome.bytes, took);
        if let Some(reason) = outcome.fate.reason() {
            if let Some(count) = state.reasons.get_mut(&*reason) {
                *count += 1;
            } else if state.reasons.len() < MOST_REASONS {
                state.reasons.insert(reason.into_owned(), 1);
            }
        }
        if state.outcomes.len() < MOST_OUTCOMES {
            state.outcomes.push_back(outcome);
        } else {
            state.left_out += 1;
            // What went well makes room for what did not.
            if !outcome.fate.is_warm()
                && let Some(at) = state.outcomes.iter().position(|old| old.fate.is_warm())
            {
                state.outcomes.remove(at);
                state.outcomes.push_back(outcome);
            }
        }
    }

    /// Writes down what cannot be done as planned.
    pub(crate) fn problem(&self, words: String) {
        let mut state = self.state.lock();
        if state.problems.len() < MOST_PROBLEMS && !state.problems.contains(&words) {
            state.problems.push(words);
        }
    }

    /// Closes it: from here on it has a report.
    pub(crate) fn close(&self, slowed: u64) {
        let mut state = self.state.lock();
        state.took.get_or_insert(self.elapsed());
        state.slowed = slowed;
    }

    /// Tells those who wait that it has ended.
    pub(crate) fn announce(&self) {
        self.ended.send_replace(true);
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Until it has ended.
    pub(crate) async fn ended(&self) {
        // The sender is in `self`: it cannot be gone.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    pub(crate) fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        *self.cancel.borrow()
    }

    /// Tells when it is cancelled.
    pub(crate) fn cancelled(&self) -> watch::Receiver<bool> {
        self.cancel.subscribe()
    }

    pub(crate) fn fates(&self) -> Fates {
        self.state.lock().fates
    }

    pub(crate) fn progress(&self) -> Progress {
        let state = self.state.lock();
        let done = state.fates.items();
        let planned = state.planned.max(done);
        let elapsed = state.took.unwrap_or_else(|| self.elapsed());
        let left = planned - done;
        let eta = (done > 0).then(|| elapsed.mul_f64(left as f64 / done as f64));
        Progress { started: self.started(), done, planned, eta, fates: state.fates }
    }

    /// How it went; `None` while it goes on.
    pub(crate) fn report(&self) -> Option<RunReport> {
        let state = self.state.lock();
        Some(RunReport {
            cause: self.cause.clone(),
            started: self.started(),
            duration: state.took?,
            fates: state.fates,
            reasons: state.reasons.clone(),
            problems: state.problems.clone(),
            slowed: state.slowed,
            cancelled: self.is_cancelled(),
        })
    }

    /// A page of its outcomes, and how many outcomes are kept and were left out.
    pub(crate) fn outcomes(&self, from: usize, most: usize) -> (Vec<Outcome>, usize, u64) {
        let state = self.state.lock();
        (state.outcomes.iter().skip(from).take(most).cloned().collect(), state.outcomes.len(), state.left_out)
    }

    /// The outcomes that are kept, to be looked up by item.
    pub(crate) fn by_item(&self) -> ByItem {
        let state = self.state.lock();
        let of = |outcome: &Outcome| ((outcome.target.clone(), outcome.variant.clone()), outcome.clone());
        ByItem(state.outcomes.iter().map(of).collect())
    }
}

/// Outcomes of a run by target and variant; of several for one item the last.
#[derive(Debug, Default)]
pub(crate) struct ByItem(HashMap<(Box<str>, Box<str>), Outcome>);

impl ByItem {
    /// What became of an item.
    pub(crate) fn get(&self, target: &str, variant: Box<str>) -> Option<&Outcome> {
        if self.0.is_empty() { None } else { self.0.get(&(target.into(), variant)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_OUTCOMES, Run};
    use crate::cache::{Failing, Fate};
    use crate::clock::Stamp;
    use crate::warm::report::{Cause, Outcome};
    use std::time::Duration;

    fn outcome(at: usize, fate: Fate) -> Outcome {
        Outcome { target: format!("/{at}").into(), variant: "".into(), fate, millis: 1, bytes: 10 }
    }

    #[test]
    fn failures_are_kept_though_there_are_more_items_than_room() {
        let run = Run::new("g".into(), Cause::Asked, Stamp::from_millis(0));
        (0..MOST_OUTCOMES).for_each(|at| run.add(outcome(at, Fate::Stored), Duration::from_millis(1)));
        run.add(outcome(9999, Fate::Failed(Failing::TimedOut)), Duration::from_secs(10));
        let (all, kept, left_out) = run.outcomes(0, usize::MAX);
        assert_eq!((kept, left_out, &*all[kept - 1].target), (MOST_OUTCOMES, 1, "/9999"));
        let by_item = run.by_item();
        assert_eq!(by_item.get("/9999", "".into()).map(|outcome| outcome.fate), Some(Fate::Failed(Failing::TimedOut)));
        assert_eq!((by_item.get("/9999", "a: b".into()), by_item.get("/x", "".into())), (None, None));
        assert_eq!((run.fates().items(), run.fates().failed()), (MOST_OUTCOMES as u64 + 1, 1));
    }
}
