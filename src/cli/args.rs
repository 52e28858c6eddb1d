//! The arguments, as they are typed.

mod details;

use super::verbs::args as verbs;
use crate::config::Sources;
use crate::units::parse_duration;
use clap::{Parser, Subcommand};
use details::{CHECK_DETAIL, COMPLETIONS_DETAIL, EXAMPLES, LEARN_DETAIL, PLAN_DETAIL, RUN_DETAIL, TOP_DETAIL};
use std::path::PathBuf;
use std::time::Duration;

/// A warm HTTP cache (RFC 9111) in front of an API.
///
/// warmfront stands between clients and an upstream API, answers from memory what may be answered from memory, and asks the upstream once for everybody for
/// the rest.
#[derive(Debug, Parser)]
#[command(name = "warmfront", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true, max_term_width = 100)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the sidecar: listens, caches, asks the upstream
    #[command(after_help = RUN_DETAIL)]
    Run(RunArgs),
    /// Shows it at work: a slow sample API, warmfront in front of it, and curl lines to try
    Demo(DemoArgs),
    /// Validates the configuration: every fault with its file, line, key and fix
    #[command(after_help = CHECK_DETAIL)]
    Check(CheckArgs),
    /// Shows what would be warmed, in which order and when, without warming it
    #[command(after_help = PLAN_DETAIL)]
    Plan(PlanArgs),
    /// Reads access logs and writes a warm plan of what is asked for most
    #[command(after_help = LEARN_DETAIL)]
    Learn(LearnArgs),
    /// Warms groups of a running sidecar, and follows them to their end
    #[command(after_help = verbs::WARM_DETAIL)]
    Warm(verbs::WarmArgs),
    /// Invalidates what a running sidecar has stored
    #[command(after_help = verbs::PURGE_DETAIL)]
    Purge(verbs::PurgeArgs),
    /// Shows how a running sidecar does: hit ratio, requests, memory, warm groups
    #[command(after_help = verbs::STATS_DETAIL)]
    Stats(verbs::StatsArgs),
    /// Tells what a running sidecar would do with a request, and why
    #[command(after_help = verbs::EXPLAIN_DETAIL)]
    Explain(verbs::ExplainArgs),
    /// Prints the events of a running sidecar: the last ones, and with --follow those that come
    #[command(after_help = verbs::LOGS_DETAIL)]
    Logs(verbs::LogsArgs),
    /// Prints what a shell needs to complete commands and flags
    #[command(after_help = COMPLETIONS_DETAIL)]
    Completions(CompletionsArgs),
    /// Shows a running sidecar at work, on a screen that changes as it does
    #[command(after_help = TOP_DETAIL)]
    Top(TopArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The configuration file [default: ./warmfront.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The API to stand in front of, as http://127.0.0.1:9000
    #[arg(long, value_name = "URL")]
    pub(super) upstream: Vec<String>,
    /// Where to listen: IP:port or unix:/path; may be given several times [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<String>,
    /// Where the admin API listens; not on loopback only with a token [default: 127.0.0.1:9180]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// Worker threads, 0 = one per core [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) workers: Option<String>,
    /// Memory for stored responses, as 512MiB [default: 256MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) max_bytes: Option<String>,
    #[command(flatten)]
    pub(super) set: SetArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// Any key outside of [[lists]], as warm.concurrency=8; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(super) set: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Where warmfront listens [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// Where the admin API listens [default: 127.0.0.1:9180, or a free port if that is taken]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The configuration file [default: ./warmfront.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Also resolve and connect to the upstream
    #[arg(long)]
    pub(super) connect: bool,
    #[command(flatten)]
    pub(super) set: SetArgs,
    /// What is written
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(super) format: CheckFormat,
    /// Print the JSON Schema of the configuration file, and check nothing
    #[arg(long, exclusive = true)]
    pub(super) schema: bool,
}

/// What `check` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum CheckFormat {
    /// Faults with their lines on stderr, a summary on stdout
    Text,
    /// One object on stdout, faults and warnings in it
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// The configuration file [default: ./warmfront.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) set: SetArgs,
    /// Only this group; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(super) group: Vec<String>,
    /// What is written
    #[arg(long, value_enum, default_value_t = PlanFormat::Table)]
    pub(super) format: PlanFormat,
    /// The most requests of each group that are shown: a number, or `all` [default: 20 in a table, all in JSON]
    #[arg(long, value_name = "N")]
    pub(super) items: Option<Items>,
    /// Ask nobody for the lists that groups are made from
    #[arg(long, conflicts_with = "admin")]
    pub(super) offline: bool,
    /// Ask a running sidecar what it has of its plan; without URL the one of WARMFRONT_ADMIN or of the configuration
    #[arg(long, value_name = "URL", num_args = 0..=1)]
    pub(super) admin: Option<Option<String>>,
}

