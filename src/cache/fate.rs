//! What became of one warm request.

use crate::cache::admit::NotStored;
use crate::telemetry::Refusal;
use http::StatusCode;
use std::borrow::Cow;

/// What became of one item of a warm run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Nothing usable was there, and now it is.
    Stored,
    /// A copy was replaced by a new one.
    Refreshed,
    /// The origin confirmed the copy (304).
    Unchanged,
    /// The copy is fresh and not near its end: the origin was not asked.
    Skipped,
    /// The origin's answer may not be stored. A copy that was there stays.
    Uncacheable(NotStored),
    /// The origin could not be asked, or answered with an error. A copy that was there stays.
    Failed(Failing),
}

/// Why a warm request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failing {
    /// The origin answered with this status.
    Status(StatusCode),
    /// The origin could not be asked, or warmfront refused.
    Refused(Refusal),
    /// It took longer than `warm.timeout`.
    TimedOut,
    /// The body broke off.
    Broken,
    /// It was purged while it was fetched.
    Purged,
    /// The service returned an error of its own.
    Service,
    /// The request did not come to a cache: something in front of it answered.
    Uncached,
    /// The request could not be made.
    Malformed,
    /// A custom task returned an error.
    Task,
    /// The run was cancelled while it was in flight.
    Cancelled,
}

impl Fate {
    /// The spellings of all fates, in the order of [`place`](Self::place).
    pub const NAMES: [&'static str; 6] = ["stored", "refreshed", "unchanged", "skipped", "uncacheable", "failed"];

    /// The place of its spelling in [`NAMES`](Self::NAMES).
    #[must_use]
    pub const fn place(self) -> usize {
        match self {
            Self::Stored => 0,
            Self::Refreshed => 1,
            Self::Unchanged => 2,
            Self::Skipped => 3,
            Self::Uncacheable(_) => 4,
            Self::Failed(_) => 5,
        }
    }

    /// The one spelling, without the reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self.place()]
    }

    /// Why it is not cached, if it is not: `private`, `status 503`, `upstream-connect`.
    #[must_use]
    pub fn reason(self) -> Option<Cow<'static, str>> {
        match self {
            Self::Uncacheable(why) => Some(why.as_str().into()),
            Self::Failed(failing) => Some(failing.reason()),
            Self::Stored | Self::Refreshed | Self::Unchanged | Self::Skipped => None,
        }
    }

    /// Whether a fresh copy is there now.
    #[must_use]
    pub const fn is_warm(self) -> bool {
        matches!(self, Self::Stored | Self::Refreshed | Self::Unchanged | Self::Skipped)
    }

    /// Whether another try may go better: connections that failed, time-outs, 5xx and 429.
    #[must_use]
    pub fn may_pass(self) -> bool {
        match self {
            Self::Failed(Failing::Status(status)) => status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
            Self::Failed(Failing::Refused(refusal)) => refusal.status().is_server_error(),
            Self::Failed(failing) => matches!(failing, Failing::Broken | Failing::Purged | Failing::Service),
            _ => false,
        }
    }
}

impl Failing {
    /// In words.
    #[must_use]
    pub fn reason(self) -> Cow<'static, str> {
        match self {
            Self::Status(status) => format!("status {}", status.as_u16()).into(),
            Self::Refused(refusal) => refusal.as_str().into(),
            Self::TimedOut => "timeout".into(),
            Self::Broken => "broken-body".into(),
            Self::Purged => "purged-meanwhile".into(),
            Self::Service => "service-error".into(),
            Self::Uncached => "no-cache-on-the-way".into(),
            Self::Malformed => "malformed".into(),
            Self::Task => "task".into(),
            Self::Cancelled => "cancelled".into(),
        }
    }
}
