//! A store in PostgreSQL: its state, its start and end, and how changes begin and end. Other files have its operations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::time::Instant;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::types::Type;

use super::connector::PgConnector;
use super::epochs::{EpochOf, KnownEpochs, read_epoch};
use super::error::PgError;
use super::ids::{ReplicaId, RowIds};
use super::journal::Lanes;
use super::key_lookups::KeyLookups;
use super::lease::{ClockReading, ReplicaLease, now_ms};
use super::migrations::migrate;
use super::options::{PostgresOptions, ReplicaOptions};
use super::pool::{PgLease, PgPool};
use super::primary::Primary;
use super::replica::register;
use super::seal::SealKeys;
use super::session::{PgSession, STATEMENT_MAX, Value};
use super::slow::SlowConnection;
use super::snapshot::{read_accesses, read_admin_keys, read_deployment, read_last_uses};
use super::table_version::TableVersion;
use crate::memory::StoreMemory;
use crate::{StoreError, random_bytes};

/// A store in PostgreSQL.
pub(crate) struct PostgresStore {
    pool: PgPool,
    pub(super) key_lookups: Arc<KeyLookups>,
    memory: Arc<StoreMemory>,
    deployment: String,
    seal: SealKeys,
    /// The key for hashes of destinations and of idempotency keys.
    pub(crate) journal_key: hmac::Key,
    ids: Arc<RowIds>,
    connector: Arc<PgConnector>,
    /// The connector without a pooler.
    direct: Arc<PgConnector>,
    pub(super) replica_options: ArcSwap<ReplicaOptions>,
    primary: Arc<Primary>,
    lease: Arc<ReplicaLease>,
    pub(crate) tables: TableVersion,
    /// The tasks that write the journal.
    pub(super) lanes: Option<Lanes>,
    /// The journal's size in bytes at the last clearing of rows within a day. The journal fills the freed room before it grows
    /// beyond this.
    pub(super) filled_day: AtomicU64,
    /// Starts the next heartbeat immediately.
    wake: Arc<Notify>,
    pub(super) heartbeat: parking_lot::Mutex<JoinSet<()>>,
    /// True if this process is about to end.
    pub(super) is_draining: AtomicBool,
    /// The epoch of the signing keys in the database.
    pub(super) signing_keys: watch::Sender<i64>,
    /// The epoch of the keys with which this process signs and verifies.
    pub(super) signing_keys_epoch: AtomicI64,
    /// The epoch as of which this process has last read the signing keys, including keys that it could not open.
    pub(super) signing_keys_read: AtomicI64,
    /// The epochs of changes that this process has stored and could not apply at that time.
    pub(super) unapplied: parking_lot::Mutex<KnownEpochs>,
    /// The epoch of the accesses in memory. Locked while they are replaced, so that an older state never replaces a newer one.
    accesses_epoch: Mutex<i64>,
    /// The epoch of the operators' keys in memory, locked in the same way.
    admin_keys_epoch: Mutex<i64>,
    /// The server's timeline on which the data in memory was last read completely.
    pub(super) complete_timeline: AtomicI64,
    /// The server's timeline on which this process has last raised the epochs to the values that it knew.
    pub(super) raised_timeline: AtomicI64,
}

