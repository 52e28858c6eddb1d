//! The whole product on real sockets: a cache in a sidecar, between raw clients and an origin that does whatever a test wants.

#![allow(clippy::unwrap_used, reason = "a test that unwraps has failed")]
#![allow(unreachable_pub, reason = "the modules of one test binary")]

#[allow(dead_code, reason = "shared with the sidecar's tests")]
#[path = "../sidecar/certificate.rs"]
mod certificate;
#[allow(dead_code, reason = "shared with the sidecar's tests")]
#[path = "../sidecar/client.rs"]
mod client;
#[allow(dead_code, reason = "shared with the sidecar's tests")]
#[path = "../sidecar/origin.rs"]
mod origin;
#[allow(dead_code, reason = "shared with the command line's tests")]
#[path = "../cli/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with the sidecar's tests")]
#[path = "../sidecar/secure.rs"]
mod secure;

mod bodies;
mod crowds;
mod curl;
mod departures;
mod direct;
mod faces;
mod failures;
mod forwarding;
mod hits;
mod house;
mod integrity;
mod invalidation;
mod life;
mod limits;
mod memory;
mod poison;
mod schemes;
mod semantics;
mod smuggling;
mod stale;
mod switching;
mod truncation;
mod warm;
