//! Every call, in one table: method, path, what it takes and answers, and what does it. The OpenAPI document is made from it too.

use crate::admin::answer::{Answer, EVENT_STREAM};
use crate::admin::asked::Asked;
use crate::admin::calls::{config, health, invalidate, jobs, logs, plan, scheduler, stats, warm, warmup};
use crate::admin::desk::Desk;
use crate::admin::explain;
use crate::admin::exposition::CONTENT_TYPE;
use crate::admin::problem::Problem;
use crate::admin::schemas::{self as shape, Schema};
use crate::admin::{calls, metrics, openapi};
use crate::suggest::{nearest, quote};
use http::{Method, StatusCode};
use std::pin::Pin;
use std::sync::Arc;

/// What a call comes to.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send>>;

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// `GET` (which answers `HEAD` too), `POST`, `PUT` or `DELETE`.
    pub(super) method: &'static str,
    /// As in the contract; one segment may be `{id}`.
    pub(super) path: &'static str,
    /// One line for the document.
    pub(super) summary: &'static str,
    /// Whether it is answered without the token.
    pub(super) open: bool,
    /// Whether it may take as long as warming does, or for ever: of such calls only some run at a time.
    pub(super) waits: bool,
    /// What its query may hold.
    pub(super) query: &'static [Param],
    /// Its body.
    pub(super) body: Option<Schema>,
    /// The media type of what it answers when it goes well.
    pub(super) media: &'static str,
    /// What it answers when it goes well.
    pub(super) answers: &'static [(u16, Schema)],
    /// What does it.
    pub(super) run: fn(Arc<Desk>, Asked) -> Answering,
}

/// One parameter of a query.
#[derive(Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) schema: Schema,
}

impl Call {
    /// Whether it may change anything.
    pub(super) fn changes(&self) -> bool {
        self.method != "GET"
    }
}

const GET: Call = Call {
    method: "GET",
    path: "",
    summary: "",
    open: false,
    waits: false,
    query: &[],
    body: None,
    media: "application/json",
    answers: &[],
    run: |_, _| Box::pin(std::future::ready(Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "nothing does this")))),
};
const POST: Call = Call { method: "POST", ..GET };
const PUT: Call = Call { method: "PUT", ..GET };
const DELETE: Call = Call { method: "DELETE", ..GET };
const PAGE: &[Param] =
    &[Param { name: "offset", required: false, schema: shape::offset }, Param { name: "limit", required: false, schema: shape::limit }];

const PLAN: &[Param] = &[
    Param { name: "group", required: false, schema: shape::group_filter },
    Param { name: "items", required: false, schema: shape::items },
];

const KEYS: &[Param] = &[
    Param { name: "sort", required: false, schema: shape::key_sort },
    Param { name: "limit", required: false, schema: shape::key_limit },
    Param { name: "cursor", required: false, schema: shape::key_cursor },
];

const JOB_PAGE: &[Param] = &[
    Param { name: "group", required: false, schema: shape::group_filter },
    Param { name: "offset", required: false, schema: shape::offset },
    Param { name: "limit", required: false, schema: shape::limit },
];

const STREAM: &[Param] =
    &[Param { name: "recent", required: false, schema: shape::flag }, Param { name: "follow", required: false, schema: shape::flag }];

const EXPLAINED: &[Param] = &[
    Param { name: "url", required: true, schema: shape::target_url },
    Param { name: "header", required: false, schema: shape::header_lines },
    Param { name: "method", required: false, schema: shape::method },
];

