//! `plan`: what would be warmed, offline and beside a running sidecar.

use crate::process::{Folder, LONG, command, outcome};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A server of raw HTTP: it answers each request with status and JSON by its target, and remembers the heads.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(script: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heads) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let remembered = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
                let Some(target) = head.first().and_then(|line| line.split(' ').nth(1)) else { continue };
                let (status, body) = script(target);
                let length = body.len();
                remembered.lock().unwrap().push(head.join("\n"));
                let _ = write!(&stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            }
        });
        Self { address, heads }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn targets(&self) -> Vec<String> {
        self.heads.lock().unwrap().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect()
    }
}

const GROUPS: &str = r#"
[key]
query_sort = true
[[rules]]
name = "stream"
path = "/v1/**"
pass = true
[[warm.groups]]
name = "brands"
schedule = []
requests = ["/api/brands?b=1&a=2", "/api/brands?a=2&b=1", "/v1/chat"]
[[warm.groups.sources]]
url = "/api/top"
select = "/items/*/name"
path = "/api/brands/{value}"
[[warm.groups]]
name = "first"
priority = 5
enabled = false
schedule = ["every 2h"]
requests = ["/api/schools"]
"#;

fn config(upstream: &str) -> String {
    format!("[upstream]\nurls = [\"{upstream}\"]\n{GROUPS}")
}

