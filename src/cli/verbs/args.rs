//! The arguments of the verbs that talk to a running sidecar.

use super::Where;
use crate::units::parse_duration;
use std::time::Duration;

pub(in crate::cli) const WARM_DETAIL: &str = "\
Examples:
  warmfront warm                                    all groups that are switched on
  warmfront warm --group schools --group brands --verbose
  warmfront warm --force                            also what is fresh
  warmfront warm --async                            begins, prints the job's number, and leaves
  warmfront warm --format json | jq .fates

What is fresh is left alone (skipped), and a group that is warmed already is joined. Ctrl-C cancels
the job that was begun here, not the runs that it joined. The exit code is 1 if an item failed, a
list could not be had, or the job was cancelled.";

pub(in crate::cli) const PURGE_DETAIL: &str = "\
Examples:
  warmfront purge --group schools
  warmfront purge --tag channels --warm             each old copy serves until the new one is there
  warmfront purge --prefix /api/brands/ --soft
  warmfront purge --url '/api/schools/primary?page=1&pageSize=20'
  warmfront purge --all

A path is meant under every host; write http://host/path for one. --soft: stale from now on, served
only where stale may be. --warm: what is read or was warmed is fetched again, and nothing is dropped
before that; what could not be replaced is stale then.";

pub(in crate::cli) const STATS_DETAIL: &str = "\
Examples:
  warmfront stats
  warmfront stats --watch --interval 5s             repaints on a terminal, else a line each time
  warmfront stats --format json | jq .cache.hitRatio

The hit ratio counts hits and stale copies served, of everything that was looked up. Useful: warmed
copies that a reader has hit; saved: what fetching those took; wasted: those that went unread.";

pub(in crate::cli) const EXPLAIN_DETAIL: &str = "\
Examples:
  warmfront explain '/api/schools/primary?page=1&pageSize=20'
  warmfront explain /api/schools/primary -H 'accept-language: en'
  warmfront explain http://api.example.com/api/brands --method HEAD --format json

A path belongs to the host that readers name most; -H 'host: name' says another. Nobody is asked,
and nothing is counted.";

pub(in crate::cli) const LOGS_DETAIL: &str = "\
Examples:
  warmfront logs                                    the last events, as many as the sidecar remembers
  warmfront logs --follow                           those, and then what comes
  warmfront logs --follow --format json | jq 'select(.status >= 500)'

What is shown is what the sidecar writes: requests as logs.sample_rate says, trouble, changes. Who
reads too slowly loses events, and is told how many. Ctrl-C ends it; the exit code is 1 if the
sidecar went away.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LogsArgs {
    #[command(flatten)]
    pub(super) place: Where,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    pub(super) follow: bool,
    /// What is written
    #[arg(long, value_enum, default_value_t = LogsFormat::Pretty)]
    pub(super) format: LogsFormat,
}

/// How events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum LogsFormat {
    /// One line to read for each
    Pretty,
    /// One object on a line for each
    Json,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WarmArgs {
    #[command(flatten)]
    pub(super) place: Where,
    /// Only this group; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(super) group: Vec<String>,
    /// Fetch also what is fresh
    #[arg(long)]
    pub(super) force: bool,
    /// Do not wait for the end: print the job's number
    #[arg(long = "async", conflicts_with = "verbose")]
    pub(super) later: bool,
    /// A line per item: what became of it, time, size, target, variant, reason
    #[arg(long)]
    pub(super) verbose: bool,
    /// What is written
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub(super) format: TextOrJson,
}

#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = false, args = ["all", "group", "tag", "prefix", "url"])]
pub(in crate::cli) struct PurgeArgs {
    #[command(flatten)]
    pub(super) place: Where,
    /// Everything
    #[arg(long)]
    pub(super) all: bool,
    /// What a warm group warms
    #[arg(long, value_name = "NAME")]
    pub(super) group: Option<String>,
    /// What carries this tag
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Option<String>,
    /// What begins with this path, as /api/ or http://host/api/
    #[arg(long, value_name = "PATH")]
    pub(super) prefix: Option<String>,
    /// One path with its query, or one URL
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Stale from now on, instead of gone
    #[arg(long)]
    pub(super) soft: bool,
    /// Fetch it again, and let the old copies serve until then
    #[arg(long)]
    pub(super) warm: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct StatsArgs {
    #[command(flatten)]
    pub(super) place: Where,
    /// Go on until Ctrl-C
    #[arg(long)]
    pub(super) watch: bool,
    /// How often, with --watch
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval, requires = "watch")]
    pub(super) interval: Duration,
    /// What is written
    #[arg(long, value_enum, default_value_t = TableOrJson::Table)]
    pub(super) format: TableOrJson,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExplainArgs {
    /// A path with its query, or a URL of http or https
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// A header field of the request, as 'accept-language: en'; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(super) header: Vec<String>,
    /// The method of the request [default: GET]
    #[arg(long, value_name = "METHOD")]
    pub(super) method: Option<String>,
    #[command(flatten)]
    pub(super) place: Where,
    /// What is written
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub(super) format: TextOrJson,
}

/// Lines for people, or JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum TextOrJson {
    /// Lines to read
    Text,
    /// One object
    Json,
}

/// Columns for people, or JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum TableOrJson {
    /// Columns to look at
    Table,
    /// One object on a line
    Json,
}

fn interval(text: &str) -> Result<Duration, &'static str> {
    let read = parse_duration(text).filter(|interval| (Duration::from_millis(100)..=Duration::from_hours(24)).contains(interval));
    read.ok_or("write a time from 100ms to 24h, as 1s")
}
