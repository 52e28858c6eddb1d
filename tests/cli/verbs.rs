//! `warm`, `purge`, `stats` and `explain` against a sidecar that runs.

use crate::process::{Folder, LONG, Outcome, Running, ask, command, outcome};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An API whose answers may be stored; what begins with `/bad` fails, `/slow` takes a while, `/held` longer than any test.
#[derive(Clone)]
struct Api {
    address: SocketAddr,
    targets: Arc<Mutex<Vec<String>>>,
}

impl Api {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Self { address: listener.local_addr().unwrap(), targets: Arc::default() };
        let targets = Arc::clone(&api.targets);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let targets = Arc::clone(&targets);
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
                    let Some(target) = head.first().and_then(|line| line.split(' ').nth(1)) else { return };
                    targets.lock().unwrap().push(target.to_owned());
                    if target.starts_with("/slow") {
                        std::thread::sleep(Duration::from_secs(2));
                    } else if target.starts_with("/held") {
                        std::thread::sleep(2 * LONG);
                    }
                    let (status, control) = if target.starts_with("/bad") { ("503 Bad", "no-store") } else { ("200 OK", "max-age=600") };
                    let fields = format!("Cache-Control: {control}\r\nContent-Length: 2\r\nConnection: close");
                    let _ = write!(&stream, "HTTP/1.1 {status}\r\n{fields}\r\n\r\nok");
                });
            }
        });
        api
    }

    /// How often it was asked for `target`.
    fn asked(&self, target: &str) -> usize {
        self.targets.lock().unwrap().iter().filter(|asked| *asked == target).count()
    }
}

/// A running sidecar in front of an API.
struct House {
    folder: Folder,
    api: Api,
    data: SocketAddr,
    admin: String,
    _running: Running,
}

const GROUPS: &str = r#"
[warm]
refresh_ahead = { hits = 0, before = 0.1 }
[[rules]]
name = "brands"
path = "/brands/**"
tags = ["brands"]
[[warm.groups]]
name = "good"
schedule = ["every 2h"]
requests = ["/brands/1", "/brands/2"]
[[warm.groups]]
name = "other"
enabled = false
schedule = []
[[warm.groups.combos]]
path = "/other"
headers = { accept-language = ["en"] }
[[warm.groups]]
name = "bad"
enabled = false
schedule = []
requests = ["/bad", "/fine"]
[[warm.groups]]
name = "slow"
enabled = false
schedule = []
requests = ["/slow/1", "/slow/2", "/slow/3", "/slow/4", "/slow/5", "/slow/6"]
[[warm.groups]]
name = "held"
enabled = false
schedule = []
requests = ["/held/1", "/held/2", "/held/3", "/held/4", "/held/5", "/held/6"]
"#;

impl House {
    fn new(name: &str) -> Self {
        Self::with(name, "")
    }

