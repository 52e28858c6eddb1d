//! Warming: what is fetched before readers ask for it, and when.
//!
//! A [`Group`] says what is asked for: single targets, combinations ([`Combo`]) and lists that the API itself gives ([`ListSource`]). Its [`Schedule`] says
//! when. [`Group::expand`] makes the requests one by one, each once; [`Trigger::next`] tells the next moment from the last one. Both are pure: they
//! read no clock and ask nobody, so that a plan can be shown without being run.
//!
//! ```
//! use warmfront::clock::Stamp;
//! use warmfront::warm::{Combo, Group, ListSource, Zone, source::read_source};
//! use std::hash::{BuildHasher, RandomState};
//! use std::time::Duration;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let schools = Combo::path("/api/schools/{level}")?
//!     .param("level", ["primary", "secondary"])?
//!     .query("district", ["central", "wan chai"])?
//!     .exclude([("level", ["secondary"]), ("district", ["central"])])?;
//! let brands = ListSource::new("/api/brands/top", "/items/*/name", "/api/brands/{value}/stats")?;
//! let group = Group::new("all").request("/api/brands")?.combo(schools)?.source(brands).cron("0 3 * * *")?;
//!
//! let answer = br#"{"items": [{"name": "harbour"}, {"name": "peak"}, {"name": "harbour"}]}"#;
//! let lists = [read_source(answer, &group.sources[0].select, 100)?.values];
//! let hasher = RandomState::new();
//! let mut items = group.expand(&lists, |item| hasher.hash_one(item.target.as_str()));
//! let targets: Vec<String> = items.by_ref().map(|item| item.target.to_string()).collect();
//! assert_eq!(targets, [
//!     "/api/brands",
//!     "/api/schools/primary?district=central",
//!     "/api/schools/primary?district=wan%20chai",
//!     "/api/schools/secondary?district=wan%20chai",
//!     "/api/brands/harbour/stats",
//!     "/api/brands/peak/stats",
//! ]);
//! assert_eq!((items.tally().items, items.tally().excluded, items.tally().cut), (6, 1, 0));
//!
//! let (now, zone) = (Stamp::from_millis(1_772_000_000_000), Zone::parse("Europe/Berlin")?);
//! let next = group.schedule.next_runs(now, &zone, Duration::ZERO, 1)[0].0;
//! assert_eq!(zone.rfc3339(next), "2026-02-26T03:00:00+01:00");
//! # Ok(()) }
//! ```

mod active;
mod ahead;
mod ask;
mod books;
pub mod combo;
mod draw;
pub mod expand;
pub mod fault;
mod fetch;
pub mod group;
mod handle;
mod headers;
mod pace;
pub mod report;
mod rewarm;
mod runner;
pub mod schedule;
pub mod settings;
pub mod source;
pub mod survey;
pub mod target;
mod task;
pub mod template;
mod timers;
mod user;
mod view;
mod warmer;

pub use crate::cache::Site;
pub use combo::Combo;
pub use expand::{Expansion, Item, Tally};
pub use fault::{PlanFault, SourceFault};
pub use group::Group;
pub use handle::{UnknownGroup, Warm};
pub use pace::Backoff;
pub use report::{AheadReport, Cause, Fates, GroupReport, Outcome, Progress, Report, RunReport, RunTotals};
pub use schedule::{Cron, Schedule, Trigger, Zone};
pub use settings::{RefreshAhead, UserSettings, WarmSettings};
pub use source::{ListSource, Selector};
pub use survey::Survey;
pub use target::Target;
pub use task::{Fetcher, ReadError};
pub use template::Template;
#[cfg(feature = "sidecar")]
pub(crate) use user::UserDesk;
pub use user::{UserFuture, UserWarmup};
pub use view::{JobView, RunView};
pub use warmer::{Guard, Plan, Warmer};

#[cfg(test)]
mod tests;
