//! The Age field (RFC 9111 section 5.1).

use http::header::{AGE, HeaderMap, HeaderValue};

use super::list;
use super::number::delta_seconds;

/// The age that a response claims, in seconds, at most 2^31. Zero: there is no usable Age.
///
/// RFC 9111 section 5.1: the first member of a list or of several lines counts, the others are
/// dropped, and a first member that is not a non-negative integer is ignored.
#[must_use]
pub fn parse(headers: &HeaderMap) -> u64 {
    let Some(first) = list::members_of(headers, &AGE).next() else {
        return 0;
    };
    // Age has no parameters, but `7200;a=b` is rather an old response with a note than a fresh one.
    let number = first.split(|&byte| byte == b';').next().unwrap_or(first);
    delta_seconds(list::trim(number)).unwrap_or(0)
}

/// Writes an Age of so many seconds, at most 2^31 (RFC 9111 section 1.2.2).
#[must_use]
pub fn value(seconds: u64) -> HeaderValue {
    const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let seconds = seconds.min(super::number::MAX_DELTA_SECONDS);
    if let Some(digit) = DIGITS.get(usize::try_from(seconds).unwrap_or(usize::MAX)) {
        return HeaderValue::from_static(digit);
    }
    // One exact allocation; `HeaderValue::from(u64)` would keep a buffer with slack.
    HeaderValue::from_str(itoa::Buffer::new().format(seconds)).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn age(lines: &[&str]) -> u64 {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AGE, HeaderValue::from_str(line).unwrap());
        }
        parse(&headers)
    }

    #[test]
    fn no_age_is_zero() {
        assert_eq!(age(&[]), 0);
        assert_eq!(age(&[""]), 0);
    }

    #[test]
    fn the_first_member_counts_on_one_line_and_on_two() {
        assert_eq!(age(&["7200, 0"]), 7200);
        assert_eq!(age(&["7200", "0"]), 7200);
        assert_eq!(age(&["0,7200"]), 0);
        assert_eq!(age(&["0", "7200"]), 0);
        assert_eq!(age(&["3600, 3600"]), 3600);
    }

    #[test]
    fn an_invalid_age_is_ignored() {
        for line in ["abc", "-7200", "7200.0", "+1", "\"7200\"", "7200 1"] {
            assert_eq!(age(&[line]), 0, "{line}");
        }
        assert_eq!(age(&["abc, 7200"]), 0);
    }

    #[test]
    fn a_parameter_does_not_hide_the_age() {
        assert_eq!(age(&["7200;foo=bar"]), 7200);
        assert_eq!(age(&["7200;foo=111"]), 7200);
    }

    #[test]
    fn a_huge_age_saturates() {
        for line in ["2147483648", "2147483649", "99999999999999999999999"] {
            assert_eq!(age(&[line]), 2_147_483_648);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(value: Vec<u8>) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(AGE, value);
            }
            prop_assert!(parse(&headers) <= 1 << 31);
        }

        #[test]
        fn what_was_written_is_read_back(seconds: u64) {
            let mut headers = HeaderMap::new();
            headers.append(AGE, value(seconds));
            prop_assert_eq!(parse(&headers), seconds.min(1 << 31));
        }

        #[test]
        fn small_ages_are_read_back_too(seconds in 0_u64..200) {
            prop_assert_eq!(value(seconds), seconds.to_string());
        }
    }
}
