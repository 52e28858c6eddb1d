//! Ejection: an origin that fails several times in a row is left alone for a while, and comes back by a trial.

use crate::sidecar::settings::Ejection;
use std::time::Duration;
use tokio::time::Instant;

/// No ejection grows beyond this.
const LONGEST: Duration = Duration::from_mins(5);

/// Whether something may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Yes,
    /// One request may try.
    Trial,
    /// Not before this.
    No(Instant),
}

/// How one origin does in the eyes of those who asked it.
#[derive(Debug, Default)]
pub(super) struct Bench {
    /// Failures in a row.
    failures: u32,
    out: Option<Out>,
    /// Ejections in a row.
    times: u32,
    /// When it came back last, and for how long it had been sent out.
    returned: Option<(Instant, Duration)>,
    last_failure: Option<Instant>,
}

#[derive(Debug)]
struct Out {
    since: Instant,
    until: Instant,
    length: Duration,
}

impl Bench {
    pub(super) fn turn(&self, now: Instant, settings: &Ejection) -> Turn {
        match &self.out {
            Some(out) if settings.after > 0 => {
                if now < out.until {
                    Turn::No(out.until)
                } else {
                    Turn::Trial
                }
            }
            _ => Turn::Yes,
        }
    }

    /// One request sets out to try. Another may when this one has taken as long as the ejection.
    pub(super) fn begin_trial(&mut self, now: Instant) {
        if let Some(out) = &mut self.out {
            out.until = now + out.length;
        }
    }

    /// It has left before there was an answer: the next may try at once.
    pub(super) fn leave_trial(&mut self, now: Instant) {
        if let Some(out) = &mut self.out {
            out.until = now;
        }
    }

    /// It has answered; whether that brings it back.
    pub(super) fn succeeded(&mut self, now: Instant) -> bool {
        self.failures = 0;
        let back = self.out.take();
        if let Some(out) = &back {
            self.returned = Some((now, out.length));
        }
        back.is_some()
    }

    /// The head of an answer has come, whose body may still break off; whether that brings it back. Not if it was asked for, at `began`, before the
    /// ejection: under load those are many, and say no more than what ejected it.
    pub(super) fn answered(&mut self, began: Instant, now: Instant) -> bool {
        self.out.as_ref().is_some_and(|out| began >= out.since) && self.succeeded(now)
    }

    /// The body of an answer has come whole. One that it was asked for before it was ejected does not bring it back.
    pub(super) fn completed(&mut self) {
        if self.out.is_none() {
            self.failures = 0;
        }
    }

    /// Whether a whole answer would change anything.
    pub(super) const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// It has failed, in a trial or not; whether it is ejected now, for how long in all.
    pub(super) fn failed(&mut self, trial: bool, now: Instant, settings: &Ejection) -> Option<Duration> {
        self.last_failure = Some(now);
        self.failures = self.failures.saturating_add(1);
        if settings.after == 0 {
            return None;
        }
        if let Some(out) = &mut self.out {
            if trial {
                self.times = self.times.saturating_add(1);
                out.length = length(self.times, settings.time);
                out.until = now + out.length;
            }
            return None; // others that fail there were under way, or came for want of a better
        }
        if self.failures < settings.after {
            return None;
        }
        // Who is sent out again no later than after the time that it was out the last time has not recovered.
        let again = self.returned.is_some_and(|(since, length)| now.saturating_duration_since(since) <= length);
        self.times = if again { self.times.saturating_add(1) } else { 1 };
        let length = length(self.times, settings.time);
        self.out = Some(Out { since: now, until: now + length, length });
        Some(length)
    }

    /// Where all are out, the one that failed longest ago is the least bad.
    pub(super) const fn last_failure(&self) -> Option<Instant> {
        self.last_failure
    }
}

fn length(times: u32, time: Duration) -> Duration {
    time.saturating_mul(times).min(LONGEST.max(time))
}

#[cfg(test)]
mod tests {
    use super::{Bench, LONGEST, Turn, length};
    use crate::sidecar::settings::Ejection;
    use std::time::Duration;
    use tokio::time::Instant;

