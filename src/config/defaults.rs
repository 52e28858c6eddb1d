//! What holds where nobody says anything, by key: read from the settings themselves, so that it is written once.

use crate::cache::invalidation::Invalidation;
use crate::cache::rules::Rule;
use crate::cache::settings::Settings;
use crate::config::AdminSettings;
use crate::config::units::{show_duration, show_size};
use crate::sidecar::settings::{Counted, Forwarded, Http2, Origin, ServerSettings, UpstreamSettings};
use crate::telemetry::log::{Format, LogSettings};
use crate::warm::{Group, UserSettings, WarmSettings};
use http::uri::Authority;
use serde_json::{Value, json};
use std::time::Duration;

/// The settings that nobody has touched.
pub(super) struct Defaults {
    server: ServerSettings,
    admin: AdminSettings,
    upstream: UpstreamSettings,
    cache: Settings,
    warm: WarmSettings,
    logs: LogSettings,
    user: UserSettings,
    group: Group,
}

impl Defaults {
    pub(super) fn new() -> Self {
        Self {
            server: ServerSettings::default(),
            admin: AdminSettings::default(),
            upstream: UpstreamSettings::new(Origin::http(Authority::from_static("localhost"))),
            cache: Settings::default(),
            warm: WarmSettings::default(),
            logs: LogSettings::default(),
            user: UserSettings::default(),
            group: Group::new(""),
        }
    }

    /// The default of the key at `path` as the file would say it; `None` if there is none, or if silence says something that no value says.
    pub(super) fn of(&self, path: &str) -> Option<Value> {
        let (section, name) = path.split_once('.')?;
        match section {
            "server" => self.server(name),
            "admin" => match name {
                "listen" => Some(json!(self.admin.listen.to_string())),
                "hosts" => Some(json!(self.admin.hosts)),
                "ready_when_warm" => Some(json!(self.admin.ready_when_warm)),
                "ready_deadline" => Some(duration(self.admin.ready_deadline)),
                _ => None,
            },
            "upstream" => self.upstream(name),
            "cache" | "key" => self.cache(path),
            "rules[]" | "invalidate[]" => of_items(path),
            "warm" => self.warm(name).or_else(|| self.group(name)).or_else(|| self.user(name)),
            "logs" => self.logs(name),
            _ => None,
        }
    }

    fn logs(&self, name: &str) -> Option<Value> {
        let logs = &self.logs;
        Some(match name {
            "format" => json!(if logs.format == Format::Pretty { "pretty" } else { "json" }),
            "sample_rate" => json!(logs.sample_rate),
            "slow" => duration(logs.slow),
            "batch_delay" => duration(logs.batch_delay),
            "batch_max" => json!(logs.batch_max),
            "queue" => json!(logs.queue),
            "file" => json!(""),
            "redact" => texts(&logs.redact),
            "server_timing" => json!(logs.server_timing),
            _ => return None,
        })
    }

    fn server(&self, name: &str) -> Option<Value> {
        let server = &self.server;
        Some(match name {
            "listen" => texts(&server.listen),
            "tls.certificate" | "tls.key" => json!(""),
            "http2" => json!(server.http2),
            "max_streams" => json!(server.max_streams),
            "proxy_protocol" => json!(server.proxy_protocol),
            "workers" => json!(server.workers),
            "max_request_body" => size(server.max_request_body),
            "max_header_bytes" => size(server.max_header_bytes as u64),
            "header_timeout" => duration(server.header_timeout),
            "idle_timeout" => duration(server.idle_timeout),
            "max_connections" => json!(server.max_connections),
            "max_connections_per_client" => json!(server.max_connections_per_client),
            "min_body_rate" => size(server.min_body_rate),
            "rate_limit.per_second" => json!(server.rate_limit.per_second),
            "rate_limit.burst" => json!(server.rate_limit.burst),
            "rate_limit.by" => json!("client"),
            "max_rate_clients" => json!(server.max_rate_clients),
            "trusted_proxies" => texts(&server.trusted_proxies),
            "drain_timeout" => duration(server.drain_timeout),
            _ => return None,
        })
    }

    fn upstream(&self, name: &str) -> Option<Value> {
        let upstream = &self.upstream;
        Some(match name {
            "connect_timeout" => duration(upstream.connect_timeout),
            "response_timeout" => duration(upstream.response_timeout),
            "idle_body_timeout" => duration(upstream.idle_body_timeout),
            "forwarded" => json!(if upstream.forwarded == Forwarded::Append { "append" } else { "overwrite" }),
            "max_in_flight" => json!(upstream.max_in_flight),
            "max_queue" => json!(upstream.max_queue),
            "queue_timeout" => duration(upstream.queue_timeout),
            "preconnect" => json!(upstream.preconnect),
            "retries" => json!(upstream.retries),
            "http2" => json!(match upstream.http2 {
                Http2::Never => "never",
                Http2::Auto => "auto",
                Http2::Always => "always",
            }),
            "tls.ca" | "tls.certificate" | "tls.key" | "tls.server_name" => json!(""),
            "balance" => json!("load"),
            "eject_after" => json!(upstream.eject.after),
            "eject_for" => duration(upstream.eject.time),
            _ => return self.judging(name),
        })
    }

