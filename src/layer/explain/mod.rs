//! What would become of a request, and why: the decisions that serve requests, made without serving one.

mod json;
mod text;

use crate::cache::entry::Stored;
use crate::cache::freshness::Life;
use crate::cache::groups::Level;
use crate::cache::ledger::Ledger;
use crate::cache::policy::{Verdict, judge, may_cover_error};
use crate::cache::resource::Resource;
use crate::cache::{LifetimeSource, NotStored};
use crate::clock::Stamp;
use crate::flow::forwarding::Sight;
use crate::flow::glance::Glance;
use crate::flow::shared::Shared;
use crate::flow::sought::Sought;
use crate::flow::visit::{self, Alone, Route};
use crate::layer::Cache;
use crate::rfc::cache_status::Forward;
use crate::rfc::directives::RequestDirectives;
use crate::telemetry::Refusal;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, EXPIRES, LAST_MODIFIED, TRANSFER_ENCODING, VARY};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use std::sync::Arc;

/// Variants that are told of, at most.
const MOST_VARIANTS: usize = 64;

/// What would become of one request, and why. [`Display`](std::fmt::Display) is one screen of text, [`to_json`](Self::to_json) the same for programs.
/// No value of a request's field is in it but those of `Accept` and its kin, and no identity.
#[derive(Debug)]
pub struct Explanation {
    method: Method,
    key: KeyView,
    rule: Option<RuleView>,
    course: Course,
    variants: Vec<Variant>,
    /// Why it would not share a fetch with others.
    alone: Option<Alone>,
    not_stored: Option<(NotStored, Stamp)>,
    now: Stamp,
}

/// What identifies the stored response.
#[derive(Debug)]
struct KeyView {
    scheme: &'static str,
    authority: String,
    path: String,
    query: Option<String>,
    partitioned: bool,
}

#[derive(Debug)]
struct RuleView {
    name: Arc<str>,
    pattern: String,
}

