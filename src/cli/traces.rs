//! Spans of a process: to a collector, if the environment names one and the feature `otel` is there; else nowhere.

use super::Failure;
use crate::config::Config;
#[cfg(feature = "otel")]
use crate::sidecar::otlp::Exporter;
use crate::telemetry::log::RequestLog;

/// How long sending the last spans may take.
#[cfg(feature = "otel")]
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(3);

/// Takes spans, or not.
#[derive(Debug, Default)]
pub(super) struct Traces {
    #[cfg(feature = "otel")]
    exporter: Option<Exporter>,
}

#[cfg(feature = "otel")]
impl Traces {
    pub(super) fn start(config: &Config) -> Result<Self, Failure> {
        let exporter = config.otlp.clone().map(Exporter::start).transpose();
        exporter
            .map(|exporter| Self { exporter })
            .map_err(|error| Failure::Work(format!("cannot start the thread that sends spans: {error}")))
    }

    pub(super) fn take_from(&self, log: &RequestLog) {
        if let Some(exporter) = &self.exporter {
            exporter.take_from(log);
        }
    }

    /// Sends what waits.
    pub(super) fn close(&self) {
        if self.exporter.as_ref().is_some_and(|exporter| !exporter.close(LAST_WORDS)) {
            tracing::warn!(target: "warmfront::otel", "the collector has not taken the last spans in time; they are lost");
        }
    }
}

#[cfg(not(feature = "otel"))]
impl Traces {
    #[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
    pub(super) fn start(_: &Config) -> Result<Self, Failure> {
        Ok(Self {})
    }

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn take_from(&self, _: &RequestLog) {}

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn close(&self) {}
}
