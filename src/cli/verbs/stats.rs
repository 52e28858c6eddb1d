//! `warmfront stats`: how a running sidecar does, once or again and again.

use super::args::{StatsArgs, TableOrJson};
use super::screen::{Moment, line, screen};
use super::{Stop, choose_colour, exit};
use crate::cli::client::{self, Admin};
use crate::cli::signals::Signals;
use crate::cli::{Failure, report};
use console::{Term, truncate_str};
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

pub(in crate::cli) fn run(args: &StatsArgs) -> ExitCode {
    choose_colour();
    exit(args.place.find().map_err(Stop::from).and_then(|admin| {
        client::block_on(async {
            if args.watch { watch(args, &admin).await } else { write(args.format, &admin, &ask(&admin).await?, None) }
        })?
    }))
}

async fn ask(admin: &Admin) -> Result<Moment, Stop> {
    let mut told = admin.get_json("/api/cache/stats").await?;
    let data = told["data"].take();
    Moment::read(data).ok_or_else(|| Failure::Work(format!("the admin API at {admin} answered with something else than stats")).into())
}

/// Once more: the whole screen, or what a script can read.
fn write(format: TableOrJson, admin: &Admin, now: &Moment, before: Option<&Moment>) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    match format {
        TableOrJson::Json => writeln!(out, "{}", now.data)?,
        TableOrJson::Table => screen(admin, now, before).iter().try_for_each(|line| writeln!(out, "{line}"))?,
    }
    out.flush()?;
    Ok(())
}

/// Goes on until a signal. A sidecar that does not answer for a while is waited for, if it has answered before.
async fn watch(args: &StatsArgs, admin: &Admin) -> Result<(), Stop> {
    let mut signals = Signals::take().map_err(|error| Failure::Work(format!("cannot take signals: {error}")))?;
    let mut page = (args.format == TableOrJson::Table && io::stdout().is_terminal()).then(Page::new);
    let (mut before, mut answered): (Option<Moment>, bool) = (None, true);
    loop {
        let asked = tokio::select! {
            asked = ask(admin) => asked,
            _ = signals.next() => return Ok(()),
        };
        let again = std::mem::replace(&mut answered, asked.is_ok());
        match (asked, &mut page) {
            (Ok(now), Some(page)) => {
                page.show(screen(admin, &now, before.as_ref()))?;
                before = Some(now);
            }
            (Ok(now), None) => {
                match args.format {
                    TableOrJson::Json => write(args.format, admin, &now, None)?,
                    TableOrJson::Table => writeln!(io::stdout(), "{}", line(&now, before.as_ref()))?,
                }
                before = Some(now);
            }
            (Err(Stop::Failed(failure)), page) if before.is_some() => {
                if again {
                    gone(&failure, page.as_mut())?;
                }
            }
            (Err(stop), _) => return Err(stop),
        }
        tokio::select! {
            () = tokio::time::sleep(args.interval) => {}
            _ = signals.next() => return Ok(()),
        }
    }
}

/// Says that there is no answer any more; the last figures stay where they are.
fn gone(failure: &Failure, page: Option<&mut Page>) -> io::Result<()> {
    let (Failure::Work(words) | Failure::Usage(words)) = failure;
    let first = words.lines().next().unwrap_or_default();
    match page {
        Some(page) => page.add(first),
        None => {
            report::error(first);
            Ok(())
        }
    }
}

/// A screen that is painted again and again, in one piece: nothing flickers.
struct Page {
    term: Term,
    lines: Vec<String>,
    painted: usize,
}

impl Page {
    fn new() -> Self {
        Self { term: Term::buffered_stdout(), lines: Vec::new(), painted: 0 }
    }

    fn show(&mut self, lines: Vec<String>) -> io::Result<()> {
        self.lines = lines;
        self.paint(None)
    }

    fn add(&mut self, line: &str) -> io::Result<()> {
        let line = console::style(line).red().to_string();
        self.paint(Some(&line))
    }

    /// What does not fit is cut: a line that goes on in the next one could not be painted over.
    fn paint(&mut self, more: Option<&str>) -> io::Result<()> {
        let (height, width) = self.term.size();
        let (height, width) = (usize::from(height).max(2) - 1, usize::from(width).max(2));
        self.term.move_cursor_up(self.painted)?;
        let lines = more.into_iter().chain(self.lines.iter().map(String::as_str)).take(height);
        self.painted = 0;
        for line in lines {
            // Overwritten, not cleared first.
            self.term.write_str(&truncate_str(line, width - 1, "…"))?;
            self.term.write_str("\u{1b}[K\n")?;
            self.painted += 1;
        }
        self.term.clear_to_end_of_screen()?;
        self.term.flush()
    }
}
