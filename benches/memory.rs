//! What stored responses cost in memory, next to what the cache counts for them.
//!
//!     cargo bench --bench memory
//!
//! Prints, for several body sizes, the growth of the resident set per entry beside the weight per entry that counts towards `max_bytes`. The
//! weights in `cache/entry` are set so that the count is never below the truth.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use std::convert::Infallible;
use tower::{Layer as _, ServiceExt as _, service_fn};
use warmfront::{Cache, CacheLayer, RequestBody};

const ENTRIES: usize = 50_000;

/// The resident set of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib << 10
}

async fn fill(cache: &Cache, size: usize) {
    let app = service_fn(move |_: Request<RequestBody>| async move {
        let response = Response::builder().header("content-type", "application/json").header("cache-control", "max-age=3600");
        let response = response.header("etag", "\"6500-400\"").header("x-request-id", "0123456789abcdef");
        Ok::<_, Infallible>(response.body(Full::new(Bytes::from(vec![b'a'; size]))).expect("a response"))
    });
    let service = CacheLayer::new(cache.clone()).layer(app);
    for n in 0..ENTRIES {
        let request =
            Request::get(format!("http://example.com/api/items/{n:08}?size={size}")).body(RequestBody::default()).expect("a request");
        let response = service.clone().oneshot(request).await.expect("an answer");
        response.into_body().collect().await.expect("a body");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{ENTRIES} entries each; bytes per entry");
    println!("{:>10}{:>12}{:>12}{:>12}{:>18}", "body", "resident", "counted", "ratio", "beyond the body");
    for size in [0, 100, 1024, 10_240] {
        let before = resident();
        let cache = Cache::builder().max_bytes(4 << 30).build();
        fill(&cache, size).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let stats = cache.stats();
        assert_eq!(stats.entries, ENTRIES as u64);
        let (real, counted) = ((resident() - before) / ENTRIES as u64, stats.bytes / ENTRIES as u64);
        println!("{size:>10}{real:>12}{counted:>12}{:>12.2}{:>18}", counted as f64 / real as f64, real.saturating_sub(size as u64));
        std::mem::forget(cache); // so that the next size starts from fresh memory
    }
}
