//! The books of warming: an account per group, the runs, and the jobs. The runner writes, anybody may read.

use crate::cache::ledger::Ledger;
use crate::cache::{Fate, Site};
use crate::clock::Stamp;
use crate::warm::ask::{Ask, Flown};
use crate::warm::expand::Tally as PlanTally;
use crate::warm::group::Group;
use crate::warm::pace::Backoff;
use crate::warm::report::{AheadReport, Cause, Fates, GroupReport, Outcome, Progress, Report, RunReport, RunTotals};
use crate::warm::schedule::Trigger;
use crate::warm::settings::WarmSettings;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Outcomes that a run keeps, by item. Failures and what cannot be cached go first.
pub(crate) const MOST_OUTCOMES: usize = 4096;
/// Runs of a group whose outcomes are kept to know what its task has warmed: the last whole one, and broken ones since.
const MOST_LATEST: usize = 8;
/// Different reasons that a run keeps.
const MOST_REASONS: usize = 32;
/// Problems that a run keeps.
const MOST_PROBLEMS: usize = 16;

/// What is known of one group. It survives changes of the configuration.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) ledger: Arc<Ledger>,
    /// What its lists held the last time, to know what belongs to it.
    lists: Mutex<Arc<Vec<Vec<String>>>>,
    book: Mutex<Book>,
}

/// What has belonged to a group at some moment, beyond what its plan says.
#[derive(Clone, Debug)]
pub(crate) struct Belongings {
    /// What its lists held.
    pub(crate) lists: Arc<Vec<Vec<String>>>,
    /// Its last whole run and those since, which tell what its task has warmed.
    pub(crate) runs: Vec<Arc<Run>>,
}

impl Belongings {
    /// Whether nothing has changed.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lists, &other.lists) && self.runs.iter().map(Arc::as_ptr).eq(other.runs.iter().map(Arc::as_ptr))
    }
}

#[derive(Debug, Default)]
struct Book {
    totals: RunTotals,
    last: Option<Arc<Run>>,
    /// The last run that came to its end, and those since that did not, whatever was reset: what its task has warmed in any of them is stored still.
    latest: Vec<Arc<Run>>,
    running: Option<Arc<Run>>,
    next_run: Option<Stamp>,
}

impl Account {
    pub(crate) fn begin(&self, run: &Arc<Run>) {
        self.book.lock().running = Some(Arc::clone(run));
    }

    /// A run has ended.
    pub(crate) fn end(&self, run: &Arc<Run>) {
        let report = run.report();
        let mut book = self.book.lock();
        book.running = None;
        let is_whole = report.as_ref().is_some_and(|report| !report.cancelled && report.problems.is_empty());
        if let Some(report) = report {
            book.totals.runs += 1;
            book.totals.failed_runs += u64::from(report.fates.failed() > 0 || !report.problems.is_empty());
            book.totals.refreshes += u64::from(report.cause == Cause::Schedule(Trigger::Refresh.to_string()));
            book.totals.fates.merge(&report.fates);
        }
        book.last = Some(Arc::clone(run));
        if is_whole {
            book.latest.clear();
        } else if book.latest.len() == MOST_LATEST {
            book.latest.remove(1); // not the whole one
        }
        book.latest.push(Arc::clone(run));
    }

    pub(crate) fn keep_lists(&self, lists: Arc<Vec<Vec<String>>>) {
        *self.lists.lock() = lists;
    }

    pub(crate) fn lists(&self) -> Arc<Vec<Vec<String>>> {
        Arc::clone(&self.lists.lock())
    }

    pub(crate) fn belongings(&self) -> Belongings {
        Belongings { lists: self.lists(), runs: self.book.lock().latest.clone() }
    }

    pub(crate) fn plan_next(&self, next: Option<Stamp>) {
        self.book.lock().next_run = next;
    }

    pub(crate) fn next_run(&self) -> Option<Stamp> {
        self.book.lock().next_run
    }

    pub(crate) fn running(&self) -> Option<Arc<Run>> {
        self.book.lock().running.clone()
    }

    pub(crate) fn last(&self) -> Option<Arc<Run>> {
        self.book.lock().last.clone()
    }

    pub(crate) fn totals(&self) -> RunTotals {
        self.book.lock().totals.clone()
    }

    /// Forgets what was counted.
    pub(crate) fn reset(&self) {
        let mut book = self.book.lock();
        book.totals = RunTotals::default();
        book.last = None;
        self.ledger.reset();
    }
}

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

/// Jobs that are remembered.
const MOST_JOBS: usize = 64;

/// Runs that somebody asked for together.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) cause: Cause,
    pub(crate) started: Stamp,
    /// The runs, and whether each was there already and was joined.
    pub(crate) runs: Vec<(Arc<Run>, bool)>,
    /// `true` while what could not be replaced is still to be dropped.
    drops: watch::Sender<bool>,
}

impl Job {
    /// Until all of its runs have ended.
    pub(crate) async fn runs_ended(&self) {
        for (run, _) in &self.runs {
            run.ended().await;
        }
    }

    /// Until all of it is done.
    pub(crate) async fn ended(&self) {
        self.runs_ended().await;
        // The sender is in `self`: it cannot be gone.
        let _ = self.drops.subscribe().wait_for(|drops| !drops).await;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.runs.iter().all(|(run, _)| run.has_ended()) && !*self.drops.borrow()
    }

    /// Says whether something is still to be dropped when its runs have ended.
    pub(crate) fn drops(&self, drops: bool) {
        self.drops.send_replace(drops);
    }

