//! What the cache would like to have warmed, told to whoever warms. Nobody may be listening, and nobody is waited for.

use crate::cache::bans::Prefix;
use crate::cache::entry::Stored;
use crate::cache::key::Key;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Wishes that may wait to be heard; more are given back.
const MOST: usize = 4096;

/// One wish.
#[derive(Debug)]
pub(crate) enum Wish {
    /// This response has earned a refresh before it expires.
    Ahead(Nominee),
    /// A change has made these out of date: they are to be dropped as of `sequence`, if they are warmed once their replacements are there.
    Rewarm(Rewarm),
}

/// A stored response that is worth a refresh.
#[derive(Clone, Debug)]
pub(crate) struct Nominee {
    pub(crate) key: Key,
    /// It may be evicted or replaced meanwhile.
    pub(crate) stored: Weak<Stored>,
}

/// What a change wants warmed again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rewarm {
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) prefixes: Vec<Arc<str>>,
    /// Single paths and queries.
    pub(crate) targets: Vec<Prefix>,
    /// Warm groups by name.
    pub(crate) groups: Vec<Arc<str>>,
    /// The moment of the change: what was asked of the origin before it is out of date.
    pub(crate) sequence: u64,
    /// Whether they are warmed again before they are dropped; else they are only dropped, which is what is left to do for `groups`.
    pub(crate) warm: bool,
}

/// Where wishes go.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    inbox: RwLock<Option<Sender<Wish>>>,
    /// From how many hits on a response is nominated; 0: none is.
    hits: AtomicU64,
}

impl Wishes {
    /// Begins to listen; whoever listened before does not hear any more.
    pub(crate) fn listen(&self) -> Receiver<Wish> {
        let (sender, receiver) = channel(MOST);
        *self.inbox.write() = Some(sender);
        receiver
    }

    /// Whoever listened has closed its end. If nobody else has begun to listen since, nothing is nominated any more.
    pub(crate) fn hang_up(&self) {
        let mut inbox = self.inbox.write();
        if inbox.as_ref().is_some_and(Sender::is_closed) {
            *inbox = None;
            self.nominate_from(0);
        }
    }

    /// Sets from how many hits on responses are nominated; 0: none.
    pub(crate) fn nominate_from(&self, hits: u64) {
        self.hits.store(hits, Ordering::Relaxed);
    }

    /// Whether a response with so many hits is worth a nomination.
    pub(crate) fn wants(&self, hits: u64) -> bool {
        let from = self.hits.load(Ordering::Relaxed);
        from != 0 && hits >= from
    }

    /// Says a wish; gives it back if nobody listens or too many wait.
    pub(crate) fn say(&self, wish: Wish) -> Result<(), Wish> {
        let inbox = self.inbox.read();
        let Some(sender) = inbox.as_ref() else { return Err(wish) };
        sender.try_send(wish).map_err(TrySendError::into_inner)
    }
}
