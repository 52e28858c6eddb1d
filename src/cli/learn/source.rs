//! Where logs come from: files, and `-` for stdin.

use super::escape::plain;
use super::lines::{Line, Lines};
use super::tally::Tally;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What `-` is called.
const STDIN: &str = "stdin";

/// A log that is open.
pub(super) struct Source {
    pub(super) name: String,
    from: Box<dyn Read>,
}

impl Source {
    /// Opens all of them, before any is read.
    pub(super) fn open_all(paths: &[PathBuf]) -> Result<Vec<Self>, String> {
        paths.iter().map(|path| Self::open(path)).collect()
    }

    fn open(path: &Path) -> Result<Self, String> {
        if path.as_os_str() == "-" {
            return Ok(Self { name: STDIN.into(), from: Box::new(io::stdin().lock()) });
        }
        let name = plain(&path.display().to_string());
        match File::open(path) {
            Ok(file) => Ok(Self { name, from: Box::new(file) }),
            Err(error) => {
                Err(format!("{name}: cannot be read: {error}\n\n  fix: name an access log that exists and may be read, or - for stdin"))
            }
        }
    }

    /// Reads it to its end.
    pub(super) fn read(self, tally: &mut Tally, progress: &mut Progress) -> Result<(), String> {
        let Self { name, from } = self;
        let failed = |error: io::Error| format!("{name}: cannot be read: {error}");
        let mut lines = Lines::new(from);
        if let Some(tool) = lines.beginning().map_err(failed)?.get(..4).and_then(unpacker) {
            let file = if name == STDIN { "access.log" } else { &name };
            return Err(format!("{name} is compressed\n\n  fix: unpack it on the way: {tool} {file} | warmfront learn -"));
        }
        let mut before = 0;
        while let Some(line) = lines.next().map_err(failed)? {
            match line {
                Line::Whole([]) => {}
                Line::Whole(line) => tally.line(line),
                Line::TooLong => tally.too_long(),
            }
            if lines.read != before {
                progress.read(lines.read - before, tally.counts.lines);
                before = lines.read;
            }
        }
        Ok(())
    }
}

/// What unpacks a file that begins so.
fn unpacker(beginning: &[u8]) -> Option<&'static str> {
    match beginning {
        [0x1f, 0x8b, ..] => Some("zcat"),
        [0x28, 0xb5, 0x2f, 0xfd] => Some("zstdcat"),
        [0xfd, b'7', b'z', b'X'] => Some("xzcat"),
        [b'B', b'Z', b'h', b'1'..=b'9'] => Some("bzcat"),
        _ => None,
    }
}

/// A line on stderr that says how far it is: on a terminal only, and gone at the end.
pub(super) struct Progress {
    on: bool,
    bytes: u64,
    shown: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { on: io::stderr().is_terminal(), bytes: 0, shown: Instant::now() }
    }

    fn read(&mut self, bytes: u64, lines: u64) {
        self.bytes += bytes;
        if self.on && self.shown.elapsed() > Duration::from_millis(200) {
            self.shown = Instant::now();
            let _ = write!(io::stderr(), "\rreading: {} MiB, {lines} lines\u{1b}[K", self.bytes >> 20);
        }
    }

    pub(super) fn done(&self) {
        if self.on {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}
