//! `/healthz` and `/readyz`.

use crate::admin::answer::Answer;
use crate::admin::desk::Desk;
use crate::admin::problem::Problem;
use crate::warm::{GroupReport, Report, WarmSettings};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) fn alive() -> Answer {
    Answer::json(&json!({ "success": true, "status": "ok" }))
}

pub(crate) fn ready(desk: &Desk) -> Result<Answer, Problem> {
    let mut reasons: Vec<String> = Vec::new();
    if desk.is_draining() {
        reasons.push("draining".into());
    }
    reasons.extend(cold(desk));
    if reasons.is_empty() {
        return Ok(Answer::json(&json!({ "success": true, "ready": true, "reasons": [] })));
    }
    Err(Problem::unavailable(format!("not ready: {}", reasons.join("; "))).with("ready", false).with("reasons", Value::from(reasons)))
}

/// Why the start-up plan is not warm enough yet. Once it was, or its time has passed, it is for good.
fn cold(desk: &Desk) -> Option<String> {
    let settings = desk.settings.load();
    let now = desk.rooms.cache.shared().clock.now();
    if settings.ready_when_warm <= 0.0 || desk.was_ready.load(Ordering::Acquire) || now.since(desk.opened) >= settings.ready_deadline {
        return None;
    }
    let share = share(&desk.rooms.warm.report(), &desk.rooms.warm.settings(), &desk.warmed.lock());
    if share >= settings.ready_when_warm {
        desk.was_ready.store(true, Ordering::Release);
        return None;
    }
    let percent = |share: f64| (share * 100.0).floor();
    Some(format!("warming: {} % of the start-up plan is warm, {} % is wanted", percent(share), percent(settings.ready_when_warm)))
}

/// How much of the start-up plan is warm, from 0 to 1. As long as a group has not said how much it will fetch: nothing.
fn share(report: &Report, settings: &WarmSettings, before: &BTreeMap<Arc<str>, (u64, u64)>) -> f64 {
    let at_startup = |group: &&GroupReport| {
        group.enabled && settings.groups.iter().any(|known| known.name == group.name && known.schedule.runs_at_startup())
    };
    if !settings.enabled || !settings.on_startup {
        return 1.0;
    }
    let (mut warm, mut planned) = (0, 0);
    for group in report.groups.iter().filter(at_startup) {
        let ended = group.last.as_ref().map(|last| (last.fates.warm(), last.fates.items()));
        let going_on = group.running.filter(|running| running.planned > 0).map(|running| (running.fates.warm(), running.planned));
        // The better of the two: a run that goes on knows less than the one before, unless that one failed.
        let Some((done, items)) = ended.into_iter().chain(going_on).chain(before.get(&group.name).copied()).max_by_key(|(warm, _)| *warm)
        else {
            return 0.0;
        };
        warm += done;
        planned += items;
    }
    if planned == 0 { 1.0 } else { warm as f64 / planned as f64 }
}
