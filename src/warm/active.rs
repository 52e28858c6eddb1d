//! A run under way, as the runner sees it: what it still has to do.

use crate::cache::{Failing, Fate};
use crate::telemetry::Refusal;
use crate::warm::ask::{Ask, Manner};
use crate::warm::books::{Account, Run};
use crate::warm::draw::Block;
use crate::warm::report::Cause;
use crate::warm::task::Wanted;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, error::TryRecvError};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Further tries of an item after a failure that may pass.
pub(crate) const RETRIES: u32 = 2;
/// The wait before the first further try; it doubles, and half of it is left to chance.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait for one item, whatever the origin's `Retry-After` says.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After so many items in a row that could not reach the origin, the rest is not tried.
const UNREACHABLE: u32 = 8;
/// The longest `Retry-After` for which the item of a user waits: it keeps a place that other users want.
const USERS_PATIENCE: Duration = Duration::from_secs(5);
/// Requests of a drawing or a task that are taken in at a time.
const MOST_WANTED: usize = 64;

/// What is to be done when a run has ended.
pub(crate) type Afterwards = Box<dyn FnOnce(&Run) + Send>;

/// A run under way.
pub(crate) struct Active {
    pub(crate) serial: u64,
    pub(crate) run: Arc<Run>,
    pub(crate) account: Option<Arc<Account>>,
    pub(crate) priority: u64,
    pub(crate) manner: Manner,
    pub(crate) flying: usize,
    pub(crate) slowed_before: u64,
    pub(crate) afterwards: Option<Afterwards>,
    /// Whether its task, if it has one, is still running.
    pub(crate) task_runs: bool,
    /// Ends that task.
    pub(crate) task: Option<AbortHandle>,
    items: VecDeque<Ask>,
    retries: Vec<(Instant, Ask, u32)>,
    wanted: VecDeque<Wanted>,
    blocks: Option<Receiver<Block>>,
    wants: Option<Receiver<Wanted>>,
    unreachable: u32,
    /// Whether the origin has been reached at all.
    reached: bool,
}

/// One request to be made.
pub(crate) enum Work {
    /// An item, and how often it has been tried before.
    Item(Ask, u32),
    /// Something that a list or a task wants.
    Wanted(Wanted),
}

impl Active {
    pub(crate) fn new(serial: u64, run: Arc<Run>, account: Option<Arc<Account>>, priority: u64, manner: Manner) -> Self {
        Self {
            serial,
            run,
            account,
            priority,
            manner,
            flying: 0,
            slowed_before: 0,
            afterwards: None,
            task_runs: false,
            task: None,
            items: VecDeque::new(),
            retries: Vec::new(),
            wanted: VecDeque::new(),
            blocks: None,
            wants: None,
            unreachable: 0,
            reached: false,
        }
    }

    /// Gives it items that are known already.
    pub(crate) fn with_items(mut self, asks: Vec<Ask>) -> Self {
        self.run.plan(asks.len() as u64);
        self.items = asks.into();
        self
    }

    /// Gives it items that are drawn as they are needed, and what a drawing or a task wants fetched.
    pub(crate) fn with_channels(mut self, blocks: Option<Receiver<Block>>, wants: Receiver<Wanted>) -> Self {
        (self.blocks, self.wants) = (blocks, Some(wants));
        self
    }

