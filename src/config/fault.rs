//! What is wrong with a configuration, where, and what to write instead.

use std::fmt;
use std::path::PathBuf;

/// One fault (or warning): where it is, which key, what was found and how to put it right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it was said.
    pub place: Place,
    /// The dotted key, as `cache.max_bytes` or `rules[0].path`; empty where it is about no key.
    pub key: String,
    /// What was found, in words.
    pub found: String,
    /// What to do about it.
    pub fix: String,
}

/// Who said something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A place in the file.
    File(Spot),
    /// A file as a whole.
    Document(PathBuf),
    /// The environment variable of this name.
    Environment(String),
    /// The flag of this name.
    Flag(&'static str),
    /// Nobody: something is missing, or a default.
    Nowhere,
}

/// A place in a file, with its line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The file as it was named.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters it spans in that line, at least 1.
    pub width: usize,
    /// The line's text, without what must not be shown.
    pub text: String,
}

/// All faults of a configuration, in the order of the file, then environment, then flags. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Fault {
    pub(super) fn new(place: &Place, key: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { place: place.clone(), key: key.into(), found: found.into(), fix: fix.into() }
    }
}

impl Faults {
    /// `None` for no faults.
    pub(super) fn new(mut faults: Vec<Fault>) -> Option<Self> {
        sort(&mut faults);
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// The faults.
    #[must_use]
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }

    /// Whether every fault is in a flag: then the command line is to blame, not the configuration.
    #[must_use]
    pub fn only_in_flags(&self) -> bool {
        self.0.iter().all(|fault| matches!(fault.place, Place::Flag(_)))
    }

    /// The first line: how many, and where. `3 faults in warmfront.toml`.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut places: Vec<String> = Vec::new();
        for fault in &self.0 {
            let place = match &fault.place {
                Place::Document(path) | Place::File(Spot { path, .. }) => path.display().to_string(),
                Place::Environment(_) => "the environment".into(),
                Place::Flag(_) => "the flags".into(),
                Place::Nowhere => "the configuration".into(),
            };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let count = self.0.len();
        format!("{count} fault{} in {}", if count == 1 { "" } else { "s" }, places.join(" and "))
    }
}

/// Puts faults in the order in which a reader meets their places.
pub(super) fn sort(faults: &mut [Fault]) {
    faults.sort_by(|a, b| a.place.cmp(&b.place));
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary())?;
        self.0.iter().try_for_each(|fault| write!(f, "\n{fault}"))
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Nowhere => {}
            place => write!(f, "{place}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        writeln!(f, "{}", self.found)?;
        if let Place::File(spot) = &self.place {
            let number = spot.line.to_string();
            let margin = " ".repeat(number.len());
            writeln!(f, "  {number} | {}", spot.text)?;
            writeln!(f, "  {margin} | {}{}", " ".repeat(spot.column - 1), "^".repeat(spot.width))?;
        }
        writeln!(f, "  fix: {}", self.fix)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(path) => write!(f, "{}", path.display()),
            Self::File(spot) => write!(f, "{}:{}:{}", spot.path.display(), spot.line, spot.column),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => f.write_str(name),
            Self::Nowhere => f.write_str("nowhere"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, Place, Spot};

    fn at(line: usize) -> Place {
        Place::File(Spot { path: "a.toml".into(), line, column: 5, width: 2, text: "x = 12".into() })
    }

    #[test]
    fn the_summary_counts_and_names_the_places_in_order() {
        let fault = |place: &Place| Fault::new(place, "x", "found", "fix");
        let faults = Faults::new(vec![fault(&Place::Environment("WARMFRONT_X".into())), fault(&at(10)), fault(&at(9))]).unwrap();
        assert_eq!(faults.summary(), "3 faults in a.toml and the environment");
        let lines: Vec<String> = faults.as_slice().iter().map(|fault| fault.place.to_string()).collect();
        assert_eq!(lines, ["a.toml:9:5", "a.toml:10:5", "environment WARMFRONT_X"]);
    }

    #[test]
    fn a_fault_shows_its_line_with_a_caret() {
        let text = Fault::new(&at(10), "x", "a number", "write \"12s\"").to_string();
        assert_eq!(text, "a.toml:10:5: x: a number\n  10 | x = 12\n     |     ^^\n  fix: write \"12s\"\n");
    }
}
