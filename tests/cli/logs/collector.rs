//! A collector of OpenTelemetry that does as it is told. What it reads it reads by the types made from the protocol itself.

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};

use crate::process::LONG;

/// How one batch is answered.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Take,
    /// With this head and body.
    Say(&'static str),
    /// Takes all but so many.
    Reject(i64),
    /// Takes all, and says something.
    Warn(&'static str),
    Hang,
}

/// What has come.
#[derive(Default)]
struct State {
    acts: VecDeque<Act>,
    heads: Vec<String>,
    batches: Vec<ExportTraceServiceRequest>,
}

#[derive(Clone)]
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Collector {
    /// One that answers the first batches by `acts`, and takes those that follow.
    pub(super) fn new(acts: &[Act]) -> Self {
        Self::over(acts, Some)
    }

    /// One behind what `wrap` makes of a connection.
    pub(super) fn over<S: Read + Write>(acts: &[Act], wrap: impl Fn(std::net::TcpStream) -> Option<S> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State { acts: acts.iter().cloned().collect(), ..State::default() };
        let collector = Self { address: listener.local_addr().unwrap(), state: Arc::new((Mutex::new(state), Condvar::new())) };
        let (of_thread, wrap) = (collector.clone(), Arc::new(wrap));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (collector, wrap) = (of_thread.clone(), Arc::clone(&wrap));
                std::thread::spawn(move || wrap(stream).map(|stream| collector.serve(BufReader::new(stream))));
            }
        });
        collector
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn serve<S: Read + Write>(&self, mut stream: BufReader<S>) {
        loop {
            let lines: Vec<String> = stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            if lines.is_empty() {
                return;
            }
            let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            if lines.iter().any(|line| line == "content-encoding: gzip") {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain).unwrap();
                body = plain;
            }
            let batch = ExportTraceServiceRequest::decode(&*body).unwrap();
            let act = {
                let mut state = self.state.0.lock().unwrap();
                state.heads.push(lines.join("\n"));
                let act = state.acts.pop_front().unwrap_or(Act::Take);
                if matches!(act, Act::Take | Act::Reject(_) | Act::Warn(_)) {
                    state.batches.push(batch);
                }
                act
            };
            self.state.1.notify_all();
            let answer = |rejected_spans: i64, why: &str| {
                let partial_success = (!why.is_empty()).then(|| ExportTracePartialSuccess { rejected_spans, error_message: why.into() });
                let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
                let mut text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
                text.extend(body);
                text
            };
            let answer = match act {
                Act::Take => answer(0, ""),
                Act::Reject(count) => answer(count, "too old"),
                Act::Warn(why) => answer(0, why),
                Act::Say(text) => text.as_bytes().to_vec(),
                Act::Hang => return std::thread::sleep(LONG),
            };
            if stream.get_mut().write_all(&answer).and_then(|()| stream.get_mut().flush()).is_err() {
                return;
            }
        }
    }

    /// All spans that were taken, once there are `count`.
    pub(super) fn spans(&self, count: usize) -> Vec<Seen> {
        let state = self.wait(|state| spans(state).len() >= count);
        spans(&state)
    }

    /// The heads of all requests, once there are `count`.
    pub(super) fn heads(&self, count: usize) -> Vec<String> {
        self.wait(|state| state.heads.len() >= count).heads.clone()
    }

    /// What the spans say of whoever has sent them.
    pub(super) fn resource(&self) -> Vec<(String, String)> {
        let state = self.wait(|state| !state.batches.is_empty());
        let attributes = &state.batches[0].resource_spans[0].resource.as_ref().unwrap().attributes;
        attributes.iter().map(|pair| (pair.key.clone(), said(pair))).collect()
    }

    fn wait(&self, until: impl Fn(&State) -> bool) -> std::sync::MutexGuard<'_, State> {
        let waited = self.state.1.wait_timeout_while(self.state.0.lock().unwrap(), LONG, |state| !until(state)).unwrap();
        assert!(!waited.1.timed_out(), "the collector has got {:?}", waited.0.heads);
        waited.0
    }
}

fn spans(state: &State) -> Vec<Seen> {
    let scopes = state.batches.iter().flat_map(|batch| &batch.resource_spans).flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).map(|span| Seen(span.clone())).collect()
}

fn said(pair: &KeyValue) -> String {
    match pair.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{}: {other:?}", pair.key),
    }
}

/// A span as the collector has it.
#[derive(Debug)]
pub(super) struct Seen(pub(super) Span);

impl Seen {
    pub(super) fn get(&self, key: &str) -> Option<String> {
        let mut of_key = self.0.attributes.iter().filter(|pair| pair.key == key);
        let value = of_key.next().map(said);
        assert!(of_key.next().is_none(), "{key} twice");
        value
    }

    /// The values of these attributes, with `-` for what is not there.
    pub(super) fn says(&self, keys: &[&str]) -> String {
        keys.iter().map(|key| self.get(key).unwrap_or_else(|| "-".into())).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn trace(&self) -> String {
        hex(&self.0.trace_id)
    }

    pub(super) fn id(&self) -> String {
        hex(&self.0.span_id)
    }

    pub(super) fn parent(&self) -> String {
        hex(&self.0.parent_span_id)
    }

    pub(super) fn is_server(&self) -> bool {
        self.0.kind == 2
    }

    pub(super) fn is_error(&self) -> bool {
        self.0.status.as_ref().is_some_and(|status| status.code == 2)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
