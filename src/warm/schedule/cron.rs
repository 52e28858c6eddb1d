//! Cron lines: the one door to croner.

use crate::clock::Stamp;
use crate::suggest::quote;
use crate::warm::fault::PlanFault;
use crate::warm::schedule::zone::Zone;
use croner::parser::{CronParser, Year};
use std::fmt;
use std::sync::Arc;

/// The most bytes of a cron line.
const LONGEST: usize = 256;
/// Lines are tried from here on: 2000-01-01T00:00:00Z. What has not fired in the three thousand years after it never does.
const PROBE: Stamp = Stamp::from_millis(946_684_800_000);

/// A cron line: minute, hour, day of the month, month and weekday (0 and 7 are Sunday), and before them the second if there are six fields.
///
/// Fixed times follow daylight saving time as Vixie's cron does: what falls into the skipped hour runs once, right after it; what falls into
/// the doubled hour runs once, in the first. Lines with `*` or steps run by the clock on the wall, in both.
#[derive(Clone)]
pub struct Cron {
    text: Arc<str>,
    parsed: Arc<croner::Cron>,
}

impl Cron {
    /// Reads 5 or 6 fields.
    ///
    /// # Errors
    /// [`PlanFault::Cron`]: malformed; [`PlanFault::NeverFires`]: well-formed, as `0 0 31 2 *`, for a day that does not exist.
    pub fn parse(text: &str) -> Result<Self, PlanFault> {
        let wrong = |why: &str| PlanFault::Cron(text.into(), why.into());
        if text.len() > LONGEST {
            return Err(wrong("it is too long"));
        }
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let fields = text.split(' ').filter(|field| !field.is_empty()).count();
        if !(5..=6).contains(&fields) {
            return Err(wrong(&format!("it has {fields} field{}", if fields == 1 { "" } else { "s" })));
        }
        let parser = CronParser::builder().year(Year::Disallowed).build();
        let parsed = parser.parse(&text).map_err(|error| wrong(&why(&text, &parser, &plain(&error.to_string()))))?;
        let cron = Self { text: text.as_str().into(), parsed: parsed.into() };
        match cron.after(PROBE, &Zone::default()) {
            Some(_) => Ok(cron),
            None => Err(PlanFault::NeverFires(text)),
        }
    }

    /// The fields as they were written, with one space between them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first moment of this line after `after`; `None` at the end of time.
    pub(super) fn after(&self, after: Stamp, zone: &Zone) -> Option<Stamp> {
        let next = self.parsed.find_next_occurrence(&zone.at(after)?, false).ok()?;
        u64::try_from(next.timestamp().as_millisecond()).ok().map(Stamp::from_millis)
    }
}

/// `words` about the whole line, or about the first field that is wrong by itself.
fn why(text: &str, parser: &CronParser, words: &str) -> String {
    const NAMES: [&str; 6] = ["second", "minute", "hour", "day", "month", "weekday"];
    let fields: Vec<&str> = text.split(' ').collect();
    for (at, field) in fields.iter().enumerate() {
        let alone: Vec<&str> = (0..fields.len()).map(|other| if other == at { *field } else { "*" }).collect();
        if let Err(error) = parser.parse(&alone.join(" ")) {
            return format!("its {} {}: {}", NAMES[at + 6 - fields.len()], quote(field), plain(&error.to_string()));
        }
    }
    words.into()
}

/// An error of croner's without the name of its kind and without a full stop.
fn plain(words: &str) -> String {
    let words = ["Component error: ", "Invalid pattern: ", "Pattern contains illegal characters: "]
        .into_iter()
        .find_map(|kind| words.strip_prefix(kind))
        .unwrap_or(words);
    let words = words.trim_end_matches('.').replace("CronPattern", "it");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
