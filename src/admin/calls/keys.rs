//! What is stored, page by page.

use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::desk::Desk;
use crate::admin::keys;
use crate::admin::problem::Problem;
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;

/// `GET /api/cache/keys`: a page of what is stored, by `sort`, from `cursor` on.
pub(in crate::admin) async fn keys(desk: Arc<Desk>, asked: Asked) -> Result<Answer, Problem> {
    // A walk through the store: not on the one thread that answers everybody.
    let page = tokio::task::spawn_blocking(move || keys::keys(&desk.rooms, &asked.query)).await;
    let page = page
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the store could not be walked through"))?
        .map_err(|bad| Problem::at(&format!("?{}", bad.name), &bad.fault))?;
    Ok(Answer::json(&json!({ "success": true, "data": page })))
}
