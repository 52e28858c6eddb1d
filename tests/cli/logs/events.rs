//! What is told of a request, and of which.

use super::{House, said};
use crate::process::{ask, send};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

#[test]
fn each_request_is_told_of_once_with_its_outcome_reason_status_and_bytes() {
    let house = House::open("logs-once", &["server.max_request_body=1KiB"]);
    house.get("/kept");
    house.get("/kept");
    house.get("/plain");
    house.get("/bad");
    ask(house.data, "HEAD /kept", "");
    ask(house.data, "GET /kept", "If-None-Match: *\r\n");
    send(house.data, "POST /form", "Content-Length: 3\r\n", "a=b");
    ask(house.data, "GET /kept/only", "Cache-Control: only-if-cached\r\n");
    ask(house.data, "GET /large", "Content-Length: 5000\r\n");
    send(house.data, "PUT /chunked", "Transfer-Encoding: chunked\r\n", &format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(2048)));
    ask(house.data, "CONNECT h:1", "");
    send(house.data, "GET /two", "Content-Length: 1\r\nContent-Length: 2\r\n", "x");
    let told: Vec<String> =
        house.requests().iter().map(|event| said(event, &["method", "path", "outcome", "reason", "status", "bytes", "ended"])).collect();
    let expected = [
        "GET /kept miss uri-miss 200 10 -",
        "GET /kept hit - 200 10 -",
        "GET /plain miss no-store 200 5 -",
        "GET /bad miss no-store 500 3 -",
        "HEAD /kept hit - 200 0 -",
        "GET /kept hit - 304 0 -",
        "POST /form pass method 200 5 -",
        "GET /kept/only refused only-if-cached 504",
        "GET /large refused body-too-large 413",
        "PUT /chunked refused body-too-large 413",
        "CONNECT h:1 refused connect-method 405",
        "- - refused bad-request 400",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told} is not {expected}");
    }
}

#[test]
fn times_are_whole_microseconds_and_add_up_and_the_key_is_a_hash() {
    let house = House::open("logs-times", &["logs.slow=0s"]);
    house.get("/slow");
    house.get("/kept?user=jane");
    house.get("/kept?user=jane");
    send(house.data, "POST /form", "Content-Length: 3\r\n", "a=b");
    let events = house.requests();
    let number = |at: usize, name: &str| events[at][name].as_u64().unwrap_or_else(|| panic!("{name}: {}", events[at]));
    assert!(number(0, "upstream_us") >= 300_000 && number(0, "total_us") >= number(0, "lookup_us") + number(0, "upstream_us"));
    assert!(events[2].get("upstream_us").is_none() && number(2, "total_us") < 300_000);
    assert_eq!(number(3, "lookup_us"), 0, "the cache was not asked");
    let key = events[1]["key"].as_str().unwrap();
    assert!(key.len() == 16 && key.bytes().all(|digit| digit.is_ascii_hexdigit()) && events[2]["key"] == key);
}

