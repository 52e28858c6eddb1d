//! The public face of warming: a plan, a warmer that runs it, a guard that ends it, and a handle to talk to it.

use crate::cache::Site;
use crate::cache::groups::Level;
use crate::cache::wish::Rewarm;
use crate::clock::{Clock, Stamp};
use crate::layer::{Cache, Explanation};
use crate::telemetry::Trigger;
use crate::warm::ask::Ask;
use crate::warm::books::{Books, Job, Run};
use crate::warm::fault::PlanFault;
use crate::warm::fetch::{Fetch, Through};
use crate::warm::group::Group;
use crate::warm::report::{Cause, Fates, Outcome, Progress, Report, RunReport};
use crate::warm::rewarm;
use crate::warm::runner::{Command, How, Parts, Runner};
use crate::warm::settings::WarmSettings;
use crate::warm::survey::{self, Survey};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use std::fmt;
use std::fmt::Display;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
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
        let warm = Warm { cache: cache.clone(), books: Arc::clone(&books), commands, default_host: default_host.clone() };
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

/// Runs that were asked for together.
#[derive(Clone, Debug)]
pub struct JobView {
    job: Arc<Job>,
}

/// One run of a job.
#[derive(Clone, Debug)]
pub struct RunView {
    run: Arc<Run>,
    /// Whether it was going on when the job was asked for.
    pub joined: bool,
}

impl Warm {
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
        Ok(answer.await.ok().map(|job| JobView { job }))
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
        answer.await.ok().map(|job| JobView { job })
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
        self.books.jobs().into_iter().map(|job| JobView { job }).collect()
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

impl JobView {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.job.id
    }

    /// Why it was begun.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.job.cause
    }

    /// When it was begun (wall clock).
    #[must_use]
    pub fn started(&self) -> Stamp {
        self.job.started
    }

    /// Whether all of its runs have ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.job.has_ended()
    }

    /// Until all of its runs have ended.
    pub async fn ended(&self) {
        self.job.ended().await;
    }

    /// Its runs, one per group.
    pub fn runs(&self) -> impl Iterator<Item = RunView> + '_ {
        self.job.runs.iter().map(|(run, joined)| RunView { run: Arc::clone(run), joined: *joined })
    }

    /// What became of the items of all its runs so far.
    #[must_use]
    pub fn fates(&self) -> Fates {
        let mut sum = Fates::default();
        self.job.runs.iter().for_each(|(run, _)| sum.merge(&run.fates()));
        sum
    }
}

impl RunView {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &Arc<str> {
        &self.run.group
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.run.progress()
    }

    /// How it went; none while it goes on.
    #[must_use]
    pub fn report(&self) -> Option<RunReport> {
        self.run.report()
    }

    /// Up to `most` outcomes from number `from` on, in the order in which items ended, and how many are kept in all. A run keeps 4096, those of
    /// failures first.
    #[must_use]
    pub fn outcomes(&self, from: usize, most: usize) -> (Vec<Outcome>, usize) {
        let (page, kept, _) = self.run.outcomes(from, most);
        (page, kept)
    }
}
