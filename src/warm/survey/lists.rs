//! The lists that a plan is made from, and how they were come by.

use crate::body::RequestBody;
use crate::cache::Site;
use crate::cache::intent::Need;
use crate::telemetry::Source;
use crate::warm::ask::{Ask, Manner, fly};
use crate::warm::draw::selected;
use crate::warm::fetch::{Fetch, Through};
use crate::warm::group::Group;
use crate::warm::settings::WarmSettings;
use crate::warm::source::{ListSource, MOST_BYTES, Selected};
use crate::warm::survey::Hosts;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use std::fmt::Display;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service;

/// The values of a group's lists, in the order of its sources. The default: nobody was asked.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    values: Arc<Vec<Vec<String>>>,
    states: Vec<ListState>,
}

/// How a list was come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListState {
    /// Nobody was asked: its requests are not in the plan.
    NotAsked,
    /// It was read just now.
    Read {
        /// Its values.
        values: usize,
        /// What is in the place of a value and is none.
        skipped: usize,
        /// Whether it has more values than a run takes.
        cut: bool,
    },
    /// As it was in the last run.
    LastRun {
        /// Its values.
        values: usize,
    },
    /// It could not be had: why.
    Failed(String),
}

/// A list of a group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListSurvey {
    /// Where it is.
    pub url: Box<str>,
    /// What is taken from it.
    pub select: Box<str>,
    /// What is made of each value.
    pub path: Box<str>,
    /// How it was come by.
    pub state: ListState,
}

impl ListSurvey {
    /// What went wrong, in words.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if let ListState::Failed(why) = &self.state { Some(format!("the list {}: {why}", self.url)) } else { None }
    }
}

impl Lists {
    /// Lists as the last run had them; before any run nobody has been asked.
    pub(super) fn of_last_run(values: Arc<Vec<Vec<String>>>) -> Self {
        Self { states: values.iter().map(|list| ListState::LastRun { values: list.len() }).collect(), values }
    }

    /// Lists of which these answers were read, or why not.
    pub(super) fn read(answers: Vec<Result<Selected, String>>) -> Self {
        let states = answers.iter().map(|answer| match answer {
            Ok(read) => ListState::Read { values: read.values.len(), skipped: read.skipped, cut: read.cut },
            Err(why) => ListState::Failed(why.clone()),
        });
        Self { states: states.collect(), values: Arc::new(answers.into_iter().map(|answer| answer.unwrap_or_default().values).collect()) }
    }

    pub(super) fn values(&self) -> &[Vec<String>] {
        &self.values
    }

    pub(super) fn surveys(&self, group: &Group) -> Vec<ListSurvey> {
        let state = |at: usize| self.states.get(at).cloned().unwrap_or(ListState::NotAsked);
        let sources = group.sources.iter().enumerate();
        sources
            .map(|(at, source)| ListSurvey {
                url: source.url.as_str().into(),
                select: source.select.to_string().into(),
                path: source.path.as_str().into(),
                state: state(at),
            })
            .collect()
    }
}

/// Asks for the lists of `groups` through `service`, each once, as a run would: at most [`WarmSettings::concurrency`] at a time, each within
/// [`WarmSettings::timeout`], for the first of `hosts`. Nothing else is asked for. Inside a runtime only.
pub async fn ask_lists<S, RB>(service: S, settings: &WarmSettings, hosts: &Hosts, groups: &[&Group]) -> Vec<Lists>
where
    S: Service<Request<RequestBody>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Display + Send,
{
    let fetch: Arc<dyn Fetch> = Arc::new(Through::new(service));
    let host = hosts.names.first().cloned().unwrap_or_else(Site::localhost);
    let need = Need::Fresh { near: 0.0 };
    let manner = Manner { source: Source::Warm, need, ledger: None, timeout: settings.timeout, keep: MOST_BYTES };
    let room = Arc::new(Semaphore::new(settings.concurrency.clamp(1, Semaphore::MAX_PERMITS)));
    let mut asking = JoinSet::new();
    for (of, group) in groups.iter().enumerate() {
        for (at, source) in group.sources.iter().enumerate() {
            let (fetch, host, manner, room) = (Arc::clone(&fetch), host.clone(), manner.clone(), Arc::clone(&room));
            let (source, most) = (source.clone(), group.max_items);
            asking.spawn(async move {
                let _permit = room.acquire_owned().await;
                (of, at, ask(&*fetch, &host, &source, &manner, most).await)
            });
        }
    }
    // What panics has not answered.
    let unanswered = |group: &&Group| group.sources.iter().map(|_| Err("asking for it panicked".to_owned())).collect::<Vec<_>>();
    let mut answers: Vec<Vec<Result<Selected, String>>> = groups.iter().map(unanswered).collect();
    while let Some(joined) = asking.join_next().await {
        if let Ok((of, at, answer)) = joined {
            answers[of][at] = answer;
        }
    }
    answers.into_iter().map(Lists::read).collect()
}

async fn ask(fetch: &dyn Fetch, host: &Site, source: &ListSource, manner: &Manner, most: usize) -> Result<Selected, String> {
    let ask = Ask::new(host, source.url.path_and_query().clone(), source.headers.iter().cloned().collect());
    let (_nobody, mut cancel) = watch::channel(false);
    let flown = fly(fetch, &ask, manner, &mut cancel).await;
    selected(flown, source, most).await
}
