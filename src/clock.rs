//! The only door to time. Everything that reasons about freshness takes a [`Stamp`] as an argument; only the edges ask a [`Clock`] for one.
//!
//! A stamp is milliseconds since the Unix epoch *as this process counts them*: the wall clock is read once, when the clock is made, and from
//! then on monotonic time is added. A wall clock that is set forwards or backwards therefore neither expires nor resurrects anything.
//!
//! ```
//! use std::time::Duration;
//! let clock = warmfront::clock::Clock::manual(1_700_000_000);
//! let before = clock.now();
//! clock.advance(Duration::from_secs(5));
//! assert_eq!(clock.now().since(before), Duration::from_secs(5));
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A moment: milliseconds since the Unix epoch, on the clock that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// The moment `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, as HTTP dates count them.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment plus `millis` milliseconds, saturating at the end of time.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// A moment at the resolution of the machine: for measuring how long something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    stamp: Stamp,
    /// Nanoseconds beyond the millisecond of the stamp.
    nanos: u32,
}

impl Moment {
    /// The same moment in milliseconds.
    #[must_use]
    pub const fn stamp(self) -> Stamp {
        self.stamp
    }

    /// Nanoseconds from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        let millis = self.stamp.0.saturating_sub(earlier.stamp.0);
        millis.saturating_mul(1_000_000).saturating_add(self.nanos as u64).saturating_sub(earlier.nanos as u64)
    }
}

/// Where the present comes from: the machine, or a test's hand. Cheap to clone; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Machine { start: Instant, real_start: std::time::Instant, wall_at_start: u64, follows_wall: bool },
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock. It follows `tokio::time::pause`, so that tests of whole services can move it.
    #[must_use]
    pub fn machine() -> Self {
        Self::of_machine(wall_millis(), true)
    }

    /// A clock that shows `unix_seconds` now and then runs as the machine's does, also where `tokio::time` is paused and moved: for tests of
    /// schedules.
    #[must_use]
    pub fn starting(unix_seconds: u64) -> Self {
        Self::of_machine(unix_seconds.saturating_mul(1000), false)
    }

    fn of_machine(wall_at_start: u64, follows_wall: bool) -> Self {
        Self(Source::Machine { start: Instant::now(), real_start: std::time::Instant::now(), wall_at_start, follows_wall })
    }

    /// A clock that stands still at `unix_seconds` until [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn manual(unix_seconds: u64) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(unix_seconds.saturating_mul(1000)))))
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Stamp {
        match &self.0 {
            Source::Machine { start, wall_at_start, .. } => Stamp(wall_at_start.saturating_add(saturating_millis(start.elapsed()))),
            Source::Manual(millis) => Stamp(millis.load(Ordering::Acquire)),
        }
    }

    /// The present, at the resolution of the machine; its stamp is what [`now`](Self::now) says. One look at the clock is enough for both.
    #[must_use]
    pub fn moment(&self) -> Moment {
        match &self.0 {
            Source::Machine { start, wall_at_start, .. } => {
                let elapsed = start.elapsed();
                let (seconds, nanos) = (elapsed.as_secs(), elapsed.subsec_nanos());
                let millis = seconds.saturating_mul(1000).saturating_add(u64::from(nanos / 1_000_000));
                Moment { stamp: Stamp(wall_at_start.saturating_add(millis)), nanos: nanos % 1_000_000 }
            }
            Source::Manual(_) => Moment { stamp: self.now(), nanos: 0 },
        }
    }

    /// The wall clock, for schedules: as [`now`](Self::now), but it follows when the machine's clock is set, and when the machine has slept.
    #[must_use]
    pub fn wall(&self) -> Stamp {
        match &self.0 {
            Source::Machine { real_start, wall_at_start, follows_wall: true, .. } => {
                // What the wall has done beyond the time that has really passed, and on top what tokio says has passed.
                let expected = wall_at_start.saturating_add(saturating_millis(real_start.elapsed()));
                let (wall, now) = (wall_millis(), self.now().0);
                Stamp(if wall >= expected { now.saturating_add(wall - expected) } else { now.saturating_sub(expected - wall) })
            }
            _ => self.now(),
        }
    }

    /// Moves a manual clock forwards. The machine's clock cannot be moved: there this does nothing.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(millis) = &self.0 {
            millis.fetch_add(saturating_millis(by), Ordering::AcqRel);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::machine()
    }
}

fn wall_millis() -> u64 {
    saturating_millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn saturating_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Clock, Moment, Stamp};
    use std::time::Duration;

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(10);
        let other = clock.clone();
        clock.advance(Duration::from_millis(1500));
        assert_eq!(other.now(), Stamp::from_millis(11_500));
    }

    #[test]
    fn moments_measure_what_stamps_cannot_and_never_underflow() {
        let moment = |millis, nanos| Moment { stamp: Stamp(millis), nanos };
        assert_eq!(moment(7, 250_000).nanos_since(moment(5, 750_000)), 1_500_000);
        assert_eq!((moment(5, 1).nanos_since(moment(5, 2)), moment(5, 9).nanos_since(moment(6, 0))), (0, 9));
        let clock = Clock::machine();
        let (before, moment, after) = (clock.now(), clock.moment(), clock.now());
        assert!(before <= moment.stamp() && moment.stamp() <= after);
    }

    #[test]
    fn a_stamp_never_underflows() {
        assert_eq!(Stamp::from_millis(1).since(Stamp::from_millis(9)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_with_a_start_of_its_own_follows_paused_time_and_the_wall_does_too() {
        let (set, machine) = (Clock::starting(10), Clock::machine());
        let wall = machine.wall();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((set.now(), set.wall()), (Stamp::from_millis(3_610_000), Stamp::from_millis(3_610_000)));
        assert!(machine.wall().since(wall).abs_diff(Duration::from_secs(3600)) < Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn the_machine_clock_follows_paused_time() {
        let clock = Clock::machine();
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now().since(before), Duration::from_secs(60));
    }
}
