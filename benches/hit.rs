//! What a hit costs in process, next to the same service without a layer.
//!
//!     cargo bench --bench hit --no-default-features

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use std::convert::Infallible;
use std::hint::black_box;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use warmfront::{Cache, CacheLayer, RequestBody};

fn request() -> Request<RequestBody> {
    let request = Request::get("http://example.com/api/schools/primary?page=1&pageSize=20");
    let request = request.header("user-agent", "wrk").header("accept", "application/json").header("accept-encoding", "gzip");
    request.body(RequestBody::default()).expect("a request")
}

async fn app(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    static BODY: [u8; 1024] = [b'a'; 1024];
    let response = Response::builder().header("content-type", "application/json").header("cache-control", "max-age=3600");
    let response = response.header("etag", "\"6500-400\"").header("vary", "accept-encoding");
    Ok(response.body(Full::new(Bytes::from_static(&BODY))).expect("a response"))
}

fn bench<S, B>(criterion: &mut Criterion, name: &str, service: S)
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let ask = || {
        let service = service.clone();
        async move {
            let response = service.oneshot(request()).await.expect("an answer");
            response.into_body().collect().await.expect("a body").to_bytes()
        }
    };
    runtime.block_on(async {
        ask().await; // the fill
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    });
    criterion.bench_function(name, |bencher| bencher.iter(|| runtime.block_on(async { black_box(ask().await) })));
}

fn hit(criterion: &mut Criterion) {
    bench(criterion, "no layer", service_fn(app));
    bench(criterion, "hit, 1 KiB, Vary", CacheLayer::new(Cache::new()).layer(service_fn(app)));
}

criterion_group!(benches, hit);
criterion_main!(benches);
