//! Events: which requests are told of, and how what is told gets out without anybody waiting for it.
//!
//! A [`RequestLog`] decides at the end of each request whether it is told of, and tells it as one `tracing` event of the target
//! [`REQUEST`]. Whoever subscribes to `tracing` hears it; where nobody does, it costs a look at a flag.
//!
//! With the feature `logs` (part of `sidecar`) there is a subscriber that never makes a request wait: `BatchLayer` puts each event into a
//! bounded queue, and a thread of its own writes them in batches. It may be used alone:
//!
//! ```
//! # #[cfg(feature = "logs")] {
//! use tracing_subscriber::layer::SubscriberExt as _;
//! use warmfront::telemetry::log::{LogSettings, Logs};
//!
//! let logs = Logs::start(&LogSettings::default()).unwrap();
//! let subscriber = tracing_subscriber::registry().with(logs.layer());
//! tracing::subscriber::with_default(subscriber, || tracing::info!(answer = 42, "written by another thread, soon"));
//! logs.close(std::time::Duration::from_secs(1)); // writes what waits
//! # }
//! ```

mod redact;
mod requests;
mod sampler;
mod settings;
mod trace;

pub use redact::Redaction;
pub(crate) use requests::{Ending, Facts, Overruled, server_timing};
pub use requests::{REQUEST, RequestLog};
pub use sampler::Sampler;
pub use settings::{Format, LogSettings};
pub use trace::Trace;
pub(crate) use trace::new_span;
#[cfg(feature = "sidecar")]
pub(crate) use trace::{TRACEPARENT, TRACESTATE, TraceText};

#[cfg(feature = "logs")]
mod feed;
#[cfg(feature = "logs")]
mod json;
#[cfg(feature = "logs")]
mod layer;
#[cfg(feature = "logs")]
mod pretty;
#[cfg(feature = "logs")]
mod queue;
#[cfg(feature = "logs")]
mod record;
#[cfg(feature = "logs")]
mod sink;
#[cfg(feature = "logs")]
mod writer;

#[cfg(feature = "logs")]
pub use feed::{Fed, MOST_SUBSCRIBERS, Subscription, TooMany};
#[cfg(feature = "logs")]
pub use layer::BatchLayer;
#[cfg(feature = "logs")]
pub use pretty::pretty;
#[cfg(feature = "logs")]
pub use writer::{LogCounts, Logs};
