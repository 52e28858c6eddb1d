//! The first look at a request: may the cache have a part in it, and what is stored for it?

use crate::cache::entry::Stored;
use crate::cache::key::{self, KeyBuf, KeyParts, normalise_target, origin_of};
use crate::cache::policy::{Verdict, judge};
use crate::cache::resource::{Chosen, Resource};
use crate::cache::rules::Rule;
use crate::cache::settings::Settings;
use crate::clock::Stamp;
use crate::flow::answer::part_answers;
use crate::flow::forwarding::Sight;
use crate::flow::glance::Glance;
use crate::flow::shared::Shared;
use crate::flow::sought::Sought;
use crate::rfc::cache_status::Forward;
use crate::rfc::conditional;
use crate::rfc::directives::RequestDirectives;
use http::header::{HOST, RANGE};
use http::{HeaderMap, Method, Uri};
use std::borrow::Cow;
use std::sync::Arc;

/// What part the cache has in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// None: handed on, for the reason in words.
    Pass(Forward, Option<&'static str>),
    /// It may be answered from what is stored.
    Lookup,
}

/// What is stored for a request.
#[derive(Debug)]
pub(crate) enum Found {
    /// This answers it.
    Fresh(Chosen),
    /// This answers it although it is stale; with `true`, a refresh goes behind it.
    Stale(Arc<Stored>, bool),
    /// The origin has to be asked; what is stored can be validated, or stand in for an error.
    Ask { why: Forward, stored: Option<Arc<Stored>> },
}

/// Whether the request names one host: a key must not hold another one than an application may read.
fn names_one_host(sought: Sought<'_>) -> bool {
    let mut lines = sought.headers.get_all(HOST).iter();
    let Some(host) = lines.next() else { return true };
    lines.next().is_none()
        && sought.uri.authority().map_or_else(|| host.to_str().is_ok(), |authority| is_same_host(authority.as_str(), host.as_bytes()))
}

/// A port that is the scheme's own makes no difference.
fn is_same_host(one: &str, other: &[u8]) -> bool {
    if one.as_bytes() == other {
        return true;
    }
    let bare = |text: &str| text.strip_suffix(":80").or_else(|| text.strip_suffix(":443")).unwrap_or(text).len();
    std::str::from_utf8(other).is_ok_and(|other| one[..bare(one)].eq_ignore_ascii_case(&other[..bare(other)]))
}

/// The place of the first rule that matches.
pub(crate) fn match_rule(settings: &Settings, path: &str) -> Option<usize> {
    settings.rules.iter().position(|rule| rule.matches(path))
}

/// Decides about the cache's part in a request. `has_body`: it has content, which no key knows (a "fat GET"). `sight`: where it hides an identity, the rule that
/// reads it has come into force since the request was begun. `resolved`: its target and its `Host` are known to name one host.
pub(crate) fn route(
    sought: Sought<'_>,
    glance: Glance,
    settings: &Settings,
    rule: Option<&Rule>,
    has_body: bool,
    sight: Sight,
    resolved: bool,
) -> Route {
    if !settings.enabled {
        Route::Pass(Forward::Bypass, Some("disabled"))
    } else if rule.is_some_and(|rule| rule.pass || sight.hides_identity(rule)) {
        Route::Pass(Forward::Bypass, Some("rule"))
    } else if !matches!(*sought.method, Method::GET | Method::HEAD) {
        Route::Pass(Forward::Method, None)
    } else if has_body {
        Route::Pass(Forward::Bypass, Some("request-body"))
    } else if glance.upgrade {
        Route::Pass(Forward::Bypass, Some("upgrade"))
    } else if !resolved && !names_one_host(sought) {
        Route::Pass(Forward::Bypass, Some("host"))
    } else if glance.overridden {
        Route::Pass(Forward::Bypass, Some("override-header"))
    } else {
        Route::Lookup
    }
}

/// Normalises the target as the key has it, and builds the key.
pub(crate) fn key_for(shared: &Shared, settings: &Settings, rule: Option<&Rule>, uri: &mut Uri, headers: &HeaderMap) -> KeyBuf {
    normalise_target(uri, rule.and_then(|rule| rule.key.as_ref()).unwrap_or(&settings.key));
    let identity = rule.and_then(|rule| rule.per_identity.as_ref());
    let partition = identity.map(|identity| shared.secrets.partition(identity, headers));
    let (https, authority) = origin_of(uri, headers);
    shared.secrets.build(&KeyParts { https, authority, path: uri.path(), query: uri.query(), partition })
}

