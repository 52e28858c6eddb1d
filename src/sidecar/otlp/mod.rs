//! Spans go to a collector of OpenTelemetry: OTLP over HTTP, from a thread of its own that nobody waits for.
//!
//! ```
//! use warmfront::sidecar::otlp::{Exporter, OtlpSettings};
//! use warmfront::telemetry::log::{LogSettings, RequestLog};
//!
//! let env = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:4318".to_owned());
//! let (settings, _warnings) = OtlpSettings::from_env(env).unwrap();
//! let exporter = Exporter::start(settings.unwrap()).unwrap();
//! let log = RequestLog::new(&LogSettings::default()); // for Cache::builder().request_log and Sidecar::log_to
//! exporter.take_from(&log);
//! exporter.close(std::time::Duration::from_secs(1)); // sends what waits
//! ```

mod collector;
mod list;
mod message;
mod protobuf;
mod resource;
mod settings;
mod verdict;

pub use settings::{EnvFault, OtlpSettings};

use crate::sidecar::otlp::collector::{Collector, Parcel};
use crate::telemetry::log::RequestLog;
use crate::telemetry::span::{Incoming, Span, Spans};
use parking_lot::Mutex;
use std::io;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::watch;

/// The target of what is said when spans begin to be lost, and when they go out again.
const TARGET: &str = "warmfront::otel";

/// Bytes of what the collector says that are told.
const MOST_SAID: usize = 200;

/// A handle to the thread that sends spans.
#[derive(Debug)]
pub struct Exporter {
    spans: Spans,
    closing: watch::Sender<bool>,
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Exporter {
    /// Starts the thread. The collector need not be there.
    ///
    /// # Errors
    /// There is no thread or no runtime to be had.
    pub fn start(settings: OtlpSettings) -> io::Result<Self> {
        let (spans, incoming) = Incoming::new(settings.queue, settings.batch);
        let (closing, closed) = watch::channel(false);
        let (end, ended) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let sender = Sender { incoming, closed, collector: Collector::new(settings.clone()), settings, lost: None, warns: false };
        std::thread::Builder::new().name("warmfront-otel".into()).spawn(move || {
            runtime.block_on(sender.run());
            runtime.shutdown_background();
            drop(end);
        })?;
        Ok(Self { spans, closing, ended: Mutex::new(Some(ended)) })
    }

    /// Has the requests that `log` tells of become spans; of two exporters the first counts.
    pub fn take_from(&self, log: &RequestLog) {
        log.span_to(self.spans.clone());
    }

    /// Sends what waits and ends the thread. Returns when that is done, or after `patience`; `false`: it is not done, because the collector does not
    /// answer. What comes later is dropped.
    pub fn close(&self, patience: Duration) -> bool {
        let _ = self.closing.send(true);
        let ended = self.ended.lock().take();
        ended.is_none_or(|ended| ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Disconnected))
    }
}

/// What the thread has.
struct Sender {
    incoming: Incoming,
    closed: watch::Receiver<bool>,
    collector: Collector,
    settings: OtlpSettings,
    /// Spans that were lost since that was said; `None`: the last batch was taken.
    lost: Option<u64>,
    /// With the last batch that it took whole, the collector had something to say.
    warns: bool,
}

impl Sender {
    async fn run(mut self) {
        loop {
            let closing = self.pause(self.settings.delay, true).await;
            // What comes while this goes on has its turn later, unless there is no later.
            let mut left = self.incoming.waiting();
            while left > 0 {
                let batch = self.incoming.take();
                if batch.is_empty() {
                    break;
                }
                left = left.saturating_sub(batch.len());
                self.send(batch).await;
            }
            if closing {
                return;
            }
        }
    }

    /// Lets `time` pass, or less: until a batch is there if `eager`, or all shall end (`true`).
    async fn pause(&mut self, time: Duration, eager: bool) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => false,
            () = self.incoming.full(), if eager => false,
            // Who has forgotten the exporter wants it to go on.
            Ok(_) = self.closed.wait_for(|closed| *closed) => true,
        }
    }

    /// One batch, as often as it is worth while.
    async fn send(&mut self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        let parcel = Parcel::new(message::request(&self.settings.resource, &batch), self.settings.gzip);
        drop(batch);
        let mut attempts = 0;
        let trouble = loop {
            attempts += 1;
            let trouble = match self.collector.send(&parcel).await {
                Ok((rejected, why)) => return self.taken(count, rejected.min(count), &why),
                Err(trouble) => trouble,
            };
            let Some(wait) = trouble.wait(attempts, rand::random()) else { break trouble };
            let closing = *self.closed.borrow();
            // At the end there is time for one more attempt, and for no wait.
            if closing && attempts > 1 {
                break trouble;
            }
            self.pause(wait, false).await;
        };
        self.incoming.count(0, count);
        self.lose(count, &trouble.to_string());
    }

    fn taken(&mut self, count: u64, rejected: u64, why: &str) {
        self.incoming.count(count - rejected, rejected);
        let why = why.get(..why.floor_char_boundary(MOST_SAID)).unwrap_or_default();
        if rejected > 0 {
            return self.lose(rejected, &format!("it rejected spans: {why}"));
        }
        if let Some(lost) = self.lost.take() {
            tracing::warn!(target: TARGET, lost, "spans go out again");
        }
        // None is rejected, and yet there is something to say: a warning (OTLP specification, "Partial Success"). One line for as long as it goes on.
        let warns = !why.trim().is_empty();
        if warns && !self.warns {
            let collector = self.settings.origin.to_string();
            tracing::warn!(target: TARGET, collector, why, "the collector takes the spans, and warns");
        }
        self.warns = warns;
    }

    /// One line for a whole time of trouble, however many batches it takes.
    fn lose(&mut self, count: u64, why: &str) {
        if self.lost.is_none() {
            let collector = self.settings.origin.to_string();
            tracing::warn!(target: TARGET, collector, why, "spans do not reach the collector; they are lost until they do");
        }
        *self.lost.get_or_insert(0) += count;
    }
}
