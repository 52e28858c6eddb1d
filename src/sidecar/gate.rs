//! How many requests may be at the upstream at once, and who waits for how long.
//!
//! Readers wait in a bounded queue, in order of arrival. What [yields](Priority::yields) to them stands aside: it holds no room in that queue, takes a place
//! only when one is free, and only within its share of all places. A place that comes free goes to the queue first: the semaphore under it hands it to the
//! one who waits longest, and has free ones only when nobody does. One [`Notify`] wakes those aside.

mod queue;

use self::queue::Queue;
use crate::priority::Priority;
use crate::telemetry::Refusal;
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

/// Places at the upstream, a bounded queue of readers before it, and a way past the queue's end for what yields to them.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// All places.
    places: Permits,
    /// Those of them that requests which yield may hold, or wait for.
    share: Permits,
    /// Readers in the queue.
    queue: Mutex<Queue>,
    /// Requests that have their share and stand aside until a place is free.
    aside: AtomicUsize,
    /// Wakes one of them.
    chance: Notify,
}

/// A place at the upstream; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Place {
    gate: Gate,
    _portion: Option<Portion>,
}

/// No place, and when it may be worth while to come again, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) wait: Option<Duration>,
}

/// One of the share, for as long as it lives.
#[derive(Debug)]
struct Portion(Gate);

impl Gate {
    /// `limit` places, at least one, of which requests that yield may hold `share`.
    pub(super) fn new(limit: usize, share: usize) -> Self {
        Self(Arc::new(Inner {
            places: Permits::new(limit.max(1)),
            share: Permits::new(share),
            queue: Mutex::default(),
            aside: AtomicUsize::new(0),
            chance: Notify::new(),
        }))
    }

    /// Changes how many places there are, and the share. Nobody loses one; fewer come free until the new limits hold.
    pub(super) fn resize(&self, limit: usize, share: usize) {
        self.0.places.resize(limit.max(1));
        self.0.share.resize(share);
        self.0.chance.notify_waiters();
    }

    /// Places that are held.
    pub(super) fn held(&self) -> usize {
        self.0.places.held()
    }

    /// A place for one that does not yield, if there is one and nobody waits for it.
    pub(super) fn enter_at_once(&self, priority: Option<&Priority>) -> Option<Place> {
        (priority.is_none_or(|priority| !priority.yields()) && self.0.places.try_take()).then(|| self.place(None))
    }

    /// A place, at once or after a wait; a named refusal when there are too many waiting, when it takes too long or is sure to. None of these limits is about what yields: it waits
    /// for as long as its caller does, and is refused only if it has no share at all.
    pub(super) async fn enter(&self, priority: Option<&Priority>, max_queue: usize, queue_timeout: Duration) -> Result<Place, Refused> {
        if let Some(priority) = priority.filter(|priority| priority.yields())
            && let Some(place) = Box::pin(self.enter_aside(priority)).await?
        {
            return Ok(place);
        }
        if self.0.places.try_take() {
            return Ok(self.place(None));
        }
        let mut queued = Queued::join(&self.0, max_queue, queue_timeout)?;
        match tokio::time::timeout(queue_timeout, self.0.places.take()).await {
            Ok(()) => {
                queued.let_in = true;
                Ok(self.place(None))
            }
            Err(_) => Err(Refused { refusal: Refusal::QueueTimeout, wait: None }),
        }
    }

    /// A place that no reader wants; `None` as soon as the request does not yield any more.
    async fn enter_aside(&self, priority: &Priority) -> Result<Option<Place>, Refused> {
        if self.0.share.is_none() {
            return Err(Refused { refusal: Refusal::QueueFull, wait: None });
        }
        tokio::select! {
            biased;
            () = priority.raised() => Ok(None),
            place = self.stand_aside() => Ok(Some(place)),
        }
    }

    async fn stand_aside(&self) -> Place {
        self.0.share.take().await;
        let portion = Portion(self.clone());
        let _aside = Aside::step(&self.0.aside);
        loop {
            let mut chance = pin!(self.0.chance.notified());
            // Enlisted before looking: whoever gives a place back from now on wakes this one, and a wake-up that it does not need goes to the next.
            chance.as_mut().enable();
            fence(Ordering::SeqCst);
            if self.0.places.try_take() {
                return self.place(Some(portion));
            }
            chance.await;
        }
    }

