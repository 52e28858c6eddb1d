//! Whether a connection is used, idle, or dead. No IO, no clock.

use std::time::Duration;
use tokio::time::Instant;

/// After so long without a byte from a client that waits for answers it is asked whether it still lives.
const SILENCE: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const PONG: Duration = Duration::from_secs(20);
/// How long a connection without a request stays after it was told to go.
const LINGER: Duration = Duration::from_secs(1);

/// What a connection has done and when.
#[derive(Debug)]
pub(super) struct Vitals {
    accepted: Instant,
    served: bool,
    quiet_since: Instant,
    pinged: Option<Instant>,
    retired: Option<Instant>,
}

/// What is to be done, or when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    At(Instant),
    /// Ask the client whether it lives.
    Ping,
    /// Take no further requests.
    Retire,
    /// Close.
    GiveUp,
}

impl Vitals {
    /// Of a connection that was accepted at this time.
    pub(super) const fn new(accepted: Instant) -> Self {
        Self { accepted, served: false, quiet_since: accepted, pinged: None, retired: None }
    }

    /// A request has come.
    pub(super) const fn served(&mut self) {
        self.served = true;
    }

    /// A request has ended.
    pub(super) const fn ended(&mut self, now: Instant) {
        self.quiet_since = now;
    }

    pub(super) const fn ping(&mut self, now: Instant) {
        self.pinged = Some(now);
    }

    pub(super) const fn retire(&mut self, now: Instant) {
        self.retired = Some(now);
    }

    /// `busy`: requests are under way; `heard`: when the last byte came.
    pub(super) fn due(&self, now: Instant, busy: bool, heard: Instant, header_timeout: Duration, idle_timeout: Duration) -> Due {
        let (due, then) = match (busy, self.retired, self.pinged.filter(|&pinged| pinged > heard)) {
            (false, Some(retired), _) => (retired.max(self.quiet_since) + LINGER, Due::GiveUp),
            (false, None, _) if self.served => (self.quiet_since + idle_timeout, Due::Retire),
            (false, None, _) => (self.accepted + header_timeout, Due::Retire),
            (true, _, Some(pinged)) => (pinged + PONG, Due::GiveUp),
            (true, _, None) => (heard + SILENCE, Due::Ping),
        };
        if now >= due { then } else { Due::At(due) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, LINGER, PONG, SILENCE, Vitals};
    use std::time::Duration;
    use tokio::time::Instant;

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    #[test]
    fn an_idle_connection_is_told_to_go_and_then_closed() {
        let start = Instant::now();
        let mut vitals = Vitals::new(start);
        let due = |vitals: &Vitals, now| vitals.due(now, false, start, HEADER, IDLE);
        assert_eq!(due(&vitals, start), Due::At(start + HEADER), "the first request has as long as a head");
        assert_eq!(due(&vitals, start + HEADER), Due::Retire);
        vitals.served();
        let end = start + HEADER / 2;
        vitals.ended(end);
        assert_eq!(due(&vitals, end), Due::At(end + IDLE));
        assert_eq!(due(&vitals, end + IDLE), Due::Retire);
        vitals.retire(end + IDLE);
        assert_eq!(due(&vitals, end + IDLE), Due::At(end + IDLE + LINGER));
        assert_eq!(due(&vitals, end + IDLE + LINGER), Due::GiveUp);
    }

    #[test]
    fn a_client_that_waits_in_silence_is_asked_whether_it_lives() {
        let start = Instant::now();
        let mut vitals = Vitals::new(start);
        let due = |vitals: &Vitals, now, heard| vitals.due(now, true, heard, HEADER, IDLE);
        assert_eq!(due(&vitals, start + HEADER * 2, start), Due::At(start + SILENCE), "a slow answer is no idleness");
        let asked = start + SILENCE;
        assert_eq!(due(&vitals, asked, start), Due::Ping);
        vitals.ping(asked);
        assert_eq!(due(&vitals, asked, start), Due::At(asked + PONG));
        assert_eq!(due(&vitals, asked + PONG, start), Due::GiveUp);
        assert_eq!(due(&vitals, asked, asked), Due::At(asked + SILENCE), "a pong can come at once");
        let heard = asked + PONG / 2;
        assert_eq!(due(&vitals, asked + PONG, heard), Due::At(heard + SILENCE), "it lives");
    }

    #[test]
    fn one_that_was_told_to_go_may_finish_first() {
        let start = Instant::now();
        let mut vitals = Vitals::new(start);
        vitals.retire(start);
        assert_eq!(vitals.due(start + LINGER * 5, true, start, HEADER, IDLE), Due::At(start + SILENCE));
    }
}
