//! How slowly a body may move.

use std::time::Duration;

/// What is left of the patience with a body that crawls. Waiting for the client uses it up; what moves gives it back, up to what there was in the
/// beginning, so that a fast start is no credit for a drip that follows. Time in which the client does not wait for us, or we not for it, is no one's.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sidecar) struct Pace {
    used: Duration,
}

impl Pace {
    /// How long the next wait may take where `patience` was given. Nothing but the silence itself counts with a `floor` of zero bytes a second.
    pub(in crate::sidecar) fn left(self, patience: Duration, floor: u64) -> Duration {
        if floor == 0 { patience } else { patience.saturating_sub(self.used) }
    }

    /// `bytes` have moved after a wait of `waited`.
    pub(in crate::sidecar) fn moved(&mut self, waited: Duration, bytes: usize, floor: u64) {
        // A floor of zero gives back everything; so does a piece whose worth is beyond counting.
        let worth = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000).checked_div(floor).unwrap_or(u64::MAX));
        self.used = (self.used + waited).saturating_sub(worth);
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// After how many seconds a client is given up that sends `bytes` every `seconds`; `None`: not within an hour.
    fn given_up(bytes: usize, seconds: u64, floor: u64, start: usize) -> Option<u64> {
        let (mut pace, mut clock) = (Pace::default(), 0);
        pace.moved(Duration::ZERO, start, floor);
        while clock < 3600 {
            if pace.left(PATIENCE, floor) < Duration::from_secs(seconds) {
                return Some(clock);
            }
            clock += seconds;
            pace.moved(Duration::from_secs(seconds), bytes, floor);
        }
        None
    }

    #[test]
    fn a_drip_is_given_up_however_steady() {
        assert_eq!(given_up(1, 20, 100, 0), Some(20));
        assert_eq!(given_up(1, 1, 100, 0), Some(30));
        assert_eq!(given_up(99, 1, 100, 0), Some(2901), "just below the floor it takes long");
    }

    #[test]
    fn who_keeps_to_the_floor_may_take_for_ever() {
        assert_eq!(given_up(100, 1, 100, 0), None);
        assert_eq!(given_up(2000, 20, 100, 0), None, "in bursts too");
    }

    #[test]
    fn a_fast_start_is_no_credit() {
        assert_eq!(given_up(1, 1, 100, 1 << 40), given_up(1, 1, 100, 0));
    }

    #[test]
    fn without_a_floor_only_silence_counts() {
        assert_eq!(given_up(1, 20, 0, 0), None);
        assert_eq!(given_up(1, 31, 0, 0), Some(0));
    }
}
