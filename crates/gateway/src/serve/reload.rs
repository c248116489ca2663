//! Reading the configuration again: on SIGHUP, when an operator asks, and when the file has changed. All of it is taken or
//! none of it, and what was wrong is told in the log, the metrics and the status.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use server::signals::ReloadSignal;
use settings::ConfigError;

use crate::config::Config;
use crate::serve::assemble::upstream_config;
use crate::serve::policies;
use crate::state::current::{Loaded, Runtime};
use crate::state::snapshot::{Snapshot, SnapshotParts};
use crate::telemetry::ReloadLabel;
use crate::tokens::TokensConfig;

/// How often the file is looked at. It has to look the same twice, so that nobody's half-written file is taken.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How the last reload ended.
#[derive(Clone)]
pub(crate) struct LastReload {
    /// Who or what asked for it.
    by: String,
    at: Timestamp,
    /// In force afterwards.
    generation: u64,
    /// The keys that changed, or what was wrong.
    pub(crate) outcome: Result<Vec<String>, Vec<Value>>,
}

impl LastReload {
    /// As the status tells it.
    pub(crate) fn to_json(&self) -> Value {
        let mut told = json!({
            "at": self.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "by": self.by,
            "config_generation": self.generation,
        });
        match &self.outcome {
            Ok(changed) => {
                told["outcome"] = "taken".into();
                told["changed"] = json!(changed);
            }
            Err(mistakes) => {
                told["outcome"] = "refused".into();
                told["mistakes"] = json!(mistakes);
            }
        }
        told
    }
}

/// Reads the configuration again and puts it in force, unless something is wrong with it. Says how it ended.
pub(crate) async fn reload(runtime: &Arc<Runtime>, by: &str) -> LastReload {
    let mut loaded = runtime.loaded.lock().await;
    let outcome = renew(runtime, &mut loaded).await;
    let snapshot = runtime.snapshot();
    let (generation, metrics) = (snapshot.generation, &snapshot.metrics);
    metrics
        .generation
        .set(i64::try_from(generation).unwrap_or(i64::MAX));
    let word = if outcome.is_ok() { "taken" } else { "refused" };
    metrics
        .reloads
        .get_or_create(&ReloadLabel { outcome: word })
        .inc();
    match &outcome {
        Ok(changed) => {
            tracing::info!(
                generation,
                by,
                changed = changed.join(" "),
                "configuration in force"
            );
        }
        Err(mistakes) => {
            let mistakes = Value::from(mistakes.clone()).to_string();
            tracing::error!(
                generation,
                by,
                mistakes,
                "configuration refused, the old one stays"
            );
        }
    }
    let last = LastReload {
        by: by.to_owned(),
        at: Timestamp::now(),
        generation,
        outcome,
    };
    *runtime
        .last_reload
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(last.clone());
    last
}

/// Makes the next snapshot beside the old one and swaps it in. Gives the keys that changed, or every mistake.
async fn renew(runtime: &Arc<Runtime>, loaded: &mut Loaded) -> Result<Vec<String>, Vec<Value>> {
    let sentence = |text: String| vec![json!({ "text": text })];
    let old = Arc::clone(&loaded.config);
    let reading = Arc::clone(runtime);
    // Certificates and keys are read and checked on the way.
    let read = tokio::task::spawn_blocking(move || {
        let sources = reading.process.config_source.read()?;
        let config = Config::read_after(&sources, Some(&old));
        Ok::<_, String>((sources, config))
    });
    let read = read.await.map_err(|panic| sentence(panic.to_string()))?;
    loaded.tried = read.as_ref().ok().map(|(sources, _)| sources.file.clone());
    let (sources, config) = read.map_err(sentence)?;
    let config = config
        .map_err(|mistakes| -> Vec<_> { mistakes.iter().map(ConfigError::to_json).collect() })?;
    let policies = policies::from_config(&config).map_err(sentence)?;
    let snapshot = next(runtime, &config).await.map_err(sentence)?;
    runtime
        .process
        .log_level
        .set(&config.log.level)
        .map_err(sentence)?;
    runtime.swap(snapshot, policies);
    let changed = Config::changed(&loaded.sources, &sources);
    (loaded.sources, loaded.config) = (sources, Arc::new(config));
    Ok(changed)
}

async fn next(runtime: &Runtime, config: &Config) -> Result<Snapshot, String> {
    let snapshot = runtime.snapshot();
    let process = &runtime.process;
    config.warn_of_exposed_secrets();
    let public_url = config.callers_url(process.address);
    let forwarder = snapshot
        .forwarder
        .renewed(upstream_config(config, process.sandbox.as_ref())?)?;
    // The last step that can fail, since it may put a new signing key into the store.
    let tokens = TokensConfig::new(config, &public_url)?;
    let tokens = snapshot
        .tokens
        .renewed(tokens, &snapshot.store, Snapshot::now())
        .await?;
    let parts = SnapshotParts {
        metrics: Arc::clone(&snapshot.metrics),
        forwarder,
        store: Arc::clone(&snapshot.store),
        tokens: Arc::new(tokens),
        under_way: snapshot.under_way.clone(),
        public_url,
    };
    Ok(Snapshot::new(snapshot.generation + 1, config, parts))
}

/// Reloads whenever the signal comes, until the task is ended.
pub(crate) async fn on_signal(runtime: Arc<Runtime>, mut signal: ReloadSignal) {
    loop {
        signal.wait().await;
        reload(&runtime, "SIGHUP").await;
    }
}

/// Reloads whenever the file has changed and stays so, until the task is ended.
pub(crate) async fn on_change(runtime: Arc<Runtime>, file: PathBuf) {
    let mut interval = tokio::time::interval(POLL_INTERVAL);
    let mut seen = None;
    loop {
        interval.tick().await;
        // A file that is away is one that is being replaced; who asks for a reload then is told.
        let Ok(text) = tokio::fs::read_to_string(&file).await else {
            continue;
        };
        let is_new = runtime.loaded.lock().await.tried.as_ref() != Some(&text);
        if is_new && seen.as_ref() == Some(&text) {
            reload(&runtime, "changed file").await;
        }
        seen = Some(text);
    }
}
