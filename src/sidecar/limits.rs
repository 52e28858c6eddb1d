//! How much of us one client may take: requests by the second, connections at a time, and how slowly it may send or read a body.

mod client;
mod crowd;
mod pace;
mod rate;
mod shelf;

pub(super) use crowd::{Crowd, Place};
pub(super) use pace::Pace;

use crate::cache::rules::PathPattern;
use crate::sidecar::forwarded::Peer;
use crate::sidecar::settings::{RateKey, RateLimit, ServerSettings};
use governor::clock::DefaultClock;
use http::HeaderMap;
use rate::Rate;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The rates in force, with what each client has used of them.
#[derive(Debug)]
pub(super) struct Limits {
    /// The rules in their order up to the last with a rate of its own: the first that matches decides, as everywhere.
    rules: Vec<(PathPattern, Own)>,
    general: Option<Limit>,
    /// Addresses and identities are kept as keyed hashes only.
    hash: RandomState,
}

/// What a rule says of rates.
#[derive(Debug)]
enum Own {
    /// Nothing: the general one holds.
    Silent,
    /// A rate, or that there is none.
    Said(Option<Box<Limit>>),
}

#[derive(Debug)]
struct Limit {
    by: RateKey,
    rate: Rate<DefaultClock>,
}

impl Limits {
    /// `None` if nothing is limited: then no request pays for it.
    pub(super) fn new(server: &ServerSettings) -> Option<Self> {
        let limit = |limit: &RateLimit| {
            let rate = Rate::new(limit.per_second, limit.burst, server.max_rate_clients, DefaultClock::default())?;
            Some(Limit { by: limit.by.clone(), rate })
        };
        let last = server.rule_limits.iter().rposition(|rule| rule.limit.is_some()).map_or(0, |last| last + 1);
        let own = |said: &Option<RateLimit>| said.as_ref().map_or(Own::Silent, |said| Own::Said(limit(said).map(Box::new)));
        let rules: Vec<_> = server.rule_limits[..last].iter().map(|rule| (rule.path.clone(), own(&rule.limit))).collect();
        let general = limit(&server.rate_limit);
        let idle = general.is_none() && !rules.iter().any(|(_, own)| matches!(own, Own::Said(Some(_))));
        (!idle).then(|| Self { rules, general, hash: RandomState::new() })
    }

    /// Takes one request of `path` from what its client has left; an error says when it may come again. `headers` are as they came.
    pub(super) fn check(&self, path: &str, headers: &HeaderMap, peer: &Peer, server: &ServerSettings) -> Result<(), Duration> {
        let own = self.rules.iter().find(|(pattern, _)| pattern.matches(path)).map(|(_, own)| own);
        let limit = match own {
            Some(Own::Said(limit)) => limit.as_deref(),
            Some(Own::Silent) | None => self.general.as_ref(),
        };
        let Some(limit) = limit else { return Ok(()) };
        let key = match &limit.by {
            RateKey::Header(name) if headers.contains_key(name) => {
                let lines: smallvec::SmallVec<[&[u8]; 2]> = headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
                self.hash.hash_one((1_u8, lines.as_slice()))
            }
            _ => match client::network(peer.ip(), headers, &server.trusted_proxies) {
                Some(network) => self.hash.hash_one((0_u8, network)),
                None => return Ok(()), // a Unix socket: its peers have no address
            },
        };
        limit.rate.check(key)
    }
}

#[cfg(test)]
mod tests;
