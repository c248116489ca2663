//! Last uses, noted and saved.

use crate::last_use::LastUse;
use crate::{Access, Store, StoreError};

impl Store {
    /// Notes that an access was let in. Costs no disk.
    pub fn note_use(&self, access: &Access, last: LastUse) {
        self.last_uses().note(&access.client_id, last);
    }

    /// When the access was last let in, if ever.
    #[must_use]
    pub fn last_use(&self, access: &Access) -> Option<LastUse> {
        self.last_uses().last(&access.client_id)
    }

    /// Writes down what has been noted since the last time, and forgets accesses that are gone. Call it every few seconds,
    /// and before the end.
    ///
    /// # Errors
    /// When the store can't be written. The next call writes down what was noted then.
    pub async fn save_uses(&self) -> Result<(), StoreError> {
        let accesses = self.accesses();
        self.last_uses()
            .retain(|client_id| accesses.of_client(client_id).is_some());
        let unsaved = self.last_uses().unsaved();
        if !unsaved.is_empty() {
            self.write_uses(unsaved.clone()).await?;
            self.last_uses().mark_saved(&unsaved);
        }
        Ok(())
    }

    async fn write_uses(&self, uses: Vec<(String, LastUse)>) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let mut put = transaction.prepare_cached(
                "INSERT INTO last_uses (client_id, at, address, way) VALUES (?, ?, ?, ?)
                 ON CONFLICT (client_id) DO UPDATE SET at = excluded.at, address = excluded.address,
                 way = excluded.way",
            )?;
            for (client_id, last) in uses {
                put.execute((client_id, last.at, last.address.to_string(), last.way))?;
            }
            let gone =
                "DELETE FROM last_uses WHERE client_id NOT IN (SELECT client_id FROM accesses)";
            transaction.execute(gone, [])?;
            Ok(())
        })
        .await
    }
}
