//! `/api/cache/invalidate`.

use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::desk::Desk;
use crate::admin::fields::Fields;
use crate::admin::problem::Problem;
use crate::cache::Level;
use crate::layer::Cache;
use http::Uri;
use http::uri::PathAndQuery;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer waits for memory to be given back, so that `itemsCached` and `entries` show what is left.
const SWEEP: Duration = Duration::from_millis(200);

/// What `type` names: a warm group, a tag, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    All,
    Named { name: String, group: bool, tag: bool },
}

impl Kind {
    /// Looks a type up: `all`, a group, a tag of the configuration, or one that something stored carries.
    pub(super) fn find(desk: &Desk, place: &str, name: &str) -> Result<Self, Problem> {
        let (groups, settings) = (desk.groups(), desk.rooms.cache.settings());
        if name == "all" {
            return Ok(Self::All);
        }
        let tags = settings.rules.iter().flat_map(|rule| &rule.tags).chain(settings.invalidations.iter().flat_map(|change| &change.tags));
        let tags: Vec<&str> = tags.map(|tag| &**tag).collect();
        let group = groups.iter().any(|known| **known == *name);
        let tag = tags.contains(&name) || !desk.rooms.cache.shared().store.members(name, 1).is_empty();
        if group || tag {
            return Ok(Self::Named { name: name.into(), group, tag });
        }
        let mut known: Vec<&str> = groups.iter().map(|name| &**name).chain(tags).chain(["all"]).collect();
        let mut seen = std::collections::HashSet::new();
        known.retain(|name| seen.insert(*name));
        Err(Problem::unknown(place, "unknown group or tag", name, known))
    }
}

/// What is to be invalidated.
#[derive(Debug)]
pub(super) enum What {
    Kind(Kind),
    Tag(String),
    Prefix(String),
    /// One target under every host, by both schemes.
    Everywhere(PathAndQuery),
    /// One target under one host, by both schemes.
    Target(Uri),
}

pub(crate) async fn invalidate(desk: Arc<Desk>, asked: Asked) -> Result<Answer, Problem> {
    let (what, name, level) = read(&desk, &asked)?;
    let working = Arc::clone(&desk);
    // A large plan takes a while to walk through.
    let matched = tokio::task::spawn_blocking(move || drop_it(&working, &what, level)).await;
    let matched = matched.map_err(|_| Problem::new(http::StatusCode::INTERNAL_SERVER_ERROR, "the invalidation panicked"))?;
    if level == Level::Dead {
        swept(&desk.rooms.cache).await;
    }
    let words = format!("Cache ({name}) invalidated");
    Ok(Answer::json(&json!({ "success": true, "message": words, "matched": matched, "soft": level == Level::Stale })))
}

fn read(desk: &Desk, asked: &Asked) -> Result<(What, String, Level), Problem> {
    let mut fields = asked.fields()?;
    let (what, name) = what(desk, &mut fields)?;
    let level = if fields.bool("soft")?.unwrap_or(false) { Level::Stale } else { Level::Dead };
    fields.finish()?;
    Ok((what, name, level))
}

/// The one of `type`, `tag`, `prefix` and `url` that is said, and how it is called in a message; everything if none is.
pub(super) fn what(desk: &Desk, fields: &mut Fields) -> Result<(What, String), Problem> {
    let said =
        [("type", fields.text("type")?), ("tag", fields.text("tag")?), ("prefix", fields.text("prefix")?), ("url", fields.text("url")?)];
    let mut said = said.into_iter().filter_map(|(name, value)| Some((name, fields.place_of(name), value?)));
    let (first, second) = (said.next(), said.next());
    drop(said);
    let Some((name, place, value)) = first else { return Ok((What::Kind(Kind::All), "all".into())) };
    if let Some((_, place, _)) = second {
        return Err(Problem::at(&place, &format!("say either this or {name}")));
    }
    if value.is_empty() {
        return Err(Problem::at(&place, "is empty"));
    }
    let what = match name {
        "type" => What::Kind(Kind::find(desk, &place, &value)?),
        "tag" => What::Tag(value.clone()),
        "prefix" => {
            What::Prefix(prefix(&value).ok_or_else(|| Problem::at(&place, "write the beginning of a path, as /api/, or http://host/api/"))?)
        }
        _ => url(&value).ok_or_else(|| Problem::at(&place, "write a path with its query, as /api/x?y=1, or a URL of http or https"))?,
    };
    let shown = crate::suggest::quote(&value);
    let shown = shown.trim_matches('"');
    Ok((what, if name == "type" { shown.to_owned() } else { format!("{name} {shown}") }))
}

