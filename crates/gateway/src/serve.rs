//! Assembles a gateway and runs it: configuration → data folder → store → ports → snapshot → serve → drain.

pub(crate) mod admin_key;
mod assemble;
mod banner;
pub(crate) mod bootstrap;
pub mod data_folder;
mod explain;
mod file_rights;
mod housekeeping;
mod jobs;
mod operators;
mod policies;
mod poll;
mod reload;
mod replicas;
mod scrape;
pub(crate) mod shared;
mod traces;

use std::fs::File;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::shared::{CountKeys, SharedCounts};
use axum::Router;
use client::system_lookup;
use console::Console;
use events::Events;
use futures_util::future::{BoxFuture, maybe_done};
use sandbox::{Sandbox, SandboxConfig};
use secrecy::SecretString;
use server::signals::{ReloadSignal, StopSignal};
use server::{Shutdown, ShutdownPhase, Workers, fd_limit, tls};
use settings::{ConfigSource, Sources};
use store::{Journal, SecretHasher, Store, sha256};
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;
use webhooks::{WebhookEnvironment, Webhooks};

use crate::config::Config;
use crate::request::record::log_counts;
use crate::router::PublicRouter;
use crate::serve::assemble::assemble;
use crate::serve::data_folder::{DataFolder, random_text};
use crate::state::current::{Loaded, ProcessContext, Runtime, SandboxUpstream};
use crate::state::snapshot::Snapshot;

/// Minimum time for operators' requests at the shutdown, even if less of the drain deadline remains.
const OPERATORS_GRACE: Duration = Duration::from_secs(1);

/// Maximum time for sending traces at the shutdown. An unreachable receiver must not delay it.
const TRACES_GRACE: Duration = Duration::from_secs(2);

/// Runs a gateway until a signal stops it. Boxed, so that all of its code is compiled in this crate: an `async fn` is compiled
/// again, with everything that it awaits, by each crate that awaits it.
///
/// # Errors
/// One line that states what is missing.
#[must_use]
pub fn serve(
    source: ConfigSource,
    sources: Sources,
    config: Config,
) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(serve_until_stopped(source, sources, config))
}

async fn serve_until_stopped(
    source: ConfigSource,
    sources: Sources,
    config: Config,
) -> Result<(), String> {
    let log_level = telemetry::start_log(&config.log)?;
    fd_limit::raise();
    let data = DataFolder::new(&config.data);
    let (store, _lock) = open_store(&config, &sources, &data).await?;
    let public = bind("server.listen", config.listen)?;
    let admin = bind("server.admin_listen", config.admin_listen)?;
    let (address, admin_address) = (local(&public)?, local(&admin)?);
    let policies = policies::from_config(&config, &[])?;

    let hasher = Arc::new(bootstrap::open_hasher(&store).await?);
    match &config.shared_store {
        Some(shared) => bootstrap::put_given_operator(&store, &hasher, &shared.admin_key).await?,
        None => bootstrap::ensure_first_operator(&store, &hasher, &data).await?,
    }
    let demo = bootstrap::first_start(&store, &hasher, &config, &data).await?;
    let (running, sandbox) = start_sandbox(&config, &data).await?.unzip();
    let events = open_events(&store, &config).await?;
    let process = ProcessContext {
        config_source: source,
        store: Arc::clone(&store),
        hasher: Arc::clone(&hasher),
        webhooks: open_webhooks(&store, &config, (&events, [address, admin_address]))?,
        events,
        counts: start_counts(&config, &hasher).await,
        address,
        sandbox,
        log_level,
    };
    let journal = Journal::start(&store).await;
    let journal = journal.map_err(|error| error.to_string())?;
    let snapshot = assemble(&config, &process, None).await?;

    let signals = (StopSignal::listen()?, ReloadSignal::listen()?);
    banner::print(&banner::Banner {
        config: &config,
        addresses: (address, admin_address),
        sandbox: running.as_ref().map(Sandbox::url),
        demo: demo.as_ref(),
    });
    let loaded = Loaded::new(&process.config_source, sources, config);
    let runtime = Arc::new(Runtime::new(snapshot, policies, process, loaded));
    let operators = Arc::<Runtime>::clone(&runtime);
    let (admin_router, refresh) = Console::new(operators, Arc::clone(&store), hasher).open();
    let refresh = tokio::spawn(refresh);
    let served = run(&runtime, public, (admin, admin_router), signals).await;
    refresh.abort();
    let _ = refresh.await;
    if let Some(sandbox) = running {
        sandbox.stop().await;
    }
    save(&runtime).await;
    journal.stop().await;
    store.close().await;
    served
}

