//! The house put together: cache, warmer, sidecar and listeners from one configuration. `run` and `demo` open the same one.

use super::traces::Traces;
use crate::RequestBody;
use crate::admin::{Admin, AdminSettings, Bound as BoundAdmin, Control, Rooms};
use crate::config::Config;
use crate::sidecar::settings::{ListenAddr, Origin};
use crate::sidecar::{Drained, Sidecar};
use crate::telemetry::log::{Logs, RequestLog};
use crate::warm::{Plan, Site, UserWarmup, Warm, Warmer};
use crate::{Cache, CacheLayer};
use http::uri::Scheme;
use http::{HeaderValue, Request};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer as _;
use tower_service::Service;

/// A future of its own.
pub(super) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What to do where the admin API cannot listen.
const ADMIN_FIX: &str = "fix: give it another address, with --admin 127.0.0.1:9181 or as admin.listen; port 0 takes any free one";

/// A house whose listeners are bound.
pub(super) struct House {
    /// What can be changed while it serves.
    pub(super) knobs: Knobs,
    /// Where it listens, with real ports.
    pub(super) addresses: Vec<ListenAddr>,
    /// Where the admin API listens, with the real port.
    pub(super) admin: SocketAddr,
    /// Serves until the future given to it is done, then drains.
    pub(super) serve: Box<dyn FnOnce(Boxed<()>) -> Boxed<Drained> + Send>,
}

/// What can be changed while the house serves.
pub(super) struct Knobs {
    cache: Cache,
    sidecar: Sidecar,
    warm: Warm,
    admin: Control,
    log: RequestLog,
    logs: Logs,
}

impl House {
    /// Builds everything and binds the listeners. Inside a runtime only. `logs` is what the admin API shows of events; `traces` takes the spans.
    pub(super) async fn open(config: Config, logs: Logs, traces: &Traces) -> Result<Self, String> {
        let log = RequestLog::new(&config.logs);
        traces.take_from(&log);
        let cache = Cache::builder().settings(config.cache).request_log(log.clone()).build();
        let sidecar = Sidecar::new(config.server, config.upstream);
        sidecar.log_to(&log);
        let service = CacheLayer::new(cache.clone()).layer(sidecar.upstream());
        let bound = sidecar.bind().await.map_err(|error| error.to_string())?;
        let addresses = bound.addresses();
        let mut plan = Plan::new(&cache).settings(config.warm);
        if let Some(host) = addresses.iter().find_map(site) {
            plan = plan.default_host(&host);
        }
        let guard = Warmer::new::<_, RequestBody, _>(AsReaders(service.clone()), plan).spawn().map_err(|fault| fault.to_string())?;
        let warm = guard.handle();
        let service = UserWarmup::new(service.with_thin_hits(), warm.clone());
        let rooms = Rooms { cache: cache.clone(), warm: warm.clone(), sidecar: sidecar.clone(), logs: logs.clone() };
        let admin = bind_admin(config.admin, &rooms)?;
        let (admin_address, control) = (admin.address(), admin.control());
        let admin = admin.start().map_err(|error| format!("cannot start the admin API: {error}"))?;
        let draining = control.clone();
        let serve = Box::new(move |stop: Boxed<()>| {
            let stop = async move {
                stop.await;
                draining.drain();
                drop(guard); // what nobody waits for ends first
            };
            Box::pin(async move {
                let drained = bound.run_thin(service, stop).await;
                admin.stop().await;
                drained
            }) as Boxed<Drained>
        });
        Ok(Self { knobs: Knobs { cache, sidecar, warm, admin: control, log, logs }, addresses, admin: admin_address, serve })
    }
}

/// The default address of the admin API gives way where it is taken, by another sidecar on this machine as a rule; one that was chosen does not.
fn bind_admin(settings: AdminSettings, rooms: &Rooms) -> Result<BoundAdmin, String> {
    let usual = settings.listen;
    let any = (!settings.chosen).then(|| AdminSettings { listen: SocketAddr::new(usual.ip(), 0), ..settings.clone() });
    match (Admin::new(settings, rooms.clone()).bind(), any) {
        (Ok(bound), _) => Ok(bound),
        (Err(error), Some(any)) if error.kind() == std::io::ErrorKind::AddrInUse => {
            super::report::note(&format!("{usual} is taken; the admin API takes a free port"));
            Admin::new(any, rooms.clone()).bind().map_err(|error| error.to_string())
        }
        (Err(error), _) => Err(format!("{error}\n  {ADMIN_FIX}")),
    }
}

/// Where a reader on this machine asks.
pub(super) fn site(listen: &ListenAddr) -> Option<Site> {
    let (ListenAddr::Tcp(address) | ListenAddr::Tls(address)) = listen else { return None };
    let (https, mut address) = (matches!(listen, ListenAddr::Tls(_)), *address);
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Some(Site::new(https, address.to_string().parse().ok()?))
}

/// What is warmed is asked for as its readers ask: the origin is told their scheme.
#[derive(Clone, Debug)]
struct AsReaders<S>(S);

impl<S: Service<Request<RequestBody>>> Service<Request<RequestBody>> for AsReaders<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> S::Future {
        let scheme = if request.uri().scheme() == Some(&Scheme::HTTPS) { "https" } else { "http" };
        request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static(scheme));
        self.0.call(request)
    }
}

impl Knobs {
    pub(super) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(super) fn warm(&self) -> &Warm {
        &self.warm
    }

    /// Applies another configuration, and returns the keys whose new values need a restart. The cache keeps what it holds; what was switched through
    /// the admin API is as the configuration says again.
    pub(super) async fn apply(&self, config: Config) -> Result<Vec<&'static str>, String> {
        self.admin.alone(self.apply_alone(config)).await
    }

    async fn apply_alone(&self, config: Config) -> Result<Vec<&'static str>, String> {
        Sidecar::try_certificate(&config.server)?;
        self.warm.configure(config.warm).await.map_err(|fault| fault.to_string())?;
        let mut restart = self.logs.reload(&config.logs).map_err(|error| error.to_string())?;
        self.log.reload(&config.logs);
        restart.extend(self.sidecar.reload(config.server, config.upstream));
        if !self.cache.reload(config.cache) {
            restart.push("cache.max_bytes");
        }
        restart.extend(self.admin.reload(config.admin));
        Ok(restart)
    }
}

/// The origins on one line, as `http://a and http://b`.
pub(super) fn names(origins: &[Origin]) -> String {
    origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// An address as it is written in the configuration.
pub(super) fn address(address: &ListenAddr) -> String {
    address.to_string()
}
