//! `warmfront top`: a running sidecar on a live terminal screen, as its admin API tells it.
//!
//! `poll` has one look after the other, `scrape`, `latency` and `rows` read what it brings, `trail` keeps what came from look to look, `screen` knows
//! where the user is, `draw` paints it: all of them pure but `poll`. This file is the loop around them, `terminal` the door to the terminal.

mod draw;
mod latency;
mod poll;
mod rows;
mod scrape;
mod screen;
mod terminal;
#[cfg(test)]
mod tests;
mod trail;

use super::args::TopArgs;
use super::client::{Admin, block_on};
use super::signals::Signals;
use super::{Failure, args, report};
use crate::clock::Clock;
use crate::config::load;
use poll::{Look, first_line, look, warm};
use ratatui::crossterm::event::Event;
use screen::{Screen, Wish};
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;
use terminal::Terminal;
use tokio::task::{JoinError, JoinSet};

/// Keys are asked for at most this often: it costs the sidecar tens of milliseconds where there are many.
const KEYS_EVERY: Duration = Duration::from_secs(2);

const NO_TERMINAL: &str = "top draws on a terminal, and stdout is none\n\n  fix: warmfront stats tells the same figures as text or JSON";

pub(super) fn run(args: TopArgs) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit(),
    }
}

fn start(args: TopArgs) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::Usage(NO_TERMINAL.into()));
    }
    let mut sources = args::sources(args.config);
    // Whom the sidecar asks is its own configuration's matter.
    sources.flags.push(("upstream.urls", "http://upstream.invalid".into(), "nobody"));
    let admin = Admin::find(args.admin.as_deref(), &load(sources)?.admin)?;
    block_on(show(&admin, args.interval))?.map_err(|error| Failure::Work(format!("the terminal does not work: {error}")))
}

/// What happens beside the keys.
#[derive(Debug)]
enum News {
    Looked(Box<Result<Look, String>>),
    Warmed(String),
}

/// Looks, draws and listens to keys until the user has seen enough, or a signal says so.
async fn show(admin: &Admin, interval: Duration) -> io::Result<()> {
    let mut signals = Signals::take()?;
    let clock = Clock::machine();
    let mut terminal = Terminal::enter()?;
    let mut screen = Screen::new(admin.to_string(), interval, report::colour_on(&io::stdout()), clock.wall());
    let mut work: JoinSet<News> = JoinSet::new();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut looking, mut keys_at) = (false, None);
    loop {
        screen.now = clock.wall();
        terminal.draw(|frame| draw::draw(frame, &screen))?;
        let wish = tokio::select! {
            event = terminal.event() => match event? {
                Event::Key(key) => screen.press(key),
                _ => Wish::Nothing, // a resize: drawing is all it wants
            },
            Some(done) = work.join_next() => {
                match unpanicked(done) {
                    Some(News::Looked(result)) => {
                        looking = false;
                        screen.take(clock.wall(), *result);
                    }
                    Some(News::Warmed(words)) => screen.say(clock.wall(), words),
                    None => {}
                }
                Wish::Nothing
            }
            _ = ticks.tick() => Wish::Look,
            _ = signals.next() => Wish::Quit,
        };
        match wish {
            Wish::Nothing => {}
            Wish::Quit => return Ok(()),
            Wish::Warm(group) => {
                let admin = admin.clone();
                work.spawn(async move { News::Warmed(warm(&admin, &group).await) });
            }
            Wish::Look if looking => {}
            Wish::Look => {
                looking = true;
                let now = clock.now();
                let sorted = screen.seen.as_ref().and_then(|seen| seen.sorted);
                let due = sorted != Some(screen.sort) || keys_at.is_none_or(|at| now.since(at) >= KEYS_EVERY);
                if due {
                    keys_at = Some(now);
                }
                let (admin, sort) = (admin.clone(), due.then_some(screen.sort));
                work.spawn(async move { News::Looked(Box::new(look(&admin, sort).await.map_err(|trouble| first_line(&trouble)))) });
            }
        }
    }
}

/// What a task brought; its panic is ours.
fn unpanicked<T>(done: Result<T, JoinError>) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}
