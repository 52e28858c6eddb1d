//! `warmfront warm`: starts warm groups of a running sidecar, and follows them to their end.

use super::args::{TextOrJson, WarmArgs};
use super::follow::{Begun, Follower, Items, begin};
use super::show::Show;
use super::{Stop, choose_colour, exit, words};
use crate::cli::client::{self, Admin, PATIENCE};
use crate::cli::plan::table::count;
use crate::cli::{Failure, report};
use serde_json::{Map, Value, json};
use std::io::{self, Write as _};
use std::process::ExitCode;

pub(in crate::cli) fn run(args: &WarmArgs) -> ExitCode {
    choose_colour();
    exit(args.place.find().map_err(Stop::from).and_then(|admin| client::block_on(warm(args, &admin))?))
}

async fn warm(args: &WarmArgs, admin: &Admin) -> Result<(), Stop> {
    let items: Map<String, Value> = args.group.iter().map(|name| (name.clone(), true.into())).collect();
    let order = json!({ "items": items, "async": true, "force": args.force });
    if args.later {
        let begun = admin.post_json("/api/cache/warm", &order, PATIENCE).await?;
        return told(&begun["job"], args.format);
    }
    let begun = begin(admin, "/api/cache/warm", &order).await?;
    let (text, verbose) = (args.format == TextOrJson::Text, args.verbose);
    let items = match (verbose, text) {
        (false, _) => Items::Left,
        (true, true) => Items::Shown,
        (true, false) => Items::Kept(Vec::new()),
    };
    finish(admin, begun, if text { Some(Show::new()) } else { None }, items).await
}

/// Says which job has begun.
fn told(job: &Value, format: TextOrJson) -> Result<(), Stop> {
    let (mut out, id) = (io::stdout().lock(), count(job, "id"));
    match format {
        TextOrJson::Json => writeln!(out, "{job}")?,
        TextOrJson::Text => {
            writeln!(out, "{id}")?;
            report::note(&format!("job {id} has begun; GET /api/warm/jobs/{id} tells how it goes on"));
        }
    }
    Ok(())
}

/// Follows a job to its end and sums it up; without `show` as JSON. It has failed if something of it has.
pub(super) async fn finish(admin: &Admin, begun: Begun, show: Option<Show>, items: Items) -> Result<(), Stop> {
    let (text, kept) = (show.is_some(), matches!(items, Items::Kept(_)));
    let (mut job, outcomes) = Follower::new(admin, begun.id, show, items).follow(begun.signals, begun.early).await?;
    let mut out = io::stdout().lock();
    if text {
        words::summary(&job).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    } else {
        if kept {
            job["outcomes"] = outcomes.into();
        }
        writeln!(out, "{job}")?;
    }
    out.flush()?;
    words::trouble(&job).map_or(Ok(()), |trouble| Err(Failure::Work(trouble).into()))
}
