//! What has been read: every line counts once, under what became of it.

use super::draft::Took;
use super::escape::plain;
use super::line;
use super::names::Names;
use super::sieve::{Sieve, Skipped, Wanted};
use super::sketch::Sketch;

/// Queries that are held at a time.
pub(super) const CAPACITY: usize = 100_000;
/// What a request without a time weighs, in microseconds: something between a fast origin and a slow one.
pub(super) const UNTIMED: u64 = 100_000;
/// Hosts that are remembered by name.
const MOST_HOSTS: usize = 32;
/// Characters of a line that is shown.
const SHOWN: usize = 120;

/// Counts lines, and holds the heaviest queries.
#[derive(Debug)]
pub(super) struct Tally {
    names: Names,
    sieve: Sieve,
    pub(super) sketch: Sketch,
    pub(super) counts: Counts,
    pub(super) hosts: Hosts,
    /// The first line that was not recognised.
    pub(super) example: Option<String>,
}

/// How many lines, and what they told.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) lines: u64,
    skipped: [u64; Skipped::ALL.len()],
    pub(super) counted: u64,
    /// Counted lines that told of a miss.
    pub(super) told: u64,
    /// Counted lines by whose time they have: the origin's, that of the whole request, none.
    pub(super) of_origin: u64,
    pub(super) of_request: u64,
    pub(super) untimed: u64,
    /// The weight of all counted lines, in microseconds.
    pub(super) weight: u64,
}

/// The hosts that were asked, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) seen: Vec<(String, u64)>,
    /// Lines of hosts beyond those.
    pub(super) others: u64,
    /// Where the last one was found.
    last: usize,
}

impl Tally {
    pub(super) fn new(sieve: Sieve) -> Self {
        Self {
            names: Names::new(),
            sieve,
            sketch: Sketch::new(CAPACITY),
            counts: Counts::default(),
            hosts: Hosts::default(),
            example: None,
        }
    }

    /// Counts a line.
    pub(super) fn line(&mut self, line: &[u8]) {
        self.counts.lines += 1;
        let Some(asked) = line::read(line, &self.names) else {
            self.counts.skip(Skipped::NotRecognised);
            self.example.get_or_insert_with(|| shown(line));
            return;
        };
        match self.sieve.judge(&asked) {
            Err(why) => self.counts.skip(why),
            Ok(wanted) => {
                let weight = self.counts.count(&wanted);
                self.sketch.add(&wanted.target, weight, wanted.took != Took::Unknown);
                self.hosts.count(wanted.host);
            }
        }
    }

    /// Counts a line that was too long to be read.
    pub(super) fn too_long(&mut self) {
        self.counts.lines += 1;
        self.counts.skip(Skipped::TooLong);
    }
}

impl Counts {
    fn skip(&mut self, why: Skipped) {
        self.skipped[why as usize] += 1;
    }

    /// Counts a line that counts; its weight.
    fn count(&mut self, wanted: &Wanted<'_>) -> u64 {
        self.counted += 1;
        self.told += u64::from(wanted.told);
        let (of, weight) = match wanted.took {
            Took::Origin(micros) => (&mut self.of_origin, micros.max(1)),
            Took::Request(micros) => (&mut self.of_request, micros.max(1)),
            Took::Unknown => (&mut self.untimed, UNTIMED),
        };
        *of += 1;
        self.weight = self.weight.saturating_add(weight);
        weight
    }

    /// The reasons that occurred, with their numbers.
    pub(super) fn skipped(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let numbered = Skipped::ALL.iter().map(|why| (why.as_str(), self.skipped[*why as usize]));
        numbered.filter(|(_, number)| *number > 0)
    }

    /// `12 not recognised, 3 by a signed-in user`
    pub(super) fn skipped_text(&self) -> String {
        self.skipped().map(|(why, number)| format!("{number} {why}")).collect::<Vec<_>>().join(", ")
    }

