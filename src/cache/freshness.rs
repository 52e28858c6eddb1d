//! How old a response is and how long it stays fresh (RFC 9111 section 4.2). Pure arithmetic in milliseconds; every sum saturates.

use crate::cache::rules::Rule;
use crate::cache::settings::Settings;
use crate::clock::Stamp;
use crate::rfc::directives::ResponseDirectives;
use crate::rfc::{age, date};
use http::header::{DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use std::time::Duration;

/// The longest lifetime that heuristics give, in seconds: a day (RFC 9111 section 4.2.2 leaves it open).
const HEURISTIC_CAP: u64 = 24 * 3600;

/// The life of a stored response, worked out once when it is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When the response was received (`response_time`).
    pub received: Stamp,
    /// How old it was then (`corrected_initial_age`), in milliseconds.
    pub initial_age: u64,
    /// How long it is fresh (`freshness_lifetime`), in milliseconds of age.
    pub lifetime: u64,
    /// Where the lifetime comes from.
    pub source: LifetimeSource,
    /// How long beyond its lifetime it may be served while it is refreshed, in milliseconds. 0 = not.
    pub stale_while_revalidate: u64,
    /// How long beyond its lifetime it may stand in for an error, in milliseconds. 0 = not.
    pub stale_if_error: u64,
    /// Not served stale at a client's wish: `must-revalidate`, `proxy-revalidate` or `s-maxage` (RFC 9111 sections 5.2.2.2, .8 and .10). The two
    /// windows above are zero then, unless the origin set them beside `s-maxage`.
    pub must_revalidate: bool,
    /// Validated before every use: `no-cache` (RFC 9111 section 5.2.2.4).
    pub no_cache: bool,
}

/// Which statement gave a response its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeSource {
    /// `s-maxage`, `max-age` or `Expires` of the origin, or their targeted forms (RFC 9213).
    Origin,
    /// The `ttl` of a rule.
    Rule,
    /// A tenth of the time since Last-Modified (RFC 9111 section 4.2.2).
    Heuristic,
    /// `cache.default_ttl`.
    Default,
}

impl LifetimeSource {
    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Rule => "rule",
            Self::Heuristic => "heuristic",
            Self::Default => "default",
        }
    }

    /// What gives it the right to.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Origin => "s-maxage, max-age or Expires, RFC 9111 section 4.2.1",
            Self::Rule => "ttl of the rule",
            Self::Heuristic => "a tenth of the time since Last-Modified, RFC 9111 section 4.2.2",
            Self::Default => "cache.default_ttl",
        }
    }
}

/// When a response was asked for and received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) requested: Stamp,
    pub(crate) received: Stamp,
}

/// What a life is worked out from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reception<'a> {
    pub(crate) timing: Timing,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) directives: &'a ResponseDirectives,
    /// The directives are those of a targeted field, which replaces `Expires` too (RFC 9213 section 2.2).
    pub(crate) targeted: bool,
    pub(crate) rule: Option<&'a Rule>,
}

impl Life {
    /// The current age in milliseconds (RFC 9111 section 4.2.3).
    #[must_use]
    pub fn age(&self, now: Stamp) -> u64 {
        self.initial_age.saturating_add(now.millis().saturating_sub(self.received.millis()))
    }

    /// What is left of the lifetime in milliseconds; negative once stale.
    #[must_use]
    pub fn left(&self, now: Stamp) -> i64 {
        signed(self.lifetime).saturating_sub(signed(self.age(now)))
    }

