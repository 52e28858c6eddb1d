//! What file, environment and flags said, by key and with the place of each: read by kind, not yet checked for sense.

use crate::config::fault::{Fault, Place};
use crate::config::kind::{Mismatch, Value};
use crate::config::map::{Entry, Map};
use crate::config::schema::{self, Key};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everything that was said in one table: the root with all plain sections, or one item of an array of tables.
#[derive(Debug)]
pub(super) struct Table {
    /// Where it starts.
    pub(super) place: Place,
    /// Its path as shown: `rules[0]`; empty for the root.
    pub(super) shown: String,
    entries: BTreeMap<&'static str, Given>,
    arrays: BTreeMap<String, Vec<Table>>,
    /// Keys that were said wrongly: nobody shall call them missing as well.
    faulty: BTreeSet<&'static str>,
}

/// A value with its place.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) place: Place,
    /// The place of each item, for a list of the file.
    pub(super) items: Vec<Place>,
}

/// What was found wrong or worth a warning on the way.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
    /// Groups of keys that nothing acts on yet, with the first place of each.
    later: BTreeMap<&'static str, Place>,
}

impl Table {
    pub(super) fn new(place: Place, shown: String) -> Self {
        Self { place, shown, entries: BTreeMap::new(), arrays: BTreeMap::new(), faulty: BTreeSet::new() }
    }

    pub(super) fn insert(&mut self, key: &'static Key, given: Given) {
        self.entries.insert(key.path, given);
        self.faulty.remove(key.path);
    }

    pub(super) fn push(&mut self, path: &str, item: Self) {
        self.arrays.entry(path.into()).or_default().push(item);
    }

    pub(super) fn mark_faulty(&mut self, path: &'static str) {
        self.faulty.insert(path);
    }

    /// The items of the array of tables at `path`, as `rules[]`.
    pub(super) fn tables(&self, path: &str) -> &[Self] {
        self.arrays.get(path).map_or(&[], Vec::as_slice)
    }

    /// Whether nobody said anything about `path`, not even wrongly.
    pub(super) fn is_silent(&self, path: &str) -> bool {
        self.get(path).is_none() && !self.faulty.contains(path)
    }

    /// Where `path` was said.
    pub(super) fn place(&self, path: &str) -> Place {
        self.get(path).map_or(Place::Nowhere, |given| given.place.clone())
    }

    pub(super) fn duration(&self, path: &str) -> Option<Duration> {
        if let Value::Duration(duration) = self.get(path)?.value { Some(duration) } else { None }
    }

    pub(super) fn bytes(&self, path: &str) -> Option<u64> {
        if let Value::Bytes(bytes) = self.get(path)?.value { Some(bytes) } else { None }
    }

    pub(super) fn bool(&self, path: &str) -> Option<bool> {
        if let Value::Bool(value) = self.get(path)?.value { Some(value) } else { None }
    }

    pub(super) fn integer(&self, path: &str) -> Option<usize> {
        if let Value::Integer(number) = self.get(path)?.value { usize::try_from(number).ok() } else { None }
    }

    pub(super) fn fraction(&self, path: &str) -> Option<f64> {
        if let Value::Fraction(number) = self.get(path)?.value { Some(number) } else { None }
    }

    /// The entries of a table of the user's own; none if nothing was said.
    pub(super) fn map(&self, path: &str) -> &[Entry] {
        match self.get(path) {
            Some(Given { value: Value::Map(map), .. }) => &map.entries,
            _ => &[],
        }
    }

    /// The tables of a list of such tables.
    pub(super) fn maps(&self, path: &str) -> &[Map] {
        match self.get(path) {
            Some(Given { value: Value::Maps(maps), .. }) => maps,
            _ => &[],
        }
    }

    /// Whether something was said about `path`, but wrongly.
    pub(super) fn is_faulty(&self, path: &str) -> bool {
        self.faulty.contains(path)
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        if let Value::Text(text) = &self.get(path)?.value { Some(text) } else { None }
    }

    /// The items of a list, each with its place.
    pub(super) fn list(&self, path: &str) -> Option<Vec<(&str, &Place)>> {
        let given = self.get(path)?;
        let Value::List(texts) = &given.value else { return None };
        Some(texts.iter().enumerate().map(|(at, text)| (text.as_str(), given.items.get(at).unwrap_or(&given.place))).collect())
    }

    fn get(&self, path: &str) -> Option<&Given> {
        debug_assert!(schema::find(path).is_some(), "{path} is in the schema");
        self.entries.get(path)
    }
}

impl Findings {
    pub(super) fn fault(&mut self, place: &Place, key: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) {
        self.faults.push(Fault::new(place, key, found, fix));
    }

    pub(super) fn warn(&mut self, place: &Place, key: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) {
        self.warnings.push(Fault::new(place, key, found, fix));
    }

    /// Takes in what was read for `key`: a value, or a fault at `place`.
    pub(super) fn take(
        &mut self,
        into: &mut Table,
        key: &'static Key,
        shown: &str,
        place: Place,
        items: Vec<Place>,
        read: Result<Value, Mismatch>,
    ) {
        match read {
            Ok(value) => {
                if let Some(group) = key.later.filter(|_| acts(&value)) {
                    let first = self.later.entry(group).or_insert_with(|| place.clone());
                    if place < *first {
                        *first = place.clone();
                    }
                }
                into.insert(key, Given { value, place, items });
            }
            Err(Mismatch { found, fix }) => {
                into.mark_faulty(key.path);
                self.fault(&place, shown, format!("{found}; this is {}", key.doc), fix);
            }
        }
    }

    /// Takes in a table of the user's own; `None`: its faults have been told.
    pub(super) fn take_map(&mut self, into: &mut Table, key: &'static Key, place: Place, value: Option<Value>) {
        match value {
            Some(value) => into.insert(key, Given { value, place, items: Vec::new() }),
            None => into.mark_faulty(key.path),
        }
    }

    /// One warning for each group of keys that this version knows but does not act on.
    pub(super) fn warn_of_what_comes_later(&mut self) {
        for (group, place) in std::mem::take(&mut self.later) {
            self.warn(&place, group, "known, but this version does not act on it", "leave it for a later version, or remove it");
        }
    }
}

/// Whether a value asks for something: off, none and zero do not.
fn acts(value: &Value) -> bool {
    match value {
        Value::Duration(duration) => !duration.is_zero(),
        Value::Bytes(number) | Value::Integer(number) => *number != 0,
        Value::Fraction(part) => *part > 0.0,
        Value::Bool(value) => *value,
        Value::Text(text) => !text.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Map(map) => !map.entries.is_empty(),
        Value::Maps(maps) => !maps.is_empty(),
    }
}
