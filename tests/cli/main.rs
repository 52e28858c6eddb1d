//! The binary as people use it: arguments in, texts and exit codes out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod check;
mod completions;
mod demo;
mod learn;
mod logs;
mod plan;
mod process;
mod run;
mod set;
mod top;
mod upstream_tls;
mod usage;
mod verbs;