    pub(crate) fn of(reception: &Reception<'_>, settings: &Settings) -> Self {
        let (lifetime, source) = lifetime(reception, settings);
        let directives = reception.directives;
        let rule = reception.rule;
        let overriding = rule.filter(|rule| rule.override_origin);
        let hard = directives.must_revalidate || directives.proxy_revalidate;
        let shared = directives.s_maxage.is_some();
        // A window of the settings, or of a rule that does not override, only prolongs a lifetime that there is.
        // `s-maxage` forbids stale use (RFC 9111 section 4.2.4), unless the origin itself opens a window beside it, as `s-maxage=60,
        // stale-while-revalidate=600` does; a default or a plain rule does not.
        let window = |of_rule: fn(&Rule) -> Option<Duration>, of_origin: Option<u64>, default: Duration| {
            let of_override = overriding.and_then(of_rule).map(millis);
            let of_origin = of_origin.map(|seconds| seconds.saturating_mul(1000));
            match of_override.or(of_origin) {
                _ if hard => 0,
                Some(window) => window,
                // Nobody vouches for the response: neither origin nor rule nor estimate gave it a lifetime, so it is validated before any use.
                None if shared || lifetime == 0 => 0,
                None => rule.and_then(of_rule).map_or_else(|| millis(default), millis),
            }
        };
        Self {
            received: reception.timing.received,
            initial_age: initial_age(reception),
            lifetime,
            source,
            stale_while_revalidate: window(
                |rule| rule.stale_while_revalidate,
                directives.stale_while_revalidate,
                settings.stale_while_revalidate,
            ),
            stale_if_error: window(|rule| rule.stale_if_error, directives.stale_if_error, settings.stale_if_error),
            must_revalidate: hard || shared,
            no_cache: directives.no_cache == crate::rfc::directives::FieldScope::Everything
                && !rule.is_some_and(|rule| rule.ignore.no_cache),
        }
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 9111 section 4.2.3, down to `corrected_initial_age`.
fn initial_age(reception: &Reception<'_>) -> u64 {
    let Timing { requested, received } = reception.timing;
    let date = date_of(reception.headers).unwrap_or(received.seconds());
    let apparent_age = received.seconds().saturating_sub(date).saturating_mul(1000);
    let response_delay = received.millis().saturating_sub(requested.millis());
    let corrected_age = age::parse(reception.headers).saturating_mul(1000).saturating_add(response_delay);
    apparent_age.max(corrected_age)
}

fn lifetime(reception: &Reception<'_>, settings: &Settings) -> (u64, LifetimeSource) {
    let of_rule = reception.rule.and_then(|rule| rule.ttl).filter(|_| rules_may_time(reception.status)).map(millis);
    if let Some(ttl) = of_rule.filter(|_| reception.rule.is_some_and(|rule| rule.override_origin)) {
        return (ttl, LifetimeSource::Rule);
    }
    if let Some(seconds) = origin_lifetime(reception) {
        return (seconds.saturating_mul(1000), LifetimeSource::Origin);
    }
    if let Some(ttl) = of_rule {
        return (ttl, LifetimeSource::Rule);
    }
    if let Some(seconds) = heuristic_lifetime(reception).filter(|_| settings.heuristic) {
        return (seconds.saturating_mul(1000), LifetimeSource::Heuristic);
    }
    let default = if rules_may_time(reception.status) { millis(settings.default_ttl) } else { 0 };
    (default, LifetimeSource::Default)
}

/// The explicit lifetime in seconds (RFC 9111 section 4.2.1). An `Expires` that is no date means: expired already (section 5.3).
pub(crate) fn origin_lifetime(reception: &Reception<'_>) -> Option<u64> {
    let directives = reception.directives;
    directives.s_maxage.or(directives.max_age).or_else(|| {
        let expires = expires_of(reception.headers).filter(|_| !reception.targeted)?;
        let date = date_of(reception.headers).unwrap_or(reception.timing.received.seconds());
        Some(expires.unwrap_or(0).saturating_sub(date))
    })
}

/// `Some(None)`: there is an `Expires`, and it is invalid. Several lines count as invalid unless they agree.
fn expires_of(headers: &HeaderMap) -> Option<Option<u64>> {
    let mut values = headers.get_all(EXPIRES).iter();
    let first = values.next()?;
    if values.any(|other| other != first) {
        return Some(None);
    }
    Some(date::parse(first.as_bytes()))
}

/// RFC 9111 section 4.2.2: only without an explicit lifetime, for statuses that allow it or responses marked `public`.
fn heuristic_lifetime(reception: &Reception<'_>) -> Option<u64> {
    if !is_heuristically_cacheable(reception.status) && !reception.directives.public {
        return None;
    }
    let modified = date::parse(reception.headers.get(LAST_MODIFIED)?.as_bytes())?;
    let date = date_of(reception.headers).unwrap_or(reception.timing.received.seconds());
    Some((date.saturating_sub(modified) / 10).min(HEURISTIC_CAP))
}

/// The `Date` of a response in seconds, if it has a valid one.
pub(crate) fn date_of(headers: &HeaderMap) -> Option<u64> {
    date::parse(headers.get(DATE)?.as_bytes())
}

/// RFC 9110 section 15.1. The errors that a client can provoke with an odd request (412, 413, 416, 417, 431 ...) are not among them.
pub(crate) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Which statuses get the `ttl` of a rule or the default: an error is only kept if the origin says so.
fn rules_may_time(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308)
}

#[cfg(test)]
mod tests {
    use super::{Life, LifetimeSource, Reception, Timing};
    use crate::cache::rules::Rule;
    use crate::cache::settings::Settings;
    use crate::clock::Stamp;
    use crate::rfc::date;
    use crate::rfc::directives::ResponseDirectives;
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
    use std::time::Duration;

