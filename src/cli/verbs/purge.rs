//! `warmfront purge`: invalidates what a running sidecar has stored.

use super::args::PurgeArgs;
use super::follow::{Items, begin};
use super::show::Show;
use super::{Stop, choose_colour, exit, warm};
use crate::cli::client::{self, Admin, PATIENCE};
use crate::cli::plan::table::text;
use serde_json::{Value, json};
use std::io::{self, Write as _};
use std::process::ExitCode;

pub(in crate::cli) fn run(args: &PurgeArgs) -> ExitCode {
    choose_colour();
    exit(args.place.find().map_err(Stop::from).and_then(|admin| client::block_on(purge(args, &admin))?))
}

async fn purge(args: &PurgeArgs, admin: &Admin) -> Result<(), Stop> {
    let mut order = what(args);
    if args.warm {
        order["async"] = true.into();
        let begun = begin(admin, "/api/cache/invalidate-and-warm", &order).await?;
        return warm::finish(admin, begun, Some(Show::new()), Items::Left).await;
    }
    order["soft"] = args.soft.into();
    let told = admin.post_json("/api/cache/invalidate", &order, PATIENCE).await?;
    let missed = if told["matched"] == false { ": nothing of it was stored" } else { "" };
    writeln!(io::stdout(), "{}{missed}", text(&told, "message"))?;
    Ok(())
}

/// What is named: one of them, as clap has seen to.
fn what(args: &PurgeArgs) -> Value {
    let named = [("type", &args.group), ("tag", &args.tag), ("prefix", &args.prefix), ("url", &args.url)];
    let named = named.into_iter().find_map(|(name, value)| Some((name, value.as_ref()?)));
    named.map_or_else(|| json!({ "type": "all" }), |(name, value)| json!({ name: value }))
}
