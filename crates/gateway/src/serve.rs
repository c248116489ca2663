//! Building a gateway and running it: config → data folder → ports → parts → serve → drain.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use console::Console;
use forward::client::{self, ClientConfig};
use forward::{Checker, Forwarder, Guesses, RateLimits, Upstream, UpstreamAuth, UpstreamConfig};
use sandbox::{Sandbox, SandboxConfig};
use store::{SecretHasher, Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

use crate::accesses;
use crate::config::Config;
use crate::data_folder::{DataFolder, random, random_text};
use crate::gate::{Gate, Parts};
use crate::greeting;
use crate::listener::{self, DRAIN_DEADLINE, Terms};
use crate::routes;
use crate::shutdown::{ReloadSignal, StopSignal};
use crate::signing_keys::SigningKeys;
use crate::telemetry::{self, Metrics};
use crate::tls::{self, Tls, scheme};
use crate::tokens::Tokens;

/// Bytes of the keys that hash secrets.
const HASH_KEY_BYTES: usize = 32;

/// How often counts are swept and stale keys of issuers fetched.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(10);

/// Runs a gateway until it is told to stop.
///
/// # Errors
/// One line that says what is missing.
pub(crate) async fn serve(config: Config) -> Result<(), String> {
    telemetry::start_log(&config.log)?;
    let data = DataFolder::new(&config.data);
    data.make()?;
    let _lock = data.lock()?;
    let admin_key = data.read_or_make_admin_key()?;
    let store = Store::open(&data.store()).await;
    let store = Arc::new(store.map_err(|error| error.to_string())?);
    let public = bind("server.listen", config.listen)?;
    let admin = bind("server.admin_listen", config.admin_listen)?;
    let (address, admin_address) = (local(&public)?, local(&admin)?);
    let tls = config.tls.as_ref().map(Tls::open).transpose()?;
    let admin_tls = config.admin_tls.as_ref().map(Tls::open).transpose()?;

    let make_key = || random(HASH_KEY_BYTES).map_err(StoreError::new);
    let key = store.key("secrets", Gate::now(), make_key).await;
    let hasher = Arc::new(SecretHasher::new(&key.map_err(|error| error.to_string())?));
    accesses::know_first_operator(&store, &hasher, &admin_key).await?;
    let demo = accesses::fill_empty_store(&store, &hasher, &config, &data).await?;
    let (upstream, sandbox) = upstream(&config, &data).await?;
    let public_url = public_url(&config, address);
    let parts = parts(&config, (&store, &hasher), (upstream, public_url)).await?;
    let gate = Arc::new(Gate::new(&config, parts));

    let signals = (StopSignal::listen()?, ReloadSignal::listen()?);
    greeting::print(&greeting::Greeting {
        config: &config,
        addresses: (address, admin_address),
        sandbox: sandbox.as_ref().map(Sandbox::url),
        demo: demo.as_ref(),
    });
    let admin_router = Console::new(Arc::<Gate>::clone(&gate), store, hasher).router();
    let public = Served {
        listener: public,
        router: routes::router(&gate, config.ways.enabled),
        terms: Terms {
            proxy_protocol: config.proxy_protocol,
            ..Terms::new(&config, tls)
        },
    };
    let admin = Served {
        listener: admin,
        router: admin_router,
        terms: Terms::new(&config, admin_tls),
    };
    run(&gate, [public, admin], signals).await?;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    gate.store.close().await;
    Ok(())
}

/// One listener, with what it serves and how.
struct Served {
    listener: TcpListener,
    router: axum::Router,
    terms: Terms,
}

/// Serves both listeners until a signal comes, then drains: the ways in first, the operators' side last, so that they can
/// watch.
async fn run(
    gate: &Arc<Gate>,
    [public, admin]: [Served; 2],
    (mut stop_signal, reload_signal): (StopSignal, ReloadSignal),
) -> Result<(), String> {
    let (stop, stopped) = watch::channel(false);
    let (stop_admin, admin_stopped) = watch::channel(false);
    let kept = [&public, &admin].map(|served| served.terms.tls.clone());
    let certificates = tls::keep_fresh(kept.into_iter().flatten().collect(), reload_signal);
    let certificates = tokio::spawn(certificates);
    let housekeeping = tokio::spawn(keep_house(Arc::clone(gate)));
    let serve = |served: Served, stopped| {
        let Served {
            listener,
            router,
            terms,
        } = served;
        tokio::spawn(listener::serve(listener, router, terms, stopped))
    };
    let admin = serve(admin, admin_stopped);
    let public = serve(public, stopped);
    stop_signal.wait().await;
    tracing::info!("draining");
    gate.drain();
    stop.send_replace(true);
    let drained = public.await;
    gate.under_way.close();
    // Callers who are gone don't hold connections open, and their sends count no less.
    if tokio::time::timeout(DRAIN_DEADLINE, gate.under_way.wait())
        .await
        .is_err()
    {
        tracing::warn!("calls were still under way at the drain deadline");
    }
    stop_admin.send_replace(true);
    let admin_drained = admin.await;
    housekeeping.abort();
    certificates.abort();
    drained
        .and(admin_drained)
        .map_err(|error| format!("a listener broke: {error}"))
}

/// What has to be done every few seconds. A slow issuer holds up nobody but itself.
async fn keep_house(gate: Arc<Gate>) {
    let mut interval = tokio::time::interval(HOUSEKEEPING_INTERVAL);
    let mut refreshing = tokio::task::JoinSet::new();
    loop {
        interval.tick().await;
        gate.forwarder.sweep();
        gate.tokens.forget(&gate.store, Gate::now()).await;
        if refreshing.try_join_next().is_some() || refreshing.is_empty() {
            let gate = Arc::clone(&gate);
            refreshing.spawn(async move { gate.tokens.refresh(Gate::now()).await });
        }
    }
}

async fn parts(
    config: &Config,
    (store, hasher): (&Arc<Store>, &Arc<SecretHasher>),
    (upstream, public_url): (UpstreamConfig, String),
) -> Result<Parts, String> {
    let (algorithm, life_s) = (config.jwt.algorithm, config.jwt.token_life_s);
    let signing = SigningKeys::open(store, algorithm, life_s, Gate::now()).await?;
    let documents = client::build(&ClientConfig {
        roots: config.upstream_limits.roots.clone(),
        identity: None,
        connect_timeout: config.upstream_limits.connect_timeout,
        timeout: config.upstream_limits.timeout,
    })?;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let guesses = Guesses::new(config.limits.guesses, &random(HASH_KEY_BYTES)?);
    let checker = Checker::new(Arc::clone(hasher), &random(HASH_KEY_BYTES)?, cores, guesses);
    let limits = RateLimits::new(config.limits.per_address_per_minute);
    let way_out = (config.cache.clone(), Upstream::new(upstream)?);
    Ok(Parts {
        metrics: Arc::new(Metrics::default()),
        forwarder: Forwarder::new(config.networks.clone(), checker, limits, way_out),
        tokens: Arc::new(Tokens::new(
            &public_url,
            life_s,
            signing,
            (config.jwt.issuers.clone(), documents),
        )?),
        store: Arc::clone(store),
        public_url,
    })
}

/// The configured upstream, or the embedded sandbox, started here and spoken to over HTTP like any other.
async fn upstream(
    config: &Config,
    data: &DataFolder,
) -> Result<(UpstreamConfig, Option<Sandbox>), String> {
    if let Some(upstream) = &config.upstream {
        return Ok((upstream.clone(), None));
    }
    let password = secrecy::SecretString::from(random_text(24)?);
    let sandbox = Sandbox::start(SandboxConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data: Some(data.sandbox()),
        user: "chatgate".to_owned(),
        password: password.clone(),
        faults: Vec::new(),
    })
    .await
    .map_err(|error| error.to_string())?;
    let url =
        Url::parse(&format!("{}/api/http/", sandbox.url())).map_err(|error| error.to_string())?;
    let limits = &config.upstream_limits;
    let upstream = UpstreamConfig {
        url,
        user: "chatgate".to_owned(),
        password,
        auth: UpstreamAuth::Form,
        connect_timeout: limits.connect_timeout,
        timeout: limits.timeout,
        response_bytes: limits.response_bytes,
        roots: limits.roots.clone(),
    };
    Ok((upstream, Some(sandbox)))
}

/// What callers reach the gateway by, without the last slash. Never taken from a request.
fn public_url(config: &Config, address: SocketAddr) -> String {
    match &config.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("{}://{address}", scheme(config.tls.as_ref())),
    }
}

fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, String> {
    listener::bind(address)
        .map_err(|error| format!("{key}: {address} can't be listened on: {error}"))
}

fn local(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|error| error.to_string())
}
