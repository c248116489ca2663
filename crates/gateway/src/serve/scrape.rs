//! Collects the values of a running gateway that are read when somebody scrapes its metrics.

use events::EventsStatus;
use serde_json::{Value, json};
use shared::SharedCounts;
use store::{Store, WebhookState};
use telemetry::{MetricSample, log_samples, process_samples, store_samples, upstream_samples};
use webhooks::WebhookStats;

use crate::state::current::Runtime;
use crate::state::snapshot::Snapshot;

/// Returns the current values of all parts.
pub(super) fn samples(runtime: &Runtime) -> Vec<MetricSample> {
    let snapshot = runtime.snapshot();
    let mut samples = upstream_samples(&snapshot.forwarder.upstream_status());
    samples.extend(store_samples(&snapshot.store));
    samples.extend(
        runtime
            .process
            .counts
            .iter()
            .flat_map(|counts| shared_samples(counts)),
    );
    let streams = runtime.process.events.streams.open();
    let streams = MetricSample::of("chatgate_event_streams", streams as f64);
    samples.push(streams);
    let now_ms = snapshot.store.judged_ms(Snapshot::now_ms());
    let stats = runtime.process.webhooks.stats();
    samples.extend(webhook_samples(&stats, now_ms));
    samples.extend(event_samples(&runtime.process.events.status()));
    samples.extend(log_samples());
    samples.extend(config_samples(&snapshot));
    let last = runtime.last_reload();
    let is_successful = last.is_none_or(|last| last.outcome.is_ok());
    samples.push(MetricSample::of(
        "chatgate_config_last_reload_successful",
        f64::from(u8::from(is_successful)),
    ));
    samples.extend(certificate_samples(runtime));
    samples.extend(process_samples());
    samples
}

/// Returns the values of events: their number, their readers and their cost.
fn event_samples(status: &EventsStatus) -> Vec<MetricSample> {
    let listeners = status.listening as f64;
    let mut samples = vec![
        MetricSample::of("chatgate_event_gaps_total", status.gaps as f64),
        MetricSample::of("chatgate_event_listeners", listeners),
        MetricSample::of("chatgate_event_fills_total", status.fills as f64),
        MetricSample::of(
            "chatgate_event_unharvested_total",
            status.unstored_lists as f64,
        ),
    ];
    let labelled = |name, label, counts: &[(&'static str, u64)]| {
        let samples = counts
            .iter()
            .map(|(word, count)| MetricSample::labelled(name, (label, word), *count as f64));
        samples.collect::<Vec<_>>()
    };
    samples.extend(labelled("chatgate_events_total", "type", &status.kinds));
    samples.extend(labelled(
        "chatgate_event_looks_total",
        "outcome",
        &status.polls,
    ));
    let channels = [("watched", status.watched), ("stalled", status.stalled)];
    samples.extend(labelled("chatgate_event_channels", "state", &channels));
    samples
}

/// Returns the values of the counts that replicas share.
fn shared_samples(counts: &SharedCounts) -> [MetricSample; 3] {
    let status = counts.status();
    let away = f64::from(u8::from(!status.is_up));
    [
        MetricSample::of("chatgate_limits_degraded", away),
        MetricSample::of("chatgate_shared_requests_total", status.asked as f64),
        MetricSample::of("chatgate_shared_failures_total", status.failed as f64),
    ]
}

/// Returns the values of webhooks: attempts, states and pending deliveries. `now_ms` is a time of the clock that assigns events'
/// positions.
fn webhook_samples(stats: &WebhookStats, now_ms: i64) -> Vec<MetricSample> {
    let attempts = stats.attempts.iter().map(|(outcome, count)| {
        let label = ("outcome", *outcome);
        MetricSample::labelled("chatgate_webhook_attempts_total", label, *count as f64)
    });
    let states = WebhookState::ALL.map(|state| {
        let count = stats.states.get(state.word()).copied().unwrap_or(0);
        MetricSample::labelled("chatgate_webhooks", ("state", state.word()), count as f64)
    });
    let oldest = stats.oldest_ms.map_or(0, |at| now_ms - at);
    let others = [
        (
            "chatgate_webhook_pending_deliveries",
            stats.unsettled as f64,
        ),
        (
            "chatgate_webhook_oldest_seconds",
            oldest.max(0) as f64 / 1e3,
        ),
        ("chatgate_webhook_given_up_total", stats.given_up as f64),
        ("chatgate_webhook_lost", stats.lost as f64),
    ];
    let others = others.map(|(name, value)| MetricSample::of(name, value));
    attempts.chain(states).chain(others).collect()
}

/// Returns the values of the current configuration, of the key that signs tokens, and of the outside issuers' keys.
fn config_samples(snapshot: &Snapshot) -> Vec<MetricSample> {
    let mut samples = vec![
        MetricSample::of("chatgate_config_generation", snapshot.generation as f64),
        MetricSample::of(
            "chatgate_config_loaded_timestamp_seconds",
            snapshot.loaded_at as f64,
        ),
    ];
    let keys = snapshot.tokens.rows();
    if let Some(key) = keys.iter().find(|key| key.signs) {
        let name = "chatgate_signing_key_created_timestamp_seconds";
        samples.push(MetricSample::of(name, key.created_at as f64));
    }
    samples.extend(snapshot.tokens.fetched().map(|(issuer, fetched)| {
        MetricSample::labelled(
            "chatgate_issuer_keys_fetched_timestamp_seconds",
            ("issuer", issuer),
            fetched.unwrap_or(0) as f64,
        )
    }));
    samples
}

/// Returns the expiry of each listener's certificate, in seconds since 1970, UTC.
fn expiries(runtime: &Runtime) -> impl Iterator<Item = (&'static str, i64)> {
    let certificates = runtime.certificates();
    certificates.map(|(listener, tls)| (listener, tls.expires()))
}

fn certificate_samples(runtime: &Runtime) -> Vec<MetricSample> {
    let name = "chatgate_tls_certificate_expiry_timestamp_seconds";
    let expiries = expiries(runtime).map(|(listener, expires)| {
        MetricSample::labelled(name, ("listener", listener), expires as f64)
    });
    expiries.collect()
}

/// Returns the certificates for the status.
pub(super) fn certificates(runtime: &Runtime) -> Vec<Value> {
    let expiries = expiries(runtime)
        .map(|(listener, expires)| json!({"listener": listener, "expires_s": expires}));
    expiries.collect()
}

/// Returns the resources that the process uses, for the status.
pub(super) fn process() -> Value {
    let samples = process_samples();
    let value = |name| MetricSample::find(&samples, name);
    json!({
        "started_s": value("process_start_time_seconds"),
        "memory_bytes": value("process_resident_memory_bytes"),
        "open_files": value("process_open_fds"),
    })
}

/// Returns the size of a store in a file and the free space of its disk, for the status.
pub(super) fn disk(store: &Store) -> Value {
    let samples = store_samples(store);
    let value = |name| MetricSample::find(&samples, name);
    json!({
        "store_bytes": value("chatgate_store_bytes"),
        "free_bytes": value("chatgate_disk_free_bytes"),
        "size_bytes": value("chatgate_disk_size_bytes"),
    })
}
