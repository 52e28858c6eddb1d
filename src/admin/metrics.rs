//! Which metrics there are. Each is a view of numbers that are kept elsewhere; nothing is counted here.

use crate::admin::Rooms;
use crate::admin::exposition::{Exposition, Kind};
use crate::admin::process::Process;
use crate::cache::Eviction;
use crate::flow::shared::Shared;
use crate::sidecar::Sidecar;
use crate::telemetry::span::Spans;
use crate::telemetry::{Attempt, BreakerState, Outcome, Refusal, Source, Trigger};
use crate::warm::{GroupReport, Report};

/// All metrics in the text format of Prometheus ([`CONTENT_TYPE`](crate::admin::exposition::CONTENT_TYPE)).
pub(crate) fn render(rooms: &Rooms) -> String {
    let mut text = Exposition::default();
    let shared = rooms.cache.shared();
    requests(&mut text, shared);
    refusals(&mut text, shared, &rooms.sidecar);
    upstream(&mut text, &rooms.sidecar);
    cache(&mut text, shared);
    warming(&mut text, &rooms.warm.report());
    logs(&mut text, shared, rooms);
    spans(&mut text, shared);
    process(&mut text);
    text.into_text()
}

fn requests(text: &mut Exposition, shared: &Shared) {
    let help = "Requests of readers that came to the cache, by the rule that matched (none: no rule) and how they ended. Each counts once.";
    let mut family = text.family("warmfront_requests_total", Kind::Counter, help);
    for (rule, counts) in shared.requests.by_rule() {
        for (outcome, count) in Outcome::ALL.into_iter().zip(counts) {
            family.sample(&[("rule", &rule), ("outcome", outcome.as_str())], count);
        }
    }
    let help = "Time from a reader's request to the head of its response, or until its client left.";
    let mut family = text.family("warmfront_request_duration_seconds", Kind::Histogram, help);
    for outcome in Outcome::ALL {
        family.histogram(&[("outcome", outcome.as_str())], &shared.requests.durations(outcome));
    }
}

fn refusals(text: &mut Exposition, shared: &Shared, sidecar: &Sidecar) {
    let help = "Errors of warmfront's own: requests that it refused, and failures of the upstream that it reported.";
    let mut family = text.family("warmfront_refused_total", Kind::Counter, help);
    for reason in Refusal::ALL {
        family.sample(&[("reason", reason.as_str())], sidecar.refused(reason) + shared.refusals.of(reason));
    }
}

fn upstream(text: &mut Exposition, sidecar: &Sidecar) {
    let help = "Attempts at the upstream by whom they were for and how they ended (error: a 5xx, failed: no response). A retry is another.";
    let mut family = text.family("warmfront_upstream_requests_total", Kind::Counter, help);
    for source in Source::ALL {
        for result in Attempt::ALL {
            let labels = [("source", source.as_str()), ("result", result.as_str())];
            family.sample(&labels, sidecar.upstream_requests(source, result));
        }
    }
    let help = "Time from an attempt at the upstream to the head of its response, for those that brought one.";
    text.family("warmfront_upstream_duration_seconds", Kind::Histogram, help).histogram(&[], &sidecar.upstream_durations());
    let help = "Requests that hold one of upstream.max_in_flight places now.";
    text.family("warmfront_upstream_in_flight", Kind::Gauge, help).sample(&[], sidecar.in_flight());
    origins(text, sidecar);
}

/// As many labels as there are origins in the settings; counts of those that have gone go on under one more.
fn origins(text: &mut Exposition, sidecar: &Sidecar) {
    let origins = sidecar.origins();
    let help = "Whether an origin gets requests as any other: 1, or 0 while it is ejected, unhealthy or behind an open breaker.";
    let mut family = text.family("warmfront_upstream_up", Kind::Gauge, help);
    for state in &origins {
        family.sample(&[("origin", &state.origin)], u8::from(state.up));
    }
    let help = "How often an origin was sent out: ejected after failures in a row, or found unhealthy. retired: of origins that have gone.";
    let mut family = text.family("warmfront_upstream_ejections_total", Kind::Counter, help);
    for state in &origins {
        family.sample(&[("origin", &state.origin)], state.ejections);
    }
    family.sample(&[("origin", "retired")], sidecar.retired_ejections());
    let help = "The state of an origin's circuit breaker: 1 for the one that it is in.";
    let mut family = text.family("warmfront_upstream_breaker", Kind::Gauge, help);
    for state in &origins {
        for breaker in BreakerState::ALL {
            family.sample(&[("origin", &state.origin), ("state", breaker.as_str())], u8::from(state.breaker == breaker));
        }
    }
}

