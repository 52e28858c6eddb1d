//! The handle to a warmer: what it may be asked.

use crate::cache::Site;
use crate::cache::groups::Level;
use crate::cache::wish::Rewarm;
use crate::layer::{Cache, Explanation};
use crate::telemetry::Trigger;
use crate::warm::ask::Ask;
use crate::warm::books::{Books, Run};
use crate::warm::fault::PlanFault;
use crate::warm::report::{Cause, Report};
use crate::warm::rewarm;
use crate::warm::runner::{Command, How};
use crate::warm::settings::WarmSettings;
use crate::warm::survey::{self, Survey};
use crate::warm::view::JobView;
use http::Uri;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// A handle to a warmer. Cheap to clone. When the warmer has ended, nothing it is asked for happens.
#[derive(Clone, Debug)]
pub struct Warm {
    cache: Cache,
    books: Arc<Books>,
    commands: mpsc::Sender<Command>,
    default_host: Site,
}

/// A group that there is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownGroup {
    /// The name.
    pub name: String,
    /// The names that there are.
    pub known: Vec<Arc<str>>,
}

impl fmt::Display for UnknownGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no group {:?}", self.name)?;
        if self.known.is_empty() { f.write_str("; no group is configured") } else { write!(f, "; there are {}", self.known.join(", ")) }
    }
}

impl std::error::Error for UnknownGroup {}

impl Warm {
    /// To the warmer that hears `commands`.
    pub(super) fn new(cache: Cache, books: Arc<Books>, commands: mpsc::Sender<Command>, default_host: Site) -> Self {
        Self { cache, books, commands, default_host }
    }

    /// Runs these groups, or with `None` all that are switched on; a group that is running already is joined. `force`: fetches also what is fresh.
    /// The job has begun when this returns; [`JobView::ended`] waits for its end. `Ok(None)`: the warmer has ended.
    ///
    /// # Errors
    /// A group is unknown; nothing runs then.
    pub async fn run(&self, groups: Option<&[&str]>, force: bool) -> Result<Option<JobView>, UnknownGroup> {
        self.run_how(groups, if force { How::Forced } else { How::Gently }).await
    }

    /// Fetches everything of these groups (`None`: of all that are switched on) again, and then drops what could not be replaced. Never leaves a hole:
    /// each old copy serves until its replacement is there, for a minute at most; what is left then is stale
    /// ([`Level::Stale`](crate::cache::Level::Stale)).
    ///
    /// # Errors
    /// A group is unknown; nothing happens then.
    pub async fn replace(&self, groups: Option<&[&str]>) -> Result<Option<JobView>, UnknownGroup> {
        self.run_how(groups, How::Replacing).await
    }

