//! What is known of a reader's request before its way is chosen, and what is done of it when that is short.

use crate::cache::key::KeyBuf;
use crate::cache::resource::Chosen;
use crate::cache::rules::Rule;
use crate::cache::wish::{Nominee, Wish};
use crate::clock::Moment;
use crate::flow::answer::Client;
use crate::flow::glance::Glance;
use crate::flow::in_force::InForce;
use crate::flow::shared::Shared;
use crate::flow::sought::Sought;
use crate::rfc::cache_status::CacheStatus;
use crate::telemetry::Outcome;
use crate::telemetry::log::{Ending, Facts, Trace, server_timing};
use http::{HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;

/// A request that has come.
pub(crate) struct Begun<'a> {
    /// Those under which its key is built: a reload in between must not judge it by other rules.
    pub(crate) settings: &'a Arc<InForce>,
    /// The place of the first rule that matches.
    pub(crate) rule: Option<usize>,
    pub(crate) began: Moment,
    pub(crate) glance: Glance,
}

/// How what is stored has answered at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) outcome: Outcome,
    pub(crate) detail: Option<&'static str>,
    pub(crate) status: StatusCode,
    /// Of the body.
    pub(crate) bytes: u64,
}

impl Begun<'_> {
    pub(crate) fn rule(&self) -> Option<&Rule> {
        self.settings.rules.get(self.rule?)
    }

    /// Who has asked, with `detail` to be said in `Cache-Status`.
    pub(crate) fn client<'a>(&self, sought: Sought<'a>, detail: Option<&'static str>) -> Client<'a> {
        let status = CacheStatus { name: crate::flow::NAME, hit: true, detail, ..CacheStatus::default() };
        let status = self.settings.cache_status.then_some(status);
        let now = self.began.stamp();
        Client { method: sought.method, headers: sought.headers, now, conditional: self.glance.conditional, status }
    }

    /// A fresh response is about to answer: a hit of its, which may have earned it a refresh before it expires.
    pub(crate) fn take(&self, shared: &Shared, key: &KeyBuf, stored: &Chosen) {
        let hits = stored.touch(self.began.stamp());
        shared.hosts.note_hit(hits, &stored.head.key);
        if shared.wishes.wants(hits) {
            nominate(shared, key, stored);
        }
    }

    /// Counts and tells a request that what is stored has answered; the `Server-Timing` that its answer is to have.
    pub(crate) fn answered(&self, shared: &Shared, sought: Sought<'_>, key: u64, given: &Given) -> Option<(HeaderName, HeaderValue)> {
        let Given { outcome, detail, status, bytes } = *given;
        let counts = self.settings.counts(self.rule);
        let nanos = shared.count(counts, outcome, self.began);
        let facts = Facts {
            asked: Some((sought.method, sought.uri)),
            version: Some(sought.version),
            leg: None,
            rule: counts.rule(),
            outcome,
            reason: detail,
            status: Some(status),
            bytes,
            lookup: nanos,
            upstream: None,
            total: nanos,
            key: Some(key),
            ending: Ending::Whole,
        };
        shared.log.tell(&facts, || if self.glance.traced { Trace::of(sought.headers) } else { None });
        shared.log.wants_server_timing().then(|| server_timing(nanos, None, nanos)).flatten()
    }
}

/// Tells whoever warms that this response has earned a refresh before it expires. What belongs to one identity cannot be asked for again
/// without its credentials, which are not kept.
fn nominate(shared: &Shared, key: &KeyBuf, stored: &Chosen) {
    let stored = stored.stored();
    if !stored.nominate() {
        return;
    }
    let key = key.to_key();
    if !key.is_partitioned() {
        // Not heard: it is refreshed when it has expired.
        let _ = shared.wishes.say(Wish::Ahead(Nominee { key, stored: Arc::downgrade(stored) }));
    }
}
