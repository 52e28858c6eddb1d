//! Several origins: which one is asked, and which one is left alone.
//!
//! `choice` picks, `bench` sends out who fails several times in a row, `breaker` stops asking where nearly everything fails, `checkup` hears what active
//! checks (`checks`) say. Each is a decision with `now` passed in; `member` keeps them together for one origin, under one lock that is held for a few
//! comparisons, on requests that go to the upstream only: a hit never comes here.

mod bench;
mod breaker;
mod checks;
mod checkup;
mod choice;
mod member;

pub(super) use checks::keep_checking;
pub(super) use member::Load;

use crate::sidecar::failure::Failure;
use crate::sidecar::settings::{Balance, Origin, UpstreamSettings};
use crate::telemetry::{BreakerState, Refusal};
use arc_swap::ArcSwap;
use choice::{Candidate, Standing};
use http::StatusCode;
use http::request::Parts;
use member::{End, Member, Part};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// All origins in force. What is known of one outlives a reload that keeps it.
#[derive(Debug)]
pub(super) struct Origins {
    members: ArcSwap<Vec<Arc<Member>>>,
    /// Held while members change.
    changing: Mutex<()>,
    /// Ejections of those that have gone.
    retired: AtomicU64,
}

/// What is known of one origin, for those who look from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginState {
    /// `http://api:9000`
    pub origin: Arc<str>,
    /// Whether it gets requests as any other: neither ejected nor unhealthy, and its breaker closed.
    pub up: bool,
    /// Requests under way there.
    pub in_flight: usize,
    /// How often it was sent out: ejected, or found unhealthy.
    pub ejections: u64,
    /// Answers that it owed: none, no HTTP, a 502, 503 or 504, or a body that broke off.
    pub failures: u64,
    /// What its circuit breaker lets through.
    pub breaker: BreakerState,
}

/// One request's attempts: the key that it goes by, and where it has failed.
#[derive(Debug)]
pub(super) struct Search {
    key: Option<u64>,
    tried: SmallVec<[Arc<Member>; 2]>,
}

/// One attempt at one origin. Dropped without an end it counts for nothing: its client has left.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    member: Arc<Member>,
    settings: &'a UpstreamSettings,
    part: Part,
    load: Option<Load>,
}

impl Search {
    pub(super) fn new(parts: &Parts, balance: &Balance) -> Self {
        Self { key: choice::key(parts, balance), tried: SmallVec::new() }
    }

    /// It has failed there: the next attempt goes elsewhere, if it can.
    pub(super) fn failed_at(&mut self, origin: &Origin, origins: &Origins) {
        self.tried.extend(origins.members.load().iter().find(|member| member.origin == *origin).cloned());
    }

    fn has_tried(&self, member: &Arc<Member>) -> bool {
        self.tried.iter().any(|tried| Arc::ptr_eq(tried, member))
    }
}

impl Origins {
    pub(super) fn new(settings: &UpstreamSettings) -> Self {
        let origins = Self { members: ArcSwap::default(), changing: Mutex::new(()), retired: AtomicU64::new(0) };
        origins.follow(settings);
        origins
    }

    /// Takes the origins of new settings.
    pub(super) fn follow(&self, settings: &UpstreamSettings) {
        let _changing = self.changing.lock();
        let old = self.members.load_full();
        let known = |origin: &Origin| old.iter().find(|member| member.origin == *origin).cloned();
        let new: Vec<_> =
            settings.origins.iter().map(|origin| known(origin).unwrap_or_else(|| Arc::new(Member::new(origin.clone())))).collect();
        for gone in old.iter().filter(|member| !new.iter().any(|kept| Arc::ptr_eq(kept, member))) {
            self.retired.fetch_add(gone.ejections.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        if settings.health.path.is_none() {
            new.iter().for_each(|member| member.uncheck());
        }
        self.members.store(Arc::new(new));
    }

    /// Why no origin may be asked at this moment, if so: readers need not queue to hear it.
    pub(super) fn refusal(&self, now: Instant, settings: &UpstreamSettings) -> Option<Failure> {
        let members = self.members.load();
        let mut first = None::<Instant>;
        for member in members.iter() {
            match member.standing(now, settings).0 {
                Standing::Barred(until) => first = Some(first.map_or(until, |first| first.min(until))),
                _ => return None,
            }
        }
        Some(circuit_open(first, now))
    }

    /// The origin that gets the request now. `may_try` says that it can be put again if that fails.
    pub(super) fn choose<'a>(
        &self,
        search: &Search,
        may_try: bool,
        now: Instant,
        settings: &'a UpstreamSettings,
    ) -> Result<Attempt<'a>, Failure> {
        let members = self.members.load();
        // More often than there are origins nobody can be forestalled.
        for _ in 0..=members.len() {
            let Some(at) = pick(&members, search, may_try, now, settings) else { break };
            let member = &members[at];
            if let Some(part) = member.begin(now, settings) {
                let load = Some(Load::new(member.clone()));
                return Ok(Attempt { member: member.clone(), settings, part, load });
            }
        }
        Err(self.refusal(now, settings).unwrap_or_else(|| circuit_open(None, now)))
    }

