//! Accesses in memory: what has changed is read and put in force.

use std::sync::LazyLock;

use tokio_postgres::types::Type;

use super::error::PgError;
use super::heartbeat::{OF_EPOCHS, epochs_of};
use super::session::Value;
use super::snapshot::{read_access, read_accesses};
use super::store::{KnownEpochs, PostgresStore};
use crate::{Access, ChangedAccess, StoreError};

/// The accesses that have changed, and the epochs: one statement sees one state. Each is looked for by the index, and not joined with
/// all there are.
pub(super) static CHANGED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {OF_EPOCHS}, c.access AS name, (SELECT document FROM chatgate.accesses a WHERE a.name = c.access) AS document
        FROM (VALUES (1)) AS one LEFT JOIN (SELECT DISTINCT access FROM chatgate.changes WHERE id > $1) c ON true"
    )
});

impl PostgresStore {
    /// Brings the accesses in memory up to date, and returns the epochs in the database, theirs among them.
    ///
    /// # Errors
    /// When they can't be read. Those in memory are what they were then.
    pub(super) async fn load_accesses(&self) -> Result<KnownEpochs, StoreError> {
        let mut known = self.accesses_epoch().lock().await;
        let values: [Value<'_>; 1] = [(&*known, Type::INT8)];
        let rows = self.pool().read_prepared(&CHANGED, &values).await?;
        let mut seen = KnownEpochs::default();
        let mut changes = Vec::new();
        for row in &rows {
            let name: Option<String> = row.try_get("name").map_err(PgError::from)?;
            if let Some(name) = name {
                changes.push((name, read_access(row)?));
            }
            seen = epochs_of(row)?;
        }
        // A server that took over may know of fewer changes: what is in memory is read whole then.
        *known = seen.accesses.max(*known);
        self.replace(changes);
        Ok(seen)
    }

    /// Brings the accesses in memory to the state of the database, whatever they were.
    ///
    /// # Errors
    /// When they can't be read. Those in memory are what they were then.
    pub(super) async fn load_all_accesses(&self) -> Result<(), StoreError> {
        let mut known = self.accesses_epoch().lock().await;
        let (accesses, epoch) = read_accesses(self.pool()).await?;
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
