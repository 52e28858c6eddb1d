//! The account of a group.

use crate::cache::ledger::Ledger;
use crate::clock::Stamp;
use crate::warm::books::Run;
use crate::warm::report::{Cause, RunTotals};
use crate::warm::schedule::Trigger;
use parking_lot::Mutex;
use std::sync::Arc;

/// Runs of a group whose outcomes are kept to know what its task has warmed: the last whole one, and broken ones since.
const MOST_LATEST: usize = 8;

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
