//! Permits whose number can change.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// A number of permits that can change while some are out.
#[derive(Debug)]
pub(super) struct Permits {
    /// Never closed.
    free: Semaphore,
    limit: Mutex<usize>,
    /// Permits to be taken away as they come back, after the limit was lowered.
    debt: AtomicUsize,
}

impl Permits {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { free: Semaphore::new(limit), limit: Mutex::new(limit), debt: AtomicUsize::new(0) }
    }

    pub(super) fn resize(&self, new: usize) {
        let new = new.min(Semaphore::MAX_PERMITS);
        let mut limit = self.limit.lock();
        if new > *limit {
            for _ in 0..new - *limit {
                self.give_back();
            }
        } else {
            let gone = self.free.forget_permits(*limit - new);
            self.debt.fetch_add(*limit - new - gone, Ordering::AcqRel);
        }
        *limit = new;
    }

    /// Takes one that is free and that nobody waits for.
    pub(super) fn try_take(&self) -> bool {
        self.free.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    /// Waits for one. Whoever stops waiting has taken none.
    pub(super) async fn take(&self) {
        if let Ok(permit) = self.free.acquire().await {
            permit.forget();
        }
    }

    pub(super) fn give_back(&self) {
        let pay = self.debt.fetch_update(Ordering::AcqRel, Ordering::Acquire, |debt| debt.checked_sub(1));
        if pay.is_err() {
            self.free.add_permits(1);
        }
    }

    pub(super) fn any_free(&self) -> bool {
        self.free.available_permits() > 0
    }

    pub(super) fn limit(&self) -> usize {
        *self.limit.lock()
    }

    pub(super) fn is_none(&self) -> bool {
        self.limit() == 0
    }

    pub(super) fn held(&self) -> usize {
        let limit = self.limit.lock();
        (*limit + self.debt.load(Ordering::Acquire)).saturating_sub(self.free.available_permits())
    }
}