/// The text with its moments replaced.
fn timeless(text: &str) -> String {
    text.split('\n')
        .map(|line| match line.find("+00:00") {
            Some(at) => format!("{}NOW+{}", &line[..at - 19], &line[at + 6..]),
            None => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_example_is_planned_without_asking_anybody() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let planned = outcome(examples.as_ref(), &["plan", "--config", "warmfront.toml", "--offline"], &[]);
    assert_eq!(planned.code, Some(0), "{}", planned.err);
    assert_eq!(
        timeless(&planned.out),
        r#"warm plan of warmfront.toml
  for       127.0.0.1:8080
            the first listen address, until readers name another host; see warm.hosts

primary (priority 10)
  schedule  100ms after the start, every 2h, cron 0 3 * * * (UTC)
  next      NOW+  in 2h       every 2h
            NOW+  in 4h       every 2h
            NOW+  in 6h       every 2h
  requests  8
  combos    8 combinations of 2 combos
  list      /api/brands/top?limit=20 /items/*/name: not asked, so its requests are not here
  left out  1 excluded

    1  /api/schools/primary?page=1&pageSize=20
    2  /api/schools/primary?page=1&pageSize=20&district=central
         accept-language: en
    3  /api/schools/primary?page=1&pageSize=20&district=central
         accept-language: zh-HK
    4  /api/schools/primary?page=1&pageSize=20&district=eastern
         accept-language: en
    5  /api/schools/primary?page=1&pageSize=20&district=wan-chai
         accept-language: en
    6  /api/schools/primary?page=1&pageSize=20&district=wan-chai
         accept-language: zh-HK
    7  /api/brands/top
    8  /api/schools/top

total: 1 group
  requests  8
  left out  1 excluded
"#
        .replace(
            "NOW+  in 2h       every 2h\n            NOW+  in 4h       every 2h\n            NOW+  in 6h       every 2h",
            &next_runs(&planned.out)
        )
    );
}

/// The three next runs: every two hours, and at some time of the day the cron line is one of them.
fn next_runs(out: &str) -> String {
    let runs = timeless(out);
    let runs: Vec<_> = runs.lines().skip(6).take(3).map(|line| line.trim_start_matches("  next").trim()).collect();
    let of = |what: &str| runs.iter().filter(|run| run.starts_with("NOW+  in ") && run.ends_with(what)).count();
    assert!(matches!((of("every 2h"), of("cron 0 3 * * *")), (3, 0) | (2, 1)), "{runs:?}");
    runs.join("\n            ")
}

#[test]
fn lists_are_asked_for_once_and_nothing_else_is() {
    let folder = Folder::new("plan-lists");
    let origin = Server::new(|_| (200, r#"{"items":[{"name":"harbour"},{"name":"wan chai"},{"id":3}]}"#.into()));
    folder.write("warmfront.toml", &config(&origin.url()));
    let planned = outcome(folder.path(), &["plan", "--items", "3"], &[]);
    assert_eq!((planned.code, planned.err.as_str()), (Some(0), ""));
    assert_eq!(origin.targets(), ["/api/top"]);
    assert!(origin.heads.lock().unwrap()[0].to_ascii_lowercase().contains("\nhost: 127.0.0.1:8080"));
    let brands = planned.out.split("\nbrands (priority 0)\n").nth(1).unwrap();
    assert_eq!(
        brands,
        "  schedule  only when asked for\n  requests  4\n  list      /api/top /items/*/name: 2 values, 1 skipped\n  left out  1 duplicate\n  \
         note      1 request: never stored: rule \"stream\" says pass\n\n    1  /api/brands?b=1&a=2\n    \
         2  /v1/chat  ! never stored: rule \"stream\" says pass\n    3  /api/brands/harbour\n       and 1 more; --items all shows them\n\n\
         total: 2 groups (1 off)\n  requests  5\n  left out  1 duplicate\n  note      1 never stored\n"
    );
    assert!(planned.out.contains("\nfirst (priority 5, off: enabled = false)\n  schedule  every 2h\n  requests  1\n"), "{}", planned.out);
    let offline = outcome(folder.path(), &["plan", "--offline", "--group", "brands"], &[]);
    assert_eq!((offline.code, origin.targets().len()), (Some(0), 1));
    assert!(
        offline.out.contains("not asked") && !offline.out.contains("harbour") && !offline.out.contains("/api/schools"),
        "{}",
        offline.out
    );
}

#[test]
fn a_list_that_fails_is_a_problem_and_the_rest_is_planned() {
    let folder = Folder::new("plan-failure");
    let origin = Server::new(|_| (503, String::new()));
    folder.write("warmfront.toml", &config(&origin.url()));
    let planned = outcome(folder.path(), &["plan"], &[]);
    assert_eq!(planned.code, Some(1));
    assert_eq!(planned.err, "error: 1 list could not be had: what is made from it is not in the plan\n");
    assert!(planned.out.contains("  problem   the list /api/top: could not be had: status 503\n"), "{}", planned.out);
    assert!(planned.out.contains("    1  /api/brands?b=1&a=2\n") && planned.out.contains("  problems  1\n"), "{}", planned.out);
}

#[test]
fn an_unknown_group_is_wrong_usage_that_names_the_known() {
    let folder = Folder::new("plan-unknown");
    folder.write("warmfront.toml", &config("http://127.0.0.1:1"));
    let unknown = outcome(folder.path(), &["plan", "--group", "first", "--group", "brand"], &[]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(2), ""));
    assert_eq!(unknown.err, "error: --group: there is no group \"brand\"; there are first, brands\n");
    for args in
        [&["plan", "--items", "some"][..], &["plan", "--items", "-1"], &["plan", "--format", "yaml"], &["plan", "--offline", "--admin"]]
    {
        assert_eq!(outcome(folder.path(), args, &[]).code, Some(2), "{args:?}");
    }
    folder.write("warmfront.toml", "[upstream]\nurls = [\"http://a\"]\n[warm]\nenabled = false\n");
    let nothing = outcome(folder.path(), &["plan"], &[]);
    assert!(nothing.out.contains("  off       nothing is warmed: warm.enabled = false\n\nno groups: "), "{}", nothing.out);
}

#[test]
fn json_has_every_item_on_a_line_of_its_own() {
    let folder = Folder::new("plan-json");
    folder.write("warmfront.toml", &config("http://127.0.0.1:1"));
    let planned = outcome(folder.path(), &["plan", "--offline", "--format", "json"], &[]);
    assert_eq!((planned.code, planned.err.as_str()), (Some(0), ""));
    let plan: Value = serde_json::from_str(&planned.out).unwrap();
    assert_eq!((&plan["live"], &plan["hosts"], &plan["source"]), (&false.into(), &json!(["127.0.0.1:8080"]), &"warmfront.toml".into()));
    let group = &plan["groups"][1];
    assert_eq!(
        (&group["name"], &group["enabled"], &group["schedule"], &group["nextRuns"]),
        (&"brands".into(), &true.into(), &json!([]), &json!([]))
    );
    assert_eq!(
        (&group["counts"]["requests"], &group["counts"]["duplicates"], &group["sources"][0]["state"]),
        (&2.into(), &1.into(), &"notAsked".into())
    );
    assert_eq!(group["items"][0], json!({"target": "/api/brands?b=1&a=2", "headers": {}, "host": "127.0.0.1:8080"}));
    assert_eq!(group["items"][1]["obstacle"]["neverStored"], true);
    assert_eq!(plan["totals"]["counts"]["requests"], 3);
    assert_eq!(planned.out.lines().filter(|line| line.starts_with("{\"target\"")).count(), 3);
    let none = outcome(folder.path(), &["plan", "--offline", "--format", "json", "--items", "0"], &[]);
    assert_eq!(serde_json::from_str::<Value>(&none.out).unwrap()["groups"][1]["items"], json!([]));
}

#[test]
fn a_reader_who_leaves_ends_it_quietly() {
    let folder = Folder::new("plan-pipe");
    let numbers: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let query = format!("a = [{0}], b = [{0}], c = [{0}]", numbers.join(","));
    folder.write(
        "warmfront.toml",
        &format!("[upstream]\nurls = [\"http://a\"]\n[[warm.groups]]\nname = \"g\"\nmax_items = 100000\n[[warm.groups.combos]]\npath = \"/a\"\nquery = {{ {query} }}\n"),
    );
    for format in ["json", "table"] {
        let started = Instant::now();
        let args = ["plan", "--offline", "--items", "all", "--format", format];
        let mut child = command(folder.path(), &args, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 9];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()), (Some(0), ""), "{format}");
        assert!(started.elapsed() < LONG);
    }
}