    /// Takes in what has been drawn and wanted. A closed channel has nothing more to come.
    pub(crate) fn take_in(&mut self) {
        if self.run.is_cancelled() {
            self.clear();
            return;
        }
        while self.items.is_empty() {
            let Some(blocks) = &mut self.blocks else { break };
            match blocks.try_recv() {
                Ok(block) => {
                    self.items = block.asks.into();
                    if block.last {
                        self.blocks = None;
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.blocks = None,
            }
        }
        while self.wanted.len() < MOST_WANTED {
            let Some(wants) = &mut self.wants else { break };
            match wants.try_recv() {
                Ok(wanted) => self.wanted.push_back(wanted),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.wants = None,
            }
        }
        if self.unreachable >= UNREACHABLE {
            self.give_up();
        }
    }

    /// Whether a request is to be made now.
    pub(crate) fn has_work(&self, now: Instant) -> bool {
        !self.wanted.is_empty() || !self.items.is_empty() || self.retries.iter().any(|(then, ..)| *then <= now)
    }

    /// The next request to be made, if one is to be made now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Work> {
        if let Some(wanted) = self.wanted.pop_front() {
            return Some(Work::Wanted(wanted));
        }
        if let Some(at) = self.retries.iter().position(|(then, ..)| *then <= now) {
            let (_, ask, tried) = self.retries.swap_remove(at);
            return Some(Work::Item(ask, tried));
        }
        self.items.pop_front().map(|ask| Work::Item(ask, 0))
    }

    /// When it has something to do that it has not now. What is due already waits for the pace, which says itself when to look again.
    pub(crate) fn wakes(&self, now: Instant) -> Option<Instant> {
        self.retries.iter().map(|(then, ..)| *then).filter(|then| *then > now).min()
    }

    /// Puts an item back for another try, if it is worth one; `false` if not. `chance` is from 0 to 1.
    pub(crate) fn retry(
        &mut self,
        ask: Ask,
        tried: u32,
        fate: Fate,
        retry_after: Option<Duration>,
        chance: f64,
        now: Instant,
    ) -> Option<Ask> {
        if !fate.may_pass() || tried >= RETRIES || self.run.is_cancelled() || self.unreachable >= UNREACHABLE {
            return Some(ask);
        }
        if self.run.cause == Cause::User && retry_after.is_some_and(|wait| wait > USERS_PATIENCE) {
            return Some(ask);
        }
        let wait = retry_after.unwrap_or_else(|| (FIRST_WAIT * 2_u32.pow(tried)).mul_f64(0.5 + chance));
        self.retries.push((now + wait.min(LONGEST_WAIT), ask, tried + 1));
        None
    }

    /// Learns from what became of a request whether the origin can be reached.
    pub(crate) fn reached(&mut self, fate: Fate) {
        match fate {
            Fate::Failed(Failing::Refused(Refusal::UpstreamConnect | Refusal::ConnectTimeout)) => self.unreachable += 1,
            Fate::Skipped | Fate::Failed(Failing::Cancelled | Failing::Refused(Refusal::CircuitOpen)) => {} // it was not asked
            _ => (self.unreachable, self.reached) = (0, true),
        }
    }

    /// Whether no request of it could reach the origin, or it was given up for that.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.unreachable >= if self.reached { UNREACHABLE } else { 1 }
    }

    /// Drops what it has not begun.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.retries.clear();
        self.wanted.clear();
        (self.blocks, self.wants) = (None, None);
    }

    /// The origin cannot be reached: what is left is not tried.
    fn give_up(&mut self) {
        let fate = Fate::Failed(Failing::Refused(Refusal::UpstreamConnect));
        let left: Vec<Ask> = self.items.drain(..).chain(self.retries.drain(..).map(|(_, ask, _)| ask)).collect();
        if !left.is_empty() || self.blocks.is_some() {
            self.run.problem(format!("the upstream cannot be reached: {} items were not tried", left.len()));
        }
        left.iter().for_each(|ask| self.run.note_untried(ask, fate));
        self.clear();
    }

    /// Whether nothing is left to be done.
    pub(crate) fn is_done(&self) -> bool {
        self.flying == 0
            && self.items.is_empty()
            && self.retries.is_empty()
            && self.wanted.is_empty()
            && self.blocks.is_none()
            && (!self.task_runs || self.run.is_cancelled())
    }
}

#[cfg(test)]
mod tests {
    use super::{Active, RETRIES};
    use crate::cache::intent::Need;
    use crate::cache::{Failing, Fate};
    use crate::clock::Stamp;
    use crate::telemetry::Source;
    use crate::warm::ask::{Ask, Manner};
    use crate::warm::books::Run;
    use crate::warm::report::Cause;
    use http::{HeaderMap, StatusCode};
    use std::time::Duration;
    use tokio::time::Instant;

    fn active(cause: Cause) -> Active {
        let run = Run::new("g".into(), cause, Stamp::from_millis(0));
        let need = Need::Fresh { near: 0.1 };
        let manner = Manner { source: Source::Warm, need, ledger: None, timeout: Duration::from_secs(1), keep: 0 };
        Active::new(1, run, None, 0, manner)
    }

    fn ask() -> Ask {
        Ask::new(&"h".parse().unwrap(), "/a".parse().unwrap(), HeaderMap::new())
    }

    #[test]
    fn what_is_due_and_held_back_by_the_pace_does_not_keep_the_runner_awake() {
        let (mut active, now) = (active(Cause::Asked), Instant::now());
        let fate = Fate::Failed(Failing::Status(StatusCode::SERVICE_UNAVAILABLE));
        assert!(active.retry(ask(), 0, fate, Some(Duration::from_secs(7)), 0.5, now).is_none());
        let due = now + Duration::from_secs(7);
        assert_eq!((active.wakes(now), active.has_work(now)), (Some(due), false));
        assert_eq!((active.wakes(due), active.has_work(due)), (None, true));
        assert!(active.retry(ask(), RETRIES, fate, None, 0.5, now).is_some(), "often enough");
    }

    #[test]
    fn a_user_does_not_keep_a_place_for_an_origin_that_wants_to_be_left_alone() {
        let (mut active, now) = (active(Cause::User), Instant::now());
        let fate = Fate::Failed(Failing::Status(StatusCode::TOO_MANY_REQUESTS));
        assert!(active.retry(ask(), 0, fate, Some(Duration::from_secs(60)), 0.5, now).is_some());
        assert!(active.retry(ask(), 0, fate, Some(Duration::from_secs(1)), 0.5, now).is_none());
    }
}
