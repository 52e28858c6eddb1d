//! What all requests of one cache share.

use crate::cache::bans::Prefix;
use crate::cache::budget::{Budget, Shares};
use crate::cache::groups::{GroupName, Groups, Level};
use crate::cache::hosts::Hosts;
use crate::cache::key::{Key, KeyParts, KeySecrets};
use crate::cache::predictor::Predictor;
use crate::cache::settings::Settings;
use crate::cache::store::Store;
use crate::cache::unstored::Unstored;
use crate::cache::wish::Wishes;
use crate::clock::{Clock, Moment};
use crate::flow::flight::Flights;
use crate::flow::forwarding::Forwarding;
use crate::flow::in_force::InForce;
use crate::telemetry::log::RequestLog;
use crate::telemetry::{Invalidations, Outcome, Refusals, Requests, RuleCounts, Trigger};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// The state of one cache.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: ArcSwap<InForce>,
    pub(crate) clock: Clock,
    pub(crate) secrets: KeySecrets,
    pub(crate) store: Arc<Store>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) predictor: Predictor,
    pub(crate) unstored: Unstored,
    pub(crate) budget: Budget,
    pub(crate) requests: Requests,
    /// Errors of the cache's own.
    pub(crate) refusals: Refusals,
    pub(crate) invalidations: Invalidations,
    pub(crate) wishes: Wishes,
    pub(crate) hosts: Hosts,
    pub(crate) log: RequestLog,
    pub(crate) forwarding: Forwarding,
    /// As it was when the cache was made; it cannot change.
    pub(crate) max_bytes: u64,
}

impl Shared {
    pub(crate) fn new(settings: Settings, clock: Clock, log: RequestLog) -> Arc<Self> {
        let shares = Shares::of(settings.max_bytes, settings.max_object);
        let (groups, requests) = (Groups::new(), Requests::default());
        let forwarding = Forwarding::default();
        forwarding.follow(&settings);
        Arc::new(Self {
            max_bytes: settings.max_bytes,
            predictor: Predictor::new(clock.now()),
            settings: ArcSwap::from_pointee(InForce::new(settings, &requests)),
            clock,
            secrets: KeySecrets::new(),
            store: Store::new(shares.store, Arc::clone(&groups)),
            groups,
            flights: Flights::new(),
            unstored: Unstored::default(),
            budget: Budget::new(shares.in_flight),
            requests,
            refusals: Refusals::default(),
            invalidations: Invalidations::default(),
            wishes: Wishes::default(),
            hosts: Hosts::default(),
            log,
            forwarding,
        })
    }

    /// Starts a new sequence number: what is invalidated as of it is what was asked of the origin before this moment.
    pub(crate) fn sequence(&self) -> u64 {
        self.groups.next()
    }

    /// Invalidates a target in all its variants and partitions, and whatever is being fetched for it, as far as it was asked for before `sequence`;
    /// how many unpartitioned variants there were. By both schemes: one upstream answers them.
    pub(crate) fn invalidate_target_as_of(&self, parts: &KeyParts<'_>, level: Level, sequence: u64) -> usize {
        let count = [false, true].into_iter().map(|https| {
            let key: Key = self.secrets.build(&KeyParts { https, partition: None, ..*parts }).to_key();
            // The group first: a fetch that lands in between finds it, and one that has landed is found in the store.
            self.groups.invalidate(GroupName::Target(&key.target()), level, sequence);
            self.store.invalidate(&key, level, sequence)
        });
        let count = count.sum();
        self.sweep_after(level); // its partitions
        count
    }

    /// Invalidates what carries `tag` and was asked for before `sequence`, also if it is still being fetched; `false` if nothing is known to.
    pub(crate) fn invalidate_tag_as_of(&self, tag: &str, level: Level, sequence: u64) -> bool {
        let any = self.groups.invalidate(GroupName::Tag(tag), level, sequence);
        if any {
            self.sweep_after(level);
        }
        any
    }

    /// Invalidates what lies under `prefix` (see [`Prefix`]) and was asked for before `sequence`, also if it is still being fetched.
    pub(crate) fn invalidate_prefix_as_of(&self, prefix: &str, level: Level, sequence: u64) {
        self.invalidate_under_as_of(Prefix::parse(prefix), level, sequence);
    }

    /// Invalidates what lies under `prefix`, as far as it was asked for before `sequence`, also if it is still being fetched.
    pub(crate) fn invalidate_under_as_of(&self, prefix: Prefix, level: Level, sequence: u64) {
        self.groups.invalidate_prefix(prefix, level, sequence);
        self.store.sweep();
    }

    /// Invalidates one path and query under every host, as far as it was asked for before `sequence`, also if it is still being fetched.
    pub(crate) fn invalidate_everywhere_as_of(&self, path: &str, query: Option<&str>, level: Level, sequence: u64) {
        self.invalidate_under_as_of(Prefix::exact(path, query), level, sequence);
    }

    /// Invalidates everything that was asked for before `sequence`.
    pub(crate) fn invalidate_all_as_of(&self, level: Level, sequence: u64) {
        self.groups.invalidate_all(level, sequence);
        self.sweep_after(level);
    }

    /// Gives back the memory of what is gone.
    fn sweep_after(&self, level: Level) {
        if level == Level::Dead {
            self.store.sweep();
        }
    }

    /// Counts an invalidation: one call of the handle, or one change, however much it touches.
    pub(crate) fn count_invalidation(&self, trigger: Trigger) {
        self.invalidations.count(trigger);
        // Changes are as many as clients please; the rest is said or set off by whoever operates this.
        if matches!(trigger, Trigger::Change | Trigger::Rule | Trigger::Rewarm) {
            tracing::debug!(target: "warmfront::invalidation", cause = trigger.as_str(), "invalidated");
        } else {
            tracing::info!(target: "warmfront::invalidation", cause = trigger.as_str(), "invalidated");
        }
    }

    /// Counts a reader's request that came at `began` and has its answer now; how many nanoseconds it took.
    pub(crate) fn count(&self, rule: &RuleCounts, outcome: Outcome, began: Moment) -> u64 {
        let nanos = self.clock.moment().nanos_since(began);
        self.requests.count(rule, outcome, nanos);
        nanos
    }

    /// Puts `settings` in force for all requests from now on.
    pub(crate) fn put_in_force(&self, settings: Settings) {
        self.forwarding.follow(&settings);
        self.settings.store(Arc::new(InForce::new(settings, &self.requests)));
    }
}
