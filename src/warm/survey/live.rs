//! What the books of a live warmer know of its groups.

use crate::cache::Site;
use crate::clock::Stamp;
use crate::layer::Cache;
use crate::warm::books::{Account, Books, ByItem};
use crate::warm::group::Group;
use crate::warm::settings::WarmSettings;
use crate::warm::survey::estimate::{Mean, mean_of};
use crate::warm::survey::{Hosts, HostsFrom, Lists, Outlook, Survey};
use std::sync::Arc;

/// What is known of a group beside its settings. The default: nothing.
#[derive(Debug, Default)]
pub struct Known {
    /// The values of its lists.
    pub lists: Lists,
    pub(super) outcomes: ByItem,
    pub(super) next_run: Option<Stamp>,
    pub(super) running: bool,
    mean: Option<Mean>,
}

impl Known {
    /// Its lists, and nothing else.
    #[must_use]
    pub fn lists(lists: Lists) -> Self {
        Self { lists, ..Self::default() }
    }

    /// What is in the books.
    fn of_account(account: &Account) -> Self {
        let fates = account.totals().fates;
        let asked = fates.items() - fates.count("skipped");
        Self {
            lists: Lists::of_last_run(account.lists()),
            outcomes: account.last().map(|run| run.by_item()).unwrap_or_default(),
            next_run: account.next_run(),
            running: account.running().is_some(),
            mean: mean_of(fates.origin_millis, fates.bytes, asked),
        }
    }

    /// What a request of it costs on average, by all runs.
    pub(super) fn mean(&self) -> Option<Mean> {
        self.mean
    }
}

/// The plan of a live warmer: of one group, or of all.
pub(crate) fn of_books(
    cache: &Cache,
    books: &Books,
    settings: &WarmSettings,
    default_host: &Site,
    only: Option<&Arc<str>>,
    most_items: usize,
) -> Survey {
    let outlook = Outlook::new(cache, settings, hosts(books, settings, default_host), true);
    let groups: Vec<&Group> = outlook.groups().into_iter().filter(|group| only.is_none_or(|name| *name == group.name)).collect();
    let known: Vec<Known> = groups.iter().map(|group| Known::of_account(&books.account(&group.name))).collect();
    let surveys = groups.iter().zip(&known).map(|(group, known)| outlook.group_with_items(group, known, most_items)).collect();
    outlook.survey(surveys)
}

/// The hosts of the settings, else those of the last run, else the one to begin with.
fn hosts(books: &Books, settings: &WarmSettings, default_host: &Site) -> Hosts {
    Hosts::of(settings).unwrap_or_else(|| {
        let last = books.hosts.load();
        let names = if last.is_empty() { vec![default_host.clone()] } else { last.to_vec() };
        let from = if names == std::slice::from_ref(default_host) { HostsFrom::Listener } else { HostsFrom::Readers };
        Hosts { names, from }
    })
}
