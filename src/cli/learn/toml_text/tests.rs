//! The written plan, read again.

use super::{millis, percent, write};
use crate::Settings;
use crate::cli::learn::plan::{Plan, Wish};
use crate::cli::learn::sieve::Sieve;
use crate::cli::learn::sketch::Sketch;
use crate::cli::learn::tally::Tally;

fn wish() -> Wish {
    let sources = vec!["access\n.log".into()];
    Wish { group: "learned".into(), top: 200, min_hits: 2, sources, config: None }
}

fn tally(lines: &[&str]) -> Tally {
    let mut tally = Tally::new(Sieve { settings: Settings::default(), host: None, with_users: false });
    lines.iter().for_each(|line| tally.line(line.as_bytes()));
    tally
}

fn line(host: &str, target: &str, rest: &str) -> String {
    format!(r#"{host} 10.0.0.1 - - [t] "GET {target} HTTP/1.1" 200 5 "-" "-" {rest}"#)
}

#[test]
fn the_plan_says_what_it_was_learned_from() {
    let lines = [
        line("a.example", "/slow", "0.900 urt=0.800 cs=MISS"),
        line("a.example", "/slow", "0.901 urt=0.801 cs=EXPIRED"),
        line("b.example", "/often", "0.100"),
        line("b.example", "/often", "0.100"),
        line("b.example", "/often", "cs=MISS"),
        line("a.example", "/once", "0.010 cs=MISS"),
        line("a.example", "/hit", "cs=HIT"),
        line("a.example", "/x?token=1", ""),
        "?".into(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let text = write(&Plan::new(tally(&lines), wish()).unwrap());
    assert_eq!(
        text,
        r#"# A warm plan, learned by `warmfront learn` from access\n.log.
# Lines: 9 read, 6 counted; skipped: 1 not recognised, 1 answered from cache, 1 with a secret in the query.
# Weight: misses x origin time, where the log has it; that of the whole request in 3 lines; 1 line without a time, taken as 100 ms; 2 lines without a cache status, taken as misses.
# Covered: 2 of 3 different queries, 99.5 % of the weight of all that were counted.
# Hosts: a.example 3, b.example 3. Their queries are merged: --host H keeps those of one. To warm for each of them:
#     [warm]
#     hosts = ["a.example", "b.example"]

[[warm.groups]]
name = "learned"
max_items = 2
requests = [
    "/slow",                                                 # 2 misses, 800 ms each, 83.8 %
    "/often",                                                # 3 misses, 100 ms each, 15.7 %
]
"#
    );
}

#[test]
fn without_times_and_cache_status_requests_are_counted() {
    let line = line("", "/a", "");
    let text = write(&Plan::new(tally(&[&line, &line]), wish()).unwrap());
    assert!(text.contains("# Weight: requests; the log has no times; the log does not tell hits from misses.\n"), "{text}");
    assert!(text.contains("# 2 requests, 100.0 %\n") && !text.contains("Host"), "{text}");
}

#[test]
fn a_plan_of_more_queries_than_are_held_says_how_far_it_may_be_off() {
    let mut tally = tally(&[]);
    tally.sketch = Sketch::new(2);
    for target in ["/a", "/a", "/a", "/a", "/b", "/c", "/c", "/c"] {
        tally.line(line("", target, "").as_bytes());
    }
    let text = write(&Plan::new(tally, wish()).unwrap());
    assert!(text.contains("# Covered: 2 of more than 2 different queries, 87.5 % of the weight of all that were counted.\n"), "{text}");
    assert!(
        text.contains("# Error: any query may lack up to 12.5 % of the weight; more were asked for than are held at a time.\n"),
        "{text}"
    );
    assert!(text.contains("# 4 requests, 50.0 %\n"), "{text}");
}

#[test]
fn small_shares_and_times_do_not_vanish() {
    assert_eq!([0.0, 0.0004, 0.0005, 1.0].map(percent), ["0.0 %", "< 0.1 %", "0.1 %", "100.0 %"]);
    assert_eq!([1, 149, 9_940, 12_400].map(millis), ["0.0 ms", "0.1 ms", "9.9 ms", "12 ms"]);
}

#[test]
fn if_nothing_is_usable_one_line_says_why() {
    let why = |lines: &[&str]| Plan::new(tally(lines), wish()).unwrap_err();
    assert_eq!(why(&[]), "nothing to warm in access\\n.log: 0 lines");
    assert_eq!(
        why(&["x\u{1b}y"]),
        "nothing to warm in access\\n.log: 1 line read, 1 not recognised; the first line that is not recognised: x\\u{1b}y"
    );
    assert_eq!(
        why(&[&line("", "/a", "")]),
        "nothing to warm in access\\n.log: 1 line read, 1 counted, but no query 2 times (--min-hits 1 takes them all)"
    );
}
