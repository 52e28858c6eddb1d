//! What a change has put out of date is warmed again, the most read first. The old copies serve until their replacements are there; what has not been
//! replaced by then is dropped as of the moment of the change.

use crate::cache::Site;
use crate::cache::entry::Stored;
use crate::cache::groups::Level;
use crate::cache::key::Key;
use crate::cache::wish::Rewarm;
use crate::layer::Cache;
use crate::telemetry::Trigger;
use crate::warm::ask::Ask;
use crate::warm::books::{Belongings, Books};
use crate::warm::group::Group;
use http::Uri;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Copies that one change may have warmed again; the others are dropped at the end like what could not be fetched.
pub(crate) const MOST_COPIES: usize = 1000;
/// How long old copies may serve at most while they are being replaced.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be fetched again: the copies that somebody reads or that were warmed on purpose, and once more those that took the place of such a copy. What belongs to an identity cannot be asked for without
/// its credentials.
pub(crate) fn asks(cache: &Cache, rewarm: &Rewarm) -> Vec<Ask> {
    let store = &cache.shared().store;
    let of_tags = rewarm.tags.iter().flat_map(|tag| store.members(tag, MOST_COPIES));
    let of_prefixes = rewarm.prefixes.iter().flat_map(|prefix| store.members_of_prefix(prefix, MOST_COPIES));
    let of_targets = rewarm.targets.iter().flat_map(|target| store.members_under(target, MOST_COPIES));
    let mut copies: Vec<(Key, Arc<Stored>)> = of_tags.chain(of_prefixes).chain(of_targets).collect();
    copies.retain(|(_, stored)| stored.head.born() < rewarm.sequence && (stored.hits() > 0 || stored.is_heir() || stored.warmth.is_some()));
    copies.sort_by_key(|(_, stored)| std::cmp::Reverse(stored.hits()));
    let mut seen = HashSet::new();
    copies.retain(|(_, stored)| seen.insert(Arc::as_ptr(stored)));
    copies.truncate(MOST_COPIES);
    copies.iter().filter_map(|(key, stored)| Ask::replay(key, stored)).collect()
}

/// Requests of groups that are walked through at once; more go to a thread of their own.
const AT_ONCE: usize = 2000;

/// What is to be dropped as of a change.
pub(crate) struct Dropping {
    pub(crate) cache: Cache,
    pub(crate) rewarm: Rewarm,
    /// The groups that it names, with what belongs to them.
    pub(crate) groups: Vec<(Arc<Group>, Belongings)>,
    /// The hosts under which they may be stored.
    pub(crate) hosts: Vec<Site>,
}

impl Dropping {
    /// Whether it takes long: all requests of the groups are made for each host.
    pub(crate) fn is_large(&self) -> bool {
        let size = |(group, of): &(Arc<Group>, Belongings)| {
            let product = group.expand(&of.lists, |_| 0).tally().product;
            usize::try_from(product).unwrap_or(usize::MAX).min(group.max_items)
        };
        self.groups.iter().map(size).fold(0, usize::saturating_add).saturating_mul(self.hosts.len()) > AT_ONCE
    }

    /// Drops what has not been replaced: at [`Level::Stale`], so that it may still cover errors inside its windows, or at [`Level::Invalid`] where
    /// nothing was warmed.
    pub(crate) fn run(&self) {
        let Self { cache, rewarm, groups, hosts } = self;
        let level = if rewarm.warm { Level::Stale } else { Level::Invalid };
        let shared = cache.shared();
        for tag in &rewarm.tags {
            shared.invalidate_tag_as_of(tag, level, rewarm.sequence);
        }
        for prefix in &rewarm.prefixes {
            shared.invalidate_prefix_as_of(prefix, level, rewarm.sequence);
        }
        for target in &rewarm.targets {
            shared.invalidate_under_as_of(target.clone(), level, rewarm.sequence);
        }
        for (group, belongings) in groups {
            for host in hosts {
                drop_group(cache, group, belongings, host, level, rewarm.sequence);
            }
        }
        shared.count_invalidation(Trigger::Rewarm);
    }
}

/// The hosts under which copies of a group may be stored: those that are warmed, and those that readers name.
pub(crate) fn hosts(cache: &Cache, books: &Books) -> Vec<Site> {
    let mut hosts = (**books.hosts.load()).clone();
    hosts.extend(cache.shared().hosts.seen());
    // What is dropped is dropped by both schemes.
    let mut seen = HashSet::new();
    hosts.retain(|host| seen.insert(host.authority().clone()));
    hosts
}

/// Drops every target of a group, with what its lists held the last time; of a task, what it has warmed since its last whole run began. How many copies that were.
pub(crate) fn drop_group(cache: &Cache, group: &Group, of: &Belongings, host: &Site, level: Level, sequence: u64) -> usize {
    let drop = |target: &str| {
        let scheme = if host.is_https() { "https" } else { "http" };
        let uri = format!("{scheme}://{}{target}", host.authority()).parse::<Uri>().ok();
        uri.map_or(0, |uri| cache.invalidate_as_of(&uri, level, sequence))
    };
    let planned: usize = group.expand(&of.lists, |item| cache.key_hash(host, &item.target)).map(|item| drop(item.target.as_str())).sum();
    if group.task.is_none() {
        return planned;
    }
    let warmed = of.runs.iter().flat_map(|run| run.outcomes(0, usize::MAX).0);
    planned + warmed.map(|outcome| drop(&outcome.target)).sum::<usize>()
}
