//! The runner: one task that owns everything that moves in warming. It starts runs when their time has come or somebody asks, sends their requests
//! at the common pace, the most urgent first, and writes down what became of them.

mod changes;
mod jobs;
mod landing;
mod orders;

pub(crate) use orders::{Command, How};

use crate::cache::Site;
use crate::cache::entry::Stored;
use crate::cache::intent::Need;
use crate::cache::wish::{Rewarm, Wish};
use crate::clock::{Clock, Stamp};
use crate::error::BoxError;
use crate::layer::Cache;
use crate::telemetry::Source;
use crate::warm::active::{Active, Work};
use crate::warm::ahead::Ahead;
use crate::warm::ask::{Ask, Flown, Manner, fly};
use crate::warm::books::{Belongings, Books, Job, Pulse, Run};
use crate::warm::fetch::Fetch;
use crate::warm::group::Group;
use crate::warm::pace::{Pace, Step};
use crate::warm::settings::WarmSettings;
use crate::warm::task::Wanted;
use crate::warm::timers::Timers;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};

/// The longest time between two looks at the wall clock.
const LOOK: Duration = Duration::from_secs(60);
/// How often progress is published while something runs.
const PULSE: Duration = Duration::from_millis(250);
/// How long a start-up run that could not reach the origin waits before it tries again: at first, and at most.
const COMEBACK: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// Requests that a drawing or a task may have waiting.
const WANTS: usize = 64;
/// Changes that are made up for at a time; those that come meanwhile are taken together and wait for their turn.
const MOST_CHANGES: usize = 8;

/// A run that has to wait for another one of its group.
struct Owed {
    run: Arc<Run>,
    need: Need,
}

/// A change whose old copies are still there.
struct Change {
    rewarm: Rewarm,
    /// What belonged to its groups when it came.
    past: Vec<(Arc<str>, Belongings)>,
    /// The old copies are not served any longer than this.
    until: Instant,
    /// The job that ends when the rest has been dropped.
    job: Option<Arc<Job>>,
}

/// What a task of the runner is there for.
enum Duty {
    /// A request of this run, and the item that it is, if it is one. 0: of none.
    Request(u64, Option<Ask>),
    /// The task of this run.
    Task(u64),
    /// To look up what a change concerns, or to wait until that has been replaced.
    Change(Change),
}

/// What comes back from a task of the runner.
enum Back {
    Item {
        serial: u64,
        ask: Ask,
        tried: u32,
        flown: Flown,
    },
    Wanted {
        serial: u64,
        wanted: Wanted,
        flown: Flown,
    },
    Ahead {
        ask: Ask,
        flown: Flown,
    },
    Task {
        serial: u64,
        result: Result<(), BoxError>,
    },
    /// What a change concerns has been looked up.
    Changed {
        asks: Vec<Ask>,
        reply: Option<oneshot::Sender<Arc<Job>>>,
    },
    /// All runs for a change have ended, or have had their time.
    Replaced,
}

pub(crate) struct Runner {
    fetch: Arc<dyn Fetch>,
    pub(super) cache: Cache,
    books: Arc<Books>,
    clock: Clock,
    settings: Arc<WarmSettings>,
    groups: Vec<Arc<Group>>,
    default_host: Site,
    found_host: Option<Site>,
    commands: mpsc::Receiver<Command>,
    wishes: mpsc::Receiver<Wish>,
    bell: Arc<Notify>,
    pace: Pace,
    active: Vec<Active>,
    back: JoinSet<Back>,
    /// What each task is there for, also if it panics or is never finished.
    duties: HashMap<Id, Duty>,
    /// Changes that wait for their turn, as one.
    later: Option<Change>,
    in_flight: usize,
    timers: Timers,
    ahead: Ahead,
    /// A hot copy that is due and waits for its turn.
    due_ahead: Option<(Ask, Arc<Stored>)>,
    /// Whether the last request that went was for a hot copy: then it is the turn of the runs.
    ahead_went: bool,
    /// Groups whose time came while they ran.
    owed: HashMap<Arc<str>, Owed>,
    startup: Option<Instant>,
    comebacks: HashMap<Arc<str>, (Instant, Duration)>,
    serial: u64,
    published: Instant,
    never_cancelled: watch::Sender<bool>,
}

/// What a runner is made of.
pub(crate) struct Parts {
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) cache: Cache,
    pub(crate) books: Arc<Books>,
    pub(crate) clock: Clock,
    pub(crate) default_host: Site,
    pub(crate) commands: mpsc::Receiver<Command>,
}

