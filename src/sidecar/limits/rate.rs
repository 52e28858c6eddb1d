//! One rate: so many requests a second for each client, with a burst (the generic cell rate algorithm, by governor).

use super::shelf::Shelf;
use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often at most the shelf is swept while clients find no room on it: a flood of them must not buy a sweep with each request.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A rate and what each client has used of it.
#[derive(Debug)]
pub(super) struct Rate<C: Clock> {
    limiter: RateLimiter<u64, Shelf, C, NoOpMiddleware<C::Instant>>,
    crowded: Arc<AtomicBool>,
    swept: Mutex<C::Instant>,
}

impl<C: Clock> Rate<C> {
    /// `None` where `per_second` is zero. A `burst` of zero is that of one second.
    pub(super) fn new(per_second: u32, burst: u32, most_clients: usize, clock: C) -> Option<Self> {
        let per_second = NonZeroU32::new(per_second)?;
        let quota = Quota::per_second(per_second).allow_burst(NonZeroU32::new(burst).unwrap_or(per_second));
        let (crowded, swept) = (Arc::<AtomicBool>::default(), Mutex::new(clock.now()));
        let limiter = RateLimiter::new(quota, Shelf::new(most_clients, crowded.clone()), clock);
        Some(Self { limiter, crowded, swept })
    }

    /// Takes one request from what the client called `key` has left; an error says how long it must wait.
    pub(super) fn check(&self, key: u64) -> Result<(), Duration> {
        let outcome = self.limiter.check_key(&key);
        if self.crowded.load(Ordering::Relaxed) {
            self.sweep();
        }
        outcome.map_err(|until| until.wait_time_from(self.limiter.clock().now()))
    }

    /// How many clients it remembers.
    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        self.limiter.len()
    }

    fn sweep(&self) {
        let now = self.limiter.clock().now();
        let Some(mut swept) = self.swept.try_lock() else { return }; // somebody is at it
        if Duration::from(now.duration_since(*swept)) >= SWEEP_EVERY {
            *swept = now;
            self.limiter.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;
    use governor::clock::FakeRelativeClock;
    use std::time::Duration;

    fn rate(per_second: u32, burst: u32, most: usize) -> (Rate<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Rate::new(per_second, burst, most, clock.clone()).unwrap(), clock)
    }

    fn key(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let (rate, clock) = rate(10, 3, 100);
        assert!((0..3).all(|_| rate.check(1).is_ok()));
        assert_eq!(rate.check(1), Err(Duration::from_millis(100)));
        assert!(rate.check(2).is_ok(), "another client is not concerned");
        clock.advance(Duration::from_millis(100));
        assert!(rate.check(1).is_ok() && rate.check(1).is_err());
    }

    #[test]
    fn without_a_burst_a_second_is_one() {
        let (rate, _) = rate(5, 0, 100);
        assert_eq!((0..20).filter(|_| rate.check(7).is_ok()).count(), 5);
    }

    #[test]
    fn a_flood_of_clients_shares_what_is_beyond_the_bound_and_takes_nothing_from_the_others() {
        let (rate, clock) = rate(2, 2, 160);
        assert!(rate.check(key(0)).is_ok());
        let let_in = (1..100_000).filter(|&number| rate.check(key(number)).is_ok()).count();
        assert!(rate.clients() <= 160, "{}", rate.clients());
        assert!(let_in <= 160 + 16 * 2, "{let_in}: one share for each part");
        assert!(rate.check(key(0)).is_ok(), "who was there before keeps its own");
        // Who has used nothing of late makes room.
        clock.advance(Duration::from_secs(2));
        let later = (200_000..200_100).filter(|&number| rate.check(key(number)).is_ok()).count();
        assert!(later >= 90, "{later}");
        assert!(rate.clients() <= 160);
    }
}
