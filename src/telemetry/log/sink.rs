//! Where lines go. Only the writer's own thread is ever held up here.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a sink that takes nothing just now is left alone; of a pipe that others have made non-blocking.
const BUSY: Duration = Duration::from_millis(5);

/// An open sink.
#[derive(Debug)]
pub(super) enum Sink {
    /// Lines are not written; who subscribes has them.
    Nowhere,
    /// Stderr, in colour if it is a terminal and nobody asked for none (no-color.org).
    Stderr {
        colour: bool,
    },
    File(PathBuf, File),
}

impl Sink {
    /// The file at `path`, made if there is none; without a path stderr.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        Ok(match path {
            None => {
                let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                Self::Stderr { colour: !plain && io::stderr().is_terminal() }
            }
            Some(path) => Self::File(path.to_owned(), file(path)?),
        })
    }

    pub(super) fn in_colour(&self) -> bool {
        matches!(self, Self::Stderr { colour: true })
    }

    /// Opens its file again: the old one may have been moved. If that fails, it goes on with the old one.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(path, open) = self {
            *open = file(path)?;
        }
        Ok(())
    }

    /// Says on stderr that the file cannot be written.
    pub(super) fn complain(&self, error: &io::Error) {
        if let Self::File(path, _) = self {
            let words = format!("warmfront: logs.file {} cannot be written: {error}; events are dropped until it can\n", path.display());
            let _ = io::stderr().lock().write_all(words.as_bytes());
        }
    }

    /// Writes all of `text`, for as long as that takes; on failure, how much of it was written.
    pub(super) fn write(&mut self, text: &[u8]) -> Result<(), (usize, io::Error)> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Stderr { .. } => write_all(&mut io::stderr().lock(), text),
            Self::File(_, file) => write_all(file, text),
        }
    }
}

fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600); // paths tell what people read
    options.open(path)
}

fn write_all(into: &mut impl Write, text: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < text.len() {
        match into.write(&text[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(some) => written += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(BUSY),
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}
