//! The books of warming: an account per group, the runs, and the jobs. The runner writes, anybody may read.

mod account;
mod job;
mod run;

pub(crate) use account::{Account, Belongings};
pub(crate) use job::Job;
pub(crate) use run::{ByItem, Run};

use crate::cache::Site;
use crate::clock::Stamp;
use crate::warm::group::Group;
use crate::warm::pace::Backoff;
use crate::warm::report::{AheadReport, Cause, Fates, GroupReport, Report, RunTotals};
use crate::warm::settings::WarmSettings;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::watch;

/// Jobs that are remembered.
const MOST_JOBS: usize = 64;

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
        let job = Arc::new(Job::new(id, cause, started, runs));
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
