//! `[warm.user]`

use super::{targets, told};
use crate::cache::rules::{Identity, Rule};
use crate::cache::settings::Settings;
use crate::config::check::set;
use crate::config::fault::Place;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::warm::{Target, UserSettings};
use http::HeaderName;
use http::uri::PathAndQuery;

const PATH: &str = "warm.user.path";
const HEADER: &str = "warm.user.identity.header";
const REQUESTS: &str = "warm.user.requests";
const VALID: &str = "warm.user.valid_for";
const INTERVAL: &str = "warm.user.min_interval";
const USERS: &str = "warm.user.max_users";
const RUNNING: &str = "warm.user.max_running";

/// The section, if it says anything.
pub(super) fn check(root: &Table, cache: &Settings, findings: &mut Findings) -> Option<UserSettings> {
    let keys = [PATH, HEADER, REQUESTS, VALID, INTERVAL, USERS, RUNNING];
    let first = keys.iter().find(|key| !root.is_silent(key))?;
    let mut user = UserSettings::default();
    set(&mut user.path, path(root, findings));
    set(&mut user.identity, identity(root, findings));
    user.requests = targets(root, REQUESTS, REQUESTS, findings);
    set(&mut user.valid_for, root.duration(VALID));
    set(&mut user.min_interval, root.duration(INTERVAL));
    set(&mut user.max_users, root.integer(USERS));
    set(&mut user.max_running, root.integer(RUNNING));
    if root.list(REQUESTS).is_none_or(|list| list.is_empty()) && !root.is_faulty(REQUESTS) {
        let place = Some(root.place(REQUESTS)).filter(|place| *place != Place::Nowhere).unwrap_or_else(|| root.place(first));
        findings.warn(&place, REQUESTS, "names nothing: users' warm-ups do nothing", "write requests = [\"/api/me/profile\"]");
    }
    // A rule with a fault is not among the rules: then nobody can tell which is the first to match.
    if root.tables("rules[]").len() == cache.rules.len() {
        coverage(root, &user, &cache.rules, findings);
    }
    Some(user)
}

fn path(root: &Table, findings: &mut Findings) -> Option<PathAndQuery> {
    let text = root.text(PATH)?;
    let target = told(Target::parse(text), &root.place(PATH), PATH, findings)?;
    if text.contains('?') {
        findings.fault(&root.place(PATH), PATH, format!("{} has a query", quote(text)), "write the path alone, as \"/api/user/warmup\"");
        return None;
    }
    Some(target.path_and_query().clone())
}

fn identity(root: &Table, findings: &mut Findings) -> Option<Identity> {
    let text = root.text(HEADER)?;
    let header = text.parse::<HeaderName>().ok();
    if header.is_none() {
        findings.fault(&root.place(HEADER), HEADER, format!("{} is no name of a header", quote(text)), "write one, as \"authorization\"");
    }
    header.map(|header| Identity { header })
}

/// Warns of requests that no partition of the user's will keep.
fn coverage(root: &Table, user: &UserSettings, rules: &[Rule], findings: &mut Findings) {
    let own = format!("per_identity = {{ header = {} }}", quote(user.identity.header.as_str()));
    for (text, place) in root.list(REQUESTS).unwrap_or_default() {
        let Ok(target) = Target::parse(text) else { continue };
        let path = target.path_and_query().path();
        let Some((at, rule)) = rules.iter().enumerate().find(|(_, rule)| rule.matches(path)) else {
            let fix = format!("add [[rules]] with path = {} and {own}", quote(path));
            findings.warn(place, REQUESTS, format!("{} is in no rule: a user's copy would not be kept apart", quote(path)), fix);
            continue;
        };
        let has = match &rule.per_identity {
            _ if rule.pass => "passes".into(),
            Some(identity) if identity.header == user.identity.header => continue,
            Some(identity) => format!("keeps copies by {}", quote(identity.header.as_str())),
            None => "keeps no copies apart".into(),
        };
        let found = format!("{} falls under rules[{at}] ({}), which {has}", quote(path), rule.name);
        let fix = if rule.pass {
            format!("put a rule with {own} before it")
        } else {
            format!("give it {own}, or put a rule with that before it")
        };
        findings.warn(place, REQUESTS, found, fix);
    }
}
