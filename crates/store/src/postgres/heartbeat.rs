//! The heartbeat: one statement renews the lease, reads the epochs and counts the replicas; what has a newer epoch is read and put
//! in force. A notification only has that read sooner: nothing is in force because a message came, and none that is lost keeps a
//! change away. Whoever has made a change reads how far the others are: nobody notifies anybody of that.

use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connector::{Notified, PgConnector};
use super::error::PgError;
use super::lease::now_ms;
use super::options::ReplicaOptions;
use super::primary::OF_SERVER;
use super::receipts::look_up_on;
use super::replica::{drain, register};
use super::session::{PgSession, Value};
use super::store::{KnownEpochs, PostgresStore};
use super::table_version::OF_TABLES;
use crate::StoreError;

/// Pause between two heartbeats: the longest that a change waits when its notification is lost.
const INTERVAL: Duration = Duration::from_secs(1);

/// Pause before a connection that listens is made again. The heartbeat goes on meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// How often a connection that listens is asked whether it is still there: it says nothing by itself.
const LISTEN_CHECK: Duration = Duration::from_secs(10);

/// Never shortens a lease: a heartbeat whose connection has broken may be carried out after a later one, with the time of its own
/// beginning. Does not wait for a standby: a replica that knows what is true may serve reads although nothing can be sent. One
/// that has left stays away: a heartbeat that was still on its way does not bring it back.
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

/// The epochs, as [`epochs_of`] reads them.
pub(super) const OF_EPOCHS: &str =
    "(SELECT epoch FROM chatgate.epochs WHERE what = 'accesses') AS accesses,
    (SELECT epoch FROM chatgate.epochs WHERE what = 'admin_keys') AS admin_keys,
    (SELECT epoch FROM chatgate.epochs WHERE what = 'signing_keys') AS signing_keys";

/// How many replicas there are that serve, this one among them.
const OF_REPLICAS: &str = "(SELECT count(*) FROM chatgate.replicas r WHERE r.id = $1 OR (r.lease_until > now() AND NOT r.draining)) AS replicas";

/// Says what is in force here, counts the replicas, and renews nothing: it waits for no disk. Where the server forgets it, others wait
/// for the next heartbeat.
static SAY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH alone AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
        UPDATE chatgate.replicas SET accesses = $2, admin_keys = $3, signing_keys = $4 FROM alone WHERE id = $1
        RETURNING {OF_REPLICAS}"
    )
});

/// Starts the heartbeat of a store, and what wakes it. Both end with the store.
pub(crate) fn start_heartbeat(store: &Arc<PostgresStore>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(beat_on(Arc::downgrade(store), Arc::clone(store.wake())));
    tasks.spawn(listen_on(Arc::downgrade(store), Arc::clone(store.direct())));
    tasks.spawn(look_up_on(
        Arc::downgrade(store),
        Arc::clone(&store.look_ups),
    ));
    store.keep_heartbeat(tasks);
}

impl PostgresStore {
    /// Says with the next heartbeat that this process has another configuration.
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
        // What can't be taken over in between is left to a heartbeat, which comes at once then.
        let is_done = Instant::now() < due && take_over(&store, &mut connection).await.is_ok();
        if !is_done {
            beat_and_note(&store, &mut connection).await;
            due = Instant::now() + INTERVAL;
        }
        drop(store);
        let until_due = due.saturating_duration_since(Instant::now());
        let _ = timeout(until_due, wake.notified()).await;
    }
}

async fn beat_and_note(store: &PostgresStore, connection: &mut Option<PgSession>) {
    let heard = &store.memory().journal.heard;
    heard.begins(Instant::now());
    match beat_once(store, connection).await {
        Err(error) if heard.failed(error.to_string()) => {
            tracing::error!(%error, "the database does not answer this replica's heartbeat");
        }
        Ok(()) if heard.succeeded() => {
            tracing::warn!("the database answers this replica's heartbeat again");
        }
        _ => {}
    }
}

