//! The sidecar from outside: raw sockets on both sides, because a friendly HTTP client would hide what matters.

#![allow(clippy::unwrap_used, reason = "a test that unwraps has failed")]
#![allow(unreachable_pub, reason = "the modules of one test binary")]

mod ahead;
mod answers;
mod bodies;
mod breaker;
mod certificate;
mod client;
mod dozing;
mod faults;
mod floods;
mod forwarding;
mod framing;
mod http2;
mod lifecycle;
mod limits;
mod origin;
mod origins;
mod pool;
mod priority;
mod proxy_protocol;
mod random;
mod rig;
mod secure;
mod timing;
mod tls;
mod upgrades;
mod upstream_http2;
mod upstream_tls;
