//! `warmfront run`: the sidecar, from its configuration to its drained end.

use super::house::{House, Knobs, address, names};
use super::signals::{Request, Signals};
use super::traces::Traces;
use super::{Failure, args, report};
use crate::config::{Sources, load, units::show_duration, units::show_size};
use crate::sidecar::open_files;
use crate::telemetry::log::Logs;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// What is logged where nobody says: trouble, requests, warm runs, invalidations, who changed something through the admin API, and the few events
/// of a life.
const USUAL_LOG: &str =
    "warn,warmfront::request=info,warmfront::audit=info,warmfront::life=info,warmfront::warm=info,warmfront::invalidation=info";
/// The target of the events of a life: started, reloaded, draining, ended.
const LIFE: &str = "warmfront::life";
/// How long writing the last events may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) fn run(args: args::RunArgs) -> ExitCode {
    match start(args.sources()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.code();
            report::briefly(move || {
                failure.exit();
            });
            code
        }
    }
}

fn start(sources: Sources) -> Result<(), Failure> {
    let config = load(sources.clone())?;
    report::warnings(&config.warnings);
    open_files::raise();
    let logs = Logs::start(&config.logs).map_err(|error| Failure::Work(error.to_string()))?;
    listen(&logs);
    let traces = Traces::start(&config)?;
    let runtime = runtime(config.server.workers)?;
    let result = runtime.block_on(async {
        let signals = Signals::take().map_err(|error| Failure::Work(format!("cannot take signals: {error}")))?;
        let drain = config.server.drain_timeout;
        let behind = format!("upstream {}, cache {}", names(&config.upstream.origins), show_size(config.cache.max_bytes));
        let house = House::open(config, logs.clone(), &traces).await.map_err(Failure::Work)?;
        let addresses: Vec<String> = house.addresses.iter().map(address).collect();
        report::line(&format!(
            "warmfront {} listening on {}, admin http://{}, {behind}",
            env!("CARGO_PKG_VERSION"),
            addresses.join(" and "),
            house.admin
        ));
        tracing::info!(target: LIFE, version = env!("CARGO_PKG_VERSION"), listen = addresses.join(" "), admin = %house.admin, "started");
        serve(house, signals, drain, async |knobs: &Knobs| reload(knobs, sources.clone()).await).await
    });
    // What still blocks (a name being looked up) shall not keep the process.
    runtime.shutdown_background();
    traces.close();
    logs.close(LAST_WORDS);
    result
}

/// What is ready beyond the 256 tasks of a worker's own queue waits in a common one, of which tokio takes one for every sixty of its own: with five hundred busy
/// connections on a worker some waited fifty times as long as the others.
const COMMON_QUEUE_INTERVAL: u32 = 2;

/// A runtime with this many worker threads; 0 = one per core.
pub(super) fn runtime(workers: usize) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder
        .global_queue_interval(COMMON_QUEUE_INTERVAL)
        .thread_name("warmfront")
        .enable_all()
        .build()
        .map_err(|error| Failure::Work(format!("cannot start the runtime: {error}")))
}

/// Serves until a signal ends it. The first stop drains, the second ends at once. `drain` is how long draining may take; `reload` returns what it is from
/// then on.
pub(super) async fn serve(
    house: House,
    mut signals: Signals,
    mut drain: Duration,
    reload: impl AsyncFn(&Knobs) -> Option<Duration>,
) -> Result<(), Failure> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut stop = Some(stop);
    let mut serving = (house.serve)(Box::pin(async {
        // A sender that is gone says stop as well.
        let _ = stopped.await;
    }));
    loop {
        tokio::select! {
            drained = &mut serving => {
                tracing::info!(target: LIFE, cut = drained.open, "ended");
                if drained.finished {
                    return Ok(());
                }
                let found = format!("{} connections were cut off after server.drain_timeout = {}", drained.open, show_duration(drain));
                return Err(Failure::Work(found));
            }
            request = signals.next() => match request {
                Request::Reload if stop.is_some() => drain = reload(&house.knobs).await.unwrap_or(drain),
                Request::Reload => {}
                Request::Reopen => house.knobs.logs().reopen(),
                Request::Stop(name) => match stop.take() {
                    Some(stop) => {
                        tracing::info!(target: LIFE, signal = name, "draining");
                        let words = format!("{name}: finishing requests under way, at most {}; again to end at once", show_duration(drain));
                        report::briefly(move || report::note(&words));
                        let _ = stop.send(());
                    }
                    None => return Err(Failure::Work(format!("{name}: ended at once"))),
                },
            }
        }
    }
}

/// Reads the configuration again, and returns its `drain_timeout`. One with faults changes nothing.
async fn reload(knobs: &Knobs, sources: Sources) -> Option<Duration> {
    let config = match load(sources) {
        Ok(config) => config,
        Err(faults) => {
            tracing::warn!(target: LIFE, faults = faults.as_slice().len(), "reload refused");
            report::briefly(move || report::error(&format!("reload refused, nothing changed: {faults}")));
            return None;
        }
    };
    let drain = config.server.drain_timeout;
    let warnings = config.warnings.clone();
    report::briefly(move || report::warnings(&warnings));
    let source = config.source.as_ref().map_or_else(|| "the configuration (no file)".into(), |path| path.display().to_string());
    let restart = match knobs.apply(config).await {
        Ok(restart) => restart,
        Err(fault) => {
            tracing::warn!(target: LIFE, fault, "reload refused");
            report::briefly(move || report::error(&format!("reload refused, nothing changed: {fault}")));
            return None;
        }
    };
    tracing::info!(target: LIFE, source, restart = restart.join(" "), "reloaded");
    report::briefly(move || {
        report::note(&format!("reloaded {source}"));
        if !restart.is_empty() {
            report::note(&format!("unchanged until the next start: {}", restart.join(", ")));
        }
    });
    Some(drain)
}

/// Has the events that `WARMFRONT_LOG` lets through go to `logs`.
pub(super) fn listen(logs: &Logs) {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::{EnvFilter, util::SubscriberInitExt as _};
    let said = std::env::var("WARMFRONT_LOG").ok().filter(|said| !said.is_empty());
    let filter = EnvFilter::try_new(said.as_deref().unwrap_or(USUAL_LOG)).unwrap_or_else(|error| {
        report::note(&format!("WARMFRONT_LOG: {error}; logging what is usual"));
        EnvFilter::new(USUAL_LOG)
    });
    // A second subscriber is not possible here: this is the only place that sets one.
    let _ = tracing_subscriber::registry().with(filter).with(logs.layer()).try_init();
}
