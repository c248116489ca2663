//! Runs the jobs that repeat every few seconds next to the requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::request::record::log_counts;
use crate::serve::jobs;
use crate::state::current::Runtime;
use crate::state::snapshot::Snapshot;

/// Pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(10);

/// Pause between two checks that the store's file still exists. Sends that begin within this time may be lost together with the
/// file.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Number of rounds between two prunings by age, ten minutes in all. Each pruning adds a journal row, and these rows must not crowd
/// the journal. The size limit is checked in every round.
const ROUNDS_BETWEEN_CLEARINGS: u64 = 60;

/// Runs the jobs until the task is aborted. A slow issuer, upstream or disk does not delay other jobs.
pub(super) async fn run(runtime: Arc<Runtime>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut account_trial, mut clearing, mut saving) =
        (JoinSet::new(), JoinSet::new(), JoinSet::new());
    let mut endless_jobs = JoinSet::new();
    jobs::spawn(
        &mut endless_jobs,
        ("file of the store", &runtime),
        check_file,
    );
    jobs::spawn(&mut endless_jobs, ("webhooks", &runtime), |runtime| {
        let (webhooks, events) = (&runtime.process.webhooks, &runtime.process.events);
        webhooks::deliver(Arc::clone(webhooks), Arc::clone(events))
    });
    for round in 0_u64.. {
        interval.tick().await;
        let snapshot = runtime.snapshot();
        snapshot.store.journal().save_counts();
        log_counts(snapshot.store.journal(), Snapshot::now_ms());
        snapshot.forwarder.sweep();
        snapshot.metrics.requests.rank();
        if saving.try_join_next().is_some() || saving.is_empty() {
            let (snapshot, runtime) = (Arc::clone(&snapshot), Arc::clone(&runtime));
            saving.spawn(async move {
                snapshot.save_uses().await;
                runtime.prune_expired_keys().await;
            });
        }
        snapshot.tokens.refresh(snapshot.auth_now());
        if account_trial.try_join_next().is_some() || account_trial.is_empty() {
            let snapshot = Arc::clone(&snapshot);
            account_trial.spawn(async move { snapshot.forwarder.try_next_account().await });
        }
        if clearing.try_join_next().is_some() || clearing.is_empty() {
            let by_age = round % ROUNDS_BETWEEN_CLEARINGS == 0;
            let events = Arc::clone(&runtime.process.events);
            clearing.spawn(async move {
                clear_journal(snapshot, by_age).await;
                if let Err(error) = events.sweep().await {
                    tracing::warn!(%error, "the log of events could not be trimmed");
                }
            });
        }
    }
}

/// Checks repeatedly that the store's file still exists.
async fn check_file(runtime: Arc<Runtime>) {
    let mut interval = tokio::time::interval(CHECK_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        runtime.snapshot().store.check_file().await;
    }
}

/// Prunes journal rows and receipts that exceed the size limit, and with `by_age` also those that are too old.
async fn clear_journal(snapshot: Arc<Snapshot>, by_age: bool) {
    let (store, now_ms) = (&snapshot.store, Snapshot::now_ms());
    let mut cleared = store.clear_surplus(now_ms, &snapshot.retention).await;
    // Runs even if the pruning above failed, because the cause may affect only one of the two.
    if by_age {
        cleared = cleared.and(store.clear_old(now_ms, &snapshot.retention).await);
        let receipts_since = Snapshot::now().saturating_sub(snapshot.receipts_kept_s);
        cleared = cleared.and(store.clear_receipts(receipts_since).await);
    }
    if let Err(error) = cleared {
        tracing::warn!(%error, "old rows of the journal could not be deleted");
    }
    if let Err(error) = store.scrub().await {
        tracing::warn!(%error, "deleted data could not be overwritten yet");
    }
}
