//! Decides which requests are told of.

use crate::telemetry::log::trace::mix;
use crate::telemetry::shard::{add, mine, parts};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Decides, at the end of each request, whether it is told of. One that is not costs two reads and one uncontended increment.
#[derive(Debug)]
pub struct Sampler {
    /// Dice below are kept; the largest number: all are.
    threshold: AtomicU64,
    /// From how many nanoseconds on a request is slow.
    slow: AtomicU64,
    out: Box<[Part]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicU64);

impl Sampler {
    /// Keeps the share `rate` (from 0 to 1), and what takes `slow` or longer; with `slow` at zero nothing is slow.
    #[must_use]
    pub fn new(rate: f64, slow: Duration) -> Self {
        let out = (0..parts()).map(|_| Part::default()).collect();
        let sampler = Self { threshold: AtomicU64::default(), slow: AtomicU64::default(), out };
        sampler.set(rate, slow);
        sampler
    }

    /// Decides otherwise from now on.
    pub fn set(&self, rate: f64, slow: Duration) {
        let threshold = if rate >= 1.0 { u64::MAX } else { (rate.max(0.0) * u64::MAX as f64) as u64 };
        let nanos = u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX);
        self.threshold.store(threshold, Ordering::Relaxed);
        self.slow.store(if nanos == 0 { u64::MAX } else { nanos }, Ordering::Relaxed);
    }

    /// Whether a request that took `nanos` is told of. `always`: whatever the rate is. `dice` is that of its trace, if it has one; it is asked
    /// for only if it counts.
    pub fn keeps(&self, always: bool, nanos: u64, dice: impl FnOnce() -> Option<u64>) -> bool {
        let threshold = self.threshold.load(Ordering::Relaxed);
        if always || threshold == u64::MAX || nanos >= self.slow.load(Ordering::Relaxed) {
            return true;
        }
        let keeps = threshold > 0 && dice().unwrap_or_else(throw) < threshold;
        if !keeps {
            add([(&self.out[mine()].0, 1)]);
        }
        keeps
    }

    /// Whether a trace of this dice is kept if nothing goes wrong.
    #[must_use]
    pub fn would_keep(&self, dice: u64) -> bool {
        let threshold = self.threshold.load(Ordering::Relaxed);
        threshold == u64::MAX || dice < threshold
    }

    /// Whether something is told of that is no request: as [`keeps`](Self::keeps), but it is not counted.
    pub(crate) fn keeps_uncounted(&self, always: bool, nanos: u64, dice: u64) -> bool {
        always || nanos >= self.slow.load(Ordering::Relaxed) || self.would_keep(dice)
    }

    /// How many requests were not told of.
    #[must_use]
    pub fn sampled_out(&self) -> u64 {
        self.out.iter().map(|part| part.0.load(Ordering::Relaxed)).sum()
    }
}

/// A number that nobody need be unable to guess.
fn throw() -> u64 {
    thread_local!(static STATE: Cell<u64> = const { Cell::new(0) });
    STATE.with(|state| {
        let last = if state.get() == 0 { rand::random() } else { state.get() };
        state.set(last.wrapping_add(0x9e37_79b9_7f4a_7c15));
        mix(last)
    })
}

#[cfg(test)]
mod tests {
    use super::Sampler;
    use crate::telemetry::log::Trace;
    use std::time::Duration;

    const SLOW: Duration = Duration::from_secs(1);

    fn kept(sampler: &Sampler, requests: u64) -> u64 {
        (0..requests).filter(|_| sampler.keeps(false, 0, || None)).count() as u64
    }

    #[test]
    fn the_rate_is_the_share_that_is_kept_and_the_rest_is_counted() {
        let sampler = Sampler::new(0.25, SLOW);
        let told = kept(&sampler, 100_000);
        assert!((24_000..26_000).contains(&told), "{told}");
        assert_eq!(sampler.sampled_out(), 100_000 - told);
    }

    #[test]
    fn errors_and_slow_requests_are_always_kept() {
        let sampler = Sampler::new(0.0, SLOW);
        assert!(sampler.keeps(true, 0, || None) && sampler.keeps(false, 1_000_000_000, || None));
        assert!(!sampler.keeps(false, 999_999_999, || Some(0)));
        sampler.set(0.0, Duration::ZERO);
        assert!(!sampler.keeps(false, u64::MAX - 1, || None), "none is slow");
        sampler.set(1.0, SLOW);
        assert_eq!((kept(&sampler, 100), sampler.sampled_out()), (100, 2));
    }

    #[test]
    fn a_trace_is_kept_or_not_wherever_it_is_asked_about() {
        let (one, other) = (Sampler::new(0.5, SLOW), Sampler::new(0.5, SLOW));
        let mut told = 0;
        for _ in 0..1000 {
            let dice = Trace::random().dice();
            let keeps = one.keeps(false, 0, || Some(dice));
            assert!(keeps == other.keeps(false, 0, || Some(dice)) && keeps == one.would_keep(dice));
            told += u32::from(keeps);
        }
        assert!((400..600).contains(&told), "{told}");
    }
}