impl Runner {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { fetch, cache, books, clock, default_host, commands } = parts;
        let settings = books.settings.load_full();
        let wishes = cache.shared().wishes.listen();
        let now = Instant::now();
        let startup = now.checked_add(settings.startup_delay).filter(|_| settings.enabled && settings.on_startup);
        books.hosts.store(Arc::new(vec![default_host.clone()]));
        let mut runner = Self {
            pace: Pace::new(settings.concurrency, settings.max_rate),
            fetch,
            cache,
            books,
            clock,
            settings: Arc::clone(&settings),
            groups: Vec::new(),
            default_host,
            found_host: None,
            commands,
            wishes,
            bell: Arc::new(Notify::new()),
            active: Vec::new(),
            back: JoinSet::new(),
            duties: HashMap::new(),
            later: None,
            in_flight: 0,
            timers: Timers::default(),
            ahead: Ahead::default(),
            due_ahead: None,
            ahead_went: false,
            owed: HashMap::new(),
            startup,
            comebacks: HashMap::new(),
            serial: 0,
            published: now,
            never_cancelled: watch::Sender::new(false),
        };
        runner.configure(settings);
        runner
    }

    /// Runs until `stop` says so or is gone.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let wake = self.advance();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(joined) = self.back.join_next_with_id() => self.land(joined),
                Some(command) = self.commands.recv() => self.obey(command),
                Some(wish) = self.wishes.recv() => self.hear(wish),
                () = self.bell.notified() => {}
                () = sleep_until(wake) => {}
            }
        }
        self.stop();
    }

    /// Ends everything. What a change has put out of date and nobody replaces any more is dropped.
    fn stop(&mut self) {
        self.wishes.close();
        self.cache.shared().wishes.hang_up();
        self.owed.drain().for_each(|(_, owed)| owed.give_up());
        for mut active in std::mem::take(&mut self.active) {
            active.run.cancel();
            active.clear();
            self.finish(active);
        }
        for (_, duty) in std::mem::take(&mut self.duties) {
            if let Duty::Change(change) = duty {
                self.drop_the_rest(&change.rewarm, &change.past);
            }
        }
        if let Some(change) = self.later.take() {
            self.drop_the_rest(&change.rewarm, &change.past);
        }
        while let Ok(wish) = self.wishes.try_recv() {
            if let Wish::Rewarm(rewarm) = wish {
                self.drop_the_rest(&Rewarm { warm: false, ..rewarm }, &[]);
            }
        }
        self.books.jobs().iter().for_each(|job| job.drops(false)); // nobody is left to do it
        self.publish();
    }

    /// Does everything that can be done now; when to look again at the latest.
    fn advance(&mut self) -> Instant {
        let now = Instant::now();
        self.start_what_is_due(now);
        self.active.iter_mut().for_each(Active::take_in);
        self.owed.extract_if(|_, owed| owed.run.is_cancelled()).for_each(|(_, owed)| owed.give_up());
        let held_until = self.dispatch(now);
        self.finish_what_is_done();
        if now >= self.published + PULSE && !self.active.is_empty() {
            self.publish();
        }
        self.wakes(now, held_until)
    }

    fn wakes(&self, now: Instant, held_until: Option<Instant>) -> Instant {
        let of_clock = |next: Option<Stamp>, present: Stamp| next.map(|next| now + next.since(present));
        let pulse = (!self.active.is_empty()).then(|| self.published + PULSE);
        let moments = [
            Some(now + LOOK),
            self.startup,
            self.comebacks.values().map(|(then, _)| *then).min(),
            of_clock(self.timers.next(), self.clock.wall()),
            of_clock(self.ahead.next(), self.clock.now()).filter(|_| self.due_ahead.is_none()),
            self.active.iter().filter_map(|active| active.wakes(now)).min(),
            held_until,
            pulse,
        ];
        moments.into_iter().flatten().map(|then| then.max(now + Duration::from_millis(1))).min().unwrap_or(now + LOOK)
    }

    pub(super) fn activate(&mut self, active: Active) {
        let at = self.active.partition_point(|other| other.priority >= active.priority);
        self.active.insert(at, active);
    }

    /// The hosts under which readers look for what is warmed.
    fn hosts(&mut self) -> Vec<Site> {
        if !self.settings.hosts.is_empty() {
            return self.settings.hosts.clone();
        }
        if let Some(busiest) = self.cache.shared().hosts.busiest() {
            self.found_host = Some(busiest);
        }
        vec![self.found_host.clone().unwrap_or_else(|| self.default_host.clone())]
    }

    /// Sends as many requests as may go. If the pace holds the next one back: until when.
    fn dispatch(&mut self, now: Instant) -> Option<Instant> {
        loop {
            if self.due_ahead.is_none() {
                self.due_ahead = self.ahead.due(self.clock.now(), &self.cache);
            }
            let place = self.active.iter().position(|active| active.has_work(now));
            if self.due_ahead.is_none() && place.is_none() {
                return None;
            }
            match self.pace.step(self.in_flight, now) {
                Step::Full => return None,
                Step::At(then) => return Some(then),
                Step::Go => {}
            }
            // In turn: there may be more hot copies than the pace allows for, without end.
            let runs_turn = self.ahead_went && place.is_some();
            if let Some((ask, stored)) = self.due_ahead.take_if(|_| !runs_turn) {
                self.ahead_went = true;
                self.refresh(ask, &stored);
            } else if let Some(place) = place {
                self.ahead_went = false;
                self.send(place, now);
            }
        }
    }

    /// Sends the next request of a run.
    fn send(&mut self, place: usize, now: Instant) {
        let Some(active) = self.active.get_mut(place) else { return };
        let Some(work) = active.next(now) else { return };
        let (serial, fetch, mut cancel) = (active.serial, Arc::clone(&self.fetch), active.run.cancelled());
        let manner = match &work {
            Work::Item(..) => active.manner.clone(),
            // A list may be as old as any reader may get it; it is read, not warmed.
            Work::Wanted(wanted) if !wanted.is_item => {
                Manner { keep: wanted.keep, ledger: None, need: Need::Fresh { near: 0.0 }, ..active.manner.clone() }
            }
            Work::Wanted(_) => active.manner.clone(),
        };
        let item = if let Work::Item(ask, _) = &work { Some(ask.clone()) } else { None };
        active.flying += 1;
        self.in_flight += 1;
        let id = self.back.spawn(async move {
            match work {
                Work::Item(ask, tried) => {
                    let flown = fly(&*fetch, &ask, &manner, &mut cancel).await;
                    Back::Item { serial, ask, tried, flown }
                }
                Work::Wanted(wanted) => {
                    let flown = fly(&*fetch, &wanted.ask, &manner, &mut cancel).await;
                    Back::Wanted { serial, wanted, flown }
                }
            }
        });
        self.duties.insert(id.id(), Duty::Request(serial, item));
    }

    /// Refreshes a hot copy before it expires.
    fn refresh(&mut self, ask: Ask, stored: &Stored) {
        let ledger = stored.ledger().unwrap_or_else(|| Arc::clone(&self.books.ahead.ledger));
        let need = Need::Fresh { near: 1.0 };
        let manner = Manner { source: Source::Refresh, need, ledger: Some(ledger), timeout: self.settings.timeout, keep: 0 };
        let (fetch, mut cancel) = (Arc::clone(&self.fetch), self.never_cancelled.subscribe());
        self.in_flight += 1;
        let id = self.back.spawn(async move {
            let flown = fly(&*fetch, &ask, &manner, &mut cancel).await;
            Back::Ahead { ask, flown }
        });
        self.duties.insert(id.id(), Duty::Request(0, None));
    }

    fn finish_what_is_done(&mut self) {
        while let Some(at) = self.active.iter().position(Active::is_done) {
            let active = self.active.remove(at);
            self.finish(active);
        }
    }

    /// Closes the books of a run.
    fn finish(&mut self, mut active: Active) {
        let run = &active.run;
        run.close(self.pace.backoff().slowed - active.slowed_before);
        // One that was cancelled may still be at something else than its requests: the next run of the group must not meet it.
        active.task.take().into_iter().for_each(|task| task.abort());
        if let Some(account) = &active.account {
            account.end(run);
        }
        if let Some(afterwards) = active.afterwards.take() {
            afterwards(run);
        }
        let (group, items, failed) = (&*run.group, run.fates().items(), run.fates().failed());
        // Runs of users are as many as they please.
        if active.account.is_some() {
            tracing::info!(target: "warmfront::warm", group, cause = %run.cause, items, failed, "warm run ended");
        } else {
            tracing::debug!(target: "warmfront::warm", group, cause = %run.cause, items, failed, "warm run ended");
        }
        let name = Arc::clone(&run.group);
        self.plan_comeback(&active);
        self.publish();
        active.run.announce();
        if active.account.is_some()
            && let Some(Owed { run, need }) = self.owed.remove(&name)
            && !self.start(&run, need)
        {
            Owed { run, need }.give_up();
        }
    }

    fn publish(&mut self) {
        *self.books.pulse.lock() = Pulse { backoff: self.pace.backoff(), in_flight: self.in_flight, waiting_ahead: self.ahead.waiting() };
        self.books.publish();
        self.published = Instant::now();
    }
}
