//! The sidecar from outside: raw sockets on both sides, because a friendly HTTP client would hide what matters.

#![allow(clippy::unwrap_used, reason = "a test that unwraps has failed")]
#![allow(unreachable_pub, reason = "the modules of one test binary")]

mod ahead;
mod bodies;
mod client;
mod faults;
mod forwarding;
mod framing;
mod lifecycle;
mod limits;
mod origin;
mod pool;
mod priority;
mod random;
mod rig;
mod timing;
mod upgrades;
