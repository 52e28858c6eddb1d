//! The table of all keys: names, kinds and meanings. Unknown keys, wrong kinds and the names of environment variables all come from here.

use crate::config::kind::Kind::{self, AnyMap, AnyMaps, Bool, Choice, Fraction, Integer, List, OneOrMore, Secret, Text};
use crate::config::kind::{DAY, MIB, duration, size};

/// One key. A segment with `[]` is an array of tables: `rules[].path`.
#[derive(Debug)]
pub(super) struct Key {
    /// The dotted path.
    pub(super) path: &'static str,
    /// What its value may be.
    pub(super) kind: Kind,
    /// One line for the fault that is about it.
    pub(super) doc: &'static str,
    /// Known, but nothing acts on it yet: the name under which one warning is given.
    pub(super) later: Option<&'static str>,
    /// Each item of its array of tables must have it.
    pub(super) required: bool,
}

impl Key {
    /// Whether one text can say it: the environment and `--set` reach all but what is inside an array of tables or a free table.
    pub(super) fn is_settable(&self) -> bool {
        !self.path.contains("[]") && !matches!(self.kind, AnyMap | AnyMaps)
    }

    /// `WARMFRONT_CACHE__MAX_BYTES` for `cache.max_bytes`; none for what is not settable.
    pub(super) fn environment(&self) -> Option<String> {
        self.is_settable().then(|| format!("WARMFRONT_{}", self.path.replace('.', "__").to_ascii_uppercase()))
    }
}

/// The key at `path`.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether some key lies below `path`, which is a table (`cache`) or an array of tables (`rules[]`).
pub(super) fn has_below(path: &str) -> bool {
    KEYS.iter().any(|key| below(key, path).is_some())
}

/// The names directly below `path`, once each, without `[]`; `""` is the root.
pub(super) fn names_below(path: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for rest in KEYS.iter().filter_map(|key| below(key, path)) {
        let name = rest.split('.').next().unwrap_or(rest).trim_end_matches("[]");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Where else a key called `name` exists: its path.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    KEYS.iter().map(|key| key.path).find(|path| path.rsplit('.').next() == Some(name))
}

/// A child's path.
pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.into() } else { format!("{parent}.{name}") }
}

fn below(key: &'static Key, path: &str) -> Option<&'static str> {
    if path.is_empty() { Some(key.path) } else { key.path.strip_prefix(path)?.strip_prefix('.') }
}

const fn key(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, doc, later: None, required: false }
}

const fn must(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, doc, later: None, required: true }
}

const fn later(group: &'static str, path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, doc, later: Some(group), required: false }
}

/// A time-out: never zero, at most a day.
const TIMEOUT: Kind = duration(1, DAY);
/// A wait that may be none.
const WAIT: Kind = duration(0, DAY);
/// A lifetime: ten years are more than any response lives.
const LIFETIME: Kind = duration(0, 3650 * DAY);
/// As many items as a group may have.
const MOST_ITEMS: u64 = crate::warm::group::MOST_ITEMS as u64;
/// Requests.
const RATE: Kind = Integer { min: 0, max: 1_000_000 };
const ANY: Kind = Integer { min: 0, max: i64::MAX as u64 };