/// All calls, in the order of the contract.
pub(super) static CALLS: &[Call] = &[
    Call {
        path: "/api/cache/stats",
        summary: "What warming and the cache have done and hold",
        answers: &[(200, shape::stats)],
        run: |desk, _| done(Ok(stats::stats(&desk))),
        ..GET
    },
    Call {
        path: "/api/cache/config",
        summary: "What can be switched while it runs",
        answers: &[(200, shape::config_answer)],
        run: |desk, _| done(Ok(config::get(&desk))),
        ..GET
    },
    Call {
        path: "/api/cache/config",
        summary: "Merges a partial object, all or nothing, at once; a reload of the file resets it",
        body: Some(shape::config_change),
        answers: &[(200, shape::config_answer)],
        run: |desk, asked| Box::pin(config::put(desk, asked)),
        ..PUT
    },
    Call {
        path: "/api/cache/warm",
        summary: "Warms all groups, or those of `items`",
        body: Some(shape::warm_order),
        answers: &[(200, shape::stats_with_job), (202, shape::job_answer)],
        waits: true,
        run: |desk, asked| Box::pin(warm::warm(desk, asked)),
        ..POST
    },
    Call {
        path: "/api/cache/invalidate",
        summary: "Invalidates a group or tag, a prefix, a URL, or everything",
        body: Some(shape::invalidate_order),
        answers: &[(200, shape::message)],
        run: |desk, asked| Box::pin(invalidate::invalidate(desk, asked)),
        ..POST
    },
    Call {
        path: "/api/cache/invalidate-and-warm",
        summary: "Replaces what is stored: each old copy serves until the new one is there",
        body: Some(shape::replace_order),
        answers: &[(200, shape::stats_with_job), (202, shape::job_answer)],
        waits: true,
        run: |desk, asked| Box::pin(warm::replace(desk, asked)),
        ..POST
    },
    Call {
        path: "/api/cache/reset-stats",
        summary: "Counts begin anew; what is stored stays",
        body: Some(shape::nothing),
        answers: &[(200, shape::message)],
        run: |desk, asked| done(stats::reset(&desk, &asked)),
        ..POST
    },
    Call {
        path: "/api/cache/explain",
        summary: "What would become of a request, and why; nobody is asked",
        query: EXPLAINED,
        answers: &[(200, shape::explanation)],
        run: |desk, asked| done(explain::answer(&desk.rooms, &asked)),
        ..GET
    },
    Call {
        path: "/api/cache/keys",
        summary: "What is stored",
        query: KEYS,
        answers: &[(200, shape::key_page)],
        run: |desk, asked| Box::pin(calls::keys::keys(desk, asked)),
        ..GET
    },
    Call {
        path: "/api/logs/stream",
        summary: "Events as they come, in batches: messages `events` with an event of JSON on each line, and `lost` with how many this client was too slow for",
        query: STREAM,
        media: EVENT_STREAM,
        answers: &[(200, shape::any_text)],
        waits: true,
        run: |desk, asked| done(logs::stream(&desk, &asked)),
        ..GET
    },
    Call {
        path: "/api/cache/warmup/status",
        summary: "What is warmed now, how the last time went, and when the next comes",
        answers: &[(200, shape::warmup_status)],
        run: |desk, _| done(Ok(warmup::status(&desk))),
        ..GET
    },
    Call {
        path: "/api/cache/warmup/execute",
        summary: "Warms these tasks (groups), together or one after the other",
        body: Some(shape::execute_order),
        answers: &[(200, shape::metrics_with_job), (202, shape::job_answer)],
        waits: true,
        run: |desk, asked| Box::pin(warmup::execute(desk, asked)),
        ..POST
    },
    Call {
        path: "/api/scheduler/status",
        summary: "Groups with their schedules, next runs and last results",
        answers: &[(200, shape::scheduler_status)],
        run: |desk, _| done(Ok(scheduler::status(&desk))),
        ..GET
    },
    Call {
        path: "/api/scheduler/warmup",
        summary: "Warms all groups or one",
        body: Some(shape::scheduler_order),
        answers: &[(200, shape::metrics_with_job), (202, shape::job_answer)],
        waits: true,
        run: |desk, asked| Box::pin(scheduler::warmup(desk, asked)),
        ..POST
    },
    Call {
        path: "/api/scheduler/clear-and-warmup",
        summary: "Drops everything at once, and warms all groups",
        body: Some(shape::clear_order),
        answers: &[(200, shape::metrics_with_job), (202, shape::job_answer)],
        waits: true,
        run: |desk, asked| Box::pin(scheduler::clear_and_warmup(desk, asked)),
        ..POST
    },
    Call {
        path: "/api/warm/jobs",
        summary: "The jobs that are remembered, the newest first",
        query: PAGE,
        answers: &[(200, shape::jobs)],
        run: |desk, asked| done(jobs::list(&desk, &asked)),
        ..GET
    },
    Call {
        path: "/api/warm/jobs/{id}",
        summary: "One job: progress, time left, and a page of its items, of all its groups or of one",
        query: JOB_PAGE,
        answers: &[(200, shape::job_page)],
        run: |desk, asked| done(jobs::one(&desk, &asked)),
        ..GET
    },
    Call {
        path: "/api/warm/jobs/{id}",
        summary: "Cancels a job, at once",
        answers: &[(200, shape::job_answer)],
        run: |desk, asked| Box::pin(jobs::cancel(desk, asked)),
        ..DELETE
    },
    Call {
        path: "/api/warm/plan",
        summary: "The warm plan: what is fresh, what went wrong the last time, what a run would cost",
        query: PLAN,
        answers: &[(200, shape::plan)],
        waits: true,
        run: |desk, asked| Box::pin(plan::plan(desk, asked)),
        ..GET
    },
    Call {
        path: "/metrics",
        summary: "Metrics, in the text format of Prometheus",
        media: "text/plain",
        answers: &[(200, shape::any_text)],
        run: |desk, _| done(Ok(Answer::text(CONTENT_TYPE, metrics::render(&desk.rooms)))),
        ..GET
    },
    Call { path: "/healthz", summary: "Alive", open: true, answers: &[(200, shape::health)], run: |_, _| done(Ok(health::alive())), ..GET },
    Call {
        path: "/readyz",
        summary: "Ready: not draining, and warm if that is configured",
        open: true,
        answers: &[(200, shape::readiness)],
        run: |desk, _| done(health::ready(&desk)),
        ..GET
    },
    Call {
        path: "/api/openapi.json",
        summary: "This document",
        answers: &[(200, shape::any_object)],
        run: |desk, _| done(Ok(openapi::document(&desk))),
        ..GET
    },
];

