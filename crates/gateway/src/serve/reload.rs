//! Reloads the configuration on SIGHUP, on an operator's request, and after a change of the file. A reload applies the whole new
//! configuration or nothing of it. Log, metrics and status report the result.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use server::signals::ReloadSignal;
use settings::ConfigError;
use store::sha256;
use tokio::time::{MissedTickBehavior, timeout};

use crate::config::{ChangedKeys, Config, ConfigFiles};
use crate::serve::assemble::assemble;
use crate::serve::policies;
use crate::state::current::{LastReload, Loaded, Runtime};
use crate::state::snapshot::Snapshot;

/// How often the files are read. A change counts once two readings in a row are equal, so that no half-written file is applied.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Number of readings in a row after which a file that can't be read is reported. A missing file is probably being replaced.
const UNREADABLE_POLLS: u32 = 5;

/// Maximum time for reading all files of a configuration. Each single file has a shorter limit. It is less than the time that a
/// command waits for its answer.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Reads the configuration again and makes it current, unless it contains mistakes. Returns the result of the reload.
pub(crate) async fn reload(runtime: &Arc<Runtime>, trigger: &str) -> LastReload {
    let mut loaded = runtime.loaded.lock().await;
    let outcome = renew(runtime, &mut loaded).await;
    let snapshot = runtime.snapshot();
    let generation = snapshot.generation;
    snapshot.metrics.count_reload(outcome.is_ok());
    match &outcome {
        Ok(changed) => {
            tracing::info!(
                generation,
                trigger,
                changed = changed.in_force.join(" "),
                without_effect = changed.without_effect.join("; "),
                "configuration reloaded"
            );
        }
        Err(mistakes) => {
            let mistakes = Value::from(mistakes.clone()).to_string();
            tracing::error!(
                generation,
                trigger,
                mistakes,
                "configuration refused, the old one stays"
            );
        }
    }
    let last = LastReload {
        trigger: trigger.to_owned(),
        at: Snapshot::now(),
        generation,
        outcome,
    };
    runtime.set_last_reload(last.clone());
    last
}

/// Makes the next snapshot and replaces the current one with it. Returns the keys that changed, or every mistake.
async fn renew(runtime: &Arc<Runtime>, loaded: &mut Loaded) -> Result<ChangedKeys, Vec<Value>> {
    let sentence = |text: String| vec![json!({ "text": text })];
    let old = Arc::clone(&loaded.config);
    let reading = Arc::clone(runtime);
    // The reading of a poll is older, so a later change differs from it.
    loaded.tried = loaded.polled.clone();
    // On a blocking thread, because this also reads and checks certificates and keys.
    let read = tokio::task::spawn_blocking(move || {
        let sources = reading.process.config_source.read()?;
        let config = Config::read_after(&sources, Some(&old));
        Ok::<_, String>((sources, config))
    });
    let read = timeout(READ_TIMEOUT, read).await;
    let read = read.map_err(|_| sentence(not_read()))?;
    let read = read.map_err(|panic| sentence(panic.to_string()))?;
    if let Ok((sources, _)) = &read {
        loaded.tried.set_text(&sources.file);
    }
    let (sources, config) = read.map_err(sentence)?;
    let config = config
        .map_err(|mistakes| -> Vec<_> { mistakes.iter().map(ConfigError::to_json).collect() })?;
    let source = &runtime.process.config_source;
    loaded.tried = ConfigFiles::of(source, &sources, &config);
    let certificates: Vec<_> = runtime.certificates().map(|(_, tls)| tls).collect();
    let policies = policies::from_config(&config, &certificates).map_err(sentence)?;
    let sender = runtime.process.webhooks.sender_of(&config.webhooks);
    let sender = sender.map_err(sentence)?;
    let current = runtime.snapshot();
    let assembled = assemble(&config, &runtime.process, Some(&current)).await;
    let snapshot = assembled.map_err(sentence)?;
    runtime
        .process
        .log_level
        .set(&config.log.level)
        .map_err(sentence)?;
    runtime.swap(snapshot, policies);
    runtime.process.events.configure(config.events.clone());
    runtime.process.webhooks.configure(sender);
    current.store.configured(&sha256(sources.file.as_bytes()));
    let mut changed = Config::changed(&loaded.sources, &sources);
    for key in loaded.config.changed_secrets(&config) {
        if !changed.in_force.iter().any(|known| known == key) {
            changed.in_force.push(key.to_owned());
        }
    }
    (loaded.sources, loaded.config) = (sources, Arc::new(config));
    Ok(changed)
}

/// Returns the error that names the files that prevent the reload from finishing.
fn not_read() -> String {
    let hanging = settings::hanging_files();
    let names: Vec<_> = hanging
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    format!(
        "the files of the configuration could not be read within {} s; check the mounts that they are on, and reload again: {}",
        READ_TIMEOUT.as_secs(),
        names.join(", ")
    )
}

/// Reloads at each signal, until the task is aborted.
pub(crate) async fn on_signal(runtime: Arc<Runtime>, mut signal: ReloadSignal) {
    loop {
        signal.wait().await;
        // A panic is logged and ends only this reload, not later ones.
        let reloading = AssertUnwindSafe(reload(&runtime, "SIGHUP"));
        let _ = reloading.catch_unwind().await;
    }
}

/// Reloads after the file, or a file with one of its secrets, has changed and then stayed the same, until the task is aborted.
pub(crate) async fn on_change(runtime: Arc<Runtime>) {
    let mut interval = tokio::time::interval(POLL_INTERVAL);
    // Polls that a reload has delayed must not follow each other at once, because a file may be half written between them.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    // The number of equal readings in a row.
    let mut polls = 0;
    loop {
        interval.tick().await;
        let config = Arc::clone(&runtime.loaded.lock().await.config);
        let reading = Arc::clone(&runtime);
        let read = tokio::task::spawn_blocking(move || {
            ConfigFiles::read(&reading.process.config_source, &config)
        });
        let Ok(read) = read.await else {
            continue;
        };
        let is_new = {
            let mut loaded = runtime.loaded.lock().await;
            loaded.polled.clone_from(&read);
            loaded.tried != read
        };
        let needed = if read.is_readable() {
            2
        } else {
            UNREADABLE_POLLS
        };
        let read = Some(read);
        polls = if seen == read { polls + 1 } else { 1 };
        // Files that can't be loaded are tried once, and again when their contents or their permissions change.
        if is_new && polls >= needed {
            reload(&runtime, "changed file").await;
        }
        seen = read;
    }
}