    fn with(name: &str, token: &str) -> Self {
        let (folder, api) = (Folder::new(name), Api::new());
        let upstream = api.address;
        let listen = "listen = \"127.0.0.1:0\"";
        let head = format!(
            "[upstream]\nurls = [\"http://{upstream}\"]\nretries = 0\n[server]\n{listen}\n[admin]\n{listen}\ntoken = \"{token}\"\n"
        );
        folder.write("warmfront.toml", &(head + GROUPS));
        let running = Running::start(folder.path(), &["run"], &[]);
        let line = running.wait_for(" listening on ");
        let word = |after: &str| line.split(after).nth(1).unwrap().split([',', ' ']).next().unwrap().to_owned();
        let (data, admin) = (word(" listening on ").parse().unwrap(), word(", admin "));
        Self { folder, api, data, admin, _running: running }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn env(&self) -> [(&str, &str); 1] {
        [("WARMFRONT_ADMIN", &self.admin)]
    }

    fn run(&self, args: &[&str]) -> Outcome {
        outcome(self.path(), args, &self.env())
    }

    /// What `Cache-Status` says of a reader's request.
    fn read(&self, target: &str) -> String {
        let response = ask(self.data, &format!("GET {target}"), "");
        let line = response.lines().find_map(|line| line.strip_prefix("cache-status: ").or_else(|| line.strip_prefix("Cache-Status: ")));
        line.unwrap_or_else(|| panic!("no Cache-Status in {response}")).to_owned()
    }
}

/// The text with its times replaced, whatever their unit: `N ms`.
fn timeless(text: &str) -> String {
    let timeless = |line: &str| {
        let mut words: Vec<String> = line.split(' ').map(String::from).collect();
        for at in 1..words.len() {
            let unit = words[at].trim_end_matches([':', ')']).to_owned();
            if matches!(&*unit, "ms" | "s") && words[at - 1].trim_start_matches('(').parse::<f64>().is_ok() {
                words[at - 1] = "N".into();
                words[at] = words[at].replacen(&unit, "ms", 1);
            }
        }
        words.join(" ")
    };
    text.lines().map(timeless).collect::<Vec<_>>().join("\n")
}

#[test]
fn warm_tells_each_group_when_it_ends_and_sums_up() {
    let house = House::new("verbs-warm");
    let warmed = house.run(&["warm"]);
    assert_eq!((warmed.code, warmed.err.as_str()), (Some(0), ""));
    assert_eq!(
        timeless(&warmed.out),
        "good: done in N ms: 2 stored\n2 items in N ms\n  items     2 stored\n  origin    N ms of its time, 4 B"
    );
    assert_eq!((house.api.asked("/brands/1"), house.api.asked("/other")), (1, 0), "what is switched off is warmed only by name");
    assert!(house.read("/brands/1").starts_with("warmfront; hit"));
    let again = house.run(&["warm", "--group", "good"]);
    assert!(again.out.contains("  items     2 skipped\n"), "{}", again.out);
    let forced = house.run(&["warm", "--group", "good", "--force", "--group", "other", "--group", "good"]);
    assert!(forced.out.contains("other: done in ") && forced.out.contains("3 items in "), "{}", forced.out);
    assert_eq!((house.api.asked("/brands/1"), house.api.asked("/other")), (2, 1));
}

#[test]
fn verbose_has_a_line_per_item_and_a_failed_one_is_a_failure() {
    let house = House::new("verbs-bad");
    let warmed = house.run(&["warm", "--group", "bad", "--group", "other", "--verbose"]);
    assert_eq!((warmed.code, warmed.err.as_str()), (Some(1), "error: 1 item failed\n"));
    let squeezed: Vec<String> = timeless(&warmed.out).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "failed N ms 2 B bad /bad ! status 503",
        "stored N ms 2 B bad /fine",
        "stored N ms 2 B other /other accept-language: en",
        "bad: done in N ms: 1 stored, 1 failed; status 503 (1)",
        "items 2 stored, 1 failed",
        "reasons status 503 (1)",
    ] {
        assert!(squeezed.iter().any(|told| told == line), "{line}:\n{}", warmed.out);
    }
    let json = house.run(&["warm", "--group", "bad", "--verbose", "--format", "json"]);
    let job: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &job["failed"], job["outcomes"].as_array().unwrap().len()), (Some(1), &1.into(), 2), "{job}");
    assert_eq!((json.out.lines().count(), &job["state"]), (1, &"done".into()));
}

#[test]
fn an_unknown_group_is_wrong_usage_that_names_the_known_ones() {
    let house = House::new("verbs-unknown");
    for args in [&["warm", "--group", "goood"][..], &["warm", "--async", "--group", "good", "--group", "goood"]] {
        let unknown = house.run(args);
        assert_eq!((unknown.code, unknown.out.as_str()), (Some(2), ""));
        assert_eq!(unknown.err, "error: unknown group \"goood\"; did you mean \"good\"? (known: good, other, bad, slow, held)\n");
    }
    let purged = house.run(&["purge", "--group", "goood"]);
    assert_eq!(purged.code, Some(2));
    assert!(purged.err.starts_with("error: unknown group or tag \"goood\"; did you mean \"good\"?"), "{}", purged.err);
    assert_eq!(house.api.asked("/brands/1"), 0, "nothing of it was begun");
}

