//! The heartbeat. One statement renews the lease, reads the epochs and counts the replicas; data with a newer epoch is then read
//! and applied. A notification only makes this read earlier: nothing takes effect because of a message alone, and a lost message
//! does not keep a change away. A replica that has made a change polls the state of the others; they do not notify it.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::beat::{beat, publish_state};
use super::connector::{NotificationReceiver, PgConnector};
use super::epochs::KnownEpochs;
use super::options::ReplicaOptions;
use super::receipts::run_lookups;
use super::session::PgSession;
use super::store::PostgresStore;
use crate::StoreError;
use crate::restart::restart_on_panic;

/// Pause between two heartbeats: the longest delay of a change whose notification was lost.
const INTERVAL: Duration = Duration::from_secs(1);

/// Pause before a listening connection is made again. The heartbeat continues in the meantime.
const LISTEN_RETRY: Duration = Duration::from_secs(1);

/// Interval at which a silent listening connection is checked, because it does not report its own loss.
const LISTEN_CHECK: Duration = Duration::from_secs(10);

/// Starts the heartbeat of a store, its listener for notifications, and its lookups. All of them end with the store.
pub(crate) fn start_heartbeat(store: &Arc<PostgresStore>) {
    let mut tasks = JoinSet::new();
    let (weak, wake) = (Arc::downgrade(store), Arc::clone(store.wake()));
    tasks.spawn(async move {
        restart_on_panic("heartbeat", || {
            beat_on(Weak::clone(&weak), Arc::clone(&wake))
        })
        .await;
    });
    let (weak, direct) = (Arc::downgrade(store), Arc::clone(store.direct()));
    tasks.spawn(async move {
        let listen = || listen_on(Weak::clone(&weak), Arc::clone(&direct));
        restart_on_panic("changes of other replicas", listen).await;
    });
    let (weak, lookups) = (Arc::downgrade(store), Arc::clone(&store.key_lookups));
    tasks.spawn(async move {
        let look_up = || run_lookups(Weak::clone(&weak), Arc::clone(&lookups));
        restart_on_panic("lookups of keys", look_up).await;
    });
    store.keep_heartbeat(tasks);
}

impl PostgresStore {
    /// Sets the digest of a new configuration, which the next heartbeat reports.
    pub(crate) fn configured(&self, digest: &[u8]) {
        self.replica_options.rcu(|options| ReplicaOptions {
            config: digest.to_vec(),
            ..ReplicaOptions::clone(options)
        });
    }
}

async fn beat_on(store: Weak<PostgresStore>, wake: Arc<Notify>) {
    let (mut connection, mut due) = (None, Instant::now());
    loop {
        let Some(store) = store.upgrade() else { return };
        // If the changes can't be read between two heartbeats, the next heartbeat runs immediately and reads them.
        let is_done = Instant::now() < due && take_over(&store, &mut connection).await.is_ok();
        if !is_done {
            beat_and_apply(&store, &mut connection).await;
            due = Instant::now() + INTERVAL;
        }
        drop(store);
        let until_due = due.saturating_duration_since(Instant::now());
        let _ = timeout(until_due, wake.notified()).await;
    }
}

async fn beat_and_apply(store: &PostgresStore, connection: &mut Option<PgSession>) {
    let health = &store.memory().journal.heartbeat_health;
    health.begins(Instant::now());
    match beat_once(store, connection).await {
        Err(error) if health.failed(error.to_string()) => {
            tracing::error!(%error, "this replica's heartbeat failed: it may lack changes of other replicas");
        }
        Ok(()) if health.succeeded() => {
            tracing::warn!("this replica's heartbeat succeeds again");
        }
        _ => {}
    }
}

/// Renews the lease. If an epoch is newer than the one in effect here, reads the changes and reports the new epochs immediately.
/// The data in memory counts as current as of this heartbeat only after that, because a replica that was stopped lacks changes for
/// which the others have not waited.
async fn beat_once(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
) -> Result<(), StoreError> {
    let known = store.epochs_in_force().await;
    let Some((asked_at, seen)) = beat(store, connection, known).await? else {
        return Ok(());
    };
    let in_force = catch_up_and_beat(store, connection, (known, seen)).await?;
    if store.has_read_signing_keys(seen.signing_keys) {
        store.lease().set_current((asked_at, Instant::now()));
    }
    if in_force != known {
        publish_state(store, connection, in_force).await?;
    }
    Ok(())
}

/// Reads newer data. Renews the lease once in a while if that takes long, as it may after a failover, so that the others do not
/// consider this replica dead.
async fn catch_up_and_beat(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
    (known, seen): (KnownEpochs, KnownEpochs),
) -> Result<KnownEpochs, StoreError> {
    let mut caught_up = pin!(store.catch_up(seen));
    loop {
        if let Ok(in_force) = timeout(INTERVAL, &mut caught_up).await {
            return in_force;
        }
        if let Err(error) = beat(store, connection, known).await {
            tracing::debug!(%error, "the lease could not be renewed while changes are read");
        }
    }
}

/// Reads changes, applies them and reports the new epochs. Takes no longer than the pause between two heartbeats, so that the lease
/// does not have to wait.
async fn take_over(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
) -> Result<(), StoreError> {
    let taken = timeout(INTERVAL, async {
        let seen = store.load_accesses().await?;
        let in_force = store.catch_up(seen).await?;
        publish_state(store, connection, in_force).await
    });
    taken
        .await
        .map_err(|_| StoreError::new("changes could not be read in time"))?
}

/// Listens for changes over a separate connection, which no pooler shares with others.
async fn listen_on(store: Weak<PostgresStore>, direct: Arc<PgConnector>) {
    while store.strong_count() > 0 {
        if let Ok((mut session, mut notified)) = direct.connect_to_listen().await
            && session.batch("LISTEN chatgate").await.is_ok()
        {
            pass_on(&store, &mut session, &mut notified).await;
        }
        sleep(LISTEN_RETRY).await;
    }
}

/// Passes on notifications until the connection ends.
async fn pass_on(
    store: &Weak<PostgresStore>,
    session: &mut PgSession,
    notified: &mut NotificationReceiver,
) {
    // Notifications that came while no connection listened are lost, so everything is checked.
    if let Some(store) = store.upgrade() {
        store.wake().notify_one();
    }
    loop {
        match timeout(LISTEN_CHECK, notified.recv()).await {
            Ok(Some(())) => {}
            Ok(None) => return,
            Err(_) if session.query("SELECT 1", &[]).await.is_err() => return,
            Err(_) => continue,
        }
        let Some(store) = store.upgrade() else { return };
        store.wake().notify_one();
    }
}
