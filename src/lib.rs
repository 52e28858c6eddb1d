//! warmfront: a warm HTTP cache in front of an upstream API.
pub mod body;
pub mod clock;
pub mod error;
pub mod problem;
pub mod telemetry;
pub mod cache {
    pub mod rules;
    pub mod settings;
}
#[cfg(feature = "sidecar")]
pub mod sidecar;
pub use body::RequestBody;
pub use cache::rules::Rule;
pub use cache::settings::Settings;
