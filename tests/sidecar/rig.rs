//! A sidecar with no cache in it, between a raw client and a raw origin.

use crate::client::Client;
use crate::origin::Origin;
use std::net::SocketAddr;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use warmfront::sidecar::settings::{BreakerSettings, ListenAddr, ServerSettings, Share, UpstreamSettings};
use warmfront::sidecar::{Drained, Sidecar};

pub struct Rig {
    pub address: SocketAddr,
    pub sidecar: Sidecar,
    pub stop: Option<oneshot::Sender<()>>,
    pub running: JoinHandle<Drained>,
}

/// Nothing is opened ahead: most tests count connections. No breaker: many let everything fail, and want it asked all the same.
pub fn settings(origin: SocketAddr) -> (ServerSettings, UpstreamSettings) {
    let server = ServerSettings { listen: vec![ListenAddr::Tcp("127.0.0.1:0".parse().unwrap())], ..ServerSettings::default() };
    let breaker = BreakerSettings { errors: Share::new(0.0), ..BreakerSettings::default() };
    (server, UpstreamSettings { preconnect: 0, breaker, ..UpstreamSettings::new(origin.to_string().parse().unwrap()) })
}

impl Rig {
    pub async fn before(origin: &Origin) -> Self {
        Self::with(origin.address, |_, _| {}).await
    }

    pub async fn with(origin: SocketAddr, adjust: impl FnOnce(&mut ServerSettings, &mut UpstreamSettings)) -> Self {
        let (mut server, mut upstream) = settings(origin);
        adjust(&mut server, &mut upstream);
        let sidecar = Sidecar::new(server, upstream);
        let bound = sidecar.bind().await.unwrap();
        let [ListenAddr::Tcp(address) | ListenAddr::Tls(address)] = bound.addresses()[..] else { panic!("one TCP address") };
        let (stop, stopped) = oneshot::channel::<()>();
        let service = sidecar.upstream();
        let running = tokio::spawn(async move {
            bound
                .run(service, async {
                    let _ = stopped.await;
                })
                .await
        });
        Self { address, sidecar, stop: Some(stop), running }
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Begins the shutdown.
    pub fn shut_down(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}