fn live_plan() -> String {
    let group = json!({
        "name": "brands", "priority": 3, "enabled": true, "scheduleWords": "every 2h", "running": true,
        "nextRuns": [{"at": "2026-03-01T03:00:00+00:00", "inSeconds": 7980, "trigger": null}],
        "counts": {"requests": 4, "items": 4}, "maxItems": 1000,
        "states": {"fresh": 1, "stale": 1, "absent": 2, "neverStored": 0, "troubled": 1}, "obstacles": {},
        "sources": [{"url": "/top", "select": "/*", "state": "lastRun", "values": 2}],
        "estimate": {"requests": 3, "originMillis": 3100, "bytes": 12400, "guessed": 1, "unknown": 0}, "problems": [],
        "items": [
            {"target": "/a", "headers": {}, "host": "h", "state": "fresh", "secondsLeft": 252, "due": false, "costMillis": 312, "bytes": 12400, "hits": 17},
            {"target": "/b", "headers": {"accept-language": "en"}, "host": "h", "state": "stale", "secondsStale": 70, "costMillis": 40, "bytes": 9, "hits": 0},
            {"target": "/c", "headers": {}, "host": "h", "state": "absent", "lastTime": {"fate": "uncacheable", "reason": "private\u{1b}"}},
        ],
    });
    let totals = json!({
        "groups": 1, "switchedOff": 0, "counts": {"requests": 4, "items": 4}, "problems": 0,
        "states": {"fresh": 1, "stale": 1, "absent": 2}, "estimate": {"requests": 3, "originMillis": 3100, "bytes": 12400, "guessed": 1},
    });
    json!({"success": true, "data": {"live": true, "enabled": true, "hosts": ["h"], "hostsFrom": "readers", "groups": [group], "totals": totals}}).to_string()
}

