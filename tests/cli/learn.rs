//! `learn`: from access logs to a plan that `check` accepts.

use crate::process::{Folder, Outcome, command, outcome};
use std::io::Write as _;
use std::process::Stdio;

const NGINX: &str = r#"10.0.0.1 - - [10/Oct/2024:13:55:36 +0000] "GET /api/brands?page=1&utm_source=x HTTP/1.1" 200 512 "-" "curl/8" rt=0.201 urt="0.200" cs=MISS
10.0.0.1 - - [10/Oct/2024:13:55:37 +0000] "GET /api/brands?page=1 HTTP/1.1" 200 512 "-" "curl/8" rt=0.401 urt="0.400" cs=EXPIRED
10.0.0.1 - - [10/Oct/2024:13:55:38 +0000] "GET /api/brands?page=1 HTTP/1.1" 200 512 "-" "curl/8" rt=0.000 urt=- cs=HIT
10.0.0.1 - - [10/Oct/2024:13:55:39 +0000] "POST /api/brands HTTP/1.1" 201 2 "-" "curl/8" rt=0.050 urt="0.050" cs=-
10.0.0.1 - bob [10/Oct/2024:13:55:40 +0000] "GET /api/me/profile HTTP/1.1" 200 2 "-" "curl/8" rt=0.050 urt="0.050" cs=MISS
10.0.0.1 - - [10/Oct/2024:13:55:41 +0000] "GET /v1/chat/7 HTTP/1.1" 200 2 "-" "curl/8" rt=0.050 urt="0.050" cs=MISS
10.0.0.1 - - [10/Oct/2024:13:55:42 +0000] "GET /api/a?api_key=7 HTTP/1.1" 200 2 "-" "curl/8" rt=0.050 urt="0.050" cs=MISS
"#;

const JSON: &str = r#"{"request":{"method":"GET","host":"a.example","uri":"/api/models"},"user_id":"","duration":0.1,"status":200}
{"request":{"method":"GET","host":"b.example","uri":"/api/models"},"user_id":"","duration":0.1,"status":200}
{"request":{"method":"GET","host":"b.example","uri":"/api/models?b=2&a=1"},"user_id":"","duration":0.1,"status":200}
not a line of a log
"#;

const CONFIG: &str = r#"[key]
query_ignore = ["utm_*"]
query_sort = true
[[rules]]
path = "/v1/chat/**"
pass = true
"#;

