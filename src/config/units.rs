//! Sizes as people write them, beside the durations of [`crate::units`], and patterns for both.

use crate::units::{DURATION_UNITS, number_and_unit};
pub(crate) use crate::units::{parse_duration, show_duration};

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

/// Reads `"64MiB"`, `"500KB"`, `"1024"`: an integer, and a unit unless it is bytes. Upper and lower case are the same.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit, after) = number_and_unit(text.trim())?;
    if !after.is_empty() {
        return None;
    }
    let bytes = if unit.is_empty() { 1 } else { SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1 };
    number.checked_mul(bytes)
}

/// A regular expression (ECMA-262) for the texts that [`parse_duration`] reads.
pub(super) fn duration_pattern() -> String {
    let part = |unit: &str| format!(r"[0-9]+\s*{unit}\s*");
    let units = DURATION_UNITS.map(|(unit, _)| unit);
    let from = |first: usize| {
        let smaller: String = units[first + 1..].iter().map(|unit| format!("({})?", part(unit))).collect();
        part(units[first]) + &smaller
    };
    let branches: Vec<String> = (0..units.len()).map(from).collect();
    format!(r"^\s*({})$", branches.join("|"))
}

/// A regular expression (ECMA-262) for the texts that [`parse_size`] reads.
pub(super) fn size_pattern() -> String {
    let any_case = |letter: char| format!("[{}{}]", letter.to_ascii_uppercase(), letter.to_ascii_lowercase());
    let units = SIZE_UNITS.map(|(unit, _)| unit.chars().map(any_case).collect::<String>());
    format!(r"^\s*[0-9]+\s*({})?\s*$", units.join("|"))
}

/// Writes a size with the largest binary unit that divides it: `256 MiB`, `1500 B`.
pub(crate) fn show_size(bytes: u64) -> String {
    let (unit, size) = SIZE_UNITS.into_iter().take(4).find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size)).unwrap_or(("B", 1));
    format!("{} {unit}", bytes / size)
}

#[cfg(test)]
mod tests {
    use super::{parse_size, show_size};

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
        for bytes in [0, 1, 1023, 1024, 500_000, 256 << 20, 3 << 30] {
            assert_eq!(parse_size(&show_size(bytes)), Some(bytes));
        }
        assert_eq!(show_size(256 << 20), "256 MiB");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,30}") {
            let _ = parse_size(&text);
        }
    }
}
