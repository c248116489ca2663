//! Which snapshot is current. A reload makes another snapshot and swaps it whole; a request keeps the snapshot that it began
//! with.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use console::{KeyRow, MetricsSnapshot, OperationError, Pending};
use forward::UpstreamStatus;
use serde_json::{Value, json};
use server::ConnectionPolicy;
use settings::{ConfigSource, Sources};
use store::Journal;

use crate::config::Config;
use crate::serve::assemble::SandboxUpstream;
use crate::serve::reload::LastReload;
use crate::state::snapshot::Snapshot;
use crate::telemetry::LogLevel;

/// The state of a running gateway that outlives one configuration.
pub(crate) struct Runtime {
    snapshot: ArcSwap<Snapshot>,
    /// The policies of the public and the admin listener for connections, swapped with the snapshot.
    pub(crate) policies: [Arc<ArcSwap<ConnectionPolicy>>; 2],
    pub(crate) process: ProcessContext,
    /// Locked while the snapshot or its signing keys are changed, so that no change is lost.
    pub(crate) loaded: tokio::sync::Mutex<Loaded>,
    pub(crate) last_reload: Mutex<Option<LastReload>>,
    draining: AtomicBool,
}

/// What stays the same for the life of the process, whatever the configuration says.
pub(crate) struct ProcessContext {
    pub(crate) config_source: ConfigSource,
    /// The public listener's.
    pub(crate) address: SocketAddr,
    /// The embedded upstream, if it runs.
    pub(crate) sandbox: Option<SandboxUpstream>,
    pub(crate) log_level: LogLevel,
}

/// The current configuration, as written and as used.
pub(crate) struct Loaded {
    pub(crate) sources: Sources,
    pub(crate) config: Arc<Config>,
    /// The text of the file that was last tried, even if it was rejected.
    pub(crate) tried: Option<String>,
}

impl Runtime {
    pub(crate) fn new(
        snapshot: Snapshot,
        policies: [ConnectionPolicy; 2],
        process: ProcessContext,
        loaded: Loaded,
    ) -> Runtime {
        Runtime {
            snapshot: ArcSwap::from_pointee(snapshot),
            policies: policies.map(|policy| Arc::new(ArcSwap::from_pointee(policy))),
            process,
            loaded: tokio::sync::Mutex::new(loaded),
            last_reload: Mutex::new(None),
            draining: AtomicBool::new(false),
        }
    }

    /// Returns the current snapshot. A request calls this once, when it begins.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Makes this snapshot current for new requests, and these policies for new connections.
    pub(crate) fn swap(&self, snapshot: Snapshot, policies: [ConnectionPolicy; 2]) {
        self.snapshot.store(Arc::new(snapshot));
        for (there, policy) in self.policies.iter().zip(policies) {
            there.store(Arc::new(policy));
        }
    }

    /// Forgets signing keys whose last token is over. Call it every few seconds.
    pub(crate) async fn forget_keys(&self) {
        let _held = self.loaded.lock().await;
        let snapshot = self.snapshot();
        snapshot
            .tokens
            .forget(&snapshot.store, Snapshot::now())
            .await;
    }

    /// From now on the gateway says that it is not ready.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl console::Gateway for Runtime {
    fn not_ready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("draining");
        }
        let trouble = self.snapshot().store.journal().trouble();
        trouble.map(|_| "store_failing")
    }

    fn metrics(&self) -> String {
        let snapshot = self.snapshot();
        snapshot
            .metrics
            .upstream
            .set(&snapshot.forwarder.upstream_status());
        snapshot.metrics.render()
    }

    fn metrics_snapshot(&self) -> MetricsSnapshot {
        self.gate().metrics.snapshot()
    }

    fn now(&self) -> i64 {
        Snapshot::now()
    }

    fn admin_has_tls(&self) -> bool {
        self.policies[1].load().tls.is_some()
    }

    fn is_admin_host(&self, name: &str) -> bool {
        self.snapshot().admin_hosts.iter().any(|host| host == name)
    }

    fn openapi_ways(&self) -> Value {
        crate::docs::openapi::document(&self.snapshot())
    }

    fn status(&self) -> Value {
        let snapshot = self.snapshot();
        let last = self
            .last_reload
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "public_url": snapshot.public_url,
            "config_generation": snapshot.generation,
            "last_reload": last.as_ref().map(LastReload::to_json),
            "issuers": snapshot.tokens.issuers(),
            "upstream": upstream(&snapshot.forwarder.upstream_status()),
            "accesses": snapshot.store.accesses().len(),
            "store": store(snapshot.store.journal()),
            "ready": self.not_ready().is_none(),
        })
    }
}

fn store(journal: &Journal) -> Value {
    let trouble = journal.trouble();
    json!({
        "state": if trouble.is_none() { "well" } else { "failing" },
        "reason": trouble,
        "queued": journal.queued(),
        "dropped": journal.dropped(),
    })
}

fn upstream(status: &UpstreamStatus) -> Value {
    let endpoints = status.endpoints.iter().map(|(url, is_resting)| {
        let state = if *is_resting { "resting" } else { "in use" };
        json!({"url": url, "state": state})
    });
    json!({
        "endpoints": endpoints.collect::<Vec<_>>(),
        "account": if status.uses_next_account { "next" } else { "first" },
        "limit": status.limit,
        "under_way": status.under_way,
        "waiting": status.waiting,
    })
}

impl console::Keys for Runtime {
    fn keys(&self) -> Vec<KeyRow> {
        self.snapshot().tokens.rows()
    }

    fn rotate(self: Arc<Self>, revoke: bool) -> Pending<Vec<KeyRow>> {
        Box::pin(async move {
            let _held = self.loaded.lock().await;
            let snapshot = self.snapshot();
            let now = Snapshot::now();
            let keys = if revoke {
                snapshot.tokens.revoke(&snapshot.store, now).await?
            } else {
                snapshot.tokens.rotate(&snapshot.store, now).await?
            };
            let kid = keys.first().map(|key| key.kid.as_str());
            tracing::info!(kid, revoke, "a new key signs tokens");
            Ok(keys)
        })
    }
}

impl console::Backups for Runtime {
    fn backup(self: Arc<Self>) -> Pending<File> {
        Box::pin(async move {
            let copied = self.snapshot().store.backup().await;
            let copy = copied.map_err(|error| OperationError::Broken(error.to_string()))?;
            tracing::info!("a copy of the store was made");
            Ok(copy)
        })
    }
}

impl console::Reloads for Runtime {
    fn reload(self: Arc<Self>, actor: String) -> Pending<Value> {
        Box::pin(async move {
            let last = crate::serve::reload::reload(&self, &format!("admin key {actor}")).await;
            match last.outcome {
                Ok(_) => Ok(last.to_json()),
                Err(mistakes) => Err(OperationError::Invalid(mistakes)),
            }
        })
    }
}
