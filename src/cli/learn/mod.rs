//! `warmfront learn`: reads access logs and writes a warm plan of the hottest queries that a cache may answer.
//!
//! A line becomes a [`draft::Draft`] ([`text`] or [`json`], by the table of [`names`]), the [`sieve`] says whether it counts, the [`sketch`] holds the
//! heaviest, and [`plan`] chooses of them.

mod answered;
mod draft;
pub(super) mod escape;
mod json;
mod line;
mod lines;
mod names;
mod plan;
mod secret;
mod show;
mod sieve;
mod sketch;
mod source;
mod tally;
mod text;
mod time;
mod toml_text;

use super::args::{LearnArgs, LearnFormat};
use super::{Failure, args, report};
use crate::config::load;
use plan::{Plan, Wish};
use sieve::Sieve;
use source::{Progress, Source};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use tally::Tally;

pub(super) fn run(args: LearnArgs) -> ExitCode {
    match learn(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit(),
    }
}

fn learn(args: LearnArgs) -> Result<(), Failure> {
    if let Some(path) = args.output.as_deref().filter(|path| !args.force && path.symlink_metadata().is_ok()) {
        return Err(Failure::Work(exists(path)));
    }
    let mut sources = args::sources(args.config);
    // Whom the configuration asks is of no matter here, so it need not say.
    sources.flags.push(("upstream.urls", "http://127.0.0.1:9000".into(), "nobody"));
    let config = load(sources)?;
    let logs = Source::open_all(&args.logs).map_err(Failure::Work)?;
    let wish = Wish {
        group: args.group,
        top: args.top as usize,
        min_hits: args.min_hits,
        sources: logs.iter().map(|log| log.name.clone()).collect(),
        config: config.source.map(|path| path.display().to_string()),
    };
    let mut tally = Tally::new(Sieve { settings: config.cache, host: args.host, with_users: args.with_users });
    read(logs, &mut tally).map_err(Failure::Work)?;
    let plan = Plan::new(tally, wish).map_err(Failure::Work)?;
    let text = match args.format {
        LearnFormat::Toml => toml_text::write(&plan),
        LearnFormat::Json => show::json(&plan),
        LearnFormat::Table => show::table(&plan),
    };
    match args.output {
        None => report::print(&text),
        Some(path) => {
            save(&path, &text, args.force).map_err(Failure::Work)?;
            report::note(&format!(
                "{} queries in {}, {} of the weight",
                plan.queries.len(),
                path.display(),
                toml_text::percent(plan.share)
            ));
        }
    }
    Ok(())
}

fn read(logs: Vec<Source>, tally: &mut Tally) -> Result<(), String> {
    let mut progress = Progress::new();
    let result = logs.into_iter().try_for_each(|log| log.read(tally, &mut progress));
    progress.done();
    result
}

/// Writes a file that must be new, unless `force`.
fn save(path: &Path, text: &str, force: bool) -> Result<(), String> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => format!("{}: cannot be written: {error}", path.display()),
    })
}

fn exists(path: &Path) -> String {
    format!("{} is there already\n\n  fix: --force writes over it, or name another file", path.display())
}
