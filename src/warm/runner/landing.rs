//! What comes back: requests, tasks, and what they teach of the origin.

use super::{Back, Duty, Runner};
use crate::cache::admit::NotStored;
use crate::cache::{Failing, Fate};
use crate::error::BoxError;
use crate::warm::ask::{Ask, Flown};
use crate::warm::pace::Heard;
use crate::warm::report::Cause;
use crate::warm::task::Wanted;
use http::StatusCode;
use std::sync::Arc;
use tokio::task::{Id, JoinError};
use tokio::time::Instant;

impl Runner {
    /// Takes in what has come back.
    pub(super) fn land(&mut self, joined: Result<(Id, Back), JoinError>) {
        let (id, back) = match joined {
            Ok((id, back)) => (id, Some(back)),
            Err(error) => (error.id(), None),
        };
        let Some(duty) = self.duties.remove(&id) else { return };
        if matches!(duty, Duty::Request(..)) {
            self.in_flight -= 1;
        }
        match (back, duty) {
            (Some(Back::Changed { asks, reply }), Duty::Change(change)) => self.replace(change, asks, reply),
            (_, Duty::Change(change)) => self.make_up_for(&change),
            (Some(Back::Item { serial, ask, tried, flown }), _) => self.land_item(serial, ask, tried, &flown),
            (Some(Back::Wanted { serial, wanted, flown }), _) => self.land_wanted(serial, wanted, flown),
            (Some(Back::Ahead { ask, flown }), _) => {
                self.learn(&Arc::from(""), &flown, &Cause::Startup);
                tracing::debug!(target = ask.target(), fate = flown.fate.as_str(), "refreshed ahead");
                self.books.ahead_fates.lock().add(flown.fate, flown.length, flown.took);
            }
            (Some(Back::Task { serial, result }), _) => self.land_task(serial, result),
            // A panic, in a service or in a task: theirs, and no reason to stop.
            (_, Duty::Request(serial, item)) => self.land_panic(serial, true, item),
            (_, Duty::Task(serial)) => self.land_panic(serial, false, None),
        }
    }

    pub(super) fn land_item(&mut self, serial: u64, ask: Ask, tried: u32, flown: &Flown) {
        let Some(active) = self.active.iter_mut().find(|active| active.serial == serial) else { return };
        active.flying -= 1;
        active.reached(flown.fate);
        let (group, cause) = (Arc::clone(&active.run.group), active.run.cause.clone());
        let again = active.retry(ask, tried, flown.fate, flown.retry_after, rand::random(), Instant::now());
        if let Some(ask) = again {
            active.run.note(&ask, flown);
        }
        self.learn(&group, flown, &cause);
    }

    pub(super) fn land_wanted(&mut self, serial: u64, wanted: Wanted, flown: Flown) {
        if let Some(active) = self.active.iter_mut().find(|active| active.serial == serial) {
            active.flying -= 1;
            active.reached(flown.fate);
            let (group, cause) = (Arc::clone(&active.run.group), active.run.cause.clone());
            if wanted.is_item {
                active.run.note(&wanted.ask, &flown);
            }
            self.learn(&group, &flown, &cause);
        }
        // Whoever has gone needs no answer.
        let _ = wanted.reply.send(flown);
    }

    pub(super) fn land_task(&mut self, serial: u64, result: Result<(), BoxError>) {
        let Some(active) = self.active.iter_mut().find(|active| active.serial == serial) else { return };
        active.task_runs = false;
        if let Err(error) = result {
            active.run.problem(format!("the task failed: {error}"));
        }
    }

    pub(super) fn land_panic(&mut self, serial: u64, is_request: bool, item: Option<Ask>) {
        let Some(active) = self.active.iter_mut().find(|active| active.serial == serial) else { return };
        active.run.problem(if is_request { "a request panicked".into() } else { "the task panicked".into() });
        item.iter().for_each(|ask| active.run.note_untried(ask, Fate::Failed(Failing::Service)));
        if is_request {
            active.flying -= 1;
        } else {
            active.task_runs = false;
        }
    }

    /// Learns from a request how the origin does.
    pub(super) fn learn(&mut self, group: &Arc<str>, flown: &Flown, cause: &Cause) {
        let heard = match flown.fate {
            // The limit of one user is nobody else's.
            Fate::Failed(Failing::Status(StatusCode::TOO_MANY_REQUESTS)) if *cause == Cause::User => return,
            Fate::Skipped | Fate::Uncacheable(NotStored::Pass) => Heard::Nothing,
            Fate::Failed(Failing::Cancelled | Failing::Malformed) => Heard::Nothing,
            Fate::Failed(Failing::TimedOut) => Heard::Trouble,
            fate if fate.may_pass() => Heard::Trouble,
            // Requests for a change, of users and of hot copies are of all kinds.
            Fate::Unchanged => Heard::Unmeasured,
            _ if group.is_empty() || matches!(cause, Cause::Change | Cause::User) => Heard::Unmeasured,
            _ => Heard::Well,
        };
        // Nor may one user have everybody wait.
        let retry_after = flown.retry_after.filter(|_| *cause != Cause::User);
        self.pace.heard(group, heard, flown.took, retry_after, Instant::now());
    }
}