    /// Whether a request that has failed somewhere could be put to one that it has not been put to.
    pub(super) fn has_another(&self, search: &Search, settings: &UpstreamSettings) -> bool {
        let now = Instant::now();
        let is_open = |member: &Arc<Member>| matches!(member.standing(now, settings).0, Standing::In | Standing::Trial);
        self.members.load().iter().any(|member| !search.has_tried(member) && is_open(member))
    }

    /// What is known of each, in the order of the settings.
    pub(super) fn states(&self, settings: &UpstreamSettings) -> Vec<OriginState> {
        let now = Instant::now();
        let state = |member: &Arc<Member>| OriginState {
            origin: Arc::from(&*member.name),
            up: member.standing(now, settings).0 == Standing::In,
            in_flight: member.load(),
            ejections: member.ejections.load(Ordering::Relaxed),
            failures: member.failures.load(Ordering::Relaxed),
            breaker: member.breaker(now, settings),
        };
        self.members.load().iter().map(state).collect()
    }

    /// Ejections of origins that are not in the settings any more.
    pub(super) fn retired_ejections(&self) -> u64 {
        self.retired.load(Ordering::Relaxed)
    }
}

impl Attempt<'_> {
    pub(super) fn origin(&self) -> &Origin {
        &self.member.origin
    }

    /// When it was chosen.
    pub(super) const fn began(&self) -> Instant {
        self.part.began
    }

    /// A response head came; the request is under way there until what is returned is dropped.
    pub(super) fn answered(mut self, status: StatusCode, now: Instant) -> Option<Load> {
        let held = self.member.end(self.part, End::Answered(status), now, self.settings);
        let mut load = self.load.take();
        load.iter_mut().for_each(|load| load.answered(held));
        load
    }

    /// It failed.
    pub(super) fn failed(mut self, failure: &Failure) {
        let end = if failure.is_the_origins_fault() { End::Failed } else { End::Left };
        self.member.end(self.part, end, Instant::now(), self.settings);
        self.load = None;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.load.is_some() {
            self.member.end(self.part, End::Left, Instant::now(), self.settings);
        }
    }
}

/// The number of the one that gets the request now. One that is alone is not chosen: whether its breaker lets the request through is seen as it begins.
fn pick(members: &[Arc<Member>], search: &Search, may_try: bool, now: Instant, settings: &UpstreamSettings) -> Option<usize> {
    if members.len() == 1 {
        return Some(0);
    }
    let candidate = |member: &Arc<Member>| {
        let (standing, last_failure) = member.standing(now, settings);
        let weight = search.key.map_or(0, |key| choice::weight(key, member.seed));
        Candidate { standing, tried: search.has_tried(member), load: member.load(), weight, last_failure }
    };
    let candidates: SmallVec<[Candidate; 4]> = members.iter().map(candidate).collect();
    choice::choose(&candidates, may_try, search.key.is_some(), rand::random())
}

fn circuit_open(until: Option<Instant>, now: Instant) -> Failure {
    let Some(until) = until else {
        return Failure::new(Refusal::UpstreamConnect, "upstream.urls names no upstream");
    };
    let wait = until.saturating_duration_since(now).max(Duration::from_millis(1));
    Failure::new(Refusal::CircuitOpen, "nearly everything fails at the upstream (upstream.breaker)").retry_after(wait)
}
