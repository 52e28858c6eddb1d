//! Under which host and by which scheme readers ask. A warmed copy is found only under those of its key, and a warm list has paths only.

use crate::cache::key::Key;
use crate::cache::site::Site;
use parking_lot::{Mutex, MutexGuard};

/// Hosts that are counted at a time.
const MOST: usize = 8;
/// Requests after which a host is believed to be one that readers use.
const PROVEN: u64 = 4;
/// Of the hits on one copy the first is counted, and then so many at a time.
const STRIDE: u64 = 64;

/// One host by one scheme.
#[derive(Debug)]
struct Seen {
    https: bool,
    host: Box<str>,
    count: u64,
}

impl Seen {
    /// As readers name it; `None` for requests without a host.
    fn site(&self) -> Option<Site> {
        Some(Site::new(self.https, self.host.parse().ok()?))
    }
}

/// Counts the hosts of readers; the rarest makes room for a new one.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<Vec<Seen>>);

impl Hosts {
    /// A reader has asked under the host of `key`, and the origin is asked.
    pub(crate) fn note(&self, key: &Key) {
        add(self.0.lock(), key.is_https(), key.authority(), 1);
    }

    /// Readers have hit the copy of `key` for the `hits`-th time. Without hits a host would be forgotten for being warm; few of them take the lock.
    pub(crate) fn note_hit(&self, hits: u64, key: &Key) {
        if hits == 1 || hits.is_multiple_of(STRIDE) {
            // A hit waits for nobody: a sample that finds the lock taken is left out.
            if let Some(hosts) = self.0.try_lock() {
                add(hosts, key.is_https(), key.authority(), if hits == 1 { 1 } else { STRIDE });
            }
        }
    }

    /// The host that readers have named most of late. What was counted stays.
    pub(crate) fn usual(&self) -> Option<Site> {
        most(&self.0.lock(), 0)
    }

    /// The host that readers use most, if one has been seen often enough. What was counted loses half its weight.
    pub(crate) fn busiest(&self) -> Option<Site> {
        let mut hosts = self.0.lock();
        let busiest = most(&hosts, PROVEN);
        hosts.iter_mut().for_each(|seen| seen.count -= seen.count / 2);
        busiest
    }

    /// All hosts that are counted now.
    pub(crate) fn seen(&self) -> Vec<Site> {
        self.0.lock().iter().filter_map(Seen::site).collect()
    }
}

/// The host that is named most, at least `proven` times.
fn most(hosts: &[Seen], proven: u64) -> Option<Site> {
    let named = hosts.iter().filter(|seen| seen.count >= proven && !seen.host.is_empty());
    named.max_by_key(|seen| seen.count).and_then(Seen::site)
}

/// Counts a host; the rarest makes room for a new one.
fn add(mut hosts: MutexGuard<'_, Vec<Seen>>, https: bool, host: &str, weight: u64) {
    if let Some(seen) = hosts.iter_mut().find(|seen| seen.https == https && seen.host.eq_ignore_ascii_case(host)) {
        seen.count += weight;
        return;
    }
    if hosts.len() >= MOST {
        let Some(rarest) = (0..hosts.len()).min_by_key(|at| hosts[*at].count) else { return };
        // Space-saving would give the newcomer the old count; here a flood of new names must not push out the ones in use.
        if hosts[rarest].count > weight {
            hosts[rarest].count -= weight;
            return;
        }
        hosts.swap_remove(rarest);
    }
    hosts.push(Seen { https, host: host.to_ascii_lowercase().into(), count: weight });
}

#[cfg(test)]
mod tests {
    use super::Hosts;
    use crate::cache::key::{Key, KeyParts, KeySecrets};

    fn key(https: bool, authority: &str) -> Key {
        KeySecrets::new().build(&KeyParts { https, authority, path: "/", query: None, partition: None }).to_key()
    }

    fn shown(site: Option<crate::cache::Site>) -> Option<String> {
        site.map(|site| site.to_string())
    }

    #[test]
    fn the_busiest_host_is_the_one_that_readers_use() {
        let hosts = Hosts::default();
        hosts.note(&key(false, "a"));
        assert_eq!((shown(hosts.usual()).as_deref(), hosts.busiest()), (Some("a"), None), "one request proves nothing");
        (0..9).for_each(|_| hosts.note(&key(false, "API.example")));
        (0..5).for_each(|_| hosts.note(&key(false, "b")));
        assert_eq!(shown(hosts.busiest()).as_deref(), Some("api.example"));
    }

    #[test]
    fn the_scheme_is_the_one_that_readers_use_with_the_host() {
        let hosts = Hosts::default();
        (0..9).for_each(|_| hosts.note(&key(false, "a")));
        (0..20).for_each(|_| hosts.note(&key(true, "a")));
        assert_eq!((shown(hosts.busiest()).as_deref(), hosts.seen().len()), (Some("https://a"), 2));
    }

    #[test]
    fn a_flood_of_names_does_not_push_out_the_one_in_use() {
        let hosts = Hosts::default();
        (0..100).for_each(|_| hosts.note(&key(false, "api.example")));
        (0..10_000).for_each(|at| hosts.note(&key(false, &format!("h{at}"))));
        assert_eq!(shown(hosts.busiest()).as_deref(), Some("api.example"));
        assert!(hosts.0.lock().len() <= super::MOST);
    }
}
