//! May a stored response answer this request, now? A pure verdict over numbers (RFC 9111 section 4).

use crate::cache::freshness::Life;
use crate::cache::groups::Level;
use crate::clock::Stamp;
use crate::rfc::directives::{MaxStale, RequestDirectives};

/// What may be done with a stored response that matches a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Serve it.
    Fresh,
    /// Serve it although it is stale; with `refresh`, ask the origin behind it.
    Stale {
        /// `stale-while-revalidate` allows it, and expects a refresh; otherwise the client's `max-stale` does.
        refresh: bool,
    },
    /// Ask the origin first.
    Validate(Cause),
    /// It was purged: as if it were not there.
    Gone,
}

/// Why the origin must be asked although something is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The request said `no-cache` or `no-store`.
    NoCacheAsked,
    /// The request wants something younger: `max-age`.
    MaxAgeAsked,
    /// The request wants something that stays fresh for longer: `min-fresh`.
    MinFreshAsked,
    /// The stored response was invalidated.
    Invalidated,
    /// The stored response says that it must be validated: `no-cache`.
    NoCache,
    /// The stored response is stale, and no window allows that.
    Stale,
}

impl Cause {
    /// Whether it lies in the request's own directives, not in what is stored.
    pub(crate) const fn is_of_the_request(self) -> bool {
        matches!(self, Self::NoCacheAsked | Self::MaxAgeAsked | Self::MinFreshAsked)
    }

    /// In words, with the clause.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::NoCacheAsked => "the request says no-cache or no-store (RFC 9111 section 5.2.1.4)",
            Self::MaxAgeAsked => "the request's max-age wants something younger (RFC 9111 section 5.2.1.1)",
            Self::MinFreshAsked => "the request's min-fresh wants something fresh for longer (RFC 9111 section 5.2.1.3)",
            Self::Invalidated => "it was invalidated (RFC 9111 section 4.4)",
            Self::NoCache => "it says no-cache (RFC 9111 section 5.2.2.4)",
            Self::Stale => "it is stale, and no window allows that (RFC 9111 section 4.2.4)",
        }
    }
}

impl Verdict {
    /// In words, with the clause.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Fresh => "it is fresh (RFC 9111 section 4.2)",
            Self::Stale { refresh: true } => {
                "it is stale inside its stale-while-revalidate window; a refresh goes behind it (RFC 5861 section 3)"
            }
            Self::Stale { refresh: false } => "it is stale, and the request's max-stale allows that (RFC 9111 section 5.2.1.2)",
            Self::Validate(cause) => cause.words(),
            Self::Gone => "it was purged",
        }
    }
}

/// Decides about a stored response with `life`, which invalidations have brought to `level`, for a request with `request` directives at `now`.
pub(crate) fn judge(life: &Life, level: Level, request: &RequestDirectives, now: Stamp) -> Verdict {
    if level == Level::Dead {
        return Verdict::Gone;
    }
    if request.no_cache || request.no_store {
        return Verdict::Validate(Cause::NoCacheAsked); // RFC 9111 section 5.2.1.4
    }
    if level == Level::Invalid {
        return Verdict::Validate(Cause::Invalidated); // section 4.4
    }
    if life.no_cache {
        return Verdict::Validate(Cause::NoCache); // section 5.2.2.4
    }
    let age = life.age(now);
    if request.max_age.is_some_and(|seconds| age > seconds.saturating_mul(1000)) {
        return Verdict::Validate(Cause::MaxAgeAsked); // section 5.2.1.1
    }
    let fresh = age < life.lifetime && level == Level::Valid; // section 4.2: freshness_lifetime > current_age
    if fresh {
        let left = life.lifetime - age;
        return match request.min_fresh {
            Some(seconds) if left < seconds.saturating_mul(1000) => Verdict::Validate(Cause::MinFreshAsked), // section 5.2.1.3
            _ => Verdict::Fresh,
        };
    }
    if request.min_fresh.is_some() {
        return Verdict::Validate(Cause::Stale);
    }
    let staleness = age.saturating_sub(life.lifetime);
    let tolerated = match request.max_stale {
        _ if life.must_revalidate => false, // section 5.2.2.2
        Some(MaxStale::Any) => true,
        Some(MaxStale::Seconds(seconds)) => staleness <= seconds.saturating_mul(1000), // section 5.2.1.2
        None => false,
    };
    if staleness < life.stale_while_revalidate {
        Verdict::Stale { refresh: true } // RFC 5861 section 3
    } else if tolerated {
        Verdict::Stale { refresh: false }
    } else {
        Verdict::Validate(Cause::Stale)
    }
}

/// Whether a stored response may stand in when the origin fails (RFC 5861 section 4, RFC 9111 section 4.2.4).
pub(crate) fn may_cover_error(life: &Life, level: Level, request: &RequestDirectives, now: Stamp) -> bool {
    if level >= Level::Invalid || life.no_cache || request.no_cache || request.no_store {
        return false;
    }
    let age = life.age(now);
    if age < life.lifetime && level == Level::Valid {
        return true;
    }
    let wished = request.stale_if_error.filter(|_| !life.must_revalidate).unwrap_or(0).saturating_mul(1000);
    age.saturating_sub(life.lifetime) < life.stale_if_error.max(wished)
}

