//! warmfront puts a warm HTTP cache in front of an upstream API: a tower [`Layer`](tower_layer::Layer) around an app that you have, or a sidecar
//! (the `warmfront` binary) in front of one that you do not want to touch.
//!
//! # Three lines around an app
//! ```
//! use axum::{Router, routing::get};
//! use warmfront::{Cache, CacheLayer};
//!
//! let cache = Cache::builder().max_bytes(64 << 20).build();
//! let app: Router = Router::new()
//!     .route("/brands", get(|| async { ([("cache-control", "max-age=60")], "harbour, peak") }))
//!     .layer(CacheLayer::new(cache.clone()));
//! assert_eq!(cache.stats().entries, 0);
//! ```
//! [`layer`] has the details and a whole exchange; `examples/` has axum, hyper and a bare service.
//!
//! # Where to look
//! Each room may lean on those above it only; `tests/floors.rs` keeps the walls.
//!
//! | room | what |
//! |---|---|
//! | [`error`], [`clock`], [`problem`], [`body`], [`telemetry`], [`priority`] | ground: time, refusals and outcomes with one spelling each, who goes first |
//! | [`rfc`] | words: dates, directives, validators, ranges, Vary, Cache-Status. Pure, no state |
//! | [`cache`] | keys, entries, freshness, verdicts, the store (the one door to moka), invalidation |
//! | `flow` | fills, followers, streams, answers: the only floor that moves bytes |
//! | [`layer`] | the public face: `CacheLayer`, `Cache` |
//! | [`warm`] | what is fetched ahead of need: plans, schedules, runs, reports |
//! | `sidecar` | listener, wire, forwarding, upstream (feature `sidecar`) |
//! | `config`, `cli` | the file, the environment, the command line (feature `sidecar`) |
//!
//! [`manual`] tells the life of a request and of a warm run, where each clause of RFC 9111 is implemented and tested, what is promised under attack and fault, and
//! which decisions somebody may question.
#![warn(clippy::unwrap_used)]

#[cfg(feature = "sidecar")]
pub mod admin;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
pub mod body;
pub mod cache;
#[cfg(feature = "sidecar")]
pub mod cli;
pub mod clock;
#[cfg(feature = "sidecar")]
pub mod config;
pub mod error;
mod flow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod layer;
pub mod manual;
pub mod priority;
pub mod problem;
pub mod rfc;
#[cfg(feature = "sidecar")]
pub mod sidecar;
mod suggest;
pub mod telemetry;
mod units;
pub mod warm;

pub use body::RequestBody;
pub use cache::Level;
pub use cache::invalidation::Invalidation;
pub use cache::rules::Rule;
pub use cache::settings::Settings;
pub use layer::{Cache, CacheLayer};

/// The README's code, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
