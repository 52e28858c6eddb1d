//! What can be set about events.

use std::path::PathBuf;
use std::time::Duration;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object on each line.
    #[default]
    Json,
    /// One line for people.
    Pretty,
}

/// `[logs]`: which requests are told of, and where events go.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// How events are written. Default JSON lines.
    pub format: Format,
    /// The share of requests that is told of, from 0 to 1; errors, refusals and slow requests always are. The requests of one trace
    /// (`traceparent`) are told of together, or not at all. Default 1.
    pub sample_rate: f64,
    /// From when a request, counted to the last byte of its body, is slow. Zero: none is. Default 1 s.
    pub slow: Duration,
    /// How long an event may wait for others to be written with. Zero: none waits. Default 100 ms.
    pub batch_delay: Duration,
    /// Events that are written together at most; a thread that has so many waiting does not wait for the delay. Default 1024.
    pub batch_max: usize,
    /// The file that events are appended to; `None`: stderr. Default stderr.
    pub file: Option<PathBuf>,
    /// Whether responses carry `Server-Timing`. Default no.
    pub server_timing: bool,
    /// Events that may wait to be written, counted in pieces of 512 bytes; what comes beyond is dropped and counted. Default 65536, 32 MiB at
    /// most. Changes at a restart only.
    pub queue: usize,
    /// Query parameters whose values are never written, whatever their case; `*` at the end stands for any rest.
    pub redact: Vec<String>,
}

/// What is usual among names of parameters that hold secrets.
const REDACTED: &[&str] = &[
    "*token",
    "token*",
    "api_key",
    "apikey",
    "api-key",
    "key",
    "password",
    "passwd",
    "pwd",
    "secret",
    "client_secret",
    "sig",
    "signature",
    "x-amz-*",
    "x-goog-*",
    "auth",
    "authorization",
    "code",
    "jwt",
    "session",
    "sessionid",
    "sid",
];

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: Format::Json,
            sample_rate: 1.0,
            slow: Duration::from_secs(1),
            batch_delay: Duration::from_millis(100),
            batch_max: 1024,
            file: None,
            server_timing: false,
            queue: 65_536,
            redact: REDACTED.iter().map(|name| (*name).to_owned()).collect(),
        }
    }
}
