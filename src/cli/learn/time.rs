//! Durations as logs write them.

/// What a number without a unit of its own counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
    /// The name does not say: with a fraction seconds, without one milliseconds.
    Guess,
}

/// More than any request takes: what is longer is something else, as a time of day in seconds.
const LONGEST: f64 = 86_400.0;

impl Unit {
    fn seconds(self) -> f64 {
        match self {
            Self::Seconds => 1.0,
            Self::Millis | Self::Guess => 1e-3,
            Self::Micros => 1e-6,
            Self::Nanos => 1e-9,
        }
    }

    /// The unit for a number that is written so.
    pub(super) fn or_seconds_if(self, fraction: bool) -> Self {
        if self == Self::Guess && fraction { Self::Seconds } else { self }
    }
}

/// A number of `unit` in microseconds; `None` if it cannot be how long a request took.
pub(super) fn micros(number: f64, unit: Unit) -> Option<u64> {
    let seconds = number * unit.seconds();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a day")]
    (0.0..=LONGEST).contains(&seconds).then_some((seconds * 1e6).round() as u64)
}

/// Reads `0.123`, `12ms`, `1.5s`, and the lists that nginx writes where several upstreams were tried: `0.001, 0.120 : -`. Their times add up.
pub(super) fn parse(text: &[u8], unit: Unit) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let mut sum = None;
    for part in text.split([',', ' ', ':']).filter(|part| !matches!(*part, "" | "-")) {
        sum = Some(sum.unwrap_or(0) + one(part, unit)?);
    }
    sum.filter(|sum| *sum <= 86_400_000_000)
}

fn one(text: &str, unit: Unit) -> Option<u64> {
    let end = text.trim_end_matches(|c: char| c.is_alphabetic()).len();
    let (number, suffix) = text.split_at(end);
    let unit = match suffix {
        "" => unit.or_seconds_if(number.contains('.')),
        "s" => Unit::Seconds,
        "ms" => Unit::Millis,
        "us" | "µs" | "μs" => Unit::Micros,
        "ns" => Unit::Nanos,
        _ => return None,
    };
    // `parse` knows words for infinity, which have no digit at the end and are gone by now.
    micros(number.parse().ok()?, unit)
}

/// Whether `text` can only be a time in seconds: digits, a point, digits.
pub(super) fn looks_like_seconds(text: &[u8]) -> bool {
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    memchr::memchr(b'.', text).is_some_and(|point| digits(&text[..point]) && digits(&text[point + 1..]))
}

/// Whether `text` is a whole number of milliseconds with its unit, as Traefik ends its lines.
pub(super) fn looks_like_millis(text: &[u8]) -> bool {
    text.strip_suffix(b"ms").is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::{Unit, looks_like_millis, looks_like_seconds, micros, parse};

    #[test]
    fn times_are_read_in_their_units() {
        for (text, unit, expected) in [
            ("0.123", Unit::Seconds, Some(123_000)),
            ("2", Unit::Seconds, Some(2_000_000)),
            ("0.001, 0.120", Unit::Seconds, Some(121_000)),
            ("0.001 : -", Unit::Seconds, Some(1_000)),
            ("-", Unit::Seconds, None),
            ("", Unit::Seconds, None),
            ("12", Unit::Guess, Some(12_000)),
            ("0.5", Unit::Guess, Some(500_000)),
            ("0.5s", Unit::Guess, Some(500_000)),
            ("12ms", Unit::Seconds, Some(12_000)),
            ("7us", Unit::Seconds, Some(7)),
            ("7µs", Unit::Seconds, Some(7)),
            ("1502856890.123", Unit::Seconds, None),
            ("1500000", Unit::Nanos, Some(1_500)),
            ("-1", Unit::Millis, None),
            ("inf", Unit::Seconds, None),
            ("NaN", Unit::Seconds, None),
            ("1h", Unit::Seconds, None),
            ("80000, 80000", Unit::Seconds, None),
        ] {
            assert_eq!(parse(text.as_bytes(), unit), expected, "{text} {unit:?}");
        }
        assert_eq!(micros(f64::NAN, Unit::Seconds), None);
    }

    #[test]
    fn only_digits_with_a_point_look_like_seconds() {
        assert!(looks_like_seconds(b"0.123") && looks_like_millis(b"12ms"));
        for text in ["", ".", "1", "1.", ".5", "10.0.0.1", "1.5x", "-0.1", "1.2ms"] {
            assert!(!looks_like_seconds(text.as_bytes()) && !looks_like_millis(text.as_bytes()), "{text}");
        }
        assert!(!looks_like_millis(b"ms"));
    }
}
