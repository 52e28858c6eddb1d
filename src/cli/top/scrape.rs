//! Prometheus text as numbers: what one look at `/metrics` shows, and what has come between two looks.

use std::collections::BTreeMap;

/// When the process started; another number means that every counter began anew.
const START: &str = "process_start_time_seconds";

/// The numbers of one look, or the difference of two.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scrape(BTreeMap<Series, f64>);

/// A metric with its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
}

impl Series {
    fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Scrape {
    /// Reads the text format 0.0.4. What is no sample, or has no finite number, is left out.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(sample).collect())
    }

    /// What has been counted since `earlier`: never less than nothing. If the server has started again in between, that is all that it has counted.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        if self.value(START) != earlier.value(START) {
            return self.clone();
        }
        let grown = |(series, now): (&Series, &f64)| {
            let before = earlier.0.get(series).copied().unwrap_or(0.0);
            (series.clone(), if *now >= before { now - before } else { *now })
        };
        Self(self.0.iter().map(grown).collect())
    }

    /// Adds the numbers of another difference.
    pub(super) fn add(&mut self, other: &Self) {
        for (series, number) in &other.0 {
            *self.0.entry(series.clone()).or_default() += number;
        }
    }

    /// The number of a metric that has no labels.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.of(name).find(|(series, _)| series.labels.is_empty()).map(|(_, number)| number)
    }

    /// The value of a label, of whichever series of the metric comes first.
    pub(super) fn label(&self, name: &str, label: &str) -> Option<&str> {
        self.of(name).map(|(series, _)| series.label(label)).find(|value| !value.is_empty())
    }

    /// All series of a metric, added up.
    pub(super) fn total(&self, name: &str) -> f64 {
        self.of(name).map(|(_, number)| number).sum()
    }

    /// Those series of a metric whose label has this value, added up.
    pub(super) fn sum(&self, name: &str, label: &str, value: &str) -> f64 {
        self.of(name).filter(|(series, _)| series.label(label) == value).map(|(_, number)| number).sum()
    }

    /// The buckets of a histogram for which the label has this value: upper bounds and how many were at or below each, in order.
    pub(super) fn buckets(&self, histogram: &str, label: &str, value: &str) -> Vec<(f64, f64)> {
        let name = format!("{histogram}_bucket");
        let series = self.of(&name).filter(|(series, _)| series.label(label) == value);
        let mut buckets: Vec<(f64, f64)> = series.filter_map(|(series, count)| Some((series.label("le").parse().ok()?, count))).collect();
        buckets.retain(|(bound, _)| !bound.is_nan());
        buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        buckets
    }

    fn of<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a Series, f64)> + use<'a> {
        let first = Series { name: name.to_owned(), labels: Vec::new() };
        let name = name.to_owned();
        self.0.range(first..).take_while(move |(series, _)| series.name == name).map(|(series, number)| (series, *number))
    }
}

/// `name{label="value",...} number`, perhaps with a time behind.
fn sample(line: &str) -> Option<(Series, f64)> {
    let line = line.trim();
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() {
        return None;
    }
    let (mut labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    labels.sort();
    let number: f64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    number.is_finite().then(|| (Series { name: name.to_owned(), labels }, number))
}

/// The labels up to the closing brace, and what is behind it.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, after) = rest.split_once('=')?;
        let (value, behind) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim().to_owned(), value));
        rest = behind;
    }
}

/// A value up to its closing quote, unescaped, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Scrape;
    use proptest::prelude::{any, proptest};

    #[test]
    fn a_line_is_a_sample_or_nothing() {
        for (line, label, number) in [
            ("a 1", "", 1.0),
            ("a 1.5e3 1700000000", "", 1500.0),
            ("  a{} 2", "", 2.0),
            (r#"a{x="y"} 3"#, "y", 3.0),
            (r#"a{ x = "y" , } 3"#, "y", 3.0),
            (r#"a{x="q\"b\\n\n}"} 4"#, "q\"b\\n\n}", 4.0),
            (r#"a{z="1",x="é, ="} 5"#, "é, =", 5.0),
        ] {
            let scrape = Scrape::parse(line);
            assert_eq!((scrape.total("a"), scrape.label("a", "x").unwrap_or("")), (number, label), "{line}");
        }
        for line in
            ["", "# TYPE a counter", "a", "a x", "a NaN", "a +Inf", "{x=\"y\"} 1", "a{x=\"y\" 1", "a{x=y} 1", "a{x} 1", "a{x=\"\\", "é 1"]
        {
            assert_eq!(Scrape::parse(line), Scrape::default(), "{line}");
        }
    }

    #[test]
    fn numbers_are_added_up_by_label_and_other_metrics_stay_out() {
        let text = "r_total{rule=\"a\",outcome=\"hit\"} 2\nr_total{outcome=\"hit\",rule=\"b\"} 3\nr_total{rule=\"a\",outcome=\"miss\"} 4\nr_totals 9\nr 9\n";
        let scrape = Scrape::parse(text);
        assert_eq!((scrape.total("r_total"), scrape.sum("r_total", "outcome", "hit"), scrape.value("r")), (9.0, 5.0, Some(9.0)));
        assert_eq!((scrape.value("r_total"), scrape.total("nothing")), (None, 0.0));
    }

    #[test]
    fn buckets_are_in_order_with_infinity_at_the_end() {
        let text = "t_bucket{o=\"x\",le=\"+Inf\"} 3\nt_bucket{o=\"x\",le=\"10\"} 2\nt_bucket{o=\"x\",le=\"0.5\"} 1\nt_bucket{o=\"y\",le=\"1\"} 7\nt_bucket{o=\"x\",le=\"?\"} 8";
        assert_eq!(Scrape::parse(text).buckets("t", "o", "x"), [(0.5, 1.0), (10.0, 2.0), (f64::INFINITY, 3.0)]);
    }

    #[test]
    fn what_was_counted_between_two_looks_is_never_negative() {
        let at = |start: u32, count: u32| Scrape::parse(&format!("process_start_time_seconds {start}\nc_total{{x=\"y\"}} {count}"));
        for (before, now, grown) in [
            (at(1, 5), at(1, 7), 2.0),
            (at(1, 5), at(1, 5), 0.0),
            (at(1, 5), at(2, 3), 3.0), // started again
            (at(1, 5), at(2, 9), 9.0), // started again, and busier than before
            (at(1, 5), at(1, 2), 2.0), // counts began anew
            (Scrape::default(), at(1, 4), 4.0),
            (at(1, 4), Scrape::default(), 0.0),
        ] {
            assert!((now.since(&before).total("c_total") - grown).abs() < 1e-9, "{before:?} {now:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>(), other in "[a{}=\",\\\\n0-9 .e+\\-\n]{0,80}") {
            let (one, two) = (Scrape::parse(&text), Scrape::parse(&other));
            let grown = two.since(&one);
            assert!(grown.buckets("a", "x", "").is_sorted_by(|(a, _), (b, _)| a <= b));
        }
    }
}
