//! What the two ends of one connection tell each other: the [`Wire`](super::wire::Wire) and the service above it.

use crate::flow::thin::Thin;
use crate::sidecar::tunnel::Tunnel;
use crate::sidecar::word::Ear;
use crate::telemetry::Refusal;
use crate::telemetry::log::Overruled;
use http::HeaderValue;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The state of the exchange under way on a connection. One allocation per connection, shared by its wire and its service.
#[derive(Debug)]
pub(super) struct Exchange {
    /// When the connection was accepted.
    born: Instant,
    /// Since how many nanoseconds after that it has been idle; zero while it is not.
    idle: AtomicU64,
    /// When it is, hyper may go.
    dozing: AtomicBool,
    begun: AtomicBool,
    done: AtomicBool,
    broken: AtomicBool,
    unfinished: AtomicBool,
    switched: AtomicBool,
    /// Where it is told to finish or to close.
    pub(super) ear: Ear,
    /// In a box, for few connections become one.
    tunnel: Mutex<Option<Box<Tunnel>>>,
    offer: Slot<HeaderValue>,
    thin: Slot<Thin>,
    overruled: Mutex<Option<Overruled>>,
}

/// What one end leaves for the other. Where nothing is left, taking it is a look at a flag.
#[derive(Debug)]
struct Slot<T> {
    is_full: AtomicBool,
    value: Mutex<Option<T>>,
}

impl<T> Slot<T> {
    const fn new() -> Self {
        Self { is_full: AtomicBool::new(false), value: Mutex::new(None) }
    }

    fn put(&self, value: T) {
        *self.value.lock() = Some(value);
        self.is_full.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> Option<T> {
        if !self.is_full.load(Ordering::Relaxed) {
            return None;
        }
        self.is_full.store(false, Ordering::Relaxed);
        self.value.lock().take()
    }
}

impl Exchange {
    /// Of a connection that has not said anything yet: that is idle too.
    pub(super) fn new() -> Self {
        let off = || AtomicBool::new(false);
        let (dozing, begun, done, broken, unfinished, switched) = (off(), off(), off(), off(), off(), off());
        let (tunnel, offer, thin, overruled) = (Mutex::default(), Slot::new(), Slot::new(), Mutex::default());
        let (born, idle) = (Instant::now(), AtomicU64::new(1));
        let ear = Ear::default();
        Self { born, idle, dozing, begun, done, broken, unfinished, switched, ear, tunnel, offer, thin, overruled }
    }

    /// The connection waits for the first byte of a request.
    pub(super) fn rest(&self, now: Instant) {
        let since = u64::try_from(now.duration_since(self.born).as_nanos()).unwrap_or(u64::MAX);
        self.idle.store(since.max(1), Ordering::Relaxed);
    }

    /// It does so no longer.
    pub(super) fn stir(&self) {
        self.idle.store(0, Ordering::Relaxed);
    }

    /// It has waited for so long, or needed hyper so little, that it may wait without.
    pub(super) fn doze(&self) {
        self.dozing.store(true, Ordering::Relaxed);
    }

    /// Whether it does. Not while a request is under way: if hyper has that, it has been [woken](Self::wake) for it.
    pub(super) fn is_dozing(&self) -> bool {
        self.dozing.load(Ordering::Relaxed) && self.idle.load(Ordering::Relaxed) > 0
    }

    /// hyper is there again, or has something to do.
    pub(super) fn wake(&self) {
        self.dozing.store(false, Ordering::Relaxed);
    }

    /// Since when it does so.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let since = self.idle.load(Ordering::Relaxed);
        (since > 0).then(|| self.born + Duration::from_nanos(since))
    }

    /// A head is complete: a new exchange.
    pub(super) fn open(&self) {
        self.stir();
        self.begun.store(false, Ordering::Relaxed);
        self.done.store(false, Ordering::Release);
    }

    /// The request under way has a body, of which more may be found out than the service knows.
    pub(super) fn overrule_with(&self, overruled: Overruled) {
        *self.overruled.lock() = Some(overruled);
    }

    /// Has whoever tells of the request under way know that the client got another answer; `false`: nobody tells of it.
    pub(super) fn overrule(&self, refusal: Refusal) -> bool {
        let overruled = self.overruled.lock().take();
        overruled.filter(Overruled::is_awaited).is_some_and(|overruled| {
            overruled.by(refusal);
            true
        })
    }

    /// There is a response head: from now on that is written, and nothing else may be.
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// The request that is about to come offers to switch to these protocols, of which hyper shall not know.
    pub(super) fn offer(&self, protocols: HeaderValue) {
        self.offer.put(protocols);
    }

    /// What the request that has come offers.
    pub(super) fn take_offer(&self) -> Option<HeaderValue> {
        self.offer.take()
    }

    /// The response that is about to begin leaves this to the wire.
    pub(super) fn leave(&self, thin: Thin) {
        self.thin.put(thin);
    }

    /// What the wire must write for the head that comes next.
    pub(super) fn take_thin(&self) -> Option<Thin> {
        self.thin.take()
    }

    /// Whether the response has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Whoever writes the response has let go of its body.
    pub(super) fn end(&self) {
        self.done.store(true, Ordering::Release);
    }

    /// Whether the response body has been let go: it is written, or will never be.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// A body that only the end of the connection delimits broke off: the end must not look like a clean one.
    pub(super) fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// A body begins that only the end of the connection delimits: until it is written, no end may look like a clean one.
    pub(super) fn begin_close_delimited(&self) {
        self.unfinished.store(true, Ordering::Release);
    }

    /// The response is written to its last byte.
    pub(super) fn complete(&self) {
        self.unfinished.store(false, Ordering::Release);
    }

    /// Whether the connection must end with a reset.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire) || self.unfinished.load(Ordering::Acquire)
    }

    /// The upstream has said 101: after hyper has written that, the connection speaks another protocol.
    pub(super) fn switch(&self, tunnel: Tunnel) {
        *self.tunnel.lock() = Some(Box::new(tunnel));
        self.switched.store(true, Ordering::Release);
    }

    /// Whether the connection no longer speaks HTTP.
    pub(super) fn has_switched(&self) -> bool {
        self.switched.load(Ordering::Acquire)
    }

    /// The tunnel that the connection becomes when hyper is done with it.
    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.lock().take().map(|tunnel| *tunnel)
    }
}