fn with_stdin(folder: &Folder, args: &[&str], input: &[u8]) -> Outcome {
    let mut child = command(folder.path(), args, &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("access.log", NGINX);
    folder.write("caddy.json", JSON);
    folder
}

#[test]
fn a_plan_of_several_logs_is_what_check_accepts() {
    let folder = folder("learn-plan");
    folder.write("warmfront.toml", CONFIG);
    let learned = outcome(folder.path(), &["learn", "access.log", "caddy.json"], &[]);
    assert_eq!((learned.code, learned.err.as_str()), (Some(0), ""));
    assert_eq!(
        learned.out,
        r#"# A warm plan, learned by `warmfront learn` from access.log, caddy.json.
# Lines: 11 read, 5 counted; skipped: 1 not recognised, 1 neither GET nor HEAD, 1 by a signed-in user, 1 under a rule with pass or per_identity, 1 answered from cache, 1 with a secret in the query.
# Weight: misses x origin time, where the log has it; that of the whole request in 3 lines; 3 lines without a cache status, taken as misses.
# Covered: 2 of 3 different queries, 88.9 % of the weight of all that were counted.
# Keys and rules: those of warmfront.toml.
# Hosts: b.example 2, a.example 1. Their queries are merged: --host H keeps those of one. To warm for each of them:
#     [warm]
#     hosts = ["b.example", "a.example"]

[[warm.groups]]
name = "learned"
max_items = 2
requests = [
    "/api/brands?page=1",                                    # 2 misses, 300 ms each, 66.7 %
    "/api/models",                                           # 2 misses, 100 ms each, 22.2 %
]
"#
    );
    let upstream = "[upstream]\nurls = [\"http://127.0.0.1:9000\"]\n";
    folder.write("whole.toml", &format!("{upstream}{}", learned.out));
    let checked = outcome(folder.path(), &["check", "--config", "whole.toml"], &[]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
}

#[test]
fn stdin_is_a_log_too() {
    let folder = folder("learn-stdin");
    let learned = with_stdin(
        &folder,
        &["learn", "-", "--min-hits", "1", "--host", "b.example", "--format", "json"],
        format!("\n{JSON}\r\n\n").as_bytes(),
    );
    assert_eq!((learned.code, learned.err.as_str()), (Some(0), ""));
    let value: serde_json::Value = serde_json::from_str(&learned.out).unwrap();
    assert_eq!((&value["sources"][0], &value["lines"], &value["counted"]), (&"stdin".into(), &4.into(), &2.into()));
    assert_eq!((&value["skipped"]["for another host"], &value["exact"]), (&1.into(), &true.into()));
    assert_eq!(value["queries"][1], serde_json::json!({"target": "/api/models?b=2&a=1", "count": 1, "meanMs": 100.0, "share": 0.5}));
    let both = with_stdin(&folder, &["learn", "caddy.json", "-", "--format", "table", "--top", "1"], JSON.as_bytes());
    let lines: Vec<&str> = both.out.lines().collect();
    assert_eq!(lines[0], "  requests        each    share  query");
    assert_eq!(lines[1], "         4      100 ms   66.7 %  /api/models");
    assert_eq!(lines[3], "1 of 2 queries, 66.7 % of the weight of 6 counted lines");
}

#[test]
fn requests_of_users_are_there_if_asked_for() {
    let folder = folder("learn-users");
    let learned = outcome(folder.path(), &["learn", "access.log", "--with-users", "--min-hits", "1", "--group", "a\"b"], &[]);
    assert!(learned.out.contains("\"/api/me/profile\",") && learned.out.contains("name = \"a\\\"b\"\n"), "{}{}", learned.out, learned.err);
}

#[test]
fn a_file_is_never_written_over_unless_forced() {
    let folder = folder("learn-output");
    let args = ["learn", "access.log", "--min-hits", "1", "--output", "plan.toml"];
    let first = outcome(folder.path(), &args, &[]);
    assert_eq!((first.code, first.out.as_str()), (Some(0), ""));
    assert_eq!(first.err, "warmfront: 3 queries in plan.toml, 100.0 % of the weight\n");
    folder.write("plan.toml", "mine");
    let second = outcome(folder.path(), &args, &[]);
    assert_eq!((second.code, second.out.as_str()), (Some(1), ""));
    assert_eq!(second.err, "error: plan.toml is there already\n\n  fix: --force writes over it, or name another file\n");
    let read = || std::fs::read_to_string(folder.path().join("plan.toml")).unwrap();
    assert_eq!(read(), "mine");
    assert_eq!(outcome(folder.path(), &[&args[..], &["--force"]].concat(), &[]).code, Some(0));
    assert!(read().starts_with("# A warm plan"));
}

#[test]
fn if_nothing_is_usable_one_line_says_why() {
    let folder = Folder::new("learn-nothing");
    folder.write("a.log", "10.0.0.1 - - [t] \"POST /x HTTP/1.1\" 200 5\nwhat \u{1b}[31m is this\n");
    let nothing = outcome(folder.path(), &["learn", "a.log"], &[]);
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(1), ""));
    assert_eq!(
        nothing.err,
        "error: nothing to warm in a.log: 2 lines read, 1 not recognised, 1 neither GET nor HEAD; the first line that is not recognised: what \\u{1b}[31m is this\n"
    );
}

