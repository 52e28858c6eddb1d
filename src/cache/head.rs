//! The head of a stored response, and where it comes from.

use crate::cache::fields::Fields;
use crate::cache::freshness::Life;
use crate::cache::groups::{Group, Groups, Level};
use crate::cache::key::Key;
use crate::cache::packed::{Packed, PackedLife};
use crate::cache::room::{room, shared_room};
use crate::cache::secret::may_be_credentials;
use crate::rfc::date;
use crate::rfc::vary::{self, Selector};
use http::header::{CONTENT_LANGUAGE, CONTENT_LENGTH, DATE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::sync::Arc;

/// The head of a storable response. It exists before the body has arrived, so that followers can be released at the headers; what is stored has a
/// copy of its own. Whatever can be read from the fields when somebody asks is not kept beside them.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Without `Age`.
    pub(crate) fields: Fields,
    /// What it is stored under.
    pub(crate) key: Key,
    /// The selecting fields of the request, if the response has `Vary`.
    pub(crate) selector: Option<Box<Selector>>,
    ties: Option<Box<Ties>>,
    life: PackedLife,
    born: Packed,
    pub(crate) status: StatusCode,
}

/// What the allocator rounds up of the pieces of a selector, beside its own class.
const SELECTOR_PIECES: usize = 64;

/// What not every response has.
#[derive(Clone, Debug, Default)]
struct Ties {
    /// The groups that it belongs to, if any.
    groups: Option<Arc<[Arc<Group>]>>,
    /// The name of the rule under which it was stored.
    rule: Option<Arc<str>>,
}

/// Where a response comes from, as invalidation sees it.
#[derive(Clone, Debug)]
pub(crate) struct Lineage {
    /// The sequence number at which its fetch began.
    pub(crate) born: u64,
    /// The groups that it belongs to.
    pub(crate) groups: Option<Arc<[Arc<Group>]>>,
    /// What it is stored under.
    pub(crate) key: Key,
}

impl Head {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, life: Life, lineage: Lineage) -> Self {
        let Lineage { born, groups, key } = lineage;
        let groups = groups.filter(|groups| !groups.is_empty());
        Self {
            fields: Fields::compact(headers),
            key,
            selector: None,
            ties: groups.map(|groups| Box::new(Ties { groups: Some(groups), rule: None })),
            life: life.into(),
            born: Packed::new(born),
            status,
        }
    }

    /// The same, stored under a rule of this name.
    pub(crate) fn under_rule(mut self, rule: Option<Arc<str>>) -> Self {
        if rule.is_some() {
            self.ties.get_or_insert_default().rule = rule;
        }
        self
    }

    /// The same, selected by `selector`.
    pub(crate) fn selected_by(mut self, selector: Option<Box<Selector>>) -> Self {
        self.selector = selector;
        self
    }

    pub(crate) fn life(&self) -> Life {
        self.life.into()
    }

    /// The sequence number at which its fetch began.
    pub(crate) fn born(&self) -> u64 {
        self.born.get()
    }

    /// The groups that it belongs to.
    pub(crate) fn groups(&self) -> &[Arc<Group>] {
        self.ties.as_ref().and_then(|ties| ties.groups.as_deref()).unwrap_or_default()
    }

    /// The name of the rule under which it was stored.
    pub(crate) fn rule(&self) -> Option<&Arc<str>> {
        self.ties.as_ref()?.rule.as_ref()
    }

    pub(crate) fn lineage(&self) -> Lineage {
        Lineage { born: self.born(), groups: self.ties.as_ref().and_then(|ties| ties.groups.clone()), key: self.key.clone() }
    }

    /// What invalidations have brought it to, beside its own mark.
    pub(crate) fn level(&self, everything: &Groups) -> Level {
        self.level_of_groups().max(everything.level_since(&self.key, self.born()))
    }

    /// What has happened to its groups since its fetch began.
    pub(crate) fn level_of_groups(&self) -> Level {
        self.groups().iter().map(|group| group.level_since(self.born())).max().unwrap_or_default()
    }

    pub(crate) fn etag(&self) -> Option<HeaderValue> {
        self.fields.get(&ETAG)
    }

    /// Seconds; `None` without a valid one.
    pub(crate) fn last_modified(&self) -> Option<u64> {
        date::parse(self.fields.bytes(&LAST_MODIFIED)?)
    }

    /// Seconds; `None` without a valid one.
    pub(crate) fn date(&self) -> Option<u64> {
        date::parse(self.fields.bytes(&DATE)?)
    }

    /// What its selecting fields were, in one normal form.
    pub(crate) fn fingerprint(&self) -> Option<&[u8]> {
        self.selector.as_deref().map(Selector::fingerprint)
    }

    /// Whether the origin can be asked if it is still the same.
    pub(crate) fn has_validator(&self) -> bool {
        self.fields.has(&ETAG) || self.fields.has(&LAST_MODIFIED)
    }

    /// Whether the request's selecting fields are those of this response (RFC 9111 section 4.1).
    pub(crate) fn is_selected_by(&self, request: &HeaderMap) -> bool {
        self.selector.as_ref().is_none_or(|selector| selector.matches(request))
    }

    /// Whether nothing can be said about its selection by who has not seen the request's forwarding fields.
    pub(crate) fn reads_forwarding(&self) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.reads_forwarding())
    }

    /// Whether its request can be made again from what is stored: the values of its selecting fields are no credentials.
    pub(crate) fn is_replayable(&self) -> bool {
        self.selector.as_ref().is_none_or(|selector| !selector.fields().iter().any(|name| may_be_credentials(name.as_str())))
    }

    /// Whether content negotiation for the language could only have ended here: nothing but Accept-Language selects, the request prefers one
    /// language above all others, and this is it. See `manual::decisions`.
    pub(crate) fn is_preferred_by(&self, request: &HeaderMap) -> bool {
        let Some(selector) = &self.selector else { return false };
        selector.is_plain_language()
            && self.fields.bytes(&CONTENT_LANGUAGE).is_some_and(|language| vary::preferred_language_is(request, language))
    }

    /// Whether the status allows content (RFC 9110 sections 15.3.5 and 15.3.6).
    pub(crate) fn may_have_content(&self) -> bool {
        !matches!(self.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
    }

    /// The same head, with the length that its body turned out to have.
    pub(crate) fn with_length(&self, length: usize) -> Self {
        let mut headers = self.fields.to_map();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        Self { fields: Fields::compact(&headers), ..self.clone() }
    }

    /// Bytes beyond its own. The key is counted for each variant: after a refresh it is a copy of its own.
    pub(crate) fn weight(&self) -> usize {
        let selector = self.selector.as_ref().map_or(0, |selector| room(selector.weight()) + SELECTOR_PIECES);
        let ties = self.ties.as_ref().map_or(0, |ties| ties.weight());
        self.fields.weight() + self.key.weight() + selector + ties
    }
}

impl Ties {
    /// The list is shared, by the copies that one fetch after another puts in one place; it counts for each.
    fn weight(&self) -> usize {
        let groups =
            self.groups.iter().flat_map(|groups| groups.iter()).map(|group| group.weight() + size_of::<Arc<Group>>()).sum::<usize>();
        room(size_of::<Self>()) + shared_room(0) + groups
    }
}
