//! What the pieces of a hit, a fill and a plan take, by the clock. Each alone is less than in a hit: all that it needs is in the cache of the core.
//!
//!     cargo bench --bench pieces --features bench
//!     cargo bench --bench pieces --features bench -- judge

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, Service as _, service_fn};
use warmfront::bench::Pieces;
use warmfront::warm::{Combo, Group};
use warmfront::{Cache, CacheLayer, RequestBody, Rule};

/// That of the `warmfront` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Items of the plan that is drawn.
const ITEMS: usize = 2000;

async fn app(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    static BODY: [u8; 1024] = [b'a'; 1024];
    let response = Response::builder().header("content-type", "application/json").header("cache-control", "max-age=3600");
    let response = response.header("etag", "\"6500-400\"").header("vary", "accept-encoding");
    Ok(response.body(Full::new(Bytes::from_static(&BODY))).expect("a response"))
}

fn request<B: Default>(path: &str) -> Request<B> {
    let request = Request::get(path).header("host", "example.com").header("user-agent", "wrk");
    request.header("accept", "application/json").header("accept-encoding", "gzip").body(B::default()).expect("a request")
}

/// A cache with rules, of which the last one matches.
fn cache() -> Cache {
    let rule = |path: &str| Rule::path(path).expect("a pattern");
    Cache::builder().rule(rule("/api/me/**")).rule(rule("/v1/chat/**").pass()).rule(rule("/api/**").named("api")).build()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Asks for `path`, and reads the answer to its end.
async fn ask(cache: &Cache, path: &str) -> Bytes {
    let mut service = CacheLayer::new(cache.clone()).layer(service_fn(app));
    let response = service.call(request(path)).await.expect("an answer");
    response.into_body().collect().await.expect("a body").to_bytes()
}

const PATH: &str = "/api/schools/primary?page=1&pageSize=20";

fn lookup(criterion: &mut Criterion) {
    let (cache, runtime) = (cache(), runtime());
    runtime.block_on(async {
        ask(&cache, PATH).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    });
    let mut pieces = Pieces::new(&cache, request(PATH));
    criterion.bench_function("key", |bencher| bencher.iter(|| black_box(pieces.key())));
    let keyed = pieces.keyed();
    assert!(keyed.judge(), "a hit");
    criterion.bench_function("store.get", |bencher| bencher.iter(|| black_box(keyed.get())));
    criterion.bench_function("store.get, variant, judge", |bencher| bencher.iter(|| black_box(keyed.judge())));
    let mut service = CacheLayer::new(cache).layer(service_fn(app));
    criterion.bench_function("hit, Vary, the request given", |bencher| {
        bencher.iter_batched(
            || request(PATH),
            |request| runtime.block_on(service.call(request)).expect("an answer"),
            BatchSize::SmallInput,
        );
    });
}

fn fill(criterion: &mut Criterion) {
    let (cache, runtime) = (cache(), runtime());
    let mut next = 0_u64;
    criterion.bench_function("fill, 1 KiB, a new key each", |bencher| {
        bencher.iter(|| {
            next += 1;
            runtime.block_on(ask(&cache, &format!("/api/items/{next}")))
        });
    });
}

fn plan(criterion: &mut Criterion) {
    let combo = Combo::path("/api/schools").and_then(|combo| combo.query("page", 1..=ITEMS / 20)?.query("size", 1..=20)).expect("a combo");
    let mut group = Group::new("all").combo(combo).expect("a group");
    group.max_items = ITEMS;
    let mut benches = criterion.benchmark_group("plan");
    benches.throughput(Throughput::Elements(ITEMS as u64));
    benches.bench_function("expansion of 2,000 items", |bencher| {
        bencher
            .iter(|| group.expand(&[], |item| item.target.as_str().bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte) % 31)).count());
    });
    benches.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = lookup, fill, plan
}
criterion_main!(benches);
