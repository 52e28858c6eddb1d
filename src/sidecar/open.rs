//! The connections that are open, so that they can be told to finish, waited for, and cut.

use crate::sidecar::exchange::Exchange;
use crate::sidecar::word::{Listening, Word};
use foldhash::HashMap;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// All open connections. Entering and leaving take one lock per connection; a request takes none.
#[derive(Clone, Debug, Default)]
pub(super) struct Open(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    book: Mutex<Book>,
    empty: Notify,
    closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Book {
    next: u64,
    draining: bool,
    entries: HashMap<u64, Arc<Exchange>>,
}

/// One connection in the book; dropping it strikes it out.
#[derive(Debug)]
pub(super) struct Ticket {
    open: Open,
    id: u64,
    /// What goes on on the connection.
    pub(super) exchange: Arc<Exchange>,
    listening: Listening,
}

impl Open {
    /// Enters a connection.
    pub(super) fn enter(&self) -> Ticket {
        let exchange = Arc::new(Exchange::new());
        let mut book = self.0.book.lock();
        let id = book.next;
        book.next += 1;
        if book.draining {
            exchange.ear.say(Word::Finish); // one that comes while we drain is told at once
        }
        book.entries.insert(id, exchange.clone());
        drop(book);
        Ticket { open: self.clone(), id, exchange, listening: Listening::default() }
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.0.book.lock().entries.len()
    }

    /// From now on every answer is the last of its connection.
    pub(super) fn announce(&self) {
        self.0.closing.store(true, Ordering::Relaxed);
    }

    /// Whether an answer must say that it is the last.
    pub(super) fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Relaxed)
    }

    /// Tells those to finish that have been idle longest, and for `least` at any rate: one in a hundred, so that a flood of newcomers does not have the
    /// book read for each of them.
    pub(super) fn shed(&self, now: Instant, least: Duration) {
        let book = self.0.book.lock();
        let untold = |exchange: &Exchange| if exchange.ear.said() == Word::Nothing { exchange.idle_since() } else { None };
        let mut idle: Vec<(Instant, u64)> = book.entries.iter().filter_map(|(id, exchange)| Some((untold(exchange)?, *id))).collect();
        idle.retain(|(since, _)| now.duration_since(*since) >= least);
        let most = (book.entries.len() / 100).max(1);
        if idle.len() > most {
            idle.select_nth_unstable(most - 1);
            idle.truncate(most);
        }
        for (_, id) in idle {
            if let Some(exchange) = book.entries.get(&id) {
                exchange.ear.say(Word::Finish);
            }
        }
    }

    /// Tells all to finish.
    pub(super) fn drain(&self) {
        let mut book = self.0.book.lock();
        book.draining = true;
        book.entries.values().for_each(|exchange| exchange.ear.say(Word::Finish));
    }

    /// Closes all.
    pub(super) fn cut(&self) {
        self.0.book.lock().entries.values().for_each(|exchange| exchange.ear.say(Word::Close));
    }

    /// Until none is open.
    pub(super) async fn emptied(&self) {
        loop {
            let notified = self.0.empty.notified();
            if self.count() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Ticket {
    /// The book that it is in.
    pub(super) const fn open(&self) -> &Open {
        &self.open
    }

    /// What the connection was told beyond what is `known`.
    pub(super) fn poll_told(&mut self, cx: &Context<'_>, known: Word) -> Poll<Word> {
        self.listening.poll(&self.exchange.ear, cx, known)
    }

    /// The same, waited for.
    pub(super) async fn told(&mut self, known: Word) -> Word {
        poll_fn(|cx| self.poll_told(cx, known)).await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut book = self.open.0.book.lock();
        book.entries.remove(&self.id);
        let empty = book.entries.is_empty();
        drop(book);
        if empty {
            self.open.0.empty.notify_waiters();
        }
    }
}