    const TIME: Duration = Duration::from_secs(10);
    const SETTINGS: Ejection = Ejection { after: 3, time: TIME };

    fn fail(bench: &mut Bench, times: usize, now: Instant) -> Option<Duration> {
        (0..times).map(|_| bench.failed(false, now, &SETTINGS)).last().flatten()
    }

    #[test]
    fn failures_in_a_row_eject_and_one_success_between_them_does_not() {
        let (mut bench, now) = (Bench::default(), Instant::now());
        assert_eq!(fail(&mut bench, 2, now), None);
        assert!(!bench.succeeded(now));
        assert_eq!((fail(&mut bench, 2, now), bench.turn(now, &SETTINGS)), (None, Turn::Yes));
        assert_eq!((fail(&mut bench, 1, now), bench.turn(now, &SETTINGS)), (Some(TIME), Turn::No(now + TIME)));
        assert_eq!(fail(&mut bench, 9, now), None, "ejected once");
        assert_eq!(bench.turn(now, &Ejection { after: 0, time: TIME }), Turn::Yes, "switched off meanwhile");
    }

    #[test]
    fn a_head_alone_makes_up_for_nothing_and_a_body_of_before_the_ejection_brings_nobody_back() {
        let (mut bench, now) = (Bench::default(), Instant::now());
        fail(&mut bench, 2, now);
        assert!(!bench.answered(now, now) && bench.has_failed());
        bench.completed();
        assert!(!bench.has_failed());
        fail(&mut bench, 3, now);
        bench.completed();
        assert_eq!(bench.turn(now, &SETTINGS), Turn::No(now + TIME));
        assert!(bench.answered(now, now), "a head does: that is what the trial asked for");
    }

    #[test]
    fn a_head_that_was_asked_for_before_the_ejection_brings_nobody_back() {
        let (mut bench, before) = (Bench::default(), Instant::now());
        let now = before + TIME / 10;
        fail(&mut bench, 3, now);
        assert!(!bench.answered(before, now));
        assert_eq!(bench.turn(now, &SETTINGS), Turn::No(now + TIME));
        let later = now + TIME / 10;
        assert!(bench.answered(later, later), "one for want of a better does");
    }

    #[test]
    fn one_tries_when_the_time_is_over_and_brings_it_back() {
        let (mut bench, now) = (Bench::default(), Instant::now());
        fail(&mut bench, 3, now);
        let due = now + TIME;
        assert_eq!(bench.turn(due, &SETTINGS), Turn::Trial);
        bench.begin_trial(due);
        assert_eq!(bench.turn(due, &SETTINGS), Turn::No(due + TIME), "one alone");
        bench.leave_trial(due);
        assert_eq!(bench.turn(due, &SETTINGS), Turn::Trial, "the first has left");
        assert!(bench.succeeded(due));
        assert_eq!(bench.turn(due, &SETTINGS), Turn::Yes);
    }

    #[test]
    fn a_failed_trial_prolongs_it_and_a_long_good_time_starts_anew() {
        let (mut bench, mut now) = (Bench::default(), Instant::now());
        fail(&mut bench, 3, now);
        for times in 2..5 {
            now += TIME * times;
            bench.begin_trial(now);
            bench.failed(true, now, &SETTINGS);
            assert_eq!(bench.turn(now, &SETTINGS), Turn::No(now + TIME * times));
        }
        bench.succeeded(now);
        assert_eq!(fail(&mut bench, 3, now + TIME), Some(TIME * 5), "soon again");
        bench.succeeded(now);
        assert_eq!(fail(&mut bench, 3, now + TIME * 100), Some(TIME));
    }

    #[test]
    fn no_ejection_is_longer_than_the_longest_unless_it_was_asked_for() {
        for (times, time, expected) in [
            (1, TIME, TIME),
            (3, TIME, TIME * 3),
            (1000, TIME, LONGEST),
            (u32::MAX, Duration::MAX, Duration::MAX),
            (7, LONGEST * 2, LONGEST * 2),
        ] {
            assert_eq!(length(times, time), expected);
        }
    }
}
