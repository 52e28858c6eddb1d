//! On whose behalf the origin is asked.

/// On whose behalf the origin is asked. The spelling reaches the log and the counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A reader waits for the answer.
    #[default]
    Live,
    /// A warm run wants it ahead of need.
    Warm,
    /// A stored response is refreshed before or behind its expiry; its readers are served meanwhile.
    Refresh,
}

impl Source {
    /// All sources, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Live, Self::Warm, Self::Refresh];

    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Warm => "warm",
            Self::Refresh => "refresh",
        }
    }
}
