//! `/api/cache/warm` and `/api/cache/invalidate-and-warm`.

use super::{begun, ended, stats, warms, when_done};
use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::calls::invalidate::{Kind, What, what};
use crate::admin::desk::Desk;
use crate::admin::problem::Problem;
use crate::admin::shapes;
use crate::warm::JobView;
use http::Uri;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) async fn warm(desk: Arc<Desk>, asked: Asked) -> Result<Answer, Problem> {
    let groups = desk.groups();
    let names: Vec<&str> = groups.iter().map(|name| &**name).collect();
    let mut fields = asked.fields()?;
    let items = fields.switches("items", "group", &names)?;
    let (later, force) = (fields.bool("async")?.unwrap_or(false), fields.bool("force")?.unwrap_or(false));
    fields.finish()?;
    warms(&desk)?;
    let chosen = chosen(&items, &desk);
    let chosen: Option<Vec<&str>> = chosen.as_ref().map(|names| names.iter().map(String::as_str).collect());
    let job = begun(desk.rooms.warm.run(chosen.as_deref(), force).await)?;
    Ok(when_done(&desk, job, later, stats_with_job).await)
}

/// The groups that `items` names with `true`; with `false` only: all that are switched on but those. `None`: all that are switched on.
fn chosen(items: &[(String, bool)], desk: &Desk) -> Option<Vec<String>> {
    let named = |wanted: bool| items.iter().filter(move |(_, on)| *on == wanted).map(|(name, _)| name.clone());
    if items.is_empty() {
        return None;
    }
    let yes: Vec<String> = named(true).collect();
    if !yes.is_empty() {
        return Some(yes);
    }
    let no: Vec<String> = named(false).collect();
    let settings = desk.rooms.warm.settings();
    let rest = settings.groups.iter().filter(|group| group.enabled && !no.iter().any(|name| **name == *group.name));
    Some(rest.map(|group| String::from(&*group.name)).collect())
}

pub(crate) async fn replace(desk: Arc<Desk>, asked: Asked) -> Result<Answer, Problem> {
    let mut fields = asked.fields()?;
    let (what, _) = what(&desk, &mut fields)?;
    let later = fields.bool("async")?.unwrap_or(false);
    fields.finish()?;
    warms(&desk)?;
    let warm = &desk.rooms.warm;
    let job = match what {
        What::Kind(Kind::All) => {
            let settings = warm.settings();
            let all = settings.groups.iter().filter(|group| group.enabled).map(|group| Arc::clone(&group.name)).collect();
            warm.replace_all(all, &[], &["/"]).await
        }
        What::Kind(Kind::Named { name, group, tag }) => {
            let group = group.then(|| Arc::from(name.as_str()));
            let tags: &[&str] = if tag { &[&name] } else { &[] };
            warm.replace_all(group.into_iter().collect(), tags, &[]).await
        }
        What::Tag(tag) => warm.replace_all(Vec::new(), &[&tag], &[]).await,
        What::Prefix(prefix) => warm.replace_all(Vec::new(), &[], &[&prefix]).await,
        What::Everywhere(target) => warm.replace_target(&Uri::from(target)).await,
        What::Target(target) => warm.replace_target(&target).await,
    };
    let job = job.ok_or_else(ended)?;
    Ok(when_done(&desk, job, later, stats_with_job).await)
}

fn stats_with_job(desk: &Desk, job: &JobView) -> Value {
    json!({ "success": true, "data": stats::data(desk), "job": shapes::job(job) })
}
