//! Connections to the upstream that were opened ahead and have not carried a request yet.

use crate::sidecar::live::Live;
use crate::sidecar::pool::{Connection, Epoch, Settled};
use crate::sidecar::settings::Origin;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a connection may lie here: below the minute after which common servers (nginx, Node) close one that has said nothing.
pub(super) const MAX_AGE: Duration = Duration::from_secs(50);
/// A connection that has lain here longer and ends without a word was closed meanwhile; a younger one was refused.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// At most `upstream.preconnect` connections, all to origins of this moment.
#[derive(Debug)]
pub(super) struct Stash {
    live: Arc<Live>,
    epoch: Epoch,
    spares: Mutex<VecDeque<Spare>>,
}

#[derive(Debug)]
struct Spare {
    settled: Settled,
    origin: Origin,
    since: Instant,
}

impl Spare {
    fn is_young(&self) -> bool {
        self.since.elapsed() < MAX_AGE
    }
}

impl Stash {
    pub(super) fn new(live: Arc<Live>, epoch: Epoch) -> Self {
        Self { live, epoch, spares: Mutex::default() }
    }

    /// The connection to `origin` that has lain here longest and is still good. The first that was opened is the first that the upstream has accepted:
    /// where it serves few connections at a time, the later ones still wait for that.
    pub(super) fn take(&self, origin: &Origin) -> Option<Box<Connection>> {
        loop {
            let spare = {
                let mut spares = self.spares.lock();
                let at = spares.iter().position(|spare| spare.origin == *origin)?;
                spares.remove(at)?
            };
            if spare.is_young()
                && spare.settled.epoch() == self.epoch.now()
                && let Some(mut connection) = spare.settled.take()
            {
                connection.proven = spare.since.elapsed() > STALE_AFTER;
                return Some(connection);
            }
        }
    }

    /// Keeps a connection if it still leads to an origin, was made under the settings of this moment, and there is room.
    pub(super) fn put(&self, settled: Settled, origin: &Origin) {
        let mut spares = self.spares.lock();
        let settings = self.live.settings.load();
        let is_current = settled.epoch() == self.epoch.now() && settings.upstream.origins.contains(origin);
        if is_current && spares.len() < settings.upstream.preconnect {
            spares.push_back(Spare { settled, origin: origin.clone(), since: Instant::now() });
        }
    }

    /// Closes what is too old, leads elsewhere or is too much, now that time has passed or the settings have changed.
    pub(super) fn tidy(&self) {
        let mut spares = self.spares.lock();
        let settings = self.live.settings.load();
        spares.retain(|spare| spare.is_young() && settings.upstream.origins.contains(&spare.origin));
        spares.truncate(settings.upstream.preconnect);
    }

    /// Closes those to one origin.
    pub(super) fn forget(&self, origin: &Origin) {
        self.spares.lock().retain(|spare| spare.origin != *origin);
    }

    /// Closes all of them.
    pub(super) fn clear(&self) {
        self.spares.lock().clear();
    }

    /// How many there are to `origin`.
    pub(super) fn count(&self, origin: &Origin) -> usize {
        self.spares.lock().iter().filter(|spare| spare.origin == *origin).count()
    }
}
