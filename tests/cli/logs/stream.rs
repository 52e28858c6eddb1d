//! `GET /api/logs/stream`, and `warmfront logs`, which reads it.

use super::{House, outcome};
use crate::process::{LONG, Running, ask};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// A stream, behind its head.
fn listen(house: &House, query: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(house.admin).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET /api/logs/stream{query} HTTP/1.1\r\nHost: {}\r\n\r\n", house.admin).unwrap();
    let mut reader = BufReader::new(stream);
    let head = lines(&mut reader, |line| line.is_empty());
    assert!(head[0].starts_with("HTTP/1.1 200") && head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
    reader
}

/// Lines up to the one that is meant.
fn lines(reader: &mut impl BufRead, last: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    while !lines.last().is_some_and(|line| last(line)) {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "it ends after {lines:?}");
        lines.push(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    lines
}

#[test]
fn the_stream_has_a_message_of_events_with_one_of_them_on_each_line() {
    let house = House::open("logs-sse", &["logs.batch_delay=1ms"]);
    house.get("/plain/before");
    house.running.wait_for("/plain/before");
    let mut live = listen(&house, "");
    lines(&mut live, |line| line == ":");
    house.get("/plain/now");
    let seen = lines(&mut live, |line| line.contains("/plain/now"));
    assert!(!seen.iter().any(|line| line.contains("/plain/before")), "{seen:?}");
    assert!(seen.iter().any(|line| line == "event: events"), "{seen:?}");
    let event: Value = serde_json::from_str(seen.last().unwrap().strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((&event["outcome"], &event["status"]), (&Value::from("miss"), &Value::from(200)));
    let mut recent = listen(&house, "?recent=true");
    lines(&mut recent, |line| line.contains("/plain/before"));
    let ended = ask(house.admin, "GET /api/logs/stream?recent=true&follow=false", "");
    assert!(ended.contains("/plain/before") && ended.ends_with("\n\n"), "{ended}");
}

#[test]
fn listeners_are_bounded_and_leave_room_for_everybody_else() {
    let house = House::open("logs-many", &[]);
    let mut streams: Vec<_> = (0..16).map(|_| listen(&house, "")).collect();
    let refused = ask(house.admin, "GET /api/logs/stream", "");
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("16 listen already"), "{refused}");
    assert!(ask(house.admin, "GET /healthz", "").starts_with("HTTP/1.1 200"));
    streams.pop();
    super::until("a place is free", || {
        let mut stream = TcpStream::connect(house.admin).unwrap();
        write!(stream, "GET /api/logs/stream HTTP/1.1\r\nHost: {}\r\n\r\n", house.admin).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        status.ends_with(b"200")
    });
}

#[test]
fn the_stream_is_behind_the_same_guard_and_ends_with_the_sidecar() {
    let mut house = House::open("logs-guard", &["admin.token=s3cret"]);
    assert!(ask(house.admin, "GET /api/logs/stream", "").starts_with("HTTP/1.1 401"));
    let token = "Authorization: Bearer s3cret\r\n";
    assert!(ask(house.admin, "GET /api/logs/stream", &format!("{token}Origin: http://evil.example\r\n")).starts_with("HTTP/1.1 403"));
    assert!(ask(house.admin, "GET /api/logs/stream?follow=maybe", token).starts_with("HTTP/1.1 400"));
    let mut stream = TcpStream::connect(house.admin).unwrap();
    write!(stream, "GET /api/logs/stream HTTP/1.1\r\nHost: {}\r\n{token}\r\n", house.admin).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    house.running.signal("TERM");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "the end is a clean one: {rest:?}");
    assert_eq!(house.running.end(), Some(0));
}

#[test]
fn logs_prints_the_last_events_and_follows_what_comes() {
    let mut house = House::open("logs-verb", &["logs.batch_delay=1ms"]);
    house.get("/plain/first");
    house.running.wait_for("/plain/first");
    let admin = format!("http://{}", house.admin);
    let shown = outcome(house.folder.path(), &["logs", "--admin", &admin], &[]);
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    let line = shown.out.lines().find(|line| line.contains("/plain/first")).unwrap();
    assert!(line.contains(" 200 miss ") && line.contains(" 5 B  GET /plain/first") && line.contains("reason=no-store"), "{line}");
    assert!(!shown.out.contains('\u{1b}'), "no colour where nobody looks");

    let mut followed = Running::start(house.folder.path(), &["logs", "--follow", "--format", "json", "--admin", &admin], &[]);
    followed.wait_for_out("/plain/first");
    house.get("/plain/second");
    let event: Value = serde_json::from_str(&followed.wait_for_out("/plain/second")).unwrap();
    assert_eq!(event["path"], "/plain/second");
    followed.signal("INT");
    assert_eq!(followed.end(), Some(0));

    let mut followed = Running::start(house.folder.path(), &["logs", "-f", "--admin", &admin], &[]);
    followed.wait_for_out("/plain/second");
    house.running.signal("TERM");
    house.running.end();
    followed.wait_for(&format!("error: the stream has ended: the sidecar at {admin} has gone"));
    assert_eq!(followed.end(), Some(1));
}