fn cache(text: &mut Exposition, shared: &Shared) {
    let help = "Bytes that count towards cache.max_bytes: what is stored, and bodies in flight.";
    text.family("warmfront_cache_bytes", Kind::Gauge, help).sample(&[], shared.store.bytes() + shared.budget.used());
    text.family("warmfront_cache_entries", Kind::Gauge, "Stored keys.").sample(&[], shared.store.entries());
    let help = "Keys that lost what was stored under them: for want of room, purged, or replaced by something newer.";
    let mut family = text.family("warmfront_cache_evictions_total", Kind::Counter, help);
    for cause in Eviction::ALL {
        family.sample(&[("cause", cause.as_str())], shared.store.evictions(cause));
    }
    let help = "Invalidations by what set them off. Each counts once, however much it touched.";
    let mut family = text.family("warmfront_invalidation_total", Kind::Counter, help);
    for trigger in Trigger::ALL {
        family.sample(&[("type", trigger.as_str())], shared.invalidations.of(trigger));
    }
}

fn warming(text: &mut Exposition, report: &Report) {
    let mut of_groups = |name, kind, help: &str, value: fn(&GroupReport) -> Option<f64>| {
        let mut family = text.family(name, kind, help);
        for group in &report.groups {
            if let Some(value) = value(group) {
                family.sample(&[("group", &group.name)], value);
            }
        }
    };
    of_groups("warmfront_warm_total", Kind::Counter, "Runs that have ended.", |group| Some(group.totals.runs as f64));
    of_groups("warmfront_warm_failed_total", Kind::Counter, "Runs in which something failed.", |group| {
        Some(group.totals.failed_runs as f64)
    });
    of_groups("warmfront_warm_duration_seconds", Kind::Gauge, "How long the last run took.", |group| {
        group.last.as_ref().map(|run| run.duration.as_secs_f64())
    });
    of_groups("warmfront_warm_useful_total", Kind::Counter, "First hits of readers on warmed copies.", |group| {
        Some(group.gain.useful as f64)
    });
    let help = "Items of the last run by what became of them, and as live the copies of the group that are stored now.";
    let mut family = text.family("warmfront_warm_items", Kind::Gauge, help);
    for group in &report.groups {
        let fates = group.last.as_ref().map(|run| run.fates).unwrap_or_default();
        for (state, count) in fates.by_fate().chain([("live", group.gain.live)]) {
            family.sample(&[("group", &group.name), ("state", state)], count);
        }
    }
}

fn logs(text: &mut Exposition, shared: &Shared, rooms: &Rooms) {
    let help = "Events by what became of them: written, left out by logs.sample_rate, or lost for want of room or because they could not be written.";
    let mut family = text.family("warmfront_log_events_total", Kind::Counter, help);
    let counts = rooms.logs.counts();
    for (fate, count) in [("kept", counts.kept), ("sampled_out", shared.log.sampler().sampled_out()), ("dropped", counts.dropped)] {
        family.sample(&[("result", fate)], count);
    }
}

/// Only where spans are sent.
fn spans(text: &mut Exposition, shared: &Shared) {
    let Some(counts) = shared.log.spans().map(Spans::counts) else { return };
    let help = "Spans by what became of them: taken by the collector, lost for want of room in the queue, or not delivered or rejected.";
    let mut family = text.family("warmfront_otel_spans_total", Kind::Counter, help);
    for (fate, count) in [("sent", counts.sent), ("dropped", counts.dropped), ("failed", counts.failed)] {
        family.sample(&[("result", fate)], count);
    }
}

fn process(text: &mut Exposition) {
    let process = Process::read();
    let mut figure = |name, kind, help: &str, value: Option<f64>| {
        let mut family = text.family(name, kind, help);
        if let Some(value) = value {
            family.sample(&[], value);
        }
    };
    let resident = process.resident_bytes.map(|bytes| bytes as f64);
    figure("process_resident_memory_bytes", Kind::Gauge, "Resident memory in bytes.", resident);
    figure("process_cpu_seconds_total", Kind::Counter, "User and system CPU time in seconds.", process.cpu_seconds);
    figure("process_open_fds", Kind::Gauge, "Open file descriptors.", process.open_fds.map(|count| count as f64));
    figure("process_start_time_seconds", Kind::Gauge, "Start time of the process in Unix seconds.", process.start_seconds);
    let mut family = text.family("warmfront_build_info", Kind::Gauge, "The version that is running.");
    family.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
}

#[cfg(test)]
mod tests;
