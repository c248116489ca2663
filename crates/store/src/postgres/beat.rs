//! One heartbeat: a statement that renews the lease of this replica, reads the epochs and counts the replicas.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::epochs::{KnownEpochs, OF_EPOCHS, epochs_of};
use super::error::PgError;
use super::lease::{ClockReading, now_ms};
use super::primary::OF_SERVER;
use super::replica::{drain, register};
use super::session::{PgSession, Value};
use super::store::PostgresStore;
use super::table_version::OF_TABLES;
use crate::StoreError;

/// Never shortens a lease, because a heartbeat whose connection has broken may be carried out after a later one, with the time of
/// its own start. Does not wait for a standby, so that a replica whose data is current may serve reads even when nothing can be
/// sent. Does not renew the lease of a replica that has left, so that a heartbeat still on its way does not bring it back. Renews a
/// lease that is over only if the replica knows that it is over, because until then the replica may use its old data.
static BEAT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH rule AS MATERIALIZED (
        SELECT current_setting('synchronous_commit') AS synchronous
    ), alone AS MATERIALIZED (
        SELECT synchronous, set_config('synchronous_commit', 'local', true) FROM rule
    ), own AS MATERIALIZED (
        SELECT greatest(0, floor(extract(epoch FROM now() - lease_until) * 1000) + 1)::bigint AS over_ms FROM chatgate.replicas
        WHERE id = $1 AND (lease_until > now() OR NOT draining)
    ), beat AS (
        UPDATE chatgate.replicas SET lease_until = greatest(lease_until, now() + $2 * interval '1 ms'),
            accesses = $3, admin_keys = $4, signing_keys = $5, config = $6,
            figures = jsonb_build_object('written_to_ms', least($8, (extract(epoch FROM now()) * 1000)::bigint))
        WHERE id = $1 AND (lease_until > now() OR ($7 AND NOT draining))
    ) SELECT over_ms,
        {OF_EPOCHS},
        {OF_REPLICAS},
        (SELECT count(DISTINCT config) FROM chatgate.replicas r WHERE r.id = $1 OR r.lease_until > now()) AS configurations,
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms,
        {OF_SERVER},
        {OF_TABLES}
    FROM own, alone"
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

/// Reports the epochs in effect here, over the connection of the heartbeat.
pub(super) async fn publish_state(
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
pub(super) async fn beat(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
    in_force: KnownEpochs,
) -> Result<Option<(Instant, KnownEpochs)>, StoreError> {
    let mut session = ensure_connected(store, connection).await?;
    let mut beaten = beat_on_session(store, &mut session, (in_force, false)).await?;
    if let Some(first) = &beaten
        && let Some(over) = over_since(&first.row)?
    {
        // The lease is not renewed before this process knows that it is over.
        store.lease().expire(over, Instant::now());
        beaten = beat_on_session(store, &mut session, (in_force, true)).await?;
    }
    let Some(beaten) = beaten else {
        begin_next_life(store).await?;
        return Ok(None);
    };
    let seen = observe(store, &beaten)?;
    *connection = Some(session);
    Ok(Some((beaten.sent, seen)))
}

/// The answer to a heartbeat.
struct BeatAnswer {
    /// The time of the request, by this process's monotonic clock and by its machine's clock.
    sent: Instant,
    asked_ms: i64,
    row: Row,
}

/// Sends one heartbeat, and renews a lease that is over only if this process knows that. Returns `None` if the row of this life is
/// gone.
async fn beat_on_session(
    store: &PostgresStore,
    session: &mut PgSession,
    (in_force, knows_over): (KnownEpochs, bool),
) -> Result<Option<BeatAnswer>, StoreError> {
    let (sent, asked_ms) = (Instant::now(), now_ms());
    let lease_ms = i64::try_from(store.lease().length().as_millis()).unwrap_or(i64::MAX);
    let options = store.replica_options.load();
    // All rows before this time are written.
    let written_to_ms = store.memory().journal.queue.oldest_ms();
    let written_to_ms = written_to_ms.map_or(asked_ms, |oldest_ms| oldest_ms.min(asked_ms));
    let written_to_ms = store.lease().database_ms(written_to_ms);
    let values: [Value<'_>; 8] = [
        (&store.ids().replica().id, Type::INT8),
        (&lease_ms, Type::INT8),
        (&in_force.accesses, Type::INT8),
        (&in_force.admin_keys, Type::INT8),
        (&in_force.signing_keys, Type::INT8),
        (&options.config, Type::BYTEA),
        (&knows_over, Type::BOOL),
        (&written_to_ms, Type::INT8),
    ];
    let rows = session.query_prepared(&BEAT, &values).await?;
    Ok(rows.into_iter().next().map(|row| BeatAnswer {
        sent,
        asked_ms,
        row,
    }))
}

/// Returns how long the lease had been over by the database's clock, or `None` if it had not.
fn over_since(row: &Row) -> Result<Option<Duration>, PgError> {
    let over_ms: i64 = row.try_get("over_ms")?;
    Ok((over_ms > 0).then(|| Duration::from_millis(over_ms.unsigned_abs())))
}

/// Begins the next life, because the row of this life was deleted. The data in memory may be of any age.
async fn begin_next_life(store: &PostgresStore) -> Result<(), StoreError> {
    let options = store.replica_options.load_full();
    let (replica, _) = register(store.pool(), &options).await?;
    tracing::warn!("this replica was considered dead and continues under a new replica id");
    store.lease().expire(Duration::ZERO, Instant::now());
    store.ids().begin(replica);
    if store.is_draining() {
        drain(store.pool(), replica).await?;
    }
    Ok(())
}

/// Records what an answer reports about the server, the tables, the lease and the other replicas. Returns the epochs in the database.
fn observe(store: &PostgresStore, beaten: &BeatAnswer) -> Result<KnownEpochs, StoreError> {
    let (row, lease) = (&beaten.row, store.lease());
    store.primary().observe(row)?;
    store.tables.observe(row)?;
    if let Some(lanes) = &store.lanes {
        lanes.check_failover();
    }
    lease.set_configurations(count_in(row, "configurations")?);
    lease.set_replicas(count_in(row, "replicas")?);
    let clock = ClockReading {
        asked_ms: beaten.asked_ms,
        database_ms: row.try_get("now_ms").map_err(PgError::from)?,
        received_ms: now_ms(),
    };
    lease.renew((beaten.sent, Instant::now()), clock);
    Ok(epochs_of(row)?)
}

fn count_in(row: &Row, name: &str) -> Result<u32, PgError> {
    let count: i64 = row.try_get(name)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}
