//! One fill per key. The first request for a key leads, the others follow until the fill has landed: at its response headers.

use crate::cache::entry::Stored;
use crate::cache::groups::{Groups, Level, Membership};
use crate::cache::key::{Key, PassHash};
use crate::flow::spool::Spool;
use crate::priority::Priority;
use crate::telemetry::Refusal;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

const SHARDS: usize = 64;
/// How long a fill may take to its response headers before others stop waiting for it. A service without a time-out of its own must not block
/// a key for ever.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a fill for which nobody waits any more may take to its response headers: who has left may come again, and an answer that is about to come
/// is worth storing, but a place at the upstream is not held for nobody until `upstream.response_timeout`. Less than the default of `upstream.queue_timeout`: who
/// waits for that place gets it.
const FORSAKEN_PATIENCE: Duration = Duration::from_secs(3);

/// What a fill came to, known at the response headers.
#[derive(Clone, Debug)]
pub(crate) enum Landing {
    /// It will be stored; the body grows here.
    Stream(Arc<Spool>),
    /// The stored response was confirmed, or is there already.
    Stored(Arc<Stored>),
    /// It cannot be shared: everybody for himself.
    Alone,
    /// The origin could not be asked, or the fill died; without a reason: it answered with an error of its own.
    Failed(Option<Refusal>),
}

/// A fill under way.
#[derive(Debug)]
pub(crate) struct Flight {
    landing: watch::Sender<Option<Landing>>,
    /// Somebody has begun to wait for it.
    boarded: Notify,
    /// The sequence number at which it began.
    pub(crate) born: u64,
    since: Instant,
    /// Its groups, for purges that come while it is under way.
    pub(crate) member: Membership,
    /// That of a fill which nobody waited for when it began.
    priority: Option<Priority>,
}

/// What identifies a flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlightKey {
    pub(crate) key: Key,
    /// The variant as far as it is known beforehand; 0: it is not.
    pub(crate) variant: u64,
    /// Reloads (`no-cache`, `max-age=0`) share flights with each other, but not with fills that somebody else may have begun long before.
    pub(crate) reload: bool,
}

impl FlightKey {
    fn hash_value(&self) -> u64 {
        self.key.hash_value() ^ self.variant ^ u64::from(self.reload)
    }
}

impl Hash for FlightKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash_value());
    }
}

type Shard = Mutex<HashMap<FlightKey, Arc<Flight>, PassHash>>;

/// All fills under way.
#[derive(Debug)]
pub(crate) struct Flights {
    shards: Box<[Shard]>,
}

/// A request's place in a flight.
pub(crate) enum Seat {
    /// The first: fetch, and land.
    Lead(Ticket),
    /// Somebody else is fetching.
    Follow(Arc<Flight>),
}

/// The leader's duty to land. Dropping it ends the flight, whatever happened; whoever still waits then learns that it failed.
pub(crate) struct Ticket {
    flights: Arc<Flights>,
    key: FlightKey,
    pub(crate) flight: Arc<Flight>,
}

impl Flights {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() })
    }

    /// Takes a seat. A flight that a purge has touched after it began is left to its passengers, and a new one starts.
    /// `priority`: that of a passenger who is in no hurry. A reader who follows such a flight hurries it.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: FlightKey,
        enlist: impl FnOnce() -> Membership,
        groups: &Groups,
        priority: Option<&Priority>,
    ) -> Seat {
        let mut shard = self.shard(&key).lock();
        if let Some(flight) = shard.get(&key).filter(|flight| flight.is_current(groups) && !flight.has_failed()) {
            if let (None, Some(hurried)) = (priority, &flight.priority) {
                hurried.raise();
            }
            return Seat::Follow(Arc::clone(flight));
        }
        let member = enlist();
        let priority = priority.cloned();
        let (landing, boarded) = (watch::Sender::new(None), Notify::new());
        let flight = Arc::new(Flight { landing, boarded, born: groups.now(), since: Instant::now(), member, priority });
        shard.insert(key.clone(), Arc::clone(&flight));
        Seat::Lead(Ticket { flights: Arc::clone(self), key, flight })
    }

    fn shard(&self, key: &FlightKey) -> &Shard {
        &self.shards[(key.hash_value() >> 40) as usize % SHARDS] // other bits than the map inside takes
    }
}