/// The way that the request would go.
#[derive(Clone, Copy, Debug)]
enum Course {
    /// Handed on, and why.
    Pass(Forward, Option<&'static str>),
    /// Answered from what is stored.
    Serve(Verdict),
    /// Refused: it said `only-if-cached`.
    Refuse(Forward, Option<Verdict>),
    /// The origin is asked.
    Ask {
        why: Forward,
        verdict: Option<Verdict>,
        /// The stored response would stand in if the origin failed.
        covered: bool,
        /// A HEAD: handed on, and learned from.
        handed_on: bool,
    },
}

/// One stored response.
#[derive(Debug)]
struct Variant {
    /// It is the one for this request.
    chosen: bool,
    status: StatusCode,
    /// The selecting fields; values only where they cannot be secrets.
    fields: Vec<(String, Option<String>)>,
    length: usize,
    range: Option<(u64, u64)>,
    life: Life,
    level: Level,
    groups: Vec<String>,
    /// What the origin said about caching, and the validators.
    said: Vec<(&'static str, String)>,
    has_validator: bool,
    hits: u64,
    cost_millis: u32,
    rule: Option<Arc<str>>,
    ledger: Option<Arc<Ledger>>,
}

impl Cache {
    /// What would become of `request`, and why, by the code that serves requests. Nobody is asked, and nothing is counted.
    ///
    /// ```
    /// let cache = warmfront::Cache::new();
    /// let explanation = cache.explain(http::Request::get("http://example.com/a").body(()).unwrap());
    /// assert_eq!(explanation.to_json()["verdict"]["outcome"], "miss");
    /// assert!(explanation.to_string().contains("uri-miss"));
    /// ```
    #[must_use]
    pub fn explain<B>(&self, request: Request<B>) -> Explanation {
        let shared = &**self.shared();
        let settings = shared.settings.load();
        let now = shared.clock.now();
        let (mut parts, _) = request.into_parts();
        let rule = visit::match_rule(&settings, parts.uri.path()).and_then(|rule| settings.rules.get(rule));
        let glance = Glance::at(&parts.headers);
        let route = visit::route(Sought::of(&parts), glance, &settings, rule, has_content(&parts.headers), Sight::Whole, false);
        let buf = visit::key_for(shared, &settings, rule, &mut parts.uri, &parts.headers);
        let directives = visit::directives(&parts.headers, glance);
        let choice = visit::choose(shared.store.get(&buf), Sought::of(&parts)).map(|chosen| Arc::clone(chosen.stored()));
        let (hash, key) = (buf.hash_value(), buf.to_key());
        let whole = choice.as_ref().is_ok_and(|stored| stored.range().is_none());
        let course = match route {
            Route::Pass(why, detail) => Course::Pass(why, detail),
            Route::Lookup => course(shared, &parts.method, &directives, choice.as_ref(), now),
        };
        let resource = shared.store.get(&buf);
        Explanation {
            key: KeyView {
                scheme: if key.is_https() { "https" } else { "http" },
                authority: key.authority().to_owned(),
                path: key.path().to_owned(),
                query: key.query().map(str::to_owned),
                partitioned: key.is_partitioned(),
            },
            rule: rule.map(|rule| RuleView { name: Arc::clone(&rule.name), pattern: rule.path.as_str().to_owned() }),
            course,
            variants: resource.map(|resource| variants(shared, &resource, choice.ok().as_ref())).unwrap_or_default(),
            alone: visit::alone(shared, hash, &parts.headers, &directives, whole),
            not_stored: shared.unstored.last(hash),
            method: parts.method,
            now,
        }
    }
}

/// Whether a request of these fields has content.
fn has_content(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// The way of a request that may be answered from what is stored.
fn course(shared: &Shared, method: &Method, directives: &RequestDirectives, choice: Result<&Arc<Stored>, &Forward>, now: Stamp) -> Course {
    let (why, verdict, covered) = match choice {
        Err(why) => (*why, None, false),
        Ok(stored) => {
            let level = stored.level(&shared.groups);
            let verdict = judge(&stored.head.life(), level, directives, now);
            match verdict {
                Verdict::Fresh | Verdict::Stale { .. } => return Course::Serve(verdict),
                Verdict::Validate(_) | Verdict::Gone => {
                    let covered = verdict != Verdict::Gone
                        && stored.range().is_none()
                        && may_cover_error(&stored.head.life(), level, directives, now);
                    (visit::forward(verdict), Some(verdict), covered)
                }
            }
        }
    };
    if directives.only_if_cached {
        Course::Refuse(why, verdict)
    } else {
        Course::Ask { why, verdict, covered, handed_on: visit::is_handed_on(method, directives) }
    }
}

fn variants(shared: &Shared, resource: &Resource, chosen: Option<&Arc<Stored>>) -> Vec<Variant> {
    let all = resource.variants().iter().take(MOST_VARIANTS);
    all.map(|stored| Variant::of(shared, stored, chosen.is_some_and(|chosen| Arc::ptr_eq(chosen, stored)))).collect()
}

impl Variant {
    fn of(shared: &Shared, stored: &Stored, chosen: bool) -> Self {
        let head = &stored.head;
        let text = |name: HeaderName, label| Some((label, head.fields.get(&name)?.to_str().ok()?.to_owned()));
        let said = [
            text(crate::cache::admit::TARGETED[0].clone(), "warmfront-cache-control"),
            text(crate::cache::admit::TARGETED[1].clone(), "cdn-cache-control"),
            text(CACHE_CONTROL, "cache-control"),
            text(EXPIRES, "expires"),
            text(VARY, "vary"),
            head.etag().and_then(|etag| Some(("etag", etag.to_str().ok()?.to_owned()))),
            text(LAST_MODIFIED, "last-modified"),
        ];
        Self {
            chosen,
            status: head.status,
            fields: selecting(stored),
            length: stored.body.len(),
            range: stored.range().map(|range| (range.start, range.end)),
            life: head.life(),
            level: stored.level(&shared.groups),
            groups: head.groups().iter().filter_map(|group| group.label().map(str::to_owned)).collect(),
            said: said.into_iter().flatten().collect(),
            has_validator: head.has_validator(),
            hits: stored.hits(),
            cost_millis: stored.cost_millis,
            rule: head.rule().cloned(),
            ledger: stored.ledger(),
        }
    }
}

/// The selecting fields of a stored response. The values of negotiation are no secrets; others may be.
fn selecting(stored: &Stored) -> Vec<(String, Option<String>)> {
    let Some(selector) = &stored.head.selector else { return Vec::new() };
    let mut values = HeaderMap::new();
    let told = selector.replay(&mut values);
    let value = |name: &HeaderName| {
        let public = told && name.as_str().starts_with("accept");
        public.then(|| values.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned())
    };
    selector.fields().iter().map(|name| (name.as_str().to_owned(), value(name))).collect()
}

impl Explanation {
    /// The stored response that the request selects.
    fn chosen(&self) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.chosen)
    }