/// What `plan` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PlanFormat {
    /// Columns to look at
    Table,
    /// One object, with a line per request
    Json,
}

/// How many of something: a number, or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Items(pub(super) usize);

impl std::str::FromStr for Items {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" { Ok(Self(usize::MAX)) } else { text.parse().map(Self).map_err(|_| "write a number, or all") }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct LearnArgs {
    /// Access logs; - is stdin
    #[arg(value_name = "ACCESS_LOG", required = true)]
    pub(super) logs: Vec<PathBuf>,
    /// Write the plan to this file, which must be new [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Write over the file of --output
    #[arg(long, requires = "output")]
    pub(super) force: bool,
    /// The most queries in the plan
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) top: u32,
    /// Leave out queries that count less often than this; of one that is in the log once nobody knows whether it is asked for again
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) min_hits: u64,
    /// The name of the warm group
    #[arg(long, value_name = "NAME", default_value = "learned", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) group: String,
    /// Count only requests for this host, where the log names it [default: all, merged]
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,
    /// Count requests of signed-in users too
    #[arg(long)]
    pub(super) with_users: bool,
    /// The configuration whose keys and rules hold [default: ./warmfront.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// What is written
    #[arg(long, value_enum, default_value_t = LearnFormat::Toml)]
    pub(super) format: LearnFormat,
}

#[derive(Debug, clap::Args)]
pub(super) struct TopArgs {
    /// The admin API of the sidecar [default: WARMFRONT_ADMIN, else that of the configuration]
    #[arg(long, value_name = "URL")]
    pub(super) admin: Option<String>,
    /// How often to look, from 100ms to 1h
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(super) interval: Duration,
    /// The configuration that says where the admin API is [default: ./warmfront.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

fn interval(text: &str) -> Result<Duration, &'static str> {
    let bounds = Duration::from_millis(100)..=Duration::from_secs(3600);
    parse_duration(text).filter(|time| bounds.contains(time)).ok_or("write a time from 100ms to 1h, as 1s or 500ms")
}

/// What `learn` writes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum LearnFormat {
    /// A group for the configuration file
    Toml,
    /// One object, with all figures
    Json,
    /// Columns to look at
    Table,
}

impl RunArgs {
    /// The sources of the configuration that these arguments and the process's environment make.
    pub(super) fn sources(self) -> Sources {
        let listed = |key: &'static str, values: Vec<String>, flag| values.into_iter().map(move |value| (key, value, flag));
        let single = |key: &'static str, value: Option<String>, flag| value.into_iter().map(move |value| (key, value, flag));
        let flags = listed("upstream.urls", self.upstream, "--upstream")
            .chain(listed("server.listen", self.listen, "--listen"))
            .chain(single("admin.listen", self.admin, "--admin"))
            .chain(single("server.workers", self.workers, "--workers"))
            .chain(single("cache.max_bytes", self.max_bytes, "--max-bytes"))
            .collect();
        Sources { flags, set: self.set.set, ..sources(self.config) }
    }
}

impl CheckArgs {
    /// The sources of the configuration that these arguments and the process's environment make.
    pub(super) fn sources(self) -> Sources {
        Sources { set: self.set.set, ..sources(self.config) }
    }
}

/// Takes `KEY=VALUE` apart at the first `=`.
fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as warm.concurrency=8")?;
    Ok((key.trim().into(), value.into()))
}

/// File and environment.
pub(super) fn sources(file: Option<PathBuf>) -> Sources {
    let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    Sources { file, default_file: Some("warmfront.toml".into()), env: env.collect(), ..Sources::default() }
}

#[cfg(test)]
mod tests {
    use super::Args;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }
}
