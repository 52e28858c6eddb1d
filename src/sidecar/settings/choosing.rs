//! How one of several origins is chosen, and when one is left alone for a while.

use super::Share;
use http::HeaderName;
use http::uri::PathAndQuery;
use std::time::Duration;

/// By what an origin is chosen for a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Of two that are picked at random, the one with fewer requests under way.
    #[default]
    Load,
    /// The same path and query always go to the same origin, as long as it is there.
    Path,
    /// The same value of this request header always goes to the same origin; requests without it go by load. The value may be an identity: it is hashed.
    Header(HeaderName),
    /// The same client always goes to the same origin: the first address in the `X-Forwarded-For` that the upstream gets. What no client asks for goes by load.
    Client,
}

/// When an origin that fails is left alone, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// After how many failures in a row: no connection, no response head in time, none that is HTTP, or a 502, 503 or 504. 0 = never. Default 5.
    pub after: u32,
    /// For how long the first time; the n-th time in a row for n times as long, up to 5 minutes (or this, if it is longer). Then one request tries. Default 10 s.
    pub time: Duration,
}

/// When an origin is not asked at all, because nearly everything fails there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// The share of failures in the last ten seconds from which it opens. 0 = never. Default 0.9.
    pub errors: Share,
    /// What is a failure beside what [`Ejection::after`] counts. Default nothing.
    pub counted: Counted,
    /// Answers and failures in the last ten seconds below which it stays closed. Default 20.
    pub min_requests: u64,
    /// A response head that takes longer is a failure too. 0 = none is too slow. Default 0.
    pub slow: Duration,
    /// How long it stays open; then one request tries, and another each time that this has passed again, until one does well. Default 1 s.
    pub open_for: Duration,
}

/// Which status codes are failures of the origin, not of what it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// 502, 503 and 504. One endpoint that answers 500 to everything takes no other with it.
    #[default]
    Unavailable,
    /// Every 5xx.
    ServerErrors,
}

/// Whether and how origins are asked for their health while nobody needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// What is asked for, as `/healthz`; 2xx and 3xx are healthy. Default none: origins are judged by readers' requests alone.
    pub path: Option<PathAndQuery>,
    /// The time between two checks of one origin, give or take a tenth. Default 5 s.
    pub interval: Duration,
    /// How long one check may take. Default 2 s.
    pub timeout: Duration,
    /// After how many bad checks in a row an origin is left alone. Default 2.
    pub unhealthy_after: u32,
    /// After how many good checks in a row it is asked again. Default 2.
    pub healthy_after: u32,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { after: 5, time: Duration::from_secs(10) }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            errors: Share::new(0.9),
            counted: Counted::Unavailable,
            min_requests: 20,
            slow: Duration::ZERO,
            open_for: Duration::from_secs(1),
        }
    }
}

impl Default for HealthSettings {
    fn default() -> Self {
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(2));
        Self { path: None, interval, timeout, unhealthy_after: 2, healthy_after: 2 }
    }
}