#[test]
fn async_prints_the_number_and_leaves() {
    let house = House::new("verbs-async");
    let begun = house.run(&["warm", "--async", "--group", "slow"]);
    assert_eq!(begun.code, Some(0), "{}", begun.err);
    let id: u64 = begun.out.trim_end().parse().unwrap();
    let job = ask(house.admin.trim_start_matches("http://").parse().unwrap(), &format!("GET /api/warm/jobs/{id}"), "");
    assert!(job.contains("\"state\":\"running\""), "{job}");
    assert_eq!(begun.err, format!("warmfront: job {id} has begun; GET /api/warm/jobs/{id} tells how it goes on\n"));
}

#[test]
fn an_interrupt_cancels_the_job_that_was_begun_and_no_other() {
    let house = House::new("verbs-cancel");
    let mut warming = Running::start(house.path(), &["warm", "--group", "held"], &house.env());
    wait_until(|| house.api.asked("/held/1") == 1);
    let mut joined = Running::start(house.path(), &["warm", "--group", "held"], &house.env());
    let admin = house.admin.trim_start_matches("http://").parse().unwrap();
    wait_until(|| ask(admin, "GET /api/warm/jobs", "").contains("\"joined\":true"));
    joined.signal("INT");
    assert!(joined.wait_for("error: ").contains("left, not cancelled: job "));
    assert_eq!(joined.end(), Some(1));
    assert!(warming.is_running());
    warming.signal("INT");
    assert!(warming.wait_for("warmfront: SIGINT").contains("cancelling job "));
    assert!(warming.wait_for_out("held: ").starts_with("held: cancelled after "));
    assert!(warming.wait_for("error: ").ends_with(" was cancelled"));
    assert_eq!(warming.end(), Some(1));
    assert_eq!(house.api.asked("/held/6"), 0);
}

/// Stands in for an admin API: its job runs until it is cancelled. The process that asks for it is interrupted before it is told which that is.
fn interrupting(listener: TcpListener, asking: Receiver<u32>, asked: Arc<Mutex<Vec<String>>>) {
    let mut state = "running";
    for stream in listener.incoming().map_while(Result::ok) {
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let Some(first) = lines.next() else { continue };
        let _ = lines.find(|line| line.is_empty());
        if first.starts_with("POST ") {
            let pid = asking.recv().unwrap().to_string();
            assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        } else if first.starts_with("DELETE ") {
            state = "cancelled";
        }
        asked.lock().unwrap().push(first);
        let body = format!("{{\"success\":true,\"job\":{{\"id\":7,\"state\":\"{state}\",\"groups\":[]}}}}");
        let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close", body.len());
        let _ = write!(&stream, "HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
    }
}

#[test]
fn an_interrupt_before_it_is_known_which_job_has_begun_cancels_that_job() {
    let folder = Folder::new("verbs-early-interrupt");
    for args in [&["warm"][..], &["purge", "--warm", "--all"]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = format!("http://{}", listener.local_addr().unwrap());
        let ((sender, asking), asked) = (channel(), Arc::<Mutex<Vec<String>>>::default());
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || interrupting(listener, asking, heard));
        let mut running = Running::start(folder.path(), args, &[("WARMFRONT_ADMIN", &admin)]);
        sender.send(running.id()).unwrap();
        assert_eq!(running.end(), Some(1), "{args:?}: it ends by itself");
        assert!(running.wait_for("warmfront: SIGINT").contains("cancelling job 7"));
        assert!(asked.lock().unwrap().iter().any(|line| line.starts_with("DELETE /api/warm/jobs/7 ")), "{args:?}: {asked:?}");
    }
}

