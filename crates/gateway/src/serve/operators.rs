//! Implements the console's interface to the running gateway, which operators use.

use std::fs::File;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use console::{AnswerFuture, CountsNotShared, KeyRow, OperationError, OperationFuture};
use events::{EventDepth, Events};
use forward::UpstreamStatus;
use serde_json::{Value, json};
use shared::{CallWait, CountKind, CountLimit, CountsUnavailable, SharedCounts};
use store::{Journal, ReplicaCensus};
use telemetry::{MetricsFormat, MetricsSnapshot};
use webhooks::Webhooks;

use crate::config::TRACE_ID;
use crate::serve::reload::reload;
use crate::serve::replicas::keys_that_sign;
use crate::serve::scrape;
use crate::state::current::{LastReload, Runtime};
use crate::state::snapshot::Snapshot;

impl console::Gateway for Runtime {
    fn not_ready(&self) -> Option<&'static str> {
        if self.is_draining() {
            return Some("draining");
        }
        let snapshot = self.snapshot();
        if snapshot.check_fresh().is_err() {
            return Some("cut_off");
        }
        if let Some(misfit) = snapshot.store.table_misfit() {
            return Some(misfit.word());
        }
        let trouble = snapshot.store.journal().trouble();
        // Replicas that share a store would all become unready at the same time, so they stay ready for as long as they may serve.
        trouble
            .filter(|_| snapshot.stale_max.is_none())
            .map(|_| "store_failing")
    }

    fn degraded(&self) -> Vec<&'static str> {
        degraded(self)
    }

    fn metrics(&self, format: MetricsFormat) -> String {
        self.snapshot()
            .metrics
            .render(scrape::samples(self), format)
    }

    fn metrics_snapshot(&self) -> MetricsSnapshot {
        self.snapshot().metrics.snapshot()
    }

    fn trace_url(&self, trace_id: &str) -> Option<String> {
        let viewer = self.snapshot().trace_viewer.clone()?;
        Some(viewer.replace(TRACE_ID, trace_id))
    }

    fn now_ms(&self) -> i64 {
        Snapshot::now_ms()
    }

    fn webhooks(&self) -> &Webhooks {
        &self.process.webhooks
    }

    fn count_wrong_key(
        self: Arc<Self>,
        address: Option<IpAddr>,
        per_minute: NonZeroU32,
    ) -> AnswerFuture<Result<Option<i64>, CountsNotShared>> {
        Box::pin(async move {
            let counts = self.process.counts.as_ref().ok_or(CountsNotShared)?;
            count_wrong_key(counts, address, per_minute).await
        })
    }

    fn admin_has_tls(&self) -> bool {
        self.admin_policy.load().tls.is_some()
    }

    fn is_admin_host(&self, name: &str) -> bool {
        self.snapshot().admin_hosts.iter().any(|host| host == name)
    }

    fn openapi_ways(&self) -> Value {
        docs::document(&self.snapshot().public_interface())
    }

    fn status(&self) -> Value {
        let snapshot = self.snapshot();
        let last = self.last_reload();
        json!({
            "version": telemetry::full_version(),
            "public_url": snapshot.public_url,
            "config_generation": snapshot.generation,
            "last_reload": last.as_deref().map(LastReload::to_json),
            "issuers": snapshot.tokens.issuers(),
            "upstream": upstream(&snapshot.forwarder.upstream_status()),
            "accesses": snapshot.store.accesses().len(),
            "store": store(snapshot.store.journal()),
            "replicas": snapshot.store.census().as_ref().map(replicas),
            "events": events(&self.process.events),
            "shared": self.process.counts.as_deref().map(shared),
            "degraded": degraded(self),
            "ready": self.not_ready().is_none(),
            "certificates": scrape::certificates(self),
            "process": scrape::process(),
            "disk": scrape::disk(&snapshot.store),
        })
    }
}

async fn count_wrong_key(
    counts: &SharedCounts,
    address: Option<IpAddr>,
    per_minute: NonZeroU32,
) -> Result<Option<i64>, CountsNotShared> {
    let address = address
        .map(|address| address.to_string())
        .unwrap_or_default();
    let key = counts
        .keys()
        .key(CountKind::WrongKeys, &[address.as_bytes()]);
    let limit = CountLimit::per(per_minute, Duration::from_secs(60));
    let wait = CallWait::default();
    let taken = counts.take_one_of_each([(&key, limit)], &wait).await;
    let [taken] = taken.map_err(|CountsUnavailable| CountsNotShared)?;
    let wait_s = i64::try_from(taken.wait.as_secs()).unwrap_or(i64::MAX) + 1;
    Ok((taken.cells == 0).then_some(wait_s))
}

