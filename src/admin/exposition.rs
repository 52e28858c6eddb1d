//! Prometheus text format 0.0.4: how metrics are written, and nothing about which there are.

use crate::telemetry::{BOUNDS, Distribution};
use std::fmt::{Display, Write as _};

/// The media type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A text that grows by one metric after the other.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// A metric whose samples are being written.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a metric.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing into a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
        Family { text: &mut self.0, name }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Writes one number.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// Writes the buckets of a histogram, their sum and their count.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, distribution: &Distribution) {
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(distribution.buckets) {
            below += count;
            self.line("_bucket", labels, Some(&seconds(*bound).to_string()), below);
        }
        let count = distribution.count();
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, seconds(distribution.nanos));
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        let bound = bound.map(|bound| ("le", bound));
        for (at, (label, value)) in labels.iter().copied().chain(bound).enumerate() {
            let _ = write!(self.text, "{}{label}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(value));
        }
        let close = if labels.is_empty() && bound.is_none() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::{CONTENT_TYPE, Exposition, Kind};
    use crate::telemetry::Histogram;

    #[test]
    fn the_media_type_names_the_version_of_the_format() {
        assert!(CONTENT_TYPE.starts_with("text/plain; version=0.0.4"));
    }

    #[test]
    fn labels_and_help_are_escaped() {
        let mut exposition = Exposition::default();
        exposition.family("a_total", Kind::Counter, "back\\slash\nline").sample(&[("x", "a\"b\\c\nd"), ("y", "")], 7);
        assert_eq!(
            exposition.into_text(),
            "# HELP a_total back\\\\slash\\nline\n# TYPE a_total counter\na_total{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 7\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_in_infinity() {
        let histogram = Histogram::default();
        [1, 60_000, 20_000_000_000].into_iter().for_each(|nanos| histogram.observe(nanos));
        let mut exposition = Exposition::default();
        exposition.family("t_seconds", Kind::Histogram, "h").histogram(&[], &histogram.read());
        let text = exposition.into_text();
        for line in [
            "t_seconds_bucket{le=\"0.00005\"} 1\n",
            "t_seconds_bucket{le=\"0.0001\"} 2\n",
            "t_seconds_bucket{le=\"10\"} 2\n",
            "t_seconds_bucket{le=\"+Inf\"} 3\n",
            "t_seconds_sum 20.000060001\n",
            "t_seconds_count 3\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
