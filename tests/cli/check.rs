//! `check`: whole texts for good and bad configurations.

use crate::process::{Folder, Outcome, origin, outcome};
use serde_json::{Value, json};
use std::time::Duration;

const BAD: &str = r#"[server]
listen = "localhost:8080"
header_timeout = 10

[upstream]
urls = ["https://api.example.com/v1"]

[cache]
max_byte = "256MiB"
default_ttl = "5 minutes"

[[rules]]
path = "api/**"
ignore = ["no-stor"]
"#;

const BAD_TEXT: &str = r#"error: 7 faults in warmfront.toml

warmfront.toml:2:10: server.listen: "localhost:8080" is no address to listen on
  2 | listen = "localhost:8080"
    |          ^^^^^^^^^^^^^^^^
  fix: write the address itself: "127.0.0.1:8080"

warmfront.toml:3:18: server.header_timeout: found the number 10, which has no unit; this is how long a request head may take
  3 | header_timeout = 10
    |                  ^^
  fix: write it with its unit: "10s", or ms, m, h, d

warmfront.toml:6:9: upstream.urls: has "/v1" after the host
  6 | urls = ["https://api.example.com/v1"]
    |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: write "https://api.example.com": paths and queries are those of the requests

warmfront.toml:9:1: cache.max_byte: unknown key
  9 | max_byte ...
    | ^^^^^^^^
  fix: did you mean `max_bytes`?

warmfront.toml:10:15: cache.default_ttl: found "5 minutes"; this is the lifetime where nobody names one
  10 | default_ttl = "5 minutes"
     |               ^^^^^^^^^^^
  fix: write a duration from 0s to 3650d, as "250ms", "5m", "2h" or "1h30m" (integers with ms, s, m, h or d)

warmfront.toml:13:8: rules[0].path: "api/**" is no path pattern
  13 | path = "api/**"
     |        ^^^^^^^^
  fix: a path pattern starts with `/`

warmfront.toml:14:11: rules[0].ignore: "no-stor" is nothing that can be ignored
  14 | ignore = ["no-stor"]
     |           ^^^^^^^^^
  fix: did you mean "no-store"?
"#;

#[test]
fn every_fault_is_shown_at_once_with_its_line_and_its_fix() {
    let folder = Folder::new("bad");
    folder.write("warmfront.toml", BAD);
    let bad = outcome(folder.path(), &["check"], &[]);
    assert_eq!((bad.code, bad.out.as_str(), bad.err.as_str()), (Some(1), "", BAD_TEXT));
}

#[test]
fn a_good_file_is_summed_up() {
    let folder = Folder::new("good");
    folder.write(
        "other.toml",
        "[server]\nlisten = [\"127.0.0.1:1\", \"unix:/run/a.sock\"]\n[upstream]\nurls = \"http://api:9000\"\n[[rules]]\nname = \"a\"\npath = \"/a/**\"\nttl = \"90s\"\n\
         [[rules]]\npath = \"/b\"\npass = true\n",
    );
    let good = outcome(folder.path(), &["check", "--config", "other.toml"], &[]);
    assert_eq!((good.code, good.err.as_str()), (Some(0), ""));
    assert_eq!(
        good.out,
        "OK other.toml\n  listen    127.0.0.1:1, unix:/run/a.sock\n  upstream  http://api:9000\n  cache     256 MiB, objects up to 8 MiB\n  rules     2\n    \
         a   ttl 1m30s   /a/**\n    /b  pass        /b\n  warm      no groups\n"
    );
}

#[test]
fn warm_groups_are_summed_up_without_asking_anybody() {
    let folder = Folder::new("warm");
    let source = "[[warm.groups.sources]]\nurl = \"/top\"\nselect = \"/*\"\npath = \"/b/{value}\"\n";
    let file = format!(
        "[upstream]\nurls = \"http://127.0.0.1:1\"\n[[warm.groups]]\nname = \"b\"\nenabled = false\nrequests = [\"/a\", \"/a\"]\n\
         [[warm.groups]]\nname = \"brands\"\npriority = 1\nschedule = [\"every 2h\"]\nrequests = [\"/b\", \"/c\"]\n{source}"
    );
    folder.write("warmfront.toml", &file);
    let good = outcome(folder.path(), &["check"], &[]);
    assert_eq!((good.code, good.err.as_str()), (Some(0), ""));
    let warm = "  warm      2 groups\n    brands  2 items + 1 list  every 2h\n    b       1 item            off: enabled = false\n";
    assert!(good.out.ends_with(warm), "{}", good.out);
}