/// Returns one word for each part that does not work properly although calls are accepted.
fn degraded(runtime: &Runtime) -> Vec<&'static str> {
    let store = &runtime.process.store;
    let counts = runtime.process.counts.as_ref();
    let is_failing = store.journal().trouble().is_some();
    let words = [
        ("store", is_failing || !store.has_lease()),
        ("accesses", store.accesses().unreadable() > 0),
        ("standby", !store.is_replicated()),
        ("shared", counts.is_some_and(|counts| !counts.is_up())),
    ];
    let words = words.into_iter().filter(|(_, is_out)| *is_out);
    words.map(|(word, _)| word).collect()
}

fn store(journal: &Journal) -> Value {
    let trouble = journal.trouble();
    json!({
        "state": if trouble.is_none() { "ok" } else { "failing" },
        "reason": trouble,
        "queued": journal.queued(),
        "dropped": journal.dropped(),
    })
}

/// Returns what this process knows of the replicas that share its store.
fn replicas(census: &ReplicaCensus) -> Value {
    json!({
        "live": census.live,
        "configurations": census.configurations,
        "stale_ms": u64::try_from(census.stale.as_millis()).unwrap_or(u64::MAX),
        "cut_off": census.is_cut_off,
        "draining": census.is_draining,
    })
}

/// Returns the status of events. Counts are since the start.
fn events(events: &Events) -> Value {
    let (config, status) = (events.config(), events.status());
    let recorded: u64 = status.kinds.iter().map(|(_, count)| count).sum();
    let polls: serde_json::Map<_, _> = status
        .polls
        .iter()
        .map(|(outcome, count)| ((*outcome).to_owned(), Value::from(*count)))
        .collect();
    json!({
        "enabled": config.enabled,
        "depth": match config.depth {
            EventDepth::Hint => "hint",
            EventDepth::Unread => "unread",
        },
        "listening": status.listening,
        "channels": status.watched,
        "stalled": status.stalled,
        "polls": polls,
        "events": recorded,
        "gaps": status.gaps,
        "newest": events.reader.newest().to_string(),
    })
}

/// Returns the status of the counts that replicas share.
fn shared(counts: &SharedCounts) -> Value {
    let status = counts.status();
    json!({
        "state": if status.is_up { "ok" } else { "unavailable" },
        "requests": status.asked,
        "failed": status.failed,
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

    fn rotate(self: Arc<Self>, revoke: bool) -> OperationFuture<Vec<KeyRow>> {
        Box::pin(async move {
            let held = self.loaded.lock().await;
            let snapshot = self.snapshot();
            let now = snapshot.auth_now();
            if revoke {
                snapshot.tokens.revoke(&snapshot.store, now).await?;
            } else {
                snapshot.tokens.rotate(&snapshot.store, now).await?;
            }
            drop(held);
            let keys = keys_that_sign(&self).await;
            let newest = keys.first();
            let (kid, signs) = (
                newest.map(|key| key.kid.as_str()),
                newest.map(|key| key.signs),
            );
            tracing::info!(kid, signs, revoke, "a new signing key was created");
            Ok(keys)
        })
    }
}

impl console::Backups for Runtime {
    fn backup(self: Arc<Self>) -> OperationFuture<File> {
        Box::pin(async move {
            if self.snapshot().stale_max.is_some() {
                let why = "The store is a PostgreSQL database; copy it with its own tools, such as pg_dump.";
                return Err(OperationError::Conflict(why.to_owned()));
            }
            let copied = self.snapshot().store.backup().await;
            let copy = copied.map_err(|error| OperationError::Broken(error.to_string()))?;
            tracing::info!("a copy of the store was made");
            Ok(copy)
        })
    }
}

impl console::Reloads for Runtime {
    fn reload(self: Arc<Self>, actor: String) -> OperationFuture<Value> {
        Box::pin(async move {
            let last = reload(&self, &format!("admin key {actor}")).await;
            match last.outcome {
                Ok(_) => Ok(last.to_json()),
                Err(mistakes) => Err(OperationError::Invalid(mistakes)),
            }
        })
    }
}