    fn judging(&self, name: &str) -> Option<Value> {
        let UpstreamSettings { breaker, health, .. } = &self.upstream;
        Some(match name {
            "breaker.errors" => json!(breaker.errors.fraction()),
            "breaker.counts" => json!(if breaker.counted == Counted::ServerErrors { "5xx" } else { "unavailable" }),
            "breaker.min_requests" => json!(breaker.min_requests),
            "breaker.slow" => duration(breaker.slow),
            "breaker.open_for" => duration(breaker.open_for),
            "health.path" => json!(health.path.as_ref().map_or("", |path| path.as_str())),
            "health.interval" => duration(health.interval),
            "health.timeout" => duration(health.timeout),
            "health.unhealthy_after" => json!(health.unhealthy_after),
            "health.healthy_after" => json!(health.healthy_after),
            _ => return None,
        })
    }

    fn cache(&self, path: &str) -> Option<Value> {
        let cache = &self.cache;
        Some(match path {
            "cache.max_bytes" => size(cache.max_bytes),
            "cache.max_object" => size(cache.max_object),
            "cache.heuristic" => json!(cache.heuristic),
            "cache.default_ttl" => duration(cache.default_ttl),
            "cache.stale_while_revalidate" => duration(cache.stale_while_revalidate),
            "cache.stale_if_error" => duration(cache.stale_if_error),
            "cache.max_variants" => json!(cache.max_variants),
            "cache.cache_status" => json!(cache.cache_status),
            "key.query_ignore" => texts(&cache.key.query_ignore),
            "key.query_sort" => json!(cache.key.query_sort),
            _ => return None,
        })
    }

    fn warm(&self, name: &str) -> Option<Value> {
        let warm = &self.warm;
        Some(match name {
            "enabled" => json!(warm.enabled),
            "on_startup" => json!(warm.on_startup),
            "startup_delay" => duration(warm.startup_delay),
            "concurrency" => json!(warm.concurrency),
            "timeout" => duration(warm.timeout),
            "max_rate" => json!(warm.max_rate),
            "max_share" => json!(self.upstream.warm_share.fraction()),
            "refresh_interval" => duration(warm.refresh_interval),
            "refresh_ahead.hits" => json!(warm.refresh_ahead.hits),
            "refresh_ahead.before" => json!(warm.refresh_ahead.before),
            "time_zone" => json!(warm.time_zone.to_string()),
            "hosts" => texts(&warm.hosts),
            _ => return None,
        })
    }

    fn group(&self, name: &str) -> Option<Value> {
        let group = &self.group;
        Some(match name.strip_prefix("groups[].")? {
            "enabled" => json!(group.enabled),
            "priority" => json!(group.priority),
            "schedule" => texts(group.schedule.triggers()),
            "max_items" => json!(group.max_items),
            _ => return None,
        })
    }

    fn user(&self, name: &str) -> Option<Value> {
        let user = &self.user;
        Some(match name.strip_prefix("user.")? {
            "path" => json!(user.path.as_str()),
            "identity.header" => json!(user.identity.header.as_str()),
            "valid_for" => duration(user.valid_for),
            "min_interval" => duration(user.min_interval),
            "max_users" => json!(user.max_users),
            "max_running" => json!(user.max_running),
            _ => return None,
        })
    }
}

/// What a rule and an invalidation are that say nothing but their path.
fn of_items(path: &str) -> Option<Value> {
    let (rule, invalidation) = (Rule::path("/").ok()?, Invalidation::path("/").ok()?);
    Some(match path {
        "rules[].pass" => json!(rule.pass),
        "rules[].override" => json!(rule.override_origin),
        "rules[].tags" => texts(&rule.tags),
        "invalidate[].methods" => texts(&invalidation.methods),
        "invalidate[].tags" => texts(&invalidation.tags),
        "invalidate[].prefixes" => texts(&invalidation.prefixes),
        "invalidate[].groups" => texts(&invalidation.groups),
        "invalidate[].warm" => json!(invalidation.warm),
        _ => return None,
    })
}

fn duration(duration: Duration) -> Value {
    json!(show_duration(duration))
}

fn size(bytes: u64) -> Value {
    json!(show_size(bytes).replace(' ', ""))
}

fn texts<T: ToString>(items: &[T]) -> Value {
    items.iter().map(ToString::to_string).collect()
}
