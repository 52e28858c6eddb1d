//! An axum application with a cache around its routes: `cargo run --example axum`.

use axum::{Router, extract::Path, http::header::CACHE_CONTROL, routing::get};
use std::time::{Duration, Instant};
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpListener, net::TcpStream};
use warmfront::{Cache, CacheLayer};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A slow handler. Without the Cache-Control nothing would be cached.
async fn square(Path(n): Path<u64>) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    tokio::time::sleep(Duration::from_millis(200)).await;
    ([(CACHE_CONTROL, "max-age=60")], format!("{n} squared is {}", n.saturating_mul(n)))
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Error> {
    // The three lines: a cache, a layer, and afterwards whatever the handle can tell.
    let cache = Cache::new();
    let app = Router::new().route("/square/{n}", get(square)).layer(CacheLayer::new(cache.clone()));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    for target in ["/square/12", "/square/12", "/square/13"] {
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
