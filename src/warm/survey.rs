//! What a plan comes to, without running it: the requests in the order in which they would go, what becomes of combinations, and for a live cache
//! what is fresh already and what the rest would cost.
//!
//! An [`Outlook`] looks at groups with a cache, its rules and the hosts that are warmed for. It makes items one by one, so that a plan of a million is
//! never in memory; a [`Survey`] holds the counts and as many items as were asked for. Nobody is asked but, by [`ask_lists`], the lists.
//!
//! ```
//! use warmfront::warm::{Group, WarmSettings, survey::{Known, Outlook}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rule = warmfront::Rule::path("/live/**")?.named("live").pass();
//! let cache = warmfront::Cache::builder().rule(rule).build();
//! let group = Group::new("g").request("/brands")?.request("/live/a")?.request("/brands")?;
//! let settings = WarmSettings { groups: vec![group], ..WarmSettings::default() };
//! let outlook = Outlook::offline(&cache, &settings, None);
//! let survey = outlook.group(&settings.groups[0], &Known::default());
//! assert_eq!((survey.tally.items, survey.tally.duplicates, survey.states.never_stored), (2, 1, 1));
//! let known = Known::default();
//! let marked: Vec<String> = outlook.items(&settings.groups[0], &known).filter_map(|item| Some(item.obstacle?.to_string())).collect();
//! assert_eq!(marked, ["never stored: rule \"live\" says pass"]);
//! # Ok(()) }
//! ```

mod estimate;
mod items;
pub(crate) mod json;
mod lists;
mod live;
mod words;

pub use estimate::Estimate;
pub use items::{CopyState, CopySurvey, ItemSurvey, Items, LastTime};
pub use lists::{ListState, ListSurvey, Lists, ask_lists};
pub use live::Known;
pub(crate) use live::of_books;

use crate::cache::Site;
use crate::clock::Stamp;
use crate::layer::Cache;
use crate::warm::expand::Tally;
use crate::warm::group::Group;
use crate::warm::schedule::Zone;
use crate::warm::settings::WarmSettings;
use estimate::Costs;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Coming runs that are told of a group.
const RUNS: usize = 3;
/// Different obstacles that are counted for a group.
const MOST_OBSTACLES: usize = 32;

/// A plan as of one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Survey {
    /// When it was looked at (wall clock).
    pub at: Stamp,
    /// The time zone of its schedules.
    pub zone: Zone,
    /// Whether it looked into a live cache.
    pub live: bool,
    /// Whether anything is warmed at all.
    pub enabled: bool,
    /// For whom it is warmed.
    pub hosts: Hosts,
    /// The groups, in the order in which they go.
    pub groups: Vec<GroupSurvey>,
}

/// The hosts that are warmed for: a stored response belongs to its host and scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// The hosts; each item is asked for once per host.
    pub names: Vec<Site>,
    /// Where they come from.
    pub from: HostsFrom,
}

/// Where the hosts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostsFrom {
    /// [`WarmSettings::hosts`].
    Settings,
    /// The address that is listened on ([`Plan::default_host`](crate::warm::Plan::default_host)), for as long as readers have not named another.
    Listener,
    /// There is no such address: `localhost`.
    Nothing,
    /// The host that readers name most.
    Readers,
}

