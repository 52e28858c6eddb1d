//! All that is stored for one key: the value in the map. It is shared with every reader, so it is made anew whenever it changes.

use crate::cache::entry::Stored;
use crate::cache::groups::{Groups, Level};
use crate::cache::head::Head;
use crate::cache::room::shared_room;
use crate::rfc::range::ContentRange;
use http::{HeaderMap, HeaderName};
use std::ops::Deref;
use std::slice;
use std::sync::Arc;

/// All that is stored for one key, newest first. Most have one variant, which needs no list. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Resource {
    One(Arc<Stored>),
    /// At least two.
    Several(Arc<[Arc<Stored>]>),
}

impl Resource {
    /// `None` if there is nothing.
    pub(crate) fn of(variants: Vec<Arc<Stored>>) -> Option<Self> {
        match <[_; 1]>::try_from(variants) {
            Ok([only]) => Some(Self::One(only)),
            Err(several) => (!several.is_empty()).then(|| Self::Several(several.into())),
        }
    }

    pub(crate) fn variants(&self) -> &[Arc<Stored>] {
        match self {
            Self::One(only) => slice::from_ref(only),
            Self::Several(variants) => variants,
        }
    }

    /// The newest.
    pub(crate) fn newest(&self) -> &Arc<Stored> {
        match self {
            Self::One(newest) => newest,
            Self::Several(variants) => &variants[0],
        }
    }

    /// The stored response that `request` selects; whole ones before parts, newer ones before older ones. `part` decides whether a stored part will do.
    pub(crate) fn select(&self, request: &HeaderMap, part: impl Fn(&Head, &ContentRange) -> bool) -> Option<&Arc<Stored>> {
        self.place_of(request, part).map(|at| &self.variants()[at])
    }

    /// The same, held by all this.
    ///
    /// # Errors
    /// None is selected.
    pub(crate) fn choose(self, request: &HeaderMap, part: impl Fn(&Head, &ContentRange) -> bool) -> Result<Chosen, Self> {
        match self.place_of(request, part) {
            Some(at) => Ok(Chosen { resource: self, at }),
            None => Err(self),
        }
    }

    fn place_of(&self, request: &HeaderMap, part: impl Fn(&Head, &ContentRange) -> bool) -> Option<usize> {
        let fits = |stored: &Stored| stored.range().is_none_or(|range| part(&stored.head, &range));
        let selected = |whole: bool| {
            let mut variants = self.variants().iter();
            variants.position(|stored| stored.range().is_none() == whole && fits(stored) && stored.head.is_selected_by(request))
        };
        selected(true)
            .or_else(|| selected(false))
            .or_else(|| self.variants().iter().position(|stored| fits(stored) && stored.head.is_preferred_by(request)))
    }

    /// The selecting fields of the newest variant.
    pub(crate) fn selecting_fields(&self) -> &[HeaderName] {
        self.newest().head.selector.as_ref().map_or(&[], |selector| selector.fields())
    }

    /// The same resource with `new` in it: what it replaces goes, and beyond `max_variants` or `max_weight` bytes what was used least recently.
    pub(crate) fn with(old: Option<&Self>, new: Arc<Stored>, max_variants: usize, max_weight: usize, everything: &Groups) -> Self {
        let stays = |stored: &&Arc<Stored>| stored.level(everything) < Level::Dead && !new.supersedes(stored);
        let mut others: Vec<_> = old.iter().flat_map(|old| old.variants()).filter(stays).cloned().collect();
        let mut weight = new.weight() + others.iter().map(|stored| stored.weight()).sum::<usize>();
        while others.len() + 1 > max_variants.max(1) || (weight > max_weight && !others.is_empty()) {
            let Some(oldest) = (0..others.len()).min_by_key(|at| others[*at].used()) else { break };
            weight -= others.remove(oldest).weight();
        }
        if others.is_empty() {
            return Self::One(new);
        }
        Self::Several(std::iter::once(new).chain(others).collect())
    }

    pub(crate) fn weight(&self) -> usize {
        let list = match self {
            Self::One(_) => 0,
            Self::Several(variants) => shared_room(size_of_val(&**variants)),
        };
        list + self.variants().iter().map(|stored| stored.weight()).sum::<usize>()
    }
}

/// One variant, held by the resource that it belongs to: what all readers share is counted once for a hit, not once for each.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    resource: Resource,
    at: usize,
}

impl Chosen {
    /// The variant by itself.
    pub(crate) fn stored(&self) -> &Arc<Stored> {
        &self.resource.variants()[self.at]
    }
}

impl Deref for Chosen {
    type Target = Stored;

    fn deref(&self) -> &Stored {
        self.stored()
    }
}
