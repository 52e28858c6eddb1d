//! The public face: a tower Layer and a handle to its cache.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt as _, Full};
//! use tower::{Layer as _, ServiceExt as _, service_fn};
//! use warmfront::{Cache, CacheLayer, clock::Clock};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let app = service_fn(|_: Request<Full<Bytes>>| async {
//!     let response = Response::builder().header("cache-control", "max-age=60");
//!     Ok::<_, std::convert::Infallible>(response.body(Full::new(Bytes::from("hello"))).unwrap())
//! });
//! let cache = Cache::builder().clock(Clock::manual(1_700_000_000)).build(); // time stands still, for the sake of the last lines
//! let service = CacheLayer::new(cache.clone()).layer(app);
//! for outcome in ["warmfront; fwd=uri-miss; stored", "warmfront; hit; ttl=60"] {
//!     let request = Request::get("http://example.com/").body(Full::default()).unwrap();
//!     let response = service.clone().oneshot(request).await.unwrap();
//!     assert_eq!(response.headers()["cache-status"], outcome);
//!     assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
//! }
//! assert_eq!((cache.stats().hits, cache.stats().misses), (1, 1));
//! # }
//! ```

mod explain;
mod future;
mod handle;
mod keys;
#[expect(clippy::module_inception, reason = "tower's own layout: layer, service, future")]
mod layer;
mod probe;
mod service;

pub use crate::flow::body::CacheBody;
pub use explain::Explanation;
pub use future::ResponseFuture;
pub use handle::{Cache, CacheBuilder, Lookup, Stats};
pub use keys::{KeyCursor, KeyEntry, KeyPage, KeySort, MOST_KEYS, NoCursor};
pub use layer::CacheLayer;
pub use service::CacheService;
