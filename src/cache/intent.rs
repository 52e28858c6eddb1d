//! What makes a request a warm one. It travels in the request's extensions, where nothing that comes over the wire can put it.

use crate::cache::entry::Stored;
use crate::cache::fate::{Failing, Fate};
use crate::cache::ledger::Ledger;
use crate::clock::Stamp;
use crate::priority::Priority;
use crate::rfc::date;
use crate::telemetry::Source;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// The intent of a warm request: to have a good copy stored, not to be answered.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    /// How it goes at the origin.
    pub(crate) priority: Priority,
    pub(crate) need: Need,
    /// The account into which what it stores is entered.
    pub(crate) ledger: Option<Arc<Ledger>>,
    receipt: Arc<Mutex<Receipt>>,
}

/// Which copies are good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Need {
    /// Fresh ones, unless less than this share of their lifetime is left.
    Fresh { near: f64 },
    /// Those that were asked of the origin at this sequence number or later.
    BornSince(u64),
}

/// What the flow found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) fate: Option<Fate>,
    /// How long the origin asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Intent {
    pub(crate) fn new(source: Source, need: Need, ledger: Option<Arc<Ledger>>) -> Self {
        Self { priority: Priority::new(source), need, ledger, receipt: Arc::default() }
    }

    /// Whether this fresh copy is good enough.
    pub(crate) fn is_met_by(&self, stored: &Stored, now: Stamp) -> bool {
        match self.need {
            Need::Fresh { near } => {
                let life = stored.head.life();
                life.left(now) as f64 > near * life.lifetime as f64
            }
            Need::BornSince(_) => self.is_met_since(stored.head.born()),
        }
    }

    /// Whether an answer that was asked for at the sequence number `born` can be good enough.
    pub(crate) fn is_met_since(&self, born: u64) -> bool {
        match self.need {
            Need::Fresh { .. } => true,
            Need::BornSince(sequence) => born >= sequence,
        }
    }

    /// Writes down what became of it; the first word stands.
    pub(crate) fn settle(&self, fate: Fate) {
        self.receipt.lock().fate.get_or_insert(fate);
    }

    /// Writes down a `Retry-After` (RFC 9110 section 10.2.3).
    pub(crate) fn note_retry_after(&self, headers: &HeaderMap, now: Stamp) {
        if let Some(wait) = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.as_bytes(), now)) {
            self.receipt.lock().retry_after = Some(wait);
        }
    }

    /// What was written down so far.
    pub(crate) fn receipt(&self) -> Receipt {
        *self.receipt.lock()
    }

    /// What became of it when its answer has been read to a clean end.
    pub(crate) fn fate(&self) -> Fate {
        self.receipt().fate.unwrap_or(Fate::Failed(Failing::Uncached))
    }
}

/// A delay in seconds or a date.
fn retry_after(value: &[u8], now: Stamp) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    date::parse(text.as_bytes()).map(|until| Duration::from_secs(until.saturating_sub(now.seconds())))
}

#[cfg(test)]
mod tests {
    use super::retry_after;
    use crate::clock::Stamp;
    use std::time::Duration;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Stamp::from_millis(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        let read = |text: &str| retry_after(text.as_bytes(), now).map(|wait| wait.as_secs());
        assert_eq!((read("120"), read(" 0 ")), (Some(120), Some(0)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:27 GMT"), Some(0), "it has passed");
        assert_eq!((read("-1"), read("soon"), retry_after(b"\xff", now)), (None, None, None));
        assert_eq!(retry_after(b"99999999999999999999", now), None::<Duration>);
    }
}
