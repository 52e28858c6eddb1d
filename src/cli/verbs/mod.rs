//! `warm`, `purge`, `stats`, `explain` and `logs`: what asks and changes a sidecar that runs, through its admin API.

pub(super) mod args;
pub(super) mod explain;
mod follow;
pub(super) mod logs;
pub(super) mod purge;
mod screen;
mod show;
pub(super) mod stats;
pub(super) mod warm;
mod words;

use super::client::{Admin, Trouble};
use super::{Failure, args as arguments, report};
use crate::config::load;
use http::StatusCode;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which sidecar is meant.
#[derive(Debug, clap::Args)]
pub(super) struct Where {
    /// Its admin API, as http://127.0.0.1:9180 [default: WARMFRONT_ADMIN, else admin.listen of the configuration]
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The configuration that says where it is, and its token [default: ./warmfront.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Where {
    fn find(&self) -> Result<Admin, Failure> {
        let mut sources = arguments::sources(self.config.clone());
        // Whom the sidecar asks is its own configuration's matter.
        sources.flags.push(("upstream.urls", "http://upstream.invalid".into(), "nobody"));
        Admin::find(self.admin.as_deref(), &load(sources)?.admin)
    }
}

/// Why a verb ends before its end.
#[derive(Debug)]
enum Stop {
    Failed(Failure),
    /// Nobody reads on, which is nobody's fault.
    Unread,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(match trouble {
            // A slip on the command line.
            Trouble::Refused { status: StatusCode::BAD_REQUEST, words } => Failure::Usage(without_place(&words).to_owned()),
            trouble => trouble.into(),
        })
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Failed(Failure::Work(format!("the output cannot be written: {error}"))),
        }
    }
}

/// The words of a fault without its place in a body or a query, which nobody has typed.
fn without_place(words: &str) -> &str {
    let rest = words.split_once(": ").filter(|(place, _)| place.starts_with(['/', '?']) && !place.contains(' '));
    rest.map_or(words, |(_, rest)| rest)
}

/// Ends as the work did.
fn exit(result: Result<(), Stop>) -> ExitCode {
    match result {
        Ok(()) | Err(Stop::Unread) => ExitCode::SUCCESS,
        Err(Stop::Failed(failure)) => failure.exit(),
    }
}

/// Colour on stdout only if it is a terminal, and nobody asked for none.
fn choose_colour() {
    console::set_colors_enabled(report::colour_on(&io::stdout()));
    console::set_colors_enabled_stderr(report::colour_on(&io::stderr()));
}

#[cfg(test)]
mod tests {
    use super::without_place;

    #[test]
    fn a_fault_loses_its_place_and_no_other_words() {
        for (words, left) in [
            ("/items/a: unknown group \"a\" (known: b)", "unknown group \"a\" (known: b)"),
            ("?url: \"x\" is no path", "\"x\" is no path"),
            ("the body is not JSON: EOF", "the body is not JSON: EOF"),
            ("/a b: c", "/a b: c"),
            ("", ""),
        ] {
            assert_eq!(without_place(words), left);
        }
    }
}
