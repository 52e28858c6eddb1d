//! HTTP dates (RFC 9110 section 5.6.7), as whole seconds since 1970-01-01T00:00:00Z.
//!
//! The shapes are strict and the letters are not: names and `GMT` match in any case, and nothing else
//! is forgiven. The parser is our own because `httpdate` refuses a weekday that does not belong to
//! the date, which the weekday of an `Expires` is no reason to; `httpdate` formats.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use http::header::HeaderValue;

use super::list::trim;

/// 9999-12-31T23:59:59Z, the last second that four digits of a year can name.
const LAST_SECOND: u64 = 253_402_300_799;

const MONTHS: [&[u8; 3]; 12] = [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

const WEEKDAYS: [&[u8]; 7] = [b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday", b"sunday"];

/// Reads an HTTP date in any of its three forms; the result is in seconds since the Unix epoch.
///
/// `None`: the value is not one HTTP date (wrong shape, other time zone, a day that its month does not
/// have, two dates), or lies before 1970. For `Expires` that means "in the past"
/// (RFC 9111 section 5.3).
#[must_use]
pub fn parse(value: &[u8]) -> Option<u64> {
    let value = trim(value);
    match value.len() {
        29 => imf_fixdate(value),
        24 => asctime_date(value),
        // From `Sunday` to `Wednesday`.
        30..=33 => rfc850_date(value),
        _ => None,
    }
}

/// Writes the preferred form, `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// Times after the year 9999 become its last second.
#[must_use]
pub fn format(unix_seconds: u64) -> HeaderValue {
    let seconds = Duration::from_secs(unix_seconds.min(LAST_SECOND));
    let date = httpdate::HttpDate::from(UNIX_EPOCH + seconds);
    let mut text = [0_u8; 29];
    // Neither of the two can fail: the form is always 29 visible octets.
    let written = write!(&mut text[..], "{date}").is_ok();
    match HeaderValue::from_bytes(&text) {
        Ok(value) if written => value,
        _ => HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(value: &[u8]) -> Option<u64> {
    let is_weekday = WEEKDAYS.iter().any(|name| name[..3].eq_ignore_ascii_case(&value[..3]));
    let shape = is_weekday
        && &value[3..5] == b", "
        && value[7] == b' '
        && value[11] == b' '
        && value[16] == b' '
        && value[25..].eq_ignore_ascii_case(b" GMT");
    if !shape {
        return None;
    }
    let year = number(&value[12..14])? * 100 + number(&value[14..16])?;
    seconds_since_epoch(year, month(&value[8..11])?, number(&value[5..7])?, time_of_day(&value[17..25])?)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850_date(value: &[u8]) -> Option<u64> {
    let name = memchr::memchr(b',', value)?;
    let rest = &value[name + 1..];
    let is_weekday = WEEKDAYS.iter().any(|weekday| weekday.eq_ignore_ascii_case(&value[..name]));
    let shape = is_weekday
        && rest.len() == 23
        && rest[0] == b' '
        && rest[3] == b'-'
        && rest[7] == b'-'
        && rest[10] == b' '
        && rest[19..].eq_ignore_ascii_case(b" GMT");
    if !shape {
        return None;
    }
    // RFC 9110 section 5.6.7 turns at "50 years from now". There is no clock here, so it turns at 1970
    // like everywhere else: a year that should be in the far future is then in the past, thus stale.
    let year = match number(&rest[8..10])? {
        year @ 70.. => 1900 + year,
        year => 2000 + year,
    };
    seconds_since_epoch(year, month(&rest[4..7])?, number(&rest[1..3])?, time_of_day(&rest[11..19])?)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime_date(value: &[u8]) -> Option<u64> {
    let is_weekday = WEEKDAYS.iter().any(|name| name[..3].eq_ignore_ascii_case(&value[..3]));
    let shape = is_weekday && value[3] == b' ' && value[7] == b' ' && value[10] == b' ' && value[19] == b' ';
    if !shape {
        return None;
    }
    let day = match value[8] {
        b' ' => number(&[b'0', value[9]])?,
        _ => number(&value[8..10])?,
    };
    let year = number(&value[20..22])? * 100 + number(&value[22..24])?;
    seconds_since_epoch(year, month(&value[4..7])?, day, time_of_day(&value[11..19])?)
}

/// Exactly two digits.
fn number(value: &[u8]) -> Option<u64> {
    match value {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some(u64::from(tens - b'0') * 10 + u64::from(ones - b'0')),
        _ => None,
    }
}

/// The month, January is 1.
fn month(value: &[u8]) -> Option<u64> {
    let index = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(value))?;
    Some(index as u64 + 1)
}

/// `08:49:37` as seconds of the day. Second 60 is a leap second (RFC 9110 section 5.6.7).
fn time_of_day(value: &[u8]) -> Option<u64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *value else {
        return None;
    };
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// The Gregorian calendar, from 1970 on; `None` for a day that does not exist.
fn seconds_since_epoch(year: u64, month: u64, day: u64, second_of_day: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year < 1970 || day == 0 || day > length {
        return None;
    }
    // Years begin in March here, so that the leap day is the last one of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    // 719468 days lie between 0000-03-01 and 1970-01-01.
    Some((days - 719_468) * 86_400 + second_of_day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SUNDAY: u64 = 784_111_777;

    #[test]
    fn the_three_forms_are_the_same_moment() {
        assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(SUNDAY));
        assert_eq!(parse(b"Sunday, 06-Nov-94 08:49:37 GMT"), Some(SUNDAY));
        assert_eq!(parse(b"Sun Nov  6 08:49:37 1994"), Some(SUNDAY));
        assert_eq!(parse(b"Sun Nov 06 08:49:37 1994"), Some(SUNDAY));
    }

    #[test]
    fn every_weekday_is_read_in_the_obsolete_form() {
        for weekday in WEEKDAYS {
            let mut value = weekday.to_vec();
            value.extend_from_slice(b", 06-Nov-94 08:49:37 GMT");
            assert_eq!(parse(&value), Some(SUNDAY));
        }
    }

    #[test]
    fn the_dates_that_cache_tests_wants_reused_are_read() {
        for (value, year) in [
            ("Tue, 19 Jan 2038 14:14:08 GMT", 2038),
            ("Sun, 21 Nov 2286 04:46:39 GMT", 2286),
            ("Thursday, 18-Aug-50 02:01:18 GMT", 2050),
            ("Thu Aug  8 02:01:18 2050", 2050), // a Monday: the weekday is not compared
            ("THU, 18 Aug 2050 02:01:18 GMT", 2050),
            ("Thu, 18 AUG 2050 02:01:18 GMT", 2050),
            ("Thu, 18 Aug 2050 02:01:18 gMT", 2050),
        ] {
            let seconds = parse(value.as_bytes()).unwrap();
            assert_eq!(1970 + seconds / 31_556_952, year, "{value}");
        }
    }

    #[test]
    fn the_dates_that_cache_tests_wants_refused_are_refused() {
        for value in [
            "0",
            "foo",
            "",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Tue 19 Jan 2038 14:14:08 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:19 GMT",
        ] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn impossible_days_and_times_are_refused() {
        for value in [
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Thu, 29 Feb 2100 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 31 Sep 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
            "Thu, 18 Aug 2050 02:01:61 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Thu, 18 Aug 0000 02:01:18 GMT",
        ] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn a_leap_second_is_the_first_second_of_the_next_minute() {
        let leap = parse(b"Sat, 31 Dec 2016 23:59:60 GMT");
        assert_eq!(leap, parse(b"Sun, 01 Jan 2017 00:00:00 GMT"));
    }

    #[test]
    fn the_epoch_is_zero_and_the_end_is_the_year_9999() {
        assert_eq!(parse(b"Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(format(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(format(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(parse(format(u64::MAX).as_bytes()), Some(LAST_SECOND));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(value: Vec<u8>) {
            let _ = parse(&value);
        }

        #[test]
        fn bytes_of_the_right_length_never_panic(value in proptest::collection::vec(any::<u8>(), 22..34)) {
            let _ = parse(&value);
        }

        #[test]
        fn what_was_formatted_is_read_back(seconds in 0..=LAST_SECOND) {
            prop_assert_eq!(parse(format(seconds).as_bytes()), Some(seconds));
        }

        #[test]
        fn it_reads_whatever_httpdate_reads(value in
            "(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] (Jan|Feb|Mar|Sep|Dec) (19[67]|20[0-9])[0-9] [0-2][0-9]:[0-6][0-9]:[0-5][0-9] GMT")
        {
            if let Ok(time) = httpdate::parse_http_date(&value) {
                let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
                prop_assert_eq!(parse(value.as_bytes()), Some(seconds));
            }
        }
    }
}