/// Every key of the file, in the order of the contract.
pub(super) const KEYS: &[Key] = &[
    key("server.listen", OneOrMore, "where the data port listens"),
    key("server.tls.certificate", Text, "the PEM file of the certificate and those that vouch for it"),
    key("server.tls.key", Text, "the PEM file of its private key"),
    key("server.http2", Bool, "whether HTTP/2 is spoken, over TLS and by prior knowledge"),
    key("server.max_streams", Integer { min: 1, max: 10_000 }, "requests under way on one HTTP/2 connection"),
    key("server.proxy_protocol", Bool, "whether server.trusted_proxies begin connections with a PROXY header"),
    key("server.workers", Integer { min: 0, max: 1024 }, "worker threads, 0 = one per core"),
    key("server.max_request_body", size(0, 1 << 62), "the largest request body, over it 413"),
    key("server.max_header_bytes", size(1024, 16 * MIB), "the largest request head, over it 431"),
    key("server.header_timeout", TIMEOUT, "how long a request head may take"),
    key("server.idle_timeout", TIMEOUT, "how long a connection may stay idle"),
    key(
        "server.max_connections",
        Integer { min: 1, max: 10_000_000 },
        "open connections, beyond it idle ones are closed, then accepting waits",
    ),
    key("server.max_connections_per_client", Integer { min: 0, max: 10_000_000 }, "open connections of one client, 0 = no limit"),
    key("server.min_body_rate", size(0, MIB), "bytes per second below which an upload or a reader is given up, 0 = only silence counts"),
    key("server.rate_limit.per_second", RATE, "requests per second of one client, 0 = no limit"),
    key("server.rate_limit.burst", RATE, "requests at once after a pause, 0 = as many as per second"),
    key("server.rate_limit.by", Text, "who a client is: its address, or the header that names it"),
    key("server.max_rate_clients", Integer { min: 1, max: 100_000_000 }, "clients that each rate remembers"),
    key("server.trusted_proxies", List, "networks whose X-Forwarded-* are believed"),
    key("server.drain_timeout", WAIT, "how long requests under way may take after SIGTERM"),
    key("admin.listen", Text, "where the admin API listens"),
    key("admin.token", Secret, "the bearer token of the admin API, empty = loopback only"),
    key("admin.hosts", List, "further names by which the admin API may be called"),
    key("admin.ready_when_warm", Fraction, "the share of the start-up plan that must be warm before /readyz says so"),
    key("admin.ready_deadline", WAIT, "when /readyz says so at the latest"),
    key("upstream.urls", OneOrMore, "the upstreams, as \"http://127.0.0.1:9000\""),
    key("upstream.connect_timeout", TIMEOUT, "how long connecting may take"),
    key("upstream.response_timeout", TIMEOUT, "how long the response head may take"),
    key("upstream.idle_body_timeout", TIMEOUT, "how long a body may be silent"),
    key("upstream.forwarded", Choice(&["overwrite", "append"]), "who writes X-Forwarded-*"),
    key("upstream.max_in_flight", Integer { min: 1, max: 1_000_000 }, "requests under way at the upstream"),
    key("upstream.max_queue", Integer { min: 0, max: 10_000_000 }, "requests that may queue, beyond it 503"),
    key("upstream.queue_timeout", WAIT, "how long a request may queue"),
    key("upstream.preconnect", Integer { min: 0, max: 10_000 }, "connections opened ahead, 0 = none"),
    key("upstream.http2", Choice(&["never", "auto", "always"]), "where HTTP/2 is spoken: nowhere, where TLS agrees on it, everywhere"),
    key("upstream.tls.ca", Text, "a PEM file of authorities to trust beside those of this machine"),
    key("upstream.tls.certificate", Text, "a PEM file with the certificate that is shown to an upstream that asks for one"),
    key("upstream.tls.key", Text, "a PEM file with the key of upstream.tls.certificate"),
    key("upstream.tls.server_name", Text, "the name to ask for and to verify instead of the host of the URL"),
    key("upstream.retries", Integer { min: 0, max: 10 }, "further tries after a connection-level failure"),
    key("upstream.balance", Text, "by what one of several upstreams is chosen: load, path, client or header:NAME"),
    key("upstream.eject_after", Integer { min: 0, max: 1_000_000 }, "failures in a row after which an upstream is left alone, 0 = never"),
    key("upstream.eject_for", TIMEOUT, "how long it is left alone the first time"),
    key("upstream.breaker.errors", Fraction, "the share of failures at which an upstream is not asked any more, 0 = never"),
    key("upstream.breaker.counts", Choice(&["unavailable", "5xx"]), "which status codes are failures"),
    key("upstream.breaker.min_requests", Integer { min: 1, max: 1_000_000 }, "requests in ten seconds below which nothing is judged"),
    key("upstream.breaker.slow", WAIT, "from when an answer counts as a failure, 0s = never"),
    key("upstream.breaker.open_for", TIMEOUT, "how long nobody asks before one tries"),
    key("upstream.health.path", Text, "what upstreams are asked for to see whether they are healthy, empty = nothing"),
    key("upstream.health.interval", duration(100, DAY), "the time between two checks"),
    key("upstream.health.timeout", TIMEOUT, "how long a check may take"),
    key("upstream.health.unhealthy_after", Integer { min: 1, max: 1000 }, "bad checks in a row after which an upstream is left alone"),
    key("upstream.health.healthy_after", Integer { min: 1, max: 1000 }, "good checks in a row after which it is asked again"),
    key("cache.max_bytes", size(64 << 10, 1 << 62), "bytes of all stored responses together"),
    key("cache.max_object", size(1, 1 << 62), "the largest response that is stored"),
    key("cache.heuristic", Bool, "whether a lifetime may be estimated where the origin is silent"),
    key("cache.default_ttl", LIFETIME, "the lifetime where nobody names one"),
    key("cache.stale_while_revalidate", LIFETIME, "how long stale responses serve while they are refreshed"),
    key("cache.stale_if_error", LIFETIME, "how long stale responses stand in for errors"),
    key("cache.max_variants", Integer { min: 1, max: 4096 }, "stored variants per key"),
    key("cache.cache_status", Bool, "whether responses carry Cache-Status"),
    later("cache.snapshot", "cache.snapshot", Text, "a file in which the hot set survives restarts"),
    key("key.query_ignore", List, "query parameters that do not count, as [\"utm_*\"]"),
    key("key.query_sort", Bool, "whether query parameters are sorted"),
    key("rules[].name", Text, "the rule's name in logs and Cache-Status"),
    must("rules[].path", Text, "the paths it is about, as \"/api/**\""),
    key("rules[].pass", Bool, "never looked up, never stored"),
    key("rules[].ttl", LIFETIME, "the lifetime where the origin names none"),
    key("rules[].stale_while_revalidate", LIFETIME, "how long stale responses serve while they are refreshed"),
    key("rules[].stale_if_error", LIFETIME, "how long stale responses stand in for errors"),
    key("rules[].override", Bool, "whether the rule wins over the origin"),
    key("rules[].ignore", List, "prohibitions of the origin that are disregarded"),
    key("rules[].tags", List, "tags of what is stored"),
    key("rules[].per_identity.header", Text, "the request header that names the identity"),
    key("rules[].rate_limit.per_second", RATE, "requests per second of one client, 0 = no limit"),
    key("rules[].rate_limit.burst", RATE, "requests at once after a pause, 0 = as many as per second"),
    key("rules[].rate_limit.by", Text, "who a client is: its address, or the header that names it"),
    key("rules[].query_ignore", List, "query parameters that do not count, as [\"utm_*\"]"),
    key("rules[].query_sort", Bool, "whether query parameters are sorted"),
    key("invalidate[].methods", List, "the methods that invalidate"),
    must("invalidate[].path", Text, "the paths whose change invalidates"),
    key("invalidate[].tags", List, "tags of what is invalidated"),
    key("invalidate[].prefixes", List, "beginnings of the paths that are invalidated, as \"/api/models/\""),
    key("invalidate[].groups", List, "warm groups whose requests are invalidated"),
    key("invalidate[].warm", Bool, "whether it is warmed again"),
    key("warm.enabled", Bool, "whether anything is warmed"),
    key("warm.on_startup", Bool, "whether warming starts with the process"),
    key("warm.startup_delay", WAIT, "how long after the start"),
    key("warm.concurrency", Integer { min: 1, max: 10_000 }, "warm requests at a time"),
    key("warm.timeout", TIMEOUT, "how long one item may take"),
    key("warm.max_rate", Integer { min: 1, max: 1_000_000 }, "warm requests per second"),
    key("warm.max_share", Fraction, "the share of upstream.max_in_flight that warming may take"),
    key("warm.refresh_interval", LIFETIME, "how often `refresh` runs, 0s = off"),
    key("warm.refresh_ahead.hits", ANY, "keys hit at least so often are refreshed ahead"),
    key("warm.refresh_ahead.before", Fraction, "in which last part of their lifetime"),
    key("warm.time_zone", Text, "the time zone of schedules"),
    key("warm.hosts", List, "the hosts that readers name, as \"https://api.example.com\", empty = the one that they name most"),
    must("warm.groups[].name", Text, "the group's name"),
    key("warm.groups[].enabled", Bool, "whether it runs by its schedule"),
    key("warm.groups[].priority", ANY, "higher goes first"),
    key("warm.groups[].schedule", List, "when it runs"),
    key("warm.groups[].requests", List, "what it asks for"),
    key("warm.groups[].max_items", Integer { min: 1, max: MOST_ITEMS }, "the most items per run"),
    must("warm.groups[].combos[].path", Text, "the path of all combinations"),
    key("warm.groups[].combos[].params", AnyMap, "values per placeholder of the path"),
    key("warm.groups[].combos[].query", AnyMap, "values per query parameter"),
    key("warm.groups[].combos[].headers", AnyMap, "values per header, \"\" = without it"),
    key("warm.groups[].combos[].exclude", AnyMaps, "combinations that are left out"),
    must("warm.groups[].sources[].url", Text, "where the list comes from"),
    must("warm.groups[].sources[].select", Text, "what is taken from it"),
    must("warm.groups[].sources[].path", Text, "the path per value"),
    key("warm.groups[].sources[].headers", AnyMap, "headers of the request for the list and of those made from it"),
    key("warm.user.path", Text, "where users ask for their own warm-up"),
    key("warm.user.identity.header", Text, "the request header that names the user"),
    key("warm.user.requests", List, "what is warmed for a user"),
    key("warm.user.valid_for", LIFETIME, "how long a warm-up counts"),
    key("warm.user.min_interval", WAIT, "the least time between two warm-ups"),
    key("warm.user.max_users", Integer { min: 1, max: 10_000_000 }, "users at a time"),
    key("warm.user.max_running", Integer { min: 1, max: 100_000 }, "warm-ups of users under way at a time"),
    key("logs.format", Choice(&["json", "pretty"]), "how events are written"),
    key("logs.sample_rate", Fraction, "the share of requests that is told of; errors, refusals and slow ones always are"),
    key("logs.slow", WAIT, "from when a request counts as slow, 0s = none does"),
    key("logs.batch_delay", WAIT, "how long an event may wait for others"),
    key("logs.batch_max", Integer { min: 1, max: 65_536 }, "events that are written together"),
    key("logs.queue", Integer { min: 1, max: 16 << 20 }, "events that may wait, in pieces of 512 bytes; beyond it they are dropped"),
    key("logs.file", Text, "the file of events, empty = stderr"),
    key("logs.redact", List, "query parameters whose values are never written, as [\"token\", \"x-amz-*\"]"),
    key("logs.server_timing", Bool, "whether responses carry Server-Timing"),
];

