//! What can be set about warming. A configuration file and the library's builders are two faces of these types.

use crate::cache::Site;
use crate::cache::rules::Identity;
use crate::warm::fault::PlanFault;
use crate::warm::group::Group;
use crate::warm::schedule::Zone;
use crate::warm::target::Target;
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use std::time::Duration;

/// All settings of warming. The default warms nothing but refreshes ahead what is hit often.
///
/// ```
/// use warmfront::warm::{Group, WarmSettings};
/// let settings = WarmSettings { groups: vec![Group::new("brands").request("/api/brands").unwrap()], ..WarmSettings::default() };
/// assert!(settings.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct WarmSettings {
    /// Whether anything is warmed. Default true.
    pub enabled: bool,
    /// Whether `startup` in a schedule means anything. Default true.
    pub on_startup: bool,
    /// How long after the start it runs. Default 100 ms.
    pub startup_delay: Duration,
    /// Warm requests under way at a time, at least 1. Default 4.
    pub concurrency: usize,
    /// How long one item may take, its body included. Default 10 s.
    pub timeout: Duration,
    /// Warm requests per second, all warming together. Default 50; 0: no limit.
    pub max_rate: u32,
    /// What `refresh` in a schedule means. Default 5 minutes; zero: never.
    pub refresh_interval: Duration,
    /// What is refreshed before it expires.
    pub refresh_ahead: RefreshAhead,
    /// The time zone of cron lines. Default UTC.
    pub time_zone: Zone,
    /// The hosts that readers name: a stored response belongs to its host and scheme, so it is warmed for each of these. Empty (the default): for the
    /// one that readers name most, and before there was one, for the address that is listened on.
    pub hosts: Vec<Site>,
    /// What is warmed. Default nothing.
    pub groups: Vec<Group>,
    /// Warm-ups that users ask for themselves. Default none.
    pub user: Option<UserSettings>,
}

/// Which responses are refreshed before they expire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefreshAhead {
    /// Those that were hit at least so often in their lifetime. Default 2; 0: none.
    pub hits: u64,
    /// In this last part of their lifetime, from 0 to 1. Default 0.1.
    pub before: f64,
}

/// Warm-ups that users ask for themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSettings {
    /// The path where they ask. Default `/api/user/warmup`.
    pub path: PathAndQuery,
    /// Who they are. Default the header `authorization`.
    pub identity: Identity,
    /// What is warmed for a user, with that header. Default nothing.
    pub requests: Vec<Target>,
    /// How long a warm-up counts. Default 30 minutes.
    pub valid_for: Duration,
    /// The least time between two requests of a user for a warm-up. Default 5 s.
    pub min_interval: Duration,
    /// Users that are remembered at a time; who comes beyond that is told to come back later. Default 10,000, at least 1.
    pub max_users: usize,
    /// Warm-ups of users under way at a time. Default 64, at least 1.
    pub max_running: usize,
}

impl Default for WarmSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            on_startup: true,
            startup_delay: Duration::from_millis(100),
            concurrency: 4,
            timeout: Duration::from_secs(10),
            max_rate: 50,
            refresh_interval: Duration::from_secs(300),
            refresh_ahead: RefreshAhead::default(),
            time_zone: Zone::default(),
            hosts: Vec::new(),
            groups: Vec::new(),
            user: None,
        }
    }
}

impl Default for RefreshAhead {
    fn default() -> Self {
        Self { hits: 2, before: 0.1 }
    }
}

impl Default for UserSettings {
    fn default() -> Self {
        Self {
            path: PathAndQuery::from_static("/api/user/warmup"),
            identity: Identity { header: AUTHORIZATION },
            requests: Vec::new(),
            valid_for: Duration::from_secs(1800),
            min_interval: Duration::from_secs(5),
            max_users: 10_000,
            max_running: 64,
        }
    }
}

impl WarmSettings {
    /// Whether every group makes sense and has a name of its own, and every number is in its bounds. Who warms asks this first; a configuration
    /// file has been asked already.
    ///
    /// # Errors
    /// [`PlanFault::Setting`], the first fault of a group, or [`PlanFault::SameName`].
    pub fn check(&self) -> Result<(), PlanFault> {
        let user = self.user.as_ref();
        for (fits, name, fix) in [
            (self.concurrency > 0, "concurrency", "write at least 1; enabled = false switches warming off"),
            (!self.timeout.is_zero(), "timeout", "write how long one item may take"),
            (
                self.refresh_interval.is_zero() || self.refresh_interval.as_secs() > 0,
                "refresh_interval",
                "write at least 1s, or zero for never",
            ),
            ((0.0..=1.0).contains(&self.refresh_ahead.before), "refresh_ahead.before", "write a number from 0.0 to 1.0"),
            (user.is_none_or(|user| user.max_users > 0), "user.max_users", "write at least 1"),
            (user.is_none_or(|user| user.max_running > 0), "user.max_running", "write at least 1"),
        ] {
            if !fits {
                return Err(PlanFault::Setting(name, fix));
            }
        }
        for (at, group) in self.groups.iter().enumerate() {
            group.check()?;
            if self.groups[..at].iter().any(|other| other.name == group.name) {
                return Err(PlanFault::SameName(String::from(&*group.name)));
            }
        }
        Ok(())
    }
}
