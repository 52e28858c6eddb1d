//! Where events wait for the thread that writes them. Nobody waits here: what finds no place is dropped and counted.

use crate::telemetry::log::record::{Batch, Writer};
use crate::telemetry::shard::mine;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tracing::Metadata;

/// Bytes of values that one place holds; an event of more takes several.
const PLACE: usize = 512;
/// Places that a part takes at a time, so that threads seldom meet at the number of free ones.
const GRANT: usize = 64;
/// Threads beyond so many share parts: each holds places that the others lack.
const PARTS: usize = 16;

/// A bounded queue of as many parts as there are shards: a thread has one to itself as a rule, and shares it with the writer for an instant now and then.
#[derive(Debug)]
pub(super) struct Queue {
    parts: Box<[Part]>,
    /// Places that no part has.
    free: AtomicUsize,
    batch_max: AtomicUsize,
    dropped: AtomicU64,
    /// The writer waits for the first event.
    asleep: AtomicBool,
    bell: Bell,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    batch: Batch,
    granted: usize,
    used: usize,
}

/// Wakes the writer.
#[derive(Debug, Default)]
struct Bell {
    rung: Mutex<Rung>,
    heard: Condvar,
}

/// What the writer is asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rung {
    /// There is something.
    pub(super) first: bool,
    /// There is a whole batch.
    pub(super) full: bool,
    /// The file has been moved.
    pub(super) reopen: bool,
    /// Write what is there, and end.
    pub(super) close: bool,
}

/// What was taken out, and the places that it gives back when it is written.
#[derive(Debug)]
pub(super) struct Drained {
    pub(super) batches: Vec<Batch>,
    places: usize,
}

impl Queue {
    pub(super) fn new(places: usize, batch_max: usize) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Part::default()).collect(),
            free: AtomicUsize::new(places),
            batch_max: AtomicUsize::new(batch_max.max(1)),
            dropped: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            bell: Bell::default(),
        }
    }

    pub(super) fn set_batch_max(&self, batch_max: usize) {
        self.batch_max.store(batch_max.max(1), Ordering::Relaxed);
    }

    /// Adds an event, or drops it.
    pub(super) fn push(&self, at: u64, meta: &'static Metadata<'static>, record: impl FnOnce(&mut Writer<'_>)) {
        let waiting = {
            let mut part = self.parts[mine() % PARTS].0.lock();
            let Waiting { batch, granted, used } = &mut *part;
            // The first look is for floods: an event that will not be kept is not written down either.
            let added = self.reserve(granted, *used + 1)
                && batch.push(at, meta, record, |bytes| {
                    let wanted = *used + 1 + bytes / PLACE;
                    let fits = self.reserve(granted, wanted);
                    if fits {
                        *used = wanted;
                    }
                    fits
                });
            if !added {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            batch.len()
        };
        // Seen by whoever comes after the writer has looked into this part (`is_empty`), so that none is overlooked.
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.ring(|rung| rung.first = true);
        }
        if waiting == self.batch_max.load(Ordering::Relaxed) {
            self.ring(|rung| rung.full = true);
        }
    }

    /// Has a part own `wanted` places at least.
    fn reserve(&self, granted: &mut usize, wanted: usize) -> bool {
        while *granted < wanted {
            let taken = self.free.try_update(Ordering::Relaxed, Ordering::Relaxed, |free| (free > 0).then(|| free - free.min(GRANT)));
            let Ok(before) = taken else { return false };
            *granted += before.min(GRANT);
        }
        true
    }

    /// Counts events that were taken out and could not be written.
    pub(super) fn count_dropped(&self, events: u64) {
        self.dropped.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.0.lock().batch.is_empty())
    }

    /// Takes everything out. `spare` is room from earlier.
    pub(super) fn drain(&self, spare: &mut Vec<Batch>) -> Drained {
        let mut drained = Drained { batches: Vec::new(), places: 0 };
        for part in &self.parts {
            let mut part = part.0.lock();
            if !part.batch.is_empty() {
                drained.places += std::mem::take(&mut part.granted);
                part.used = 0;
                drained.batches.push(std::mem::replace(&mut part.batch, spare.pop().unwrap_or_default()));
            }
        }
        drained
    }

    /// Gives back the places of what has been written, and its room.
    pub(super) fn give_back(&self, drained: Drained, spare: &mut Vec<Batch>) {
        self.free.fetch_add(drained.places, Ordering::Relaxed);
        for mut batch in drained.batches {
            batch.clear();
            batch.shrink();
            spare.push(batch);
        }
    }

    /// Wakes the writer, and says why.
    pub(super) fn ring(&self, say: impl FnOnce(&mut Rung)) {
        say(&mut self.bell.rung.lock());
        self.bell.heard.notify_one();
    }

    /// Waits until there is something to do, then for at most `delay` for more of it.
    pub(super) fn wait(&self, delay: impl FnOnce() -> Duration) -> Rung {
        self.asleep.store(true, Ordering::SeqCst);
        if self.is_empty() {
            let mut rung = self.bell.rung.lock();
            while *rung == Rung::default() {
                self.bell.heard.wait(&mut rung);
            }
        }
        self.asleep.store(false, Ordering::SeqCst);
        let until = Instant::now() + delay();
        let mut rung = self.bell.rung.lock();
        while !(rung.full || rung.reopen || rung.close) {
            if self.bell.heard.wait_until(&mut rung, until).timed_out() {
                break;
            }
        }
        std::mem::take(&mut rung)
    }
}

