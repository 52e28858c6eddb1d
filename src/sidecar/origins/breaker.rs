//! A circuit breaker: where nearly everything fails, nothing is asked for a while.

use super::bench::Turn;
use crate::sidecar::settings::BreakerSettings;
use crate::telemetry::BreakerState;
use std::time::Duration;
use tokio::time::Instant;

/// The share of failures is that of so many seconds.
const WINDOW: u64 = 10;

/// What a breaker has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    Closed,
}

/// The breaker of one origin.
#[derive(Debug)]
pub(super) struct Breaker {
    began: Instant,
    /// One for each second of the window.
    seconds: [Second; WINDOW as usize],
    /// Open, and when the next may try.
    open: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    /// Which, since `began`.
    number: u64,
    asked: u64,
    bad: u64,
}

impl Breaker {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, seconds: Default::default(), open: None }
    }

    pub(super) fn turn(&self, now: Instant, settings: &BreakerSettings) -> Turn {
        match self.open {
            Some(until) if is_on(settings) => {
                if now < until {
                    Turn::No(until)
                } else {
                    Turn::Trial
                }
            }
            _ => Turn::Yes,
        }
    }

    pub(super) fn state(&self, now: Instant, settings: &BreakerSettings) -> BreakerState {
        match self.turn(now, settings) {
            Turn::Yes => BreakerState::Closed,
            Turn::Trial => BreakerState::HalfOpen,
            Turn::No(_) => BreakerState::Open,
        }
    }

    /// One request sets out to probe. The next may when `open_for` has passed again.
    pub(super) fn begin_probe(&mut self, now: Instant, settings: &BreakerSettings) {
        if self.open.is_some() {
            self.open = Some(now + settings.open_for);
        }
    }

    /// It has left before there was an answer: the next may at once.
    pub(super) fn leave_probe(&mut self, now: Instant) {
        if self.open.is_some() {
            self.open = Some(now);
        }
    }

    /// What came of a request, which was a probe or not.
    pub(super) fn record(&mut self, bad: bool, probe: bool, now: Instant, settings: &BreakerSettings) -> Option<Change> {
        if !is_on(settings) {
            self.open = None;
            return None;
        }
        if self.open.is_some() {
            match (probe, bad) {
                (false, _) => return None, // it set out before
                (true, true) => {
                    self.open = Some(now + settings.open_for);
                    return None;
                }
                (true, false) => {
                    *self = Self::new(now);
                    self.second(now).asked = 1;
                    return Some(Change::Closed);
                }
            }
        }
        let second = self.second(now);
        second.asked += 1;
        second.bad += u64::from(bad);
        if bad { self.open_if_too_bad(now, settings) } else { None }
    }

    /// The body of an answer broke off whose head was recorded as good at `then`. It counts there, among as many as were asked: a long stream has left the
    /// window before it ends.
    pub(super) fn broke(&mut self, then: Instant, now: Instant, settings: &BreakerSettings) -> Option<Change> {
        if !is_on(settings) || self.open.is_some() || then < self.began {
            return None;
        }
        let number = self.number(then);
        let second = &mut self.seconds[place(number)];
        if second.number != number || second.bad >= second.asked {
            return None; // another has its place, or it was not recorded: the breaker was open
        }
        second.bad += 1;
        self.open_if_too_bad(now, settings)
    }

    fn open_if_too_bad(&mut self, now: Instant, settings: &BreakerSettings) -> Option<Change> {
        if !self.is_too_bad(now, settings) {
            return None;
        }
        self.open = Some(now + settings.open_for);
        Some(Change::Opened)
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let number = self.number(now);
        let second = &mut self.seconds[place(number)];
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second
    }

    fn is_too_bad(&self, now: Instant, settings: &BreakerSettings) -> bool {
        let number = self.number(now);
        let recent = self.seconds.iter().filter(|second| number - second.number.min(number) < WINDOW);
        let (asked, bad) = recent.fold((0, 0), |(asked, bad), second| (asked + second.asked, bad + second.bad));
        asked >= settings.min_requests && bad as f64 >= settings.errors.fraction() * asked as f64
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs()
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % WINDOW).unwrap_or(0)
}

fn is_on(settings: &BreakerSettings) -> bool {
    settings.errors.fraction() > 0.0
}

/// Whether an answer that took so long is a failure for that.
pub(super) fn is_slow(took: Duration, settings: &BreakerSettings) -> bool {
    !settings.slow.is_zero() && took > settings.slow
}

#[cfg(test)]
mod tests {
    use super::{Breaker, Change, Turn, is_slow};
    use crate::sidecar::settings::{BreakerSettings, Share};
    use crate::telemetry::BreakerState;
    use std::time::Duration;
    use tokio::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings(errors: f64, min_requests: u64) -> BreakerSettings {
        BreakerSettings { errors: Share::new(errors), min_requests, open_for: SECOND * 5, ..BreakerSettings::default() }
    }

