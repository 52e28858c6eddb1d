//! A run under way, as the runner sees it: what it still has to do.

use crate::cache::Fate;
use crate::warm::ask::{Ask, Manner};
use crate::warm::books::{Account, Run};
use crate::warm::draw::Block;
use crate::warm::task::Wanted;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, error::TryRecvError};
use tokio::time::Instant;

/// Further tries of an item after a failure that may pass.
pub(crate) const RETRIES: u32 = 2;
/// The wait before the first further try; it doubles, and half of it is left to chance.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait for one item, whatever the origin's `Retry-After` says.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After so many items in a row that could not reach the origin, the rest is not tried.
const UNREACHABLE: u32 = 8;

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
    /// It ends by then at the latest.
    pub(crate) deadline: Option<Instant>,
    pub(crate) afterwards: Option<Afterwards>,
    /// Whether its task, if it has one, is still running.
    pub(crate) task_runs: bool,
    items: VecDeque<Ask>,
    retries: Vec<(Instant, Ask, u32)>,
    wanted: VecDeque<Wanted>,
    blocks: Option<Receiver<Block>>,
    wants: Option<Receiver<Wanted>>,
    unreachable: u32,
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
            deadline: None,
            afterwards: None,
            task_runs: false,
            items: VecDeque::new(),
            retries: Vec::new(),
            wanted: VecDeque::new(),
            blocks: None,
            wants: None,
            unreachable: 0,
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
        while let Some(wants) = &mut self.wants {
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

    /// When it has something to do that it has not now. What is due already waits for the pace, which says when.
    pub(crate) fn wakes(&self, now: Instant) -> Option<Instant> {
        self.retries.iter().map(|(then, ..)| *then).filter(|then| *then > now).chain(self.deadline).min()
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
        let wait = retry_after.unwrap_or_else(|| (FIRST_WAIT * 2_u32.pow(tried)).mul_f64(0.5 + chance));
        self.retries.push((now + wait.min(LONGEST_WAIT), ask, tried + 1));
        None
    }

    /// Counts whether the origin could be reached.
    pub(crate) fn reached(&mut self, reached: bool) {
        self.unreachable = if reached { 0 } else { self.unreachable + 1 };
    }

    /// Whether no request of it could reach the origin.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.unreachable >= UNREACHABLE
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
        let fate = Fate::Failed(crate::cache::Failing::Refused(crate::telemetry::Refusal::UpstreamConnect));
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