#[cfg(test)]
mod tests {
    use super::{PLACE, Queue};
    use crate::telemetry::log::layer::BatchLayer;
    use crate::telemetry::log::record::Said;
    use std::sync::Arc;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn queue(places: usize) -> (Arc<Queue>, impl tracing::Subscriber + Send + Sync) {
        let queue = Arc::new(Queue::new(places, 1000));
        (Arc::clone(&queue), tracing_subscriber::registry().with(BatchLayer::new(queue)))
    }

    fn texts(queue: &Queue) -> Vec<u64> {
        let drained = queue.drain(&mut Vec::new());
        let mut numbers = Vec::new();
        for batch in &drained.batches {
            for at in 0..batch.len() {
                numbers.extend(batch.event(at).unwrap().fields().filter_map(|(name, said)| match said {
                    Said::Unsigned(number) if name == "number" => Some(number),
                    _ => None,
                }));
            }
        }
        queue.give_back(drained, &mut Vec::new());
        numbers
    }

    #[test]
    fn what_finds_no_place_is_dropped_and_counted_and_places_come_back() {
        let (queue, subscriber) = queue(10);
        tracing::subscriber::with_default(subscriber, || {
            for round in 0..3_u64 {
                (0..25_u64).for_each(|number| tracing::info!(number));
                assert_eq!(texts(&queue), (0..10).collect::<Vec<_>>());
                assert_eq!(queue.dropped(), 15 * (round + 1));
            }
        });
    }

    #[test]
    fn a_long_event_takes_several_places() {
        let (queue, subscriber) = queue(3);
        tracing::subscriber::with_default(subscriber, || {
            let long = "x".repeat(2 * PLACE);
            tracing::info!(number = 1_u64, long);
            tracing::info!(number = 2_u64, long);
            assert_eq!((texts(&queue), queue.dropped()), (vec![1], 1));
        });
    }

    #[test]
    fn what_several_threads_say_is_all_there() {
        let (queue, subscriber) = queue(100_000);
        let dispatch = tracing::Dispatch::new(subscriber);
        let mut all = Vec::new();
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4_u64)
                .map(|thread| {
                    let dispatch = &dispatch;
                    scope.spawn(move || {
                        tracing::dispatcher::with_default(dispatch, || {
                            (0..1000).for_each(|number| tracing::info!(number = thread * 1000 + number));
                        });
                    })
                })
                .collect();
            while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                all.extend(texts(&queue));
            }
        });
        all.extend(texts(&queue));
        all.sort_unstable();
        assert_eq!((all, queue.dropped()), ((0..4000).collect(), 0));
    }
}
