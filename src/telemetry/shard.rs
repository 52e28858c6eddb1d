//! Which part of a counter a thread adds to, so that threads do not fight over cache lines.

use parking_lot::Mutex;
use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// So many threads have a part of their own at least.
const LEAST_OWN: usize = 12;
/// And at most: memory of each counter.
const MOST_OWN: usize = 252;
/// Parts that all other threads share.
const COMMON: usize = 4;

/// Those that belong to one thread each come first.
static OWN: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(LEAST_OWN, |cores| (cores.get() + COMMON).clamp(LEAST_OWN, MOST_OWN)));
/// Those that a thread had that has ended.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

const UNKNOWN: usize = usize::MAX;

thread_local! {
    /// The part, and above it whether others share it.
    static MINE: Cell<Part> = const { Cell::new(Part { at: UNKNOWN, shared: true }) };
    static CLAIM: Cell<Option<Claim>> = const { Cell::new(None) };
}

/// A part of a counter.
#[derive(Clone, Copy, Debug)]
struct Part {
    at: usize,
    shared: bool,
}

/// A part that belongs to this thread.
struct Claim(usize);

impl Drop for Claim {
    fn drop(&mut self) {
        MINE.set(common()); // what the thread still counts
        FREE.lock().push(self.0);
    }
}

/// How many parts a counter has.
pub(crate) fn parts() -> usize {
    *OWN + COMMON
}

/// The part of this thread.
pub(crate) fn mine() -> usize {
    part().at
}

/// Adds to the counts of this thread: `counts` are those in [its part](mine). Where nobody else writes there, no locked instruction is needed.
pub(crate) fn add<const N: usize>(counts: [(&AtomicU64, u64); N]) {
    let shared = part().shared;
    for (count, more) in counts {
        if shared {
            count.fetch_add(more, Ordering::Relaxed);
        } else {
            count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        }
    }
}

fn part() -> Part {
    let part = MINE.get();
    if part.at == UNKNOWN { first() } else { part }
}

#[cold]
fn first() -> Part {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let own = FREE.lock().pop().or_else(|| {
        let next = NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| (next < *OWN).then_some(next + 1));
        next.ok()
    });
    // A thread that is ending gets none of its own: nobody would give it back.
    let part = match own {
        Some(at) if CLAIM.try_with(|claim| claim.set(Some(Claim(at)))).is_ok() => Part { at, shared: false },
        Some(at) => {
            FREE.lock().push(at);
            common()
        }
        None => common(),
    };
    MINE.set(part);
    part
}

/// One of those that many threads share, in turn.
fn common() -> Part {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    Part { at: *OWN + TURN.fetch_add(1, Ordering::Relaxed) % COMMON, shared: true }
}

#[cfg(test)]
mod tests {
    use super::{COMMON, OWN, add, mine, parts};
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread::{scope, spawn};

    #[test]
    fn what_more_threads_count_than_have_parts_of_their_own_adds_up() {
        let counts: Vec<_> = (0..parts()).map(|_| AtomicU64::new(0)).collect();
        let threads = *OWN + 3 * COMMON;
        let (together, counts) = (Barrier::new(threads), &counts);
        let places: Vec<usize> = scope(|scope| {
            let work = || {
                let place = mine();
                together.wait(); // all live at once
                (0..1000).for_each(|_| add([(&counts[place], 1)]));
                place
            };
            (0..threads).map(|_| scope.spawn(work)).collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(counts.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>(), 1000 * threads as u64);
        let own: Vec<_> = places.iter().filter(|place| **place < *OWN).collect();
        assert_eq!(own.len(), own.iter().collect::<HashSet<_>>().len(), "nobody shares those");
        assert!(places.iter().any(|place| *place >= *OWN));
    }

    #[test]
    fn a_thread_that_ends_gives_its_part_back() {
        let places: Vec<_> = (0..10 * *OWN).map(|_| spawn(mine).join().unwrap()).collect();
        assert!(places.iter().filter(|place| **place < *OWN).count() > *OWN, "more than there are parts of one's own");
    }
}
