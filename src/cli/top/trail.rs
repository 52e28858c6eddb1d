//! What has been counted from look to look, over the last minute or two: rates, percentiles and the points of sparklines.

use super::latency::{Percentile, percentile};
use super::scrape::Scrape;
use crate::cache::Eviction;
use crate::clock::Stamp;
use crate::telemetry::{Outcome, Source};
use std::collections::VecDeque;
use std::time::Duration;

const REQUESTS: &str = "warmfront_requests_total";
const DURATIONS: &str = "warmfront_request_duration_seconds";
const UPSTREAM: &str = "warmfront_upstream_requests_total";
const REFUSED: &str = "warmfront_refused_total";
const EVICTIONS: &str = "warmfront_cache_evictions_total";
/// The most steps that are kept: a point of a sparkline each.
const STEPS: usize = 120;
/// Percentiles are those of the last steps that together take this long, and of one at least.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// What one look after the other has brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    last: Option<(Stamp, Scrape)>,
    steps: VecDeque<Step>,
    window: Scrape,
}

/// From one look to the next.
#[derive(Clone, Debug)]
struct Step {
    took: Duration,
    counted: Scrape,
}

impl Trail {
    /// Takes a look that was had at `now`.
    pub(super) fn take(&mut self, now: Stamp, scrape: Scrape) {
        if let Some((before, earlier)) = &self.last {
            let took = now.since(*before).max(Duration::from_millis(1));
            self.steps.push_back(Step { took, counted: scrape.since(earlier) });
            if self.steps.len() > STEPS {
                self.steps.pop_front();
            }
        }
        self.last = Some((now, scrape));
        self.window = self.recent();
    }

    /// What the last steps counted together.
    fn recent(&self) -> Scrape {
        let (mut sum, mut span) = (Scrape::default(), Duration::ZERO);
        for step in self.steps.iter().rev() {
            sum.add(&step.counted);
            span += step.took;
            if span >= WINDOW {
                break;
            }
        }
        sum
    }

    /// All that the server has counted since it started, and its gauges.
    pub(super) fn totals(&self) -> Option<&Scrape> {
        self.last.as_ref().map(|(_, scrape)| scrape)
    }

    /// Outcomes that there have been, in their own order; at most `most`: then those that came most often.
    pub(super) fn outcomes(&self, most: usize) -> Vec<Outcome> {
        let count = |outcome: &Outcome| self.totals().map_or(0.0, |all| of(all, *outcome));
        let mut seen: Vec<Outcome> = Outcome::ALL.into_iter().filter(|outcome| count(outcome) > 0.0).collect();
        if seen.len() > most {
            seen.sort_by(|a, b| count(b).total_cmp(&count(a)));
            seen.truncate(most);
            seen.sort_by_key(|outcome| Outcome::ALL.iter().position(|known| known == outcome));
        }
        seen
    }

    /// Requests with this outcome since the server started.
    pub(super) fn count(&self, outcome: Outcome) -> f64 {
        self.totals().map_or(0.0, |all| of(all, outcome))
    }

    /// The share of lookups that the cache answered: over the last step, and since the start.
    pub(super) fn hit_ratios(&self) -> [Option<f64>; 2] {
        [self.steps.back().and_then(|step| ratio(&step.counted)), self.totals().and_then(ratio)]
    }

    /// Requests per second; of all outcomes if none is named.
    pub(super) fn rate(&self, outcome: Option<Outcome>) -> Option<f64> {
        self.per_second(|counted| outcome.map_or_else(|| counted.total(REQUESTS), |outcome| of(counted, outcome)))
    }

    /// The rates of the last steps, the newest last; each is a thousandth of a request per second.
    pub(super) fn points(&self, outcome: Option<Outcome>) -> Vec<u64> {
        let rate = |step: &Step| {
            outcome.map_or_else(|| step.counted.total(REQUESTS), |outcome| of(&step.counted, outcome)) / step.took.as_secs_f64()
        };
        self.steps.iter().map(|step| (rate(step) * 1000.0) as u64).collect()
    }

    /// Attempts at the upstream per second.
    pub(super) fn upstream_rate(&self, source: Source) -> Option<f64> {
        self.per_second(|counted| counted.sum(UPSTREAM, "source", source.as_str()))
    }

    /// Refusals per second.
    pub(super) fn refusal_rate(&self) -> Option<f64> {
        self.per_second(|counted| counted.total(REFUSED))
    }

