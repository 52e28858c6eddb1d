//! `check --format json`: one object on stdout, whether there are faults or not.

use super::connect::{Reached, Unreached};
use super::{Failure, headline, report};
use crate::config::units::show_duration;
use crate::config::{Config, Fault, Faults, Place};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Prints what was found; the exit code is that of the text.
pub(super) fn print(loaded: Result<Config, Faults>, reached: Option<Result<Vec<Reached>, Vec<Unreached>>>) -> ExitCode {
    let (ok, head, faults) = match (&loaded, &reached) {
        (Err(faults), _) => (false, faults.summary(), list(faults.as_slice())),
        (Ok(_), Some(Err(unreached))) => {
            let faults: Vec<Fault> = unreached.iter().map(fault_of).collect();
            (false, unreached.first().map_or_else(String::new, |first| first.headline.clone()), list(&faults))
        }
        (Ok(config), _) => (true, headline(config), list(&[])),
    };
    let one = |reached: &Reached| {
        let ms = (reached.after.as_secs_f64() * 10_000.0).round() / 10.0;
        json!({ "origin": reached.origin, "address": reached.address.to_string(), "ms": ms })
    };
    let connect = reached.and_then(Result::ok).map(|reached| reached.iter().map(one).collect::<Vec<_>>());
    let config = loaded.as_ref().ok();
    let object = json!({
        "ok": ok,
        "summary": head,
        "faults": faults,
        "warnings": list(config.map_or(&[], |config| &config.warnings)),
        "config": config.map(settings),
        "connect": connect,
    });
    report::print(&format!("{object:#}"));
    match loaded {
        Err(faults) => Failure::from(faults).code(),
        Ok(_) if ok => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
    }
}

fn list(faults: &[Fault]) -> Vec<Value> {
    faults.iter().map(one).collect()
}

fn one(fault: &Fault) -> Value {
    let (file, line, column) = match &fault.place {
        Place::File(spot) => (Some(spot.path.display().to_string()), Some(spot.line), Some(spot.column)),
        Place::Document(path) => (Some(path.display().to_string()), None, None),
        _ => (None, None, None),
    };
    let place = Some(&fault.place).filter(|place| **place != Place::Nowhere).map(ToString::to_string);
    json!({
        "place": place,
        "file": file,
        "line": line,
        "column": column,
        "key": fault.key,
        "found": fault.found,
        "fix": fault.fix,
    })
}

fn fault_of(unreached: &Unreached) -> Fault {
    Fault { place: Place::Nowhere, key: "upstream.urls".into(), found: unreached.found.join("; "), fix: unreached.fix.into() }
}

/// What the text's summary says, in figures: sizes in bytes, durations as the file says them.
fn settings(config: &Config) -> Value {
    let cache = &config.cache;
    let rule = |rule: &crate::cache::rules::Rule| json!({ "name": rule.name.as_ref(), "path": rule.path.as_str(), "pass": rule.pass, "ttl": rule.ttl.map(show_duration) });
    json!({
        "file": config.source.as_ref().map(|path| path.display().to_string()),
        "listen": config.server.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "upstreams": config.upstream.origins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "max_bytes": cache.max_bytes,
        "max_object": cache.max_object,
        "rules": cache.rules.iter().map(rule).collect::<Vec<_>>(),
        "groups": config.warm.groups.iter().map(|group| group.name.as_ref()).collect::<Vec<_>>(),
    })
}
