//! What all requests of one cache share.

use crate::cache::budget::{Budget, Shares};
use crate::cache::groups::{GroupName, Groups, Level};
use crate::cache::hosts::Hosts;
use crate::cache::key::{Key, KeyParts, KeySecrets};
use crate::cache::predictor::Predictor;
use crate::cache::settings::Settings;
use crate::cache::store::Store;
use crate::cache::wish::Wishes;
use crate::clock::Clock;
use crate::flow::flight::Flights;
use crate::telemetry::Counters;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// The state of one cache.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) clock: Clock,
    pub(crate) secrets: KeySecrets,
    pub(crate) store: Arc<Store>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) predictor: Predictor,
    pub(crate) budget: Budget,
    pub(crate) counters: Counters,
    pub(crate) wishes: Wishes,
    pub(crate) hosts: Hosts,
    /// As it was when the cache was made; it cannot change.
    pub(crate) max_bytes: u64,
}

impl Shared {
    pub(crate) fn new(settings: Settings, clock: Clock) -> Arc<Self> {
        let shares = Shares::of(settings.max_bytes, settings.max_object);
        let groups = Groups::new();
        Arc::new(Self {
            max_bytes: settings.max_bytes,
            predictor: Predictor::new(clock.now()),
            settings: ArcSwap::from_pointee(settings),
            clock,
            secrets: KeySecrets::new(),
            store: Store::new(shares.store, Arc::clone(&groups)),
            groups,
            flights: Flights::new(),
            budget: Budget::new(shares.in_flight),
            counters: Counters::default(),
            wishes: Wishes::default(),
            hosts: Hosts::default(),
        })
    }

    /// Starts a new sequence number: what is asked of the origin from now on is younger than anything before.
    pub(crate) fn sequence(&self) -> u64 {
        self.groups.next()
    }

    /// Invalidates a target in all its variants and partitions, and whatever is being fetched for it; how many unpartitioned variants there were.
    pub(crate) fn invalidate_target(&self, parts: &KeyParts<'_>, level: Level) -> usize {
        let key: Key = self.secrets.build(&KeyParts { partition: None, ..*parts }).to_key();
        // The group first: a fetch that lands in between finds it, and one that has landed is found in the store.
        self.groups.invalidate(GroupName::Target(&key.target()), level);
        self.store.invalidate(&key, level)
    }
}
