//! Connections that wait for their next request.

use crate::sidecar::pool::epoch::Epoch;
use crate::sidecar::pool::one::{Connection, Settled};
use crate::sidecar::settings::Origin;
use crate::telemetry::shard::mine;
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
/// Workers beyond so many share shelves.
const SHELVES: usize = 16;
/// How often it is looked for those that are too old.
const SWEEP: Duration = Duration::from_secs(1);

/// All of them. Each worker has a shelf of its own, and looks on those of others before it opens a connection.
#[derive(Debug)]
pub(super) struct Idle {
    shelves: [Mutex<Vec<Lane>>; SHELVES],
    swept: AtomicBool,
    epoch: Epoch,
}

/// Those to one origin; the last that came is the first that goes, so that what is not needed grows old.
#[derive(Debug)]
struct Lane {
    origin: Origin,
    resting: Vec<(Settled, Instant)>,
}

impl Idle {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { shelves: Default::default(), swept: AtomicBool::new(false), epoch }
    }

    /// One that is good for a request.
    pub(super) fn take(&self, origin: &Origin, now: Instant) -> Option<Box<Connection>> {
        let first = mine() % SHELVES;
        (first..first + SHELVES).find_map(|shelf| self.take_from(shelf % SHELVES, origin, now))
    }

    fn take_from(&self, shelf: usize, origin: &Origin, now: Instant) -> Option<Box<Connection>> {
        loop {
            let (settled, since) = {
                let mut lanes = self.shelves[shelf].lock();
                lanes.iter_mut().find(|lane| lane.origin.equals(origin))?.resting.pop()?
            };
            if now.saturating_duration_since(since) < POOL_IDLE
                && settled.epoch() == self.epoch.now()
                && let Some(connection) = settled.take()
            {
                return Some(connection);
            }
        }
    }

    /// Keeps one for [`POOL_IDLE`] from `now` on, if it was made under the settings of this moment.
    pub(super) fn put(self: &Arc<Self>, origin: &Origin, settled: Settled, now: Instant) {
        {
            let mut lanes = self.shelves[mine() % SHELVES].lock();
            // Under the lock: what is put here before the epoch ends is closed by who ends it.
            if settled.epoch() != self.epoch.now() {
                return;
            }
            if let Some(lane) = lanes.iter_mut().find(|lane| lane.origin.equals(origin)) {
                if lane.resting.len() < MAX_IDLE {
                    lane.resting.push((settled, now));
                }
            } else {
                lanes.push(Lane { origin: origin.clone(), resting: vec![(settled, now)] });
            }
        }
        if !self.swept.load(Ordering::Relaxed) {
            match Handle::try_current() {
                Ok(runtime) if !self.swept.swap(true, Ordering::Relaxed) => drop(runtime.spawn(sweep(Arc::downgrade(self)))),
                Ok(_) => {}
                Err(_) => self.forget(origin), // nobody would close it in its time
            }
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
        self.epoch.next();
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

#[cfg(test)]
mod tests {
    use super::Idle;
    use crate::sidecar::pool::epoch::Epoch;
    use crate::sidecar::pool::line::Line;
    use crate::sidecar::pool::one::{Connection, Settled};
    use crate::sidecar::settings::Origin;
    use std::sync::Arc;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::Instant;

    async fn connection(listener: &TcpListener, epoch: u64) -> Settled {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut line = Line::plain(stream, false);
        line.epoch = epoch;
        Connection::open(line)
    }

    #[tokio::test]
    async fn a_connection_of_older_settings_is_neither_kept_nor_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (epoch, origin) = (Epoch::default(), "http://h:80".parse::<Origin>().unwrap());
        let idle = Arc::new(Idle::new(epoch.clone()));
        let put = async |of: u64| idle.put(&origin, connection(&listener, of).await, Instant::now());
        put(epoch.now()).await;
        assert!(idle.take(&origin, Instant::now()).is_some());
        put(epoch.now()).await;
        epoch.next(); // and nothing has been closed yet
        assert!(idle.take(&origin, Instant::now()).is_none());
        let carried = connection(&listener, epoch.now()).await.take().unwrap();
        idle.outdate();
        idle.put(&origin, carried.settle().unwrap(), Instant::now());
        assert!(idle.shelves.iter().all(|shelf| shelf.lock().is_empty()), "it came home too late");
    }
}