    #[test]
    fn it_opens_at_its_share_of_failures_among_enough_requests() {
        for (errors, min_requests, good, bad, opens) in [
            (0.5, 20, 10, 10, true),
            (0.5, 20, 11, 10, false),
            (0.5, 20, 0, 19, false),
            (0.5, 20, 0, 20, true),
            (0.9, 20, 2, 18, true),
            (0.9, 20, 3, 18, false),
            (1.0, 1, 0, 1, true),
            (1.0, 1, 1, 99, false),
            (0.0, 1, 0, 1000, false),
        ] {
            let (settings, now) = (settings(errors, min_requests), Instant::now());
            let mut breaker = Breaker::new(now);
            (0..good).for_each(|_| assert_eq!(breaker.record(false, false, now, &settings), None));
            let opened = (0..bad).filter(|_| breaker.record(true, false, now, &settings) == Some(Change::Opened)).count();
            assert_eq!(opened == 1, opens, "{errors} {min_requests} {good} {bad}");
        }
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let (settings, began) = (settings(0.5, 10), Instant::now());
        let mut breaker = Breaker::new(began);
        (0..9).for_each(|at| assert_eq!(breaker.record(true, false, began + SECOND * at / 9, &settings), None));
        assert_eq!(breaker.record(true, false, began + SECOND * 10, &settings), None, "the nine are forgotten");
        (0..8).for_each(|_| assert_eq!(breaker.record(true, false, began + SECOND * 19, &settings), None));
        assert_eq!(breaker.record(true, false, began + SECOND * 19, &settings), Some(Change::Opened), "and the one is not yet");
    }

    #[test]
    fn a_broken_body_counts_where_its_head_did_and_not_beyond_the_window() {
        let (settings, began) = (settings(1.0, 5), Instant::now());
        let asked = |times: u32, at: Instant| {
            let mut breaker = Breaker::new(began);
            (0..times).for_each(|_| assert_eq!(breaker.record(false, false, at, &settings), None));
            breaker
        };
        let mut breaker = asked(5, began);
        (0..4).for_each(|_| assert_eq!(breaker.broke(began, began + SECOND * 9, &settings), None));
        assert_eq!(breaker.broke(began, began + SECOND * 9, &settings), Some(Change::Opened), "all five, in their second");
        let mut breaker = asked(5, began);
        let late = began + SECOND * 60;
        (0..5).for_each(|_| assert_eq!(breaker.record(false, false, late, &settings), None));
        (0..9).for_each(|_| assert_eq!(breaker.broke(began, late, &settings), None, "streams of a minute ago"));
        let mut breaker = asked(4, began);
        (0..9).for_each(|_| assert_eq!(breaker.broke(began, began, &settings), None, "no more fail than were asked"));
        assert_eq!(breaker.record(false, false, began, &settings), None);
        assert_eq!(breaker.broke(began, began, &settings), Some(Change::Opened));
    }

    #[test]
    fn the_body_of_a_probe_counts_and_those_of_before_it_do_not() {
        let (settings, began) = (settings(1.0, 1), Instant::now());
        let mut breaker = Breaker::new(began);
        assert_eq!(breaker.record(true, false, began, &settings), Some(Change::Opened));
        let back = began + SECOND * 5;
        assert_eq!(breaker.record(false, true, back, &settings), Some(Change::Closed));
        assert_eq!(breaker.broke(began, back, &settings), None);
        assert_eq!(breaker.broke(back, back, &settings), Some(Change::Opened));
    }

    #[test]
    fn one_probe_at_a_time_closes_it_or_keeps_it_open() {
        let (settings, now) = (settings(1.0, 1), Instant::now());
        let mut breaker = Breaker::new(now);
        breaker.record(true, false, now, &settings);
        let due = now + SECOND * 5;
        assert_eq!((breaker.turn(now, &settings), breaker.turn(due, &settings)), (Turn::No(due), Turn::Trial));
        assert_eq!(breaker.record(false, false, due, &settings), None, "an answer to what was asked before is no probe");
        assert_eq!(breaker.state(due, &settings), BreakerState::HalfOpen);
        breaker.begin_probe(due, &settings);
        assert_eq!(breaker.turn(due, &settings), Turn::No(due + SECOND * 5), "one alone");
        breaker.leave_probe(due);
        assert_eq!(breaker.turn(due, &settings), Turn::Trial);
        breaker.begin_probe(due, &settings);
        assert_eq!(breaker.record(true, true, due + SECOND, &settings), None);
        assert_eq!(breaker.turn(due + SECOND, &settings), Turn::No(due + SECOND * 6));
        assert_eq!(breaker.record(false, true, due + SECOND * 6, &settings), Some(Change::Closed));
        assert_eq!(breaker.state(due + SECOND * 6, &settings), BreakerState::Closed);
    }

    #[test]
    fn switched_off_it_is_closed() {
        let (on, off, now) = (settings(1.0, 1), settings(0.0, 1), Instant::now());
        let mut breaker = Breaker::new(now);
        breaker.record(true, false, now, &on);
        assert_eq!(breaker.turn(now, &off), Turn::Yes);
        breaker.record(true, false, now, &off);
        assert_eq!(breaker.turn(now, &on), Turn::Yes);
    }

    #[test]
    fn slow_is_what_takes_longer_than_a_limit_that_is_set() {
        for (took, slow, expected) in [(2, 0, false), (2, 1, true), (1, 1, false)] {
            assert_eq!(is_slow(SECOND * took, &BreakerSettings { slow: SECOND * slow, ..BreakerSettings::default() }), expected);
        }
    }
}
