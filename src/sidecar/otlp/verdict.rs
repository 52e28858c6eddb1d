//! What to do about an answer of the collector, or about none.

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use std::fmt;
use std::time::{Duration, SystemTime};

/// Attempts at one batch.
pub(super) const ATTEMPTS: u32 = 4;
/// The first wait between two attempts; each that follows is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// No wait is longer, whatever `Retry-After` says.
pub(super) const MOST_WAIT: Duration = Duration::from_secs(30);

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There was no answer: why, in words.
    Silent(String),
    /// An answer other than 2xx.
    Status(StatusCode, Option<Duration>),
}

impl Trouble {
    /// An answer of this status.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Self {
        Self::Status(status, headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?.trim(), now)))
    }

    /// Whether a later attempt may do better (OTLP specification, "Retryable Response Codes").
    fn may_pass(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Status(status, _) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }

    /// How long to wait before the next attempt, after `attempts`; `None`: give up. `jitter` is from 0 to 1.
    pub(super) fn wait(&self, attempts: u32, jitter: f64) -> Option<Duration> {
        if attempts >= ATTEMPTS || !self.may_pass() {
            return None;
        }
        let usual = FIRST_WAIT.mul_f64(f64::from(1_u32 << attempts.saturating_sub(1).min(16)) * (0.75 + jitter / 2.0));
        let asked_for = if let Self::Status(_, wait) = self { *wait } else { None };
        Some(asked_for.unwrap_or(usual).min(MOST_WAIT))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(why) => f.write_str(why),
            Self::Status(status, _) => write!(f, "it answered {status}"),
        }
    }
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or(Duration::ZERO)),
    }
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS, MOST_WAIT, Trouble};
    use http::StatusCode;
    use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    fn of(status: u16, retry_after: &str) -> Trouble {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770); // seven seconds before the date below
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap())]);
        Trouble::of(StatusCode::from_u16(status).unwrap(), &headers, now)
    }

    #[test]
    fn what_may_pass_is_tried_again_a_few_times_and_ever_later() {
        let silent = Trouble::Silent("refused".into());
        let waits: Vec<_> = (1..=ATTEMPTS).map(|attempts| silent.wait(attempts, 0.5)).collect();
        assert_eq!(waits, [1, 2, 4].map(|seconds| Some(Duration::from_secs(seconds))).into_iter().chain([None]).collect::<Vec<_>>());
        for status in [400, 401, 404, 413, 500, 301] {
            assert_eq!(
                Trouble::of(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), SystemTime::now()).wait(1, 0.5),
                None,
                "{status}"
            );
        }
    }

    #[test]
    fn retry_after_is_followed_within_bounds() {
        assert_eq!(of(503, "3").wait(1, 0.5), Some(Duration::from_secs(3)));
        assert_eq!(of(429, "Sun, 06 Nov 1994 08:49:37 GMT").wait(3, 0.5), Some(Duration::from_secs(7)));
        assert_eq!(of(503, "99999999").wait(1, 0.5), Some(MOST_WAIT));
        assert_eq!(of(503, "soon").wait(1, 0.5), Some(Duration::from_secs(1)));
        assert_eq!(of(503, "0").wait(ATTEMPTS, 0.5), None);
        assert_eq!(of(400, "3").wait(1, 0.5), None);
    }
}
