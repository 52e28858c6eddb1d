//! Runs that belong together.

use crate::clock::Stamp;
use crate::warm::books::Run;
use crate::warm::report::Cause;
use std::sync::Arc;
use tokio::sync::watch;

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
    pub(crate) fn new(id: u64, cause: Cause, started: Stamp, runs: Vec<(Arc<Run>, bool)>) -> Self {
        Self { id, cause, started, runs, drops: watch::Sender::new(false) }
    }

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
