//! The bytes that bodies in flight may take, so that `cache.max_bytes` is one honest number: the store gets the rest.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A body below this is not followed once the store has let it go: it belongs to what a connection may take.
const FOLLOWED: usize = 16 << 10;

/// How `max_bytes` is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// For stored responses.
    pub(crate) store: u64,
    /// For bodies that are being received.
    pub(crate) in_flight: u64,
}

impl Shares {
    /// A quarter is for bodies in flight, and at least one object of `max_object`, but never more than half.
    pub(crate) fn of(max_bytes: u64, max_object: u64) -> Self {
        let in_flight = (max_bytes / 4).max(max_object.min(max_bytes / 2));
        Self { store: max_bytes - in_flight, in_flight }
    }
}

/// A budget of bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: u64,
    used: AtomicU64,
}

/// Bytes taken from a budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    budget: Budget,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Self {
        Self(Arc::new(Inner { limit, used: AtomicU64::new(0) }))
    }

    /// Nothing yet, to grow later.
    pub(crate) fn reserve_none(&self) -> Reserved {
        Reserved { budget: self.clone(), bytes: 0 }
    }

    pub(crate) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// A body that counts here from when the store lets go of it ([`Shelf`]) until its last reader does. A small one stays as it is.
    pub(crate) fn follow(&self, body: Bytes) -> (Bytes, Option<Arc<Shelf>>) {
        if body.len() < FOLLOWED {
            return (body, None);
        }
        let account = Arc::new(Account { budget: self.clone(), bytes: body.len() as u64, state: AtomicU8::new(SHELVED) });
        let shelf = Arc::new(Shelf(Arc::clone(&account)));
        (Bytes::from_owner(Followed { body, account }), Some(shelf))
    }
}

impl Reserved {
    /// Takes bytes so that the reservation covers `bytes` in all; `false`, and nothing changes, if the budget has not so many.
    pub(crate) fn cover(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let inner = &self.budget.0;
        let taken = inner
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(more).filter(|sum| *sum <= inner.limit))
            .is_ok();
        if taken {
            self.bytes += more;
        }
        taken
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

const SHELVED: u8 = 0;
const ORPHANED: u8 = 1;
const GONE: u8 = 2;

/// Where the bytes of one body count: with the store while it is [`SHELVED`], here while it is [`ORPHANED`].
#[derive(Debug)]
struct Account {
    budget: Budget,
    bytes: u64,
    state: AtomicU8,
}

/// The bytes that all who read a body share.
struct Followed {
    body: Bytes,
    account: Arc<Account>,
}

impl AsRef<[u8]> for Followed {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if self.account.state.swap(GONE, Ordering::AcqRel) == ORPHANED {
            self.account.budget.0.used.fetch_sub(self.account.bytes, Ordering::Relaxed);
        }
    }
}

/// Held by the stored responses of a body. When the last of them goes, readers who still hold the body take from the budget: where slow ones hold too much that
/// has been evicted, nothing new is stored until they have gone, and `max_bytes` stays the number that it is.
#[derive(Debug)]
pub(crate) struct Shelf(Arc<Account>);

impl Drop for Shelf {
    fn drop(&mut self) {
        let Account { budget, bytes, state } = &*self.0;
        if state.load(Ordering::Acquire) == GONE {
            return;
        }
        // Counted first: whoever drops the body meanwhile may only give back what is there.
        budget.0.used.fetch_add(*bytes, Ordering::Relaxed);
        if state.swap(ORPHANED, Ordering::AcqRel) == GONE {
            state.store(GONE, Ordering::Release);
            budget.0.used.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, FOLLOWED, Shares};
    use bytes::Bytes;

    #[test]
    fn a_reservation_grows_within_the_limit_and_gives_back_all_of_it() {
        let budget = Budget::new(100);
        let (mut one, mut two) = (budget.reserve_none(), budget.reserve_none());
        assert!(one.cover(60) && one.cover(50) && two.cover(40) && !two.cover(41));
        assert_eq!(budget.used(), 100);
        drop(one);
        assert!(two.cover(100));
        drop(two);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_body_counts_from_when_the_store_lets_it_go_until_its_last_reader_does() {
        let budget = Budget::new(1 << 20);
        let (body, shelf) = budget.follow(Bytes::from(vec![b'x'; FOLLOWED]));
        let (reader, part) = (body.clone(), body.slice(..1));
        drop((body, shelf.clone()));
        assert_eq!(budget.used(), 0, "the store has it");
        drop(shelf);
        drop(reader);
        assert_eq!(budget.used(), FOLLOWED as u64);
        drop(part);
        assert_eq!(budget.used(), 0);
        let (body, shelf) = budget.follow(Bytes::from(vec![b'x'; FOLLOWED]));
        drop(body);
        drop(shelf);
        assert_eq!(budget.used(), 0, "nobody reads it");
        assert!(budget.follow(Bytes::from(vec![b'x'; FOLLOWED - 1])).1.is_none());
    }

    #[test]
    fn the_shares_add_up_and_the_store_keeps_at_least_half() {
        for (max_bytes, max_object) in [(0, 1), (1 << 20, 8 << 20), (256 << 20, 8 << 20), (64 << 20, 30 << 20), (u64::MAX, 1)] {
            let shares = Shares::of(max_bytes, max_object);
            assert!(shares.store + shares.in_flight == max_bytes && shares.store >= max_bytes / 2, "{max_bytes}");
        }
    }
}
