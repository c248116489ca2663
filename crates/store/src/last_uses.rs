//! Notes and saves last uses.

use crate::last_use::LastUse;
use crate::store::Engine;
use crate::{Access, Store, StoreError};

impl Store {
    /// Notes that an access was admitted. Does not access the disk.
    pub fn note_use(&self, access: &Access, last: LastUse) {
        self.memory().last_uses.note(&access.client_id, last);
    }

    /// Returns the last use of the access, if there was one.
    #[must_use]
    pub fn last_use(&self, access: &Access) -> Option<LastUse> {
        self.memory().last_uses.last(&access.client_id)
    }

    /// Saves the uses that have been noted since the last call. Call it every few seconds, and at shutdown.
    ///
    /// # Errors
    /// When the store can't be written. The next call then saves the same uses.
    pub async fn save_uses(&self) -> Result<(), StoreError> {
        let (accesses, uses) = (self.accesses(), &self.memory().last_uses);
        let mut unsaved = uses.take_unsaved();
        // A call may have been in progress when its access was deleted.
        unsaved.retain(|(client_id, _)| {
            let is_there = accesses.of_client(client_id).is_some();
            if !is_there {
                uses.forget(client_id);
            }
            is_there
        });
        if unsaved.is_empty() {
            return Ok(());
        }
        let written = match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.write_uses(&unsaved).await,
            Engine::Postgres(postgres) => postgres.write_uses(unsaved.clone()).await,
        };
        if written.is_err() {
            uses.mark_unsaved(&unsaved);
        }
        written
    }
}
