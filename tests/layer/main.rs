//! What the cache does, seen from outside: a scripted origin behind a `CacheLayer`, and what readers get in front of it.
//!
//! Time is paused (tokio's) or moved by hand (the cache's clock); nothing here waits for the wall clock.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod collapsing;
mod differential;
mod explaining;
mod headers;
mod identity;
mod integrity;
mod invalidation;
mod memory;
mod origin;
mod ranges;
mod reader;
mod readiness;
mod stale;
mod storing;
mod streams;
mod tags;
mod validation;
mod vary;
mod warm_ahead;
mod warm_changes;
mod warm_chaos;
mod warm_faults;
mod warm_identity;
mod warm_runs;
mod warm_schedule;
mod warm_survey;
mod warm_user;
mod world;
