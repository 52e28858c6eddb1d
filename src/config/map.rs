//! Tables whose keys are the user's own, as `query = { page = [1, 2] }`: in the order in which they were written, each part with its place.

use crate::config::fault::Place;
use crate::config::kind::describe;
use crate::config::raw::Findings;
use crate::config::schema;
use crate::suggest::quote;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// A table of the user's own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Map {
    pub(super) place: Place,
    pub(super) entries: Vec<Entry>,
}

/// One key of it with its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) place: Place,
    /// Texts, and numbers and booleans as they were written.
    pub(super) values: Vec<(String, Place)>,
}

/// Which part of an entry a place is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Name,
    Value,
}

/// Reads a table. `at` gives the place of a part; `None`: faults shall point at the name instead. `None`: there were faults, and they have been told.
pub(super) fn read(
    table: &DeTable<'_>,
    place: Place,
    shown: &str,
    at: impl Fn(Range<usize>, Part) -> Option<Place>,
    findings: &mut Findings,
) -> Option<Map> {
    let mut named: Vec<_> = table.iter().collect();
    // The parser sorts by name.
    named.sort_by_key(|(name, _)| name.span().start);
    let (mut entries, mut whole) = (Vec::new(), true);
    for (name, value) in named {
        let own = at(name.span(), Part::Name).unwrap_or_else(|| place.clone());
        let place_of = |span| at(span, Part::Value).unwrap_or_else(|| own.clone());
        let shown = schema::join(shown, &key_text(name.get_ref()));
        let items: Vec<_> = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| (scalar(item.get_ref()), place_of(item.span()))).collect(),
            value_itself => vec![(scalar(value_itself), place_of(value.span()))],
        };
        let mut values = Vec::new();
        for (text, place) in items {
            match text {
                Ok(text) => values.push((text, place)),
                Err(found) => {
                    whole = false;
                    findings.fault(&place, &shown, found, "write a text, a number, true or false, or a list of them: [\"one\", 2]");
                }
            }
        }
        entries.push(Entry { name: name.get_ref().to_string(), place: own, values });
    }
    whole.then_some(Map { place, entries })
}

/// A value as text, or what was found instead.
fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.as_ref().into()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        DeValue::Float(number) => Ok(number.as_str().into()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "found a number out of all bounds".into()),
        other => Err(format!("found {}", describe(other, false))),
    }
}

/// Whether a key is written without quotes.
pub(super) fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A key as it is shown in a path.
pub(super) fn key_text(name: &str) -> String {
    if is_bare(name) { name.into() } else { quote(name) }
}
