//! The warm plan as a live sidecar sees it.

use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::desk::Desk;
use crate::admin::problem::Problem;
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;

/// Items of each group that are told where nobody says how many.
const USUAL: usize = 100;
/// Items of each group that are told at most.
pub(in crate::admin) const MOST: usize = 100_000;

/// `GET /api/warm/plan`: the plan of `group`, or of all, with the first `items` requests of each group, as `warmfront plan` shows it. It asks nobody.
pub(in crate::admin) async fn plan(desk: Arc<Desk>, asked: Asked) -> Result<Answer, Problem> {
    let items = asked.number("items", USUAL, 0, MOST)?;
    let group = asked.param("group").map(String::from);
    let warm = desk.rooms.warm.clone();
    // Some microseconds an item: not on the one thread that answers everybody.
    let surveyed = tokio::task::spawn_blocking(move || warm.survey(group.as_deref(), items)).await;
    let survey = surveyed
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the plan could not be looked at"))?
        .map_err(|unknown| Problem::unknown("?group", "unknown group", &unknown.name, unknown.known.iter().map(|name| &**name)))?;
    Ok(Answer::json(&json!({ "success": true, "data": survey.to_json() })))
}
