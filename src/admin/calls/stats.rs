//! `/api/cache/stats` and `/api/cache/reset-stats`.

use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::desk::Desk;
use crate::admin::problem::Problem;
use crate::admin::shapes::{self, end_of, millis};
use crate::layer::Stats;
use crate::warm::Report;
use serde_json::{Map, Value, json};

pub(crate) fn stats(desk: &Desk) -> Answer {
    Answer::json(&json!({ "success": true, "data": data(desk) }))
}

pub(crate) fn reset(desk: &Desk, asked: &Asked) -> Result<Answer, Problem> {
    asked.fields()?.finish()?;
    desk.reset();
    Ok(Answer::message("Cache warmer stats reset"))
}

/// The `data` of stats.
pub(super) fn data(desk: &Desk) -> Value {
    // This first: what the store has let go of goes only when it is asked, and with it the copies of groups.
    let (now, before) = (desk.rooms.cache.stats(), desk.baseline().stats);
    let report = desk.rooms.warm.report();
    let last = report.groups.iter().filter_map(|group| group.last.as_ref()).max_by_key(|last| end_of(last));
    let cached: Map<String, Value> = report.groups.iter().map(|group| (String::from(&*group.name), group.gain.live.into())).collect();
    json!({
        "totalWarms": report.groups.iter().map(|group| group.totals.runs).sum::<u64>(),
        "lastWarmTime": last.map(|last| end_of(last).millis()),
        "lastWarmDuration": last.map(|last| millis(last.duration)),
        "itemsCached": cached,
        "backgroundRefreshCount": background_refreshes(&report),
        "invalidationCount": now.invalidations.saturating_sub(before.invalidations),
        "cache": cache(&now, &before),
        "warmInFlight": report.in_flight,
        "upstreamInFlight": desk.rooms.sidecar.in_flight(),
        "upstreamMaxInFlight": desk.rooms.sidecar.max_in_flight(),
        "upstreams": desk.rooms.sidecar.origins().iter().map(shapes::origin).collect::<Vec<_>>(),
        "now": desk.rooms.cache.shared().clock.wall().millis(),
        "warming": report.enabled,
        "groups": report.groups.iter().map(shapes::group).collect::<Vec<_>>(),
        "refreshAhead": shapes::ahead(&report.ahead),
    })
}

/// Runs that the word `refresh` began, and hot copies that were refreshed before they expired.
fn background_refreshes(report: &Report) -> u64 {
    report.groups.iter().map(|group| group.totals.refreshes).sum::<u64>() + report.ahead.fates.items()
}

fn cache(now: &Stats, before: &Stats) -> Value {
    let since = |count: fn(&Stats) -> u64| count(now).saturating_sub(count(before));
    let (hits, stale, misses) = (since(|stats| stats.hits), since(|stats| stats.stale), since(|stats| stats.misses));
    let (revalidated, collapsed) = (since(|stats| stats.revalidated), since(|stats| stats.collapsed));
    let lookups = hits + stale + misses + revalidated + collapsed;
    let ratio = if lookups == 0 { 0.0 } else { (hits + stale) as f64 / lookups as f64 };
    json!({
        "hits": hits,
        "misses": misses,
        "stale": stale,
        "revalidated": revalidated,
        "collapsed": collapsed,
        "passed": since(|stats| stats.passed),
        "refused": since(|stats| stats.refused),
        "failed": since(|stats| stats.failed),
        "hitRatio": (ratio * 10_000.0).round() / 10_000.0,
        "entries": now.entries,
        "bytes": now.bytes,
        "maxBytes": now.max_bytes,
    })
}