/// Renews the lease; where an epoch is newer than what is in force here, reads what has changed, and says so at once.
async fn beat_once(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
) -> Result<(), StoreError> {
    let known = store.epochs_in_force().await;
    let seen = beat(store, connection, known).await?;
    let in_force = store.catch_up(seen).await?;
    if in_force != known {
        say(store, connection, in_force).await?;
    }
    Ok(())
}

/// Reads what has changed, puts it in force and says so, for no longer than between two heartbeats: the lease must not wait for it.
async fn take_over(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
) -> Result<(), StoreError> {
    let taken = timeout(INTERVAL, async {
        let seen = store.load_accesses().await?;
        let in_force = store.catch_up(seen).await?;
        say(store, connection, in_force).await
    });
    taken
        .await
        .map_err(|_| StoreError::new("changes can't be read in time"))?
}

/// Says what is in force here, over the connection that is kept for the heartbeat.
async fn say(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
    in_force: KnownEpochs,
) -> Result<(), StoreError> {
    let mut session = kept(store, connection).await?;
    let values: [Value<'_>; 4] = [
        (&store.ids().replica().id, Type::INT8),
        (&in_force.accesses, Type::INT8),
        (&in_force.admin_keys, Type::INT8),
        (&in_force.signing_keys, Type::INT8),
    ];
    let said = session.query_prepared(&SAY, &values).await?;
    *connection = Some(session);
    let Some(row) = said.first() else {
        return Err(StoreError::new("this replica's row is gone"));
    };
    // Before its first second is over, one that has just begun has to know of how many it is one.
    store.lease().set_replicas(count_in(row, "replicas")?);
    Ok(())
}

/// The connection, or another one if it is lost. Dropped on the way unless all went well: the next one to ask comes over another.
async fn kept(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
) -> Result<PgSession, PgError> {
    match connection.take().filter(PgSession::is_usable) {
        Some(session) => Ok(session),
        None => store.connect().await,
    }
}

/// The epochs of a row that has [`OF_EPOCHS`].
pub(super) fn epochs_of(row: &Row) -> Result<KnownEpochs, PgError> {
    Ok(KnownEpochs {
        accesses: row.try_get("accesses")?,
        admin_keys: row.try_get("admin_keys")?,
        signing_keys: row.try_get("signing_keys")?,
    })
}

/// One heartbeat over the connection that is kept for it.
async fn beat(
    store: &PostgresStore,
    connection: &mut Option<PgSession>,
    in_force: KnownEpochs,
) -> Result<KnownEpochs, StoreError> {
    let mut session = kept(store, connection).await?;
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
        // Somebody has taken this life's row away: the next one begins.
        let (replica, _) = register(store.pool(), &options).await?;
        tracing::warn!("this replica was taken for dead, and goes on as another one");
        store.lease().end_term();
        store.ids().begin(replica);
        if store.is_draining() {
            drain(store.pool(), replica).await?;
        }
        return Ok(in_force);
    };
    store.primary().observe(row)?;
    store.tables.observe(row)?;
    if let Some(lanes) = &store.lanes {
        lanes.look_for_failover();
    }
    let read = |name| row.try_get::<_, i64>(name).map_err(PgError::from);
    let lease = store.lease();
    lease.set_configurations(count_in(row, "configurations")?);
    lease.set_replicas(count_in(row, "replicas")?);
    lease.renew((sent, Instant::now()), read("now_ms")? - asked_ms);
    let seen = epochs_of(row)?;
    *connection = Some(session);
    Ok(seen)
}

fn count_in(row: &Row, name: &str) -> Result<u32, PgError> {
    let count: i64 = row.try_get(name)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Listens for changes, over a connection of its own that no pooler hands to others.
async fn listen_on(store: Weak<PostgresStore>, direct: Arc<PgConnector>) {
    while store.strong_count() > 0 {
        if let Ok((mut session, mut notified)) = direct.connect_to_listen().await
            && session.batch("LISTEN chatgate").await.is_ok()
        {
            pass_on(&store, &mut session, &mut notified).await;
        }
        sleep(LISTEN_AGAIN).await;
    }
}

/// Passes on what is said until the connection ends.
async fn pass_on(store: &Weak<PostgresStore>, session: &mut PgSession, notified: &mut Notified) {
    // What was said while nobody listened is lost: everything is looked at.
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