    /// The account of the warm group that fetched the chosen response.
    pub(crate) fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.chosen()?.ledger.as_ref()
    }
}

impl Course {
    /// How the request would end, as far as that is known before the origin has been asked.
    const fn outcome(self) -> &'static str {
        match self {
            Self::Pass(..) => "pass",
            Self::Serve(Verdict::Fresh) => "hit",
            Self::Serve(_) => "stale",
            Self::Refuse(..) => "refused",
            Self::Ask { handed_on: true, .. } => "pass",
            Self::Ask { verdict: Some(Verdict::Validate(_)), .. } => "validate",
            Self::Ask { .. } => "miss",
        }
    }

    /// Why the origin is asked, in the word of RFC 9211.
    const fn forward(self) -> Option<Forward> {
        match self {
            Self::Pass(why, _) | Self::Ask { why, .. } => Some(why),
            Self::Serve(_) | Self::Refuse(..) => None,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Pass(Forward::Method, _) => "the method is not one that is answered from what is stored".into(),
            Self::Pass(_, detail) => format!("the cache takes no part: {}", detail.map_or("set up so", pass_words)),
            Self::Serve(verdict) => verdict.words().into(),
            Self::Refuse(why, verdict) => {
                format!(
                    "{} (RFC 9111 section 5.2.1.7): {}",
                    Refusal::OnlyIfCached.as_str(),
                    verdict.map_or(forward_words(why), Verdict::words)
                )
            }
            Self::Ask { why, verdict, .. } => verdict.map_or(forward_words(why), Verdict::words).into(),
        }
    }
}

/// What the reason of a pass means.
fn pass_words(detail: &'static str) -> &'static str {
    match detail {
        "rule" => "a rule with `pass`",
        "disabled" => "the cache is switched off",
        "request-body" => "a GET with content, which no key knows",
        "upgrade" => "it asks for another protocol",
        "host" => "it names no one host (RFC 9112 section 3.2)",
        "override-header" => "a field that makes it another request in some frameworks",
        other => other,
    }
}

const fn forward_words(why: Forward) -> &'static str {
    match why {
        Forward::UriMiss => "nothing is stored for this key",
        Forward::VaryMiss => "no stored variant is for a request with these fields (RFC 9111 section 4.1)",
        Forward::Partial => "only another part of it is stored (RFC 9111 section 3.3)",
        other => other.as_str(),
    }
}

/// The arithmetic of freshness, as both faces show it.
struct Arithmetic {
    initial: u64,
    resident: u64,
    age: u64,
    lifetime: u64,
    left: i64,
    source: LifetimeSource,
}

impl Arithmetic {
    fn of(life: &Life, now: Stamp) -> Self {
        let age = life.age(now);
        Self {
            initial: life.initial_age,
            resident: age.saturating_sub(life.initial_age),
            age,
            lifetime: life.lifetime,
            left: life.left(now),
            source: life.source,
        }
    }
}