fn wait_until(is: impl Fn() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < LONG, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn purge_drops_exactly_what_is_named() {
    let house = House::new("verbs-purge");
    let all = ["/brands/1", "/brands/2?x=1", "/else"];
    for (args, message, gone) in [
        (&["purge", "--tag", "brands"][..], "Cache (tag brands) invalidated", &all[..2]),
        (&["purge", "--prefix", "/brands/2"], "Cache (prefix /brands/2) invalidated", &all[1..2]),
        (&["purge", "--url", "/brands/2?x=1"], "Cache (url /brands/2?x=1) invalidated", &all[1..2]),
        (&["purge", "--group", "good"], "Cache (good) invalidated", &all[..1]),
        (&["purge", "--all"], "Cache (all) invalidated", &all[..]),
    ] {
        all.iter().for_each(|target| drop(house.read(target)));
        let purged = house.run(args);
        assert_eq!((purged.code, purged.out.trim_end(), purged.err.as_str()), (Some(0), message, ""), "{args:?}");
        for target in all {
            let status = house.read(target);
            assert_eq!(status.contains("fwd="), gone.contains(&target), "{args:?} {target}: {status}");
        }
    }
    let missed = house.run(&["purge", "--tag", "nothing"]);
    assert_eq!((missed.code, missed.out.as_str()), (Some(0), "Cache (tag nothing) invalidated: nothing of it was stored\n"));
    let soft = house.run(&["purge", "--all", "--soft"]);
    assert_eq!(soft.code, Some(0));
    assert!(house.read("/else").contains("fwd=stale"));
}

#[test]
fn purge_with_warm_fetches_again_what_was_read() {
    let house = House::new("verbs-replace");
    let all = ["/brands/1", "/brands/2", "/else?x=1"];
    for (args, replaced) in [
        (&["purge", "--warm", "--tag", "brands"][..], &all[..2]),
        (&["purge", "--warm", "--prefix", "/else"], &all[2..]),
        (&["purge", "--warm", "--url", "/else?x=1"], &all[2..]),
        (&["purge", "--warm", "--url", &format!("http://{}/brands/1", house.data)], &all[..1]),
        (&["purge", "--warm", "--group", "good"], &all[..2]),
        (&["purge", "--warm", "--all"], &all[..]),
    ] {
        all.iter().chain(&all).for_each(|target| drop(house.read(target)));
        let before = all.map(|target| house.api.asked(target));
        let purged = house.run(args);
        assert_eq!((purged.code, purged.err.as_str()), (Some(0), ""), "{args:?}");
        for (target, before) in all.iter().zip(before) {
            assert!(house.read(target).starts_with("warmfront; hit"), "{args:?} {target}");
            assert_eq!(house.api.asked(target) > before, replaced.contains(target), "{args:?} {target}: {}", purged.out);
        }
    }
    let nothing = house.run(&["purge", "--warm", "--tag", "nothing"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(0), "nothing to warm: nothing of it is read or was warmed\n"));
}

#[test]
fn purge_wants_exactly_one_thing() {
    let folder = Folder::new("verbs-purge-usage");
    for args in [&["purge"][..], &["purge", "--soft"], &["purge", "--all", "--tag", "a"], &["purge", "--url", "/a", "--prefix", "/a"]] {
        let refused = outcome(folder.path(), args, &[]);
        assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{args:?}");
    }
    let house = House::new("verbs-purge-empty");
    for args in
        [&["purge", "--tag", ""][..], &["purge", "--prefix", "api"], &["purge", "--url", "ftp://a/"], &["purge", "--warm", "--url", "a"]]
    {
        assert_eq!(house.run(args).code, Some(2), "{args:?}");
    }
}

#[test]
fn stats_are_one_screen_or_json() {
    let house = House::new("verbs-stats");
    ["/brands/1", "/brands/1", "/brands/1", "/else"].iter().for_each(|target| drop(house.read(target)));
    house.run(&["warm", "--group", "bad"]);
    let told = house.run(&["stats"]);
    assert_eq!((told.code, told.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = told.out.lines().collect();
    assert_eq!(lines[0], format!("warmfront at {}", house.admin));
    assert_eq!(lines[1..4], ["  hit ratio 50.0%", "  requests  4", "            2 hits, 2 misses"], "{}", told.out);
    assert!(lines[4].starts_with("  stored    3 entries, "), "{}", told.out);
    let row = |name: &str| {
        lines.iter().find(|line| line.starts_with(&format!("{name} "))).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(row("bad").contains(" off 1 0 0 0 ms 1 stored, 1 failed"), "{}", told.out);
    assert!(row("good").starts_with("good never in "), "{}", told.out);
    assert!(!told.out.contains('\u{1b}'));
    let json = house.run(&["stats", "--format", "json"]);
    let data: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&data["cache"]["hits"], &data["groups"][2]["name"], json.out.lines().count()), (&2.into(), &"bad".into(), 1));
    for args in [&["stats", "--interval", "5s"][..], &["stats", "--watch", "--interval", "1"], &["stats", "--watch", "--interval", "0s"]] {
        assert_eq!(house.run(args).code, Some(2), "{args:?}");
    }
}

#[test]
fn watched_stats_are_a_line_each_time_when_piped() {
    let house = House::new("verbs-watch");
    let mut watching = Running::start(house.path(), &["stats", "--watch", "--interval", "100ms"], &house.env());
    let first = watching.wait_for_out("hit_ratio=");
    assert!(first.contains(" hit_ratio=- requests=0 per_second=- hits=0 "), "{first}");
    house.read("/else");
    assert!(watching.wait_for_out(" requests=1 ").contains(" misses=1 "));
    watching.signal("INT");
    assert_eq!(watching.end(), Some(0));
}

#[test]
fn watching_outlives_a_sidecar_and_says_once_that_it_has_gone() {
    let house = House::new("verbs-gone");
    let mut watching = Running::start(house.path(), &["stats", "--watch", "--interval", "100ms"], &house.env());
    watching.wait_for_out("hit_ratio=");
    drop(house);
    assert!(watching.wait_for("error: ").starts_with("error: cannot reach the admin API at "));
    std::thread::sleep(Duration::from_millis(500)); // several intervals
    assert!(watching.is_running());
    watching.signal("TERM");
    assert_eq!((watching.end(), watching.errors()), (Some(0), vec![]));
}

#[test]
fn explain_is_one_screen_or_json() {
    let house = House::new("verbs-explain");
    let absent = house.run(&["explain", "/brands/1"]);
    assert_eq!((absent.code, absent.err.as_str()), (Some(0), ""));
    assert!(absent.out.contains("  rule        brands (/brands/**)\n  verdict     miss: "), "{}", absent.out);
    house.run(&["warm"]);
    let stored = house.run(&["explain", &format!("http://{}/brands/1", house.data), "-H", "accept: text/plain", "--header", "x: a+b&c"]);
    for line in ["  verdict     hit: it is fresh (RFC 9111 section 4.2)\n", "  lifetime    ", "  warmed by   good\n"] {
        assert!(stored.out.contains(line), "{}", stored.out);
    }
    let json = house.run(&["explain", "/brands/1?a=b&c=%20d", "--method", "DELETE", "--format", "json"]);
    let told: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&told["key"]["query"], &told["route"], &told["method"]), (&"a=b&c=%20d".into(), &"pass".into(), &"DELETE".into()));
    for (args, words) in [
        (&["explain", "brands"][..], "error: \"brands\" is neither a path that begins with / nor a URL of http or https\n"),
        (&["explain", "/a", "-H", "secret"], "error: write name: value\n"),
        (&["explain", "/a", "--method", "G T"], "error: \"G T\" is no method\n"),
    ] {
        let refused = house.run(args);
        assert_eq!((refused.code, refused.err.as_str(), refused.out.as_str()), (Some(2), words, ""), "{args:?}");
    }
    assert_eq!(house.api.asked("/brands/1"), 1, "nobody is asked");
}