/// What each table and each array of tables is about, by its path.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("server", "the data port: where readers come in, and what they may send"),
    ("server.tls", "the certificate of addresses that begin with https://"),
    ("server.rate_limit", "how often one client may ask, beyond it 429; hits count too"),
    ("admin", "the admin API, on a port of its own"),
    ("upstream", "the API in front of which warmfront stands"),
    ("upstream.breaker", "when an upstream is not asked at all, because nearly everything fails there"),
    ("upstream.tls", "how upstreams that begin with https:// are recognised, and what is shown to them"),
    ("upstream.health", "upstreams are asked for their health, whether anybody needs them or not"),
    ("cache", "what is stored, and for how long where the origin is silent"),
    ("key", "what identifies a stored response, where no rule says otherwise"),
    ("rules[]", "rules by path: the first that matches a request decides"),
    ("rules[].per_identity", "a partition per identity, unreachable from any other"),
    ("rules[].rate_limit", "how often one client may ask for these paths, in place of server.rate_limit"),
    ("invalidate[]", "what a successful change puts out of date beyond its own target; all that match apply"),
    ("warm", "what is fetched before anybody asks, and at which pace"),
    ("warm.refresh_ahead", "hot keys are refreshed before they expire"),
    ("warm.groups[]", "requests that are warmed together"),
    ("warm.groups[].combos[]", "all combinations of some values, as requests"),
    ("warm.groups[].sources[]", "a list that the API itself gives, as requests"),
    ("warm.user", "users' own warm-up, on the data port"),
    ("warm.user.identity", "who a user is"),
    ("logs", "events of requests"),
];

