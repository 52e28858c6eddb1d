//! The arguments, as they are typed.

use crate::config::Sources;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  warmfront run --upstream http://127.0.0.1:9000    a shared cache in front of that API
  warmfront run --config warmfront.toml             everything as the file says
  warmfront check --config warmfront.toml           every fault of the file, with line and fix
  warmfront demo                                    a slow sample API, and what to try

Exit codes: 0 done, 1 the work failed, 2 wrong usage.";

const RUN_DETAIL: &str = "\
Examples:
  warmfront run --upstream http://127.0.0.1:9000
  warmfront run --upstream http://api:9000 --listen 0.0.0.0:8080 --max-bytes 1GiB
  WARMFRONT_CACHE__DEFAULT_TTL=30s warmfront run --config warmfront.toml

Each key outside of [[lists]] can be set by the environment: WARMFRONT_ and its path in
capitals, with __ for each dot. Order: defaults < file < environment < flags.
WARMFRONT_LOG: what is logged on stderr (error, warn, info, debug); default warn.

SIGHUP reads the configuration again and keeps the cache. SIGTERM and SIGINT let requests
under way finish (server.drain_timeout); a second one ends at once.";

const CHECK_DETAIL: &str = "\
Examples:
  warmfront check
  warmfront check --config /etc/warmfront.toml --connect";

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
    /// Where the admin API listens (checked; this version serves none) [default: 127.0.0.1:9180]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// Worker threads, 0 = one per core [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) workers: Option<String>,
    /// Memory for stored responses, as 512MiB [default: 256MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) max_bytes: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Where warmfront listens [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The configuration file [default: ./warmfront.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Also resolve and connect to the upstream
    #[arg(long)]
    pub(super) connect: bool,
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
        Sources { flags, ..sources(self.config) }
    }
}

/// File and environment.
pub(super) fn sources(file: Option<PathBuf>) -> Sources {
    let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    Sources { file, default_file: Some("warmfront.toml".into()), text: None, env: env.collect(), flags: Vec::new() }
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