#[test]
fn a_sidecar_that_is_not_there_or_wants_another_token_is_a_failure_with_a_fix() {
    let folder = Folder::new("verbs-nobody");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let house = House::with("verbs-token", "sesame");
    let verbs = [&["warm"][..], &["purge", "--all"], &["stats"], &["explain", "/a"]];
    for verb in verbs {
        let admin = format!("http://{free}");
        let nobody = outcome(folder.path(), &[verb, &["--admin", &admin]].concat(), &house.env());
        assert_eq!((nobody.code, nobody.out.as_str()), (Some(1), ""), "{verb:?}");
        let first = format!("error: cannot reach the admin API at {admin}; is `warmfront run` up?\n");
        assert!(nobody.err.starts_with(&first) && nobody.err.contains("\n  fix: "), "{}", nobody.err);
        let wrong = outcome(folder.path(), verb, &[house.env()[0], ("WARMFRONT_ADMIN__TOKEN", "open")]);
        assert_eq!((wrong.code, wrong.out.as_str()), (Some(1), ""), "{verb:?}");
        assert!(wrong.err.starts_with("error: the admin API wants another token: ") && wrong.err.contains("\n  fix: "), "{}", wrong.err);
        assert_eq!(house.run(verb).code, Some(0), "{verb:?}: the token of the configuration");
        let said = outcome(folder.path(), verb, &[house.env()[0], ("WARMFRONT_ADMIN__TOKEN", "sesame")]);
        assert_eq!(said.code, Some(0), "{verb:?}: {}", said.err);
        assert_eq!(outcome(folder.path(), &[verb, &["--admin", "ftp://a"]].concat(), &[]).code, Some(2), "{verb:?}");
    }
}

