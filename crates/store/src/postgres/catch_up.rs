//! Brings the data in memory up to the state of the database: newer data in general, and all data after a failover, because the new
//! server may lack the last changes.

use std::sync::atomic::Ordering;

use tokio_postgres::types::Type;

use super::epochs::KnownEpochs;
use super::session::Value;
use super::store::PostgresStore;
use crate::StoreError;

/// Raises all epochs to at least the values that this process has known, so that no epoch is used twice. The epoch of the signing
/// keys always rises, so that every process reads the keys again. Does not wait for a standby, because the new server may not have
/// one yet and the heartbeat waits for this statement.
const RAISE: &str =
    "WITH alone AS MATERIALIZED (SELECT set_config('synchronous_commit', 'local', true))
    UPDATE chatgate.epochs SET epoch = greatest(epoch, CASE what
        WHEN 'accesses' THEN $1 WHEN 'admin_keys' THEN $2 ELSE $3 END) + (what = 'signing_keys')::int FROM alone";

impl PostgresStore {
    /// Reads newer data from the database. Returns the epochs that are in effect afterwards.
    pub(super) async fn catch_up(&self, seen: KnownEpochs) -> Result<KnownEpochs, StoreError> {
        self.read_after_failover().await?;
        let known = self.epochs_in_force().await;
        if seen.accesses > known.accesses {
            self.load_accesses().await?;
        }
        if seen.admin_keys > known.admin_keys {
            self.load_admin_keys().await?;
        }
        self.note_signing_keys(seen.signing_keys);
        Ok(self.epochs_in_force().await)
    }

    /// Reads all accesses and keys if another server has taken over since they were last read completely. Otherwise a change that
    /// the new server lacks would stay in effect here, and a new change with the same epoch would be taken for a known one.
    ///
    /// # Errors
    /// When they can't be read. The next call tries again.
    pub(super) async fn read_after_failover(&self) -> Result<(), StoreError> {
        let timeline = self.primary().timeline();
        let before = self.complete_timeline.load(Ordering::Acquire);
        if timeline == before {
            return Ok(());
        }
        if self.raised_timeline.load(Ordering::Acquire) != timeline {
            self.raise_epochs().await?;
            self.raised_timeline.store(timeline, Ordering::Release);
        }
        self.load_all_accesses().await?;
        self.load_admin_keys().await?;
        self.complete_timeline.store(timeline, Ordering::Release);
        tracing::warn!(
            timeline,
            "another server of the database has taken over: accesses and keys were read again"
        );
        Ok(())
    }

    async fn raise_epochs(&self) -> Result<(), StoreError> {
        let known = self.epochs_in_force().await.max(self.unapplied());
        let signing_keys = *self.signing_keys().borrow();
        let values: [Value<'_>; 3] = [
            (&known.accesses, Type::INT8),
            (&known.admin_keys, Type::INT8),
            (&signing_keys, Type::INT8),
        ];
        self.pool().write(RAISE, &values).await?;
        Ok(())
    }
}
