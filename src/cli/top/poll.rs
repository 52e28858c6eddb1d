//! One look at a sidecar through its admin API.

use super::rows::{self, Group, Key, Origin, Room};
use super::scrape::Scrape;
use super::screen::Sort;
use crate::cli::client::{Admin, Trouble};
use http::StatusCode;
use serde_json::json;
use std::time::Duration;

/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Keys that are asked for: more than anybody scrolls through on a screen that changes every second.
const KEYS: usize = 200;

/// What one look has shown.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) scrape: Scrape,
    pub(super) room: Room,
    pub(super) origins: Vec<Origin>,
    pub(super) groups: Vec<Group>,
    /// Not asked for with every look: it is dear where there are many.
    pub(super) keys: Option<(Sort, Vec<Key>)>,
    pub(super) ready: Ready,
}

/// Whether the sidecar takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    Yes,
    /// Why not, in its own words.
    No(String),
}

/// Has a look; with `sort`: at the keys too.
pub(super) async fn look(admin: &Admin, sort: Option<Sort>) -> Result<Look, Trouble> {
    let looking = tokio::time::timeout(PATIENCE, parts(admin, sort));
    looking
        .await
        .unwrap_or_else(|_| Err(Trouble::Unreachable { url: admin.to_string(), why: format!("no answer within {} s", PATIENCE.as_secs()) }))
}

async fn parts(admin: &Admin, sort: Option<Sort>) -> Result<Look, Trouble> {
    let (metrics, stats, status, ready, keys) = tokio::try_join!(
        admin.get_text("/metrics"),
        admin.get_json("/api/cache/stats"),
        admin.get_json("/api/scheduler/status"),
        ready(admin),
        keys(admin, sort),
    )?;
    let (room, origins, groups) = (rows::room(&stats), rows::origins(&stats), rows::groups(&status));
    Ok(Look { scrape: Scrape::parse(&metrics), room, origins, groups, keys, ready })
}

async fn ready(admin: &Admin) -> Result<Ready, Trouble> {
    match admin.get_json("/readyz").await {
        Ok(_) => Ok(Ready::Yes),
        Err(Trouble::Refused { status: StatusCode::SERVICE_UNAVAILABLE, words }) => Ok(Ready::No(words)),
        Err(trouble) => Err(trouble),
    }
}

async fn keys(admin: &Admin, sort: Option<Sort>) -> Result<Option<(Sort, Vec<Key>)>, Trouble> {
    let Some(sort) = sort else { return Ok(None) };
    let answer = admin.get_json(&format!("/api/cache/keys?sort={}&limit={KEYS}", sort.as_str())).await?;
    Ok(Some((sort, rows::keys(&answer))))
}

/// Warms a group, without waiting for it; what came of it, in words.
pub(super) async fn warm(admin: &Admin, group: &str) -> String {
    let order = json!({ "items": { group: true }, "async": true });
    let name = rows::shown(group);
    match admin.post_json("/api/cache/warm", &order, PATIENCE).await {
        Ok(answer) => answer["job"]["id"].as_u64().map_or_else(|| format!("warming {name}"), |id| format!("warming {name}: job {id}")),
        Err(trouble) => format!("{name} is not warmed: {}", first_line(&trouble)),
    }
}

/// A trouble on one line.
pub(super) fn first_line(trouble: &Trouble) -> String {
    match trouble {
        // The number of an error tells nobody more than its words.
        Trouble::Unreachable { url, why } => format!("cannot reach {url}: {}", rows::shown(why.split(" (os error").next().unwrap_or(why))),
        trouble => rows::shown(trouble.to_string().lines().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::first_line;
    use crate::cli::client::Trouble;
    use http::StatusCode;

    #[test]
    fn a_trouble_is_one_line_without_control_characters() {
        let unreachable = Trouble::Unreachable { url: "http://h:1".into(), why: "Connection refused (os error 111)".into() };
        assert_eq!(first_line(&unreachable), "cannot reach http://h:1: Connection refused");
        let refused = Trouble::Refused { status: StatusCode::UNAUTHORIZED, words: "no\u{1b}".into() };
        assert_eq!(first_line(&refused), "the admin API wants another token: no\\u{1b}");
    }
}
