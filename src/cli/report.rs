//! What people read on stderr: one line first, then detail; in colour only on a terminal, and never if `NO_COLOR` is set.

use crate::config::Fault;
use std::io::{IsTerminal, Write as _};

const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";
const GREEN: &str = "\u{1b}[32m";
const PLAIN: &str = "\u{1b}[0m";

/// Whether colour may be used on `stream` (no-color.org).
pub(super) fn colour_on(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// `error: ...`
pub(super) fn error(text: &str) {
    say(&painted("error", RED, text, colour_on(&std::io::stderr())));
}

/// `warning: ...` for each.
pub(super) fn warnings(warnings: &[Fault]) {
    let colour = colour_on(&std::io::stderr());
    for warning in warnings {
        say(&painted("warning", YELLOW, &warning.to_string(), colour));
    }
}

/// One line about what goes on.
pub(super) fn note(text: &str) {
    say(&format!("warmfront: {text}"));
}

/// One line as it is.
pub(super) fn line(text: &str) {
    say(text);
}

/// Prints on stdout; a closed pipe is nobody's fault.
pub(super) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// Runs `say` on a thread of its own, and waits for it for a moment only: whoever reads stderr, or does not, must not hold up what serves.
pub(super) fn briefly(say: impl FnOnce() + Send + 'static) {
    let (said, waiting) = std::sync::mpsc::channel::<()>();
    let talking = std::thread::Builder::new().spawn(move || {
        say();
        drop(said);
    });
    if talking.is_ok() {
        let _ = waiting.recv_timeout(std::time::Duration::from_millis(300)); // nothing is ever sent: it ends
    }
}

fn say(text: &str) {
    // In one piece: others write lines there too.
    let _ = std::io::stderr().write_all(format!("{}\n", text.trim_end()).as_bytes());
}

fn painted(label: &str, colour: &str, text: &str, on: bool) -> String {
    if !on {
        return format!("{label}: {text}");
    }
    let line = |line: &str| {
        if let Some(fix) = line.strip_prefix("  fix:") {
            format!("  {GREEN}fix:{PLAIN}{fix}\n")
        } else if line.ends_with('^') && line.trim_start().starts_with("| ") {
            line.replacen('^', &format!("{colour}^"), 1) + PLAIN + "\n"
        } else {
            format!("{line}\n")
        }
    };
    format!("{colour}{label}:{PLAIN} {}", text.lines().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::painted;

    #[test]
    fn colour_adds_nothing_but_colour() {
        let text = "a: b\n  1 | x = 2\n    |     ^^\n  fix: y\n";
        let plain = painted("error", "\u{1b}[1;31m", text, false);
        let mut painted = painted("error", "\u{1b}[1;31m", text, true);
        assert!(painted.contains("\u{1b}[1;31m^^\u{1b}[0m") && painted.contains("\u{1b}[32mfix:"));
        while let Some(at) = painted.find('\u{1b}') {
            let end = painted[at..].find('m').unwrap();
            painted.replace_range(at..=at + end, "");
        }
        assert_eq!(painted, plain);
    }
}
