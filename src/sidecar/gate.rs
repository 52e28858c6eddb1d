//! How many requests may be at the upstream at once, and who waits for how long.
//!
//! Readers wait in a bounded queue, in order of arrival. What [yields](Priority::yields) to them stands aside: it holds no room in that queue, takes a place
//! only when one is free, and only within its share of all places. A place that comes free goes to the queue first: the semaphore under it hands it to the
//! one who waits longest, and has free ones only when nobody does. One [`Notify`] wakes those aside.

mod permits;
mod queue;

use self::permits::Permits;
use self::queue::Queue;
use crate::priority::Priority;
use crate::telemetry::Refusal;
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Places at the upstream, a bounded queue of readers before it, and a way past the queue's end for what yields to them.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// All places.
    places: Permits,
    /// Those of them that requests which yield may hold, or wait for.
    share: Permits,
    /// Readers in the queue.
    queue: Mutex<Queue>,
    /// Requests that have their share and stand aside until a place is free.
    aside: AtomicUsize,
    /// Wakes one of them.
    chance: Notify,
}

/// A place at the upstream; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Place {
    gate: Gate,
    _portion: Option<Portion>,
}

/// No place, and when it may be worth while to come again, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) wait: Option<Duration>,
}

/// One of the share, for as long as it lives.
#[derive(Debug)]
struct Portion(Gate);

impl Gate {
    /// `limit` places, at least one, of which requests that yield may hold `share`.
    pub(super) fn new(limit: usize, share: usize) -> Self {
        Self(Arc::new(Inner {
            places: Permits::new(limit.max(1)),
            share: Permits::new(share),
            queue: Mutex::default(),
            aside: AtomicUsize::new(0),
            chance: Notify::new(),
        }))
    }

    /// Changes how many places there are, and the share. Nobody loses one; fewer come free until the new limits hold.
    pub(super) fn resize(&self, limit: usize, share: usize) {
        self.0.places.resize(limit.max(1));
        self.0.share.resize(share);
        self.0.chance.notify_waiters();
    }

    /// Places that are held.
    pub(super) fn held(&self) -> usize {
        self.0.places.held()
    }

    /// A place for one that does not yield, if there is one and nobody waits for it.
    pub(super) fn enter_at_once(&self, priority: Option<&Priority>) -> Option<Place> {
        (priority.is_none_or(|priority| !priority.yields()) && self.0.places.try_take()).then(|| self.place(None))
    }

    /// A place, at once or after a wait; a named refusal when there are too many waiting, when it takes too long or is sure to. None of these limits is about what yields: it waits
    /// for as long as its caller does, and is refused only if it has no share at all.
    pub(super) async fn enter(&self, priority: Option<&Priority>, max_queue: usize, queue_timeout: Duration) -> Result<Place, Refused> {
        if let Some(priority) = priority.filter(|priority| priority.yields())
            && let Some(place) = Box::pin(self.enter_aside(priority)).await?
        {
            return Ok(place);
        }
        if self.0.places.try_take() {
            return Ok(self.place(None));
        }
        let mut queued = Queued::join(&self.0, max_queue, queue_timeout)?;
        match tokio::time::timeout(queue_timeout, self.0.places.take()).await {
            Ok(()) => {
                queued.let_in = true;
                Ok(self.place(None))
            }
            Err(_) => Err(Refused { refusal: Refusal::QueueTimeout, wait: None }),
        }
    }

    /// A place that no reader wants; `None` as soon as the request does not yield any more.
    async fn enter_aside(&self, priority: &Priority) -> Result<Option<Place>, Refused> {
        if self.0.share.is_none() {
            return Err(Refused { refusal: Refusal::QueueFull, wait: None });
        }
        tokio::select! {
            biased;
            () = priority.raised() => Ok(None),
            place = self.stand_aside() => Ok(Some(place)),
        }
    }

    async fn stand_aside(&self) -> Place {
        self.0.share.take().await;
        let portion = Portion(self.clone());
        let _aside = Aside::step(&self.0.aside);
        loop {
            let mut chance = pin!(self.0.chance.notified());
            // Enlisted before looking: whoever gives a place back from now on wakes this one, and a wake-up that it does not need goes to the next.
            chance.as_mut().enable();
            fence(Ordering::SeqCst);
            if self.0.places.try_take() {
                return self.place(Some(portion));
            }
            chance.await;
        }
    }

    fn place(&self, portion: Option<Portion>) -> Place {
        Place { gate: self.clone(), _portion: portion }
    }
}

impl Inner {
    /// A place may be free: one of those aside looks. Without any it costs a fence and a load.
    fn beckon(&self) {
        // With its twin in `stand_aside`: either this sees the one aside, or that one sees what has changed.
        fence(Ordering::SeqCst);
        if self.aside.load(Ordering::Relaxed) > 0 && self.places.any_free() {
            self.chance.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.0.places.give_back();
        self.gate.0.beckon();
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        self.0.0.share.give_back();
    }
}

/// A reader in the queue. Leaving by any door makes room; one who leaves as a place is handed to it leaves that to those aside.
struct Queued<'a> {
    inner: &'a Inner,
    let_in: bool,
}

impl<'a> Queued<'a> {
    fn join(inner: &'a Inner, max: usize, limit: Duration) -> Result<Self, Refused> {
        let places = inner.places.limit();
        inner.queue.lock().join(max, limit, places, Instant::now())?;
        Ok(Self { inner, let_in: false })
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.inner.queue.lock().leave(self.let_in, Instant::now());
        self.inner.beckon();
    }
}

/// One who stands aside.
struct Aside<'a>(&'a AtomicUsize);

impl<'a> Aside<'a> {
    fn step(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
