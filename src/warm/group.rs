//! Groups: what is warmed together, how urgently and when.

use crate::error::BoxError;
use crate::warm::combo::Combo;
use crate::warm::fault::PlanFault;
use crate::warm::schedule::{Schedule, Trigger};
use crate::warm::source::ListSource;
use crate::warm::target::Target;
use crate::warm::task::{Fetcher, Task};
use std::sync::Arc;
use std::time::Duration;

/// The largest [`Group::max_items`].
pub const MOST_ITEMS: usize = 1_000_000;

/// Requests that are warmed together.
///
/// ```
/// use std::time::Duration;
/// use warmfront::warm::{Combo, Group};
/// # fn main() -> Result<(), warmfront::warm::PlanFault> {
/// let group = Group::new("primary")
///     .priority(10)
///     .on_startup()
///     .every(Duration::from_secs(7200))
///     .cron("0 3 * * *")?
///     .request("/api/schools/primary?page=1")?
///     .combo(Combo::path("/api/brands")?.query("page", 1..=3)?)?;
/// assert_eq!(group.schedule.to_string(), "startup, every 2h, cron 0 3 * * *");
/// assert_eq!(group.expand(&[], |item| item.target.as_str().len() as u64).count(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The name in the API, logs and metrics: 1 to 100 visible ASCII characters.
    pub name: Arc<str>,
    /// Whether it runs by its schedule. Default true.
    pub enabled: bool,
    /// Higher goes first. Default 0.
    pub priority: u64,
    /// When it runs. Default: at start-up and at each refresh.
    pub schedule: Schedule,
    /// Single requests. Default none.
    pub requests: Vec<Target>,
    /// Combinations. Default none.
    pub combos: Vec<Combo>,
    /// Lists that the API itself gives. Default none.
    pub sources: Vec<ListSource>,
    /// The most different requests of a run, from 1 to [`MOST_ITEMS`]. Default 1000.
    pub max_items: usize,
    /// What runs instead of all this, in a group made by [`task`](Self::task).
    pub(crate) task: Option<Task>,
}

impl Group {
    /// A group of nothing yet. [`check`](Self::check) judges the name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            enabled: true,
            priority: 0,
            schedule: Schedule::default(),
            requests: Vec::new(),
            combos: Vec::new(),
            sources: Vec::new(),
            max_items: 1000,
            task: None,
        }
    }

    /// A group whose work only code can describe: `run` is called for each of its runs, with a [`Fetcher`] to warm with. It shows up everywhere as
    /// other groups do; an error ends the run with a problem in its report, and nothing else. It is dropped, wherever it is, when its run is cancelled.
    ///
    /// ```
    /// use warmfront::warm::{Fetcher, Group};
    /// async fn popular_brands(fetcher: Fetcher) -> Result<(), warmfront::error::BoxError> {
    ///     for brand in String::from_utf8(fetcher.read("/api/brands/popular").await?.to_vec())?.lines() {
    ///         fetcher.warm(&format!("/api/brands/{brand}")).await;
    ///     }
    ///     Ok(())
    /// }
    /// let group = Group::task("popular_brands", popular_brands).on_startup();
    /// assert_eq!(&*group.name, "popular_brands");
    /// ```
    #[must_use]
    pub fn task<F, T, E>(name: &str, run: F) -> Self
    where
        F: Fn(Fetcher) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self { task: Some(Task::new(run)), ..Self::new(name) }
    }

    /// Sets whether it runs by its schedule.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Sets the priority; higher goes first.
    #[must_use]
    pub fn priority(mut self, priority: u64) -> Self {
        self.priority = priority;
        self
    }

    /// Adds a trigger. The first one takes the place of the default schedule.
    #[must_use]
    pub fn on(mut self, trigger: Trigger) -> Self {
        self.schedule.push(trigger);
        self
    }

    /// Makes it run when the process starts.
    #[must_use]
    pub fn on_startup(self) -> Self {
        self.on(Trigger::Startup)
    }

    /// Makes it run at each refresh.
    #[must_use]
    pub fn on_refresh(self) -> Self {
        self.on(Trigger::Refresh)
    }

    /// Makes it run at this interval, from one second to a year.
    #[must_use]
    pub fn every(self, interval: Duration) -> Self {
        self.on(Trigger::Every(interval))
    }

    /// Makes it run at the moments of a cron line, as `0 3 * * *`.
    ///
    /// # Errors
    /// [`PlanFault::Cron`], [`PlanFault::NeverFires`]
    pub fn cron(self, fields: &str) -> Result<Self, PlanFault> {
        Ok(self.on(Trigger::cron(fields)?))
    }

    /// Makes it run only when somebody asks for it.
    #[must_use]
    pub fn only_on_demand(mut self) -> Self {
        self.schedule = Schedule::on_demand();
        self
    }

    /// Adds a request.
    ///
    /// # Errors
    /// [`PlanFault::Target`]
    pub fn request(mut self, target: &str) -> Result<Self, PlanFault> {
        self.requests.push(Target::parse(target)?);
        Ok(self)
    }

    /// Adds combinations.
    ///
    /// # Errors
    /// As [`Combo::check`].
    pub fn combo(mut self, combo: Combo) -> Result<Self, PlanFault> {
        combo.check()?;
        self.combos.push(combo);
        Ok(self)
    }

    /// Adds a list that the API gives.
    #[must_use]
    pub fn source(mut self, source: ListSource) -> Self {
        self.sources.push(source);
        self
    }

    /// Sets the most different requests of a run.
    #[must_use]
    pub fn max_items(mut self, most: usize) -> Self {
        self.max_items = most;
        self
    }

    /// Whether everything in it makes sense. Who runs a group asks this first; a configuration file has been asked already.
    ///
    /// # Errors
    /// The first fault: of the name, of `max_items`, of an interval or of a combo.
    pub fn check(&self) -> Result<(), PlanFault> {
        if !is_name(&self.name) {
            return Err(PlanFault::GroupName(String::from(&*self.name)));
        }
        if !(1..=MOST_ITEMS).contains(&self.max_items) {
            return Err(PlanFault::MaxItems(self.max_items));
        }
        self.schedule.triggers().iter().try_for_each(Trigger::check)?;
        self.combos.iter().try_for_each(Combo::check)
    }
}

/// Whether `text` may be the name of a group.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
