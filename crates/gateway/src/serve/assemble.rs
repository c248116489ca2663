//! Makes a snapshot from a configuration, at the start and at each reload.

use std::sync::Arc;

use forward::{
    CallObserver, DailyLimits, ForwardConfig, Forwarder, UpstreamAccount, UpstreamAuth,
    UpstreamConfig,
};
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::serve::data_folder::random_key;
use crate::serve::traces;
use crate::state::current::{ProcessContext, SandboxUpstream};
use crate::state::snapshot::{Snapshot, SnapshotParts};
use crate::tokens::{Tokens, TokensConfig};

/// Makes the snapshot of a configuration. It shares counts, cached reads and verified secrets with the previous snapshot, as far as
/// the settings that they depend on are unchanged.
///
/// # Errors
/// One line that states what failed. Then nothing has changed.
pub(super) async fn assemble(
    config: &Config,
    process: &ProcessContext,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, String> {
    config.warn_of_exposed_secrets();
    let store = &process.store;
    let now = Snapshot::now() + store.clock_ahead_s();
    let public_url = config.callers_url(process.address);
    let forward_config = forward_config(config, process.sandbox.as_ref())?;
    let forwarder = match previous {
        Some(previous) => previous.forwarder.reconfigured(forward_config)?,
        None => first_forwarder(forward_config, process).await?,
    };
    let observer: Option<Arc<dyn CallObserver>> = if config.events.enabled {
        Some(Arc::<events::Events>::clone(&process.events))
    } else {
        None
    };
    let forwarder = forwarder.observed(observer);
    let metrics = previous.map(|previous| Arc::clone(&previous.metrics));
    let metrics = metrics.unwrap_or_default();
    let tracing = previous.and_then(|previous| previous.traces.as_ref());
    let traces = traces::trace_by(config.traces.receiver.as_ref(), tracing, &metrics.traces)?;
    // The last step here that can fail, because it may store a new signing key.
    let tokens_config = TokensConfig::new(config, &public_url)?;
    let tokens = match previous {
        Some(previous) => {
            previous
                .tokens
                .reconfigured(tokens_config, store, now)
                .await?
        }
        None => Tokens::open(tokens_config, store, now).await?,
    };
    let parts = SnapshotParts {
        metrics,
        traces,
        forwarder,
        store: Arc::clone(store),
        tokens: Arc::new(tokens),
        events: Arc::clone(&process.events),
        under_way: previous.map_or_else(TaskTracker::new, |previous| previous.under_way.clone()),
        public_url,
    };
    let generation = previous.map_or(1, |previous| previous.generation + 1);
    Ok(Snapshot::new(generation, config, parts))
}

async fn first_forwarder(
    config: ForwardConfig,
    process: &ProcessContext,
) -> Result<Forwarder, String> {
    let daily = DailyLimits::open(Arc::clone(&process.store), Box::new(Snapshot::now)).await;
    let daily = Arc::new(daily.map_err(|error| error.to_string())?);
    let hasher = Arc::clone(&process.hasher);
    let counts = process.counts.as_ref();
    let key = random_key().map_err(|error| error.to_string())?;
    Forwarder::new(config, hasher, &key, daily, counts)
}

/// Takes the forwarder's settings from a configuration. The embedded sandbox is an upstream like any other.
fn forward_config(
    config: &Config,
    sandbox: Option<&SandboxUpstream>,
) -> Result<ForwardConfig, String> {
    let upstream = match (&config.upstream, sandbox) {
        (Some(upstream), _) => upstream.clone(),
        (None, Some(sandbox)) => sandbox_config(config, sandbox),
        (None, None) => return Err("there is no upstream".to_owned()),
    };
    Ok(ForwardConfig {
        networks: config.networks.clone(),
        per_address_per_minute: config.limits.per_address_per_minute,
        guesses: config.limits.guesses,
        bodies: config.limits.bodies,
        answers: config.limits.answers,
        cache: config.cache.clone(),
        upstream,
    })
}

fn sandbox_config(config: &Config, sandbox: &SandboxUpstream) -> UpstreamConfig {
    UpstreamConfig {
        url: sandbox.url.clone(),
        fallback_urls: Vec::new(),
        round_robin: false,
        account: UpstreamAccount {
            user: SandboxUpstream::USER.to_owned(),
            password: sandbox.password.clone(),
        },
        next_account: None,
        auth: UpstreamAuth::Form,
        limits: config.upstream_limits.clone(),
    }
}
