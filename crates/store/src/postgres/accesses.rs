//! Accesses in memory: what has changed is read and put in force.

use tokio_postgres::types::Type;

use super::error::PgError;
use super::snapshot::read_access;
use super::store::PostgresStore;
use crate::{ChangedAccess, StoreError};

impl PostgresStore {
    /// Brings the accesses in memory up to date, and returns the epoch that they are of then.
    ///
    /// # Errors
    /// When they can't be read. Those in memory are what they were then.
    pub(super) async fn load_accesses(&self) -> Result<i64, StoreError> {
        let mut known = self.accesses_epoch().lock().await;
        let changed = "SELECT e.epoch, c.access AS name, a.document FROM chatgate.epochs e
             LEFT JOIN (SELECT DISTINCT access FROM chatgate.changes WHERE id > $1) c ON true
             LEFT JOIN chatgate.accesses a ON a.name = c.access
             WHERE e.what = 'accesses'";
        let rows = self
            .pool()
            .read_prepared(changed, &[(&*known, Type::INT8)])
            .await?;
        let mut changes = Vec::new();
        for row in &rows {
            let name: Option<String> = row.try_get("name").map_err(PgError::from)?;
            if let Some(name) = name {
                changes.push((name, read_access(row)?));
            }
            *known = row.try_get("epoch").map_err(PgError::from)?;
        }
        self.replace(changes);
        Ok(*known)
    }

    /// Has changes of ours in force that are committed, the last of them with this epoch.
    ///
    /// # Errors
    /// When others have changed something before and it can't be read. The next heartbeat that comes through reads all.
    pub(super) async fn put_in_force(
        &self,
        changes: Vec<ChangedAccess>,
        epoch: i64,
    ) -> Result<(), StoreError> {
        let mut known = self.accesses_epoch().lock().await;
        if *known >= epoch {
            return Ok(());
        }
        if *known == epoch - changes.len() as i64 {
            *known = epoch;
            self.replace(changes);
            return Ok(());
        }
        drop(known);
        self.load_accesses().await.map(drop)
    }

    /// Replaces accesses in memory. Called with the epoch held.
    fn replace(&self, changes: Vec<ChangedAccess>) {
        self.memory().apply(changes);
    }
}
