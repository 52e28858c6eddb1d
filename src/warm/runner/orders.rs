//! What the runner is told, and what it does then.

use crate::cache::wish::Rewarm;
use crate::telemetry::Source;
use crate::warm::active::Active;
use crate::warm::ahead::Ahead;
use crate::warm::ask::{Ask, Manner};
use crate::warm::books::{Job, Run};
use crate::warm::report::Cause;
use crate::warm::runner::Runner;
use crate::warm::settings::WarmSettings;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What the runner may be told.
pub(crate) enum Command {
    /// Run these groups, or all that are switched on.
    Run { groups: Option<Vec<Arc<str>>>, how: How, cause: Cause, reply: oneshot::Sender<Arc<Job>> },
    /// Warm again what a change has put out of date.
    Change(Rewarm, oneshot::Sender<Arc<Job>>),
    /// Other settings.
    Configure(Box<WarmSettings>, oneshot::Sender<()>),
    /// Requests of one user. `done` is told when they have ended.
    User { asks: Vec<Ask>, done: oneshot::Sender<Arc<Run>> },
    /// A job was cancelled: look at the runs.
    Look,
}

/// How groups are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// What is fresh is left alone.
    Gently,
    /// What is fresh is fetched too.
    Forced,
    /// What is fresh is fetched too, and what could not be replaced is dropped.
    Replacing,
}

impl Runner {
    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Run { groups, how, cause, reply } => {
                let all = || self.groups.iter().filter(|group| group.enabled).map(|group| Arc::clone(&group.name)).collect();
                let groups: Vec<_> = groups.unwrap_or_else(all);
                let job = self.start_job(&groups, how, &cause);
                let _ = reply.send(job); // whoever has gone needs no answer
            }
            Command::Configure(settings, done) => {
                self.configure(Arc::from(settings));
                let _ = done.send(());
            }
            Command::Change(rewarm, reply) => {
                let change = self.change(rewarm);
                self.look_up(change, Some(reply));
            }
            Command::User { asks, done } => self.start_user(asks, done),
            Command::Look => {}
        }
    }

    fn start_user(&mut self, asks: Vec<Ask>, done: oneshot::Sender<Arc<Run>>) {
        let run = Run::new("user".into(), Cause::User, self.clock.wall());
        run.begin(self.clock.wall());
        let manner = Manner { source: Source::Warm, need: self.near(), ledger: None, timeout: self.settings.timeout, keep: 0 };
        self.serial += 1;
        let mut active = Active::new(self.serial, Arc::clone(&run), None, u64::MAX, manner).with_items(asks);
        let books = Arc::clone(&self.books);
        let ended = Arc::clone(&run);
        active.afterwards = Some(Box::new(move |run| {
            let mut users = books.users.lock();
            users.runs += 1;
            users.failed_runs += u64::from(run.fates().failed() > 0);
            users.fates.merge(&run.fates());
            drop(users);
            let _ = done.send(ended);
        }));
        self.activate(active);
    }

    /// Takes over other settings at once: what is switched off ends, schedules change, what runs goes on at the new pace.
    pub(super) fn configure(&mut self, settings: Arc<WarmSettings>) {
        self.groups = settings.groups.iter().cloned().map(Arc::new).collect();
        self.cache.shared().forwarding.follow_user(settings.user.as_ref().map(|user| &user.identity));
        self.books.follow(Arc::clone(&settings));
        self.books.keep(&self.groups);
        self.pace.configure(settings.concurrency, settings.max_rate);
        self.cache.shared().wishes.nominate_from(if settings.enabled { settings.refresh_ahead.hits } else { 0 });
        self.timers.configure(&settings, self.clock.wall());
        let runs: HashSet<&Arc<str>> =
            self.groups.iter().filter(|group| settings.enabled && group.enabled).map(|group| &group.name).collect();
        let goes_on = |active: &Active| settings.enabled && (active.account.is_none() || runs.contains(&active.run.group));
        self.active.iter().filter(|active| !goes_on(active)).for_each(|active| active.run.cancel());
        self.owed.extract_if(|name, _| !runs.contains(name)).for_each(|(_, owed)| owed.give_up());
        self.comebacks.retain(|name, _| runs.contains(name));
        if !settings.enabled || !settings.on_startup {
            self.startup = None;
        }
        if !settings.enabled || settings.refresh_ahead.hits == 0 {
            self.ahead = Ahead::default();
            self.due_ahead = None;
        }
        self.settings = settings;
        if let Some(change) = self.later.take_if(|_| !self.settings.enabled) {
            self.drop_the_rest(&change.rewarm, &change.past);
        }
        if !self.settings.hosts.is_empty() {
            let hosts = self.hosts();
            self.books.hosts.store(Arc::new(hosts));
        }
        self.timers.publish(&self.books);
        self.publish();
    }
}
