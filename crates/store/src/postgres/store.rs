//! A store in PostgreSQL: what it holds, and how its verbs, each in a file of its own, come to read and write.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use tokio::sync::Mutex;
use tokio_postgres::types::Type;

use super::accesses::read_accesses;
use super::admin_keys::read_admin_keys;
use super::connector::PgConnector;
use super::error::PgError;
use super::ids::RowIds;
use super::last_uses::read_last_uses;
use super::migrations::migrate;
use super::options::PostgresOptions;
use super::pool::{PgLease, PgPool};
use super::replica::register;
use super::seal::SealKeys;
use super::session::Value;
use crate::memory::StoreMemory;
use crate::{Journal, StoreError};

/// A store in PostgreSQL.
pub(crate) struct PostgresStore {
    pool: PgPool,
    memory: Arc<StoreMemory>,
    deployment: String,
    seal: SealKeys,
    /// The key of the hashes of destinations and of idempotency keys.
    journal_key: hmac::Key,
    ids: RowIds,
    /// The epoch of the accesses in memory. Held while they are replaced, so that an older state never replaces a newer one.
    accesses_epoch: Mutex<i64>,
    /// The same of the keys of operators.
    admin_keys_epoch: Mutex<i64>,
}

/// What replicas keep in memory, by its name in the table of epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Epoch {
    Accesses,
    AdminKeys,
    SigningKeys,
}

impl Epoch {
    pub(super) fn name(self) -> &'static str {
        match self {
            Epoch::Accesses => "accesses",
            Epoch::AdminKeys => "admin_keys",
            Epoch::SigningKeys => "signing_keys",
        }
    }
}

impl PostgresStore {
    /// Connects, brings the tables up to date and reads all accesses.
    pub(crate) async fn open(options: &PostgresOptions) -> Result<PostgresStore, StoreError> {
        let direct = PgConnector::new(options.direct_url.clone())?;
        migrate(&direct, options.migrates).await?;
        let connector = Arc::new(PgConnector::new(options.url.clone())?);
        let pool = PgPool::new(connector, options.connections);
        let deployment = read_deployment(&pool).await?;
        let (accesses, accesses_epoch) = read_accesses(&pool).await?;
        let (admin_keys, admin_keys_epoch) = read_admin_keys(&pool).await?;
        let memory = StoreMemory {
            accesses: ArcSwap::from_pointee(accesses),
            admin_keys: ArcSwap::from_pointee(admin_keys),
            last_uses: read_last_uses(&pool).await?,
            journal: Arc::new(Journal::new()),
        };
        let replica = register(&pool, options).await?;
        let mut store = PostgresStore {
            pool,
            memory: Arc::new(memory),
            deployment,
            seal: options.seal.clone(),
            journal_key: hmac::Key::new(hmac::HMAC_SHA256, &[]),
            ids: RowIds::of(replica),
            accesses_epoch: Mutex::new(accesses_epoch),
            admin_keys_epoch: Mutex::new(admin_keys_epoch),
        };
        let material = store.key("journal", 0, new_journal_key).await?;
        store.journal_key = hmac::Key::new(hmac::HMAC_SHA256, &material);
        Ok(store)
    }

    /// Closes the connections.
    pub(crate) async fn close(&self) {
        self.pool.close();
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

    /// Begins a change of something that replicas keep in memory: a transaction, in which nobody else changes it, and the epoch
    /// after so many changes.
    ///
    /// # Errors
    /// When the database can't be written or another change takes too long.
    pub(super) async fn change_in_turn(
        &self,
        what: Epoch,
        changes: i64,
    ) -> Result<(PgLease, i64), PgError> {
        let mut lease = self.pool.take().await?;
        let begun = begin(&mut lease, what, changes).await;
        match begun {
            Ok(epoch) => Ok((lease, epoch)),
            Err(error) => {
                self.pool.note(&error);
                Err(error)
            }
        }
    }

    /// Ends a change: commits it if it went well, else undoes it.
    pub(super) async fn end<T, E: From<PgError>>(
        &self,
        mut lease: PgLease,
        changed: Result<T, E>,
    ) -> Result<T, E> {
        let ended = match changed {
            Ok(_) => lease.session.commit().await,
            Err(_) => lease.session.roll_back().await,
        };
        self.pool.give_back(lease);
        if let Err(error) = ended {
            self.pool.note(&error);
            // What failed before says more than that undoing it failed as well.
            return changed.and(Err(error.into()));
        }
        changed
    }
}

async fn begin(lease: &mut PgLease, what: Epoch, changes: i64) -> Result<i64, PgError> {
    let session = &mut lease.session;
    session.begin().await?;
    let raise = "UPDATE chatgate.epochs SET epoch = epoch + $2 WHERE what = $1 RETURNING epoch";
    let values: [Value<'_>; 2] = [(&what.name(), Type::TEXT), (&changes, Type::INT8)];
    let rows = session.query(raise, &values).await?;
    let row = rows
        .first()
        .ok_or_else(|| PgError::new("there is no epoch"))?;
    Ok(row.try_get("epoch")?)
}

async fn read_deployment(pool: &PgPool) -> Result<String, StoreError> {
    let rows = pool
        .read("SELECT id::text AS id FROM chatgate.deployment", &[])
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::new("the database names no deployment"))?;
    Ok(row.try_get("id").map_err(PgError::from)?)
}

/// Bytes of the key of hashes.
const JOURNAL_KEY_BYTES: usize = 32;

fn new_journal_key() -> Result<Vec<u8>, StoreError> {
    let mut key = vec![0; JOURNAL_KEY_BYTES];
    rand::fill(&mut key).map_err(|_| StoreError::new("the system has no random bytes"))?;
    Ok(key)
}
