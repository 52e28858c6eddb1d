//! What happened, in words with one spelling each, and the counters that add them up. Knows nothing of caching.

mod attempt;
mod counters;
mod outcome;
mod refusal;
mod source;

pub use attempt::Attempt;
pub use counters::Counters;
pub use outcome::Outcome;
pub use refusal::Refusal;
pub use source::Source;