/// An answer that is there already.
fn done(result: Result<Answer, Problem>) -> Answering {
    Box::pin(std::future::ready(result))
}

/// What the table has for a request.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A call, and what stands in its `{..}`.
    Call { call: &'static Call, part: Option<&'a str> },
    /// Nothing for this method; these are for the path.
    Methods(String),
    /// Nothing for this path.
    Nothing,
}

/// Looks a request up.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let mut allowed: Vec<&str> = Vec::new();
    for call in CALLS {
        let Some(part) = matches(call.path, path) else { continue };
        if call.method == method.as_str() || (call.method == "GET" && *method == Method::HEAD) {
            return Found::Call { call, part };
        }
        allowed.push(if call.method == "GET" { "GET, HEAD" } else { call.method });
    }
    if allowed.is_empty() { Found::Nothing } else { Found::Methods(allowed.join(", ")) }
}

/// Whether `path` is what `template` means; with what stands in its `{..}`.
fn matches<'a>(template: &str, path: &'a str) -> Option<Option<&'a str>> {
    match template.split_once("{id}") {
        None => (template == path).then_some(None),
        Some((before, _)) => path.strip_prefix(before).filter(|part| !part.is_empty() && !part.contains('/')).map(Some),
    }
}

/// 404, with the path that was probably meant.
pub(super) fn not_found(path: &str) -> Problem {
    let mut known: Vec<&str> = CALLS.iter().map(|call| call.path).collect();
    known.dedup();
    let meant = nearest(path.trim_end_matches('/'), known.iter().copied());
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    Problem::new(StatusCode::NOT_FOUND, format!("there is no {}{meant}", quote(path))).with("known", known)
}

#[cfg(test)]
mod tests {
    use super::{CALLS, Found, find};
    use http::Method;

    #[test]
    fn every_call_is_found_by_its_own_line_only() {
        for call in CALLS {
            let path = call.path.replace("{id}", "7");
            let method: Method = call.method.parse().unwrap();
            assert!(matches!(find(&method, &path), Found::Call { call: found, .. } if std::ptr::eq(found, call)), "{} {path}", call.method);
            assert!(matches!(find(&Method::PATCH, &path), Found::Methods(_)), "{path}");
        }
        assert!(matches!(find(&Method::HEAD, "/healthz"), Found::Call { .. }));
        assert!(matches!(find(&Method::GET, "/api/warm/jobs/7"), Found::Call { part: Some("7"), .. }));
        assert!(matches!(find(&Method::GET, "/api/warm/jobs/"), Found::Nothing));
        assert!(matches!(find(&Method::GET, "/api/warm/jobs/7/8"), Found::Nothing));
        assert!(matches!(find(&Method::PATCH, "/api/cache/config"), Found::Methods(allowed) if allowed == "GET, HEAD, PUT"));
    }

    #[test]
    fn no_call_that_changes_something_is_a_get() {
        for call in CALLS.iter().filter(|call| call.body.is_some()) {
            assert!(call.changes(), "{}", call.path);
        }
    }
}
