//! warmfront: a warm HTTP cache in front of an upstream API.
#![warn(clippy::unwrap_used)]

pub mod body;
pub mod cache;
pub mod clock;
pub mod error;
mod flow;
pub mod layer;
pub mod problem;
pub mod rfc;
#[cfg(feature = "sidecar")]
pub mod cli;
#[cfg(feature = "sidecar")]
pub mod config;
#[cfg(feature = "sidecar")]
pub mod sidecar {
    //! placeholder
    pub mod settings;
}
pub mod telemetry;

pub use body::RequestBody;
pub use cache::Level;
pub use cache::rules::Rule;
pub use cache::settings::Settings;
pub use layer::{Cache, CacheLayer};
