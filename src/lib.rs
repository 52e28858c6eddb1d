//! warmfront: a warm HTTP cache in front of an upstream API.
#![warn(clippy::unwrap_used)]

pub mod body;
pub mod cache;
#[cfg(feature = "sidecar")]
pub mod cli;
pub mod clock;
#[cfg(feature = "sidecar")]
pub mod config;
pub mod error;
mod flow;
pub mod layer;
pub mod problem;
pub mod rfc;
#[cfg(feature = "sidecar")]
pub mod sidecar;
pub mod telemetry;

pub use body::RequestBody;
pub use cache::Level;
pub use cache::rules::Rule;
pub use cache::settings::Settings;
pub use layer::{Cache, CacheLayer};
