//! What is stored and when it may be used: keys, entries, freshness, verdicts. Nothing here waits or moves bytes.

pub(crate) mod admit;
pub(crate) mod bans;
pub(crate) mod budget;
pub(crate) mod entry;
pub(crate) mod evictions;
pub(crate) mod fate;
pub(crate) mod fields;
pub(crate) mod freshness;
pub(crate) mod groups;
pub(crate) mod hosts;
pub(crate) mod intent;
pub mod invalidation;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod members;
pub(crate) mod obstacle;
pub(crate) mod pins;
pub(crate) mod policy;
pub(crate) mod predictor;
pub mod rules;
pub(crate) mod secret;
pub mod settings;
pub(crate) mod site;
pub(crate) mod store;
pub(crate) mod tags;
pub(crate) mod under_way;
pub(crate) mod unstored;
pub(crate) mod wish;

pub use admit::NotStored;
pub use evictions::Eviction;
pub use fate::{Failing, Fate};
pub use freshness::{Life, LifetimeSource};
pub use groups::Level;
pub use ledger::Gain;
pub use obstacle::Obstacle;
pub use site::Site;
