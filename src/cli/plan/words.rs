//! Numbers as people read them.

/// `1234`, `1 000 000 000 000`.
pub(in crate::cli) fn number(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 item`, `2 items`.
pub(in crate::cli) fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

/// The two largest units: `2h 13m`, `4m 12s`, `41s`.
pub(in crate::cli) fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let at = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(3);
    let (size, unit) = UNITS[at];
    match UNITS.get(at + 1).map(|(next, name)| (seconds % size / next, name)) {
        Some((rest, name)) if rest > 0 => format!("{}{unit} {rest}{name}", seconds / size),
        _ => format!("{}{unit}", seconds / size),
    }
}

/// `312 ms`, `3.1 s`, `4m 12s`.
pub(in crate::cli) fn millis(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        _ => span(millis / 1000),
    }
}

/// `512 B`, `12.1 KiB`, `1.5 GiB`.
pub(in crate::cli) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::{millis, number, plural, size, span};

    #[test]
    fn numbers_are_grouped_and_cut_to_what_matters() {
        assert_eq!([0, 1234, 12_345, 1_000_000_000_000].map(number), ["0", "1234", "12 345", "1 000 000 000 000"]);
        assert_eq!([0, 1, 2].map(|count| plural(count, "item")), ["0 items", "1 item", "2 items"]);
        assert_eq!([0, 41, 60, 252, 7980, 7200, 93_600, 86_401].map(span), ["0s", "41s", "1m", "4m 12s", "2h 13m", "2h", "1d 2h", "1d"]);
        assert_eq!([0, 999, 1000, 3199, 60_000].map(millis), ["0 ms", "999 ms", "1.0 s", "3.1 s", "1m"]);
        assert_eq!(
            [0, 1023, 1024, 12_400, (1 << 20) - 1, 3 << 29].map(size),
            ["0 B", "1023 B", "1.0 KiB", "12.1 KiB", "1.0 MiB", "1.5 GiB"]
        );
    }
}