impl Flight {
    fn is_current(&self, groups: &Groups) -> bool {
        let level = self.member.level_since(self.born, groups).max(self.level_of_what_landed(groups));
        level == Level::Valid && (self.has_landed() || self.since.elapsed() < PATIENCE)
    }

    /// What purges have made of the response, which may belong to groups that the request did not know.
    fn level_of_what_landed(&self, groups: &Groups) -> Level {
        match &*self.landing.borrow() {
            Some(Landing::Stream(spool)) => spool.head.level(groups),
            Some(Landing::Stored(stored)) => stored.level(groups),
            _ => Level::Valid,
        }
    }

    /// Whether it is known what it came to.
    pub(crate) fn has_landed(&self) -> bool {
        self.landing.borrow().is_some()
    }

    /// Whether it came to nothing. Its leader may still be about to leave it; whoever comes now must not share its bad end.
    fn has_failed(&self) -> bool {
        matches!(*self.landing.borrow(), Some(Landing::Failed(_)))
    }

    /// Until nobody has waited for the landing for a while, after the leader and the last follower have left.
    pub(crate) async fn forsaken(&self, leader_left: impl Future<Output = ()>) {
        leader_left.await;
        loop {
            self.landing.closed().await; // by the last follower
            if timeout(FORSAKEN_PATIENCE, self.boarded.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Waits for the landing; `None` if that takes longer than anybody should wait for somebody else's request.
    pub(crate) async fn landing(&self) -> Option<Landing> {
        let mut watch = self.landing.subscribe();
        self.boarded.notify_one();
        let landing = timeout(PATIENCE, watch.wait_for(Option::is_some)).await.ok()?;
        Some(landing.ok().and_then(|landing| landing.clone()).unwrap_or(Landing::Failed(Some(Refusal::FillAborted))))
    }
}

impl Ticket {
    /// Tells all followers, present and to come, what the fill came to.
    pub(crate) fn land(&self, landing: Landing) {
        self.flight.landing.send_replace(Some(landing));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut shard = self.flights.shard(&self.key).lock();
        if shard.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            shard.remove(&self.key);
        }
        drop(shard);
        self.flight.landing.send_if_modified(|landing| {
            let aborted = landing.is_none();
            if aborted {
                *landing = Some(Landing::Failed(Some(Refusal::FillAborted)));
            }
            aborted
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{FlightKey, Flights, Landing, Seat};
    use crate::cache::groups::Groups;
    use crate::cache::key::{KeyParts, KeySecrets};
    use crate::priority::Priority;
    use crate::telemetry::{Refusal, Source};

    #[test]
    fn a_flight_that_has_failed_takes_nobody_on_though_its_leader_is_still_there() {
        let (flights, groups) = (Flights::new(), Groups::new());
        let parts = KeyParts { https: false, authority: "h", path: "/", query: None, partition: None };
        let key = FlightKey { key: KeySecrets::new().build(&parts).to_key(), variant: 0, reload: false };
        let join = || flights.join(key.clone(), || groups.enlist(&key.key, None), &groups, None);
        let Seat::Lead(first) = join() else { panic!("the first leads") };
        assert!(matches!(join(), Seat::Follow(_)));
        first.land(Landing::Failed(Some(Refusal::UpstreamClosed)));
        let Seat::Lead(second) = join() else { panic!("whoever comes now must not share its end") };
        drop(first);
        assert!(matches!(join(), Seat::Follow(_)), "the first takes only its own flight away");
        drop(second);
        assert!(matches!(join(), Seat::Lead(_)));
    }

    #[test]
    fn a_reader_hurries_the_flight_of_a_warm_request_and_another_warm_request_does_not() {
        let (flights, groups) = (Flights::new(), Groups::new());
        let parts = KeyParts { https: false, authority: "h", path: "/", query: None, partition: None };
        let key = FlightKey { key: KeySecrets::new().build(&parts).to_key(), variant: 0, reload: false };
        let join = |priority: Option<&Priority>| flights.join(key.clone(), || groups.enlist(&key.key, None), &groups, priority);
        let [first, second] = [(); 2].map(|()| Priority::new(Source::Warm));
        let Seat::Lead(_ticket) = join(Some(&first)) else { panic!("the first leads") };
        assert!(matches!(join(Some(&second)), Seat::Follow(_)) && first.yields());
        assert!(matches!(join(None), Seat::Follow(_)) && !first.yields() && second.yields());
    }
}