#[test]
fn a_running_sidecar_tells_what_it_has_already() {
    let folder = Folder::new("plan-admin");
    let admin = Server::new(|target| {
        if target.starts_with("/api/warm/plan?group=no") {
            (400, r#"{"success":false,"message":"there is no group \"no\""}"#.into())
        } else {
            (200, live_plan())
        }
    });
    let env = [("WARMFRONT_ADMIN__TOKEN", "hunter2")];
    let live = outcome(folder.path(), &["plan", "--admin", &admin.url()], &env);
    assert_eq!((live.code, live.err.as_str()), (Some(0), ""));
    let expected = r#"
  for       h
            the host that readers name most

brands (priority 3)
  schedule  every 2h
  next      running now
            2026-03-01T03:00:00+00:00  in 2h 13m
  requests  4
  list      /top /*: 2 values in the last run
  now       1 fresh, 1 stale, 2 absent; 1 did not go well the last time
  to fetch  3 requests, about 3.1 s of the origin's time, 12.1 KiB (1 guessed)

    #  state           cost      size   hits  target
    1  fresh 4m 12s  312 ms  12.1 KiB     17  /a
    2  stale 1m 10s   40 ms       9 B      0  /b  accept-language: en
    3  absent             -         -      -  /c
         ! last time uncacheable: private\u{1b}
       and 1 more; --items all shows them

total: 1 group
  requests  4
  now       1 fresh, 1 stale, 2 absent
  to fetch  3 requests, about 3.1 s of the origin's time, 12.1 KiB (1 guessed)
"#;
    assert_eq!(live.out, format!("warm plan of {}{expected}", admin.url()));
    assert_eq!(admin.targets(), ["/api/warm/plan?items=20"]);
    assert!(admin.heads.lock().unwrap()[0].to_ascii_lowercase().contains("\nauthorization: bearer hunter2"));

    let two = outcome(
        folder.path(),
        &["plan", "--admin", "--group", "a b", "--group", "c", "--format", "json"],
        &[("WARMFRONT_ADMIN", &admin.url())],
    );
    let plan: Value = serde_json::from_str(&two.out).unwrap();
    assert_eq!(
        (plan["groups"].as_array().unwrap().len(), &plan["totals"]["counts"]["requests"], &plan["totals"]["groups"]),
        (2, &8.into(), &2.into())
    );
    assert_eq!(admin.targets()[1..], ["/api/warm/plan?group=a%20b&items=1000000", "/api/warm/plan?group=c&items=1000000"]);

    let unknown = outcome(folder.path(), &["plan", "--admin", &admin.url(), "--group", "no"], &[]);
    assert_eq!((unknown.code, unknown.err.as_str()), (Some(2), "error: there is no group \"no\"\n"));
}

#[test]
fn a_sidecar_that_does_not_answer_so_is_told_apart() {
    let folder = Folder::new("plan-trouble");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (status, body, words) in [
        (404, "", " serves no plan\n\n  fix: update it"),
        (
            401,
            r#"{"message":"who are you?"}"#,
            "error: the admin API wants another token: who are you?\n\n  fix: set WARMFRONT_ADMIN__TOKEN",
        ),
        (200, "<html>", "error: the answer of the admin API is no JSON: "),
        (200, "{}", " answered with something else than a plan\n"),
    ] {
        let admin = Server::new(move |_| (status, body.into()));
        let failed = outcome(folder.path(), &["plan", "--admin", &admin.url()], &[]);
        assert_eq!((failed.code, failed.out.as_str()), (Some(1), ""), "{status}");
        assert!(failed.err.contains(words), "{status}: {}", failed.err);
    }
    folder.write("warmfront.toml", &format!("[admin]\nlisten = \"{free}\"\n"));
    let down = outcome(folder.path(), &["plan", "--admin"], &[]);
    assert_eq!(down.code, Some(1));
    assert!(
        down.err.starts_with(&format!("error: cannot reach the admin API at http://{free}; is `warmfront run` up?\n\n  ")),
        "{}",
        down.err
    );
    assert_eq!(outcome(folder.path(), &["plan", "--admin", "https://a"], &[]).code, Some(2));
}
