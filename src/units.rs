//! Durations as people write them.

use std::time::Duration;

/// Units of durations with their milliseconds, largest first.
pub(crate) const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `"250ms"`, `"5m"`, `"1h30m"`: integers with a unit each, from large units to small ones. `None` for anything else, a bare number included.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = 0_u64;
    let mut largest = u64::MAX;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit(rest)?;
        let millis = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?.1;
        if millis >= largest {
            return None;
        }
        largest = millis;
        total = total.checked_add(number.checked_mul(millis)?)?;
        rest = after;
    }
    Some(Duration::from_millis(total))
}

/// Splits `1h30m` into 1, `h` and `30m`; a space before the unit is allowed.
pub(crate) fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..digits].parse().ok()?;
    let rest = text[digits..].trim_start();
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    Some((number, &rest[..letters], rest[letters..].trim_start()))
}

/// Writes a duration as [`parse_duration`] reads it: `1h30m`, `0s`. What is less than a millisecond is dropped.
pub(crate) fn show_duration(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, size) in DURATION_UNITS {
        if millis >= size {
            text += &format!("{}{unit}", millis / size);
            millis %= size;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::{parse_duration, show_duration};
    use std::time::Duration;

    #[test]
    fn durations_are_integers_with_units() {
        for (text, millis) in [
            ("250ms", 250),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
            ("1d", 86_400_000),
            ("1m500ms", 60_500),
            (" 5 s ", 5000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_could_mean_two_things_is_no_duration() {
        for text in ["", " ", "5", "1.5s", "-1s", "s", "5 minutes", "5M", "30m1h", "1s1s", "18446744073709551615d", "5s,", "٣s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for millis in [0, 1, 250, 1000, 61_001, 5_400_000, 90_061_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }
        assert_eq!(show_duration(Duration::from_secs(5400)), "1h30m");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,30}") {
            let _ = parse_duration(&text);
        }
    }
}
