//! What a change has put out of date is warmed again, the most read first. The old copies serve until their replacements are there; what has not been
//! replaced by then is dropped as of the moment of the change.

use crate::cache::entry::Stored;
use crate::cache::groups::Level;
use crate::cache::key::Key;
use crate::cache::wish::Rewarm;
use crate::layer::Cache;
use crate::warm::ask::Ask;
use crate::warm::books::Account;
use crate::warm::group::Group;
use http::{HeaderValue, Uri};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Copies that one change may have warmed again; the others are dropped at the end like what could not be fetched.
pub(crate) const MOST_COPIES: usize = 1000;
/// How long old copies may serve at most while they are being replaced.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be fetched again: the copies that somebody reads or that were warmed on purpose. What belongs to an identity cannot be asked for without
/// its credentials.
pub(crate) fn asks(cache: &Cache, rewarm: &Rewarm) -> Vec<Ask> {
    let store = &cache.shared().store;
    let of_tags = rewarm.tags.iter().flat_map(|tag| store.members(tag, MOST_COPIES));
    let of_prefixes = rewarm.prefixes.iter().flat_map(|prefix| store.members_of_prefix(prefix, MOST_COPIES));
    let mut copies: Vec<(Key, Arc<Stored>)> = of_tags.chain(of_prefixes).collect();
    copies.retain(|(_, stored)| stored.head.lineage.born < rewarm.sequence && (stored.hits() > 0 || stored.warmth.is_some()));
    copies.sort_by_key(|(_, stored)| std::cmp::Reverse(stored.hits()));
    let mut seen = HashSet::new();
    copies.retain(|(_, stored)| seen.insert(Arc::as_ptr(stored)));
    copies.truncate(MOST_COPIES);
    copies.iter().filter_map(|(key, stored)| Ask::replay(key, stored)).collect()
}

/// Drops, as of the change, what has not been replaced: at [`Level::Stale`], so that it may still cover errors inside its windows, or at
/// [`Level::Invalid`] where nothing was warmed.
pub(crate) fn drop_the_rest(cache: &Cache, rewarm: &Rewarm, groups: &[(Arc<Group>, Arc<Account>)], hosts: &[HeaderValue]) {
    let level = if rewarm.warm { Level::Stale } else { Level::Invalid };
    let shared = cache.shared();
    for tag in &rewarm.tags {
        shared.invalidate_tag_as_of(tag, level, rewarm.sequence);
    }
    for prefix in &rewarm.prefixes {
        shared.invalidate_prefix_as_of(prefix, level, rewarm.sequence);
    }
    for (group, account) in groups {
        for host in hosts {
            drop_group(cache, group, account, host, level, rewarm.sequence);
        }
    }
    shared.count_invalidation();
}

/// `hosts`, and all others under which readers may have copies of the same targets.
pub(crate) fn with_readers(cache: &Cache, hosts: &[HeaderValue]) -> Vec<HeaderValue> {
    let mut all = hosts.to_vec();
    for host in cache.shared().hosts.all().iter().filter_map(|host| HeaderValue::from_str(host).ok()) {
        if !all.contains(&host) {
            all.push(host);
        }
    }
    all
}

/// Drops every target of a group, with what its lists held the last time; of a task, what it has warmed the last time. How many copies that were.
pub(crate) fn drop_group(cache: &Cache, group: &Group, account: &Account, host: &HeaderValue, level: Level, sequence: u64) -> usize {
    let drop = |target: &str| {
        let uri = host.to_str().ok().and_then(|host| format!("http://{host}{target}").parse::<Uri>().ok());
        uri.map_or(0, |uri| cache.invalidate_as_of(&uri, level, sequence))
    };
    let lists = account.lists();
    let planned: usize = group.expand(&lists, |item| cache.key_hash(host, &item.target)).map(|item| drop(item.target.as_str())).sum();
    let task = group.task.as_ref().and_then(|_| account.last());
    planned + task.map_or(0, |run| run.outcomes(0, usize::MAX).0.iter().map(|outcome| drop(&outcome.target)).sum())
}