    /// Keys per second that lost what was stored under them because there was no room.
    pub(super) fn eviction_rate(&self) -> Option<f64> {
        self.per_second(|counted| counted.sum(EVICTIONS, "cause", Eviction::Size.as_str()))
    }

    /// How long readers waited in the last [`WINDOW`]: the percentile `share`.
    pub(super) fn latency(&self, outcome: Outcome, share: f64) -> Option<Percentile> {
        percentile(&self.window.buckets(DURATIONS, "outcome", outcome.as_str()), share)
    }

    fn per_second(&self, count: impl Fn(&Scrape) -> f64) -> Option<f64> {
        self.steps.back().map(|step| count(&step.counted) / step.took.as_secs_f64())
    }
}

fn of(scrape: &Scrape, outcome: Outcome) -> f64 {
    scrape.sum(REQUESTS, "outcome", outcome.as_str())
}

/// As `hitRatio` of `/api/cache/stats`.
fn ratio(scrape: &Scrape) -> Option<f64> {
    let hits = of(scrape, Outcome::Hit) + of(scrape, Outcome::Stale);
    let rest: f64 = [Outcome::Miss, Outcome::Revalidated, Outcome::Collapsed].into_iter().map(|outcome| of(scrape, outcome)).sum();
    (hits + rest > 0.0).then(|| hits / (hits + rest))
}

#[cfg(test)]
mod tests {
    use super::{STEPS, Trail};
    use crate::cli::top::latency::Percentile;
    use crate::cli::top::scrape::Scrape;
    use crate::clock::Stamp;
    use crate::telemetry::Outcome;

    fn look(start: u64, hits: u64, misses: u64) -> Scrape {
        let outcome = |name: &str, count: u64, le: &str| {
            format!(
                "warmfront_requests_total{{rule=\"none\",outcome=\"{name}\"}} {count}\nwarmfront_request_duration_seconds_bucket{{outcome=\"{name}\",le=\"{le}\"}} {count}\n"
            )
        };
        Scrape::parse(&format!("process_start_time_seconds {start}\n{}{}", outcome("hit", hits, "0.001"), outcome("miss", misses, "1")))
    }

    fn trail(looks: &[(u64, Scrape)]) -> Trail {
        let mut trail = Trail::default();
        looks.iter().for_each(|(at, scrape)| trail.take(Stamp::from_millis(*at), scrape.clone()));
        trail
    }

    #[test]
    fn rates_are_those_of_the_last_step_and_ratios_also_of_all() {
        let trail = trail(&[(0, look(1, 10, 10)), (2000, look(1, 16, 12))]);
        assert_eq!((trail.rate(None), trail.rate(Some(Outcome::Hit))), (Some(4.0), Some(3.0)));
        assert_eq!(trail.hit_ratios(), [Some(0.75), Some(16.0 / 28.0)]);
        assert_eq!((trail.points(None), trail.latency(Outcome::Hit, 1.0)), (vec![4000], Some(Percentile::At(0.001))));
    }

    #[test]
    fn one_look_tells_no_rate_and_a_restart_no_negative_one() {
        assert_eq!((trail(&[(0, look(1, 10, 10))]).rate(None), trail(&[]).hit_ratios()), (None, [None, None]));
        let restarted = trail(&[(0, look(1, 10, 10)), (1000, look(2, 1, 0))]);
        assert_eq!((restarted.rate(None), restarted.rate(Some(Outcome::Miss))), (Some(1.0), Some(0.0)));
        let same_moment = trail(&[(0, look(1, 0, 0)), (0, look(1, 1, 0))]);
        assert_eq!(same_moment.rate(None), Some(1000.0), "no division by nothing");
    }

    #[test]
    fn latencies_are_those_of_ten_seconds_and_points_of_two_minutes() {
        let mut trail = trail(&[(0, look(1, 0, 0)), (1000, look(1, 100, 0))]);
        for second in 2..=300 {
            trail.take(Stamp::from_millis(second * 1000), look(1, 100, second));
        }
        assert_eq!((trail.latency(Outcome::Hit, 0.5), trail.points(None).len()), (None, STEPS));
        assert!(trail.latency(Outcome::Miss, 0.5).is_some());
    }

    #[test]
    fn the_outcomes_that_come_most_are_shown_in_their_own_order() {
        let trail = trail(&[(0, look(1, 1, 5))]);
        assert_eq!(trail.outcomes(9), [Outcome::Hit, Outcome::Miss]);
        assert_eq!((trail.outcomes(1), trail.count(Outcome::Miss)), (vec![Outcome::Miss], 5.0));
    }
}
