//! `/api/warm/jobs`.

use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::desk::Desk;
use crate::admin::problem::Problem;
use crate::admin::shapes;
use crate::warm::JobView;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The largest page.
pub(crate) const MOST: usize = 1000;
/// The farthest page.
pub(crate) const FARTHEST: usize = 1_000_000;
/// How long the answer to a cancellation waits for the end.
const CANCEL: Duration = Duration::from_millis(250);
/// A page where nobody says how large.
const USUAL: usize = 100;

pub(crate) fn list(desk: &Desk, asked: &Asked) -> Result<Answer, Problem> {
    let (offset, limit) = page(asked)?;
    let all = desk.rooms.warm.jobs();
    let jobs: Vec<Value> = all.iter().skip(offset).take(limit).map(shapes::job).collect();
    let next = next(offset, jobs.len(), all.len());
    Ok(Answer::json(&json!({ "success": true, "jobs": jobs, "total": all.len(), "offset": offset, "limit": limit, "nextOffset": next })))
}

pub(crate) fn one(desk: &Desk, asked: &Asked) -> Result<Answer, Problem> {
    let (offset, limit) = page(asked)?;
    let job = find(desk, asked)?;
    let group = asked.param("group");
    if let Some(group) = group.filter(|group| !job.runs().any(|run| **run.group() == **group)) {
        let names: Vec<_> = job.runs().map(|run| run.group().clone()).collect();
        let problem = Problem::unknown("?group", "no group of this job", group, names.iter().map(|name| &**name));
        // A group that there is may be none of this job; one that there is not is none of any.
        let is_group = desk.groups().iter().any(|name| **name == *group);
        return Err(if is_group { problem.absent() } else { problem });
    }
    let (outcomes, total) = outcomes(&job, group, offset, limit);
    let next = next(offset, outcomes.len(), total);
    Ok(Answer::json(&json!({
        "success": true,
        "job": shapes::job(&job),
        "outcomes": outcomes,
        "total": total,
        "offset": offset,
        "limit": limit,
        "nextOffset": next,
    })))
}

pub(crate) async fn cancel(desk: Arc<Desk>, asked: Asked) -> Result<Answer, Problem> {
    asked.fields()?.finish()?;
    let job = find(&desk, &asked)?;
    let id = job.id();
    let words = if job.has_ended() {
        format!("Job {id} had ended already")
    } else if job.runs().all(|run| run.joined) {
        let words = format!("job {id} began no run of its own: cancel the jobs whose runs it joined");
        return Err(Problem::new(StatusCode::CONFLICT, words));
    } else {
        desk.rooms.warm.cancel(id);
        // It ends at once, unless it waits for its turn: then it will when that comes.
        let _ = tokio::time::timeout(CANCEL, job.ended()).await;
        format!("Job {id} cancelled")
    };
    Ok(Answer::json(&json!({ "success": true, "message": words, "job": shapes::job(&job) })))
}

/// A page of the items of all runs, one run after the other, or of the run of `group`, and how many items are kept.
fn outcomes(job: &JobView, group: Option<&str>, offset: usize, limit: usize) -> (Vec<Value>, usize) {
    let (mut page, mut before) = (Vec::new(), 0);
    for run in job.runs().filter(|run| group.is_none_or(|group| **run.group() == *group)) {
        let (outcomes, kept) = run.outcomes(offset.saturating_sub(before), limit - page.len());
        page.extend(outcomes.iter().map(|outcome| shapes::outcome(run.group(), outcome)));
        before += kept;
    }
    (page, before)
}

fn find(desk: &Desk, asked: &Asked) -> Result<JobView, Problem> {
    let id = asked.part.as_deref().unwrap_or_default();
    let jobs = desk.rooms.warm.jobs();
    let found = jobs.into_iter().find(|job| job.id().to_string() == id);
    found.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("there is no job {}; GET /api/warm/jobs has them", crate::suggest::quote(id)))
    })
}

fn page(asked: &Asked) -> Result<(usize, usize), Problem> {
    Ok((asked.number("offset", 0, 0, FARTHEST)?, asked.number("limit", USUAL, 1, MOST)?))
}

/// Where the next page begins, if there is one.
fn next(offset: usize, length: usize, total: usize) -> Option<usize> {
    Some(offset.saturating_add(length)).filter(|next| *next < total && length > 0)
}
