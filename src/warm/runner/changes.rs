//! What changes have put out of date: looked up, fetched again, and dropped where it could not be replaced.

use super::{Back, Change, Duty, MOST_CHANGES, Runner};
use crate::cache::intent::Need;
use crate::cache::wish::{Rewarm, Wish};
use crate::telemetry::Source;
use crate::warm::active::Active;
use crate::warm::ask::{Ask, Manner};
use crate::warm::books::{Belongings, Job, Run};
use crate::warm::report::Cause;
use crate::warm::rewarm::{self, Dropping};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;

impl Runner {
    pub(super) fn hear(&mut self, wish: Wish) {
        match wish {
            Wish::Ahead(nominee) if self.settings.enabled => self.ahead.nominate(nominee, self.settings.refresh_ahead, rand::random()),
            Wish::Ahead(_) => {}
            Wish::Rewarm(rewarm) if self.settings.enabled && rewarm.warm => {
                let change = self.change(rewarm);
                if self.duties.values().filter(|duty| matches!(duty, Duty::Change(_))).count() < MOST_CHANGES {
                    self.look_up(change, None);
                } else if let Some(later) = &mut self.later {
                    later.merge(change);
                } else {
                    self.later = Some(change);
                }
            }
            Wish::Rewarm(rewarm) => self.drop_the_rest(&Rewarm { warm: false, ..rewarm }, &[]),
        }
    }

    /// A change that comes now.
    pub(super) fn change(&self, rewarm: Rewarm) -> Change {
        let past = rewarm.groups.iter().map(|name| (Arc::clone(name), self.books.account(name).belongings())).collect();
        Change { rewarm, past, until: Instant::now() + rewarm::PATIENCE, job: None }
    }

    /// Looks up, off the runtime's threads, what a change concerns.
    pub(super) fn look_up(&mut self, change: Change, reply: Option<oneshot::Sender<Arc<Job>>>) {
        let (cache, rewarm) = (self.cache.clone(), change.rewarm.clone());
        let id = self.back.spawn_blocking(move || Back::Changed { asks: rewarm::asks(&cache, &rewarm), reply });
        self.duties.insert(id.id(), Duty::Change(change));
    }

    /// Fetches again what a change has put out of date, and then drops what could not be replaced.
    pub(super) fn replace(&mut self, change: Change, asks: Vec<Ask>, reply: Option<oneshot::Sender<Arc<Job>>>) {
        if !self.settings.enabled && reply.is_none() {
            return self.make_up_for(&change); // it was switched off meanwhile
        }
        let rewarm = &change.rewarm;
        let need = Need::BornSince(rewarm.sequence);
        let known: Vec<Arc<str>> =
            rewarm.groups.iter().filter(|name| self.groups.iter().any(|group| group.name == **name)).cloned().collect();
        let mut runs = self.runs_of(&known, need, &Cause::Change);
        if !asks.is_empty() {
            let run = Run::new("change".into(), Cause::Change, self.clock.wall());
            run.begin(self.clock.wall());
            let manner = Manner { source: Source::Refresh, need, ledger: None, timeout: self.settings.timeout, keep: 0 };
            self.serial += 1;
            self.activate(Active::new(self.serial, Arc::clone(&run), None, u64::MAX, manner).with_items(asks));
            runs.push((run, false));
        }
        let job = self.books.enter(Cause::Change, self.clock.wall(), runs);
        self.drop_when_replaced(change, Arc::clone(&job));
        if let Some(reply) = reply {
            let _ = reply.send(job); // whoever has gone needs no answer
        }
    }

    pub(super) fn drop_when_replaced(&mut self, mut change: Change, job: Arc<Job>) {
        let until = change.until;
        job.drops(true);
        change.job = Some(Arc::clone(&job));
        let id = self.back.spawn(async move {
            // What takes longer goes on; the old copies are not served for ever.
            let _ = tokio::time::timeout_at(until, job.runs_ended()).await;
            Back::Replaced
        });
        self.duties.insert(id.id(), Duty::Change(change));
    }

    /// Everything of a change that can be replaced has been; the next may come.
    pub(super) fn make_up_for(&mut self, change: &Change) {
        self.drop_and_tell(&change.rewarm, &change.past, change.job.clone());
        if let Some(later) = self.later.take() {
            self.look_up(later, None);
        }
    }

    pub(super) fn drop_the_rest(&self, rewarm: &Rewarm, past: &[(Arc<str>, Belongings)]) {
        self.drop_and_tell(rewarm, past, None);
    }

    pub(super) fn drop_and_tell(&self, rewarm: &Rewarm, past: &[(Arc<str>, Belongings)], job: Option<Arc<Job>>) {
        let dropping = self.dropping(rewarm, past);
        let is_large = dropping.is_large();
        let drop = move || {
            dropping.run();
            job.into_iter().for_each(|job| job.drops(false));
        };
        // A large plan is not walked through on the thread that all warming waits for.
        if is_large {
            tokio::task::spawn_blocking(drop);
        } else {
            drop();
        }
    }

    /// What a change has put out of date and is to be dropped.
    pub(super) fn dropping(&self, rewarm: &Rewarm, past: &[(Arc<str>, Belongings)]) -> Dropping {
        let hosts = rewarm::hosts(&self.cache, &self.books);
        let mut groups = Vec::new();
        for group in self.groups.iter().filter(|group| rewarm.groups.contains(&group.name)) {
            let present = self.books.account(&group.name).belongings();
            let before = past.iter().find(|(name, before)| *name == group.name && !before.is_same(&present));
            groups.extend(before.map(|(_, before)| (Arc::clone(group), before.clone())));
            groups.push((Arc::clone(group), present));
        }
        Dropping { cache: self.cache.clone(), rewarm: rewarm.clone(), groups, hosts }
    }
}

impl Change {
    /// Takes in one that came later: what both have put out of date has been so since the later one, and is dropped by the time of the earlier one.
    fn merge(&mut self, other: Self) {
        fn add(names: &mut Vec<Arc<str>>, others: Vec<Arc<str>>) {
            others.into_iter().for_each(|name| {
                if !names.contains(&name) {
                    names.push(name)
                }
            });
        }
        add(&mut self.rewarm.tags, other.rewarm.tags);
        add(&mut self.rewarm.prefixes, other.rewarm.prefixes);
        add(&mut self.rewarm.groups, other.rewarm.groups);
        self.rewarm.sequence = self.rewarm.sequence.max(other.rewarm.sequence);
        let known = |past: &[(Arc<str>, Belongings)], name: &Arc<str>| past.iter().any(|(known, _)| known == name);
        other.past.into_iter().for_each(|(name, past)| {
            if !known(&self.past, &name) {
                self.past.push((name, past))
            }
        });
    }
}
