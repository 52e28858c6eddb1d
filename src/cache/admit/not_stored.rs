//! The reasons for which a response is not stored.

/// Why a response is not stored. The spelling reaches `Cache-Status; detail=` and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotStored {
    /// The method of the request has no storable response.
    Method,
    /// The request said `no-store`.
    RequestNoStore,
    /// The response says `no-store`.
    NoStore,
    /// The response says `private`.
    Private,
    /// The request had Authorization, and the response does not allow sharing (RFC 9111 section 3.5).
    Authorization,
    /// The response sets a cookie.
    SetCookie,
    /// `Vary: *`.
    VaryStar,
    /// It varies by a forwarding field that this request was given behind the cache only. The next ones are given theirs first.
    VaryForwarded,
    /// The status is stored only with explicit freshness, and there is none.
    Status,
    /// `must-understand`, and the status is not understood (RFC 9111 section 5.2.2.3).
    MustUnderstand,
    /// Neither a lifetime nor a validator: it could never be reused.
    NoFreshness,
    /// A partial response that cannot be stored: several parts, no valid Content-Range, or a length that contradicts it.
    Partial,
    /// An answer to the preconditions or the range of one request.
    Conditional,
    /// Larger than `cache.max_object`, or with more than 4096 header lines.
    TooLarge,
    /// No room for another body in flight.
    Memory,
    /// Its Cache-Tag, Surrogate-Key or Cache-Groups cannot be kept: a member is malformed or longer than 1024 bytes, there are more than 512, a field
    /// may not be stored, or too many purges came while it was fetched. A purge could not find it.
    Tags,
    /// Made by warmfront in place of an answer of the origin.
    OriginFailure,
    /// A rule, the method or a field of the request keeps it out of the cache: it is handed on as it is.
    Pass,
}

impl NotStored {
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Self; 18] = [
        Self::Method,
        Self::RequestNoStore,
        Self::NoStore,
        Self::Private,
        Self::Authorization,
        Self::SetCookie,
        Self::VaryStar,
        Self::VaryForwarded,
        Self::Status,
        Self::MustUnderstand,
        Self::NoFreshness,
        Self::Partial,
        Self::Conditional,
        Self::TooLarge,
        Self::Memory,
        Self::Tags,
        Self::OriginFailure,
        Self::Pass,
    ];

    /// Whether the reason lies in the one request, and says nothing about the response for others.
    pub(crate) const fn is_of_the_request(self) -> bool {
        matches!(self, Self::Method | Self::RequestNoStore | Self::Authorization | Self::Conditional | Self::Memory)
    }

    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestNoStore => "request-no-store",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::VaryForwarded => "vary-forwarded",
            Self::Status => "status",
            Self::MustUnderstand => "must-understand",
            Self::NoFreshness => "no-freshness",
            Self::Partial => "partial",
            Self::Conditional => "conditional",
            Self::TooLarge => "too-large",
            Self::Memory => "memory",
            Self::Tags => "tags",
            Self::OriginFailure => "origin-failure",
            Self::Pass => "pass",
        }
    }
}
