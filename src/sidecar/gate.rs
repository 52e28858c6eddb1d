//! How many requests may be at the upstream at once, and who waits for how long.

use crate::telemetry::Refusal;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places at the upstream, in order of arrival, and a bounded queue before it.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Arc<Semaphore>,
    limit: Mutex<usize>,
    /// Places to be taken away as they come back, after the limit was lowered.
    debt: AtomicUsize,
    waiting: AtomicUsize,
}

/// A place at the upstream; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    gate: Gate,
}

impl Gate {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            places: Arc::new(Semaphore::new(limit)),
            limit: Mutex::new(limit),
            debt: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// Changes how many places there are. Nobody loses one; fewer come free until the new limit holds.
    pub(super) fn resize(&self, new: usize) {
        let new = new.clamp(1, Semaphore::MAX_PERMITS);
        let mut limit = self.0.limit.lock();
        if new > *limit {
            for _ in 0..new - *limit {
                if !self.pay_debt() {
                    self.0.places.add_permits(1);
                }
            }
        } else {
            let gone = self.0.places.forget_permits(*limit - new);
            self.0.debt.fetch_add(*limit - new - gone, Ordering::AcqRel);
        }
        *limit = new;
    }

    /// A place, at once or after a wait; a named refusal when there are too many waiting or it takes too long.
    pub(super) async fn enter(&self, max_queue: usize, queue_timeout: Duration) -> Result<Place, Refusal> {
        if let Ok(permit) = self.0.places.clone().try_acquire_owned() {
            return Ok(Place { permit: Some(permit), gate: self.clone() });
        }
        let _waiting = Waiting::join(&self.0.waiting, max_queue).ok_or(Refusal::QueueFull)?;
        match tokio::time::timeout(queue_timeout, self.0.places.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { permit: Some(permit), gate: self.clone() }),
            Ok(Err(_)) | Err(_) => Err(Refusal::QueueTimeout), // the semaphore is never closed
        }
    }

    fn pay_debt(&self) -> bool {
        self.0.debt.fetch_update(Ordering::AcqRel, Ordering::Acquire, |debt| debt.checked_sub(1)).is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.gate.pay_debt()
        {
            permit.forget();
        }
    }
}

/// One who waits; leaving by any door makes room.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(waiting: &'a AtomicUsize, max: usize) -> Option<Self> {
        let joined = waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < max).then_some(count + 1));
        joined.ok().map(|_| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Refusal};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn beyond_the_limit_one_waits_beyond_the_queue_one_is_refused() {
        let gate = Gate::new(1);
        let place = gate.enter(1, LONG).await.unwrap();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter(1, LONG).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert_eq!(gate.enter(1, LONG).await.unwrap_err(), Refusal::QueueFull);
        drop(place);
        assert_eq!(waiting.await.unwrap(), Ok(()), "the place that came free");
        assert!(gate.enter(0, LONG).await.is_ok(), "and was given back");
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_waits_too_long_is_refused_and_leaves_the_queue() {
        let gate = Gate::new(1);
        let _place = gate.enter(1, LONG).await.unwrap();
        for _ in 0..2 {
            assert_eq!(gate.enter(1, LONG).await.unwrap_err(), Refusal::QueueTimeout);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_moves_under_way() {
        let gate = Gate::new(3);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(gate.enter(0, LONG).await.unwrap());
        }
        gate.resize(1);
        places.truncate(1);
        assert_eq!(gate.enter(0, LONG).await.unwrap_err(), Refusal::QueueFull, "one is in, and one is the limit");
        gate.resize(2);
        places.push(gate.enter(0, LONG).await.unwrap());
        assert!(gate.enter(0, LONG).await.is_err());
    }
}
