//! A cache around any tower service, no server needed: `cargo run --example service_fn`.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CACHE_CONTROL};
use http_body_util::{BodyExt as _, Full};
use std::{convert::Infallible, time::Duration, time::Instant};
use tower::{Layer as _, ServiceExt as _, service_fn};
use warmfront::{Cache, CacheLayer, Level};

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn slow(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut response = Response::new(Full::from(format!("this is {}", request.uri().path())));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    Ok(response)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Error> {
    let cache = Cache::new();
    let service = CacheLayer::new(cache.clone()).layer(service_fn(slow));

    for round in ["first", "again", "after a purge"] {
        if round == "after a purge" {
            cache.invalidate(&"http://example.com/a".parse()?, Level::Dead);
        }
        let start = Instant::now();
        let response = service.clone().oneshot(Request::get("http://example.com/a").body(Full::default())?).await?;
        let (parts, body) = response.into_parts();
        println!("{round}: {:?} in {} ms", body.collect().await?.to_bytes(), start.elapsed().as_millis());
        for name in ["age", "cache-status"] {
            println!("  {name}: {:?}", parts.headers.get(name));
        }
    }
    let stats = cache.stats();
    println!("{} hit, {} misses, {} bytes", stats.hits, stats.misses, stats.bytes);
    if (stats.hits, stats.misses) == (1, 2) { Ok(()) } else { Err("the second request should have been a hit".into()) }
}