async fn open_events(store: &Arc<Store>, config: &Config) -> Result<Arc<Events>, String> {
    let events = Events::open(store, config.events.clone()).await;
    events.map_err(|error| error.to_string())
}

/// Prepares the webhooks. Names are resolved by the system's resolver.
fn open_webhooks(
    store: &Arc<Store>,
    config: &Config,
    (events, own_listeners): (&Arc<Events>, [SocketAddr; 2]),
) -> Result<Arc<Webhooks>, String> {
    let environment = WebhookEnvironment {
        events: Arc::clone(events),
        own_listeners: own_listeners.to_vec(),
        lookup: system_lookup(),
        clock: Arc::new(Snapshot::now_ms),
    };
    Webhooks::new(Arc::clone(store), &config.webhooks, environment).map(Arc::new)
}

/// Starts to share counts if the configuration names a server for them.
async fn start_counts(config: &Config, hasher: &SecretHasher) -> Option<Arc<SharedCounts>> {
    let options = config.shared_counts.clone()?;
    let keys = CountKeys::new(&hasher.derived("shared counts"));
    Some(Arc::new(SharedCounts::start(options, keys).await))
}

/// Opens the store that the configuration names. For a store in a file, also locks its folder.
async fn open_store(
    config: &Config,
    sources: &Sources,
    data: &DataFolder,
) -> Result<(Arc<Store>, Option<[File; 2]>), String> {
    let (store, lock) = match &config.shared_store {
        Some(shared) => {
            let mut options = shared.options.clone();
            options.replica.config = sha256(sources.file.as_bytes()).to_vec();
            (Store::open_postgres(&options).await, None)
        }
        None => {
            data.make()?;
            let lock = data.lock()?;
            (Store::open(&data.store()).await, Some(lock))
        }
    };
    let store = store.map_err(|error| error.to_string())?;
    Ok((Arc::new(store), lock))
}

/// Saves the data that the forwarder and the store still hold in memory, and returns reserved shared counts.
async fn save(runtime: &Runtime) {
    let snapshot = runtime.snapshot();
    if let Err(error) = snapshot.forwarder.close().await {
        tracing::warn!(%error, "unused reservations of daily limits could not be returned and count as used");
    }
    snapshot.save_uses().await;
    if let Some(traces) = &snapshot.traces {
        traces.tracer.flush(TRACES_GRACE).await;
    }
    if let Some(counts) = &runtime.process.counts {
        counts.close().await;
    }
}