    fn place(&self, portion: Option<Portion>) -> Place {
        Place { gate: self.clone(), _portion: portion }
    }
}

impl Inner {
    /// A place may be free: one of those aside looks. Without any it costs a fence and a load.
    fn beckon(&self) {
        // With its twin in `stand_aside`: either this sees the one aside, or that one sees what has changed.
        fence(Ordering::SeqCst);
        if self.aside.load(Ordering::Relaxed) > 0 && self.places.any_free() {
            self.chance.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.0.places.give_back();
        self.gate.0.beckon();
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        self.0.0.share.give_back();
    }
}

/// A number of permits that can change while some are out.
#[derive(Debug)]
struct Permits {
    /// Never closed.
    free: Semaphore,
    limit: Mutex<usize>,
    /// Permits to be taken away as they come back, after the limit was lowered.
    debt: AtomicUsize,
}

impl Permits {
    fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { free: Semaphore::new(limit), limit: Mutex::new(limit), debt: AtomicUsize::new(0) }
    }

    fn resize(&self, new: usize) {
        let new = new.min(Semaphore::MAX_PERMITS);
        let mut limit = self.limit.lock();
        if new > *limit {
            for _ in 0..new - *limit {
                self.give_back();
            }
        } else {
            let gone = self.free.forget_permits(*limit - new);
            self.debt.fetch_add(*limit - new - gone, Ordering::AcqRel);
        }
        *limit = new;
    }

    /// Takes one that is free and that nobody waits for.
    fn try_take(&self) -> bool {
        self.free.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    /// Waits for one. Whoever stops waiting has taken none.
    async fn take(&self) {
        if let Ok(permit) = self.free.acquire().await {
            permit.forget();
        }
    }

    fn give_back(&self) {
        let pay = self.debt.fetch_update(Ordering::AcqRel, Ordering::Acquire, |debt| debt.checked_sub(1));
        if pay.is_err() {
            self.free.add_permits(1);
        }
    }

    fn any_free(&self) -> bool {
        self.free.available_permits() > 0
    }

    fn limit(&self) -> usize {
        *self.limit.lock()
    }

    fn is_none(&self) -> bool {
        self.limit() == 0
    }

    fn held(&self) -> usize {
        let limit = self.limit.lock();
        (*limit + self.debt.load(Ordering::Acquire)).saturating_sub(self.free.available_permits())
    }
}

/// A reader in the queue. Leaving by any door makes room; one who leaves as a place is handed to it leaves that to those aside.
struct Queued<'a> {
    inner: &'a Inner,
    let_in: bool,
}

impl<'a> Queued<'a> {
    fn join(inner: &'a Inner, max: usize, limit: Duration) -> Result<Self, Refused> {
        let places = inner.places.limit();
        inner.queue.lock().join(max, limit, places, Instant::now())?;
        Ok(Self { inner, let_in: false })
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.inner.queue.lock().leave(self.let_in, Instant::now());
        self.inner.beckon();
    }
}

/// One who stands aside.
struct Aside<'a>(&'a AtomicUsize);

impl<'a> Aside<'a> {
    fn step(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Place, Refused};
    use crate::priority::Priority;
    use crate::telemetry::{Refusal, Source};
    use std::time::Duration;
    use tokio::task::{JoinHandle, yield_now};

    const LONG: Duration = Duration::from_secs(5);

    /// A reader who may queue, one of at most three.
    async fn reader(gate: &Gate) -> Result<Place, Refused> {
        gate.enter(None, 3, LONG).await
    }

    fn spawn_reader(gate: &Gate) -> JoinHandle<Result<Place, Refused>> {
        let gate = gate.clone();
        tokio::spawn(async move { reader(&gate).await })
    }

    fn warm() -> Priority {
        Priority::new(Source::Warm)
    }

    fn spawn_warm(gate: &Gate, priority: &Priority) -> JoinHandle<Result<Place, Refused>> {
        let (gate, priority) = (gate.clone(), priority.clone());
        tokio::spawn(async move { gate.enter(Some(&priority), 3, LONG).await })
    }

