//! Private pieces of a hit, for `benches/pieces.rs` and `benches/instructions.rs`. No part of the interface.

use crate::flow::forwarding::Sight;
use crate::flow::glance::Glance;
use crate::flow::in_force::InForce;
use crate::flow::shared::Shared;
use crate::flow::sought::Sought;
use crate::flow::visit::{self, Found};
use crate::layer::Cache;
use http::Request;
use http::request::Parts;
use std::sync::Arc;

/// A request on its way through the pieces of a lookup, each of which can be taken again and again.
#[derive(Debug)]
pub struct Pieces {
    shared: Arc<Shared>,
    settings: Arc<InForce>,
    parts: Parts,
    rule: Option<usize>,
}

impl Pieces {
    /// The pieces of what `cache` does with `request`.
    #[must_use]
    pub fn new(cache: &Cache, request: Request<()>) -> Self {
        let shared = Arc::clone(cache.shared());
        let settings = shared.settings.load_full();
        let (parts, ()) = request.into_parts();
        let rule = visit::match_rule(&settings, parts.uri.path());
        Self { shared, settings, parts, rule }
    }

    /// Builds the key; its hash.
    pub fn key(&mut self) -> u64 {
        self.build().hash_value()
    }

    /// What the rest is measured with: a key that is built once.
    #[must_use]
    pub fn keyed(mut self) -> Keyed {
        Keyed { key: self.build(), pieces: self }
    }

    fn build(&mut self) -> crate::cache::key::KeyBuf {
        let rule = self.rule.and_then(|rule| self.settings.rules.get(rule));
        visit::key_for(&self.shared, &self.settings, rule, &mut self.parts.uri, &self.parts.headers)
    }
}

/// The same, with its key.
pub struct Keyed {
    pieces: Pieces,
    key: crate::cache::key::KeyBuf,
}

impl Keyed {
    /// `store.get`; whether something is there.
    #[must_use]
    pub fn get(&self) -> bool {
        self.pieces.shared.store.get(&self.key).is_some()
    }

    /// `store.get`, the choice among the variants, and the verdict; whether it is fresh.
    #[must_use]
    pub fn judge(&self) -> bool {
        let glance = Glance::at(&self.pieces.parts.headers);
        let directives = visit::directives(&self.pieces.parts.headers, glance);
        let now = self.pieces.shared.clock.now();
        matches!(
            visit::look_up(&self.pieces.shared, &self.key, Sought::of(&self.pieces.parts), &directives, now, Sight::Whole),
            Found::Fresh(_)
        )
    }
}

impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyed").field("pieces", &self.pieces).finish_non_exhaustive()
    }
}