#[test]
fn the_examples_are_good() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    for (file, warnings) in [("warmfront.toml", 0), ("demo.toml", 0)] {
        let checked = outcome(examples.as_ref(), &["check", "--config", file], &[]);
        assert_eq!(checked.code, Some(0), "{}", checked.err);
        assert_eq!(checked.err.matches("warning: ").count(), warnings, "{}", checked.err);
        assert!(checked.out.starts_with(&format!("OK {file}\n")));
    }
}

#[test]
fn the_environment_is_checked_by_name() {
    let folder = Folder::new("environment");
    folder.write("warmfront.toml", "[upstream]\nurls = \"http://a\"\n");
    let env = [("WARMFRONT_SERVER__WORKER", "1"), ("WARMFRONT_CACHE__DEFAULT_TTL", "5"), ("WARMFRONT_LOG", "debug"), ("PATH", "/")];
    let bad = outcome(folder.path(), &["check"], &env);
    assert_eq!(bad.code, Some(1));
    assert_eq!(
        bad.err,
        "error: 2 faults in the environment\n\nenvironment WARMFRONT_CACHE__DEFAULT_TTL: cache.default_ttl: found \"5\"; this is the lifetime where nobody names one\n  \
         fix: write a duration from 0s to 3650d, as \"250ms\", \"5m\", \"2h\" or \"1h30m\" (integers with ms, s, m, h or d)\n\n\
         environment WARMFRONT_SERVER__WORKER: unknown variable\n  fix: did you mean WARMFRONT_SERVER__WORKERS?\n"
    );
    let good = outcome(folder.path(), &["check"], &[("WARMFRONT_CACHE__MAX_BYTES", "1GiB")]);
    assert!(good.out.contains("cache     1 GiB,"), "{}", good.out);
}

#[test]
fn a_file_that_is_not_there_is_a_fault_only_if_it_was_named() {
    let folder = Folder::new("missing");
    let named = outcome(folder.path(), &["check", "--config", "x.toml"], &[]);
    assert_eq!(named.code, Some(1));
    assert!(named.err.starts_with("error: 1 fault in x.toml\n\nx.toml: cannot be read: No such file"), "{}", named.err);
    let default = outcome(folder.path(), &["check"], &[("WARMFRONT_UPSTREAM__URLS", "http://a:1")]);
    assert_eq!(default.code, Some(0), "{}", default.err);
    assert!(default.out.starts_with("OK no file: defaults, environment and flags\n"), "{}", default.out);
}

#[test]
fn connect_reaches_the_upstream_or_says_why_not() {
    let folder = Folder::new("connect");
    let url = format!("http://{}", origin("", Duration::ZERO));
    let reached = outcome(folder.path(), &["check", "--connect"], &[("WARMFRONT_UPSTREAM__URLS", &url)]);
    assert_eq!(reached.code, Some(0), "{}", reached.err);
    assert!(reached.out.contains(&format!("  connect   {} in ", &url[7..])), "{}", reached.out);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = outcome(folder.path(), &["check", "--connect"], &[("WARMFRONT_UPSTREAM__URLS", &format!("http://{free}"))]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.starts_with(&format!("error: the upstream http://{free} cannot be reached\n\n  {free}: Connection refused")),
        "{}",
        refused.err
    );
}

#[test]
fn connect_asks_every_upstream_and_names_those_that_are_not_there() {
    let folder = Folder::new("connect-all");
    let (up, free) = (origin("", Duration::ZERO), std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let urls = |second| format!("http://{up},http://{second}");
    let all = outcome(folder.path(), &["check", "--connect"], &[("WARMFRONT_UPSTREAM__URLS", &urls(origin("", Duration::ZERO)))]);
    assert_eq!((all.code, all.out.matches("  connect   ").count()), (Some(0), 2), "{}", all.out);
    let one = outcome(folder.path(), &["check", "--connect"], &[("WARMFRONT_UPSTREAM__URLS", &urls(free))]);
    assert_eq!(one.code, Some(1));
    assert!(one.err.starts_with(&format!("error: the upstream http://{free} cannot be reached\n")), "{}", one.err);
}

#[test]
fn connect_says_that_a_name_does_not_resolve() {
    let folder = Folder::new("connect-name");
    // RFC 6761 section 6.4: nobody answers for .invalid.
    let env = [("WARMFRONT_UPSTREAM__URLS", "http://nothing.invalid:81")];
    let unknown = outcome(folder.path(), &["check", "--connect"], &env);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""));
    let lines: Vec<&str> = unknown.err.lines().collect();
    assert_eq!(lines[..2], ["error: the upstream http://nothing.invalid:81 cannot be reached", ""]);
    assert!(lines[2].starts_with("  nothing.invalid: ") || lines[2].starts_with("  looking up nothing.invalid: "), "{}", unknown.err);
    assert!(lines[3].starts_with("  fix: look for a slip in the host's name"), "{}", unknown.err);
}

