//! Durations and sizes as people write them.

use std::time::Duration;

/// Units of durations with their milliseconds, largest first.
const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of sizes with their bytes, largest first.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

/// Reads `"250ms"`, `"5m"`, `"1h30m"`: integers with a unit each, from large units to small ones. `None` for anything else, a bare number included.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
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

/// Reads `"64MiB"`, `"500KB"`, `"1024"`: an integer, and a unit unless it is bytes. Upper and lower case are the same.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit, after) = number_and_unit(text.trim())?;
    if !after.is_empty() {
        return None;
    }
    let bytes = if unit.is_empty() { 1 } else { SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1 };
    number.checked_mul(bytes)
}

/// Splits `1h30m` into 1, `h` and `30m`; a space before the unit is allowed.
fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
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

/// Writes a size with the largest binary unit that divides it: `256 MiB`, `1500 B`.
pub(crate) fn show_size(bytes: u64) -> String {
    let (unit, size) = SIZE_UNITS.into_iter().take(4).find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size)).unwrap_or(("B", 1));
    format!("{} {unit}", bytes / size)
}

#[cfg(test)]
mod tests {
    use super::{parse_duration, parse_size, show_duration, show_size};
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
    fn sizes_take_binary_and_decimal_units() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("10 MiB", 10 << 20),
            ("32KiB", 32 << 10),
            ("1GiB", 1 << 30),
            ("500KB", 500_000),
            ("1024B", 1024),
            ("7", 7),
            ("8mib", 8 << 20),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5MiB", "-1", "64M", "1 apple", "1MiB2", "99999999TiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for millis in [0, 1, 250, 1000, 61_001, 5_400_000, 90_061_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }
        for bytes in [0, 1, 1023, 1024, 500_000, 256 << 20, 3 << 30] {
            assert_eq!(parse_size(&show_size(bytes)), Some(bytes));
        }
        assert_eq!((show_size(256 << 20).as_str(), show_duration(Duration::from_secs(5400)).as_str()), ("256 MiB", "1h30m"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_them_panic(text in ".{0,30}") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
