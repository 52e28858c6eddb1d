//! Events of requests: on stderr, in a file, as a stream, and in `warmfront logs`.

#[cfg(feature = "otel")]
mod collector;
mod events;
mod hits;
mod sinks;
#[cfg(feature = "otel")]
mod spans;
mod stream;

use crate::process::{Folder, LONG, Running, ask, outcome};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An API that does as the path says, and remembers the heads of requests.
#[derive(Clone)]
struct Api {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Api {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Self { address: listener.local_addr().unwrap(), heads: Arc::default() };
        let heads = Arc::clone(&api.heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let heads = Arc::clone(&heads);
                std::thread::spawn(move || answer(&stream, &heads));
            }
        });
        api
    }

    /// The values of a field in the requests for `path`.
    fn field(&self, path: &str, name: &str) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        let of_path = heads.iter().filter(|head| head.split(' ').nth(1) == Some(path));
        let lines = of_path.flat_map(|head| head.lines()).filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
    }
}

fn answer(stream: &TcpStream, heads: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)).map(str::to_owned) else { return };
    heads.lock().unwrap().push(head.join("\n"));
    let mut out = stream;
    let say = |mut out: &TcpStream, status: &str, control: &str, body: &str| {
        let length = body.len();
        let _ = write!(out, "HTTP/1.1 {status}\r\nCache-Control: {control}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    };
    match path.split(['?', '/']).nth(1).unwrap_or_default() {
        "kept" => say(out, "200 OK", "max-age=600", "0123456789"),
        "stale" => say(out, "200 OK", "max-age=0, stale-while-revalidate=600", "stale"),
        "vary" => say(out, "200 OK", "max-age=600\r\nVary: traceparent", "0123456789"),
        "bad" => say(out, "500 Bad", "no-store", "bad"),
        "slow" => {
            std::thread::sleep(Duration::from_millis(300));
            say(out, "200 OK", "no-store", "slow");
        }
        "late" | "upload" => std::thread::sleep(Duration::from_secs(5)), // longer than half-closed clients are waited for
        "broken" => {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 100\r\n\r\n0123456789");
            let _ = out.shutdown(Shutdown::Both);
        }
        "endless" => {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n");
            while out.write_all(b"3e8\r\n").is_ok() && out.write_all(&[b'x'; 1000]).is_ok() && out.write_all(b"\r\n").is_ok() {}
        }
        _ => say(out, "200 OK", "no-store", "plain"),
    }
}

/// A sidecar in front of an API.
struct House {
    folder: Folder,
    api: Api,
    data: SocketAddr,
    admin: SocketAddr,
    running: Running,
}

impl House {
    fn open(name: &str, set: &[&str]) -> Self {
        Self::open_within(name, set, &[])
    }

    /// In this environment.
    fn open_within(name: &str, set: &[&str], env: &[(&str, &str)]) -> Self {
        let (folder, api) = (Folder::new(name), Api::new());
        let upstream = format!("http://{}", api.address);
        let mut args = vec!["run", "--listen", "127.0.0.1:0", "--upstream", &upstream];
        set.iter().for_each(|set| args.extend(["--set", set]));
        let running = Running::start(folder.path(), &args, env);
        let (data, admin) = running.addresses();
        Self { folder, api, data, admin, running }
    }

    fn get(&self, path: &str) -> String {
        ask(self.data, &format!("GET {path}"), "")
    }

    /// Ends it, and gives all events of requests that nobody has read.
    fn requests(mut self) -> Vec<Value> {
        self.running.signal("TERM");
        assert_eq!(self.running.end(), Some(0));
        requests(self.running.errors())
    }

    /// A number of `/metrics`.
    fn metric(&self, sample: &str) -> u64 {
        let text = ask(self.admin, "GET /metrics", "");
        let line = text.lines().find_map(|line| line.strip_prefix(sample)).unwrap_or_else(|| panic!("no {sample} in {text}"));
        line.trim().parse().unwrap()
    }
}

/// The events of requests among some lines. All lines of JSON are whole.
fn requests(lines: impl IntoIterator<Item = String>) -> Vec<Value> {
    let events = lines.into_iter().filter(|line| line.starts_with('{'));
    let events = events.map(|line| serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
    events.filter(|event| event["target"] == "warmfront::request").collect()
}

/// What some fields of an event say, as one text.
fn said(event: &Value, fields: &[&str]) -> String {
    let said = fields.iter().map(|field| match &event[*field] {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    });
    said.collect::<Vec<_>>().join(" ")
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
