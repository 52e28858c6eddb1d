//! What begins: runs whose time has come or that somebody asks for, joined, owed, and come back to.

use super::{Back, COMEBACK, Duty, How, LOOK, Owed, Runner, WANTS};
use crate::cache::intent::Need;
use crate::cache::wish::Rewarm;
use crate::telemetry::Source;
use crate::warm::active::Active;
use crate::warm::ask::Manner;
use crate::warm::books::{Job, Run};
use crate::warm::draw::Drawing;
use crate::warm::report::Cause;
use crate::warm::task::Fetcher;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

impl Runner {
    pub(super) fn start_what_is_due(&mut self, now: Instant) {
        if self.startup.is_some_and(|startup| startup <= now) {
            self.startup = None;
            let groups = self.scheduled_at_startup();
            if !groups.is_empty() {
                self.start_job(&groups, How::Gently, &Cause::Startup);
            }
        }
        let back: Vec<Arc<str>> = self.comebacks.iter().filter(|(_, (then, _))| *then <= now).map(|(name, _)| Arc::clone(name)).collect();
        for name in back {
            let is_running = self.books.account(&name).running().is_some();
            if let Some((then, _)) = self.comebacks.get_mut(&name) {
                *then = now + if is_running { COMEBACK[0] } else { LOOK * 60 }; // set anew when it ends
            }
            if is_running {
                continue;
            }
            self.start_job(&[name], How::Gently, &Cause::Startup);
        }
        let due = self.timers.due(self.clock.wall());
        if due.is_empty() {
            return;
        }
        for due in due {
            let cause = Cause::Schedule(due.words);
            if self.books.account(&due.group).running().is_some() {
                self.owe(&due.group, self.near(), &cause);
            } else {
                self.start_job(&[due.group], How::Gently, &cause);
            }
        }
        self.timers.publish(&self.books);
    }

    pub(super) fn scheduled_at_startup(&self) -> Vec<Arc<str>> {
        let at_startup = self.groups.iter().filter(|group| group.enabled && group.schedule.runs_at_startup());
        at_startup.map(|group| Arc::clone(&group.name)).collect()
    }

    /// Starts runs of these groups, or joins those that are going on.
    pub(super) fn start_job(&mut self, groups: &[Arc<str>], how: How, cause: &Cause) -> Arc<Job> {
        // What is asked of the origin from here on is new enough for all groups of the job.
        let sequence = self.cache.shared().sequence();
        let need = if how == How::Gently { self.near() } else { Need::BornSince(sequence) };
        let rewarm = Rewarm { groups: groups.to_vec(), sequence, warm: true, ..Rewarm::default() };
        let change = (how == How::Replacing).then(|| self.change(rewarm));
        let runs = self.runs_of(groups, need, cause);
        let job = self.books.enter(cause.clone(), self.clock.wall(), runs);
        if let Some(change) = change {
            self.drop_when_replaced(change, Arc::clone(&job));
        }
        self.publish();
        job
    }

    /// A run for each group: one that is going on if it does what is needed, else one of its own, which waits until the other has ended.
    pub(super) fn runs_of(&mut self, groups: &[Arc<str>], need: Need, cause: &Cause) -> Vec<(Arc<Run>, bool)> {
        let mut runs = Vec::new();
        for name in groups {
            match self.books.account(name).running() {
                Some(running) if matches!(need, Need::Fresh { .. }) && !running.is_cancelled() => runs.push((running, true)),
                Some(_) => runs.push(self.owe(name, need, cause)),
                None => {
                    let run = Run::new(Arc::clone(name), cause.clone(), self.clock.wall());
                    if self.start(&run, need) {
                        runs.push((run, false));
                    }
                }
            }
        }
        runs
    }

    /// A run of the group for when the one that is going on has ended, and whether somebody wanted it before; one for all who want one meanwhile, as
    /// demanding as the most demanding.
    pub(super) fn owe(&mut self, name: &Arc<str>, need: Need, cause: &Cause) -> (Arc<Run>, bool) {
        let now = self.clock.wall();
        if self.owed.get(name).is_some_and(|owed| owed.run.is_cancelled()) {
            self.owed.remove(name).into_iter().for_each(Owed::give_up);
        }
        let joined = self.owed.contains_key(name);
        let owed = self.owed.entry(Arc::clone(name));
        let owed = owed.or_insert_with(|| Owed { run: Run::new(Arc::clone(name), cause.clone(), now), need });
        owed.need = match (owed.need, need) {
            (Need::BornSince(one), Need::BornSince(other)) => Need::BornSince(one.max(other)),
            (Need::Fresh { .. }, other) => other,
            (one, Need::Fresh { .. }) => one,
        };
        (Arc::clone(&owed.run), joined)
    }

    pub(super) fn near(&self) -> Need {
        Need::Fresh { near: self.settings.refresh_ahead.before }
    }

    /// Starts a run of its group; `false` if there is none of that name.
    pub(super) fn start(&mut self, run: &Arc<Run>, need: Need) -> bool {
        let name = &run.group;
        let Some(group) = self.groups.iter().find(|group| group.name == *name).map(Arc::clone) else { return false };
        let account = self.books.account(name);
        run.begin(self.clock.wall());
        account.begin(run);
        let hosts = self.hosts();
        self.books.hosts.store(Arc::new(hosts.clone()));
        let host = hosts.first().cloned().unwrap_or_else(|| self.default_host.clone());
        let (wants, wanted) = mpsc::channel(WANTS);
        let fetcher = Fetcher { host, wants, bell: Arc::clone(&self.bell) };
        let ledger = Some(Arc::clone(&account.ledger));
        let manner = Manner { source: Source::Warm, need, ledger, timeout: self.settings.timeout, keep: 0 };
        self.serial += 1;
        let mut active = Active::new(self.serial, Arc::clone(run), Some(Arc::clone(&account)), group.priority, manner);
        active.slowed_before = self.pace.backoff().slowed;
        if let Some(task) = &group.task {
            let running = task.run(fetcher);
            let serial = self.serial;
            let handle = self.back.spawn(async move { Back::Task { serial, result: running.await } });
            self.duties.insert(handle.id(), Duty::Task(serial));
            active.task_runs = true;
            active.task = Some(handle);
            active = active.with_channels(None, wanted);
        } else {
            let (blocks, drawn) = mpsc::channel(1);
            let drawing = Drawing { group, hosts, cache: self.cache.clone(), run: Arc::clone(run), account, fetcher };
            tokio::spawn(drawing.draw(blocks));
            active = active.with_channels(Some(drawn), wanted);
        }
        self.activate(active);
        tracing::debug!(group = %name, cause = %run.cause, "warm run begins");
        true
    }

    /// A start-up run that could not reach the origin tries again, less and less often.
    pub(super) fn plan_comeback(&mut self, active: &Active) {
        let (run, name) = (&active.run, &active.run.group);
        let failed = active.is_unreachable() && !run.is_cancelled();
        if active.account.is_none() || failed && run.cause != Cause::Startup {
            return; // it changes nothing about one that is planned
        }
        let before = self.comebacks.remove(name).map(|(_, wait)| wait);
        if !failed {
            return;
        }
        let wait = before.map_or(COMEBACK[0], |wait| (wait * 2).min(COMEBACK[1]));
        self.comebacks.insert(Arc::clone(name), (Instant::now() + wait, wait));
    }
}

impl Owed {
    /// It will not run.
    pub(super) fn give_up(self) {
        self.run.cancel();
        self.run.close(0);
        self.run.announce();
    }
}
