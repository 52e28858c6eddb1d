//! A plain hyper server with a cache around its service: `cargo run --example hyper`.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use std::{convert::Infallible, time::Duration, time::Instant};
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpListener, net::TcpStream};
use tower::{Layer as _, Service as _, service_fn};
use warmfront::{Cache, CacheLayer, RequestBody};

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn slow(request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut response = Response::new(Full::from(format!("this is {}", request.uri())));
    response.headers_mut().insert("cache-control", http::HeaderValue::from_static("max-age=60"));
    Ok(response)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Error> {
    let cache = Cache::new();
    let cached = CacheLayer::new(cache.clone()).layer(service_fn(slow));
    // The cache asks questions of its own: it needs a request body that can be made from nothing, which hyper's cannot.
    let service = service_fn(move |request: Request<hyper::body::Incoming>| cached.clone().call(request.map(RequestBody::new)));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    for target in ["/a", "/a", "/b"] {
        let start = Instant::now();
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(format!("GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        println!("{target} took {} ms\n{answer}\n", start.elapsed().as_millis());
    }
    let stats = cache.stats();
    println!("{} hit, {} misses, {} bytes", stats.hits, stats.misses, stats.bytes);
    if (stats.hits, stats.misses) == (1, 2) { Ok(()) } else { Err("the second request should have been a hit".into()) }
}
