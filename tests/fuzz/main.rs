//! Every parser against bytes that nobody would write, for a bounded time.
//!
//! A mutator with a seed in place of libFuzzer: that would have to build the whole crate a second time with coverage, for minutes, and needs a nightly
//! compiler or flags that are not promised. What this one finds it finds again: the seed and the input are printed. `FUZZ_SECONDS` per target
//! (default 2), `FUZZ_SEED` (default fixed). The targets are `warmfront::fuzzing::TARGETS`, one call each for whoever brings a fuzzer of their own.

#![allow(clippy::unwrap_used, reason = "a test that unwraps has failed")]
#![allow(unreachable_pub, reason = "the modules of one test binary")]

mod mutator;
mod seeds;

use mutator::Mutator;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use warmfront::fuzzing::TARGETS;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn fuzz(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let seed = number("FUZZ_SEED", 0x57a1_e0f1);
    let mut mutator = Mutator::new(seed, seeds::of(name), seeds::WORDS);
    let until = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS", 2));
    let mut runs = 0_u64;
    for input in seeds::of(name) {
        run(name, *target, input, seed);
    }
    while runs.is_multiple_of(64).then(Instant::now).is_none_or(|now| now < until) {
        run(name, *target, &mutator.next(), seed);
        runs += 1;
    }
    println!("{name}: {runs} inputs");
    assert!(runs > 100, "{name}: that was no run");
}

fn run(name: &str, target: fn(&[u8]), input: &[u8], seed: u64) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        panic!("{name}, seed {seed}: {input:?} ({:?})", String::from_utf8_lossy(input));
    }
}

#[test]
fn every_target_is_fuzzed() {
    let here = include_str!("main.rs");
    for (name, _) in TARGETS {
        assert!(here.contains(&format!("fuzz(\"{name}\")")), "{name}");
        assert!(!seeds::of(name).is_empty(), "{name}");
    }
}

#[test]
fn requests_on_a_connection() {
    fuzz("connection");
}

#[test]
fn chunked_bodies() {
    fuzz("chunked");
}

#[test]
fn answers_of_an_upstream() {
    fuzz("answer");
}

#[test]
fn heads_to_be_admitted() {
    fuzz("admission");
}

#[test]
fn proxy_headers() {
    fuzz("proxy_header");
}

#[test]
fn traces() {
    fuzz("traceparent");
}

#[test]
fn hosts_with_their_scheme() {
    fuzz("site");
}

#[test]
fn cache_control() {
    fuzz("cache_control");
}

#[test]
fn vary() {
    fuzz("vary");
}

#[test]
fn ranges() {
    fuzz("range");
}

#[test]
fn dates() {
    fuzz("date");
}

#[test]
fn conditions_and_entity_tags() {
    fuzz("conditions");
}

#[test]
fn configuration_files() {
    fuzz("config");
}

#[test]
fn selectors_and_lists() {
    fuzz("select");
}

#[test]
fn bodies_of_the_admin_api() {
    fuzz("admin_body");
}

#[test]
fn queries_of_the_admin_api() {
    fuzz("admin_query");
}