/// The query of a target as it is keyed, for a target that is not that of a request.
pub(crate) fn keyed_query<'a>(settings: &Settings, path: &str, query: Option<&'a str>) -> Option<Cow<'a, str>> {
    let rule = match_rule(settings, path).and_then(|rule| settings.rules.get(rule));
    key::keyed_query(query, rule.and_then(|rule| rule.key.as_ref()).unwrap_or(&settings.key))
}

/// The request's directives, without a look where there can be none.
pub(crate) fn directives(headers: &HeaderMap, glance: Glance) -> RequestDirectives {
    if glance.directives { RequestDirectives::read(headers) } else { RequestDirectives::default() }
}

/// What of all that is `stored` for its key is the one for this request, whatever its age.
///
/// # Errors
/// Why there is none.
pub(crate) fn choose(stored: Option<Resource>, sought: Sought<'_>) -> Result<Chosen, Forward> {
    let resource = stored.ok_or(Forward::UriMiss)?;
    let headers = sought.headers;
    resource.choose(headers, |head, part| part_answers(head, part, sought.method, headers)).map_err(|resource| {
        let partial = resource.variants().iter().any(|stored| stored.range().is_some() && stored.head.is_selected_by(headers));
        if partial { Forward::Partial } else { Forward::VaryMiss }
    })
}

/// Why a request goes to the origin by itself, waiting for nobody's fill and making nobody wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alone {
    /// It said `no-store`.
    NoStore,
    /// Its preconditions are for the origin alone.
    Conditional,
    /// It wants a range of something that is not stored as a whole.
    Range,
    /// The last answer for its key could not be shared: whoever waits for the next waits in vain.
    Unshareable,
}

impl Alone {
    /// In words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::NoStore => "the request says no-store",
            Self::Conditional => "its preconditions are for the origin alone",
            Self::Range => "it wants a range of something that is not stored as a whole",
            Self::Unshareable => "the last answer could not be shared",
        }
    }
}

/// Why a request whose answer concerns it alone, or for whose key waiting has proved useless, goes by itself. `whole`: the whole representation is stored.
pub(crate) fn alone(shared: &Shared, hash: u64, headers: &HeaderMap, directives: &RequestDirectives, whole: bool) -> Option<Alone> {
    if directives.no_store {
        Some(Alone::NoStore)
    } else if conditional::is_for_origin(headers) {
        Some(Alone::Conditional)
    } else if headers.contains_key(RANGE) && !whole {
        Some(Alone::Range)
    } else {
        shared.predictor.is_unshareable(hash, shared.clock.now()).then_some(Alone::Unshareable)
    }
}

/// Whether a request that nothing stored answers is handed on instead of filling the cache: the answer to a HEAD has no body to store.
pub(crate) fn is_handed_on(method: &Method, directives: &RequestDirectives) -> bool {
    *method == Method::HEAD && !directives.only_if_cached
}

/// Looks up what is stored and judges it. What is selected by something that is out of `sight` cannot be for this request.
pub(crate) fn look_up(
    shared: &Shared,
    key: &KeyBuf,
    sought: Sought<'_>,
    directives: &RequestDirectives,
    now: Stamp,
    sight: Sight,
) -> Found {
    let chosen = match choose(shared.store.find(key, now), sought) {
        Ok(chosen) => chosen,
        Err(why) => return Found::Ask { why, stored: None },
    };
    let stored = chosen.stored();
    if sight.hides_selection(&stored.head) {
        shared.forwarding.read();
        return Found::Ask { why: Forward::VaryMiss, stored: None };
    }
    let verdict = judge(&stored.head.life(), stored.level(&shared.groups), directives, now);
    match verdict {
        Verdict::Fresh => Found::Fresh(chosen),
        Verdict::Stale { refresh } => Found::Stale(Arc::clone(stored), refresh),
        Verdict::Validate(_) => Found::Ask { why: forward(verdict), stored: Some(Arc::clone(stored)) },
        Verdict::Gone => Found::Ask { why: forward(verdict), stored: None },
    }
}

/// Why the origin is asked after a verdict that does not serve what is stored.
pub(crate) const fn forward(verdict: Verdict) -> Forward {
    match verdict {
        Verdict::Gone => Forward::UriMiss,
        Verdict::Validate(cause) if cause.is_of_the_request() => Forward::Request,
        Verdict::Validate(_) | Verdict::Fresh | Verdict::Stale { .. } => Forward::Stale,
    }
}
