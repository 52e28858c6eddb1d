//! The command line: `run`, `demo`, `check`, `plan`, `learn` and `completions`; `warm`, `purge`, `stats`, `explain`, `logs` and `top` talk to a sidecar that runs.
//!
//! Exit codes: 0 done, 1 the work failed, 2 wrong usage.

mod args;
mod check;
mod client;
mod completions;
mod demo;
mod house;
mod learn;
mod plan;
mod report;
mod run;
mod signals;
mod top;
mod traces;
mod verbs;

use args::{Args, Command};
use clap::Parser as _;
use std::process::ExitCode;

/// Reads the process's arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    match Args::parse().command {
        Command::Run(args) => run::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Check(args) => check::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Learn(args) => learn::run(args),
        Command::Warm(args) => verbs::warm::run(&args),
        Command::Purge(args) => verbs::purge::run(&args),
        Command::Stats(args) => verbs::stats::run(&args),
        Command::Explain(args) => verbs::explain::run(&args),
        Command::Logs(args) => verbs::logs::run(&args),
        Command::Completions(args) => completions::run(args),
        Command::Top(args) => top::run(args),
    }
}

/// How a command failed.
#[derive(Debug)]
enum Failure {
    /// The work failed: one line, and detail.
    Work(String),
    /// Nothing could be done with the command line.
    Usage(String),
}

impl Failure {
    /// Says so on stderr.
    fn exit(self) -> ExitCode {
        let (Self::Work(text) | Self::Usage(text)) = &self;
        report::error(text);
        self.code()
    }

    /// The exit code that says so.
    fn code(&self) -> ExitCode {
        ExitCode::from(if matches!(self, Self::Usage(_)) { 2 } else { 1 })
    }
}

impl From<crate::config::Faults> for Failure {
    fn from(faults: crate::config::Faults) -> Self {
        if faults.only_in_flags() { Self::Usage(faults.to_string()) } else { Self::Work(faults.to_string()) }
    }
}