/// Serves both listeners until a signal arrives, then drains: the ways in first, the admin listener last, so that operators can
/// watch.
async fn run(
    runtime: &Arc<Runtime>,
    public: TcpListener,
    (admin, console): (TcpListener, Router),
    (mut stop_signal, reload_signal): (StopSignal, ReloadSignal),
) -> Result<(), String> {
    let (stop, stopped) = Shutdown::channel();
    let (stop_admin, admin_stopped) = Shutdown::channel();
    let mut background_tasks = start_background_tasks(runtime, reload_signal);
    let workers = Workers::start(forward::workers(), begin_worker, telemetry::write_lines);
    let workers = workers.map_err(|error| format!("threads can't be started: {error}"))?;
    let workers = Arc::new(workers);
    let workers_of_public = Some(Arc::clone(&workers));
    let mut admin = pin!(maybe_done(tokio::spawn(server::serve(
        admin,
        console,
        Arc::clone(&runtime.admin_policy),
        None,
        admin_stopped,
    ))));
    let mut public = pin!(maybe_done(tokio::spawn(server::serve(
        public,
        PublicRouter(Arc::clone(runtime)),
        Arc::clone(&runtime.public_policy),
        workers_of_public,
        stopped,
    ))));
    // A listener ends by itself only through a defect. The process must not live on without it.
    let has_failed = tokio::select! {
        () = stop_signal.wait() => false,
        () = &mut public => true,
        () = &mut admin => true,
    };
    if has_failed {
        tracing::error!("a listener has ended by itself: the gateway stops");
    }
    tracing::info!("draining");
    runtime.drain();
    // Readers of events are told immediately, so that their reconnects can spread over time.
    runtime.process.events.streams.end();
    let snapshot = runtime.snapshot();
    stop.send_replace(Some(ShutdownPhase::Announced));
    sleep(snapshot.limits.drain_delay).await;
    let deadline = Instant::now() + snapshot.limits.drain_timeout;
    stop.send_replace(Some(ShutdownPhase::Ending(deadline)));
    let store = &snapshot.store;
    tokio::join!(public.as_mut(), store.drain());
    snapshot.under_way.close();
    // Detached calls hold no connection open, but their sends still have to finish.
    if timeout_at(deadline, snapshot.under_way.wait())
        .await
        .is_err()
    {
        tracing::warn!("calls were still under way at the drain deadline");
    }
    store.leave().await;
    let deadline = deadline.max(Instant::now() + OPERATORS_GRACE);
    stop_admin.send_replace(Some(ShutdownPhase::Ending(deadline)));
    admin.as_mut().await;
    background_tasks.shutdown().await;
    // The listener has already dropped its clone, and no caller's work remains on the workers.
    if let Ok(workers) = Arc::try_unwrap(workers) {
        let _ = tokio::task::spawn_blocking(|| workers.stop()).await;
    }
    // All calls are over, so the counts of the current minute are complete.
    log_counts(snapshot.store.journal(), i64::MAX);
    result_of([public.take_output(), admin.take_output()], has_failed)
}

/// Returns the result of serving, after both listeners have ended.
fn result_of(ended: [Option<Result<(), JoinError>>; 2], has_failed: bool) -> Result<(), String> {
    let ended: Result<Vec<()>, JoinError> = ended.into_iter().flatten().collect();
    match ended {
        Err(error) => Err(format!("a listener failed: {error}")),
        Ok(_) if has_failed => Err("a listener has ended by itself".to_owned()),
        Ok(_) => Ok(()),
    }
}

/// Starts the jobs that run next to the requests until the shutdown.
fn start_background_tasks(runtime: &Arc<Runtime>, reload_signal: ReloadSignal) -> JoinSet<()> {
    let mut background_tasks = JoinSet::new();
    jobs::spawn(
        &mut background_tasks,
        ("certificates", runtime),
        |runtime| tls::keep_fresh(move || runtime.certificates().map(|(_, tls)| tls).collect()),
    );
    let keys = ("signing keys", runtime);
    jobs::spawn(&mut background_tasks, keys, replicas::follow_signing_keys);
    jobs::spawn(
        &mut background_tasks,
        ("housekeeping", runtime),
        housekeeping::run,
    );
    background_tasks.spawn(poll::make_events(Arc::clone(runtime)));
    background_tasks.spawn(reload::on_signal(Arc::clone(runtime), reload_signal));
    jobs::spawn(
        &mut background_tasks,
        ("configuration", runtime),
        reload::on_change,
    );
    background_tasks
}

/// Prepares a thread that serves connections.
fn begin_worker(number: usize) {
    forward::enter_worker(number);
    telemetry::gather_lines();
}

/// Starts the embedded sandbox, unless an upstream is configured.
async fn start_sandbox(
    config: &Config,
    data: &DataFolder,
) -> Result<Option<(Sandbox, SandboxUpstream)>, String> {
    if config.upstream.is_some() {
        return Ok(None);
    }
    let password = SecretString::from(random_text(24)?);
    let sandbox = Sandbox::start(SandboxConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data: Some(data.sandbox()),
        user: SandboxUpstream::USER.to_owned(),
        password: password.clone(),
        faults: Vec::new(),
        pages: true,
        control: true,
    })
    .await
    .map_err(|error| error.to_string())?;
    let url =
        Url::parse(&format!("{}/api/http/", sandbox.url())).map_err(|error| error.to_string())?;
    Ok(Some((sandbox, SandboxUpstream { url, password })))
}

fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, String> {
    server::bind(address).map_err(|error| {
        format!("{key}: {address} can't be listened on: {error}; set another address, or port 0")
    })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|error| error.to_string())
}
