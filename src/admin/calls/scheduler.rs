//! `/api/scheduler`: the same groups and jobs, in the words of those who think of schedules.

use super::{begun, warms, warmup, when_done};
use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::desk::Desk;
use crate::admin::problem::Problem;
use crate::admin::shapes::{self, end_of, moment};
use crate::cache::Level;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn status(desk: &Desk) -> Answer {
    let (report, settings) = (desk.rooms.warm.report(), desk.rooms.warm.settings());
    let (zone, now) = (&settings.time_zone, desk.rooms.cache.shared().clock.wall());
    let jobs: Vec<Value> = report
        .groups
        .iter()
        .map(|group| {
            json!({
                "id": *group.name,
                "name": *group.name,
                "type": warmup::next_kind(desk, &group.name),
                "schedule": group.schedule,
                "enabled": group.enabled,
                "priority": group.priority,
                "running": group.running.is_some(),
                "progress": group.running.as_ref().map(shapes::progress),
                "next_run": moment(zone, group.next_run),
                "next_run_in_ms": group.next_run.map(|next| shapes::millis(next.since(now))),
                "last_run": moment(zone, group.last.as_ref().map(end_of)),
                "last_result": shapes::last_result(group),
                "total_runs": group.totals.runs,
                "failed_runs": group.totals.failed_runs,
                "copies": shapes::gain(&group.gain),
            })
        })
        .collect();
    Answer::json(&json!({ "success": true, "running": warmup::runs(desk), "jobs": jobs }))
}

pub(crate) async fn warmup(desk: Arc<Desk>, asked: Asked) -> Result<Answer, Problem> {
    let mut fields = asked.fields()?;
    let place = fields.place_of("type");
    let kind = fields.text("type")?.filter(|kind| kind != "all");
    let later = fields.bool("async")?.unwrap_or(false);
    fields.finish()?;
    if let Some(kind) = &kind {
        let groups = desk.groups();
        if !groups.iter().any(|known| **known == **kind) {
            return Err(Problem::unknown(&place, "unknown group", kind, groups.iter().map(|name| &**name).chain(["all"])));
        }
    }
    warms(&desk)?;
    run(&desk, kind.as_deref(), false, later).await
}

/// Unlike `invalidate-and-warm` this does leave a hole: "clear" means that nothing old is served from now on.
pub(crate) async fn clear_and_warmup(desk: Arc<Desk>, asked: Asked) -> Result<Answer, Problem> {
    let mut fields = asked.fields()?;
    let later = fields.bool("async")?.unwrap_or(false);
    fields.finish()?;
    warms(&desk)?;
    desk.rooms.cache.invalidate_all(Level::Dead);
    // What is fetched from here on: a run that is going on has lost what it brought.
    run(&desk, None, true, later).await
}

async fn run(desk: &Desk, group: Option<&str>, force: bool, later: bool) -> Result<Answer, Problem> {
    let names = group.map(|name| [name]);
    let job = begun(desk.rooms.warm.run(names.as_ref().map(<[_; 1]>::as_slice), force).await)?;
    Ok(when_done(desk, job, later, |_, job| warmup::with_metrics(std::slice::from_ref(job))).await)
}
