//! Signals: SIGHUP reloads, SIGTERM and SIGINT stop, SIGUSR1 opens the log file again.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals of this process, from when it is made.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Reload,
    /// The log file has been moved.
    Reopen,
    /// With the signal's name.
    Stop(&'static str),
}

impl Signals {
    /// Takes the signals. Inside a runtime only.
    pub(super) fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Request::Stop("SIGINT"),
            _ = self.hang_up.recv() => Request::Reload,
            _ = self.user.recv() => Request::Reopen,
        }
    }
}
