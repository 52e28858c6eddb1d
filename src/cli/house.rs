//! The house put together: cache, warmer, sidecar and listeners from one configuration. `run` and `demo` open the same one.

use crate::RequestBody;
use crate::config::Config;
use crate::sidecar::settings::ListenAddr;
use crate::sidecar::{Drained, Sidecar};
use crate::warm::{Plan, UserWarmup, Warm, Warmer};
use crate::{Cache, CacheLayer};
use http::uri::Authority;
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
    warm: Warm,
}

impl House {
    /// Builds everything and binds the listeners. Inside a runtime only.
    pub(super) async fn open(config: Config) -> Result<Self, String> {
        let cache = Cache::builder().settings(config.cache).build();
        let sidecar = Sidecar::new(config.server, config.upstream);
        let service = CacheLayer::new(cache.clone()).layer(sidecar.upstream());
        let bound = sidecar.bind().await.map_err(|error| error.to_string())?;
        let addresses = bound.addresses();
        let mut plan = Plan::new(&cache).settings(config.warm);
        if let Some(host) = addresses.iter().find_map(host) {
            plan = plan.default_host(&host);
        }
        let guard = Warmer::new::<_, RequestBody, _>(service.clone(), plan).spawn().map_err(|fault| fault.to_string())?;
        let warm = guard.handle();
        let service = UserWarmup::new(service, warm.clone());
        let serve = Box::new(move |stop: Boxed<()>| {
            let stop = async move {
                stop.await;
                drop(guard); // what nobody waits for ends first
            };
            Box::pin(bound.run(service, stop)) as Boxed<Drained>
        });
        Ok(Self { knobs: Knobs { cache, sidecar, warm }, addresses, serve })
    }
}

/// The host that a reader on this machine names.
fn host(address: &ListenAddr) -> Option<Authority> {
    let ListenAddr::Tcp(address) = address else { return None };
    let mut address = *address;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address.to_string().parse().ok()
}

impl Knobs {
    pub(super) fn warm(&self) -> &Warm {
        &self.warm
    }

    /// Applies another configuration, and returns the keys whose new values need a restart. The cache keeps what it holds.
    pub(super) async fn apply(&self, config: Config) -> Result<Vec<&'static str>, String> {
        self.warm.configure(config.warm).await.map_err(|fault| fault.to_string())?;
        let mut restart = self.sidecar.reload(config.server, config.upstream);
        if !self.cache.reload(config.cache) {
            restart.push("cache.max_bytes");
        }
        Ok(restart)
    }
}

/// An address as it is written in the configuration.
pub(super) fn address(address: &ListenAddr) -> String {
    address.to_string()
}
