//! A stand-in for the cache and the sidecar until they are built: it forwards, caches nothing, and has their names and shapes. To be removed.

use crate::cache::settings::Settings;
use crate::sidecar::settings::{ListenAddr, ServerSettings, UpstreamSettings};
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

#[derive(Clone)]
pub(super) struct Cache {
    max_bytes: u64,
}

pub(super) struct Builder(Settings);

impl Cache {
    pub(super) fn builder() -> Builder {
        Builder(Settings::default())
    }

    pub(super) fn reload(&self, settings: Settings) -> bool {
        settings.max_bytes == self.max_bytes
    }
}

impl Builder {
    pub(super) fn settings(self, settings: Settings) -> Self {
        Self(settings)
    }

    pub(super) fn build(self) -> Cache {
        Cache { max_bytes: self.0.max_bytes }
    }
}

pub(super) struct CacheLayer;

impl CacheLayer {
    pub(super) fn new(_: Cache) -> Self {
        Self
    }
}

impl<S> tower_layer::Layer<S> for CacheLayer {
    type Service = S;

    fn layer(&self, inner: S) -> S {
        inner
    }
}

#[derive(Clone)]
pub(super) struct Sidecar {
    server: ServerSettings,
    upstream: Arc<Mutex<UpstreamSettings>>,
}

#[derive(Clone)]
pub(super) struct Upstream {
    client: Client<HttpConnector, Incoming>,
    settings: Arc<Mutex<UpstreamSettings>>,
}

pub(super) struct Bound(Vec<TcpListener>);

pub(super) struct Drained {
    pub(super) finished: bool,
    pub(super) open: usize,
}

impl Sidecar {
    pub(super) fn new(server: ServerSettings, upstream: UpstreamSettings) -> Self {
        Self { server, upstream: Arc::new(Mutex::new(upstream)) }
    }

    pub(super) fn upstream(&self) -> Upstream {
        Upstream { client: Client::builder(TokioExecutor::new()).build_http(), settings: Arc::clone(&self.upstream) }
    }

    pub(super) async fn bind(&self) -> io::Result<Bound> {
        let mut listeners = Vec::new();
        for address in &self.server.listen {
            if let ListenAddr::Tcp(address) = address {
                let bound = TcpListener::bind(address).await;
                listeners.push(bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?);
            }
        }
        Ok(Bound(listeners))
    }

    pub(super) fn reload(&self, server: ServerSettings, upstream: UpstreamSettings) -> Vec<&'static str> {
        if let Ok(mut settings) = self.upstream.lock() {
            *settings = upstream;
        }
        if server.listen == self.server.listen { Vec::new() } else { vec!["server.listen"] }
    }
}

impl Upstream {
    async fn forward(
        self,
        mut request: Request<Incoming>,
    ) -> Result<Response<BoxBody<Bytes, hyper::Error>>, hyper_util::client::legacy::Error> {
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = self.settings.lock().ok().map(|settings| settings.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        self.client.request(request).await.map(|response| response.map(BodyExt::boxed))
    }
}

impl Bound {
    pub(super) fn addresses(&self) -> Vec<ListenAddr> {
        self.0.iter().filter_map(|listener| listener.local_addr().ok()).map(ListenAddr::Tcp).collect()
    }

    pub(super) async fn run(self, service: Upstream, stop: impl Future<Output = ()>) -> Drained {
        let mut tasks = Vec::new();
        for listener in self.0 {
            let service = service.clone();
            tasks.push(tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let service = service.clone();
                    let connection = service_fn(move |request| service.clone().forward(request));
                    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), connection));
                }
            }));
        }
        stop.await;
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        Drained { finished: true, open: 0 }
    }
}
