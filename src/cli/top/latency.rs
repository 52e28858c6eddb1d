//! Percentiles from the buckets of a histogram, as Prometheus' `histogram_quantile` reads them.

/// A percentile in seconds: at this, or above it where the buckets end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Percentile {
    At(f64),
    Above(f64),
}

/// The percentile `share` (0 to 1) of cumulative `buckets` in the order of their bounds; `None` if there is nothing in them.
pub(super) fn percentile(buckets: &[(f64, f64)], share: f64) -> Option<Percentile> {
    let all = buckets.iter().map(|(_, count)| *count).fold(0.0, f64::max);
    if all <= 0.0 {
        return None;
    }
    let rank = all * share;
    let (mut low, mut below) = (0.0, 0.0_f64);
    for &(bound, count) in buckets {
        if count >= rank && count > below {
            let within = ((rank - below) / (count - below)).clamp(0.0, 1.0);
            return Some(if bound.is_finite() { Percentile::At(low + (bound - low) * within) } else { Percentile::Above(low) });
        }
        (low, below) = (bound, below.max(count));
    }
    Some(Percentile::Above(low))
}

#[cfg(test)]
mod tests {
    use super::Percentile::{Above, At};
    use super::percentile;

    #[test]
    fn a_percentile_lies_within_its_bucket() {
        let buckets = [(0.1, 50.0), (0.2, 90.0), (1.0, 98.0), (f64::INFINITY, 100.0)];
        for (share, read) in [(0.25, At(0.05)), (0.5, At(0.1)), (0.7, At(0.15)), (0.98, At(1.0)), (0.99, Above(1.0)), (1.0, Above(1.0))] {
            let close = match (percentile(&buckets, share), read) {
                (Some(At(a)), At(b)) | (Some(Above(a)), Above(b)) => (a - b).abs() < 1e-9,
                _ => false,
            };
            assert!(close, "{share}: {:?}", percentile(&buckets, share));
        }
    }

    #[test]
    fn of_nothing_there_is_none_and_of_nonsense_something_that_is_no_panic() {
        assert_eq!((percentile(&[], 0.5), percentile(&[(1.0, 0.0), (f64::INFINITY, 0.0)], 0.5)), (None, None));
        assert_eq!(percentile(&[(1.0, 9.0), (2.0, 3.0)], 1.0), Some(At(1.0)));
        assert_eq!(percentile(&[(f64::INFINITY, 4.0)], 0.5), Some(Above(0.0)));
    }
}
