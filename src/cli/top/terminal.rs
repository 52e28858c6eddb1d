//! The door to the terminal: taken over while this lives, and given back when it is dropped, by a panic too.

use ratatui::crossterm::event::{self, Event};
use ratatui::{DefaultTerminal, Frame};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long the thread that reads keys takes at most to see that nobody listens any more.
const GLANCE: Duration = Duration::from_millis(250);

/// A terminal in raw mode, on its other screen.
#[derive(Debug)]
pub(super) struct Terminal {
    screen: DefaultTerminal,
    events: UnboundedReceiver<io::Result<Event>>,
}

impl Terminal {
    /// Takes the terminal over. A panic gives it back before it says what happened.
    pub(super) fn enter() -> io::Result<Self> {
        let screen = ratatui::try_init().inspect_err(|_| give_back())?;
        let (sender, events) = unbounded_channel();
        std::thread::Builder::new().name("keys".into()).spawn(move || read(&sender)).inspect_err(|_| give_back())?;
        Ok(Self { screen, events })
    }

    pub(super) fn draw(&mut self, paint: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.screen.draw(paint).map(|_| ())
    }

    /// The next key or change of size.
    pub(super) async fn event(&mut self) -> io::Result<Event> {
        self.events.recv().await.unwrap_or_else(|| Err(io::Error::other("nobody reads keys any more")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A panic has given it back already; twice would put the cursor back into what it said.
        if !std::thread::panicking() {
            give_back();
        }
    }
}

fn give_back() {
    // If the terminal is gone there is nothing to give back.
    let _ = ratatui::try_restore();
}

/// Reads until nobody listens: keys can only be waited for on a thread.
fn read(sender: &UnboundedSender<io::Result<Event>>) {
    while !sender.is_closed() {
        let event = match event::poll(GLANCE) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let failed = event.is_err();
        if sender.send(event).is_err() || failed {
            return;
        }
    }
}
