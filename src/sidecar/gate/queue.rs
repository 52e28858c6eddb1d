//! The readers' queue before the upstream: how long it is, how fast it moves, and who need not wait to be refused.

use super::Refused;
use crate::telemetry::Refusal;
use std::time::Duration;
use tokio::time::Instant;

/// Parts of the queue's time-out in which those are counted who were let in.
const PARTS: u32 = 16;
/// Somebody is sent away at once if the queue would have to move more than so many times as fast as it does.
const HASTE: usize = 2;

/// Readers who wait, in order of arrival. Only they come here: who finds a place free does not.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: usize,
    /// Since when there has always been somebody.
    since: Option<Instant>,
    pace: Pace,
}

/// How many were let in lately.
#[derive(Debug, Default)]
struct Pace {
    /// The length of a part, and when the first began.
    clock: Option<(Duration, Instant)>,
    /// The number of a part, and how many came in then. One part more than the time has, as the last is not over.
    parts: [(u64, usize); PARTS as usize + 1],
}

impl Queue {
    /// Takes one more in, one of at most `max`, for a wait of at most `limit` for one of `places`.
    pub(super) fn join(&mut self, max: usize, limit: Duration, places: usize, now: Instant) -> Result<(), Refused> {
        if self.waiting >= max {
            return Err(Refused { refusal: Refusal::QueueFull, wait: None });
        }
        self.pace.follow(limit, now);
        if let Some(wait) = self.hopeless(limit, places, now) {
            return Err(Refused { refusal: Refusal::Overload, wait: Some(wait) });
        }
        self.waiting += 1;
        self.since.get_or_insert(now);
        Ok(())
    }

    /// One leaves, let in or not.
    pub(super) fn leave(&mut self, let_in: bool, now: Instant) {
        self.waiting = self.waiting.saturating_sub(1);
        if let_in {
            self.pace.count(now);
        }
        if self.waiting == 0 {
            self.since = None;
        }
    }

    /// How long the queue lasts, if one who joins it now would wait `limit` in vain.
    ///
    /// As many as were let in during the last `limit` can be expected to be let in during the next, if there was somebody in the queue all the time, so that
    /// no place came free for nobody; and one more for each place, since those inside may all be about to leave. Twice that is still not taken for hopeless:
    /// who is sent away wrongly loses more than who waits in vain.
    fn hopeless(&self, limit: Duration, places: usize, now: Instant) -> Option<Duration> {
        let crowded = self.since.is_some_and(|since| now.saturating_duration_since(since) >= limit) && !limit.is_zero();
        let let_in = self.pace.recent(now);
        if !crowded || self.waiting < let_in.saturating_mul(HASTE).saturating_add(places) {
            return None;
        }
        let lasts = limit.as_secs_f64() * self.waiting as f64 / let_in.max(1) as f64;
        Some(Duration::try_from_secs_f64(lasts).unwrap_or(Duration::MAX))
    }
}

impl Pace {
    /// Begins anew where the time-out has changed.
    fn follow(&mut self, limit: Duration, now: Instant) {
        let length = (limit / PARTS).max(Duration::from_millis(1));
        if self.clock.is_none_or(|(known, _)| known != length) {
            *self = Self { clock: Some((length, now)), ..Self::default() };
        }
    }

    fn number(&self, now: Instant) -> u64 {
        let Some((length, began)) = self.clock else { return 0 };
        let passed = now.saturating_duration_since(began).as_nanos() / length.as_nanos().max(1);
        u64::try_from(passed).unwrap_or(u64::MAX)
    }

    fn count(&mut self, now: Instant) {
        let number = self.number(now);
        let at = usize::try_from(number % u64::from(PARTS + 1)).unwrap_or(0);
        let part = &mut self.parts[at];
        if part.0 != number {
            *part = (number, 0);
        }
        part.1 += 1;
    }

