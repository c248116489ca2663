//! Updates the accesses in memory: reads changed accesses from the database and applies them.

use std::sync::LazyLock;

use tokio_postgres::types::Type;

use super::epochs::{KnownEpochs, OF_EPOCHS, epochs_of};
use super::error::PgError;
use super::session::Value;
use super::snapshot::{read_accesses, read_or_suspend};
use super::store::PostgresStore;
use crate::{Access, ChangedAccess, StoreError};

/// Selects the changed accesses and the epochs in one statement, so that both come from the same state. Each access is looked up by
/// the index instead of a join with all accesses.
pub(super) static CHANGED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {OF_EPOCHS}, c.access AS name,
            (SELECT a.\"user\" FROM chatgate.accesses a WHERE a.name = c.access) AS \"user\",
            (SELECT client_id FROM chatgate.accesses a WHERE a.name = c.access) AS client_id,
            (SELECT document FROM chatgate.accesses a WHERE a.name = c.access) AS document
        FROM (VALUES (1)) AS one LEFT JOIN (SELECT DISTINCT access FROM chatgate.changes WHERE id > $1) c ON true"
    )
});

impl PostgresStore {
    /// Brings the accesses in memory up to date. Returns all epochs in the database, including that of the accesses.
    ///
    /// # Errors
    /// When the accesses can't be read. The accesses in memory stay as they were.
    pub(super) async fn load_accesses(&self) -> Result<KnownEpochs, StoreError> {
        let mut known = self.accesses_epoch().lock().await;
        let values: [Value<'_>; 1] = [(&*known, Type::INT8)];
        let rows = self.pool().read_prepared(&CHANGED, &values).await?;
        let mut seen = KnownEpochs::default();
        let mut changes = Vec::new();
        for row in &rows {
            let name: Option<String> = row.try_get("name").map_err(PgError::from)?;
            if let Some(name) = name {
                changes.push((name, read_or_suspend(row)?));
            }
            seen = epochs_of(row)?;
        }
        // After a failover the new server may lack changes that this process knows; all accesses are read again then.
        *known = seen.accesses.max(*known);
        self.replace(changes);
        Ok(seen)
    }

    /// Brings the accesses in memory to the state of the database, whatever their current state.
    ///
    /// # Errors
    /// When the accesses can't be read. The accesses in memory stay as they were.
    pub(super) async fn load_all_accesses(&self) -> Result<(), StoreError> {
        let mut known = self.accesses_epoch().lock().await;
        let (accesses, epoch) = read_accesses(self.connector()).await?;
        let before = self.memory().accesses.load_full();
        let gone = before
            .iter()
            .filter(|access| accesses.named(&access.name).is_none());
        let gone = gone.map(|access| (access.name.clone(), None));
        let there = accesses
            .iter()
            .map(|access| (access.name.clone(), Some(Access::clone(access))));
        *known = epoch;
        self.replace(gone.chain(there).collect());
        Ok(())
    }

    /// Applies committed changes of this replica in memory. `epoch` is the epoch of the last of these changes. If another replica has
    /// made an earlier change and it can't be read, the next heartbeat that succeeds applies all of them.
    pub(super) async fn put_in_force(&self, changes: Vec<ChangedAccess>, epoch: i64) {
        let mut known = self.accesses_epoch().lock().await;
        if *known >= epoch {
            return;
        }
        if *known == epoch - changes.len() as i64 {
            *known = epoch;
            self.replace(changes);
            return;
        }
        drop(known);
        if let Err(error) = self.load_accesses().await {
            let stored = KnownEpochs {
                accesses: epoch,
                ..KnownEpochs::default()
            };
            self.apply_later(stored, &error);
        }
    }

    /// Replaces accesses in memory. The caller holds the lock of the epoch.
    fn replace(&self, changes: Vec<ChangedAccess>) {
        self.memory().apply(changes);
    }
}
