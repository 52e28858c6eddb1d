//! What a change invalidates: an unsafe request that went well. It happens before its answer is given, so that whoever changed something reads it.

use crate::cache::groups::{GroupName, Level};
use crate::cache::invalidation::Invalidation;
use crate::cache::key::{Key, KeyParts, origin_of};
use crate::cache::settings::Settings;
use crate::cache::wish::{Rewarm, Wish};
use crate::flow::shared::Shared;
use crate::flow::{target, visit};
use crate::rfc::cache_groups::{self, CACHE_GROUP_INVALIDATION};
use crate::telemetry::Trigger;
use http::{HeaderMap, Method, Uri};

/// A change and the head of its answer.
pub(crate) struct Change<'a> {
    shared: &'a Shared,
    settings: &'a Settings,
    method: &'a Method,
    uri: &'a Uri,
    request: &'a HeaderMap,
    response: &'a HeaderMap,
    sequence: u64,
}

impl<'a> Change<'a> {
    /// A change that has gone well just now.
    pub(crate) fn new(
        shared: &'a Shared,
        settings: &'a Settings,
        method: &'a Method,
        uri: &'a Uri,
        request: &'a HeaderMap,
        response: &'a HeaderMap,
    ) -> Self {
        Self { shared, settings, method, uri, request, response, sequence: shared.sequence() }
    }

    /// The number of this moment: what was asked of the origin before it is out of date.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Invalidates all that is out of date now.
    pub(crate) fn invalidate(&self) {
        let mut trigger = Trigger::Change;
        let sequence = self.sequence;
        self.targets(sequence);
        self.named_groups(sequence);
        if self.settings.smart_invalidation {
            let rules = self.settings.invalidations.iter().filter(|rule| rule.matches(self.method, self.uri.path()));
            let followed = rules.map(|rule| self.follow(rule, sequence)).count();
            if followed > 0 {
                trigger = Trigger::Rule;
            }
        }
        self.shared.count_invalidation(trigger);
    }

    /// RFC 9111 section 4.4: what an unsafe request that went well has changed must be validated before it is used again.
    fn targets(&self, sequence: u64) {
        let forget = |path: &str, query: Option<&str>| {
            let query = visit::keyed_query(self.settings, path, query);
            self.shared.invalidate_target_as_of(&self.on_this_origin(path, query.as_deref()), Level::Invalid, sequence);
        };
        forget(self.uri.path(), self.uri.query());
        target::named(self.response, self.uri, self.request).for_each(|named| forget(named.path(), named.query()));
    }

    /// RFC 9875 section 3: groups of the same origin that the answer names. A void field names none.
    fn named_groups(&self, sequence: u64) {
        let names = cache_groups::read(self.response, &CACHE_GROUP_INVALIDATION).unwrap_or_default();
        if names.is_empty() {
            return;
        }
        let key: Key = self.shared.secrets.build(&self.on_this_origin(self.uri.path(), None)).to_key();
        for name in names {
            self.shared.groups.invalidate(GroupName::OfOrigin(&key, &name), Level::Invalid, sequence);
        }
    }

    /// What one rule asks for: said to whoever warms, or done at once.
    fn follow(&self, rule: &Invalidation, sequence: u64) {
        let Invalidation { tags, prefixes, groups, warm, .. } = rule;
        if !warm {
            self.drop_now(rule, sequence);
        }
        if !warm && groups.is_empty() {
            return;
        }
        // What has been dropped already need not be named; groups only the listener knows.
        let (tags, prefixes) = if *warm { (tags.clone(), prefixes.clone()) } else { (Vec::new(), Vec::new()) };
        let wish = Rewarm { tags, prefixes, groups: groups.clone(), sequence, warm: *warm, ..Rewarm::default() };
        if self.shared.wishes.say(Wish::Rewarm(wish)).is_err() && *warm {
            self.drop_now(rule, sequence);
        }
    }

    fn drop_now(&self, rule: &Invalidation, sequence: u64) {
        for tag in &rule.tags {
            self.shared.invalidate_tag_as_of(tag, Level::Invalid, sequence);
        }
        for prefix in &rule.prefixes {
            self.shared.invalidate_prefix_as_of(prefix, Level::Invalid, sequence);
        }
    }

    fn on_this_origin<'b>(&'b self, path: &'b str, query: Option<&'b str>) -> KeyParts<'b> {
        let (https, authority) = origin_of(self.uri, self.request);
        KeyParts { https, authority, path, query, partition: None }
    }
}

#[cfg(test)]
mod tests {
    use super::Change;
    use crate::cache::groups::{GroupName, Level};
    use crate::cache::invalidation::Invalidation;
    use crate::cache::settings::Settings;
    use crate::cache::wish::{Rewarm, Wish};
    use crate::clock::Clock;
    use crate::flow::shared::Shared;
    use crate::telemetry::log::RequestLog;
    use http::{HeaderMap, Method, Uri};

    fn rule() -> Invalidation {
        Invalidation::path("/**").unwrap().tag("t").prefix("/p").group("g")
    }

    /// What a change under `rule` says to a listener, and what becomes of what has the tag.
    fn after(rule: Invalidation, listens: bool, full: bool) -> (Vec<Rewarm>, Level, u64) {
        let settings = Settings { invalidations: vec![rule], ..Settings::default() };
        let shared = Shared::new(settings.clone(), Clock::manual(0), RequestLog::default());
        let mut listener = listens.then(|| shared.wishes.listen());
        let filler = Rewarm::default;
        while full && shared.wishes.say(Wish::Rewarm(filler())).is_ok() {}
        let (tag, born) = (shared.groups.join(GroupName::Tag("t")), shared.groups.now());
        let (uri, none) = (Uri::from_static("http://h/a"), HeaderMap::new());
        Change::new(&shared, &settings, &Method::PUT, &uri, &none, &none).invalidate();
        let mut heard = Vec::new();
        while let Some(Ok(Wish::Rewarm(wish))) = listener.as_mut().map(|listener| listener.try_recv()) {
            heard.push(wish);
        }
        heard.retain(|wish| wish.sequence > 0);
        (heard, tag.level_since(born), born)
    }

    #[test]
    fn with_warm_the_wish_is_said_and_nothing_is_dropped_yet() {
        let (heard, level, born) = after(rule().warm(), true, false);
        let expected = Rewarm {
            tags: vec!["t".into()],
            prefixes: vec!["/p".into()],
            groups: vec!["g".into()],
            sequence: born + 1,
            warm: true,
            ..Rewarm::default()
        };
        assert_eq!((heard, level), (vec![expected], Level::Valid));
    }

    #[test]
    fn without_warm_only_the_groups_are_left_to_the_listener() {
        let (heard, level, born) = after(rule(), true, false);
        let expected = Rewarm { groups: vec!["g".into()], sequence: born + 1, ..Rewarm::default() };
        assert_eq!((heard, level), (vec![expected], Level::Invalid));
        let (heard, level, _) = after(Invalidation { groups: Vec::new(), ..rule() }, true, false);
        assert_eq!((heard.len(), level), (0, Level::Invalid), "nothing is left to say");
    }

    #[test]
    fn a_wish_that_nobody_hears_is_an_invalidation_at_once() {
        for (listens, full) in [(false, false), (true, true)] {
            let (heard, level, _) = after(rule().warm(), listens, full);
            assert_eq!((heard.len(), level), (0, Level::Invalid));
        }
    }
}
