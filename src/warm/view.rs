//! Jobs and their runs, as one may look at them.

use crate::clock::Stamp;
use crate::warm::books::{Job, Run};
use crate::warm::report::{Cause, Fates, Outcome, Progress, RunReport};
use std::sync::Arc;

/// Runs that were asked for together.
#[derive(Clone, Debug)]
pub struct JobView {
    job: Arc<Job>,
}

/// One run of a job.
#[derive(Clone, Debug)]
pub struct RunView {
    run: Arc<Run>,
    /// Whether it was going on when the job was asked for.
    pub joined: bool,
}

impl JobView {
    pub(super) fn of(job: Arc<Job>) -> Self {
        Self { job }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.job.id
    }

    /// Why it was begun.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.job.cause
    }

    /// When it was begun (wall clock).
    #[must_use]
    pub fn started(&self) -> Stamp {
        self.job.started
    }

    /// Whether all of its runs have ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.job.has_ended()
    }

    /// Until all of its runs have ended.
    pub async fn ended(&self) {
        self.job.ended().await;
    }

    /// Its runs, one per group.
    pub fn runs(&self) -> impl Iterator<Item = RunView> + '_ {
        self.job.runs.iter().map(|(run, joined)| RunView { run: Arc::clone(run), joined: *joined })
    }

    /// What became of the items of all its runs so far.
    #[must_use]
    pub fn fates(&self) -> Fates {
        let mut sum = Fates::default();
        self.job.runs.iter().for_each(|(run, _)| sum.merge(&run.fates()));
        sum
    }
}

impl RunView {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &Arc<str> {
        &self.run.group
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.run.progress()
    }

    /// How it went; none while it goes on.
    #[must_use]
    pub fn report(&self) -> Option<RunReport> {
        self.run.report()
    }

    /// Up to `most` outcomes from number `from` on, in the order in which items ended, and how many are kept in all. A run keeps 4096, those of
    /// failures first.
    #[must_use]
    pub fn outcomes(&self, from: usize, most: usize) -> (Vec<Outcome>, usize) {
        let (page, kept, _) = self.run.outcomes(from, most);
        (page, kept)
    }
}
