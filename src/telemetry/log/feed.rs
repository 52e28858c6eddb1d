//! Those who listen in: each gets the batches that are written, and is told what it was too slow for.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{self, error::TrySendError};

/// Subscribers at a time.
pub const MOST_SUBSCRIBERS: usize = 16;
/// Batches that wait for one subscriber, and their bytes; beyond either, batches are lost to it.
const WAITING: usize = 64;
const WAITING_BYTES: usize = 4 << 20;
/// Bytes of the last events that are kept for those who come later.
const RECENT_BYTES: usize = 256 << 10;

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fed {
    /// Events, each a line of JSON.
    Events(Bytes),
    /// So many events came before the next ones, and were lost to this subscriber because it was too slow.
    Lost(u64),
}

/// There are [`MOST_SUBSCRIBERS`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

#[derive(Debug, Default)]
pub(super) struct Feed(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    subscribers: Vec<Subscriber>,
    recent: VecDeque<Bytes>,
    recent_bytes: usize,
}

#[derive(Debug)]
struct Subscriber {
    to: mpsc::Sender<Portion>,
    waiting: Arc<AtomicUsize>,
    lost: u64,
}

#[derive(Debug)]
struct Portion {
    lost: u64,
    lines: Bytes,
}

/// One who listens. Dropping it leaves.
#[derive(Debug)]
pub struct Subscription {
    from: mpsc::Receiver<Portion>,
    waiting: Arc<AtomicUsize>,
    /// Taken out, and not given yet.
    next: Option<Bytes>,
}

impl Feed {
    /// Gives a batch of `events` lines to everybody.
    pub(super) fn publish(&self, lines: &[u8], events: u64) {
        let lines = Bytes::copy_from_slice(lines);
        let mut inner = self.0.lock();
        inner.subscribers.retain_mut(|subscriber| subscriber.give(&lines, events));
        inner.remember(lines);
    }

    pub(super) fn subscribe(&self, recent: bool) -> Result<Subscription, TooMany> {
        let mut inner = self.0.lock();
        inner.subscribers.retain(|subscriber| !subscriber.to.is_closed());
        if inner.subscribers.len() >= MOST_SUBSCRIBERS {
            return Err(TooMany);
        }
        let (to, from) = mpsc::channel(WAITING);
        let waiting = Arc::new(AtomicUsize::new(0));
        inner.subscribers.push(Subscriber { to, waiting: Arc::clone(&waiting), lost: 0 });
        let next = (recent && !inner.recent.is_empty()).then(|| inner.recent());
        Ok(Subscription { from, waiting, next })
    }

    pub(super) fn recent(&self) -> Bytes {
        self.0.lock().recent()
    }

    pub(super) fn release(&self) {
        self.0.lock().subscribers.clear();
    }
}

impl Inner {
    fn recent(&self) -> Bytes {
        self.recent.iter().flatten().copied().collect::<Vec<u8>>().into()
    }

    fn remember(&mut self, lines: Bytes) {
        // Of a large batch only its last lines, in memory of their own.
        let lines = match lines.len().checked_sub(RECENT_BYTES) {
            Some(over) if over > 0 => {
                let from = lines[over..].iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| over + end + 1);
                Bytes::copy_from_slice(&lines[from..])
            }
            _ => lines,
        };
        self.recent_bytes += lines.len();
        self.recent.push_back(lines);
        while self.recent_bytes > RECENT_BYTES {
            self.recent_bytes -= self.recent.pop_front().map_or(self.recent_bytes, |oldest| oldest.len());
        }
    }
}

impl Subscriber {
    /// `false`: it has left.
    fn give(&mut self, lines: &Bytes, events: u64) -> bool {
        if self.waiting.load(Ordering::Acquire) + lines.len() > WAITING_BYTES && self.waiting.load(Ordering::Acquire) > 0 {
            self.lost += events;
            return !self.to.is_closed();
        }
        self.waiting.fetch_add(lines.len(), Ordering::AcqRel);
        match self.to.try_send(Portion { lost: self.lost, lines: lines.clone() }) {
            Ok(()) => {
                self.lost = 0;
                true
            }
            Err(TrySendError::Full(_)) => {
                self.waiting.fetch_sub(lines.len(), Ordering::AcqRel);
                self.lost += events;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

impl Subscription {
    /// What comes next; `None` when nothing comes any more.
    pub async fn next(&mut self) -> Option<Fed> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), for who polls.
    pub fn poll_next(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Fed>> {
        if let Some(lines) = self.next.take() {
            return std::task::Poll::Ready(Some(Fed::Events(lines)));
        }
        self.from.poll_recv(cx).map(|portion| {
            let Portion { lost, lines } = portion?;
            self.waiting.fetch_sub(lines.len(), Ordering::AcqRel);
            if lost > 0 {
                self.next = Some(lines);
                return Some(Fed::Lost(lost));
            }
            Some(Fed::Events(lines))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Fed, Feed, MOST_SUBSCRIBERS, RECENT_BYTES, TooMany, WAITING};
    use bytes::Bytes;

    fn lines(text: &'static str) -> Option<Fed> {
        Some(Fed::Events(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_how_many_events_it_has_lost_before_the_next() {
        let feed = Feed::default();
        let mut slow = feed.subscribe(false).unwrap();
        (0..WAITING + 5).for_each(|_| feed.publish(b"{}\n{}\n", 2));
        for _ in 0..WAITING {
            assert_eq!(slow.next().await, lines("{}\n{}\n"));
        }
        feed.publish(b"{\"a\":1}\n", 1);
        assert_eq!(slow.next().await, Some(Fed::Lost(10)));
        assert_eq!(slow.next().await, lines("{\"a\":1}\n"));
        feed.release();
        assert_eq!(slow.next().await, None);
    }

    #[tokio::test]
    async fn subscribers_are_bounded_and_places_come_back() {
        let feed = Feed::default();
        let mut all: Vec<_> = (0..MOST_SUBSCRIBERS).map(|_| feed.subscribe(false).unwrap()).collect();
        assert_eq!(feed.subscribe(false).unwrap_err(), TooMany);
        all.pop();
        assert!(feed.subscribe(false).is_ok());
    }

    #[tokio::test]
    async fn who_comes_later_gets_the_last_events_first_and_they_are_bounded() {
        let feed = Feed::default();
        feed.publish(b"{\"old\":1}\n", 1);
        feed.publish(b"{\"new\":1}\n", 1);
        assert_eq!(feed.subscribe(true).unwrap().next().await, lines("{\"old\":1}\n{\"new\":1}\n"));
        feed.publish(&b"{\"long\":1}\n".repeat(RECENT_BYTES / 4), 1);
        let recent = feed.recent();
        assert!(recent.len() <= RECENT_BYTES && recent.starts_with(b"{\"long\"") && recent.ends_with(b"}\n"), "{}", recent.len());
    }
}
