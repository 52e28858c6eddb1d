//! What warming looks up in a cache: keys, heat, and whether a copy is still there. Nothing of it counts as a request.

use crate::cache::entry::Stored;
use crate::cache::groups::Level;
use crate::cache::key::{Key, KeyBuf};
use crate::cache::obstacle::Obstacle;
use crate::cache::site::Site;
use crate::flow::forwarding::Sight;
use crate::flow::glance::Glance;
use crate::flow::shared::Shared;
use crate::flow::sought::Sought;
use crate::flow::visit::{self, Found, Route};
use crate::layer::Cache;
use crate::rfc::directives::RequestDirectives;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Uri};
use std::sync::Arc;

/// What a request would meet.
#[derive(Debug)]
pub(crate) struct Foreseen {
    /// What the rules can tell already.
    pub(crate) obstacle: Option<Obstacle>,
    /// What is stored for it, if that was asked for and there is a point in it.
    pub(crate) found: Option<Found>,
}

impl Cache {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The hash of the key that a reader's request for `target` of `site` has. Headers count where a rule keys by them.
    pub(crate) fn key_hash(&self, site: &Site, target: &PathAndQuery) -> u64 {
        self.key_of(site, target, &HeaderMap::new()).hash_value()
    }

    /// How often the copy that this request would be answered from has been hit; 0 if there is none.
    pub(crate) fn heat(&self, site: &Site, target: &PathAndQuery, headers: &HeaderMap) -> u64 {
        self.stored_for(site, target, headers).map_or(0, |stored| stored.hits())
    }

    /// The copy that this request would be answered from, fresh or not.
    pub(crate) fn stored_for(&self, site: &Site, target: &PathAndQuery, headers: &HeaderMap) -> Option<Arc<Stored>> {
        let key = self.key_of(site, target, headers);
        self.shared.store.get(&key)?.select(headers, |_, _| false).cloned()
    }

    /// What this request would meet, without making it; with `look`, also what is stored for it.
    pub(crate) fn foresee(&self, request: Request<()>, look: bool) -> Foreseen {
        let settings = self.shared.settings.load();
        let (mut parts, ()) = request.into_parts();
        let rule = visit::match_rule(&settings, parts.uri.path()).and_then(|rule| settings.rules.get(rule));
        if let Route::Pass(_, why) =
            visit::route(Sought::of(&parts), Glance::at(&parts.headers), &settings, rule, false, Sight::Whole, false)
        {
            let pass = rule.filter(|rule| rule.pass).map(|rule| Obstacle::Pass { rule: Arc::clone(&rule.name) });
            return Foreseen { obstacle: pass.or(Some(Obstacle::Bypass(why.unwrap_or("method")))), found: None };
        }
        let obstacle = Obstacle::of(rule, &parts.headers);
        let found = look.then(|| {
            let key = visit::key_for(&self.shared, &settings, rule, &mut parts.uri, &parts.headers);
            visit::look_up(&self.shared, &key, Sought::of(&parts), &RequestDirectives::default(), self.shared.clock.now(), Sight::Whole)
        });
        Foreseen { obstacle, found }
    }

    /// Whether `stored` is still what is stored for `key`.
    pub(crate) fn holds(&self, key: &Key, stored: &Arc<Stored>) -> bool {
        self.shared.store.get_owned(key).is_some_and(|resource| resource.variants().iter().any(|one| Arc::ptr_eq(one, stored)))
    }

    /// What invalidations have brought `stored` to.
    pub(crate) fn level(&self, stored: &Stored) -> Level {
        stored.level(&self.shared.groups)
    }

    fn key_of(&self, site: &Site, target: &PathAndQuery, headers: &HeaderMap) -> KeyBuf {
        let settings = self.shared.settings.load();
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.uri = site.uri(target.clone()).unwrap_or_else(|| Uri::from(target.clone()));
        parts.headers = headers.clone();
        parts.headers.extend(site.host().map(|host| (HOST, host)));
        let rule = visit::match_rule(&settings, target.path()).and_then(|rule| settings.rules.get(rule));
        visit::key_for(&self.shared, &settings, rule, &mut parts.uri, &parts.headers)
    }
}
