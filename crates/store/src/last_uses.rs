//! Last uses, noted and saved.

use crate::last_use::LastUse;
use crate::store::Engine;
use crate::{Access, Store, StoreError};

impl Store {
    /// Notes that an access was let in. Costs no disk.
    pub fn note_use(&self, access: &Access, last: LastUse) {
        self.memory().last_uses.note(&access.client_id, last);
    }

    /// When the access was last let in, if ever.
    #[must_use]
    pub fn last_use(&self, access: &Access) -> Option<LastUse> {
        self.memory().last_uses.last(&access.client_id)
    }

    /// Writes down what has been noted since the last time. Call it every few seconds, and before the end.
    ///
    /// # Errors
    /// When the store can't be written. The next call writes down what was noted then.
    pub async fn save_uses(&self) -> Result<(), StoreError> {
        let (accesses, uses) = (self.accesses(), &self.memory().last_uses);
        let mut unsaved = uses.take_unsaved();
        // A call may have been under way when its access was deleted.
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
            uses.give_back(&unsaved);
        }
        written
    }
}
