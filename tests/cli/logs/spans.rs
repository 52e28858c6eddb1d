//! Spans, as a collector of OpenTelemetry gets them.

use super::collector::{Act, Collector, Seen};
use super::{Api, House};
use crate::process::{Folder, Running, ask, outcome};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "20");

/// A sidecar that sends spans at once.
fn open(name: &str, set: &[&str], collector: &Collector, env: &[(&str, &str)]) -> House {
    let endpoint = collector.endpoint();
    House::open_within(name, set, &[&[("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), SOON], env].concat())
}

fn traced(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{PARENT}-{flags}\r\n")
}

/// The trace, the parent and the flags that the origin was told.
fn told(api: &Api, path: &str) -> (String, String, String) {
    let values = api.field(path, "traceparent");
    assert_eq!(values.len(), 1, "{values:?}");
    let parts: Vec<&str> = values[0].split('-').collect();
    (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned())
}

fn of_kind(spans: &[Seen], server: bool) -> Vec<&Seen> {
    spans.iter().filter(|span| span.is_server() == server).collect()
}

fn spans_total(house: &House, result: &str) -> u64 {
    house.metric(&format!("warmfront_otel_spans_total{{result=\"{result}\"}}"))
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < crate::process::LONG, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_trace_joins_up_from_the_client_through_warmfront_to_the_origin() {
    let collector = Collector::new(&[]);
    let house = open("spans-joined", &[], &collector, &[("WARMFRONT_LOG", "off")]);
    ask(house.data, "GET /kept/1?page=2", &traced("01"));
    ask(house.data, "GET /kept/1?page=2", &traced("01"));
    let spans = collector.spans(3);
    let (served, asked) = (of_kind(&spans, true), of_kind(&spans, false));
    assert_eq!((served.len(), asked.len()), (2, 1), "{spans:?}");
    assert!(spans.iter().all(|span| span.trace() == TRACE));
    assert!(served.iter().all(|span| span.parent() == PARENT));
    let outcome = |span: &Seen| span.says(&["warmfront.outcome", "http.response.status_code", "url.path", "url.query", "url.scheme"]);
    let miss = served.iter().find(|span| span.get("warmfront.outcome").unwrap() == "miss").unwrap();
    let hit = served.iter().find(|span| span.get("warmfront.outcome").unwrap() == "hit").unwrap();
    assert_eq!((outcome(miss), outcome(hit)), ("miss 200 /kept/1 page=2 http".into(), "hit 200 /kept/1 page=2 http".into()));
    assert_eq!(asked[0].parent(), miss.id());
    assert_ne!(hit.id(), miss.id());
    assert_eq!(told(&house.api, "/kept/1?page=2"), (TRACE.to_owned(), asked[0].id(), "01".to_owned()));
    let port = house.api.address.port();
    assert_eq!(asked[0].get("url.full").unwrap(), format!("http://127.0.0.1:{port}/kept/1?page=2"));
    assert_eq!(asked[0].says(&["http.response.status_code", "server.port", "warmfront.source"]), format!("200 {port} live"));
    let (outer, inner) = (&miss.0, &asked[0].0);
    assert!(outer.start_time_unix_nano <= inner.start_time_unix_nano + 1_000_000 && inner.end_time_unix_nano <= outer.end_time_unix_nano);
    assert_eq!((miss.0.name.as_str(), inner.name.as_str(), miss.is_error()), ("GET", "GET", false));
}

#[test]
fn a_request_without_a_trace_begins_one_that_log_origin_and_collector_agree_on() {
    let collector = Collector::new(&[]);
    let house = open("spans-new", &[], &collector, &[]);
    house.get("/plain/1");
    house.get("/kept/2");
    house.get("/kept/2");
    ask(house.data, "POST /plain/3", "Content-Length: 0\r\n");
    ask(house.data, "GET /plain/4", "Connection: upgrade\r\nUpgrade: chat\r\n");
    let spans = collector.spans(9);
    assert!(of_kind(&spans, true).iter().all(|span| span.parent().is_empty()));
    for path in ["/plain/1", "/kept/2", "/plain/3", "/plain/4"] {
        let (trace, parent, flags) = told(&house.api, path);
        let asked = spans.iter().find(|span| span.id() == parent).unwrap();
        let served = spans.iter().find(|span| span.id() == asked.parent()).unwrap();
        assert_eq!((asked.trace(), served.trace(), &*flags), (trace.clone(), trace, "01"), "{path}");
        assert_eq!(served.get("url.path").unwrap(), path);
    }
    let mut traces: Vec<String> = of_kind(&spans, true).iter().map(|span| span.trace()).collect();
    let mut logged: Vec<String> = house.requests().iter().map(|event| event["trace_id"].as_str().unwrap().to_owned()).collect();
    traces.sort();
    logged.sort();
    assert_eq!(logged, traces);
}

#[test]
fn a_client_that_leaves_while_a_switch_is_pending_is_told_of_and_so_is_what_the_origin_was_asked() {
    let collector = Collector::new(&[]);
    let house = open("spans-switch", &[], &collector, &[]);
    let mut gone = TcpStream::connect(house.data).unwrap();
    gone.write_all(b"GET /late HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n").unwrap();
    wait_until("it is asked for", || !house.api.field("/late", "upgrade").is_empty());
    drop(gone);
    let line = house.running.wait_for("/late");
    assert!(line.contains("\"outcome\":\"abandoned\",\"reason\":\"upgrade\"") && !line.contains("\"status\""), "{line}");
    let spans = collector.spans(2);
    let served = spans.iter().find(|span| span.is_server()).unwrap();
    let asked = spans.iter().find(|span| !span.is_server()).unwrap();
    assert_eq!((served.says(&["warmfront.outcome"]), asked.parent()), ("abandoned".into(), served.id()));
}

#[test]
fn a_refresh_behind_a_stale_answer_is_of_the_reader_s_trace_and_of_no_request() {
    let collector = Collector::new(&[]);
    let house = open("spans-refresh", &[], &collector, &[]);
    house.get("/stale");
    ask(house.data, "GET /stale", &traced("01"));
    let spans = collector.spans(4);
    let refresh = spans.iter().find(|span| span.get("warmfront.source").is_some_and(|source| source == "refresh")).unwrap();
    assert_eq!((refresh.trace(), refresh.parent()), (TRACE.to_owned(), PARENT.to_owned()));
    let sent = house.api.field("/stale", "traceparent");
    assert!(sent.len() == 2 && sent[1] == format!("00-{TRACE}-{}-01", refresh.id()), "{sent:?}");
}

#[test]
fn whoever_names_a_trace_says_whether_it_is_recorded_and_else_the_rate_does() {
    let collector = Collector::new(&[]);
    let house = open("spans-flag", &["logs.sample_rate=0"], &collector, &[]);
    ask(house.data, "GET /kept/recorded", &traced("01"));
    ask(house.data, "GET /kept/recorded/not", &traced("00"));
    ask(house.data, "GET /bad/not", &traced("00"));
    house.get("/kept/rate");
    house.get("/bad/always");
    collector.spans(4);
    house.running.signal("TERM");
    house.running.wait_for("\"ended\"");
    let spans = collector.spans(4);
    let mut paths: Vec<String> = of_kind(&spans, true).iter().map(|span| span.get("url.path").unwrap()).collect();
    paths.sort();
    assert_eq!(paths, ["/bad/always", "/kept/recorded"]);
    assert_eq!(of_kind(&spans, false).len(), 2, "{spans:?}");
    assert!(spans.iter().all(|span| of_kind(&spans, true).iter().any(|served| served.id() == span.id() || served.id() == span.parent())));
    assert_eq!(told(&house.api, "/kept/recorded/not").2, "00");
}

#[test]
fn failures_are_errors_by_the_words_of_the_log_and_secrets_stay_here() {
    let collector = Collector::new(&[]);
    let house = open("spans-errors", &["upstream.response_timeout=200ms"], &collector, &[]);
    house.get("/bad?token=hunter2&page=1");
    house.get("/late?api_key=hunter2");
    ask(house.data, "GET /kept/only", "Cache-Control: only-if-cached\r\n");
    house.get("/plain?page=1;hunter=2");
    let spans = collector.spans(7);
    let about = |path: &str, server: bool| {
        let span = spans.iter().find(|span| {
            span.is_server() == server && [span.get("url.path"), span.get("url.full")].into_iter().flatten().any(|said| said.contains(path))
        });
        let span = span.unwrap_or_else(|| panic!("no {path} in {spans:?}"));
        (span.is_error(), span.says(&["http.response.status_code", "error.type", "warmfront.outcome", "warmfront.reason"]))
    };
    assert_eq!(about("/bad", true), (true, "500 500 miss no-store".into()));
    assert_eq!(about("/bad", false), (true, "500 500 - -".into()));
    assert_eq!(about("/late", true), (true, "504 response-timeout failed response-timeout".into()));
    assert_eq!(about("/late", false), (true, "- response-timeout - response-timeout".into()));
    assert_eq!(about("/kept/only", true), (true, "504 only-if-cached refused only-if-cached".into()));
    let all = format!("{spans:?}");
    assert!(!all.contains("hunter2") && all.contains("token=***&page=1") && all.contains("page=1;hunter=2"), "{all}");
}

#[test]
fn a_head_that_cannot_be_read_is_a_span_without_what_is_not_known() {
    let collector = Collector::new(&[]);
    let house = open("spans-unread", &[], &collector, &[]);
    assert!(ask(house.data, "GET /a b", "").contains(" 400 "));
    let spans = collector.spans(1);
    assert_eq!((&*spans[0].0.name, spans[0].is_server()), ("HTTP", true));
    assert_eq!(spans[0].says(&["http.request.method", "http.response.status_code", "warmfront.outcome"]), "_OTHER 400 refused");
    assert_eq!(spans[0].says(&["url.path", "url.query", "url.scheme"]), "- - -");
}

#[test]
fn a_collector_that_never_answers_costs_spans_and_no_request() {
    let collector = Collector::new(&[Act::Hang, Act::Hang]);
    let env = [("OTEL_BSP_MAX_QUEUE_SIZE", "4"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")];
    let mut house = open("spans-hang", &[], &collector, &env);
    house.get("/kept");
    collector.heads(1);
    for _ in 0..50 {
        assert!(house.get("/kept").contains("0123456789"));
    }
    assert!(spans_total(&house, "dropped") >= 46, "51 requests, of which 4 wait");
    assert_eq!((spans_total(&house, "sent"), spans_total(&house, "failed")), (0, 0));
    house.running.signal("TERM");
    assert_eq!(house.running.end(), Some(0), "nor does it keep the process");
    let errors = house.running.errors();
    assert!(errors.iter().any(|line| line.contains("has not taken the last spans")), "{errors:?}");
}

#[test]
fn trouble_is_told_when_it_begins_and_when_it_ends_however_many_batches_it_takes() {
    let bad = Act::Say("HTTP/1.1 400 Bad\r\nContent-Length: 3\r\n\r\nbad");
    let collector = Collector::new(&[bad.clone(), bad.clone(), bad, Act::Reject(1)]);
    let mut house = open("spans-trouble", &[], &collector, &[]);
    for failed in 1..=3 {
        ask(house.data, "OPTIONS *", "Max-Forwards: 0\r\n");
        wait_until("lost", || spans_total(&house, "failed") == failed);
    }
    ask(house.data, "OPTIONS *", "Max-Forwards: 0\r\n");
    wait_until("rejected", || spans_total(&house, "failed") == 4);
    ask(house.data, "OPTIONS *", "Max-Forwards: 0\r\n");
    wait_until("sent", || spans_total(&house, "sent") == 1);
    house.running.signal("TERM");
    assert_eq!(house.running.end(), Some(0));
    let errors = house.running.errors();
    let lines: Vec<&String> = errors.iter().filter(|line| line.contains("warmfront::otel")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("it answered 400 Bad Request") && lines[1].contains("\"lost\":4"), "{lines:?}");
}

#[test]
fn what_a_collector_says_though_it_takes_all_is_told_once_for_as_long_as_it_says_it() {
    let deprecated = Act::Warn("use the other port");
    let collector = Collector::new(&[deprecated.clone(), deprecated.clone(), Act::Warn(" "), deprecated]);
    let mut house = open("spans-warn", &[], &collector, &[]);
    for sent in 1..=4 {
        ask(house.data, "OPTIONS *", "Max-Forwards: 0\r\n");
        wait_until("sent", || spans_total(&house, "sent") == sent);
    }
    assert_eq!(spans_total(&house, "failed"), 0);
    house.running.signal("TERM");
    assert_eq!(house.running.end(), Some(0));
    let errors = house.running.errors();
    let lines: Vec<&String> = errors.iter().filter(|line| line.contains("warmfront::otel")).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("use the other port")), "{lines:?}");
}

#[test]
fn a_batch_that_finds_a_busy_collector_is_sent_again_when_it_says() {
    let busy = Act::Say("HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n");
    let limited = Act::Say("HTTP/1.1 429 Slow down\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let collector = Collector::new(&[busy, limited]);
    let house = open("spans-busy", &[], &collector, &[]);
    ask(house.data, "OPTIONS *", "Max-Forwards: 0\r\n");
    assert_eq!(collector.spans(1).len(), 1);
    wait_until("sent", || spans_total(&house, "sent") == 1);
    assert_eq!((spans_total(&house, "failed"), collector.heads(3).len()), (0, 3));
}

#[test]
fn an_answer_that_makes_no_sense_is_taken_by_its_status() {
    let page = Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n<html>\x7f\n\x08\x08\x08\x08</html>");
    let garbage = Act::Say("SSH-2.0-OpenSSH\r\n\r\n");
    let collector = Collector::new(&[page, garbage]);
    let house = open("spans-garbage", &[], &collector, &[]);
    ask(house.data, "OPTIONS *", "Max-Forwards: 0\r\n");
    wait_until("sent", || spans_total(&house, "sent") == 1);
    assert_eq!(collector.heads(1).len(), 1, "a 200 is a 200");
    ask(house.data, "OPTIONS *", "Max-Forwards: 0\r\n");
    wait_until("sent again", || spans_total(&house, "sent") == 2);
}

#[test]
fn the_end_of_the_process_sends_what_waits() {
    let collector = Collector::new(&[]);
    let env = [("OTEL_BSP_SCHEDULE_DELAY", "600000")];
    let mut house = open("spans-flush", &[], &collector, &env);
    (0..7).for_each(|_| drop(house.get("/kept")));
    house.running.signal("TERM");
    assert_eq!(house.running.end(), Some(0));
    assert_eq!(of_kind(&collector.spans(8), true).len(), 7);
}

#[test]
fn a_whole_batch_does_not_wait_for_the_delay() {
    let collector = Collector::new(&[]);
    let env = [("OTEL_BSP_SCHEDULE_DELAY", "600000"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")];
    let house = open("spans-full", &[], &collector, &env);
    for batches in 1..=2 {
        (0..5).for_each(|_| drop(ask(house.data, "OPTIONS *", "Max-Forwards: 0\r\n")));
        assert_eq!((collector.spans(5 * batches).len(), collector.heads(batches).len()), (5 * batches, batches));
    }
}

#[test]
fn variables_say_who_sends_what_and_how() {
    let collector = Collector::new(&[]);
    let endpoint = format!("{}/in/spans?x=1", collector.endpoint());
    let env = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc,x-tenant = t1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_SERVICE_NAME", "front"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=not,a=1,a=2,telemetry.sdk.name=x,deployment.environment.name=te%73t"),
    ];
    let house = open("spans-env", &[], &collector, &env);
    ask(house.data, "OPTIONS *", "Max-Forwards: 0\r\n");
    let resource = collector.resource();
    let has = |key: &str, value: &str| resource.iter().filter(|(known, _)| known == key).map(|(_, value)| value).eq([value]);
    assert!(has("a", "2") && has("telemetry.sdk.name", "warmfront"), "{resource:?}");
    assert!(has("service.name", "front") && has("deployment.environment.name", "test"), "{resource:?}");
    let head = &collector.heads(1)[0];
    for line in ["POST /in/spans?x=1 HTTP/1.1", "authorization: Bearer abc", "x-tenant: t1", "content-type: application/x-protobuf"] {
        assert!(head.lines().any(|known| known == line), "{line} in {head}");
    }
}

#[test]
fn nothing_is_sent_unless_somebody_says_where_to() {
    let collector = Collector::new(&[]);
    for env in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "console,None"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")] {
        let house = open("spans-off", &[], &collector, &[env]);
        let metrics = ask(house.admin, "GET /metrics", "");
        assert!(metrics.contains("warmfront_log_events_total") && !metrics.contains("otel"), "{env:?}");
    }
}

#[test]
fn check_names_each_variable_that_is_wrong_with_its_fix_and_shows_no_secret() {
    let folder = Folder::new("spans-check");
    let check = |env: &[(&str, &str)]| {
        let here = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"), ("WARMFRONT_UPSTREAM__URLS", "http://127.0.0.1:9")];
        outcome(folder.path(), &["check"], &[&here, env].concat())
    };
    let sound = check(&[]);
    assert!(sound.code == Some(0) && sound.out.contains("spans     http://collector:4318/v1/traces"), "{sound:?}");
    for (name, value, found, fix) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "is no http:// or https:// URL", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@collector", "has a user's name in it", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a b", "is no URL", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "\"grpc\" is not supported", "write http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "\"http/json\" is not supported", "write http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,hunter2", "its second entry is no header field", "name=value"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "missing.pem", "missing.pem cannot be read", "in PEM"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "key.pem", "has no certificate", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
    ] {
        let checked = check(&[(name, value)]);
        assert_eq!(checked.code, Some(1), "{name}={value}");
        assert!(checked.err.contains(&format!("environment {name}: {found}")), "{name}={value}: {}", checked.err);
        assert!(checked.err.contains("fix: ") && checked.err.contains(fix) && !checked.err.contains("hunter2"), "{}", checked.err);
    }
    let wrong = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_TRACES_EXPORTER", "zipkin")];
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")] {
        let checked = check(&[&wrong[..], &[off]].concat());
        assert!(checked.code == Some(0) && !checked.out.contains("spans"), "{off:?}: {checked:?}");
        assert!(!checked.err.contains("OTEL"), "what is off cannot be wrong, {off:?}: {}", checked.err);
    }
}

#[test]
fn what_decides_less_than_whether_spans_arrive_is_ignored_with_a_warning() {
    let folder = Folder::new("spans-ignored");
    for (name, value, found, fix, sends) in [
        ("OTEL_TRACES_EXPORTER", "OTLP , console", "\"console\" is not supported, and ignored", "write otlp, or none", true),
        ("OTEL_TRACES_EXPORTER", "zipkin", "\"zipkin\" is not supported: no span is sent", "write otlp, or none", false),
        ("OTEL_SDK_DISABLED", "1", "\"1\" is neither true nor false, and counts as false", "write true", true),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "\"zstd\" is not supported, and ignored", "write gzip or none", true),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "\"10s\" is out of place: 10000 it is", "write milliseconds from 0 to 600000", true),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,,c", "its second entry has no name or no =: all are ignored", "key=value", true),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "\"-1\" is out of place: 5000 it is", "write milliseconds from 1 to 600000", true),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "\"0\" is out of place: 2048 it is", "write a number from 1 to 65536", true),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "\"4096\" is out of place: 512 it is", "write a number from 1 to 2048", true),
    ] {
        let here = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"), ("WARMFRONT_UPSTREAM__URLS", "http://127.0.0.1:9")];
        let checked = outcome(folder.path(), &["check"], &[&here[..], &[(name, value)]].concat());
        assert_eq!((checked.code, checked.out.contains("spans     http://collector")), (Some(0), sends), "{name}={value}: {checked:?}");
        assert!(checked.err.contains(&format!("environment {name}: {found}")), "{name}={value}: {}", checked.err);
        assert!(checked.err.contains("fix: ") && checked.err.contains(fix), "{}", checked.err);
    }
}