fn object(outcome: &Outcome) -> Value {
    assert_eq!(outcome.err, "");
    serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error}: {}", outcome.out))
}

#[test]
fn a_script_reads_every_fault_with_its_place() {
    let folder = Folder::new("json-bad");
    folder.write("warmfront.toml", BAD);
    let bad = outcome(folder.path(), &["check", "--format", "json", "--set", "server.workers=many"], &[("WARMFRONT_WARM__MAX_RATE", "0")]);
    assert_eq!(bad.code, Some(1));
    let told = object(&bad);
    assert_eq!(
        (&told["ok"], &told["config"], &told["connect"], &told["warnings"]),
        (&json!(false), &Value::Null, &Value::Null, &json!([]))
    );
    assert_eq!(told["summary"], "9 faults in warmfront.toml and the environment and the flags");
    let faults = told["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 9);
    assert_eq!(
        faults[3],
        json!({ "place": "warmfront.toml:9:1", "file": "warmfront.toml", "line": 9, "column": 1, "key": "cache.max_byte", "found": "unknown key", "fix": "did you mean `max_bytes`?" })
    );
    let places: Vec<_> = faults[7..].iter().map(|fault| (&fault["place"], &fault["file"], &fault["line"])).collect();
    let (none, variable, flag) = (Value::Null, json!("environment WARMFRONT_WARM__MAX_RATE"), json!("--set"));
    assert_eq!(places, [(&variable, &none, &none), (&flag, &none, &none)]);
    let missing = outcome(folder.path(), &["check", "--format", "json", "--config", "x.toml"], &[]);
    assert_eq!((missing.code, &object(&missing)["faults"][0]["file"]), (Some(1), &json!("x.toml")));
    let slip = outcome(folder.path(), &["check", "--format", "json", "--config", "/dev/null", "--set", "upstream.urls=x"], &[]);
    assert_eq!((slip.code, object(&slip)["faults"].as_array().unwrap().len()), (Some(2), 1));
}

#[test]
fn a_script_reads_what_a_good_file_says_and_its_warnings() {
    let folder = Folder::new("json-good");
    let upstream = origin("", Duration::ZERO);
    folder.write(
        "warmfront.toml",
        &format!("[upstream]\nurls = \"http://{upstream}\"\n[[rules]]\npath = \"/a/**\"\nttl = \"90s\"\n[cache]\nsnapshot = \"x\"\n"),
    );
    let good = outcome(folder.path(), &["check", "--format", "json", "--connect"], &[]);
    let told = object(&good);
    assert_eq!(
        (good.code, &told["ok"], &told["summary"], &told["faults"]),
        (Some(0), &json!(true), &json!("OK warmfront.toml"), &json!([]))
    );
    assert_eq!(
        told["config"],
        json!({
            "file": "warmfront.toml", "listen": ["127.0.0.1:8080"], "upstreams": [format!("http://{upstream}")], "max_bytes": 256 << 20,
            "max_object": 8 << 20, "rules": [{ "name": "/a/**", "path": "/a/**", "pass": false, "ttl": "1m30s" }], "groups": [],
        })
    );
    assert_eq!((&told["warnings"][0]["key"], &told["warnings"][0]["line"]), (&json!("cache.snapshot"), &json!(7)));
    assert_eq!(told["connect"][0]["address"], upstream.to_string());
    assert!(told["connect"][0]["ms"].is_number());
}

#[test]
fn a_script_reads_why_the_upstream_was_not_reached() {
    let folder = Folder::new("json-connect");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let env = [("WARMFRONT_UPSTREAM__URLS", &*format!("http://{free}"))];
    let refused = outcome(folder.path(), &["check", "--connect", "--format", "json"], &env);
    let told = object(&refused);
    assert_eq!((refused.code, &told["ok"], &told["connect"]), (Some(1), &json!(false), &Value::Null));
    assert_eq!(told["summary"], format!("the upstream http://{free} cannot be reached"));
    assert_eq!(told["faults"][0]["key"], "upstream.urls");
    assert!(told["faults"][0]["found"].as_str().unwrap().starts_with(&format!("{free}: Connection refused")));
}

#[test]
fn the_schema_is_printed_whatever_the_configuration_says() {
    let folder = Folder::new("schema");
    folder.write("warmfront.toml", BAD);
    let schema = outcome(folder.path(), &["check", "--schema"], &[]);
    assert_eq!(schema.code, Some(0));
    let drawn = object(&schema);
    assert_eq!(drawn["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(drawn["properties"]["warm"]["properties"]["concurrency"]["default"], 4);
    let mixed = outcome(folder.path(), &["check", "--schema", "--config", "warmfront.toml"], &[]);
    assert_eq!((mixed.code, mixed.out.as_str()), (Some(2), ""));
}
