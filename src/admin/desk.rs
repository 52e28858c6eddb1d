//! What all calls share.

use crate::admin::Rooms;
use crate::admin::calls::config::Remembered;
use crate::admin::settings::AdminSettings;
use crate::clock::Stamp;
use crate::layer::Stats;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::MutexGuard;

/// The desk at which all calls are answered.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) rooms: Rooms,
    /// What is listened on, with the real port.
    pub(super) bound: SocketAddr,
    pub(super) settings: ArcSwap<AdminSettings>,
    /// What a switch was at before it was put off.
    pub(super) remembered: Mutex<Remembered>,
    /// Since when the start-up plan is waited for.
    pub(super) opened: Stamp,
    /// Once ready, it stays so until it drains.
    pub(super) was_ready: AtomicBool,
    /// How much of each group was warm, of how much, when counts were last reset: what is stored is not forgotten with its count.
    pub(super) warmed: Mutex<BTreeMap<Arc<str>, (u64, u64)>>,
    draining: AtomicBool,
    baseline: Mutex<Baseline>,
    /// Held while settings change.
    changing: tokio::sync::Mutex<()>,
}

/// What the counts were when they were reset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Baseline {
    pub(super) stats: Stats,
    /// When (wall clock).
    pub(super) at: Stamp,
}

impl Desk {
    pub(super) fn new(rooms: Rooms, bound: SocketAddr, settings: AdminSettings) -> Arc<Self> {
        let opened = rooms.cache.shared().clock.now();
        Arc::new(Self {
            rooms,
            bound,
            settings: ArcSwap::from_pointee(settings),
            remembered: Mutex::default(),
            opened,
            was_ready: AtomicBool::new(false),
            warmed: Mutex::default(),
            draining: AtomicBool::new(false),
            baseline: Mutex::new(Baseline { stats: Stats::default(), at: Stamp::from_millis(0) }),
            changing: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(super) fn baseline(&self) -> Baseline {
        *self.baseline.lock()
    }

    /// Counts begin anew. The counters themselves go on: `/metrics` must not run backwards.
    pub(super) fn reset(&self) {
        let mut baseline = self.baseline.lock();
        *baseline = Baseline { stats: self.rooms.cache.stats(), at: self.rooms.cache.shared().clock.wall() };
        let mut warmed = self.warmed.lock();
        for group in self.rooms.warm.report().groups {
            if let Some(last) = group.last {
                warmed.insert(group.name, (last.fates.warm(), last.fates.items()));
            }
        }
        self.rooms.warm.reset();
    }

    /// While this is held nobody else changes settings.
    pub(super) async fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The names of all groups, in the order of the configuration.
    pub(super) fn groups(&self) -> Vec<Arc<str>> {
        self.rooms.warm.settings().groups.iter().map(|group| Arc::clone(&group.name)).collect()
    }
}

/// A handle to an admin API: what the rest of the house tells it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control(pub(super) Arc<Desk>);

impl Control {
    /// From now on `/readyz` says 503: the house finishes what is under way.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Runs `change` while no call changes settings, so that a reload and a `PUT` do not mix.
    pub async fn alone<T>(&self, change: impl Future<Output = T>) -> T {
        let _alone = self.0.changing().await;
        change.await
    }

    /// Puts other settings in force. What can only change by a restart keeps its old value and is named by its configuration key: the address, and
    /// the token where taking it away would open the API to others.
    pub fn reload(&self, mut settings: AdminSettings) -> Vec<&'static str> {
        let old = self.0.settings.load_full();
        let mut restart = Vec::new();
        if settings.listen != old.listen {
            restart.push("admin.listen");
            settings.listen = old.listen;
        }
        if settings.token.is_none() && !self.0.bound.ip().is_loopback() {
            restart.push("admin.token");
            settings.token.clone_from(&old.token);
        }
        self.0.settings.store(Arc::new(settings));
        restart
    }
}