/// Without the default port of its scheme; which scheme that was does not matter, for both are dropped.
fn plain(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https").then(|| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host = rest[..end].strip_suffix(if scheme.len() == 5 { ":443" } else { ":80" }).unwrap_or(&rest[..end]);
        format!("http://{host}{}", &rest[end..])
    })
}

fn prefix(text: &str) -> Option<String> {
    if text.starts_with('/') {
        return Some(text.into());
    }
    let text = plain(text)?;
    text.parse::<Uri>().ok().filter(|uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))).map(|_| text)
}

fn url(text: &str) -> Option<What> {
    let text = text.split('#').next().unwrap_or_default();
    if text.starts_with('/') {
        return text.parse().ok().map(What::Everywhere);
    }
    let uri: Uri = plain(text)?.parse().ok()?;
    (!uri.authority()?.as_str().contains('@')).then_some(What::Target(uri))
}

/// Whether anything was known to be hit; null where nobody counts.
fn drop_it(desk: &Desk, what: &What, level: Level) -> Option<bool> {
    let (cache, warm) = (&desk.rooms.cache, &desk.rooms.warm);
    match what {
        What::Kind(Kind::All) => {
            cache.invalidate_all(level);
            None
        }
        What::Kind(Kind::Named { name, group, tag }) => {
            let planned = if *group { warm.invalidate(name, level).unwrap_or(0) > 0 } else { false };
            let tagged = *tag && if *group { cache.invalidate_tag_too(name, level) } else { cache.invalidate_tag(name, level) };
            Some(planned || tagged)
        }
        What::Tag(tag) => Some(cache.invalidate_tag(tag, level)),
        What::Prefix(prefix) => {
            cache.invalidate_prefix(prefix, level);
            None
        }
        What::Everywhere(target) => {
            cache.invalidate_everywhere(target, level);
            None
        }
        What::Target(uri) => Some(cache.invalidate(uri, level) > 0),
    }
}

/// Until what is gone has been taken out, or for a moment.
pub(super) async fn swept(cache: &Cache) {
    let waiting = async {
        while cache.shared().store.is_sweeping() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = tokio::time::timeout(SWEEP, waiting).await; // a large store: the figures follow
}

#[cfg(test)]
mod tests {
    use super::{What, plain, prefix, url};

    #[test]
    fn urls_are_those_of_readers() {
        assert!(matches!(url("/api/x?y=1#z"), Some(What::Everywhere(target)) if target == "/api/x?y=1"));
        assert!(
            matches!(url("https://API.example.com:443/x?y"), Some(What::Target(uri)) if uri.to_string().ends_with("/x?y") && uri.port().is_none())
        );
        assert!(matches!(url("http://h:8080"), Some(What::Target(uri)) if uri == "http://h:8080/"));
        for wrong in ["x", "ftp://h/x", "http://", "http://u@h/", "/a b", "//", "h:80/x"] {
            let read = url(wrong);
            assert!(read.is_none() || wrong == "//", "{wrong}: {read:?}");
        }
        assert_eq!(plain("HTTPS://h:443/x").as_deref(), Some("http://h/x"));
        assert_eq!((prefix("/api/").as_deref(), prefix("https://h/api").as_deref()), (Some("/api/"), Some("http://h/api")));
        assert_eq!((prefix("api/"), prefix("http://u@h/")), (None, None));
    }
}