#[test]
fn what_is_off_is_not_warmed_and_says_so() {
    let house = House::new("verbs-off");
    let admin = house.admin.trim_start_matches("http://").parse().unwrap();
    let body = r#"{"enabled":false}"#;
    crate::process::send(admin, "PUT /api/cache/config", &format!("Content-Length: {}\r\n", body.len()), body);
    let refused = house.run(&["warm"]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    assert!(refused.err.contains("409") && refused.err.contains("switched off"), "{}", refused.err);
}

#[test]
fn nobody_reading_on_is_not_a_failure() {
    let house = House::new("verbs-pipe");
    let mut watching = command(house.path(), &["stats", "--watch", "--interval", "100ms"], &house.env());
    let mut watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(watching.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("hit_ratio"));
    let (status, mut err) = (watching.wait().unwrap(), String::new());
    watching.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
}

/// What a command writes on a terminal, and its exit code.
fn on_terminal(house: &House, line: &str, env: &[(&str, &str)]) -> (String, Option<i32>) {
    let line = format!("stty cols 100 rows 30; {} {line}", env!("CARGO_BIN_EXE_warmfront"));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(house.path()).env_clear().stdin(Stdio::null());
    script.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
    let output = script.envs(house.env()).envs(env.iter().copied()).output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[test]
fn a_terminal_has_bars_and_colour_unless_there_shall_be_none() {
    if Command::new("script").arg("--version").output().is_err() {
        return;
    }
    let house = House::new("verbs-terminal");
    let (bars, code) = on_terminal(&house, "warm --group slow --group bad", &[]);
    assert_eq!(code, Some(1));
    assert!(bars.contains('█') && bars.contains("/6 ") && bars.contains("\u{1b}[36m"), "{bars:?}");
    assert!(bars.contains("slow: done in ") && bars.contains("1 item failed") && bars.contains("8 items in "), "{bars:?}");
    let (plain, _) = on_terminal(&house, "explain /slow/1", &[("NO_COLOR", "1")]);
    let (coloured, _) = on_terminal(&house, "explain /slow/1", &[]);
    assert!(!plain.contains('\u{1b}') && coloured.contains("\u{1b}[32m"), "{plain:?} {coloured:?}");
    let (painted, code) = on_terminal(&house, "stats --watch --interval 100ms & sleep 1; kill -INT $!; wait $!", &[]);
    assert_eq!(code, Some(0), "{painted:?}");
    assert!(painted.matches("hit ratio").count() > 2 && painted.contains("\u{1b}[K") && !painted.contains("\u{1b}[2J"), "{painted:?}");
}