impl PostgresStore {
    /// Connects, brings the tables up to date and reads the data for memory.
    pub(crate) async fn open(options: &PostgresOptions) -> Result<PostgresStore, StoreError> {
        let primary = Arc::new(Primary::new(options.is_replicated));
        let direct = PgConnector::direct(options.direct_url.clone(), &primary)?;
        let direct = Arc::new(direct);
        migrate(&direct, options.migrates).await?;
        let connector = if options.url == options.direct_url {
            Arc::clone(&direct)
        } else {
            Arc::new(PgConnector::new(options.url.clone(), &primary)?)
        };
        let pool = PgPool::new(Arc::clone(&connector), options.connections);
        let complete_timeline = primary.timeline();
        let deployment = read_deployment(&pool).await?;
        // No replica waits for this one yet, so the data may lack changes that are made while it is read.
        let current_at = Instant::now();
        let (accesses, accesses_epoch) = read_accesses(&connector).await?;
        let (admin_keys, admin_keys_epoch) = read_admin_keys(&pool).await?;
        let last_uses = read_last_uses(&pool).await?;
        let memory = StoreMemory::new(accesses, admin_keys, last_uses);
        let signing_keys = read_epoch(&pool, EpochOf::SigningKeys).await?;
        let (replica, lease) = begin_life(&pool, &options.replica, current_at).await?;
        let mut store = PostgresStore {
            pool,
            key_lookups: Arc::default(),
            memory: Arc::new(memory),
            deployment,
            seal: options.seal.clone(),
            journal_key: hmac::Key::new(hmac::HMAC_SHA256, &[]),
            ids: Arc::new(RowIds::of(replica)),
            connector,
            direct,
            replica_options: ArcSwap::from_pointee(options.replica.clone()),
            primary,
            lease: Arc::new(lease),
            tables: TableVersion::known(),
            lanes: None,
            filled_day: AtomicU64::new(0),
            wake: Arc::default(),
            heartbeat: parking_lot::Mutex::default(),
            is_draining: AtomicBool::new(false),
            signing_keys: watch::Sender::new(signing_keys),
            signing_keys_epoch: AtomicI64::new(signing_keys),
            signing_keys_read: AtomicI64::new(signing_keys),
            unapplied: parking_lot::Mutex::default(),
            accesses_epoch: Mutex::new(accesses_epoch),
            admin_keys_epoch: Mutex::new(admin_keys_epoch),
            complete_timeline: AtomicI64::new(complete_timeline),
            raised_timeline: AtomicI64::new(complete_timeline),
        };
        let material = store
            .key("journal", 0, || random_bytes(JOURNAL_KEY_BYTES))
            .await?;
        store.journal_key = hmac::Key::new(hmac::HMAC_SHA256, &material);
        store.pool.serve();
        let (journal, key) = (&store.memory.journal, &store.journal_key);
        let replica = (&store.ids, &store.lease);
        let server = (&store.connector, &store.primary);
        store.lanes = Some(Lanes::start(journal, key, replica, server));
        Ok(store)
    }

    /// Ends the tasks that write, and closes the connections.
    pub(crate) async fn close(&self) {
        if let Some(lanes) = &self.lanes {
            lanes.close().await;
        }
        self.leave().await;
        self.pool.close();
    }

    /// Ends only the heartbeat, like a process that is stopped.
    #[cfg(test)]
    pub(super) fn hush(&self) {
        drop(std::mem::take(&mut *self.heartbeat.lock()));
    }

    /// Runs the tasks of the heartbeat until the store is closed.
    pub(super) fn keep_heartbeat(&self, tasks: JoinSet<()>) {
        *self.heartbeat.lock() = tasks;
    }

    pub(super) fn direct(&self) -> &Arc<PgConnector> {
        &self.direct
    }

    /// Returns the connector for connections outside the pool.
    pub(super) fn connector(&self) -> &PgConnector {
        &self.connector
    }

    /// Makes a connection outside the pool.
    pub(super) async fn connect(&self) -> Result<PgSession, PgError> {
        self.connector.connect().await
    }

