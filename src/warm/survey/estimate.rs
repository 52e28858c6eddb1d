//! What a run would ask of the origin: known costs, and a mean for the rest. Pure.

use crate::warm::survey::ItemSurvey;

/// What a run would ask of the origin. Of bytes it is the most: what the origin confirms (304) has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// Requests for which there is no fresh copy, or one near its end.
    pub requests: u64,
    /// Time of the origin in milliseconds, added up.
    pub origin_millis: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Requests of which nothing is known, and that count as much as the others do in the mean.
    pub guessed: u64,
    /// Requests that do not count, because nothing is known of any.
    pub unknown: u64,
}

/// What requests cost on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mean {
    pub(crate) millis: f64,
    pub(crate) bytes: f64,
}

/// Costs as they are added up.
#[derive(Debug, Default)]
pub(super) struct Costs {
    known: u64,
    millis: u64,
    bytes: u64,
    unknown: u64,
}

impl Costs {
    /// Adds a request that a run would make: by its copy, else by the last run.
    pub(super) fn add(&mut self, item: &ItemSurvey) {
        let of_copy = item.copy.map(|copy| (copy.cost_millis, copy.bytes));
        match of_copy.or(item.paid) {
            Some((millis, bytes)) => {
                self.known += 1;
                self.millis = self.millis.saturating_add(millis.into());
                self.bytes = self.bytes.saturating_add(bytes);
            }
            None => self.unknown += 1,
        }
    }

    /// The sum, with `mean` for what is unknown; without it, the mean of what is known.
    pub(super) fn estimate(&self, mean: Option<Mean>) -> Estimate {
        let known = Estimate { requests: self.known + self.unknown, origin_millis: self.millis, bytes: self.bytes, ..Estimate::default() };
        match mean.or_else(|| mean_of(self.millis, self.bytes, self.known)) {
            _ if self.unknown == 0 => known,
            None => Estimate { unknown: self.unknown, ..known },
            Some(mean) => Estimate {
                origin_millis: known.origin_millis.saturating_add(times(mean.millis, self.unknown)),
                bytes: known.bytes.saturating_add(times(mean.bytes, self.unknown)),
                guessed: self.unknown,
                ..known
            },
        }
    }
}

/// The mean of `count` requests; `None` if there are none.
pub(super) fn mean_of(millis: u64, bytes: u64, count: u64) -> Option<Mean> {
    (count > 0).then(|| Mean { millis: millis as f64 / count as f64, bytes: bytes as f64 / count as f64 })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "neither is negative, and the cast saturates")]
fn times(mean: f64, count: u64) -> u64 {
    (mean * count as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use super::{Costs, Estimate, Mean};

    #[test]
    fn what_is_unknown_costs_the_mean() {
        let costs = |known, unknown| Costs { known, millis: known * 100, bytes: known * 10, unknown };
        let estimate = |requests, origin_millis, bytes, guessed, unknown| Estimate { requests, origin_millis, bytes, guessed, unknown };
        let mean = Some(Mean { millis: 7.5, bytes: 1.0 });
        assert_eq!(costs(2, 0).estimate(mean), estimate(2, 200, 20, 0, 0));
        assert_eq!(costs(2, 3).estimate(mean), estimate(5, 223, 23, 3, 0));
        assert_eq!(costs(2, 3).estimate(None), estimate(5, 500, 50, 3, 0), "the mean of the known");
        assert_eq!(costs(0, 3).estimate(None), estimate(3, 0, 0, 0, 3));
    }
}