#[test]
fn a_log_that_cannot_be_read_is_named() {
    let folder = folder("learn-missing");
    let missing = outcome(folder.path(), &["learn", "access.log", "gone.log"], &[]);
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""));
    assert!(missing.err.starts_with("error: gone.log: cannot be read: No such file"), "{}", missing.err);
    let directory = outcome(folder.path(), &["learn", "."], &[]);
    assert_eq!(directory.code, Some(1));
    assert!(directory.err.starts_with("error: .: cannot be read: Is a directory"), "{}", directory.err);
    std::fs::write(folder.path().join("access.log.2.gz"), [0x1f, 0x8b, 8, 0, 0]).unwrap();
    let packed = outcome(folder.path(), &["learn", "access.log.2.gz"], &[]);
    assert_eq!(packed.code, Some(1));
    assert_eq!(
        packed.err,
        "error: access.log.2.gz is compressed\n\n  fix: unpack it on the way: zcat access.log.2.gz | warmfront learn -\n"
    );
    let stdin = with_stdin(&folder, &["learn", "-"], &[0x28, 0xb5, 0x2f, 0xfd, 0]);
    assert!(stdin.err.starts_with("error: stdin is compressed\n") && stdin.err.contains(": zstdcat "), "{}", stdin.err);
}

#[test]
fn a_configuration_with_faults_is_not_learned_by() {
    let folder = folder("learn-config");
    folder.write("bad.toml", "[key]\nquery_sort = 1\n");
    let bad = outcome(folder.path(), &["learn", "access.log", "--config", "bad.toml"], &[]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.err.starts_with("error: 1 fault in bad.toml\n\nbad.toml:2:14: key.query_sort"), "{}", bad.err);
}

#[test]
fn wrong_usage_is_told_from_work_that_failed() {
    let folder = folder("learn-usage");
    for args in [
        &["learn"][..],
        &["learn", "access.log", "--top", "0"],
        &["learn", "access.log", "--top", "100001"],
        &["learn", "access.log", "--min-hits", "0"],
        &["learn", "access.log", "--force"],
        &["learn", "access.log", "--group", ""],
        &["learn", "access.log", "--format", "yaml"],
    ] {
        let wrong = outcome(folder.path(), args, &[]);
        assert_eq!((wrong.code, wrong.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(wrong.err.starts_with("error: "), "{args:?}: {}", wrong.err);
    }
    let help = outcome(folder.path(), &["learn", "--help"], &[]);
    assert!(help.out.contains("zcat access.log.*.gz | warmfront learn -"), "{}", help.out);
}

#[test]
#[ignore = "a measurement: cargo test --release --test cli learn:: -- --ignored --nocapture"]
fn a_gigabyte_takes_seconds() {
    let folder = Folder::new("learn-speed");
    let mut log = std::io::BufWriter::new(std::fs::File::create(folder.path().join("access.log")).unwrap());
    let (mut bytes, mut n) = (0, 0u64);
    while bytes < 1 << 30 {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // A number of bits by chance prefers small numbers, as readers do.
        let page = (n >> 44) >> ((n >> 20) % 20);
        let line = format!(
            "10.0.0.1 - - [10/Oct/2024:13:55:36 +0000] \"GET /api/schools?page={page}&pageSize=20 HTTP/1.1\" 200 5123 \"https://www.example.com/\" \
             \"Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0\" rt=0.123 urt=\"0.120\" cs=MISS\n"
        );
        bytes += line.len();
        log.write_all(line.as_bytes()).unwrap();
    }
    log.into_inner().unwrap();
    let before = seconds_of_children();
    let learned = outcome(folder.path(), &["learn", "access.log"], &[]);
    let rate = bytes as f64 / (seconds_of_children() - before) / 1e6;
    assert_eq!(learned.code, Some(0), "{}", learned.err);
    println!("{rate:.0} MB per second of processor time\n{}", learned.out.lines().take(5).collect::<Vec<_>>().join("\n"));
    assert!(cfg!(debug_assertions) || rate > 150.0, "{rate:.0} MB/s");
}

/// Processor time of ended children, of which a busy neighbour takes nothing: proc(5), `cutime` and `cstime` in hundredths.
fn seconds_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(13).take(2).map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}
