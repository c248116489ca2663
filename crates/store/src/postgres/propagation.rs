//! Waits until all replicas have the changes of this one, and lists the replicas.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::types::Type;

use super::error::PgError;
use super::session::{STATEMENT_MAX, Value};
use super::store::PostgresStore;
use crate::{Propagation, PropagationWait, ReplicaRow, StoreError};

/// The first and the longest pause between two polls. Most changes reach the replicas within some milliseconds or with the next
/// heartbeats, and few callers have to wait longer.
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(2);
const POLL_INTERVAL_MAX: Duration = Duration::from_millis(8);

/// Extra time beyond a lease for silent replicas, because a heartbeat that was under way may have renewed their leases once more.
const BEYOND_LEASE: Duration = Duration::from_secs(2);

impl PostgresStore {
    /// Waits until this replica's changes are in effect in every live replica. Ends after the maximum wait of an acknowledgement,
    /// or when the leases of silent replicas have expired, depending on `wait`.
    pub(crate) async fn await_propagation(
        &self,
        wait: PropagationWait,
    ) -> Result<Propagation, StoreError> {
        let options = self.replica_options.load();
        let most = match wait {
            PropagationWait::Acknowledgement => options.ack_wait,
            PropagationWait::Leases => options.lease + BEYOND_LEASE,
        };
        let spread = timeout(
            most + STATEMENT_MAX,
            self.await_propagation_until(Instant::now() + most),
        );
        let spread = spread.await;
        spread.map_err(|_| {
            StoreError::new("the database did not answer in time which replicas have the change")
        })?
    }

    async fn await_propagation_until(&self, until: Instant) -> Result<Propagation, StoreError> {
        let mut wanted = self.epochs_in_force().await.max(self.unapplied());
        wanted.signing_keys = wanted.signing_keys.max(*self.signing_keys().borrow());
        let has = "SELECT name, (id = $1 AND $5) OR (accesses >= $2 AND admin_keys >= $3 AND signing_keys >= $4) AS has
             FROM chatgate.replicas WHERE lease_until > now() ORDER BY id";
        let mut pause = POLL_INTERVAL_MIN;
        loop {
            // The row of this replica may be older than what is in effect here.
            let own = self.epochs_in_force().await;
            let has_own = own.accesses >= wanted.accesses && own.admin_keys >= wanted.admin_keys;
            let values: [Value<'_>; 5] = [
                (&self.ids().replica().id, Type::INT8),
                (&wanted.accesses, Type::INT8),
                (&wanted.admin_keys, Type::INT8),
                (&wanted.signing_keys, Type::INT8),
                (&has_own, Type::BOOL),
            ];
            let rows = self.pool().read_prepared(has, &values).await?;
            let mut pending = Vec::new();
            for row in &rows {
                if !row.try_get::<_, bool>("has").map_err(PgError::from)? {
                    pending.push(row.try_get("name").map_err(PgError::from)?);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if pending.is_empty() || left.is_zero() {
                return Ok(Propagation {
                    of: rows.len(),
                    replicas: rows.len() - pending.len(),
                    pending,
                });
            }
            sleep(left.min(pause)).await;
            pause = (pause * 2).min(POLL_INTERVAL_MAX);
        }
    }

    /// Returns all replicas, the oldest first, without replicas that ended a minute ago or earlier.
    pub(crate) async fn replicas(&self) -> Result<Vec<ReplicaRow>, StoreError> {
        let all = "SELECT id, name, version, encode(config, 'hex') AS config, draining, accesses, admin_keys, signing_keys,
             extract(epoch FROM started_at)::bigint AS started_at,
             (extract(epoch FROM lease_until - now()) * 1000)::bigint AS lease_ms,
             (SELECT sum(epoch)::bigint FROM chatgate.epochs) - accesses - admin_keys - signing_keys AS behind
             FROM chatgate.replicas WHERE NOT draining OR lease_until > now() - interval '1 min' ORDER BY id";
        let rows = self.pool().read(all, &[]).await?;
        let own = self.ids().replica().id;
        let read = |row: &tokio_postgres::Row| {
            let id: i64 = row.try_get("id")?;
            Ok(ReplicaRow {
                id,
                is_own: id == own,
                name: row.try_get("name")?,
                version: row.try_get("version")?,
                config: row.try_get("config")?,
                draining: row.try_get("draining")?,
                started_at: row.try_get("started_at")?,
                lease_ms: row.try_get("lease_ms")?,
                accesses: row.try_get("accesses")?,
                admin_keys: row.try_get("admin_keys")?,
                signing_keys: row.try_get("signing_keys")?,
                behind: row.try_get("behind")?,
            })
        };
        let rows: Result<Vec<ReplicaRow>, PgError> = rows.iter().map(read).collect();
        Ok(rows?)
    }
}
