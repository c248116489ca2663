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

    /// Writes down what has been noted since the last time, and forgets accesses that are gone. Call it every few seconds,
    /// and before the end.
    ///
    /// # Errors
    /// When the store can't be written. The next call writes down what was noted then.
    pub async fn save_uses(&self) -> Result<(), StoreError> {
        let accesses = self.accesses();
        self.memory()
            .last_uses
            .retain(|client_id| accesses.of_client(client_id).is_some());
        let unsaved = self.memory().last_uses.unsaved();
        if !unsaved.is_empty() {
            match self.engine() {
                Engine::Sqlite(sqlite) => sqlite.write_uses(unsaved.clone()).await?,
                Engine::Postgres(postgres) => postgres.write_uses(unsaved.clone()).await?,
            }
            self.memory().last_uses.mark_saved(&unsaved);
        }
        Ok(())
    }
}
