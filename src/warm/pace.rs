//! How fast warming goes: a rate, and as many requests at a time as the origin takes well. Additive increase, multiplicative decrease, as TCP does
//! (RFC 5681), on errors and on latency. Pure: the present is an argument.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The longest pause that a `Retry-After` may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Requests that may go at once after a lull are those of this time, two at least. Readers share the thread: a larger burst would keep them waiting.
const BURST: Duration = Duration::from_millis(10);
/// Answers before latency is judged.
const SAMPLES: u32 = 8;
/// Slower than this many times the usual, plus [`SLACK_MILLIS`], is slow.
const SLOW: f64 = 3.0;
const SLACK_MILLIS: f64 = 50.0;

/// What may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One more request may go.
    Go,
    /// One may go then.
    At(Instant),
    /// One may go when another has come back.
    Full,
}

/// How a request went, seen from the origin's strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It answered, as long as such answers take.
    Well,
    /// It answered, but how long that took tells nothing: a 304 is quick, and requests of all kinds have no usual time.
    Unmeasured,
    /// It failed, or asked to be left alone.
    Trouble,
    /// It was not asked.
    Nothing,
}

/// How often and how far warming has backed off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// How often it was slowed down because the origin was slow or in trouble.
    pub slowed: u64,
    /// How long it paused because the origin asked for it (`Retry-After`, 429), in milliseconds.
    pub paused_millis: u64,
    /// How many requests may be under way now.
    pub width: usize,
}

/// The pace of all warming together.
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    interval: Duration,
    width: f64,
    usual: HashMap<Arc<str>, Usual>,
    /// No second cut before this: the answers that come until then were asked at the old pace.
    calm: Option<Instant>,
    paused: Option<Instant>,
    /// When the next request is due if they go evenly.
    due: Option<Instant>,
    slowed: u64,
    paused_total: Duration,
}

/// How long answers of one group take, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Usual {
    smooth: f64,
    base: f64,
    samples: u32,
}

impl Pace {
    /// At most `concurrency` requests at a time and `rate` a second; a rate of 0 is no limit.
    pub(crate) fn new(concurrency: usize, rate: u32) -> Self {
        let mut pace = Self {
            most: 1,
            interval: Duration::ZERO,
            width: f64::MAX,
            usual: HashMap::new(),
            calm: None,
            paused: None,
            due: None,
            slowed: 0,
            paused_total: Duration::ZERO,
        };
        pace.configure(concurrency, rate);
        pace
    }

    /// Changes the limits; what was learned of the origin stays.
    pub(crate) fn configure(&mut self, concurrency: usize, rate: u32) {
        let was_open = self.width >= self.most as f64;
        self.most = concurrency.max(1);
        self.width = if was_open { self.most as f64 } else { self.width.min(self.most as f64) };
        self.interval = if rate == 0 { Duration::ZERO } else { Duration::from_secs(1) / rate };
    }

    pub(crate) fn backoff(&self) -> Backoff {
        let paused_millis = u64::try_from(self.paused_total.as_millis()).unwrap_or(u64::MAX);
        Backoff { slowed: self.slowed, paused_millis, width: self.width as usize }
    }

    /// Whether one more request may go while `in_flight` are under way; if so, it is counted.
    pub(crate) fn step(&mut self, in_flight: usize, now: Instant) -> Step {
        if let Some(until) = self.paused.filter(|until| *until > now) {
            return Step::At(until);
        }
        if in_flight >= self.width as usize {
            return Step::Full;
        }
        if self.interval.is_zero() {
            return Step::Go;
        }
        // The generic cell rate algorithm (ITU-T I.371): a request may come before its time by the burst.
        let due = self.due.map_or(now, |due| due.max(now));
        let early = BURST.saturating_sub(self.interval).max(self.interval);
        if due > now + early {
            return Step::At(due - early);
        }
        self.due = Some(due + self.interval);
        Step::Go
    }

    /// A request of `group` has come back after `took`.
    pub(crate) fn heard(&mut self, group: &Arc<str>, heard: Heard, took: Duration, retry_after: Option<Duration>, now: Instant) {
        if let Some(wait) = retry_after.filter(|_| heard == Heard::Trouble) {
            self.pause(wait.min(LONGEST_PAUSE), now);
        }
        match heard {
            Heard::Nothing => self.due = self.due.and_then(|due| due.checked_sub(self.interval)),
            Heard::Trouble => self.cut(0.5, now, Duration::from_millis(250)),
            Heard::Unmeasured => self.widen(),
            Heard::Well => {
                let millis = took.as_secs_f64() * 1000.0;
                let usual = self.usual.entry(Arc::clone(group)).or_insert(Usual { smooth: millis, base: millis, samples: 0 });
                usual.learn(millis);
                let (slow, smooth) = (usual.is_slow(), usual.smooth);
                if slow {
                    self.cut(0.7, now, Duration::from_secs_f64(smooth / 1000.0).max(Duration::from_millis(100)));
                } else {
                    self.widen();
                }
            }
        }
    }