#[cfg(test)]
mod tests {
    use super::{Cause, Verdict, judge, may_cover_error};
    use crate::cache::freshness::{Life, LifetimeSource};
    use crate::cache::groups::Level;
    use crate::clock::Stamp;
    use crate::rfc::directives::{MaxStale, RequestDirectives};

    /// Fresh for 10 s, then 5 s of stale-while-revalidate and 20 s of stale-if-error.
    const LIFE: Life = Life {
        received: Stamp::from_millis(1_000_000),
        initial_age: 0,
        lifetime: 10_000,
        source: LifetimeSource::Origin,
        stale_while_revalidate: 5_000,
        stale_if_error: 20_000,
        must_revalidate: false,
        no_cache: false,
    };

    fn after(millis: u64) -> Stamp {
        LIFE.received.plus_millis(millis)
    }

    fn plain() -> RequestDirectives {
        RequestDirectives::default()
    }

    #[test]
    fn a_response_is_fresh_until_the_millisecond_its_age_reaches_its_lifetime() {
        for (millis, verdict) in [
            (0, Verdict::Fresh),
            (9_999, Verdict::Fresh),
            (10_000, Verdict::Stale { refresh: true }),
            (14_999, Verdict::Stale { refresh: true }),
            (15_000, Verdict::Validate(Cause::Stale)),
        ] {
            assert_eq!(judge(&LIFE, Level::Valid, &plain(), after(millis)), verdict, "{millis}");
        }
    }

    #[test]
    fn invalidations_weigh_by_their_level() {
        for (level, verdict) in [
            (Level::Valid, Verdict::Fresh),
            (Level::Stale, Verdict::Stale { refresh: true }),
            (Level::Invalid, Verdict::Validate(Cause::Invalidated)),
            (Level::Dead, Verdict::Gone),
        ] {
            assert_eq!(judge(&LIFE, level, &plain(), after(1)), verdict, "{level:?}");
        }
    }

    #[test]
    fn must_revalidate_and_no_cache_forbid_every_stale_use() {
        let strict = Life { must_revalidate: true, stale_while_revalidate: 0, stale_if_error: 0, ..LIFE };
        let lenient = RequestDirectives { max_stale: Some(MaxStale::Any), stale_if_error: Some(1000), ..plain() };
        assert_eq!(judge(&strict, Level::Valid, &lenient, after(10_001)), Verdict::Validate(Cause::Stale));
        assert!(!may_cover_error(&strict, Level::Valid, &lenient, after(10_001)));
        let never = Life { no_cache: true, ..LIFE };
        assert_eq!(judge(&never, Level::Valid, &lenient, after(0)), Verdict::Validate(Cause::NoCache));
        assert!(!may_cover_error(&never, Level::Valid, &lenient, after(0)));
    }

    #[test]
    fn request_directives_narrow_or_widen_what_is_served() {
        let now = after(8_000);
        let ask = |request: RequestDirectives| judge(&LIFE, Level::Valid, &request, now);
        assert_eq!(ask(RequestDirectives { no_cache: true, ..plain() }), Verdict::Validate(Cause::NoCacheAsked));
        assert_eq!(ask(RequestDirectives { max_age: Some(8), ..plain() }), Verdict::Fresh);
        assert_eq!(ask(RequestDirectives { max_age: Some(7), ..plain() }), Verdict::Validate(Cause::MaxAgeAsked));
        assert_eq!(ask(RequestDirectives { min_fresh: Some(2), ..plain() }), Verdict::Fresh);
        assert_eq!(ask(RequestDirectives { min_fresh: Some(3), ..plain() }), Verdict::Validate(Cause::MinFreshAsked));
        let late = |request: RequestDirectives| judge(&LIFE, Level::Valid, &request, after(40_000));
        assert_eq!(late(RequestDirectives { max_stale: Some(MaxStale::Seconds(30)), ..plain() }), Verdict::Stale { refresh: false });
        assert_eq!(late(RequestDirectives { max_stale: Some(MaxStale::Seconds(29)), ..plain() }), Verdict::Validate(Cause::Stale));
        assert_eq!(late(RequestDirectives { max_stale: Some(MaxStale::Any), ..plain() }), Verdict::Stale { refresh: false });
    }

    #[test]
    fn an_error_is_covered_inside_the_window_only() {
        assert!(may_cover_error(&LIFE, Level::Valid, &plain(), after(29_999)));
        assert!(!may_cover_error(&LIFE, Level::Valid, &plain(), after(30_000)));
        assert!(may_cover_error(&LIFE, Level::Valid, &RequestDirectives { stale_if_error: Some(60), ..plain() }, after(30_000)));
        assert!(may_cover_error(&LIFE, Level::Stale, &plain(), after(0)));
        assert!(!may_cover_error(&LIFE, Level::Invalid, &plain(), after(0)));
    }
}
