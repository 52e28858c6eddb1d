//! What begins and ends warming: a plan, a warmer that runs it, and a guard.

use crate::cache::Site;
use crate::clock::Clock;
use crate::layer::Cache;
use crate::warm::books::Books;
use crate::warm::fault::PlanFault;
use crate::warm::fetch::{Fetch, Through};
use crate::warm::group::Group;
use crate::warm::handle::Warm;
use crate::warm::report::Report;
use crate::warm::runner::{Parts, Runner};
use crate::warm::settings::WarmSettings;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use std::fmt;
use std::fmt::Display;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tower_service::Service;

/// Commands that may wait.
const COMMANDS: usize = 256;

/// What is warmed in which cache.
#[derive(Clone, Debug)]
pub struct Plan {
    cache: Cache,
    settings: WarmSettings,
    default_host: Site,
    clock: Clock,
}

impl Plan {
    /// An empty plan for `cache`: it refreshes ahead what is hit often, and nothing else.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        let clock = cache.shared().clock.clone();
        Self { cache: cache.clone(), settings: WarmSettings::default(), default_host: Site::localhost(), clock }
    }

    /// Takes all settings at once; groups that were added before are gone.
    #[must_use]
    pub fn settings(mut self, settings: WarmSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The settings so far.
    #[must_use]
    pub fn settings_so_far(&self) -> &WarmSettings {
        &self.settings
    }

    /// Adds a group.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.settings.groups.push(group);
        self
    }

    /// Adds a host that readers name: a stored response belongs to its host and scheme. See [`WarmSettings::hosts`].
    #[must_use]
    pub fn host(mut self, host: Site) -> Self {
        self.settings.hosts.push(host);
        self
    }

    /// The host to warm for as long as nobody has named one and no reader has come. Default `localhost`.
    #[must_use]
    pub fn default_host(mut self, host: &Site) -> Self {
        self.default_host = host.clone();
        self
    }
}

/// Warms a cache through the service that readers use.
///
/// `service` is the one with the cache's layer in it, or anything around that: a whole axum `Router`.
pub struct Warmer {
    fetch: Arc<dyn Fetch>,
    plan: Plan,
}

impl Warmer {
    /// A warmer of `plan` through `service`.
    pub fn new<S, B, RB>(service: S, plan: Plan) -> Self
    where
        S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send,
        B: Default + Send + 'static,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Display + Send,
    {
        Self { fetch: Arc::new(Through::new(service)), plan }
    }

    /// Starts to warm, in a task of its own on the current runtime.
    ///
    /// # Errors
    /// The plan makes no sense: a group of it, or two with one name.
    pub fn spawn(self) -> Result<Guard, PlanFault> {
        let Self { fetch, plan: Plan { cache, settings, default_host, clock } } = self;
        settings.check()?;
        cache.shared().forwarding.follow_user(settings.user.as_ref().map(|user| &user.identity));
        let books = Books::new(settings);
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (stop, stopped) = watch::channel(false);
        let warm = Warm::new(cache.clone(), Arc::clone(&books), commands, default_host.clone());
        let parts = Parts { fetch, cache, books, clock, default_host, commands: receiver };
        // Here, not in the task: whoever asks right after this finds everything in the books.
        let runner = Runner::new(parts);
        let task = tokio::spawn(runner.run(stopped));
        Ok(Guard { warm, stop, task: Some(task) })
    }
}

impl fmt::Debug for Warmer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warmer").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// As long as it lives, warming goes on. Dropping it ends everything: schedules, runs, refresh-ahead. What is stored stays.
#[derive(Debug)]
#[must_use = "dropping it ends warming"]
pub struct Guard {
    warm: Warm,
    stop: watch::Sender<bool>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Guard {
    /// A handle to talk to the warmer.
    #[must_use]
    pub fn handle(&self) -> Warm {
        self.warm.clone()
    }

    /// The reports: at the start and end of each run, and a few times a second while something runs.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.warm.reports()
    }

    /// Ends warming and waits until it has ended: runs under way are cancelled.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            let _ = task.await; // a panic in it has been reported by the runtime
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
