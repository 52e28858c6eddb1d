//! The admin API: what operators and their scripts ask and change, on a listener, a thread and a runtime of its own, so that it answers while the
//! data port is saturated.
//!
//! From the outside in: `server` accepts, `guard` keeps strangers out, `routes` knows every call (the OpenAPI document is made from the same table),
//! `asked` and `fields` read what was sent and name the place of every fault, `calls` do the work through the very handles that readers and schedules
//! use, `shapes` write what is answered.
//!
//! ```
//! use warmfront::admin::{Admin, AdminSettings, Rooms};
//! use warmfront::sidecar::{Sidecar, settings::{ServerSettings, UpstreamSettings}};
//! use warmfront::telemetry::log::Logs;
//! use warmfront::warm::{Plan, Warmer};
//! use warmfront::{Cache, CacheLayer, RequestBody};
//! use tower_layer::Layer as _;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let cache = Cache::new();
//! let sidecar = Sidecar::new(ServerSettings::default(), UpstreamSettings::new("127.0.0.1:9000".parse().unwrap()));
//! let service = CacheLayer::new(cache.clone()).layer(sidecar.upstream());
//! let warmer = Warmer::new::<_, RequestBody, _>(service, Plan::new(&cache)).spawn().unwrap();
//! let settings = AdminSettings { listen: "127.0.0.1:0".parse().unwrap(), ..AdminSettings::default() };
//! let bound = Admin::new(settings, Rooms { cache, warm: warmer.handle(), sidecar, logs: Logs::default() }).bind()?;
//! assert!(bound.address().ip().is_loopback());
//! bound.start()?.stop().await; // dropping it ends it as well
//! # Ok(())
//! # }
//! ```

mod answer;
mod asked;
mod calls;
mod desk;
mod fields;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod guard;
mod once;
mod openapi;
mod problem;
mod routes;
mod schemas;
mod seats;
mod secret;
mod server;
mod settings;
mod shapes;
mod stall;
mod stream;

pub use desk::Control;
pub use secret::Secret;
pub use server::{Admin, Bound, Serving};
pub use settings::AdminSettings;

mod bad;
pub(crate) mod explain;
mod exposition;
pub(crate) mod keys;
pub(crate) mod metrics;
mod process;
#[cfg(test)]
mod rooms;

use crate::layer::Cache;
use crate::sidecar::Sidecar;
use crate::telemetry::log::Logs;
use crate::warm::Warm;

/// The rooms that the admin API looks into. Everything in it is a view of the same store, timer and report that readers and schedules use.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// The cache.
    pub cache: Cache,
    /// The warmer.
    pub warm: Warm,
    /// Listener and upstream.
    pub sidecar: Sidecar,
    /// Events; the default one has none.
    pub logs: Logs,
}
