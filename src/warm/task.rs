//! Custom tasks: warming that only code can describe.

use crate::cache::{Fate, Site};
use crate::error::BoxError;
use crate::warm::ask::{Ask, Flown};
use crate::warm::fault::PlanFault;
use crate::warm::fetch::Boxed;
use crate::warm::target::Target;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, oneshot};

/// What a task runs.
#[derive(Clone)]
pub(crate) struct Task(Arc<dyn Fn(Fetcher) -> Boxed<'static, Result<(), BoxError>> + Send + Sync>);

impl Task {
    pub(crate) fn new<F, T, E>(run: F) -> Self
    where
        F: Fn(Fetcher) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self(Arc::new(move |fetcher| {
            let running = run(fetcher);
            Box::pin(async move { running.await.map_err(Into::into) })
        }))
    }

    pub(crate) fn run(&self, fetcher: Fetcher) -> Boxed<'static, Result<(), BoxError>> {
        (self.0)(fetcher)
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Task")
    }
}

/// A request that a task wants made, and where the result goes.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) ask: Ask,
    /// At most so many bytes of the body are wanted; 0: none.
    pub(crate) keep: usize,
    /// Whether it is an item of the run, or only a list that leads to items.
    pub(crate) is_item: bool,
    pub(crate) reply: oneshot::Sender<Flown>,
}

/// A task's way to warm: its requests go at the pace of all warming and are written down in the run's report. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fetcher {
    pub(crate) host: Site,
    pub(crate) wants: mpsc::Sender<Wanted>,
    /// Wakes the runner.
    pub(crate) bell: Arc<Notify>,
}

/// Why a task could not read an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// The target is malformed.
    Target(PlanFault),
    /// The run has been cancelled, or warming has ended.
    Stopped,
    /// The request came to this.
    Fetch(Fate),
    /// The body is larger than [`MOST_BYTES`](crate::warm::source::MOST_BYTES).
    TooLarge,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(fault) => fault.fmt(f),
            Self::Stopped => f.write_str("warming has been stopped"),
            Self::Fetch(fate) => write!(f, "{} ({})", fate.as_str(), fate.reason().unwrap_or_default()),
            Self::TooLarge => f.write_str("the answer is larger than 8 MiB"),
        }
    }
}

impl std::error::Error for ReadError {}

impl Fetcher {
    /// Has a good copy of `target` (path and query) stored; what became of it. A malformed target is [`Failing::Malformed`](crate::cache::Failing).
    pub async fn warm(&self, target: &str) -> Fate {
        self.warm_with(target, []).await
    }

    /// As [`warm`](Self::warm), for readers that send these headers.
    pub async fn warm_with(&self, target: &str, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Fate {
        let Ok(target) = Target::parse(target) else { return Fate::Failed(crate::cache::Failing::Malformed) };
        let ask = Ask::new(&self.host, target.path_and_query().clone(), headers.into_iter().collect());
        match self.want(ask, 0, true).await {
            Some(flown) => flown.fate,
            None => Fate::Failed(crate::cache::Failing::Cancelled),
        }
    }

    /// Reads an answer: to learn what there is to warm. It comes from the cache if a fresh copy is there.
    ///
    /// # Errors
    /// It cannot be had, or is no success.
    pub async fn read(&self, target: &str) -> Result<bytes::Bytes, ReadError> {
        let target = Target::parse(target).map_err(ReadError::Target)?;
        let ask = Ask::new(&self.host, target.path_and_query().clone(), HeaderMap::new());
        let flown = self.want(ask, crate::warm::source::MOST_BYTES, false).await.ok_or(ReadError::Stopped)?;
        match flown.fate {
            fate @ Fate::Failed(_) => Err(ReadError::Fetch(fate)),
            _ => flown.body.ok_or(ReadError::TooLarge),
        }
    }

    pub(crate) async fn want(&self, ask: Ask, keep: usize, is_item: bool) -> Option<Flown> {
        let (reply, answer) = oneshot::channel();
        self.wants.send(Wanted { ask, keep, is_item, reply }).await.ok()?;
        self.bell.notify_one();
        answer.await.ok()
    }
}
