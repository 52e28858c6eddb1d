//! The count of one reader's request that cannot be answered at once.

use crate::clock::Moment;
use crate::flow::in_force::InForce;
use crate::flow::shared::Shared;
use crate::telemetry::{Outcome, RuleCounts};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request under way. It is counted once: as it is answered, or, when nobody waits for that any more, as this is dropped.
#[derive(Debug)]
pub(crate) struct Tally {
    shared: Arc<Shared>,
    rule: Arc<RuleCounts>,
    began: Moment,
    counted: AtomicBool,
}

impl Tally {
    pub(crate) fn new(shared: &Arc<Shared>, settings: &InForce, rule: Option<usize>, began: Moment) -> Self {
        Self { shared: Arc::clone(shared), rule: Arc::clone(settings.counts(rule)), began, counted: AtomicBool::new(false) }
    }

    /// Counts it, with the time up to now.
    pub(crate) fn count(&self, outcome: Outcome) {
        if !self.counted.swap(true, Ordering::Relaxed) {
            self.shared.count(&self.rule, outcome, self.began);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // A panic of the inner service goes through here as well.
        self.count(if std::thread::panicking() { Outcome::Failed } else { Outcome::Abandoned });
    }
}
