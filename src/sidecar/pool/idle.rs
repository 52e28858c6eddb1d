//! Connections that wait for their next request.

use crate::sidecar::pool::connection::{Connection, Settled};
use crate::telemetry::shard::{SHARDS, mine};
use http::uri::Authority;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// A connection leads to one of these.
#[derive(Clone, Copy, Debug)]
pub(in crate::sidecar) struct Way<'a> {
    /// Whether it speaks TLS.
    pub(in crate::sidecar) tls: bool,
    pub(in crate::sidecar) authority: &'a Authority,
}

/// All of them. Each worker has a shelf of its own, and looks on those of others before it opens a connection.
#[derive(Debug, Default)]
pub(super) struct Idle {
    shelves: [Mutex<Vec<Lane>>; SHARDS],
    swept: AtomicBool,
}

/// Those to one origin; the last that came is the first that goes, so that what is not needed grows old.
#[derive(Debug)]
struct Lane {
    tls: bool,
    authority: Authority,
    resting: Vec<(Settled, Instant)>,
}

impl Lane {
    fn leads(&self, way: Way<'_>) -> bool {
        self.tls == way.tls && self.authority == *way.authority
    }
}

impl Idle {
    /// One that is good for a request.
    pub(super) fn take(&self, way: Way<'_>) -> Option<Box<Connection>> {
        let first = mine();
        (first..first + SHARDS).find_map(|shelf| self.take_from(shelf % SHARDS, way))
    }

    fn take_from(&self, shelf: usize, way: Way<'_>) -> Option<Box<Connection>> {
        loop {
            let (settled, since) = {
                let mut lanes = self.shelves[shelf].lock();
                lanes.iter_mut().find(|lane| lane.leads(way))?.resting.pop()?
            };
            if since.elapsed() < POOL_IDLE
                && let Some(connection) = settled.take()
            {
                return Some(connection);
            }
        }
    }

    /// Keeps one for [`POOL_IDLE`].
    pub(super) fn put(self: &Arc<Self>, way: Way<'_>, settled: Settled) {
        // Somebody must close it in its time.
        let Ok(runtime) = Handle::try_current() else { return };
        {
            let mut lanes = self.shelves[mine()].lock();
            let now = Instant::now();
            if let Some(lane) = lanes.iter_mut().find(|lane| lane.leads(way)) {
                if lane.resting.len() < MAX_IDLE {
                    lane.resting.push((settled, now));
                }
            } else {
                lanes.push(Lane { tls: way.tls, authority: way.authority.clone(), resting: vec![(settled, now)] });
            }
        }
        if !self.swept.load(Ordering::Relaxed) && !self.swept.swap(true, Ordering::Relaxed) {
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes those to one origin: something has happened to one of them that has probably happened to all.
    pub(super) fn forget(&self, way: Way<'_>) {
        for shelf in &self.shelves {
            shelf.lock().retain(|lane| !lane.leads(way));
        }
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
