//! The heartbeat. One statement renews the lease, reads the epochs and counts the replicas; data with a newer epoch is then read
//! and applied. A notification only makes this read earlier: nothing takes effect because of a message alone, and a lost message
//! does not keep a change away. A replica that has made a change polls the state of the others; they do not notify it.

use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connector::{NotificationReceiver, PgConnector};
use super::epochs::{KnownEpochs, OF_EPOCHS, epochs_of};
use super::error::PgError;
use super::lease::now_ms;
use super::options::ReplicaOptions;
use super::primary::OF_SERVER;
use super::receipts::run_lookups;
use super::replica::{drain, register};
use super::session::{PgSession, Value};
use super::store::PostgresStore;
use super::table_version::OF_TABLES;
use crate::StoreError;

/// Pause between two heartbeats: the longest delay of a change whose notification was lost.
const INTERVAL: Duration = Duration::from_secs(1);

/// Pause before a listening connection is made again. The heartbeat continues in the meantime.
const LISTEN_RETRY: Duration = Duration::from_secs(1);

/// Interval at which a silent listening connection is checked, because it does not report its own loss.
const LISTEN_CHECK: Duration = Duration::from_secs(10);

/// Never shortens a lease, because a heartbeat whose connection has broken may be carried out after a later one, with the time of
/// its own start. Does not wait for a standby, so that a replica whose data is current may serve reads even when nothing can be
/// sent. Does not renew the lease of a replica that has left, so that a heartbeat still on its way does not bring it back.
static BEAT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH rule AS MATERIALIZED (
        SELECT current_setting('synchronous_commit') AS synchronous
    ), alone AS MATERIALIZED (
        SELECT synchronous, set_config('synchronous_commit', 'local', true) FROM rule
    ), beat AS (
        UPDATE chatgate.replicas SET lease_until = greatest(lease_until, now() + $2 * interval '1 ms'),
            accesses = $3, admin_keys = $4, signing_keys = $5, config = $6
        WHERE id = $1 AND (lease_until > now() OR NOT draining) RETURNING id
    ) SELECT
        {OF_EPOCHS},
        {OF_REPLICAS},
        (SELECT count(DISTINCT config) FROM chatgate.replicas r WHERE r.id = $1 OR r.lease_until > now()) AS configurations,
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms,
        {OF_SERVER},
        {OF_TABLES}
    FROM beat, alone"
    )
});

/// Counts the serving replicas, including this one.
const OF_REPLICAS: &str = "(SELECT count(*) FROM chatgate.replicas r WHERE r.id = $1 OR (r.lease_until > now() AND NOT r.draining)) AS replicas";

/// Reports the epochs in effect here and counts the replicas. Renews no lease and does not wait for the disk. If the server loses
/// the report in a crash, the other replicas wait for the next heartbeat.
static SAY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH alone AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
        UPDATE chatgate.replicas SET accesses = $2, admin_keys = $3, signing_keys = $4 FROM alone WHERE id = $1
        RETURNING {OF_REPLICAS}"
    )
});

/// Starts the heartbeat of a store, its listener for notifications, and its lookups. All of them end with the store.
pub(crate) fn start_heartbeat(store: &Arc<PostgresStore>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(beat_on(Arc::downgrade(store), Arc::clone(store.wake())));
    tasks.spawn(listen_on(Arc::downgrade(store), Arc::clone(store.direct())));
    tasks.spawn(run_lookups(
        Arc::downgrade(store),
        Arc::clone(&store.key_lookups),
    ));
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
    let in_force = store.catch_up(seen).await?;
    if store.has_read_signing_keys(seen.signing_keys) {
        store.lease().set_current((asked_at, Instant::now()));
    }
    if in_force != known {
        publish_state(store, connection, in_force).await?;
    }
    Ok(())
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

/// Reports the epochs in effect here, over the connection of the heartbeat.
async fn publish_state(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
    in_force: KnownEpochs,
) -> Result<(), StoreError> {
    let mut session = ensure_connected(store, connection).await?;
    let values: [Value<'_>; 4] = [
        (&store.ids().replica().id, Type::INT8),
        (&in_force.accesses, Type::INT8),
        (&in_force.admin_keys, Type::INT8),
        (&in_force.signing_keys, Type::INT8),
    ];
    let said = session.query_prepared(&SAY, &values).await?;
    *connection = Some(session);
    let Some(row) = said.first() else {
        return Err(StoreError::new("this replica's row was deleted"));
    };
    // A new replica has to learn the number of replicas within its first second.
    store.lease().set_replicas(count_in(row, "replicas")?);
    Ok(())
}

/// Takes the connection, or makes another one if the connection is lost. The caller puts it back only after success, so that the
/// next request after a failure uses another connection.
async fn ensure_connected(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
) -> Result<PgSession, PgError> {
    match connection.take().filter(PgSession::is_usable) {
        Some(session) => Ok(session),
        None => store.connect().await,
    }
}

/// Sends one heartbeat over the connection of the heartbeat. Returns the time of the request and the epochs in the database, or
/// `None` if the row of this life was gone and another life has begun.
async fn beat(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
    in_force: KnownEpochs,
) -> Result<Option<(Instant, KnownEpochs)>, StoreError> {
    let mut session = ensure_connected(store, connection).await?;
    let (sent, asked_ms) = (Instant::now(), now_ms());
    let lease_ms = i64::try_from(store.lease().length().as_millis()).unwrap_or(i64::MAX);
    let options = store.replica_options.load_full();
    let values: [Value<'_>; 6] = [
        (&store.ids().replica().id, Type::INT8),
        (&lease_ms, Type::INT8),
        (&in_force.accesses, Type::INT8),
        (&in_force.admin_keys, Type::INT8),
        (&in_force.signing_keys, Type::INT8),
        (&options.config, Type::BYTEA),
    ];
    let rows = session.query_prepared(&BEAT, &values).await?;
    let Some(row) = rows.first() else {
        // The row of this life has been deleted, so the next life begins.
        let (replica, _) = register(store.pool(), &options).await?;
        tracing::warn!("this replica was considered dead and continues under a new replica id");
        store.lease().end_term(Instant::now());
        store.ids().begin(replica);
        if store.is_draining() {
            drain(store.pool(), replica).await?;
        }
        return Ok(None);
    };
    store.primary().observe(row)?;
    store.tables.observe(row)?;
    if let Some(lanes) = &store.lanes {
        lanes.check_failover();
    }
    let read = |name| row.try_get::<_, i64>(name).map_err(PgError::from);
    let lease = store.lease();
    lease.set_configurations(count_in(row, "configurations")?);
    lease.set_replicas(count_in(row, "replicas")?);
    lease.renew((sent, Instant::now()), read("now_ms")? - asked_ms);
    let seen = epochs_of(row)?;
    *connection = Some(session);
    Ok(Some((sent, seen)))
}

fn count_in(row: &Row, name: &str) -> Result<u32, PgError> {
    let count: i64 = row.try_get(name)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
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
