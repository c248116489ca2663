//! What of a running gateway is asked when somebody scrapes its metrics.

use shared::SharedCounts;
use telemetry::{MetricSample, log_samples, process_samples, store_samples, upstream_samples};

use crate::state::current::Runtime;
use crate::state::snapshot::Snapshot;

/// Returns how each part is now.
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
    samples.extend(log_samples());
    samples.extend(config_samples(&snapshot));
    samples.extend(certificate_samples(runtime));
    samples.extend(process_samples());
    samples
}

/// Whether limits are counted together with others.
fn shared_samples(counts: &SharedCounts) -> [MetricSample; 3] {
    let status = counts.status();
    let away = f64::from(u8::from(!status.is_up));
    [
        MetricSample::of("chatgate_limits_degraded", away),
        MetricSample::of("chatgate_shared_questions_total", status.asked as f64),
        MetricSample::of("chatgate_shared_failures_total", status.failed as f64),
    ]
}

/// The configuration in force, the keys that sign tokens, and those that others sign with.
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

/// When the certificates of the listeners expire.
fn certificate_samples(runtime: &Runtime) -> Vec<MetricSample> {
    let listeners = ["public", "admin"].into_iter().zip(&runtime.policies);
    let certificates = listeners.filter_map(|(listener, policy)| {
        let expires = policy.load().tls.as_ref()?.expires();
        Some(MetricSample::labelled(
            "chatgate_tls_certificate_expiry_timestamp_seconds",
            ("listener", listener),
            expires as f64,
        ))
    });
    certificates.collect()
}
