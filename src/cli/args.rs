//! The arguments, as they are typed.

use super::verbs::args as verbs;
use crate::config::Sources;
use crate::units::parse_duration;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  warmfront run --upstream http://127.0.0.1:9000    a shared cache in front of that API
  warmfront run --config warmfront.toml             everything as the file says
  warmfront check --config warmfront.toml           every fault of the file, with line and fix
  warmfront check --schema > warmfront.schema.json  the file's JSON Schema, for editors
  warmfront plan                                    what would be warmed, and when
  warmfront demo                                    a slow sample API, and what to try
  warmfront learn /var/log/nginx/access.log         a warm plan of what is asked for most
  warmfront warm --group schools                    warm it now, on the sidecar that runs
  warmfront purge --tag channels --warm             replace what is stored, without a hole
  warmfront stats --watch                           how it does
  warmfront explain '/api/brands?page=1'            what would become of a request, and why
  warmfront top                                     a running sidecar, live
  warmfront logs --follow                           its events, as they come

Exit codes: 0 done, 1 the work failed, 2 wrong usage.";

const RUN_DETAIL: &str = "\
Examples:
  warmfront run --upstream http://127.0.0.1:9000
  warmfront run --upstream http://api:9000 --listen 0.0.0.0:8080 --max-bytes 1GiB
  warmfront run --set warm.concurrency=8 --set key.query_ignore=utm_*,fbclid
  WARMFRONT_CACHE__DEFAULT_TTL=30s warmfront run --config warmfront.toml

Each key outside of [[lists]] can be set by the environment: WARMFRONT_ and its path in
capitals, with __ for each dot; and by --set KEY=VALUE. Items of a list are separated by commas.
Order: defaults < file < environment < --set < flags of their own.
Events go to stderr, or to logs.file, one JSON object on each line: requests as logs.sample_rate
says, trouble, and who changes what through the admin API. WARMFRONT_LOG says which (error, warn,
info, debug, or target=level,...); the default is warn,warmfront::request=info,
warmfront::audit=info,warmfront::life=info.

SIGHUP reads the configuration again and keeps the cache. SIGTERM and SIGINT let requests
under way finish (server.drain_timeout); a second one ends at once. SIGUSR1 opens logs.file again.";

const CHECK_DETAIL: &str = "\
Examples:
  warmfront check
  warmfront check --config /etc/warmfront.toml --connect
  warmfront check --set cache.max_bytes=1GiB --set warm.max_rate=20
  warmfront check --format json | jq -r '.faults[] | [.place, .key, .fix] | @tsv'
  warmfront check --schema > warmfront.schema.json

Editors: with `#:schema ./warmfront.schema.json` as the first line of a file, taplo and
VS Code (Even Better TOML) complete keys and underline what is wrong.";

const COMPLETIONS_DETAIL: &str = "\
Examples:
  source <(warmfront completions bash)                                        this shell
  warmfront completions bash > ~/.local/share/bash-completion/completions/warmfront
  warmfront completions zsh > ~/.zfunc/_warmfront     with fpath+=~/.zfunc before compinit
  warmfront completions fish > ~/.config/fish/completions/warmfront.fish
  warmfront completions powershell >> $PROFILE
  warmfront completions elvish >> ~/.config/elvish/rc.elv";

const PLAN_DETAIL: &str = "\
Examples:
  warmfront plan                                    the first 20 requests of each group
  warmfront plan --group brands --items all
  warmfront plan --offline --format json | jq '.groups[].counts'
  warmfront plan --admin                            what a running sidecar has of it already
  warmfront plan --admin http://10.0.0.7:9180 --group brands

Nothing is warmed. The lists of [[warm.groups.sources]] are asked for once, through the configured
upstream (not with --offline): one that fails is shown, the rest is planned, and the exit code is 1.

Groups come in the order in which they go, the highest priority first, and each group's requests
too; a live sidecar takes what is read most of each thousand first. Next runs are told as if the
sidecar started now, without the jitter of up to a twentieth of an interval.

With --admin the running sidecar is asked (GET /api/warm/plan): what is fresh and for how long,
what did not go well the last time, and what a run would cost the origin. Where it is: the URL,
else WARMFRONT_ADMIN, else admin.listen of the configuration; the token: WARMFRONT_ADMIN__TOKEN,
else admin.token.";

const LEARN_DETAIL: &str = "\
Examples:
  warmfront learn /var/log/nginx/access.log
  warmfront learn access.log access.log.1 --top 500 --output learned.toml
  zcat access.log.*.gz | warmfront learn -
  warmfront learn access.log --host api.example.com --format table

Compressed logs are not unpacked here: pipe zcat, as above.

Formats, recognised line by line: NCSA common and combined (nginx, Apache, Traefik), also with
the virtual host first; JSON lines of nginx, Caddy, Envoy, Traefik and the like. Columns behind
the user agent are read if they have a label, as in this log_format of nginx:
  '... \"$http_user_agent\" rt=$request_time urt=\"$upstream_response_time\" cs=$upstream_cache_status'
Without a label the first number with a fraction is the time of the request in seconds, and HIT,
MISS and so on are the cache status. In JSON a `duration` or `latency` with a fraction, or written
by Caddy, is in seconds, a whole one in milliseconds.

What counts: GET and HEAD with status 200, 203, 204, 300, 301, 304 or 308; with a cache status in
the log only what was not answered from cache. What is normalised in the cache's key (query_ignore,
query_sort) is one query here too, and paths under a rule with pass or per_identity stay out.
Queries with a parameter named like a secret (token, api_key, password, signature ...) stay out as
well: a plan is a file that people commit. Read it before you do.

Weight: misses x the origin's time, else the request's, else 100 ms.";

const TOP_DETAIL: &str = "\
Examples:
  warmfront top
  warmfront top --admin http://10.0.0.7:9180 --interval 5s

Keys: Tab goes from table to table, arrows, Page Up and Down, Home and End through it; s sorts the
keys by hits, bytes, age or time left; w warms the group that is marked; ? explains; q, Esc and
Ctrl-C end it.

Rates are those of the last interval, latencies those of the last ten seconds, as the buckets of
/metrics tell them. While the sidecar is away the last picture stays, and it is asked again.

Where the sidecar is: --admin, else WARMFRONT_ADMIN, else admin.listen of the configuration; the
token: WARMFRONT_ADMIN__TOKEN, else admin.token. It draws on a terminal only, in colour unless
NO_COLOR is set.";

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