    /// Until all that can happen has happened.
    async fn settle() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_limit_one_waits_beyond_the_queue_one_is_refused() {
        let gate = Gate::new(1, 0);
        let place = gate.enter(None, 1, LONG).await.unwrap();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter(None, 1, LONG).await.map(drop) }
        });
        yield_now().await;
        assert_eq!(gate.enter(None, 1, LONG).await.unwrap_err().refusal, Refusal::QueueFull);
        drop(place);
        assert_eq!(waiting.await.unwrap(), Ok(()), "the place that came free");
        assert!(gate.enter(None, 0, LONG).await.is_ok(), "and was given back");
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_waits_too_long_is_refused_and_leaves_the_queue() {
        let gate = Gate::new(1, 0);
        let _place = gate.enter(None, 1, LONG).await.unwrap();
        for _ in 0..2 {
            assert_eq!(gate.enter(None, 1, LONG).await.unwrap_err().refusal, Refusal::QueueTimeout);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_moves_under_way() {
        let gate = Gate::new(3, 0);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(gate.enter(None, 0, LONG).await.unwrap());
        }
        gate.resize(1, 0);
        assert_eq!(gate.held(), 3, "nobody loses a place");
        places.truncate(1);
        assert_eq!(gate.enter(None, 0, LONG).await.unwrap_err().refusal, Refusal::QueueFull, "one is in, and one is the limit");
        gate.resize(2, 0);
        places.push(gate.enter(None, 0, LONG).await.unwrap());
        assert!(gate.enter(None, 0, LONG).await.is_err());
        assert_eq!(gate.held(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_yields_takes_no_more_than_its_share_of_free_places() {
        let gate = Gate::new(4, 2);
        let mut warming: Vec<_> = (0..3).map(|_| spawn_warm(&gate, &warm())).collect();
        settle().await;
        assert_eq!((gate.held(), warming[2].is_finished()), (2, false), "two places are free, and not for it");
        let place = warming.remove(0).await.unwrap().unwrap();
        drop(place);
        settle().await;
        assert!(warming[1].is_finished(), "the share that came free");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_share_what_yields_is_refused_and_what_is_raised_is_a_reader() {
        let gate = Gate::new(4, 0);
        let priority = warm();
        assert_eq!(gate.enter(Some(&priority), 3, LONG).await.unwrap_err().refusal, Refusal::QueueFull);
        priority.raise();
        assert!(gate.enter(Some(&priority), 3, LONG).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn readers_who_come_later_go_first() {
        let gate = Gate::new(1, 1);
        let place = reader(&gate).await.unwrap();
        let warming = spawn_warm(&gate, &warm());
        settle().await;
        let (first, second) = (spawn_reader(&gate), spawn_reader(&gate));
        settle().await;
        drop(place);
        for waiting in [first, second] {
            settle().await;
            assert!(waiting.is_finished() && !warming.is_finished());
            drop(waiting.await.unwrap().unwrap());
        }
        settle().await;
        assert!(warming.is_finished(), "its turn, when nobody else waits");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_aside_takes_no_room_in_the_queue_and_no_notice_of_its_time_out() {
        let gate = Gate::new(1, 1);
        let place = reader(&gate).await.unwrap();
        let warming: Vec<_> = (0..9).map(|_| spawn_warm(&gate, &warm())).collect();
        settle().await;
        let readers: Vec<_> = (0..3).map(|_| spawn_reader(&gate)).collect();
        settle().await;
        assert_eq!(gate.enter(None, 3, LONG).await.unwrap_err().refusal, Refusal::QueueFull);
        tokio::time::advance(LONG * 2).await;
        settle().await;
        for waiting in readers {
            assert_eq!(waiting.await.unwrap().unwrap_err().refusal, Refusal::QueueTimeout);
        }
        assert!(!warming.iter().any(JoinHandle::is_finished));
        drop(place);
        for waiting in warming {
            drop(waiting.await.unwrap().unwrap());
        }
        assert_eq!(gate.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_raised_request_queues_with_the_readers_and_frees_its_share() {
        let gate = Gate::new(1, 1);
        let place = reader(&gate).await.unwrap();
        let priority = warm();
        let (raised, other) = (spawn_warm(&gate, &priority), spawn_warm(&gate, &warm()));
        settle().await;
        priority.raise();
        settle().await;
        let later = spawn_reader(&gate);
        settle().await;
        drop(place);
        let place = raised.await.unwrap().unwrap();
        assert!(!later.is_finished() && !other.is_finished(), "in the order of the queue");
        drop(place);
        drop(later.await.unwrap().unwrap());
        drop(other.await.unwrap().unwrap());
        assert_eq!(gate.enter(None, 0, LONG).await.map(drop), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_raised_request_times_out_as_a_reader_does() {
        let gate = Gate::new(1, 1);
        let _place = reader(&gate).await.unwrap();
        let priority = warm();
        let raised = spawn_warm(&gate, &priority);
        settle().await;
        priority.raise();
        assert_eq!(raised.await.unwrap().unwrap_err().refusal, Refusal::QueueTimeout);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_leaves_passes_its_share_and_its_wake_up_on() {
        let gate = Gate::new(1, 2);
        let place = reader(&gate).await.unwrap();
        let mut warming: Vec<_> = (0..4).map(|_| spawn_warm(&gate, &warm())).collect();
        settle().await;
        drop(place); // the first is woken, and gone before it looks
        warming[0].abort();
        warming[2].abort(); // and one that had no share yet
        settle().await;
        drop(warming.remove(1).await.unwrap().unwrap());
        drop(warming.remove(2).await.unwrap().unwrap());
        assert_eq!((gate.held(), gate.0.share.held(), gate.0.aside.load(super::Ordering::Relaxed)), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_leaves_the_queue_with_a_place_in_hand_leaves_it_to_those_aside() {
        let gate = Gate::new(1, 1);
        let place = reader(&gate).await.unwrap();
        let waiting = spawn_reader(&gate);
        let warming = spawn_warm(&gate, &warm());
        settle().await;
        drop(place); // handed to the reader, who goes without having seen it
        waiting.abort();
        settle().await;
        assert!(warming.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_larger_share_and_more_places_wake_those_aside() {
        let gate = Gate::new(1, 1);
        let _place = reader(&gate).await.unwrap();
        let warming: Vec<_> = (0..3).map(|_| spawn_warm(&gate, &warm())).collect();
        settle().await;
        gate.resize(4, 1);
        settle().await;
        assert_eq!(gate.held(), 2);
        gate.resize(4, 3);
        settle().await;
        assert!(warming.iter().all(JoinHandle::is_finished));
        gate.resize(4, 1);
        for waiting in warming {
            drop(waiting.await.unwrap().unwrap());
        }
        let warming: Vec<_> = (0..3).map(|_| spawn_warm(&gate, &warm())).collect();
        settle().await;
        assert_eq!((gate.held(), warming.iter().filter(|one| one.is_finished()).count()), (2, 1), "the smaller share holds");
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_moves_for_a_whole_time_out_the_queue_is_cut_to_the_places() {
        let gate = Gate::new(2, 0);
        let places = [reader(&gate).await.unwrap(), reader(&gate).await.unwrap()];
        let enter = |gate: Gate| async move { gate.enter(None, 99, LONG).await };
        let mut waiting: Vec<_> = (0..4).map(|_| tokio::spawn(enter(gate.clone()))).collect();
        settle().await;
        tokio::time::advance(LONG - Duration::from_secs(1)).await;
        waiting.extend((0..4).map(|_| tokio::spawn(enter(gate.clone()))));
        settle().await;
        tokio::time::advance(Duration::from_secs(2)).await;
        settle().await;
        assert_eq!(waiting.iter().filter(|one| one.is_finished()).count(), 4, "the first four have waited in vain");
        let refused = enter(gate.clone()).await.unwrap_err();
        assert_eq!(
            (refused.refusal, refused.wait),
            (Refusal::Overload, Some(LONG * 4)),
            "four before it, two places, and nothing has moved"
        );
        drop(places);
        for one in waiting.drain(4..) {
            drop(one.await.unwrap().unwrap());
        }
        assert!(enter(gate).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_up_is_lost_between_threads() {
        let gate = Gate::new(2, 2);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8 {
            let gate = gate.clone();
            tasks.spawn(async move {
                for _ in 0..2000 {
                    let priority = (number > 2).then(warm);
                    let place = gate.enter(priority.as_ref(), 9, Duration::from_mins(1)).await.unwrap();
                    if number % 2 == 0 {
                        yield_now().await;
                    }
                    drop(place);
                }
            });
        }
        tokio::time::timeout(Duration::from_secs(30), tasks.join_all()).await.expect("all get through");
        assert_eq!((gate.held(), gate.0.share.held()), (0, 0));
    }
}
