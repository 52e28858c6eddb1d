//! The house put together: cache, sidecar and listeners from one configuration. `run` and `demo` open the same one.

use crate::config::Config;
use crate::sidecar::settings::ListenAddr;
use crate::sidecar::{Drained, Sidecar};
use crate::{Cache, CacheLayer};
use std::pin::Pin;
use tower_layer::Layer as _;

/// A future of its own.
pub(super) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A house whose listeners are bound.
pub(super) struct House {
    /// What can be changed while it serves.
    pub(super) knobs: Knobs,
    /// Where it listens, with real ports.
    pub(super) addresses: Vec<ListenAddr>,
    /// Serves until the future given to it is done, then drains.
    pub(super) serve: Box<dyn FnOnce(Boxed<()>) -> Boxed<Drained> + Send>,
}

/// What can be changed while the house serves.
pub(super) struct Knobs {
    cache: Cache,
    sidecar: Sidecar,
}

impl House {
    /// Builds everything and binds the listeners. Inside a runtime only.
    pub(super) async fn open(config: Config) -> Result<Self, String> {
        let cache = Cache::builder().settings(config.cache).build();
        let sidecar = Sidecar::new(config.server, config.upstream);
        let service = CacheLayer::new(cache.clone()).layer(sidecar.upstream());
        let bound = sidecar.bind().await.map_err(|error| error.to_string())?;
        let addresses = bound.addresses();
        let serve = Box::new(move |stop| Box::pin(bound.run(service, stop)) as Boxed<Drained>);
        Ok(Self { knobs: Knobs { cache, sidecar }, addresses, serve })
    }
}

impl Knobs {
    /// Applies another configuration, and returns the keys whose new values need a restart. The cache keeps what it holds.
    pub(super) fn apply(&self, config: Config) -> Vec<&'static str> {
        let mut restart = self.sidecar.reload(config.server, config.upstream);
        if !self.cache.reload(config.cache) {
            restart.push("cache.max_bytes");
        }
        restart
    }
}

/// An address as it is written in the configuration.
pub(super) fn address(address: &ListenAddr) -> String {
    match address {
        ListenAddr::Tcp(address) => address.to_string(),
        ListenAddr::Unix(path) => format!("unix:{}", path.display()),
    }
}