/// A group as of one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupSurvey {
    /// Its name.
    pub name: Arc<str>,
    /// Higher goes first.
    pub priority: u64,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether it is a task in Rust, whose requests only its run knows.
    pub is_task: bool,
    /// When it runs, in the words of the configuration.
    pub schedule: Vec<String>,
    /// The same for people.
    pub words: String,
    /// Its next runs. Offline three, as if the process started now and without jitter; live the next one.
    pub next_runs: Vec<NextRun>,
    /// Whether it runs right now.
    pub running: bool,
    /// The most different requests of a run.
    pub max_items: usize,
    /// Single requests, as they were written.
    pub singles: u64,
    /// Combos.
    pub combos: u64,
    /// Their combinations before exclusion; `u64::MAX` stands for that and more.
    pub combinations: u64,
    /// The lists of the API.
    pub lists: Vec<ListSurvey>,
    /// What became of all that.
    pub tally: Tally,
    /// Hosts that each item is asked for.
    pub hosts: u64,
    /// Requests by what is known of them.
    pub states: States,
    /// What the rules tell already: words, and how many requests each is about.
    pub obstacles: BTreeMap<String, u64>,
    /// What a run would ask of the origin; only live.
    pub estimate: Option<Estimate>,
    /// What could not be done, in words.
    pub problems: Vec<String>,
    /// The first of its requests, as many as were asked for.
    pub items: Vec<ItemSurvey>,
}

/// A coming run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextRun {
    /// When (wall clock).
    pub at: Stamp,
    /// The trigger in the words of the configuration, if it is known.
    pub trigger: Option<String>,
}

/// Requests (items times hosts) by what is known of them. Offline only `never_stored` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct States {
    /// A fresh copy is stored.
    pub fresh: u64,
    /// A copy is stored that is not fresh.
    pub stale: u64,
    /// Nothing is stored.
    pub absent: u64,
    /// The rules tell that nothing will be stored.
    pub never_stored: u64,
    /// It could not be cached, or failed, the last time.
    pub troubled: u64,
}

/// A look at plans: a cache with its rules, the settings, and a moment.
#[derive(Debug)]
pub struct Outlook<'a> {
    cache: &'a Cache,
    settings: &'a WarmSettings,
    hosts: Hosts,
    now: Stamp,
    wall: Stamp,
    live: bool,
}

impl<'a> Outlook<'a> {
    /// A look at what would be warmed if a process with these settings started now: `cache` is asked for keys and rules, not for copies. `listener` is where it
    /// would listen.
    #[must_use]
    pub fn offline(cache: &'a Cache, settings: &'a WarmSettings, listener: Option<&Site>) -> Self {
        let hosts = Hosts::of(settings).unwrap_or_else(|| match listener {
            Some(host) => Hosts { names: vec![host.clone()], from: HostsFrom::Listener },
            None => Hosts { names: vec![Site::localhost()], from: HostsFrom::Nothing },
        });
        Self::new(cache, settings, hosts, false)
    }

    fn new(cache: &'a Cache, settings: &'a WarmSettings, hosts: Hosts, live: bool) -> Self {
        let clock = &cache.shared().clock;
        Self { cache, settings, hosts, now: clock.now(), wall: clock.wall(), live }
    }

