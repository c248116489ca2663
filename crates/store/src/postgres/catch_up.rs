//! Brings what is in memory up to the database: what is newer there, and all of it after a failover, since the server that took over
//! may lack the last changes.

use std::sync::atomic::Ordering;

use tokio_postgres::types::Type;

use super::session::Value;
use super::store::{KnownEpochs, PostgresStore};
use crate::StoreError;

/// No epoch comes twice: each is at least what this process has known. That of the signing keys rises, so that every process reads
/// them anew. Does not wait for a standby, which the server that took over may not have yet: the heartbeat waits for this.
const RAISE: &str =
    "WITH alone AS MATERIALIZED (SELECT set_config('synchronous_commit', 'local', true))
    UPDATE chatgate.epochs SET epoch = greatest(epoch, CASE what
        WHEN 'accesses' THEN $1 WHEN 'admin_keys' THEN $2 ELSE $3 END) + (what = 'signing_keys')::int FROM alone";

impl PostgresStore {
    /// Reads what is newer in the database, and returns what is in force then.
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

    /// Reads accesses and keys whole if another server has taken over since they were read so: a change that it lacks would stay in
    /// force here, and one that it has would be taken for one that is known.
    ///
    /// # Errors
    /// When they can't be read; the next call tries again.
    pub(super) async fn read_after_failover(&self) -> Result<(), StoreError> {
        let timeline = self.primary().timeline();
        let before = self.whole_on.load(Ordering::Acquire);
        if timeline == before {
            return Ok(());
        }
        let known = self.epochs_in_force().await;
        let signing_keys = *self.signing_keys().borrow();
        let values: [Value<'_>; 3] = [
            (&known.accesses, Type::INT8),
            (&known.admin_keys, Type::INT8),
            (&signing_keys, Type::INT8),
        ];
        self.pool().write(RAISE, &values).await?;
        self.load_all_accesses().await?;
        self.load_admin_keys().await?;
        self.whole_on.store(timeline, Ordering::Release);
        tracing::warn!(
            timeline,
            "accesses and keys were read anew: another server of the database has taken over"
        );
        Ok(())
    }
}
