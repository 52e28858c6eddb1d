//! Hits on a connection whose client says the same with each request are told of, counted and timed as all others.

use super::{House, said};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// A connection that asks for one thing after the other.
struct Client(BufReader<TcpStream>);

impl Client {
    fn of(house: &House) -> Self {
        let stream = TcpStream::connect(house.data).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        Self(BufReader::new(stream))
    }

    /// The head of an answer; its body is read.
    fn get(&mut self, target: &str, fields: &str) -> String {
        // In one piece: what comes in several is a request.
        self.0.get_mut().write_all(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "a head, and not only {head:?}");
        }
        let length =
            head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).expect("a length");
        self.0.read_exact(&mut vec![0; length]).unwrap();
        head
    }
}

#[test]
fn each_of_many_hits_on_one_connection_is_told_of_once() {
    let house = House::open("logs-hits", &[]);
    let mut client = Client::of(&house);
    for at in 0..60 {
        client.get(&format!("/kept?at={}", at % 20), "");
    }
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for _ in 0..5 {
        client.get("/kept?token=hunter2", &format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n"));
    }
    client.get("/plain", "");
    let events = house.requests();
    assert_eq!(events.len(), 66);
    for (at, event) in events[..60].iter().enumerate() {
        let expected = format!("GET /kept?at={} {} 200 10", at % 20, if at < 20 { "miss" } else { "hit" });
        assert_eq!(said(event, &["method", "path", "outcome", "status", "bytes"]), expected, "{event}");
        assert!(event["key"] == events[at % 20]["key"] && event.get("upstream_us").is_some() == (at < 20), "{event}");
        assert!(event["trace_id"] != trace, "{event}");
    }
    assert_eq!(said(&events[64], &["path", "outcome"]), "/kept?token=*** hit");
    for event in &events[60..65] {
        assert!(event["trace_id"] == trace && !event.to_string().contains("hunter2"), "{event}");
    }
}

#[test]
fn the_metrics_count_each_once_whatever_is_told_of_them() {
    let house = House::open("logs-hits-metrics", &["logs.sample_rate=0"]);
    let hits = "warmfront_requests_total{rule=\"none\",outcome=\"hit\"}";
    let mut client = Client::of(&house);
    client.get("/kept", "");
    let before = house.metric(hits);
    for _ in 0..100 {
        client.get("/kept", "");
    }
    assert_eq!(house.metric(hits) - before, 100);
    assert_eq!(house.metric("warmfront_log_events_total{result=\"sampled_out\"}"), 101);
    assert!(house.requests().is_empty());
}

#[test]
fn their_answers_say_how_long_they_took_where_all_others_do() {
    let house = House::open("logs-hits-timing", &["logs.server_timing=true"]);
    let pattern = regex::Regex::new(r"server-timing: lookup;dur=\d+\.\d{3}, total;dur=\d+\.\d{3}\r\n").unwrap();
    let mut client = Client::of(&house);
    client.get("/kept", "");
    let age = regex::Regex::new(r"\r\nage: \d+\r\ncache-status: warmfront; hit; ttl=\d+\r\n").unwrap();
    let masked = |head: String| {
        assert_eq!(head.matches("server-timing").count(), 1, "{head}");
        age.replace(&pattern.replace(&head, "server-timing: x\r\n"), "\r\nage and ttl\r\n").into_owned()
    };
    let mut expected = None;
    for at in 0..50 {
        let with_a_request = at % 10 == 0;
        let hit = masked(client.get("/kept", if with_a_request { "Keep-Alive: timeout=5\r\n" } else { "" }));
        assert!(hit.contains("server-timing: x\r\n") && hit.contains("age and ttl"), "{hit}");
        assert_eq!(expected.get_or_insert_with(|| hit.clone()), &hit, "number {at}");
    }
    for _ in 0..50 {
        assert_eq!(expected, Some(masked(client.get("/kept", ""))));
    }
}
