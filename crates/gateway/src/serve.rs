//! Building a gateway and running it: config → data folder → ports → parts → serve → drain.

pub(crate) mod admin_key;
pub(crate) mod assemble;
pub(crate) mod banner;
pub(crate) mod bootstrap;
pub mod data_folder;
mod explain;
mod file_rights;
mod policies;
pub(crate) mod reload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use console::Console;
use forward::{DailyLimits, Forwarder};
use sandbox::{Sandbox, SandboxConfig};
use secrecy::SecretString;
use server::signals::{ReloadSignal, StopSignal};
use server::{Shutdown, Workers, fd_limit, tls};
use settings::{ConfigSource, Sources};
use store::{Journal, SecretHasher, Store, StoreError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use url::Url;

use crate::config::Config;
use crate::request::record::log_counts;
use crate::router::Dispatcher;
use crate::serve::assemble::{SandboxUpstream, upstream_config};
use crate::serve::data_folder::{DataFolder, random, random_text};
use crate::state::current::{Loaded, ProcessContext, Runtime};
use crate::state::snapshot::{Snapshot, SnapshotParts};
use crate::telemetry::{self, Metrics};
use crate::tokens::{Tokens, TokensConfig};

/// Bytes of the keys that hash secrets.
pub(crate) const HASH_KEY_BYTES: usize = 32;

/// How often counts are swept and stale keys of issuers fetched.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(10);

/// What operators' requests may take at the end, however little of the drain deadline is left.
const OPERATORS_GRACE: Duration = Duration::from_secs(1);

/// Every so many rounds of housekeeping, ten minutes, rows that are too old are cleared: a row that tells of it each time
/// must not crowd the journal. Room is looked after in every round.
const ROUNDS_BETWEEN_CLEARINGS: u64 = 60;

/// Runs a gateway until it is told to stop.
///
/// # Errors
/// One line that says what is missing.
pub async fn serve(source: ConfigSource, sources: Sources, config: Config) -> Result<(), String> {
    let log_level = telemetry::start_log(&config.log)?;
    fd_limit::raise();
    let data = DataFolder::new(&config.data);
    data.make()?;
    let _lock = data.lock()?;
    let store = Store::open(&data.store()).await;
    let store = Arc::new(store.map_err(|error| error.to_string())?);
    let public = bind("server.listen", config.listen)?;
    let admin = bind("server.admin_listen", config.admin_listen)?;
    let (address, admin_address) = (local(&public)?, local(&admin)?);
    let policies = policies::from_config(&config)?;

    let make_key = || random(HASH_KEY_BYTES).map_err(StoreError::new);
    let key = store.key("secrets", Snapshot::now(), make_key).await;
    let hasher = Arc::new(SecretHasher::new(&key.map_err(|error| error.to_string())?));
    bootstrap::know_first_operator(&store, &hasher, &data).await?;
    let demo = bootstrap::first_start(&store, &hasher, &config, &data).await?;
    let (running, sandbox) = start_sandbox(&config, &data).await?.unzip();
    let file = source.file.clone();
    let process = ProcessContext {
        config_source: source,
        address,
        sandbox,
        log_level,
    };
    let journal = Journal::start(&store).await;
    let journal = journal.map_err(|error| error.to_string())?;
    let snapshot = first_snapshot(&config, &process, (&store, &hasher)).await?;

    let signals = (StopSignal::listen()?, ReloadSignal::listen()?);
    banner::print(&banner::Greeting {
        config: &config,
        addresses: (address, admin_address),
        sandbox: running.as_ref().map(Sandbox::url),
        demo: demo.as_ref(),
    });
    let loaded = Loaded {
        tried: Some(sources.file.clone()),
        sources,
        config: Arc::new(config),
    };
    let runtime = Arc::new(Runtime::new(snapshot, policies, process, loaded));
    let operators = Arc::<Runtime>::clone(&runtime);
    let (admin_router, looking) = Console::new(operators, Arc::clone(&store), hasher).open();
    let looking = tokio::spawn(looking);
    let served = [
        (public, Dispatcher::Public(Arc::clone(&runtime))),
        (admin, Dispatcher::Operators(admin_router)),
    ];
    let served = run(&runtime, served, signals, file).await;
    looking.abort();
    let _ = looking.await;
    served?;
    if let Some(sandbox) = running {
        sandbox.stop().await;
    }
    let snapshot = runtime.snapshot();
    if let Err(error) = snapshot.forwarder.close().await {
        tracing::warn!(%error, "calls set aside of limits per day are lost");
    }
    snapshot.save_uses().await;
    journal.stop().await;
    store.close().await;
    Ok(())
}

/// Serves both listeners until a signal comes, then drains: the ways in first, the operators' side last, so that they can
/// watch.
async fn run(
    runtime: &Arc<Runtime>,
    [(public, ways_in), (admin, console)]: [(TcpListener, Dispatcher); 2],
    (mut stop_signal, reload_signal): (StopSignal, ReloadSignal),
    file: Option<PathBuf>,
) -> Result<(), String> {
    let (stop, stopped) = Shutdown::channel();
    let (stop_admin, admin_stopped) = Shutdown::channel();
    let mut beside = JoinSet::new();
    let served = runtime.policies.clone();
    beside.spawn(tls::keep_fresh(move || {
        let policies = served.iter().map(|policy| policy.load());
        policies.filter_map(|policy| policy.tls.clone()).collect()
    }));
    beside.spawn(keep_house(Arc::clone(runtime)));
    beside.spawn(reload::on_signal(Arc::clone(runtime), reload_signal));
    if let Some(file) = file {
        beside.spawn(reload::on_change(Arc::clone(runtime), file));
    }
    let [policy, admin_policy] = runtime.policies.clone();
    let workers = Workers::start(forward::workers(), begin_worker, telemetry::write_lines);
    let workers = workers.map_err(|error| format!("no threads to serve with: {error}"))?;
    let workers = Arc::new(workers);
    let workers_of_public = Some(Arc::clone(&workers));
    let admin = server::serve(admin, console, admin_policy, None, admin_stopped);
    let admin = tokio::spawn(admin);
    let public = tokio::spawn(server::serve(
        public,
        ways_in,
        policy,
        workers_of_public,
        stopped,
    ));
    stop_signal.wait().await;
    tracing::info!("draining");
    runtime.drain();
    let snapshot = runtime.snapshot();
    let deadline = Instant::now() + snapshot.limits.drain_timeout;
    stop.send_replace(Some(deadline));
    let drained = public.await;
    snapshot.under_way.close();
    // Callers who are gone don't hold connections open, and their sends count no less.
    if timeout_at(deadline, snapshot.under_way.wait())
        .await
        .is_err()
    {
        tracing::warn!("calls were still under way at the drain deadline");
    }
    stop_admin.send_replace(Some(deadline.max(Instant::now() + OPERATORS_GRACE)));
    let admin_drained = admin.await;
    beside.shutdown().await;
    // The listener has given its own back. Nothing of a caller's is left there.
    if let Ok(workers) = Arc::try_unwrap(workers) {
        let _ = tokio::task::spawn_blocking(|| workers.stop()).await;
    }
    // All calls are over, and so is the minute.
    log_counts(snapshot.store.journal(), i64::MAX);
    drained
        .and(admin_drained)
        .map_err(|error| format!("a listener broke: {error}"))
}

/// What a thread that serves does first.
fn begin_worker(number: usize) {
    forward::enter_worker(number);
    telemetry::gather_lines();
}

/// What has to be done every few seconds. A slow issuer or disk holds up nobody but itself.
async fn keep_house(runtime: Arc<Runtime>) {
    let mut interval = tokio::time::interval(HOUSEKEEPING_INTERVAL);
    let (mut refreshing, mut clearing) = (JoinSet::new(), JoinSet::new());
    for round in 0_u64.. {
        interval.tick().await;
        let snapshot = runtime.snapshot();
        snapshot.store.journal().save_counts();
        log_counts(snapshot.store.journal(), Snapshot::now_ms());
        snapshot.forwarder.sweep();
        snapshot.save_uses().await;
        runtime.forget_keys().await;
        if refreshing.try_join_next().is_some() || refreshing.is_empty() {
            let snapshot = Arc::clone(&snapshot);
            refreshing.spawn(async move {
                snapshot.forwarder.try_next_account().await;
                snapshot.tokens.refresh(Snapshot::now()).await;
            });
        }
        if clearing.try_join_next().is_some() || clearing.is_empty() {
            clearing.spawn(clear_journal(
                snapshot,
                round % ROUNDS_BETWEEN_CLEARINGS == 0,
            ));
        }
    }
}

/// Takes away what journal and receipts may not keep.
async fn clear_journal(snapshot: Arc<Snapshot>, also_by_age: bool) {
    let (store, now_ms) = (&snapshot.store, Snapshot::now_ms());
    let mut cleared = store.clear_surplus(now_ms, &snapshot.retention).await;
    if also_by_age && cleared.is_ok() {
        cleared = store.clear_old(now_ms, &snapshot.retention).await;
        let receipts_since = Snapshot::now().saturating_sub(snapshot.receipts_kept_s);
        cleared = cleared.and(store.clear_receipts(receipts_since).await);
    }
    if let Err(error) = cleared {
        tracing::warn!(%error, "the journal could not be cleared");
    }
    if let Err(error) = store.scrub().await {
        tracing::warn!(%error, "what was deleted could not be overwritten yet");
    }
}

/// The snapshot of the configuration that the process starts with.
async fn first_snapshot(
    config: &Config,
    process: &ProcessContext,
    (store, hasher): (&Arc<Store>, &Arc<SecretHasher>),
) -> Result<Snapshot, String> {
    config.warn_of_exposed_secrets();
    let public_url = config.callers_url(process.address);
    let upstream = upstream_config(config, process.sandbox.as_ref())?;
    let process_key = random(HASH_KEY_BYTES)?;
    let tokens = TokensConfig::new(config, &public_url)?;
    let daily = DailyLimits::open(Arc::clone(store), Box::new(Snapshot::now)).await;
    let daily = Arc::new(daily.map_err(|error| error.to_string())?);
    let parts = SnapshotParts {
        metrics: Arc::new(Metrics::new(store.journal())),
        forwarder: Forwarder::new(upstream, Arc::clone(hasher), &process_key, daily)?,
        tokens: Arc::new(Tokens::open(tokens, store, Snapshot::now()).await?),
        store: Arc::clone(store),
        under_way: TaskTracker::new(),
        public_url,
    };
    Ok(Snapshot::new(1, config, parts))
}

/// The embedded upstream, unless another one is configured.
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
        user: SandboxUpstream::user(),
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