    /// Makes a connection outside the pool for slow statements.
    pub(super) fn slow(&self) -> SlowConnection<'_> {
        SlowConnection::new(&self.connector)
    }

    pub(crate) fn lease(&self) -> &ReplicaLease {
        &self.lease
    }

    pub(super) fn primary(&self) -> &Primary {
        &self.primary
    }

    /// Returns whether a standby has the written data, or does not need to have it.
    pub(crate) fn is_replicated(&self) -> bool {
        self.primary.is_replicated()
    }

    pub(super) fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }

    pub(crate) fn memory(&self) -> &Arc<StoreMemory> {
        &self.memory
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) fn deployment(&self) -> &str {
        &self.deployment
    }

    pub(super) fn seal(&self) -> &SealKeys {
        &self.seal
    }

    pub(super) fn ids(&self) -> &RowIds {
        &self.ids
    }

    pub(super) fn accesses_epoch(&self) -> &Mutex<i64> {
        &self.accesses_epoch
    }

    pub(super) fn admin_keys_epoch(&self) -> &Mutex<i64> {
        &self.admin_keys_epoch
    }

    /// Begins a change of data that replicas hold in memory. Returns a transaction in which no other process changes this data, and
    /// the epoch after this number of changes. The epoch is above all that this process has known, even if a new server has lost
    /// some.
    ///
    /// # Errors
    /// When the database can't be written or another change takes too long.
    pub(super) async fn begin_exclusive(
        &self,
        what: EpochOf,
        changes: i64,
    ) -> Result<(PgLease, i64), PgError> {
        // Read before a connection is taken, because a task that loads changes holds this lock while it waits for a connection. After
        // a failover it may hold the lock for longer than a caller waits.
        let known = match what {
            EpochOf::Accesses => *timeout(STATEMENT_MAX, self.accesses_epoch.lock())
                .await
                .map_err(|_| PgError::timed_out())?,
            EpochOf::AdminKeys => *self.admin_keys_epoch.lock().await,
            EpochOf::SigningKeys => *self.signing_keys.borrow(),
        };
        let mut lease = self.pool.take().await?;
        let begun = begin(&mut lease, (what, known), changes).await;
        match begun {
            Ok(epoch) => Ok((lease, epoch)),
            Err(error) => {
                self.pool.note(&error);
                Err(error)
            }
        }
    }

    /// Ends a change: commits it after success, and undoes it after an error.
    pub(super) async fn end<T, E: From<PgError>>(
        &self,
        mut lease: PgLease,
        changed: Result<T, E>,
    ) -> Result<T, E> {
        let ended = match changed {
            Ok(_) => lease.session.commit().await,
            Err(_) => lease.session.roll_back().await,
        };
        self.pool.return_connection(lease);
        if let Err(error) = ended {
            self.pool.note(&error);
            // The earlier error is more informative than the failure to undo the change.
            return changed.and(Err(error.into()));
        }
        changed
    }
}

/// Registers this life of the process, whose data is current as of this instant.
async fn begin_life(
    pool: &PgPool,
    options: &ReplicaOptions,
    current_at: Instant,
) -> Result<(ReplicaId, ReplicaLease), StoreError> {
    let (asked_at, asked_ms) = (Instant::now(), now_ms());
    let (replica, database_ms) = register(pool, options).await?;
    let lease = ReplicaLease::new(options.lease, current_at);
    let clock = ClockReading {
        asked_ms,
        database_ms,
        received_ms: now_ms(),
    };
    lease.renew((asked_at, Instant::now()), clock);
    Ok((replica, lease))
}

async fn begin(
    lease: &mut PgLease,
    (what, known): (EpochOf, i64),
    changes: i64,
) -> Result<i64, PgError> {
    let session = &mut lease.session;
    let raise = "UPDATE chatgate.epochs SET epoch = greatest(epoch, $3) + $2 WHERE what = $1 RETURNING epoch";
    let values: [Value<'_>; 3] = [
        (&what.name(), Type::TEXT),
        (&changes, Type::INT8),
        (&known, Type::INT8),
    ];
    let rows = session.begin_and_query(raise, &values).await?;
    let row = rows
        .first()
        .ok_or_else(|| PgError::new("the epoch is missing"))?;
    Ok(row.try_get("epoch")?)
}

/// Number of bytes of the key for hashes.
const JOURNAL_KEY_BYTES: usize = 32;
