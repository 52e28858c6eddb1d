//! Numbers as they stand on the screen: short, and the same width as long as they are alike.

use crate::cli::plan::words::number;
use crate::cli::top::latency::Percentile;

/// Per second: `0`, `0.4`, `12`, `12 345`; `-` where it is not known yet.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-".into(),
        Some(rate) if rate <= 0.0 => "0".into(),
        Some(rate) if rate < 9.95 => format!("{rate:.1}"),
        Some(rate) => whole(rate),
    }
}

/// A count.
pub(super) fn whole(count: f64) -> String {
    number(count.round() as u64)
}

/// `97.3 %`.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{:.1} %", share * 100.0))
}

/// `83 µs`, `1.2 ms`, `340 ms`, `2.1 s`, `>10 s`.
pub(super) fn latency(latency: Option<Percentile>) -> String {
    match latency {
        None => "-".into(),
        Some(Percentile::At(seconds)) => time(seconds),
        Some(Percentile::Above(seconds)) => format!(">{}", time(seconds)),
    }
}

fn time(seconds: f64) -> String {
    match seconds * 1e6 {
        micros if micros < 999.5 => format!("{micros:.0} \u{b5}s"),
        micros if micros < 9_950.0 => format!("{:.1} ms", micros / 1e3),
        micros if micros < 999_500.0 => format!("{:.0} ms", micros / 1e3),
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// A bar that is full at 1.
pub(super) fn bar(share: f64, width: usize) -> String {
    let full = ((share.clamp(0.0, 1.0) * width as f64).round() as usize).min(width);
    "\u{2588}".repeat(full) + &"\u{2591}".repeat(width - full)
}

/// How much `part` is of `whole`, from 0 to 1.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::{bar, latency, percent, rate, share};
    use crate::cli::top::latency::Percentile::{Above, At};

    #[test]
    fn numbers_are_short_and_what_is_not_known_is_a_dash() {
        assert_eq!([None, Some(0.0), Some(0.44), Some(9.96), Some(12_345.4)].map(rate), ["-", "0", "0.4", "10", "12 345"]);
        assert_eq!([None, Some(0.0), Some(0.9734), Some(1.0)].map(percent), ["-", "0.0 %", "97.3 %", "100.0 %"]);
        assert_eq!(
            [At(0.000_083), At(0.000_999_9), At(0.0012), At(0.34), At(2.12), At(30.0), Above(10.0)].map(|at| latency(Some(at))),
            ["83 \u{b5}s", "1.0 ms", "1.2 ms", "340 ms", "2.1 s", "30 s", ">10 s"]
        );
    }

    #[test]
    fn a_bar_is_never_longer_than_its_place() {
        assert_eq!(
            [(0.0, 4), (0.5, 4), (7.0, 4), (f64::NAN, 4), (0.5, 0)].map(|(share, width)| bar(share, width)),
            [
                "\u{2591}\u{2591}\u{2591}\u{2591}",
                "\u{2588}\u{2588}\u{2591}\u{2591}",
                "\u{2588}\u{2588}\u{2588}\u{2588}",
                "\u{2591}\u{2591}\u{2591}\u{2591}",
                ""
            ]
        );
        assert_eq!((share(1, 0), share(9, 3)), (0.0, 1.0));
    }
}
