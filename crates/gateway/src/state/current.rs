//! Holds the current snapshot. A reload makes a new snapshot and replaces the old one as a whole. A request uses the snapshot with
//! which it began until its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use console::rfc3339;
use events::Events;
use secrecy::SecretString;
use serde_json::{Value, json};
use server::ConnectionPolicy;
use server::tls::Tls;
use settings::{ConfigSource, Sources};
use shared::SharedCounts;
use store::{SecretHasher, Store};
use telemetry::LogLevel;
use url::Url;
use webhooks::Webhooks;

use crate::config::{ChangedKeys, Config, ConfigFiles};
use crate::state::snapshot::Snapshot;

/// The state of a running gateway that outlives a single configuration.
pub(crate) struct Runtime {
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// The connection policy of the public listener, replaced together with the snapshot.
    pub(crate) public_policy: Arc<ArcSwap<ConnectionPolicy>>,
    /// The connection policy of the admin listener, replaced together with the snapshot.
    pub(crate) admin_policy: Arc<ArcSwap<ConnectionPolicy>>,
    pub(crate) process: ProcessContext,
    /// Locked during a change of the snapshot or its signing keys, so that no change is lost.
    pub(crate) loaded: tokio::sync::Mutex<Loaded>,
    last_reload: ArcSwapOption<LastReload>,
    draining: AtomicBool,
}

/// The connection policies of the listeners under one configuration.
pub(crate) struct ListenerPolicies {
    pub(crate) public: ConnectionPolicy,
    pub(crate) admin: ConnectionPolicy,
}

/// The values that stay the same for the lifetime of the process, whatever the configuration contains.
pub(crate) struct ProcessContext {
    pub(crate) config_source: ConfigSource,
    pub(crate) store: Arc<Store>,
    pub(crate) hasher: Arc<SecretHasher>,
    /// The events and their readers.
    pub(crate) events: Arc<Events>,
    /// The webhooks.
    pub(crate) webhooks: Arc<Webhooks>,
    /// The counts that replicas share.
    pub(crate) counts: Option<Arc<SharedCounts>>,
    /// The address of the public listener.
    pub(crate) address: SocketAddr,
    /// The embedded sandbox, if it is the upstream.
    pub(crate) sandbox: Option<SandboxUpstream>,
    pub(crate) log_level: LogLevel,
}

/// The embedded sandbox as an upstream.
#[derive(Clone)]
pub(crate) struct SandboxUpstream {
    /// The endpoint for calls with HTTP parameters.
    pub(crate) url: Url,
    pub(crate) password: SecretString,
}

impl SandboxUpstream {
    /// The user name of the gateway's account.
    pub(crate) const USER: &str = "chatgate";
}

/// The current configuration, both as written and as used.
pub(crate) struct Loaded {
    pub(crate) sources: Sources,
    pub(crate) config: Arc<Config>,
    /// The files as the last poll found them.
    pub(crate) polled: ConfigFiles,
    /// The files that were last tried, even if they were rejected.
    pub(crate) tried: ConfigFiles,
}

impl Loaded {
    /// Returns the configuration that was read from these sources at the start.
    pub(crate) fn new(source: &ConfigSource, sources: Sources, config: Config) -> Loaded {
        let files = ConfigFiles::of(source, &sources, &config);
        Loaded {
            sources,
            config: Arc::new(config),
            polled: files.clone(),
            tried: files,
        }
    }
}

/// The result of the last reload.
#[derive(Clone)]
pub(crate) struct LastReload {
    /// The person or event that triggered the reload.
    pub(crate) trigger: String,
    /// The time of the reload, in seconds since 1970, UTC.
    pub(crate) at: i64,
    /// The generation that was current after the reload.
    pub(crate) generation: u64,
    /// The keys that changed, or the mistakes.
    pub(crate) outcome: Result<ChangedKeys, Vec<Value>>,
}

impl LastReload {
    /// Returns the result as JSON for the status.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = json!({
            "at": rfc3339(self.at),
            "by": self.trigger,
            "config_generation": self.generation,
        });
        match &self.outcome {
            Ok(changed) => {
                json["outcome"] = "applied".into();
                json["changed"] = changed.in_force.clone().into();
                json["without_effect"] = changed.without_effect.clone().into();
            }
            Err(mistakes) => {
                json["outcome"] = "refused".into();
                json["mistakes"] = mistakes.clone().into();
            }
        }
        json
    }
}

impl Runtime {
    pub(crate) fn new(
        snapshot: Snapshot,
        policies: ListenerPolicies,
        process: ProcessContext,
        loaded: Loaded,
    ) -> Runtime {
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        snapshot.load().set_current(&snapshot);
        Runtime {
            snapshot,
            public_policy: Arc::new(ArcSwap::from_pointee(policies.public)),
            admin_policy: Arc::new(ArcSwap::from_pointee(policies.admin)),
            process,
            loaded: tokio::sync::Mutex::new(loaded),
            last_reload: ArcSwapOption::empty(),
            draining: AtomicBool::new(false),
        }
    }

    /// Returns the current snapshot. A request calls this once, when it begins.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Makes this snapshot current for new requests, and these policies for new connections.
    pub(crate) fn swap(&self, snapshot: Snapshot, policies: ListenerPolicies) {
        snapshot.set_current(&self.snapshot);
        self.snapshot.store(Arc::new(snapshot));
        self.public_policy.store(Arc::new(policies.public));
        self.admin_policy.store(Arc::new(policies.admin));
    }

    /// Returns the certificates of the listeners that have TLS, with the name of each listener.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = (&'static str, Arc<Tls>)> {
        let listeners = [
            ("public", &self.public_policy),
            ("admin", &self.admin_policy),
        ];
        let listeners = listeners.into_iter();
        listeners.filter_map(|(name, policy)| Some((name, policy.load().tls.clone()?)))
    }

    /// Removes signing keys whose last token has expired. Does nothing during a reload, whose files may take long to read. Call it
    /// every few seconds.
    pub(crate) async fn prune_expired_keys(&self) {
        let Ok(_held) = self.loaded.try_lock() else {
            return;
        };
        let snapshot = self.snapshot();
        let now = snapshot.auth_now();
        snapshot
            .tokens
            .prune_expired_keys(&snapshot.store, now)
            .await;
    }

    /// Returns the result of the last reload, if there was one.
    pub(crate) fn last_reload(&self) -> Option<Arc<LastReload>> {
        self.last_reload.load_full()
    }

    /// Stores the result of a reload.
    pub(crate) fn set_last_reload(&self, last: LastReload) {
        self.last_reload.store(Some(Arc::new(last)));
    }

    /// Makes the gateway report that it is not ready.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Returns whether the gateway is draining.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