    /// Cancels the runs that began for it; those that it joined are somebody else's.
    pub(crate) fn cancel(&self) {
        self.runs.iter().filter(|(_, joined)| !joined).for_each(|(run, _)| run.cancel());
    }
}

/// All books.
#[derive(Debug)]
pub(crate) struct Books {
    accounts: Mutex<BTreeMap<Arc<str>, Arc<Account>>>,
    jobs: Mutex<VecDeque<Arc<Job>>>,
    next_job: AtomicU64,
    pub(crate) settings: ArcSwap<WarmSettings>,
    /// Whether the settings let users ask: looked at for every request.
    serves_users: AtomicBool,
    /// The hosts that were warmed last.
    pub(crate) hosts: ArcSwap<Vec<Site>>,
    pub(crate) ahead: Account,
    pub(crate) ahead_fates: Mutex<Fates>,
    pub(crate) users: Mutex<RunTotals>,
    pub(crate) pulse: Mutex<Pulse>,
    published: watch::Sender<Arc<Report>>,
}

/// What the runner is at right now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pulse {
    pub(crate) backoff: Backoff,
    pub(crate) in_flight: usize,
    pub(crate) waiting_ahead: usize,
}

impl Books {
    pub(crate) fn new(settings: WarmSettings) -> Arc<Self> {
        Arc::new(Self {
            accounts: Mutex::default(),
            jobs: Mutex::default(),
            next_job: AtomicU64::new(1),
            serves_users: AtomicBool::new(settings.user.is_some()),
            settings: ArcSwap::from_pointee(settings),
            hosts: ArcSwap::default(),
            ahead: Account::default(),
            ahead_fates: Mutex::default(),
            users: Mutex::default(),
            pulse: Mutex::default(),
            published: watch::Sender::new(Arc::default()),
        })
    }

    /// Puts `settings` in force.
    pub(crate) fn follow(&self, settings: Arc<WarmSettings>) {
        let serves_users = settings.user.is_some();
        self.settings.store(settings);
        self.serves_users.store(serves_users, Ordering::Release);
    }

    /// Whether users may ask to be warmed.
    pub(crate) fn serves_users(&self) -> bool {
        self.serves_users.load(Ordering::Acquire)
    }

    /// The account of a group; opened at its first mention.
    pub(crate) fn account(&self, group: &Arc<str>) -> Arc<Account> {
        Arc::clone(self.accounts.lock().entry(Arc::clone(group)).or_default())
    }

    pub(crate) fn accounts(&self) -> Vec<(Arc<str>, Arc<Account>)> {
        self.accounts.lock().iter().map(|(name, account)| (Arc::clone(name), Arc::clone(account))).collect()
    }

    /// Keeps the accounts of these groups only.
    pub(crate) fn keep(&self, groups: &[Arc<Group>]) {
        self.accounts.lock().retain(|name, _| groups.iter().any(|group| group.name == *name));
        groups.iter().for_each(|group| drop(self.account(&group.name)));
    }

    /// Enters a job under a number of its own. The oldest that have ended are forgotten.
    pub(crate) fn enter(&self, cause: Cause, started: Stamp, runs: Vec<(Arc<Run>, bool)>) -> Arc<Job> {
        let id = self.next_job.fetch_add(1, Ordering::Relaxed);
        let job = Arc::new(Job { id, cause, started, runs, drops: watch::Sender::new(false) });
        let mut jobs = self.jobs.lock();
        while jobs.len() >= MOST_JOBS {
            let at = jobs.iter().position(|job| job.has_ended()).unwrap_or(0);
            jobs.remove(at);
        }
        jobs.push_back(Arc::clone(&job));
        job
    }

    /// The jobs, the newest first.
    pub(crate) fn jobs(&self) -> Vec<Arc<Job>> {
        self.jobs.lock().iter().rev().cloned().collect()
    }

    /// Publishes what is in the books now.
    pub(crate) fn publish(&self) {
        self.published.send_replace(Arc::new(self.report()));
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Report>> {
        self.published.subscribe()
    }

    pub(crate) fn report(&self) -> Report {
        let settings = self.settings.load();
        let mut groups: Vec<GroupReport> = settings.groups.iter().map(|group| self.group_report(group)).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.priority));
        let pulse = *self.pulse.lock();
        Report {
            enabled: settings.enabled,
            groups,
            ahead: AheadReport { waiting: pulse.waiting_ahead, fates: *self.ahead_fates.lock(), gain: self.ahead.ledger.gain() },
            users: self.users.lock().clone(),
            backoff: pulse.backoff,
            in_flight: pulse.in_flight,
        }
    }

    fn group_report(&self, group: &Group) -> GroupReport {
        let account = self.account(&group.name);
        GroupReport {
            name: Arc::clone(&group.name),
            priority: group.priority,
            enabled: group.enabled,
            is_task: group.task.is_some(),
            schedule: group.schedule.triggers().iter().map(ToString::to_string).collect(),
            next_run: account.next_run(),
            running: account.running().map(|run| run.progress()),
            last: account.last().and_then(|run| run.report()),
            totals: account.totals(),
            gain: account.ledger.gain(),
        }
    }

    /// Forgets what was counted.
    pub(crate) fn reset(&self) {
        self.accounts().iter().for_each(|(_, account)| account.reset());
        self.ahead.reset();
        *self.ahead_fates.lock() = Fates::default();
        *self.users.lock() = RunTotals::default();
        self.publish();
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