    const NOW: u64 = 1_700_000_000;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn at(seconds: i64) -> String {
        let moment = NOW.checked_add_signed(seconds).unwrap();
        date::format(moment).to_str().unwrap().to_owned()
    }

    fn life_of(status: u16, lines: &[(&'static str, &str)], rule: Option<&Rule>, settings: &Settings) -> Life {
        let headers = headers(lines);
        let directives = ResponseDirectives::from_cache_control(&headers);
        let timing = Timing { requested: Stamp::from_millis(NOW * 1000 - 500), received: Stamp::from_millis(NOW * 1000) };
        let status = StatusCode::from_u16(status).unwrap();
        Life::of(&Reception { timing, status, headers: &headers, directives: &directives, targeted: false, rule }, settings)
    }

    fn seconds(lines: &[(&'static str, &str)]) -> (u64, LifetimeSource) {
        let life = life_of(200, lines, None, &Settings::default());
        (life.lifetime / 1000, life.source)
    }

    #[test]
    fn s_maxage_beats_max_age_beats_expires_beats_heuristics() {
        let (expires, modified, date) = (at(30), at(-1000), at(0));
        let all = [("date", &*date), ("expires", &*expires), ("last-modified", &*modified)];
        assert_eq!(seconds(&[&all[..], &[("cache-control", "max-age=20, s-maxage=10")]].concat()), (10, LifetimeSource::Origin));
        assert_eq!(seconds(&[&all[..], &[("cache-control", "max-age=20")]].concat()), (20, LifetimeSource::Origin));
        assert_eq!(seconds(&all), (30, LifetimeSource::Origin));
        assert_eq!(seconds(&[all[0], all[2]]), (100, LifetimeSource::Heuristic));
        assert_eq!(seconds(&[]), (0, LifetimeSource::Default));
    }

    #[test]
    fn an_expires_that_is_no_date_or_lies_before_date_means_expired() {
        let (date, past) = (at(0), at(-5));
        assert_eq!(seconds(&[("date", &date), ("expires", "0")]), (0, LifetimeSource::Origin));
        assert_eq!(seconds(&[("date", &date), ("expires", &past)]), (0, LifetimeSource::Origin));
        let (one, two) = (at(5), at(50));
        assert_eq!(seconds(&[("date", &date), ("expires", &one), ("expires", &two)]), (0, LifetimeSource::Origin));
    }

    #[test]
    fn heuristics_stop_at_a_day_and_leave_other_statuses_alone() {
        let old = at(-1_000_000_000);
        assert_eq!(seconds(&[("last-modified", &old)]), (86_400, LifetimeSource::Heuristic));
        let life = life_of(403, &[("last-modified", &old)], None, &Settings::default());
        assert_eq!((life.lifetime, life.source), (0, LifetimeSource::Default));
        let public = life_of(599, &[("last-modified", &old), ("cache-control", "public")], None, &Settings::default());
        assert_eq!(public.source, LifetimeSource::Heuristic);
    }

    #[test]
    fn age_is_the_larger_of_what_the_date_and_what_the_age_field_say() {
        let (old, now) = (at(-60), at(0));
        let life = |lines: &[(&'static str, &str)]| life_of(200, lines, None, &Settings::default()).initial_age;
        assert_eq!(life(&[("date", &old), ("age", "10")]), 60_000);
        assert_eq!(life(&[("date", &now), ("age", "10")]), 10_500, "the response delay counts");
        assert_eq!(life(&[]), 500);
        let future = at(1000);
        assert_eq!(life(&[("date", &future)]), 500, "a date in the future makes nothing younger");
    }

    #[test]
    fn a_rule_fills_in_where_the_origin_is_silent_and_wins_only_if_it_overrides() {
        let rule = Rule::path("/**").unwrap().ttl(Duration::from_secs(300)).stale_if_error(Duration::from_secs(7));
        let of = |rule: &Rule, lines: &[(&'static str, &str)]| life_of(200, lines, Some(rule), &Settings::default());
        assert_eq!(of(&rule, &[]).lifetime, 300_000);
        assert_eq!(of(&rule, &[("cache-control", "max-age=1, stale-if-error=2")]).lifetime, 1000);
        assert_eq!(of(&rule, &[("cache-control", "max-age=1, stale-if-error=2")]).stale_if_error, 2000);
        let rule = rule.override_origin();
        let life = of(&rule, &[("cache-control", "max-age=1, stale-if-error=2")]);
        assert_eq!((life.lifetime, life.stale_if_error, life.source), (300_000, 7000, LifetimeSource::Rule));
    }

    #[test]
    fn a_rule_never_gives_a_lifetime_to_an_error() {
        let rule = Rule::path("/**").unwrap().ttl(Duration::from_secs(300)).override_origin();
        for status in [302, 400, 404, 412, 431, 500, 503] {
            assert_eq!(life_of(status, &[], Some(&rule), &Settings::default()).lifetime, 0, "{status}");
        }
    }

    #[test]
    fn s_maxage_closes_the_stale_windows_that_the_origin_did_not_open_itself() {
        let settings = Settings { stale_while_revalidate: Duration::from_secs(9), ..Settings::default() };
        let swr = |cache_control: &str| life_of(200, &[("cache-control", cache_control)], None, &settings).stale_while_revalidate;
        assert_eq!((swr("max-age=1"), swr("s-maxage=1"), swr("s-maxage=1, stale-while-revalidate=3")), (9000, 0, 3000));
        assert_eq!(swr("max-age=1, must-revalidate, stale-while-revalidate=3"), 0);
    }

    #[test]
    fn what_has_no_lifetime_gets_no_stale_window_by_default() {
        let window = Duration::from_secs(9);
        let settings = Settings { stale_while_revalidate: window, stale_if_error: window, ..Settings::default() };
        let rule = Rule::path("/**").unwrap().stale_while_revalidate(window).stale_if_error(window);
        for lines in [&[][..], &[("cache-control", "max-age=0")], &[("etag", "\"a\"")]] {
            for rule in [None, Some(&rule)] {
                let life = life_of(200, lines, rule, &settings);
                assert_eq!((life.stale_while_revalidate, life.stale_if_error), (0, 0), "{lines:?}");
            }
        }
        let asked = life_of(200, &[("cache-control", "max-age=0, stale-while-revalidate=3")], None, &settings);
        assert_eq!((asked.stale_while_revalidate, asked.stale_if_error), (3000, 0), "the origin itself opens the one");
    }

    #[test]
    fn huge_numbers_saturate() {
        let life = life_of(
            200,
            &[("cache-control", "max-age=99999999999999999999999"), ("age", "99999999999999999999")],
            None,
            &Settings::default(),
        );
        let end = Stamp::from_millis(u64::MAX);
        assert!(life.age(end) >= life.initial_age && life.left(end) < 0);
    }
}
