//! Connections that wait for their next request.

use crate::sidecar::pool::connection::{Connection, Settled};
use crate::sidecar::settings::Origin;
use crate::telemetry::shard::{SHARDS, mine};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// How long an unused connection is kept. Below the keep-alive of common servers (Node, Apache and uvicorn close after 5 s), so that we close
/// first: a request that meets their close can only be repeated if it is idempotent.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(4);
/// Unused connections that are kept to one origin, by each worker. There are never more than requests were under way at once: a request that
/// finds one here opens none.
const MAX_IDLE: usize = 256;
/// How often it is looked for those that are too old.
const SWEEP: Duration = Duration::from_secs(1);

/// All of them. Each worker has a shelf of its own, and looks on those of others before it opens a connection.
#[derive(Debug, Default)]
pub(super) struct Idle {
    shelves: [Mutex<Vec<Lane>>; SHARDS],
    swept: AtomicBool,
    /// Grows when the settings change in a way that makes older connections useless.
    epoch: AtomicU64,
}

/// Those to one origin; the last that came is the first that goes, so that what is not needed grows old.
#[derive(Debug)]
struct Lane {
    origin: Origin,
    resting: Vec<(Settled, Instant)>,
}

impl Idle {
    /// One that is good for a request.
    pub(super) fn take(&self, origin: &Origin, now: Instant) -> Option<Box<Connection>> {
        let first = mine();
        (first..first + SHARDS).find_map(|shelf| self.take_from(shelf % SHARDS, origin, now))
    }

    fn take_from(&self, shelf: usize, origin: &Origin, now: Instant) -> Option<Box<Connection>> {
        loop {
            let (settled, since) = {
                let mut lanes = self.shelves[shelf].lock();
                lanes.iter_mut().find(|lane| lane.origin == *origin)?.resting.pop()?
            };
            if now.saturating_duration_since(since) < POOL_IDLE
                && let Some(connection) = settled.take()
            {
                return Some(connection);
            }
        }
    }

    /// Which settings a connection was made under.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Keeps one for [`POOL_IDLE`].
    pub(super) fn put(self: &Arc<Self>, origin: &Origin, epoch: u64, settled: Settled) {
        // Somebody must close it in its time.
        let Ok(runtime) = Handle::try_current() else { return };
        if epoch != self.epoch() {
            return;
        }
        {
            let mut lanes = self.shelves[mine()].lock();
            let now = Instant::now();
            if let Some(lane) = lanes.iter_mut().find(|lane| lane.origin == *origin) {
                if lane.resting.len() < MAX_IDLE {
                    lane.resting.push((settled, now));
                }
            } else {
                lanes.push(Lane { origin: origin.clone(), resting: vec![(settled, now)] });
            }
        }
        if !self.swept.load(Ordering::Relaxed) && !self.swept.swap(true, Ordering::Relaxed) {
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes those to one origin: something has happened to one of them that has probably happened to all.
    pub(super) fn forget(&self, origin: &Origin) {
        for shelf in &self.shelves {
            shelf.lock().retain(|lane| lane.origin != *origin);
        }
    }

    /// Closes all of them, and what is under way when it is done.
    pub(super) fn outdate(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        self.clear();
    }

    /// Closes all of them.
    pub(super) fn clear(&self) {
        for shelf in &self.shelves {
            shelf.lock().clear();
        }
    }

    /// Closes those that are too old; whether any are left.
    fn tidy(&self) -> bool {
        let mut any = false;
        for shelf in &self.shelves {
            let mut lanes = shelf.lock();
            for lane in lanes.iter_mut() {
                let young = lane.resting.iter().position(|(_, since)| since.elapsed() < POOL_IDLE);
                lane.resting.drain(..young.unwrap_or(lane.resting.len())); // the oldest are first
            }
            lanes.retain(|lane| !lane.resting.is_empty());
            any |= !lanes.is_empty();
        }
        any
    }
}

/// Closes what grows too old, until there is nothing left.
async fn sweep(idle: Weak<Idle>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(idle) = idle.upgrade() else { return };
        if !idle.tidy() {
            idle.swept.store(false, Ordering::Relaxed);
            // One that came in between shall not wait for the next that comes.
            if !idle.tidy() || idle.swept.swap(true, Ordering::Relaxed) {
                return;
            }
        }
    }
}
