//! Events as they come.

use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::desk::Desk;
use crate::admin::problem::Problem;
use crate::admin::stream::{Events, message};
use crate::telemetry::log::MOST_SUBSCRIBERS;

/// `GET /api/logs/stream`: with `recent` the last events first; without `follow` it ends behind them.
pub(in crate::admin) fn stream(desk: &Desk, asked: &Asked) -> Result<Answer, Problem> {
    let (recent, follow) = (asked.flag("recent", false)?, asked.flag("follow", true)?);
    let logs = &desk.rooms.logs;
    if !follow {
        let lines = if recent { logs.recent() } else { bytes::Bytes::new() };
        return Ok(Answer::events(if lines.is_empty() { lines } else { message("events", &lines) }));
    }
    let too_many = |_| Problem::unavailable(format!("{MOST_SUBSCRIBERS} listen already, which is the most; try again when one has left"));
    Ok(Answer::stream(Events::new(logs.subscribe(recent).map_err(too_many)?)))
}