    async fn run_how(&self, groups: Option<&[&str]>, how: How) -> Result<Option<JobView>, UnknownGroup> {
        let groups = groups.map(|names| names.iter().map(|name| self.find(name)).collect::<Result<Vec<_>, _>>()).transpose()?;
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Run { groups, how, cause: Cause::Asked, reply }).await.is_err() {
            return Ok(None);
        }
        Ok(answer.await.ok().map(JobView::of))
    }

    /// As [`replace`](Self::replace), for the copies that carry one of `tags` or whose path begins with one of `prefixes`: those that are read, or were warmed,
    /// are fetched again, the most read first, a thousand at most; then everything that was not replaced is dropped.
    pub async fn replace_tagged(&self, tags: &[&str], prefixes: &[&str]) -> Option<JobView> {
        self.replace_all(Vec::new(), tags, prefixes).await
    }

    /// As [`replace`](Self::replace) and [`replace_tagged`](Self::replace_tagged) in one job. A group that there is not is left out.
    pub(crate) async fn replace_all(&self, groups: Vec<Arc<str>>, tags: &[&str], prefixes: &[&str]) -> Option<JobView> {
        let owned = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        self.change(Rewarm { tags: owned(tags), prefixes: owned(prefixes), groups, ..Rewarm::default() }).await
    }

    /// As [`replace_tagged`](Self::replace_tagged), for one path and query: of the host that `target` names, or of all if it names none.
    pub async fn replace_target(&self, target: &Uri) -> Option<JobView> {
        let target = self.cache.prefix_of(target);
        self.change(Rewarm { targets: vec![target], ..Rewarm::default() }).await
    }

    async fn change(&self, rewarm: Rewarm) -> Option<JobView> {
        let rewarm = Rewarm { sequence: self.cache.shared().sequence(), warm: true, ..rewarm };
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Change(rewarm, reply)).await.ok()?;
        answer.await.ok().map(JobView::of)
    }

    /// Invalidates everything that belongs to a group: the targets of its plan, with what its lists held the last time, under the hosts that are warmed
    /// and those that readers name. How many copies that were.
    ///
    /// # Errors
    /// It is unknown.
    pub fn invalidate(&self, group: &str, level: Level) -> Result<usize, UnknownGroup> {
        let name = self.find(group)?;
        let settings = self.books.settings.load();
        let Some(group) = settings.groups.iter().find(|group| group.name == name) else { return Ok(0) };
        let (account, shared) = (self.books.account(&name), self.cache.shared());
        let sequence = shared.sequence();
        shared.count_invalidation(Trigger::Group);
        let (hosts, of) = (rewarm::hosts(&self.cache, &self.books), account.belongings());
        Ok(hosts.iter().map(|host| rewarm::drop_group(&self.cache, group, &of, host, level, sequence)).sum())
    }

    /// The reports: at the start and end of each run, and a few times a second while something runs.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.books.watch()
    }

    /// Everything at this moment.
    #[must_use]
    pub fn report(&self) -> Report {
        self.books.report()
    }

    /// The plan of one group, or of all, as of now: what each request would meet, and what a run would ask of the origin. Nobody is asked; lists are as
    /// the last run had them. Each group has its first `most_items` requests with it.
    ///
    /// It looks up every item: some microseconds each. On a runtime, large plans belong into `spawn_blocking`.
    ///
    /// # Errors
    /// The group is unknown.
    pub fn survey(&self, group: Option<&str>, most_items: usize) -> Result<Survey, UnknownGroup> {
        let only = group.map(|name| self.find(name)).transpose()?;
        let settings = self.books.settings.load_full();
        Ok(survey::of_books(&self.cache, &self.books, &settings, &self.default_host, only.as_ref(), most_items))
    }

    /// The hosts that are warmed for, as far as anything has been.
    #[must_use]
    pub fn hosts(&self) -> Arc<Vec<Site>> {
        self.books.hosts.load_full()
    }

    /// The group that has fetched the stored response which an explanation is about; `refresh-ahead` where nothing but its readers' interest has.
    #[must_use]
    pub fn warmed_by(&self, explanation: &Explanation) -> Option<Arc<str>> {
        let ledger = explanation.ledger()?;
        let of_groups = self.books.accounts().into_iter().find(|(_, account)| Arc::ptr_eq(&account.ledger, ledger));
        let ahead = || Arc::ptr_eq(&self.books.ahead.ledger, ledger).then(|| Arc::from("refresh-ahead"));
        of_groups.map(|(name, _)| name).or_else(ahead)
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<WarmSettings> {
        self.books.settings.load_full()
    }

    /// Puts other settings in force at once: schedules change, what is switched off ends, counts stay.
    ///
    /// # Errors
    /// They make no sense; nothing changes then.
    pub async fn configure(&self, settings: WarmSettings) -> Result<(), PlanFault> {
        settings.check()?;
        let (done, answer) = oneshot::channel();
        if self.commands.send(Command::Configure(Box::new(settings), done)).await.is_ok() {
            let _ = answer.await; // the warmer has ended: nothing to put in force
        }
        Ok(())
    }

    /// The jobs that are remembered, the newest first.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobView> {
        self.books.jobs().into_iter().map(JobView::of).collect()
    }

    /// Cancels a job: within the requests in flight, and without waiting for them. `false`: there is none of that number.
    pub fn cancel(&self, id: u64) -> bool {
        let Some(job) = self.books.jobs().into_iter().find(|job| job.id == id) else { return false };
        job.cancel();
        let _ = self.commands.try_send(Command::Look); // if it is full, it is looked at anyway
        true
    }

    /// Sets all counts of warming to zero; what is stored stays.
    pub fn reset(&self) {
        self.books.reset();
    }

    /// The settings in force, without a copy.
    pub(crate) fn settings_now(&self) -> arc_swap::Guard<Arc<WarmSettings>> {
        self.books.settings.load()
    }

    pub(crate) fn serves_users(&self) -> bool {
        self.books.serves_users()
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Makes the requests of one user; tells when they have ended. `None`: too much is waiting, or the warmer has ended.
    pub(crate) fn warm_user(&self, asks: Vec<Ask>) -> Option<oneshot::Receiver<Arc<Run>>> {
        let (done, ended) = oneshot::channel();
        self.commands.try_send(Command::User { asks, done }).ok().map(|()| ended)
    }

    fn find(&self, name: &str) -> Result<Arc<str>, UnknownGroup> {
        let settings = self.books.settings.load();
        let names = || settings.groups.iter().map(|group| Arc::clone(&group.name));
        names().find(|known| **known == *name).ok_or_else(|| UnknownGroup { name: name.into(), known: names().collect() })
    }
}
