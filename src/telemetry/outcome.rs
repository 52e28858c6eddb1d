//! How a request ended, seen from the cache.

/// How a request ended. Every request ends as exactly one of these, so their counts add up to all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Answered from a fresh stored response; the origin was not asked.
    Hit,
    /// Answered from a stale stored response inside an allowed window.
    Stale,
    /// The origin confirmed the stored response with a 304.
    Revalidated,
    /// Waited for a fill that another request had started.
    Collapsed,
    /// Fetched from the origin by this request.
    Miss,
    /// Handed to the origin: by a rule or a method, or a HEAD that nothing stored may answer.
    Pass,
    /// Answered by warmfront itself with an error: a limit, `only-if-cached`, or a malformed request.
    Refused,
    /// The origin could not be asked or did not answer, and nothing stored could stand in.
    Failed,
    /// Its client left before there was an answer.
    Abandoned,
}

impl Outcome {
    /// All outcomes, in the order of their discriminants.
    pub const ALL: [Self; 9] =
        [Self::Hit, Self::Stale, Self::Revalidated, Self::Collapsed, Self::Miss, Self::Pass, Self::Refused, Self::Failed, Self::Abandoned];

    /// The one spelling, used in logs, metrics and statistics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Collapsed => "collapsed",
            Self::Miss => "miss",
            Self::Pass => "pass",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}
