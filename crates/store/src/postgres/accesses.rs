//! Accesses: read whole at the start, and then what has changed.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::PgError;
use super::pool::PgPool;
use super::store::PostgresStore;
use crate::{Access, Accesses, ChangedAccess, StoreError};

/// All accesses, and the epoch that they are of.
pub(super) async fn read_accesses(pool: &PgPool) -> Result<(Accesses, i64), StoreError> {
    // One statement sees one state: the epoch is that of the rows.
    let all = "SELECT e.epoch, a.name, a.document FROM chatgate.epochs e LEFT JOIN chatgate.accesses a ON true
         WHERE e.what = 'accesses'";
    let rows = pool.read(all, &[]).await?;
    let epoch = rows.first().map(|row| row.try_get("epoch"));
    let epoch = epoch.transpose().map_err(PgError::from)?.unwrap_or(0);
    let accesses = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok((accesses.into_iter().flatten().collect(), epoch))
}

/// The access of a row, if there is one in it.
pub(super) fn read(row: &Row) -> Result<Option<Access>, StoreError> {
    let document: Option<&str> = row.try_get("document").map_err(PgError::from)?;
    let access = document.map(serde_json::from_str);
    access.transpose().map_err(|error| {
        let name = row.try_get::<_, &str>("name").unwrap_or_default();
        StoreError::new(format!("the access {name} can't be read: {error}"))
    })
}

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
        let rows = self.pool().read(changed, &[(&*known, Type::INT8)]).await?;
        let mut changes = Vec::new();
        for row in &rows {
            let name: Option<String> = row.try_get("name").map_err(PgError::from)?;
            if let Some(name) = name {
                changes.push((name, read(row)?));
            }
            *known = row.try_get("epoch").map_err(PgError::from)?;
        }
        self.replace(changes);
        Ok(*known)
    }

    /// Has changes of ours in force that are committed, up to this epoch. What others have changed before comes with the next load.
    pub(super) async fn put_in_force(&self, changes: Vec<ChangedAccess>, epoch: i64) {
        let mut known = self.accesses_epoch().lock().await;
        if *known == epoch - changes.len() as i64 {
            *known = epoch;
        }
        // A load that has come in between has brought them already, and perhaps what came after them.
        if *known <= epoch {
            self.replace(changes);
        }
    }

    /// Replaces accesses in memory. Called with the epoch held.
    fn replace(&self, changes: Vec<ChangedAccess>) {
        let accesses = self.memory().accesses.load().with(changes);
        self.memory().accesses.store(Arc::new(accesses));
    }
}
