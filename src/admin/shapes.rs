//! How runs and jobs are written as JSON: once, for all calls.

use crate::cache::Gain;
use crate::clock::Stamp;
use crate::sidecar::OriginState;
use crate::warm::{AheadReport, Fates, GroupReport, JobView, Outcome, Progress, RunReport, RunView, Zone};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-03-01T03:00:00+00:00`, or null.
pub(super) fn moment(zone: &Zone, stamp: Option<Stamp>) -> Value {
    stamp.map_or(Value::Null, |stamp| zone.rfc3339(stamp).into())
}

/// Items by what became of them.
fn fates(fates: &Fates) -> Value {
    fates.by_fate().map(|(name, count)| (name.to_owned(), Value::from(count))).collect::<Map<_, _>>().into()
}

/// How a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Done,
    Cancelled,
}

impl State {
    /// Of a job.
    pub(super) fn of(job: &JobView) -> Self {
        if !job.has_ended() {
            Self::Running
        } else if job.runs().any(|run| !run.joined && run.report().is_some_and(|report| report.cancelled)) {
            Self::Cancelled
        } else {
            Self::Done
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// When the last of its runs ended; none while one goes on.
pub(super) fn ended_at(job: &JobView) -> Option<Stamp> {
    let ends = job.runs().map(|run| run.report().map(|report| end_of(&report)));
    ends.collect::<Option<Vec<_>>>().map(|ends| ends.into_iter().max().unwrap_or_else(|| job.started()).max(job.started()))
}

/// When a run ended (wall clock).
pub(super) fn end_of(report: &RunReport) -> Stamp {
    report.started.plus_millis(millis(report.duration))
}

/// A job with its runs, without its items.
pub(super) fn job(job: &JobView) -> Value {
    let all = job.fates();
    let ended = ended_at(job).filter(|_| job.has_ended());
    let (done, planned) =
        job.runs().map(|run| run.progress()).fold((0, 0), |(done, planned), run| (done + run.done, planned + run.planned));
    let eta = job.runs().filter(|run| run.report().is_none()).filter_map(|run| run.progress().eta).max();
    json!({
        "id": job.id(),
        "state": State::of(job).as_str(),
        "cause": job.cause().to_string(),
        "startedAt": job.started().millis(),
        "endedAt": ended.map(Stamp::millis),
        "durationMs": ended.map(|ended| millis(ended.since(job.started()))),
        "done": done,
        "planned": planned,
        "etaMs": eta.map(millis),
        "fates": fates(&all),
        "failed": all.failed(),
        "bytes": all.bytes,
        "originMs": all.origin_millis,
        "successRate": percent(all.success_rate()),
        "groups": job.runs().map(|view| run(&view)).collect::<Vec<_>>(),
    })
}

fn run(run: &RunView) -> Value {
    let (progress, report) = (run.progress(), run.report());
    let state = match &report {
        None => "running",
        Some(report) if report.cancelled => "cancelled",
        Some(_) => "done",
    };
    json!({
        "name": **run.group(),
        "state": state,
        "joined": run.joined,
        "startedAt": progress.started.millis(),
        "durationMs": report.as_ref().map(|report| millis(report.duration)),
        "done": progress.done,
        "planned": progress.planned,
        "etaMs": progress.eta.filter(|_| report.is_none()).map(millis),
        "fates": fates(&progress.fates),
        "failed": progress.fates.failed(),
        "slowed": report.as_ref().map(|report| report.slowed),
        "reasons": report.as_ref().map(|report| &report.reasons),
        "problems": report.as_ref().map(|report| &report.problems),
    })
}

/// How far a run that goes on has come.
pub(super) fn progress(progress: &Progress) -> Value {
    json!({ "done": progress.done, "planned": progress.planned, "failed": progress.fates.failed(), "etaMs": progress.eta.map(millis) })
}

/// One origin of the upstream.
pub(super) fn origin(state: &OriginState) -> Value {
    json!({
        "origin": state.origin.as_ref(),
        "up": state.up,
        "inFlight": state.in_flight,
        "failures": state.failures,
        "ejections": state.ejections,
        "breaker": state.breaker.as_str(),
    })
}

/// What warmed copies have been worth to readers.
pub(super) fn gain(gain: &Gain) -> Value {
    json!({ "live": gain.live, "useful": gain.useful, "wasted": gain.wasted, "savedOriginMs": gain.saved_millis })
}

/// One item of a job.
pub(super) fn outcome(group: &str, outcome: &Outcome) -> Value {
    json!({
        "group": group,
        "target": *outcome.target,
        "variant": *outcome.variant,
        "fate": outcome.fate.as_str(),
        "reason": outcome.fate.reason(),
        "ms": outcome.millis,
        "bytes": outcome.bytes,
    })
}

/// A job in the words of `/api/cache/warmup`: a task is a group.
pub(super) fn metrics(jobs: &[JobView]) -> Value {
    let mut sum = Fates::default();
    jobs.iter().for_each(|job| sum.merge(&job.fates()));
    let reports: Vec<Option<RunReport>> = jobs.iter().flat_map(|job| job.runs().map(|run| run.report()).collect::<Vec<_>>()).collect();
    let well = |report: &&RunReport| report.fates.failed() == 0 && report.problems.is_empty() && !report.cancelled;
    let completed = reports.iter().flatten().filter(well).count();
    let took: f64 = jobs.iter().map(|job| ended_at(job).map_or(0.0, |ended| ended.since(job.started()).as_secs_f64())).sum();
    json!({
        "duration_seconds": took,
        "total_tasks": reports.len(),
        "completed_tasks": completed,
        "failed_tasks": reports.iter().flatten().count() - completed,
        "cached_items": sum.warm(),
        "success_rate": percent(sum.success_rate()),
    })
}

/// How the last run of a group went, or null.
pub(super) fn last_result(group: &GroupReport) -> Value {
    group.last.as_ref().map_or(Value::Null, |last| {
        json!({
            "cause": last.cause.to_string(),
            "durationMs": millis(last.duration),
            "items": last.fates.items(),
            "warm": last.fates.warm(),
            "failed": last.fates.failed(),
            "fates": fates(&last.fates),
            "reasons": last.reasons,
            "problems": last.problems,
            "cancelled": last.cancelled,
            "success": last.fates.failed() == 0 && last.problems.is_empty() && !last.cancelled,
        })
    })
}

/// A group: what it does now, how its last run went, when the next comes, and what its copies have been worth.
pub(super) fn group(group: &GroupReport) -> Value {
    let running = |progress: Progress| json!({ "done": progress.done, "planned": progress.planned, "etaMs": progress.eta.map(millis) });
    json!({
        "name": *group.name,
        "priority": group.priority,
        "enabled": group.enabled,
        "running": group.running.map(running),
        "lastRunAt": group.last.as_ref().map(|last| end_of(last).millis()),
        "lastResult": last_result(group),
        "nextRunAt": group.next_run.map(Stamp::millis),
        "runs": group.totals.runs,
        "failedRuns": group.totals.failed_runs,
        "worth": worth(&group.gain),
    })
}

/// Refresh-ahead: how many wait for it, what became of those that were due, and what that has been worth.
pub(super) fn ahead(ahead: &AheadReport) -> Value {
    json!({ "waiting": ahead.waiting, "fates": fates(&ahead.fates), "worth": worth(&ahead.gain) })
}

fn worth(gain: &Gain) -> Value {
    json!({ "live": gain.live, "useful": gain.useful, "wasted": gain.wasted, "savedMs": gain.saved_millis })
}

/// With two decimals.
fn percent(share: f64) -> f64 {
    (share * 100.0).round() / 100.0
}
