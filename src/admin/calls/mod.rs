//! What the calls do. Each asks the handles that readers and schedules use; none keeps a copy of anything.

pub(super) mod config;
pub(super) mod health;
pub(super) mod invalidate;
pub(super) mod jobs;
pub(super) mod keys;
pub(super) mod logs;
pub(super) mod plan;
pub(super) mod scheduler;
pub(super) mod stats;
pub(super) mod warm;
pub(super) mod warmup;

use crate::admin::answer::Answer;
use crate::admin::desk::Desk;
use crate::admin::problem::Problem;
use crate::admin::shapes;
use crate::warm::{JobView, UnknownGroup};
use http::StatusCode;
use serde_json::{Value, json};

/// Whether anything can be warmed now.
fn warms(desk: &Desk) -> Result<(), Problem> {
    let switch = |what: &str| {
        let words = format!("{what} is switched off; PUT /api/cache/config {{\"enabled\":true}} switches it on");
        Err(Problem::new(StatusCode::CONFLICT, words))
    };
    if !desk.rooms.cache.settings().enabled {
        switch("the cache")
    } else if !desk.rooms.warm.settings().enabled {
        switch("warming")
    } else {
        Ok(())
    }
}

/// The job that was begun.
fn begun(job: Result<Option<JobView>, UnknownGroup>) -> Result<JobView, Problem> {
    match job {
        Ok(Some(job)) => Ok(job),
        Ok(None) => Err(ended()),
        Err(unknown) => Err(Problem::unknown("", "unknown group", &unknown.name, unknown.known.iter().map(|name| &**name))),
    }
}

/// The warmer has gone.
fn ended() -> Problem {
    Problem::unavailable("warming has ended: the house is closing")
}

/// 202 at once, or 200 when the job has ended, with what `body` says of it then.
async fn when_done(desk: &Desk, job: JobView, later: bool, body: impl FnOnce(&Desk, &JobView) -> Value) -> Answer {
    if later {
        let words = format!("Job {} has begun", job.id());
        return Answer::accepted(&json!({ "success": true, "message": words, "job": shapes::job(&job) }), job.id());
    }
    job.ended().await;
    Answer::json(&body(desk, &job))
}
