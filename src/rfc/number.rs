//! Numbers in header fields: digits only, and they saturate instead of overflowing.

/// The largest number of seconds that is kept apart from "for ever": 2^31
/// (RFC 9111 section 1.2.2: a larger value is replaced by this one).
pub const MAX_DELTA_SECONDS: u64 = 1 << 31;

/// Reads `1*DIGIT`, saturating at [`u64::MAX`].
///
/// `None`: the value is empty or holds anything but digits (no sign, point, space or quote is one).
#[must_use]
pub fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| sum.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

/// Reads `1*DIGIT` exactly. `None`: no number, or one that does not fit into a [`u64`].
#[must_use]
pub fn exact_digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Reads `delta-seconds` (RFC 9111 section 1.2.2) in seconds, at most [`MAX_DELTA_SECONDS`].
///
/// `None`: not a non-negative whole number.
#[must_use]
pub fn delta_seconds(value: &[u8]) -> Option<u64> {
    digits(value).map(|seconds| seconds.min(MAX_DELTA_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn leading_zeros_are_allowed() {
        assert_eq!(delta_seconds(b"003600"), Some(3600));
    }

    #[test]
    fn anything_but_digits_is_not_a_number() {
        for value in [&b""[..], b"-1", b"+1", b"1.0", b"1a", b"a1", b" 1", b"'1'", b"\"1\"", b"\xb2"] {
            assert_eq!(digits(value), None, "{value:?}");
            assert_eq!(exact_digits(value), None, "{value:?}");
        }
    }

    #[test]
    fn large_numbers_saturate() {
        assert_eq!(delta_seconds(b"2147483647"), Some(2_147_483_647));
        assert_eq!(delta_seconds(b"99999999999"), Some(MAX_DELTA_SECONDS));
        assert_eq!(delta_seconds(&[b'9'; 4000]), Some(MAX_DELTA_SECONDS));
        assert_eq!(digits(b"18446744073709551616"), Some(u64::MAX));
    }

    #[test]
    fn an_exact_number_that_does_not_fit_is_none() {
        assert_eq!(exact_digits(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(exact_digits(b"18446744073709551616"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(value: Vec<u8>) {
            let _ = (digits(&value), exact_digits(&value), delta_seconds(&value));
        }

        #[test]
        fn every_u64_is_read_back(number: u64) {
            prop_assert_eq!(digits(number.to_string().as_bytes()), Some(number));
            prop_assert_eq!(exact_digits(number.to_string().as_bytes()), Some(number));
        }
    }
}
