//! The Layer.

use crate::layer::{Cache, CacheService};
use tower_layer::Layer;

/// Puts a cache around a service. Every service that one layer, or layers of one [`Cache`], wrap share what is stored: so does every route of an
/// axum `Router`, which calls [`layer`](Layer::layer) once per route.
#[derive(Clone, Debug)]
pub struct CacheLayer {
    cache: Cache,
}

impl CacheLayer {
    /// A layer over `cache`.
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Self { cache }
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService::new(inner, self.cache.clone())
    }
}