    /// What a counted line is called.
    pub(super) fn noun(&self) -> &'static str {
        if self.told > 0 { "misses" } else { "requests" }
    }

    /// Whether any counted line has a time.
    pub(super) fn has_times(&self) -> bool {
        self.of_origin + self.of_request > 0
    }
}

impl Hosts {
    fn count(&mut self, host: Option<&str>) {
        let Some(host) = host else { return };
        if !self.seen.get(self.last).is_some_and(|(seen, _)| seen.eq_ignore_ascii_case(host)) {
            match self.seen.iter().position(|(seen, _)| seen.eq_ignore_ascii_case(host)) {
                Some(at) => self.last = at,
                None if self.seen.len() < MOST_HOSTS => {
                    self.last = self.seen.len();
                    self.seen.push((host.to_ascii_lowercase(), 0));
                }
                None => {
                    self.others += 1;
                    return;
                }
            }
        }
        self.seen[self.last].1 += 1;
    }
}

/// A line as it can be shown: its beginning, with control characters escaped.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * SHOWN)]);
    let escaped = plain(&text);
    match escaped.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &escaped[..end]),
        None => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::{Hosts, MOST_HOSTS, Tally, UNTIMED, shown};
    use crate::Settings;
    use crate::cli::learn::sieve::Sieve;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn tally() -> Tally {
        Tally::new(Sieve { settings: Settings::default(), host: None, with_users: false })
    }

    #[test]
    fn a_line_weighs_its_time_and_one_without_a_time_weighs_a_tenth_of_a_second() {
        let mut tally = tally();
        tally.line(br#"a - - [t] "GET /a HTTP/1.1" 200 1 "-" "-" 0.500 urt=0.300"#);
        tally.line(br#"a - - [t] "GET /a HTTP/1.1" 200 1 "-" "-" 0.000"#);
        tally.line(br#"a - - [t] "GET /a HTTP/1.1" 200 1 "-" "-" urt=0.000"#);
        tally.line(br#"a - - [t] "GET /b HTTP/1.1" 200 1 "-" "-""#);
        let counts = &tally.counts;
        assert_eq!((counts.of_origin, counts.of_request, counts.untimed, counts.weight), (2, 1, 1, 300_002 + UNTIMED));
        let items = tally.sketch.into_heaviest();
        assert_eq!((&*items[0].key, items[0].weight, items[0].count, items[0].timed), ("/a", 300_002, 3, 3));
    }

    #[test]
    fn what_is_shown_of_a_line_is_short_and_has_no_control_characters() {
        assert_eq!(shown(b"a\x1b[31m\xff"), "a\\u{1b}[31m\u{fffd}");
        assert_eq!(shown("é".repeat(500).as_bytes()), "é".repeat(120) + "...");
        assert_eq!(shown("é".repeat(120).as_bytes()), "é".repeat(120));
    }

    #[test]
    fn hosts_are_counted_without_case_and_only_so_many_by_name() {
        let mut hosts = Hosts::default();
        for host in [Some("A.example"), None, Some("b"), Some("a.EXAMPLE")] {
            hosts.count(host);
        }
        assert_eq!(hosts.seen, [("a.example".into(), 2), ("b".into(), 1)]);
        for n in 0..100 {
            hosts.count(Some(&format!("h{n}")));
        }
        assert_eq!((hosts.seen.len(), hosts.others), (MOST_HOSTS, 100 - 30));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_line(lines in any::<Vec<Vec<u8>>>(), tail in any::<Vec<u8>>()) {
            let mut tally = tally();
            for line in &lines {
                tally.line(line);
                tally.line(&[&br#"a - - [t] "GET /"#[..], line, &br#"" 200 "#[..], &tail].concat());
                tally.line(&[&br#"{"method":"GET","status":200,"uri":"/"#[..], line, &br#"","request":{"x":"#[..], &tail].concat());
            }
            let skipped: u64 = tally.counts.skipped().map(|(_, number)| number).sum();
            prop_assert_eq!((tally.counts.lines, skipped + tally.counts.counted), (3 * lines.len() as u64, 3 * lines.len() as u64));
        }
    }
}
