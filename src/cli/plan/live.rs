//! The plan of a sidecar that runs, as its admin API tells it.

use super::{PlanArgs, ended, paper::Paper};
use crate::cli::client::{self, Admin, Trouble};
use crate::cli::{Failure, args};
use crate::config::load;
use crate::warm::survey::json::add;
use crate::warm::template::encode;
use http::StatusCode;
use serde_json::{Map, Value};
use std::io;
use std::process::ExitCode;

const PATH: &str = "/api/warm/plan";

/// Asks for the plan of each named group, or of all, and writes it.
pub(super) fn plan(url: Option<&str>, args: &PlanArgs, most: usize, paper: &mut dyn Paper) -> Result<ExitCode, Failure> {
    let mut sources = args::sources(args.config.clone());
    // Whom the sidecar asks is its own configuration's matter.
    sources.flags.push(("upstream.urls", "http://upstream.invalid".into(), "nobody"));
    let admin = Admin::find(url, &load(sources)?.admin)?;
    let names: Vec<Option<&str>> =
        if args.group.is_empty() { vec![None] } else { args.group.iter().map(|name| Some(name.as_str())).collect() };
    let plans = client::block_on(async {
        let mut plans = Vec::new();
        for name in names {
            plans.push(admin.get_json(&path(name, most)).await.map_err(|trouble| told(trouble, &admin))?);
        }
        Ok::<_, Failure>(plans)
    })??;
    let plans: Option<Vec<Parts>> = plans.into_iter().map(parts).collect();
    let plans = plans.ok_or_else(|| Failure::Work(format!("the admin API at {admin} answered with something else than a plan")))?;
    ended(write(plans, &admin.to_string(), most, paper))
}

fn path(group: Option<&str>, most: usize) -> String {
    let items = most.min(crate::warm::group::MOST_ITEMS);
    group.map_or_else(|| format!("{PATH}?items={items}"), |group| format!("{PATH}?group={}&items={items}", encode(group)))
}

fn told(trouble: Trouble, admin: &Admin) -> Failure {
    match trouble {
        Trouble::Refused { status: StatusCode::NOT_FOUND, .. } => Failure::Work(format!(
            "the sidecar at {admin} serves no plan\n\n  fix: update it, or leave --admin out to see the plan of the configuration"
        )),
        // An unknown group is a slip on the command line.
        Trouble::Refused { status: StatusCode::BAD_REQUEST, words } => Failure::Usage(words),
        trouble => trouble.into(),
    }
}

/// Writes the answers as one plan; how many problems it has.
fn write(plans: Vec<Parts>, url: &str, most: usize, paper: &mut dyn Paper) -> io::Result<usize> {
    let mut totals = Value::Null;
    for (at, (head, groups, own)) in plans.into_iter().enumerate() {
        if at == 0 {
            paper.begin(&head, Some(url))?;
        }
        for mut group in groups.into_iter().filter_map(object) {
            let items = group.remove("items");
            paper.group(&group)?;
            for item in items.iter().filter_map(Value::as_array).flatten().take(most) {
                paper.item(item)?;
            }
        }
        add(&mut totals, &own);
    }
    paper.end(&totals)?;
    Ok(0)
}

/// Head, groups and totals of an answer.
type Parts = (Map<String, Value>, Vec<Value>, Value);

/// The parts of an answer, which may have an envelope.
fn parts(plan: Value) -> Option<Parts> {
    let mut head = object(plan)?;
    if let Some(data) = head.remove("data") {
        head = object(data)?;
    }
    let groups = if let Value::Array(groups) = head.remove("groups")? { groups } else { return None };
    let totals = head.remove("totals")?;
    Some((head, groups, totals))
}

fn object(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(object) = value { Some(object) } else { None }
}
