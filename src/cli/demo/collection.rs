//! The sample data that changes: channels, models and routing rules, each item with a version.

use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The names of all collections, as they stand in paths.
pub(super) const NAMES: [&str; 3] = ["channels", "models", "routing-rules"];

/// One collection.
#[derive(Debug)]
pub(super) struct Collection {
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    items: BTreeMap<u64, (u64, Value)>,
    /// Rises with every change.
    revision: u64,
    next: u64,
}

/// An item or a list, with its entity tag.
#[derive(Debug, PartialEq)]
pub(super) struct Tagged {
    pub(super) id: u64,
    pub(super) etag: String,
    pub(super) value: Value,
}

impl Collection {
    /// The collection `name` with its five first items.
    pub(super) fn new(name: &'static str) -> Self {
        let first = |id: u64| {
            (id, (1, with_id(id, json!({ "name": format!("{}-{id}", name.trim_end_matches('s')), "enabled": id != 4, "weight": id * 10 }))))
        };
        Self { name, state: Mutex::new(State { items: (1..=5).map(first).collect(), revision: 1, next: 6 }) }
    }

    pub(super) fn list(&self) -> Tagged {
        let state = self.state.lock();
        let items: Vec<&Value> = state.items.values().map(|(_, item)| item).collect();
        Tagged { id: 0, etag: format!("\"{}-r{}\"", self.name, state.revision), value: json!({ "items": items, "total": items.len() }) }
    }

    pub(super) fn get(&self, id: &str) -> Option<Tagged> {
        let id = id.parse().ok()?;
        let state = self.state.lock();
        state.items.get(&id).map(|(version, item)| self.tagged(id, *version, item))
    }

    pub(super) fn create(&self, item: Value) -> Tagged {
        let mut state = self.state.lock();
        let id = state.next;
        state.next += 1;
        state.revision += 1;
        let item = with_id(id, item);
        let tagged = self.tagged(id, 1, &item);
        state.items.insert(id, (1, item));
        tagged
    }

    pub(super) fn replace(&self, id: &str, item: Value) -> Option<Tagged> {
        let id = id.parse().ok()?;
        let mut state = self.state.lock();
        let (version, place) = state.items.get_mut(&id)?;
        *version += 1;
        *place = with_id(id, item);
        let tagged = self.tagged(id, *version, place);
        state.revision += 1;
        Some(tagged)
    }

    /// `false`: there was none.
    pub(super) fn remove(&self, id: &str) -> bool {
        let mut state = self.state.lock();
        let gone = id.parse().ok().and_then(|id: u64| state.items.remove(&id)).is_some();
        state.revision += u64::from(gone);
        gone
    }

    fn tagged(&self, id: u64, version: u64, item: &Value) -> Tagged {
        Tagged { id, etag: format!("\"{}-{id}-v{version}\"", self.name), value: item.clone() }
    }
}

fn with_id(id: u64, mut item: Value) -> Value {
    item["id"] = id.into();
    item
}

#[cfg(test)]
mod tests {
    use super::Collection;
    use serde_json::json;

    #[test]
    fn every_change_changes_the_entity_tags() {
        let channels = Collection::new("channels");
        let (list, second) = (channels.list(), channels.get("2").unwrap());
        let replaced = channels.replace("2", json!({ "name": "new" })).unwrap();
        assert_eq!(replaced.value, json!({ "id": 2, "name": "new" }));
        assert_ne!((channels.list().etag, channels.get("2").unwrap().etag), (list.etag, second.etag));
        assert_eq!(channels.create(json!({})).id, 6);
        assert!(channels.remove("6") && !channels.remove("6") && channels.get("6").is_none() && channels.get("x").is_none());
    }
}
