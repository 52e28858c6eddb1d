//! One origin and all that is known of it.

use super::bench::{Bench, Turn};
use super::breaker::{Breaker, Change, is_slow};
use super::checkup::Checkup;
use super::choice::{Standing, hash};
use crate::sidecar::settings::{Counted, Origin, UpstreamSettings};
use crate::telemetry::BreakerState;
use http::StatusCode;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// An origin of the settings. It outlives them as long as requests are under way there.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) origin: Origin,
    /// `http://api:9000`
    pub(super) name: Box<str>,
    /// Where it stands in the order of a key.
    pub(super) seed: u64,
    load: AtomicUsize,
    pub(super) ejections: AtomicU64,
    pub(super) failures: AtomicU64,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    bench: Bench,
    breaker: Breaker,
    checkup: Checkup,
}

/// How one request ended, in the eyes of who judges origins.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// A response head of this status came.
    Answered(StatusCode),
    /// The origin's fault: no connection, no head in time, none that is HTTP.
    Failed,
    /// Nobody's fault, or the client's.
    Left,
}

/// What has been held against an origin for an answer by its head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// It counts as a failure, whatever comes of its body.
    failed: bool,
    /// When its breaker has counted it, as good.
    good: Option<Instant>,
    /// Failures came before it, which a whole body makes up for.
    owes: bool,
}

/// In which part a request was let through, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) began: Instant,
    /// To see whether it is back.
    trial: bool,
    /// To see whether its breaker may close.
    probe: bool,
}

impl Member {
    pub(super) fn new(origin: Origin) -> Self {
        let name = origin.to_string().to_ascii_lowercase().into_boxed_str();
        let record = Record { bench: Bench::default(), breaker: Breaker::new(Instant::now()), checkup: Checkup::default() };
        let (load, ejections, failures) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { seed: hash(name.as_bytes()), origin, name, load, ejections, failures, record: Mutex::new(record) }
    }

    /// Requests under way.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Whether it may be asked, and when it failed last.
    pub(super) fn standing(&self, now: Instant, settings: &UpstreamSettings) -> (Standing, Option<Instant>) {
        let record = self.record.lock();
        (record.standing(now, settings), record.bench.last_failure())
    }

    pub(super) fn breaker(&self, now: Instant, settings: &UpstreamSettings) -> BreakerState {
        self.record.lock().breaker.state(now, &settings.breaker)
    }

    /// Lets one request through, unless its breaker has opened or sent another one meanwhile.
    pub(super) fn begin(&self, now: Instant, settings: &UpstreamSettings) -> Option<Part> {
        let mut record = self.record.lock();
        let probe = match record.breaker.turn(now, &settings.breaker) {
            Turn::No(_) => return None,
            turn => turn == Turn::Trial,
        };
        let trial = record.bench.turn(now, &settings.eject) == Turn::Trial;
        if probe {
            record.breaker.begin_probe(now, &settings.breaker);
        }
        if trial {
            record.bench.begin_trial(now);
        }
        drop(record);
        Some(Part { began: now, trial, probe })
    }

    /// What came of a request.
    pub(super) fn end(&self, part: Part, end: End, now: Instant, settings: &UpstreamSettings) -> Held {
        let mut record = self.record.lock();
        let (failed, bad) = match end {
            End::Left => {
                if part.trial {
                    record.bench.leave_trial(now);
                }
                if part.probe {
                    record.breaker.leave_probe(now);
                }
                return Held::default();
            }
            End::Failed => (true, true),
            End::Answered(status) => {
                let took = now.saturating_duration_since(part.began);
                let failed = matches!(status.as_u16(), 502..=504);
                let counted = settings.breaker.counted == Counted::ServerErrors && status.is_server_error();
                (failed, failed || counted || is_slow(took, &settings.breaker))
            }
        };
        let change = record.breaker.record(bad, part.probe, now, &settings.breaker);
        let ejected = if failed { record.bench.failed(part.trial, now, &settings.eject) } else { None };
        let back = !failed && record.bench.answered(part.began, now);
        let owes = !failed && record.bench.has_failed();
        drop(record);
        if failed {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        if back {
            tracing::warn!(origin = %self.name, "upstream is back");
        }
        self.tell(ejected, change, settings);
        Held { failed, good: (!bad).then_some(now), owes }
    }

    /// The body of an answer broke off, and not for its reader.
    fn broke(&self, held: Held, now: Instant, settings: &UpstreamSettings) {
        if held.failed {
            return;
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut record = self.record.lock();
        let change = held.good.and_then(|then| record.breaker.broke(then, now, &settings.breaker));
        let ejected = record.bench.failed(false, now, &settings.eject);
        drop(record);
        self.tell(ejected, change, settings);
    }

    fn tell(&self, ejected: Option<Duration>, change: Option<Change>, settings: &UpstreamSettings) {
        if let Some(length) = ejected {
            self.ejections.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(origin = %self.name, for_ = ?length, "upstream ejected: it failed {} times in a row", settings.eject.after);
        }
        match change {
            Some(Change::Opened) => tracing::warn!(origin = %self.name, "circuit breaker opened: nearly everything fails there"),
            Some(Change::Closed) => tracing::warn!(origin = %self.name, "circuit breaker closed"),
            None => {}
        }
    }

    /// What an active check has found.
    pub(super) fn checked(&self, good: bool, now: Instant, settings: &UpstreamSettings) {
        let mut record = self.record.lock();
        let change = record.checkup.record(good, &settings.health);
        if change == Some(true) {
            record.bench.succeeded(now);
        }
        drop(record);
        match change {
            Some(true) => tracing::warn!(origin = %self.name, "upstream is healthy"),
            Some(false) => {
                self.ejections.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(origin = %self.name, "upstream is unhealthy: {} checks in a row failed", settings.health.unhealthy_after);
            }
            None => {}
        }
    }

    /// Forgets what checks said that nobody makes any more.
    pub(super) fn uncheck(&self) {
        self.record.lock().checkup.forget();
    }
}

impl Record {
    fn standing(&self, now: Instant, settings: &UpstreamSettings) -> Standing {
        let (breaker, bench) = (self.breaker.turn(now, &settings.breaker), self.bench.turn(now, &settings.eject));
        match (breaker, bench) {
            (Turn::No(until), _) => Standing::Barred(until),
            (_, Turn::No(_)) => Standing::Out,
            _ if !self.checkup.is_healthy(&settings.health) => Standing::Out,
            (Turn::Yes, Turn::Yes) => Standing::In,
            _ => Standing::Trial,
        }
    }
}

/// One request that is under way at an origin, from its choice until its body has ended.
#[derive(Debug)]
pub(in crate::sidecar) struct Load {
    member: Arc<Member>,
    held: Held,
}

impl Load {
    pub(super) fn new(member: Arc<Member>) -> Self {
        member.load.fetch_add(1, Ordering::Relaxed);
        Self { member, held: Held::default() }
    }

    pub(super) const fn answered(&mut self, held: Held) {
        self.held = held;
    }

    /// The body has come whole.
    pub(in crate::sidecar) fn whole(self) {
        if self.held.owes {
            self.member.record.lock().bench.completed();
        }
    }

    /// The body broke off, or is not coming, for which its reader can do nothing: that counts as a failure of the origin.
    pub(in crate::sidecar) fn broke(self, settings: &UpstreamSettings) {
        self.member.broke(self.held, Instant::now(), settings);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.member.load.fetch_sub(1, Ordering::Relaxed);
    }
}