#[test]
fn a_collector_behind_tls_is_asked_if_it_is_the_right_one() {
    use rustls::crypto::aws_lc_rs::default_provider;
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions().unwrap();
    let identity = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], identity).unwrap());
    let collector = Collector::over(&[], move |stream| {
        Some(rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).ok()?, stream))
    });
    let (folder, api) = (Folder::new("spans-tls"), Api::new());
    folder.write("ca.pem", &certificate.pem());
    let (upstream, endpoint) = (format!("http://{}", api.address), format!("https://localhost:{}", collector.address.port()));
    let args = ["run", "--listen", "127.0.0.1:0", "--upstream", &upstream];
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"), SOON];
    let right = Running::start(folder.path(), &args, &env);
    ask(right.address(), "OPTIONS *", "Max-Forwards: 0\r\n");
    assert_eq!(collector.spans(1).len(), 1);
    let mut wrong = Running::start(folder.path(), &args, &[env[0], SOON]);
    ask(wrong.address(), "OPTIONS *", "Max-Forwards: 0\r\n");
    // The first attempt ends the process's patience: it is told of at the end.
    wrong.signal("TERM");
    assert_eq!(wrong.end(), Some(0));
    let errors = wrong.errors();
    assert!(errors.iter().any(|line| line.contains("warmfront::otel") && line.contains("certificate")), "{errors:?}");
    assert_eq!(collector.spans(1).len(), 1);
}
