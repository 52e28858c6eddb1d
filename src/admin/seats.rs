//! The places of connections to the admin API. There are few, and none may be held for nothing: who checks whether the house is alive always gets in.

use crate::admin::problem::Problem;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Connections at a time; beyond, those that have had nothing done for them the longest are closed.
pub(super) const CONNECTIONS: usize = 64;
/// Calls at a time that may take as long as warming does; beyond, 503. The other places are for calls that answer at once.
pub(super) const WAITING_CALLS: usize = 32;
/// How long a connection that was told to leave may finish what it writes.
pub(super) const LEAVE: Duration = Duration::from_millis(500);
/// How often somebody else is told to leave while one waits for a place.
const ANOTHER: Duration = Duration::from_millis(50);

/// All places.
#[derive(Debug)]
pub(super) struct Seats {
    room: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    next: u64,
    seats: BTreeMap<u64, Arc<Seat>>,
}

/// One place.
#[derive(Debug)]
pub(super) struct Seat {
    state: Mutex<State>,
    leave: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is done for it since then: it is idle, or its request is still coming.
    Rest(Instant),
    /// A call runs, or its answer is on its way.
    Busy,
    /// It was told to leave.
    Leaving,
}

/// A place that is taken; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Taken {
    seats: Arc<Seats>,
    id: u64,
    pub(super) seat: Arc<Seat>,
    _permit: OwnedSemaphorePermit,
}

/// As long as it lives, something is done for a connection: it is not told to leave.
#[derive(Debug)]
pub(super) struct Busy {
    seat: Arc<Seat>,
    _waiting: Option<OwnedSemaphorePermit>,
}

impl Seats {
    pub(super) fn new() -> Arc<Self> {
        let (room, waiting) = (Semaphore::new(CONNECTIONS), Semaphore::new(WAITING_CALLS));
        Arc::new(Self { room: Arc::new(room), waiting: Arc::new(waiting), book: Mutex::default() })
    }

    /// A place; `None` when there will be none any more.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Taken> {
        let permit = loop {
            if let Ok(permit) = self.room.clone().try_acquire_owned() {
                break permit;
            }
            self.shed();
            if let Ok(permit) = tokio::time::timeout(ANOTHER, self.room.clone().acquire_owned()).await {
                break permit.ok()?;
            }
        };
        let seat = Arc::new(Seat { state: Mutex::new(State::Rest(Instant::now())), leave: Notify::new() });
        let mut book = self.book.lock();
        let id = book.next;
        book.next += 1;
        book.seats.insert(id, Arc::clone(&seat));
        drop(book);
        Some(Taken { seats: Arc::clone(self), id, seat, _permit: permit })
    }

    /// Until all places have been given back.
    pub(super) async fn emptied(&self) {
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        drop(self.room.acquire_many(all).await); // it says nothing, it ends
    }

    /// Marks `seat` as busy with a call. One that `waits` needs one of the places for such calls.
    pub(super) fn busy(&self, seat: &Arc<Seat>, waits: bool) -> Result<Busy, Problem> {
        let waiting = waits.then(|| self.waiting.clone().try_acquire_owned()).transpose();
        let waiting = waiting.map_err(|_| {
            Problem::unavailable(format!(
                "{WAITING_CALLS} calls that wait for warming are under way already; with \"async\": true none has to"
            ))
        })?;
        *seat.state.lock() = State::Busy;
        Ok(Busy { seat: Arc::clone(seat), _waiting: waiting })
    }

    /// Tells the one to leave that has had nothing done for it the longest.
    fn shed(&self) {
        let book = self.book.lock();
        let rest = |seat: &&Arc<Seat>| if let State::Rest(since) = *seat.state.lock() { Some(since) } else { None };
        if let Some((_, seat)) = book.seats.values().filter_map(|seat| Some((rest(&seat)?, seat))).min_by_key(|(since, _)| *since) {
            *seat.state.lock() = State::Leaving;
            seat.leave.notify_one();
        }
    }
}

impl Seat {
    /// Until it is told to leave.
    pub(super) async fn told_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.seats.book.lock().seats.remove(&self.id);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.seat.state.lock() = State::Rest(Instant::now());
    }
}

/// The body of an answer, with what keeps its connection until it is written.
#[derive(Debug)]
pub(super) struct Kept<B> {
    body: B,
    _busy: Option<Busy>,
}

impl<B> Kept<B> {
    pub(super) const fn new(body: B, busy: Option<Busy>) -> Self {
        Self { body, _busy: busy }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Kept<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::{CONNECTIONS, Seats, WAITING_CALLS};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_rests_longest_makes_room_and_a_busy_one_never() {
        let seats = Seats::new();
        let mut taken = Vec::new();
        for _ in 0..CONNECTIONS {
            taken.push(seats.take().await.unwrap());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let busy = seats.busy(&taken[0].seat, true).unwrap();
        let leaving = async {
            taken[1].seat.told_to_leave().await;
            drop(taken.remove(1));
        };
        let (another, ()) = tokio::join!(seats.take(), leaving);
        assert!(another.is_some());
        drop(busy);
        assert_eq!(seats.book.lock().seats.len(), CONNECTIONS);
    }

    #[tokio::test]
    async fn calls_that_wait_leave_places_to_those_that_do_not() {
        let seats = Seats::new();
        let taken = seats.take().await.unwrap();
        let waiting: Vec<_> = (0..WAITING_CALLS).map(|_| seats.busy(&taken.seat, true).unwrap()).collect();
        assert!(seats.busy(&taken.seat, true).unwrap_err().detail().contains("async"));
        assert!(seats.busy(&taken.seat, false).is_ok());
        drop(waiting);
        assert!(seats.busy(&taken.seat, true).is_ok());
    }
}
