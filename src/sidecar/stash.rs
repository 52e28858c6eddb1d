//! Connections to the upstream that were opened ahead and have not carried a request yet.

use crate::sidecar::live::Live;
use crate::sidecar::pool::line::Line;
use http::uri::Authority;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a connection may lie here: below the minute after which common servers (nginx, Node) close one that has said nothing.
pub(super) const MAX_AGE: Duration = Duration::from_secs(50);
/// A connection that has lain here longer and ends without a word was closed meanwhile; a younger one was refused.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// At most `upstream.preconnect` connections, all to the upstream of this moment.
#[derive(Debug)]
pub(super) struct Stash {
    live: Arc<Live>,
    spares: Mutex<VecDeque<Spare>>,
}

#[derive(Debug)]
struct Spare {
    line: Line,
    authority: Authority,
    since: Instant,
}

impl Spare {
    fn is_young(&self) -> bool {
        self.since.elapsed() < MAX_AGE
    }
}

impl Stash {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self { live, spares: Mutex::default() }
    }

    /// The connection to `authority` that has lain here longest and is still good. The first that was opened is the first that the upstream has accepted:
    /// where it serves few connections at a time, the later ones still wait for that. With it comes whether it has lain here long enough to have been
    /// closed meanwhile.
    pub(super) fn take(&self, authority: &Authority) -> Option<(Line, bool)> {
        let mut spares = self.spares.lock();
        let good = |spare: &Spare| spare.is_young() && spare.authority == *authority && spare.line.is_quiet();
        let spare = std::iter::from_fn(|| spares.pop_front()).find(good)?;
        Some((spare.line, spare.since.elapsed() > STALE_AFTER))
    }

    /// Keeps `line` if it still leads to the upstream and there is room.
    pub(super) fn put(&self, line: Line, authority: &Authority) {
        let mut spares = self.spares.lock();
        let settings = self.live.settings.load();
        if *authority == settings.upstream.authority && spares.len() < settings.upstream.preconnect {
            spares.push_back(Spare { line, authority: authority.clone(), since: Instant::now() });
        }
    }

    /// Closes what is too old, leads elsewhere or is too much, now that time has passed or the settings have changed.
    pub(super) fn tidy(&self) {
        let mut spares = self.spares.lock();
        let settings = self.live.settings.load();
        spares.retain(|spare| spare.is_young() && spare.authority == settings.upstream.authority);
        spares.truncate(settings.upstream.preconnect);
    }

    /// Closes all of them.
    pub(super) fn clear(&self) {
        self.spares.lock().clear();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.spares.lock().len()
    }
}
