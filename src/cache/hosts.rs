//! Under which host readers ask. A warmed copy is found only under the host of its key, and a warm list has paths only.

use parking_lot::{Mutex, MutexGuard};

/// Hosts that are counted at a time.
const MOST: usize = 8;
/// Requests after which a host is believed to be one that readers use.
const PROVEN: u64 = 4;
/// Of the hits on one copy the first is counted, and then so many at a time.
const STRIDE: u64 = 64;

/// Counts the hosts of readers; the rarest makes room for a new one.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<Vec<(Box<str>, u64)>>);

impl Hosts {
    /// A reader has asked under `host`, and the origin is asked.
    pub(crate) fn note(&self, host: &str) {
        add(self.0.lock(), host, 1);
    }

    /// Readers have hit one copy for the `hits`-th time. Without hits a host would be forgotten for being warm; few of them take the lock.
    pub(crate) fn note_hit<'a>(&self, hits: u64, host: impl FnOnce() -> &'a str) {
        if hits == 1 || hits.is_multiple_of(STRIDE) {
            // A hit waits for nobody: a sample that finds the lock taken is left out.
            if let Some(hosts) = self.0.try_lock() {
                add(hosts, host(), if hits == 1 { 1 } else { STRIDE });
            }
        }
    }

    /// The host that readers have named most of late. What was counted stays.
    pub(crate) fn usual(&self) -> Option<Box<str>> {
        let hosts = self.0.lock();
        hosts.iter().filter(|(host, _)| !host.is_empty()).max_by_key(|(_, count)| *count).map(|(host, _)| host.clone())
    }

    /// The host that readers use most, if one has been seen often enough. What was counted loses half its weight.
    pub(crate) fn busiest(&self) -> Option<Box<str>> {
        let mut hosts = self.0.lock();
        let busiest = hosts.iter().filter(|(host, count)| *count >= PROVEN && !host.is_empty()).max_by_key(|(_, count)| *count);
        let busiest = busiest.map(|(host, _)| host.clone());
        hosts.iter_mut().for_each(|(_, count)| *count -= *count / 2);
        busiest
    }
}

impl Hosts {
    /// All hosts that are counted now.
    pub(crate) fn seen(&self) -> Vec<Box<str>> {
        self.0.lock().iter().map(|(host, _)| host.clone()).filter(|host| !host.is_empty()).collect()
    }
}

/// Counts `host`; the rarest makes room for a new one.
fn add(mut hosts: MutexGuard<'_, Vec<(Box<str>, u64)>>, host: &str, weight: u64) {
    if let Some((_, count)) = hosts.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(host)) {
        *count += weight;
        return;
    }
    if hosts.len() >= MOST {
        let Some(rarest) = (0..hosts.len()).min_by_key(|at| hosts[*at].1) else { return };
        // Space-saving would give the newcomer the old count; here a flood of new names must not push out the ones in use.
        if hosts[rarest].1 > weight {
            hosts[rarest].1 -= weight;
            return;
        }
        hosts.swap_remove(rarest);
    }
    hosts.push((host.to_ascii_lowercase().into(), weight));
}

#[cfg(test)]
mod tests {
    use super::Hosts;

    #[test]
    fn the_busiest_host_is_the_one_that_readers_use() {
        let hosts = Hosts::default();
        hosts.note("a");
        assert_eq!((hosts.usual().as_deref(), hosts.busiest()), (Some("a"), None), "one request proves nothing");
        (0..9).for_each(|_| hosts.note("API.example"));
        (0..5).for_each(|_| hosts.note("b"));
        assert_eq!(hosts.busiest().as_deref(), Some("api.example"));
    }

    #[test]
    fn a_flood_of_names_does_not_push_out_the_one_in_use() {
        let hosts = Hosts::default();
        (0..100).for_each(|_| hosts.note("api.example"));
        (0..10_000).for_each(|at| hosts.note(&format!("h{at}")));
        assert_eq!(hosts.busiest().as_deref(), Some("api.example"));
        assert!(hosts.0.lock().len() <= super::MOST);
    }
}