    fn widen(&mut self) {
        self.width = (self.width + 1.0 / self.width).min(self.most as f64);
    }

    fn pause(&mut self, wait: Duration, now: Instant) {
        let until = now + wait;
        let already = self.paused.filter(|old| *old > now).unwrap_or(now);
        if until > already {
            self.paused_total += until - already;
            self.paused = Some(until);
        }
    }

    fn cut(&mut self, factor: f64, now: Instant, calm: Duration) {
        if self.calm.is_some_and(|calm| calm > now) {
            return;
        }
        self.calm = Some(now + calm);
        self.slowed += 1;
        self.width = (self.width * factor).max(1.0);
    }
}

impl Usual {
    fn learn(&mut self, millis: f64) {
        self.samples = self.samples.saturating_add(1);
        self.smooth += (millis - self.smooth) * 0.2;
        // The base follows a faster origin at once, and a slower one over some hundred answers.
        self.base = (self.base * 1.005).min(self.smooth);
    }

    fn is_slow(&self) -> bool {
        self.samples >= SAMPLES && self.smooth > self.base * SLOW + SLACK_MILLIS
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, Pace, Step};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::time::Instant;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_rate_holds_over_any_second() {
        let (start, mut pace) = (Instant::now(), Pace::new(1000, 50));
        let mut went = Vec::new();
        let mut now = start;
        while now < start + millis(4000) {
            match pace.step(0, now) {
                Step::Go => went.push(now),
                Step::At(then) => now = then,
                Step::Full => unreachable!(),
            }
        }
        for first in &went {
            let within = went.iter().filter(|at| (*first..*first + millis(1000)).contains(at)).count();
            assert!(within <= 53, "{within}");
        }
        assert!((199..=204).contains(&went.len()), "{}", went.len());
    }

    #[test]
    fn what_the_origin_was_not_asked_for_costs_nothing_of_the_rate() {
        let (now, mut pace) = (Instant::now(), Pace::new(1, 1));
        for _ in 0..100 {
            assert_eq!(pace.step(0, now), Step::Go);
            pace.heard(&Arc::from("g"), Heard::Nothing, millis(0), None, now);
        }
    }

    #[test]
    fn trouble_halves_the_width_once_per_calm_and_answers_widen_it_again() {
        let (start, mut pace) = (Instant::now(), Pace::new(16, 0));
        let group = Arc::from("g");
        for _ in 0..5 {
            pace.heard(&group, Heard::Trouble, millis(5), None, start);
        }
        assert_eq!((pace.backoff().width, pace.backoff().slowed), (8, 1));
        pace.heard(&group, Heard::Trouble, millis(5), None, start + millis(251));
        assert_eq!((pace.step(4, start), pace.step(3, start)), (Step::Full, Step::Go));
        for _ in 0..1000 {
            pace.heard(&group, Heard::Well, millis(5), None, start + millis(300));
        }
        assert_eq!(pace.backoff().width, 16);
    }

    #[test]
    fn an_origin_that_slows_down_is_asked_less() {
        let (start, mut pace) = (Instant::now(), Pace::new(16, 0));
        let group = Arc::from("g");
        (0..20).for_each(|_| pace.heard(&group, Heard::Well, millis(10), None, start));
        assert_eq!(pace.backoff().slowed, 0);
        for at in 0..40 {
            pace.heard(&group, Heard::Well, millis(400), None, start + millis(at * 500));
        }
        assert!(pace.backoff().slowed > 3 && pace.backoff().width < 8, "{:?}", pace.backoff());
    }

    #[test]
    fn quick_confirmations_do_not_make_whole_answers_look_slow() {
        let (start, mut pace) = (Instant::now(), Pace::new(8, 0));
        let group = Arc::from("g");
        for at in 0..200 {
            let (heard, took) = if at % 2 == 0 { (Heard::Unmeasured, 5) } else { (Heard::Well, 900) };
            pace.heard(&group, heard, millis(took), None, start + millis(at * 1000));
        }
        assert_eq!((pace.backoff().slowed, pace.backoff().width), (0, 8));
    }

    #[test]
    fn retry_after_pauses_everything_but_not_for_ever() {
        let (now, mut pace) = (Instant::now(), Pace::new(4, 0));
        pace.heard(&Arc::from("g"), Heard::Trouble, millis(5), Some(millis(7000)), now);
        pace.heard(&Arc::from("g"), Heard::Trouble, millis(5), Some(millis(3000)), now);
        assert_eq!((pace.step(0, now), pace.step(0, now + millis(7000))), (Step::At(now + millis(7000)), Step::Go));
        assert_eq!(pace.backoff().paused_millis, 7000);
        pace.heard(&Arc::from("g"), Heard::Trouble, millis(5), Some(Duration::from_secs(u64::MAX)), now);
        assert_eq!(pace.step(0, now), Step::At(now + super::LONGEST_PAUSE));
    }
}
