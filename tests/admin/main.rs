//! The admin API over a running house: every call of the contract, what it changes, and what it refuses.

#![allow(unreachable_pub, reason = "shared by the files of this binary")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod calls;
mod config;
mod garbage;
mod guard;
mod invalidation;
mod jobs;
mod life;
mod rig;
