//! Where events are written, and what happens where they cannot be.

use super::{House, requests, until};
use crate::process::{Folder, LONG, command};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Instant;

#[test]
fn what_waits_is_written_before_the_end() {
    let house = House::open("logs-flush", &["logs.batch_delay=60s"]);
    (0..20).for_each(|_| drop(house.get("/kept")));
    assert_eq!(house.requests().len(), 20);
}

#[test]
fn a_whole_batch_does_not_wait() {
    let house = House::open("logs-batch", &["logs.batch_delay=60s", "logs.batch_max=1"]);
    house.get("/kept");
    house.running.wait_for("warmfront::request");
}

#[test]
fn a_file_that_has_been_moved_is_opened_again_by_its_name() {
    let house = House::open("logs-file", &["logs.file=events.log", "logs.batch_delay=1ms"]);
    let path = |name: &str| house.folder.path().join(name);
    let lines = |name: &str| requests(std::fs::read_to_string(path(name)).unwrap_or_default().lines().map(str::to_owned)).len();
    house.get("/kept");
    until("the first event is written", || lines("events.log") == 1);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path("events.log")).unwrap().permissions()) & 0o777, 0o600);
    std::fs::rename(path("events.log"), path("events.log.1")).unwrap();
    house.get("/kept");
    until("the file is kept where it was", || lines("events.log.1") == 2);
    house.running.signal("USR1");
    until("there is a new file", || path("events.log").exists());
    house.get("/kept");
    until("events go there", || lines("events.log") == 1);
    assert_eq!((lines("events.log.1"), house.requests().len()), (2, 0));
}

#[test]
fn a_reload_changes_format_rate_and_file_and_refuses_a_file_that_cannot_be() {
    let (folder, api) = (Folder::new("logs-reload"), super::Api::new());
    let file =
        |logs: &str| format!("[server]\nlisten = \"127.0.0.1:0\"\n[upstream]\nurls = [\"http://{}\"]\n[logs]\n{logs}\n", api.address);
    folder.write("warmfront.toml", &file("sample_rate = 0"));
    let running = crate::process::Running::start(folder.path(), &["run"], &[]);
    let (data, _) = running.addresses();
    let get = |path: &str| crate::process::ask(data, &format!("GET {path}"), "");
    get("/plain/unseen");
    folder.write("warmfront.toml", &file("format = \"pretty\"\nbatch_delay = \"1ms\""));
    running.signal("HUP");
    running.wait_for("warmfront: reloaded");
    get("/plain/seen");
    let line = running.wait_for("/plain/seen");
    assert!(line.contains("GET /plain/seen") && !line.starts_with('{'), "{line}");
    folder.write("warmfront.toml", &file("file = \"no/such/folder/events.log\""));
    running.signal("HUP");
    let refused = running.wait_for("reload refused, nothing changed");
    assert!(refused.contains("logs.file no/such/folder/events.log cannot be opened"), "{refused}");
    folder.write("warmfront.toml", &file("file = \"events.log\"\nbatch_delay = \"1ms\""));
    running.signal("HUP");
    running.wait_for("warmfront: reloaded");
    get("/plain/filed");
    until("it is in the file", || std::fs::read_to_string(folder.path().join("events.log")).unwrap_or_default().contains("/plain/filed"));
}

#[test]
fn a_file_that_cannot_be_opened_ends_the_start() {
    let folder = Folder::new("logs-nofile");
    let failed = super::outcome(folder.path(), &["run", "--upstream", "http://127.0.0.1:1", "--set", "logs.file=no/folder/x"], &[]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.err.starts_with("error: logs.file no/folder/x cannot be opened"), "{}", failed.err);
}

/// Nobody reads stderr: the pipe is full after some hundred events.
#[test]
fn a_full_pipe_neither_stops_requests_nor_the_end_and_what_is_lost_is_counted() {
    let (folder, api) = (Folder::new("logs-pipe"), super::Api::new());
    let upstream = format!("http://{}", api.address);
    let args = ["run", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--set", "logs.queue=100", "--set", "logs.batch_delay=1ms"];
    let mut child = command(folder.path(), &args, &[("WARMFRONT_ADMIN__LISTEN", "127.0.0.1:0")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    let after = |words: &str| line.split(words).nth(1).unwrap().split([',', ' ']).next().unwrap().parse().unwrap();
    let (data, admin) = (after(" listening on "), after(", admin http://"));
    for _ in 0..1500 {
        assert!(crate::process::ask(data, "GET /kept", "").contains("0123456789"));
    }
    let metrics = crate::process::ask(admin, "GET /metrics", "");
    let count = |result: &str| -> u64 {
        let sample = format!("warmfront_log_events_total{{result=\"{result}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&sample)).unwrap().parse().unwrap()
    };
    assert!(count("kept") > 0 && count("dropped") >= 500, "kept {}, dropped {}", count("kept"), count("dropped"));
    std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < LONG, "it does not end");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