#[test]
fn secrets_are_not_told_and_no_request_can_forge_a_line() {
    let house = House::open("logs-secrets", &[]);
    let fields = "Authorization: Bearer hunter2\r\nCookie: sid=hunter3\r\n";
    ask(house.data, "GET /kept?page=1&Access_Token=hunter4&api%5Fkey=hunter5&sig=hunter6", fields);
    ask(house.data, "GET /a%0a%7B%22level%22%3A%22info%22%7D%1b[2J", "");
    let mut raw = TcpStream::connect(house.data).unwrap();
    raw.write_all(b"GET /\x1b[2J\x0b{\"target\":\"warmfront::request\"} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let _ = raw.read_to_end(&mut Vec::new());
    let mut running = house.running;
    running.signal("TERM");
    running.end();
    let lines = running.errors();
    let text = lines.join("\n");
    assert!(!text.contains("hunter") && text.contains("page=1&Access_Token=***&api%5Fkey=***&sig=***"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{b}'), "{text:?}");
    assert_eq!(super::requests(lines).len(), 3);
}

#[test]
fn a_body_that_breaks_off_and_one_that_its_client_leaves_say_so() {
    let house = House::open("logs-ended", &[]);
    house.get("/broken");
    let mut leaver = TcpStream::connect(house.data).unwrap();
    leaver.write_all(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    leaver.read_exact(&mut [0; 20_000]).unwrap();
    drop(leaver);
    let line = house.running.wait_for("/endless");
    assert!(line.contains("\"ended\":\"left\""), "{line}");
    let bytes = serde_json::from_str::<serde_json::Value>(&line).unwrap()["bytes"].as_u64().unwrap();
    assert!(bytes >= 19_000, "{line}");
    let mut gone = TcpStream::connect(house.data).unwrap();
    gone.write_all(b"GET /late HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    super::until("it is asked for", || !house.api.field("/late", "host").is_empty());
    drop(gone);
    let line = house.running.wait_for("/late");
    assert!(line.contains("\"outcome\":\"abandoned\""), "{line}");
    let mut uploader = TcpStream::connect(house.data).unwrap();
    uploader.write_all(b"PUT /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello").unwrap();
    drop(uploader);
    let line = house.running.wait_for("/upload");
    assert!(line.contains("\"outcome\":\"abandoned\",\"reason\":\"upload\"") && !line.contains("\"status\""), "{line}");
}

#[test]
fn a_broken_body_is_told_of_with_the_bytes_that_came() {
    let house = House::open("logs-broken", &["logs.sample_rate=0"]);
    house.get("/broken");
    let told: Vec<String> = house.requests().iter().map(|event| said(event, &["path", "status", "bytes", "ended"])).collect();
    assert_eq!(told, ["/broken 200 10 broken"]);
}

#[test]
fn errors_refusals_and_slow_requests_are_told_of_whatever_the_rate_and_the_rest_is_counted() {
    let house = House::open("logs-rate", &["logs.sample_rate=0", "logs.slow=200ms"]);
    (0..5).for_each(|_| drop(house.get("/kept")));
    house.get("/plain");
    house.get("/bad");
    house.get("/slow");
    ask(house.data, "GET /kept/only", "Cache-Control: only-if-cached\r\n");
    assert_eq!(house.metric("warmfront_log_events_total{result=\"sampled_out\"}"), 6);
    let told: Vec<String> = house.requests().iter().map(|event| said(event, &["path"])).collect();
    assert_eq!(told, ["/bad", "/slow", "/kept/only"]);
}

#[test]
fn the_requests_of_a_trace_are_told_of_together_or_not_at_all() {
    let house = House::open("logs-traces", &["logs.sample_rate=0.5"]);
    for trace in 1..=40 {
        for path in ["/kept", "/plain", "/kept"] {
            ask(house.data, &format!("GET {path}"), &format!("traceparent: 00-{trace:032x}-00000000000000aa-01\r\n"));
        }
    }
    let events = house.requests();
    let of_trace = |trace: u64| events.iter().filter(|event| event["trace_id"] == format!("{trace:032x}")).count();
    let counts: Vec<usize> = (1..=40).map(of_trace).collect();
    assert!(counts.iter().all(|count| matches!(count, 0 | 3)), "{counts:?}");
    assert!(counts.contains(&0) && counts.contains(&3), "{counts:?}");
}

#[test]
fn a_trace_goes_on_to_the_origin_under_another_parent_and_changes_no_key() {
    let house = House::open("logs-traceparent", &[]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    ask(house.data, "GET /plain/1", &format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\ntracestate: a=b\r\n"));
    ask(house.data, "GET /plain/2", "traceparent: nonsense\r\ntracestate: a=b\r\n");
    ask(house.data, "GET /vary", "");
    assert!(ask(house.data, "GET /vary", "").contains("warmfront; hit"), "what we add is no part of the request");
    send(house.data, "POST /plain/3", "Content-Length: 1\r\n", "x");
    let sent = |path| {
        let values = house.api.field(path, "traceparent");
        assert!(values.len() == 1 && values[0].len() == 55, "{values:?}");
        values[0].clone()
    };
    let (first, second, third) = (sent("/plain/1"), sent("/plain/2"), sent("/plain/3"));
    assert!(first.starts_with(&format!("00-{trace}-")) && !first.contains("00f067aa0ba902b7") && first.ends_with("-01"), "{first}");
    assert_eq!((house.api.field("/plain/1", "tracestate").len(), house.api.field("/plain/2", "tracestate").len()), (1, 0));
    let events = house.requests();
    let told = |path: &str| events.iter().find(|event| event["path"] == path).unwrap()["trace_id"].as_str().unwrap().to_owned();
    assert_eq!(told("/plain/1"), trace);
    assert!(second.contains(&told("/plain/2")) && third.contains(&told("/plain/3")) && second.ends_with("-01"), "{second} {third}");
}

#[test]
fn server_timing_is_on_hits_and_misses_if_it_is_asked_for() {
    let house = House::open("logs-timing", &["logs.server_timing=true"]);
    let timing = |answer: String| answer.lines().find_map(|line| line.strip_prefix("server-timing: ").map(str::to_owned)).unwrap();
    let pattern = regex::Regex::new(r"^lookup;dur=\d+\.\d{3}(, upstream;dur=\d+\.\d{3})?, total;dur=\d+\.\d{3}$").unwrap();
    let (miss, hit) = (timing(house.get("/kept")), timing(house.get("/kept")));
    assert!(pattern.is_match(&miss) && miss.contains("upstream") && pattern.is_match(&hit) && !hit.contains("upstream"), "{miss} {hit}");
    assert!(timing(send(house.data, "POST /form", "Content-Length: 1\r\n", "x")).contains("upstream"));
}