    fn recent(&self, now: Instant) -> usize {
        let number = self.number(now);
        self.parts.iter().filter(|(of, _)| number.saturating_sub(*of) <= u64::from(PARTS)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;
    use crate::telemetry::Refusal;
    use std::cmp::Reverse;
    use std::collections::{BinaryHeap, VecDeque};
    use std::time::Duration;
    use tokio::time::Instant;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A queue before `places`, each of which serves one after the other for `service`; `arrivals` come every millisecond. How many were sent away at once, and
    /// how many of a sample of those would have been served in time.
    fn run(places: usize, service: u64, arrivals: usize, millis: u64) -> (usize, usize) {
        let (mut queue, began) = (Queue::default(), Instant::now());
        let mut busy: Vec<u64> = vec![0; places];
        let mut waiting = VecDeque::new();
        let (mut away, mut wrongly) = (0, 0);
        for at in 0..millis {
            let now = began + Duration::from_millis(at);
            while waiting.front().is_some_and(|came| at - came > 5000) {
                waiting.pop_front();
                queue.leave(false, now);
            }
            for place in &mut busy {
                if *place <= at && waiting.pop_front().is_some() {
                    queue.leave(true, now);
                    *place = at + service;
                }
            }
            for _ in 0..arrivals {
                if let Some(place) = busy.iter_mut().find(|place| **place <= at) {
                    *place = at + service;
                    continue;
                }
                match queue.join(1 << 20, LIMIT, places, now) {
                    Ok(()) => waiting.push_back(at),
                    Err(refused) => {
                        assert_eq!(refused.refusal, Refusal::Overload);
                        away += 1;
                        if away % 20 != 1 {
                            continue;
                        }
                        // Its turn at this service time: when the place is free for the last of those before it.
                        let mut free: BinaryHeap<_> = busy.iter().map(|place| Reverse((*place).max(at))).collect();
                        for _ in 0..waiting.len() {
                            let Reverse(next) = free.pop().unwrap();
                            free.push(Reverse(next + service));
                        }
                        wrongly += usize::from(free.pop().unwrap().0 <= at + 5000);
                    }
                }
            }
        }
        (away, wrongly)
    }

    #[test]
    fn nobody_is_sent_away_who_would_have_been_served() {
        for (places, service, arrivals) in [(1, 2, 1), (1, 700, 1), (4, 100, 1), (16, 3, 6), (8, 2600, 1), (3, 9000, 1), (64, 250, 1)] {
            let (away, wrongly) = run(places, service, arrivals, 14_000);
            assert_eq!(wrongly, 0, "{places} places, {service} ms each: {away} sent away");
        }
    }

    #[test]
    fn who_has_no_hope_is_sent_away_at_once() {
        for (places, service, arrivals) in [(1, 700, 1), (4, 100, 1), (3, 9000, 1)] {
            assert!(run(places, service, arrivals, 14_000).0 > 1000, "{places} places, {service} ms each");
        }
    }

    #[test]
    fn a_queue_that_was_empty_a_moment_ago_proves_nothing() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        (0..500).for_each(|_| queue.join(500, LIMIT, 1, now).unwrap());
        assert_eq!(queue.join(500, LIMIT, 1, now).unwrap_err().refusal, Refusal::QueueFull);
        let later = now + LIMIT / 2;
        assert!(queue.join(501, LIMIT, 1, later).is_ok(), "half a time-out without a move is no proof yet");
        let refused = queue.join(900, LIMIT, 1, now + LIMIT).unwrap_err();
        assert_eq!((refused.refusal, refused.wait), (Refusal::Overload, Some(LIMIT * 501)));
        (0..501).for_each(|_| queue.leave(false, now + LIMIT));
        assert!(queue.join(900, LIMIT, 1, now + LIMIT).is_ok());
        assert!(queue.join(900, Duration::ZERO, 0, now + LIMIT).is_ok(), "who may not wait is refused by the time-out");
    }
}