#[cfg(test)]
mod tests {
    use super::{KEYS, elsewhere, find, has_below, names_below};
    use std::collections::HashSet;

    #[test]
    fn every_key_has_one_name_and_one_variable() {
        let paths: HashSet<_> = KEYS.iter().map(|key| key.path).collect();
        let variables: Vec<_> = KEYS.iter().filter_map(super::Key::environment).collect();
        assert_eq!(paths.len(), KEYS.len());
        assert_eq!(variables.iter().collect::<HashSet<_>>().len(), variables.len());
        assert!(KEYS.iter().all(|key| !key.doc.is_empty() && !key.doc.ends_with('.')));
    }

    #[test]
    fn variables_are_paths_in_capitals() {
        assert_eq!(find("cache.max_bytes").unwrap().environment().unwrap(), "WARMFRONT_CACHE__MAX_BYTES");
        assert_eq!(find("warm.refresh_ahead.hits").unwrap().environment().unwrap(), "WARMFRONT_WARM__REFRESH_AHEAD__HITS");
        assert_eq!(find("rules[].ttl").unwrap().environment(), None);
    }

    #[test]
    fn the_tree_is_in_the_paths() {
        assert_eq!(names_below(""), ["server", "admin", "upstream", "cache", "key", "rules", "invalidate", "warm", "logs"]);
        assert_eq!(names_below("warm.groups[].sources[]"), ["url", "select", "path", "headers"]);
        assert!(has_below("rules[]") && has_below("warm.user") && !has_below("rules") && !has_below("cache.max"));
        assert_eq!(elsewhere("max_object"), Some("cache.max_object"));
    }
}
