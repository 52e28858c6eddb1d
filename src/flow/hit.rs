//! Hits for a server that reads and writes HTTP/1 itself: looked for by the pieces of a request, before there is one.

use crate::flow::begun::{Begun, Given};
use crate::flow::forwarding::Sight;
use crate::flow::glance::Glance;
use crate::flow::shared::Shared;
use crate::flow::sought::Sought;
use crate::flow::thin::Thin;
use crate::flow::visit::{self, Found, Route};
use crate::telemetry::Outcome;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

/// A hit, counted and told of: nothing is left to do but to write it.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) thin: Thin,
    /// The field that the answer has on top.
    pub(crate) server_timing: Option<(HeaderName, HeaderValue)>,
}

/// The answer to a GET in HTTP/1 without content, if what is stored gives it as it is: fresh, and nothing that the request says makes another answer of it. `None`: the request
/// has to be made, and nothing has been counted or told. `uri` is absolute and agrees with the `Host` among `headers`, which do without forwarding fields; `may` is asked last.
pub(crate) fn hit(
    shared: &Shared,
    mut uri: Uri,
    (version, headers): (Version, &HeaderMap),
    glance: Glance,
    may: &dyn Fn(&Uri) -> bool,
) -> Option<Hit> {
    if shared.forwarding.is_read() {
        return None;
    }
    let (method, sight) = (Method::GET, Sight::BeforeForwarding);
    let began = shared.clock.moment();
    let now = began.stamp();
    let settings = shared.settings.load();
    let rule = visit::match_rule(&settings, uri.path());
    let begun = Begun { settings: &settings, rule, began, glance };
    let sought = Sought { method: &method, uri: &uri, version, headers };
    let Route::Lookup = visit::route(sought, glance, &settings, begun.rule(), false, sight, true) else { return None };
    let key = visit::key_for(shared, &settings, begun.rule(), &mut uri, headers);
    let sought = Sought { method: &method, uri: &uri, version, headers };
    let Found::Fresh(stored) = visit::look_up(shared, &key, sought, &visit::directives(headers, glance), now, sight) else { return None };
    let thin = Thin::of(stored, &method, glance, now, settings.cache_status).ok()?;
    if !may(&uri) {
        return None;
    }
    begun.take(shared, &key, thin.chosen());
    let given = Given { outcome: Outcome::Hit, detail: None, status: thin.stored().head.status, bytes: thin.stored().body.len() as u64 };
    let server_timing = begun.answered(shared, sought, key.hash_value(), &given);
    Some(Hit { thin, server_timing })
}