    /// For whom it is warmed.
    #[must_use]
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// The groups in the order in which they go.
    #[must_use]
    pub fn groups(&self) -> Vec<&'a Group> {
        let mut groups: Vec<&Group> = self.settings.groups.iter().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.priority));
        groups
    }

    /// A survey of these groups.
    #[must_use]
    pub fn survey(&self, groups: Vec<GroupSurvey>) -> Survey {
        Survey {
            at: self.wall,
            zone: self.settings.time_zone.clone(),
            live: self.live,
            enabled: self.settings.enabled,
            hosts: self.hosts.clone(),
            groups,
        }
    }

    /// A group in counts, without its items.
    #[must_use]
    pub fn group(&self, group: &'a Group, known: &'a Known) -> GroupSurvey {
        self.group_with_items(group, known, 0)
    }

    /// A group in counts, with the first `most` of its items.
    #[must_use]
    pub fn group_with_items(&self, group: &'a Group, known: &'a Known, most: usize) -> GroupSurvey {
        let mut items = self.items(group, known);
        let mut survey = self.begin(group, known);
        let mut costs = Costs::default();
        for item in items.by_ref() {
            survey.states.add(&item);
            if let Some(obstacle) = &item.obstacle {
                count(&mut survey.obstacles, obstacle.to_string());
            }
            if item.due {
                costs.add(&item);
            }
            if survey.items.len() < most {
                survey.items.push(item);
            }
        }
        survey.tally = items.tally();
        survey.estimate = self.live.then(|| costs.estimate(known.mean()));
        survey
    }

    /// The requests of a group, one by one, in the order in which they go.
    #[must_use]
    pub fn items(&self, group: &'a Group, known: &'a Known) -> Items<'_> {
        Items::new(self, group, known)
    }

    /// What is known of a group without looking at its items.
    fn begin(&self, group: &Group, known: &Known) -> GroupSurvey {
        let lists = known.lists.surveys(group);
        let problems = lists.iter().filter_map(ListSurvey::problem);
        let task = group.task.is_some().then(|| "a task in Rust: only its run knows its requests".to_owned());
        GroupSurvey {
            name: Arc::clone(&group.name),
            priority: group.priority,
            enabled: group.enabled,
            is_task: group.task.is_some(),
            schedule: group.schedule.triggers().iter().map(ToString::to_string).collect(),
            words: words::schedule(&group.schedule, self.settings),
            next_runs: self.next_runs(group, known),
            running: known.running,
            max_items: group.max_items,
            singles: group.requests.len() as u64,
            combos: group.combos.len() as u64,
            combinations: group.combos.iter().map(crate::warm::Combo::product).fold(0, u64::saturating_add),
            problems: task.into_iter().chain(problems).collect(),
            lists,
            tally: Tally::default(),
            hosts: self.hosts.names.len() as u64,
            states: States::default(),
            obstacles: BTreeMap::new(),
            estimate: None,
            items: Vec::new(),
        }
    }

    fn next_runs(&self, group: &Group, known: &Known) -> Vec<NextRun> {
        if !self.settings.enabled || !group.enabled {
            return Vec::new();
        }
        if self.live {
            return known.next_run.map(|at| NextRun { at, trigger: None }).into_iter().collect();
        }
        let settings = self.settings;
        let runs = group.schedule.next_runs(self.wall, &settings.time_zone, settings.refresh_interval, RUNS);
        runs.into_iter().map(|(at, trigger)| NextRun { at, trigger: Some(trigger.to_string()) }).collect()
    }
}

impl Hosts {
    /// Those of the settings, if they name any.
    fn of(settings: &WarmSettings) -> Option<Self> {
        let names = settings.hosts.clone();
        (!names.is_empty()).then_some(Self { names, from: HostsFrom::Settings })
    }
}

impl HostsFrom {
    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "warm.hosts",
            Self::Listener => "listener",
            Self::Nothing => "nothing",
            Self::Readers => "readers",
        }
    }
}

impl GroupSurvey {
    /// Requests of a run: items times hosts.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.tally.items.saturating_mul(self.hosts)
    }

    /// Why combinations were not looked at, if some were not: `max_items`, or `looks` where too many looks found duplicates and exclusions only.
    #[must_use]
    pub const fn cut_by(&self) -> Option<&'static str> {
        match self.tally.cut {
            0 => None,
            _ if self.tally.items >= self.max_items as u64 => Some("max_items"),
            _ => Some("looks"),
        }
    }
}

impl States {
    fn add(&mut self, item: &ItemSurvey) {
        match &item.copy {
            _ if item.is_never_stored() => self.never_stored += 1,
            Some(CopySurvey { state: CopyState::Fresh { .. }, .. }) => self.fresh += 1,
            Some(CopySurvey { state: CopyState::Stale { .. }, .. }) => self.stale += 1,
            None if item.looked => self.absent += 1,
            None => {}
        }
        self.troubled += u64::from(item.last.is_some());
    }
}

fn count(obstacles: &mut BTreeMap<String, u64>, words: String) {
    if let Some(count) = obstacles.get_mut(&words) {
        *count += 1;
    } else if obstacles.len() < MOST_OBSTACLES {
        obstacles.insert(words, 1);
    }
}

#[cfg(test)]
mod tests;
