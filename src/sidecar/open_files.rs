//! How many files, and so sockets, this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that belong neither to clients nor to the upstream: listeners, the runtime, logs, the admin API and its 64 callers.
const OWN: u64 = 128;

/// Asks for as many as the process may ask for. What shells and service managers give at first, 1024 as a rule, is for programs that use `select`.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where that is refused it stays as it was, and `clients` makes do with it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// How many of `wanted` connections of clients there are files for, if `upstream` others shall not be without.
///
/// With none left, accepting rests until somebody leaves, and so does every request that needs a connection of its own. Before it comes to that, clients that are idle
/// shall make room.
pub(super) fn clients(wanted: usize, upstream: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let clients = share(wanted, upstream, limit);
    if clients < wanted {
        tracing::warn!(
            wanted,
            clients,
            limit,
            "fewer connections than server.max_connections: the process may not open more files (ulimit -n)"
        );
    }
    clients
}

fn share(wanted: usize, upstream: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let kept = OWN.saturating_add(upstream as u64).min(limit / 2);
    usize::try_from(limit - kept).map_or(wanted, |most| wanted.min(most))
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn clients_leave_files_for_the_upstream_and_for_everything_else() {
        for (wanted, upstream, limit, clients) in [
            (10_000, 256, Some(1024), 640),
            (500, 256, Some(1024), 500),
            (10_000, 256, Some(1 << 20), 10_000),
            (10_000, 256, None, 10_000),
            (10_000, 256, Some(100), 50),
            (10_000, usize::MAX, Some(1024), 512),
            (10_000, 256, Some(0), 0),
        ] {
            assert_eq!(share(wanted, upstream, limit), clients, "{wanted} {upstream} {limit:?}");
        }
    }
}
