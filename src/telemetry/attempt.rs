//! How the origin answered.

/// How one attempt at the origin ended. Every attempt ends as exactly one of these, so their counts add up to all attempts; a retry is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Attempt {
    /// A response head came, with a status below 500.
    Ok,
    /// A response head came, with a 5xx.
    Error,
    /// No response head came: the connection failed, a deadline passed, or nobody waited any more.
    Failed,
}

impl Attempt {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Error, Self::Failed];

    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Failed => "failed",
        }
    }
}
