//! `warmfront completions`: what a shell needs to complete commands and flags, drawn from the arguments themselves.

use super::{args, report};
use clap::CommandFactory as _;
use std::process::ExitCode;

pub(super) fn run(args: args::CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::Args::command(), env!("CARGO_PKG_NAME"), &mut script);
    report::print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
