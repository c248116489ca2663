//! Writes last uses to SQLite.

use rusqlite::Connection;

use super::store::SqliteStore;
use crate::StoreError;
use crate::last_use::LastUse;

/// Number of uses written in one transaction: a few milliseconds, for which a send may have to wait.
const WRITTEN_PER_BATCH: usize = 1000;

impl SqliteStore {
    /// Writes these uses, which are given by client id.
    pub(crate) async fn write_uses(&self, uses: &[(String, LastUse)]) -> Result<(), StoreError> {
        for uses in uses.chunks(WRITTEN_PER_BATCH) {
            let uses = uses.to_vec();
            self.write(move |transaction| write_some(transaction, uses))
                .await?;
        }
        Ok(())
    }
}

fn write_some(connection: &Connection, uses: Vec<(String, LastUse)>) -> Result<(), StoreError> {
    let mut put = connection.prepare_cached(
        "INSERT INTO last_uses (client_id, at, address, way) VALUES (?, ?, ?, ?)
         ON CONFLICT (client_id) DO UPDATE SET at = excluded.at, address = excluded.address,
         way = excluded.way",
    )?;
    for (client_id, last) in uses {
        put.execute((client_id, last.at, last.address.to_string(), last.way))?;
    }
    Ok(())
}
