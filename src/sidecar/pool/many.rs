//! HTTP/2 connections, each of which carries many requests.

use crate::sidecar::pool::line::Line;
use crate::sidecar::pool::two;
use crate::sidecar::settings::Origin;
use crate::sidecar::upload::Upload;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::SendRequest;
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long a connection without a stream is kept; one that the peer has announced to close (GOAWAY) takes no more at once.
const IDLE: Duration = Duration::from_secs(50);
/// How often it is looked for that.
const SWEEP: Duration = Duration::from_secs(5);

/// The connections to all origins that speak it. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(in crate::sidecar) struct Many(Arc<Mutex<Vec<Lane>>>);

#[derive(Debug)]
struct Lane {
    origin: Origin,
    open: Vec<Arc<Shared>>,
    knowledge: Knowledge,
    dialing: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Knowledge {
    /// It has chosen HTTP/1.1 when it could choose.
    pub(super) one: bool,
    /// How often there was no connection.
    failures: u64,
}

#[derive(Debug)]
struct Shared {
    send: SendRequest<Upload>,
    streams: AtomicUsize,
    proven: AtomicBool,
    idle_since: Mutex<Instant>,
}

/// A place on a connection; dropping it lets another request have it.
#[derive(Debug)]
pub(in crate::sidecar) struct Stream(Arc<Shared>);

impl Many {
    fn lane<T>(&self, origin: &Origin, look: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lanes = self.0.lock();
        let at = lanes.iter().position(|lane| lane.origin == *origin).unwrap_or_else(|| {
            lanes.push(Lane { origin: origin.clone(), open: Vec::new(), knowledge: Knowledge::default(), dialing: Arc::default() });
            lanes.len() - 1
        });
        look(&mut lanes[at])
    }

    /// A place on the connection with the fewest streams, if there is one.
    pub(super) fn take(&self, origin: &Origin) -> Option<Stream> {
        self.lane(origin, |lane| {
            lane.open.retain(|shared| !shared.send.is_closed());
            let free = lane.open.iter().filter(|shared| shared.streams.load(Ordering::Relaxed) < two::STREAMS);
            let shared = free.min_by_key(|shared| shared.streams.load(Ordering::Relaxed))?;
            shared.streams.fetch_add(1, Ordering::Relaxed);
            Some(Stream(shared.clone()))
        })
    }

    pub(super) fn knowledge(&self, origin: &Origin) -> Knowledge {
        self.lane(origin, |lane| lane.knowledge)
    }

    /// Waits until nobody else opens a connection there: one is enough for many.
    pub(super) async fn dialing(&self, origin: &Origin) -> tokio::sync::OwnedMutexGuard<()> {
        let dialing = self.lane(origin, |lane| lane.dialing.clone());
        dialing.lock_owned().await
    }

    /// There was no connection to `origin`: those who waited for it need not wait for each other.
    pub(super) fn failed(&self, origin: &Origin) {
        self.lane(origin, |lane| lane.knowledge.failures += 1);
    }

    /// `origin` has chosen HTTP/1.1.
    pub(super) fn speaks_one(&self, origin: &Origin) {
        self.lane(origin, |lane| lane.knowledge.one = true);
    }

    /// Speaks HTTP/2 over `line`, and drives it in a task of its own.
    pub(super) async fn add(&self, origin: &Origin, line: Line) -> hyper::Result<Stream> {
        let (send, drive) = two::handshake(line).await?;
        let shared =
            Arc::new(Shared { send, streams: AtomicUsize::new(1), proven: AtomicBool::new(false), idle_since: Mutex::new(Instant::now()) });
        let (lanes, weak) = (Arc::downgrade(&self.0), Arc::downgrade(&shared));
        tokio::spawn(async move {
            let mut drive = pin!(drive);
            loop {
                tokio::select! {
                    ended = &mut drive => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "connection to the upstream ended");
                        }
                        return;
                    }
                    () = tokio::time::sleep(SWEEP) => retire(&lanes, &weak),
                }
            }
        });
        self.lane(origin, |lane| lane.open.push(shared.clone()));
        Ok(Stream(shared))
    }

    /// Forgets origins that are no longer asked.
    pub(super) fn keep(&self, origins: &[Origin]) {
        self.0.lock().retain(|lane| origins.contains(&lane.origin));
    }

    /// Forgets all of them; what is under way goes on.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Lets go of a connection that has been idle for too long; it closes when nobody holds it.
fn retire(lanes: &Weak<Mutex<Vec<Lane>>>, shared: &Weak<Shared>) {
    let (Some(lanes), Some(shared)) = (lanes.upgrade(), shared.upgrade()) else { return };
    let mut lanes = lanes.lock();
    // Streams are added under this lock.
    if shared.streams.load(Ordering::Relaxed) == 0 && shared.idle_since.lock().elapsed() >= IDLE {
        for lane in lanes.iter_mut() {
            lane.open.retain(|open| !Arc::ptr_eq(open, &shared));
        }
    }
}

impl Stream {
    /// Whether the connection was good before.
    pub(super) fn is_proven(&self) -> bool {
        self.0.proven.load(Ordering::Relaxed)
    }

    /// Sends `request` and waits for a response head.
    pub(super) async fn exchange(&self, request: Request<Upload>) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        let response = self.0.send.clone().try_send_request(request).await?;
        self.0.proven.store(true, Ordering::Relaxed);
        Ok(response)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.0.idle_since.lock() = Instant::now();
        }
    }
}
