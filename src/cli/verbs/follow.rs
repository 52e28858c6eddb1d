//! Follows a job to its end.

use super::show::Show;
use super::{Stop, words};
use crate::cli::client::{Admin, PATIENCE, Trouble};
use crate::cli::plan::table::{count, list, text};
use crate::cli::plan::words::plural;
use crate::cli::signals::{Request, Signals};
use crate::cli::{Failure, report};
use crate::warm::template::encode;
use http::StatusCode;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::io;
use std::pin::pin;
use std::time::Duration;

/// How often the job is looked at.
const PAUSE: Duration = Duration::from_millis(150);
/// How long the end of a job that was cancelled is waited for.
const LAST: Duration = Duration::from_secs(5);
/// Items of one answer.
const PAGE: usize = 1000;

/// A job that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) id: u64,
    pub(super) signals: Signals,
    /// A signal that came before it was known which job that is.
    pub(super) early: Option<Request>,
}

/// Has the admin API begin the job that `order` wants. Signals are taken before it is asked: from then on it may have begun, and who is interrupted
/// with the answer under way must know whom to cancel.
pub(super) async fn begin(admin: &Admin, path: &str, order: &Value) -> Result<Begun, Stop> {
    let mut signals = Signals::take().map_err(|error| Failure::Work(format!("cannot take signals: {error}")))?;
    let mut asking = pin!(admin.post_json(path, order, PATIENCE));
    let (begun, early) = tokio::select! {
        begun = &mut asking => (begun, None),
        request = signals.next() => tokio::select! {
            begun = &mut asking => (begun, Some(request)),
            again = signals.next() => return Err(left_at_once(again)),
        },
    };
    Ok(Begun { id: count(&begun?["job"], "id"), signals, early })
}

/// Looks at one job until it has ended.
pub(super) struct Follower<'a> {
    admin: &'a Admin,
    id: u64,
    /// `None`: nothing is shown.
    show: Option<Show>,
    /// What is done with each item.
    items: Items,
    /// Items that were had already, by group.
    seen: HashMap<String, usize>,
    ended: HashSet<String>,
}

/// What is done with items.
#[derive(Debug)]
pub(super) enum Items {
    /// Nobody wants them.
    Left,
    /// A line for each.
    Shown,
    /// They are kept.
    Kept(Vec<Value>),
}

impl<'a> Follower<'a> {
    pub(super) fn new(admin: &'a Admin, id: u64, show: Option<Show>, items: Items) -> Self {
        Self { admin, id, show, items, seen: HashMap::new(), ended: HashSet::new() }
    }

    /// Follows the job to its end; with the items that were kept. A signal cancels it, also one that came `early`.
    pub(super) async fn follow(mut self, mut signals: Signals, early: Option<Request>) -> Result<(Value, Vec<Value>), Stop> {
        let followed = match early {
            Some(request) => Err(request),
            None => tokio::select! {
                job = self.until_it_ends() => Ok(job),
                request = signals.next() => Err(request),
            },
        };
        let job = match followed {
            Ok(job) => job?,
            Err(request) => {
                let words = format!("{}: cancelling job {}; again to leave at once", name(request), self.id);
                self.show.as_ref().map_or_else(|| report::note(&words), |show| show.note(&words));
                tokio::select! {
                    job = self.cancel() => job?,
                    again = signals.next() => return Err(left_at_once(again)),
                }
            }
        };
        let kept = if let Items::Kept(kept) = std::mem::replace(&mut self.items, Items::Left) { kept } else { Vec::new() };
        Ok((job, kept))
    }

    async fn until_it_ends(&mut self) -> Result<Value, Stop> {
        loop {
            let job = self.look().await?;
            if text(&job, "state") != "running" {
                return Ok(job);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Cancels the job, and waits for its end.
    async fn cancel(&mut self) -> Result<Value, Stop> {
        match self.admin.delete_json(&format!("/api/warm/jobs/{}", self.id)).await {
            Ok(_) => {}
            // All of its runs were begun by others, and go on.
            Err(Trouble::Refused { status: StatusCode::CONFLICT, words }) => {
                return Err(Failure::Work(format!("left, not cancelled: {words}")).into());
            }
            Err(trouble) => return Err(trouble.into()),
        }
        match tokio::time::timeout(LAST, self.until_it_ends()).await {
            Ok(job) => job,
            Err(_) => Err(Failure::Work(format!("job {} was cancelled, and has not ended within {} s", self.id, LAST.as_secs())).into()),
        }
    }

    /// Looks once.
    async fn look(&mut self) -> Result<Value, Stop> {
        let path = format!("/api/warm/jobs/{}", self.id);
        let mut page = self.admin.get_json(&format!("{path}?limit=1")).await?;
        let job = page["job"].take();
        if !job.is_object() {
            return Err(Failure::Work(format!("the admin API at {} answered with something else than a job", self.admin)).into());
        }
        let width = list(&job, "groups").iter().map(|group| text(group, "name").chars().count()).max().unwrap_or(0);
        for group in list(&job, "groups") {
            let name = group["name"].as_str().unwrap_or_default();
            if self.ended.contains(name) {
                continue;
            }
            self.items_of(&path, name, count(group, "done")).await?;
            let left_out = count(group, "done").saturating_sub(self.seen.get(name).copied().unwrap_or(0) as u64);
            let running = text(group, "state") == "running";
            if !running {
                self.ended.insert(name.to_owned());
            }
            if let Some(show) = &mut self.show {
                if running {
                    show.progress(group, width);
                } else {
                    show.ended(&text(group, "name"));
                    if matches!(self.items, Items::Shown) && left_out > 0 {
                        show.line(&format!(
                            "{}: {} more are not listed: only so many are kept",
                            text(group, "name"),
                            plural(left_out, "item")
                        ))?;
                    }
                    words::group(group).iter().try_for_each(|line| show.line(line))?;
                }
            }
        }
        Ok(job)
    }

    /// Takes the items of a group that have ended since the last look.
    async fn items_of(&mut self, path: &str, group: &str, done: u64) -> Result<(), Stop> {
        let mut from = self.seen.get(group).copied().unwrap_or(0);
        let wanted = !matches!(self.items, Items::Left);
        while wanted && (from as u64) < done {
            let page = self.admin.get_json(&format!("{path}?group={}&offset={from}&limit={PAGE}", encode(group))).await?;
            let outcomes = list(&page, "outcomes");
            if outcomes.is_empty() {
                break;
            }
            from += outcomes.len();
            self.take(outcomes)?;
        }
        self.seen.insert(group.to_owned(), from);
        Ok(())
    }

    fn take(&mut self, outcomes: &[Value]) -> io::Result<()> {
        match (&mut self.items, &self.show) {
            (Items::Kept(kept), _) => kept.extend_from_slice(outcomes),
            (Items::Shown, Some(show)) => outcomes.iter().try_for_each(|outcome| show.line(&words::item(outcome)))?,
            _ => {}
        }
        Ok(())
    }
}

fn left_at_once(request: Request) -> Stop {
    Failure::Work(format!("{}: left at once", name(request))).into()
}

const fn name(request: Request) -> &'static str {
    match request {
        Request::Stop(name) => name,
        Request::Reload => "SIGHUP",
        Request::Reopen => "SIGUSR1",
    }
}
