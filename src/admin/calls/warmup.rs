//! `/api/cache/warmup`: the same groups and jobs, in the words of those who call them tasks.

use super::{begun, warms, when_done};
use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::desk::Desk;
use crate::admin::problem::Problem;
use crate::admin::shapes::{self, moment};
use crate::warm::{JobView, Trigger};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn status(desk: &Desk) -> Answer {
    let (report, settings) = (desk.rooms.warm.report(), desk.rooms.warm.settings());
    let tasks: Vec<Value> = report
        .groups
        .iter()
        .map(|group| {
            json!({
                "name": *group.name,
                "type": next_kind(desk, &group.name),
                "next_run": moment(&settings.time_zone, group.next_run),
                "schedule": group.schedule,
                "enabled": group.enabled,
            })
        })
        .collect();
    Answer::json(&json!({
        "success": true,
        "warmup": {
            "running": report.groups.iter().any(|group| group.running.is_some()),
            "registered_tasks": report.groups.iter().map(|group| &*group.name).collect::<Vec<_>>(),
            "last_metrics": last_job(desk).map_or(Value::Null, |job| shapes::metrics(&[job])),
        },
        "scheduler": { "running": runs(desk), "tasks": tasks },
    }))
}

/// Whether anything runs by its schedule.
pub(super) fn runs(desk: &Desk) -> bool {
    desk.rooms.warm.settings().enabled && desk.rooms.cache.settings().enabled && !desk.is_draining()
}

/// What the next run of a group comes from: `cron`, `interval`, `startup`, or `manual`.
pub(super) fn next_kind(desk: &Desk, name: &str) -> &'static str {
    let settings = desk.rooms.warm.settings();
    let Some(group) = settings.groups.iter().find(|group| *group.name == *name) else { return "manual" };
    let now = desk.rooms.cache.shared().clock.wall();
    let next = group.schedule.next_runs(now, &settings.time_zone, settings.refresh_interval, 1);
    match next.first().map(|(_, trigger)| *trigger).or_else(|| group.schedule.triggers().first()) {
        Some(Trigger::Cron(_)) => "cron",
        Some(Trigger::Every(_) | Trigger::Refresh) => "interval",
        Some(Trigger::Startup) => "startup",
        None => "manual",
    }
}

/// The job that ended last, since counts were reset.
fn last_job(desk: &Desk) -> Option<JobView> {
    let since = desk.baseline().at;
    let ended = desk.rooms.warm.jobs().into_iter().filter(|job| job.has_ended() && job.runs().next().is_some());
    ended
        .filter_map(|job| Some((shapes::ended_at(&job)?, job)))
        .filter(|(ended, _)| *ended >= since)
        .max_by_key(|(ended, job)| (*ended, job.id()))
        .map(|(_, job)| job)
}

pub(crate) async fn execute(desk: Arc<Desk>, asked: Asked) -> Result<Answer, Problem> {
    let groups = desk.groups();
    let known: Vec<&str> = groups.iter().map(|name| &**name).collect();
    let mut fields = asked.fields()?;
    let tasks = fields.names("tasks", "task", &known)?;
    let together = fields.bool("concurrent")?.unwrap_or(true);
    let later = fields.bool("async")?.unwrap_or(false);
    let place = fields.place_of("async");
    fields.finish()?;
    if later && !together {
        return Err(Problem::at(&place, "one after the other cannot be left to a job: leave out \"async\", or \"concurrent\": false"));
    }
    warms(&desk)?;
    let tasks: Option<Vec<&str>> = tasks.as_ref().map(|names| distinct(names));
    if together {
        let job = begun(desk.rooms.warm.run(tasks.as_deref(), false).await)?;
        return Ok(when_done(&desk, job, later, |_, job| with_metrics(std::slice::from_ref(job))).await);
    }
    let settings = desk.rooms.warm.settings();
    let enabled = || settings.groups.iter().filter(|group| group.enabled).map(|group| &*group.name).collect();
    let mut jobs = Vec::new();
    for task in tasks.unwrap_or_else(enabled) {
        let job = begun(desk.rooms.warm.run(Some(&[task]), false).await)?;
        job.ended().await;
        jobs.push(job);
    }
    Ok(Answer::json(&with_metrics(&jobs)))
}

fn distinct(names: &[String]) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    names.iter().map(String::as_str).filter(|name| seen.insert(*name)).collect()
}

/// What jobs came to.
pub(super) fn with_metrics(jobs: &[JobView]) -> Value {
    let last = jobs.last().map_or(Value::Null, shapes::job);
    json!({ "success": true, "message": "Warmup executed", "metrics": shapes::metrics(jobs), "job": last })
}
