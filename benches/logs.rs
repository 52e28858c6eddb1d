//! What telling of a request costs on its own thread, in CPU time: nobody listens, sampled out, kept.
//!
//!     cargo bench --bench logs

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use warmfront::telemetry::log::{LogSettings, Logs, RequestLog};
use warmfront::{Cache, CacheLayer, RequestBody};

async fn app(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    static BODY: [u8; 1024] = [b'a'; 1024];
    let response = Response::builder().header("content-type", "application/json").header("cache-control", "max-age=3600");
    Ok(response.body(Full::new(Bytes::from_static(&BODY))).expect("a response"))
}

/// How long this thread has run: what the writer's thread and other programs do is not in it.
fn on_cpu() -> Duration {
    std::thread::yield_now(); // the kernel adds up when it schedules
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number"))
}

/// Hits, told of as `rate` says.
fn hits(criterion: &mut Criterion, name: &str, rate: f64, traced: bool) {
    told_by(criterion, name, RequestLog::new(&LogSettings { sample_rate: rate, ..LogSettings::default() }), traced);
}

/// Hits, told of by `log`.
fn told_by(criterion: &mut Criterion, name: &str, log: RequestLog, traced: bool) {
    let service = CacheLayer::new(Cache::builder().request_log(log).build()).layer(service_fn(app));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let ask = || {
        let service = service.clone();
        let mut request = Request::get("http://example.com/api/schools/primary?page=1&pageSize=20").header("user-agent", "wrk");
        if traced {
            request = request.header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        }
        let request = request.body(RequestBody::default()).expect("a request");
        async move { service.oneshot(request).await.expect("an answer").into_body().collect().await.expect("a body").to_bytes() }
    };
    runtime.block_on(async {
        ask().await; // the fill
        tokio::time::sleep(Duration::from_millis(20)).await;
    });
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            let from = on_cpu();
            runtime.block_on(async {
                for _ in 0..rounds {
                    black_box(ask().await);
                }
            });
            on_cpu().saturating_sub(from)
        });
    });
}

/// Hits that are written and become spans: of a collector that takes them, and of one that never answers, so that there is no room.
#[cfg(feature = "otel")]
fn spans(criterion: &mut Criterion) {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use warmfront::sidecar::otlp::{Exporter, OtlpSettings};
    for (name, answers) in [("hit, kept, and a span", true), ("hit, kept, and no room for its span", false)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
                loop {
                    let head: Vec<String> = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                    let Some(length) = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()) else { break };
                    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).expect("a body");
                    if !answers {
                        std::thread::park();
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("a reader");
                }
            }
        });
        let read = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            "OTEL_BSP_MAX_QUEUE_SIZE" => Some("65536".to_owned()),
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" => Some("8192".to_owned()),
            _ => None,
        };
        let exporter = Exporter::start(OtlpSettings::from_env(read).expect("sound").0.expect("an endpoint")).expect("a thread");
        let log = RequestLog::new(&LogSettings::default());
        exporter.take_from(&log);
        told_by(criterion, name, log, false);
    }
}

fn logs(criterion: &mut Criterion) {
    hits(criterion, "hit, nobody listens", 1.0, false);
    hits(criterion, "hit with a traceparent, nobody listens", 1.0, true);
    let written = LogSettings { file: Some("/dev/null".into()), ..LogSettings::default() };
    let logs = Logs::start(&written).expect("a thread");
    let filter = tracing_subscriber::EnvFilter::new("warn,warmfront::request=info");
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(logs.layer())).expect("the only one");
    #[cfg(feature = "otel")]
    spans(criterion);
    hits(criterion, "hit, all sampled out", 0.0, false);
    hits(criterion, "hit, nearly all sampled out", 1e-9, false);
    hits(criterion, "hit with a traceparent, nearly all sampled out", 1e-9, true);
    hits(criterion, "hit, kept", 1.0, false);
    hits(criterion, "hit with a traceparent, kept", 1.0, true);
    println!("{:?}", logs.counts());
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = logs
}
criterion_main!(benches);
