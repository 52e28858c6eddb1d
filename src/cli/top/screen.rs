//! What the screen knows: what the last looks have shown, and where the user is. Nothing here asks or draws.

use super::poll::{Look, Ready};
use super::rows::{Group, Key, Origin, Room};
use super::trail::Trail;
use crate::clock::Stamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::time::Duration;

/// Rows that a page key goes.
const PAGE: usize = 10;
/// How long a message stays.
const MESSAGE: Duration = Duration::from_secs(6);

/// Everything that is drawn.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    /// The sidecar's address.
    pub(super) address: String,
    pub(super) interval: Duration,
    /// Whether colour may be used.
    pub(super) colour: bool,
    pub(super) now: Stamp,
    pub(super) trail: Trail,
    pub(super) seen: Option<Seen>,
    /// Why the last look failed.
    pub(super) trouble: Option<String>,
    pub(super) focus: Table,
    pub(super) group_at: usize,
    pub(super) key_at: usize,
    pub(super) sort: Sort,
    pub(super) help: bool,
    message: Option<(Stamp, String)>,
}

/// What the last look that went well has shown.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) room: Room,
    pub(super) origins: Vec<Origin>,
    pub(super) groups: Vec<Group>,
    pub(super) keys: Vec<Key>,
    /// The order in which the keys came.
    pub(super) sorted: Option<Sort>,
    pub(super) ready: Ready,
}

/// A table that can be walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Groups,
    Keys,
}

/// An order of keys, as `/api/cache/keys` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Hits,
    Bytes,
    Age,
    Ttl,
}

impl Sort {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Hits => "hits",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Ttl => "ttl",
        }
    }

    /// What comes first in it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Hits => "hottest keys",
            Self::Bytes => "largest keys",
            Self::Age => "oldest keys",
            Self::Ttl => "keys that end next",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Hits => Self::Bytes,
            Self::Bytes => Self::Age,
            Self::Age => Self::Ttl,
            Self::Ttl => Self::Hits,
        }
    }
}

/// What a key asks for beyond the screen itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Quit,
    /// Warm this group.
    Warm(String),
    /// Look again at once.
    Look,
}

impl Screen {
    pub(super) fn new(address: String, interval: Duration, colour: bool, now: Stamp) -> Self {
        Self {
            address,
            interval,
            colour,
            now,
            trail: Trail::default(),
            seen: None,
            trouble: None,
            focus: Table::Keys,
            group_at: 0,
            key_at: 0,
            sort: Sort::Hits,
            help: false,
            message: None,
        }
    }

    /// Takes what a look has shown, or why it has shown nothing: then what was seen before stays.
    pub(super) fn take(&mut self, now: Stamp, look: Result<Look, String>) {
        self.now = now;
        match look {
            Ok(look) => {
                self.trouble = None;
                self.trail.take(now, look.scrape);
                let before = self.seen.take();
                let (sorted, keys) = match (look.keys, before) {
                    (Some((sort, keys)), _) => (Some(sort), keys),
                    (None, Some(before)) => (before.sorted, before.keys),
                    (None, None) => (None, Vec::new()),
                };
                self.seen = Some(Seen { room: look.room, origins: look.origins, groups: look.groups, keys, sorted, ready: look.ready });
                self.stay_inside();
            }
            Err(why) => self.trouble = Some(why),
        }
    }

    /// Shows a message for a while.
    pub(super) fn say(&mut self, now: Stamp, words: String) {
        self.message = Some((now, words));
    }

    /// The message that is shown now.
    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_ref().filter(|(said, _)| self.now.since(*said) < MESSAGE).map(|(_, words)| words.as_str())
    }

    /// How many rows a table has.
    pub(super) fn rows(&self, table: Table) -> usize {
        self.seen.as_ref().map_or(0, |seen| match table {
            Table::Groups => seen.groups.len(),
            Table::Keys => seen.keys.len(),
        })
    }

    /// Does what a key says.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Wish::Quit,
            _ if control || key.modifiers.contains(KeyModifiers::ALT) => {}
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Esc | KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.help = !self.help,
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = if self.focus == Table::Keys { Table::Groups } else { Table::Keys };
            }
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.key_at = 0;
                return Wish::Look;
            }
            KeyCode::Char('w') => return self.warm(),
            code => self.walk(code),
        }
        Wish::Nothing
    }

    fn warm(&mut self) -> Wish {
        match self.seen.as_ref().and_then(|seen| seen.groups.get(self.group_at)) {
            Some(group) if self.trouble.is_none() => Wish::Warm(group.name.clone()),
            Some(_) => Wish::Nothing,
            None => {
                self.say(self.now, "there is no group to warm".into());
                Wish::Nothing
            }
        }
    }

    fn walk(&mut self, code: KeyCode) {
        let at = match self.focus {
            Table::Groups => &mut self.group_at,
            Table::Keys => &mut self.key_at,
        };
        *at = match code {
            KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => at.saturating_add(1),
            KeyCode::PageUp => at.saturating_sub(PAGE),
            KeyCode::PageDown => at.saturating_add(PAGE),
            KeyCode::Home => 0,
            KeyCode::End => usize::MAX,
            _ => *at,
        };
        self.stay_inside();
    }

    fn stay_inside(&mut self) {
        self.group_at = self.group_at.min(self.rows(Table::Groups).saturating_sub(1));
        self.key_at = self.key_at.min(self.rows(Table::Keys).saturating_sub(1));
    }
}
