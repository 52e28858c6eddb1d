//! What happened, in words with one spelling each, and the counters that add them up. Knows nothing of caching.

mod attempt;
mod breaker;
mod histogram;
pub mod log;
mod outcome;
mod refusal;
mod requests;
pub(crate) mod shard;
mod source;
#[cfg_attr(not(feature = "otel"), allow(dead_code, reason = "nobody takes spans"))]
pub(crate) mod span;
mod trigger;

pub use attempt::Attempt;
pub use breaker::BreakerState;
pub use histogram::{BOUNDS, Distribution, Histogram};
pub use outcome::Outcome;
pub use refusal::Refusal;
pub(crate) use refusal::Refusals;
#[cfg(feature = "sidecar")]
pub(crate) use requests::RESERVED;
pub use requests::{ByOutcome, Requests, RuleCounts};
pub use source::Source;
pub(crate) use trigger::Invalidations;
pub use trigger::Trigger;
