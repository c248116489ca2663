//! Writing last uses.

use super::store::SqliteStore;
use crate::StoreError;
use crate::last_use::LastUse;

impl SqliteStore {
    /// Writes these down, by client id, and forgets accesses that are gone.
    pub(crate) async fn write_uses(&self, uses: Vec<(String, LastUse)>) -> Result<(), StoreError> {
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
