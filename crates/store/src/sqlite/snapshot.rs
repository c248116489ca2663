//! Reads the data that the store holds in memory, when the store is opened and after changes.

use std::borrow::Cow;

use rusqlite::Connection;

use crate::last_use::{LastUse, LastUses};
use crate::{Access, Accesses, AdminKey, Role, StoreError, StoredSecret};

/// Reads all accesses of the store.
pub(super) fn read_accesses(connection: &Connection) -> Result<Accesses, StoreError> {
    let mut rows = connection.prepare("SELECT name, document FROM accesses ORDER BY name")?;
    // The documents are read one at a time, so that memory never holds all of them in addition to the snapshot.
    let accesses = rows.query_and_then([], |row| {
        let document = row.get_ref("document")?.as_str().unwrap_or_default();
        serde_json::from_str::<Access>(document).map_err(|error| {
            let name: String = row.get("name").unwrap_or_default();
            StoreError::new(format!("the access {name} can't be read: {error}"))
        })
    });
    accesses?.collect()
}

/// Reads all operators' keys of the store, by name.
pub(super) fn read_admin_keys(connection: &Connection) -> Result<Vec<AdminKey>, StoreError> {
    let keys = "SELECT name, role, hash, created_at FROM admin_keys ORDER BY name";
    let mut keys = connection.prepare(keys)?;
    let mut keys = keys.query([])?;
    let mut read = Vec::new();
    while let Some(row) = keys.next()? {
        let role = Role::from_name(row.get_ref("role")?.as_str().unwrap_or_default());
        read.push(AdminKey {
            name: row.get("name")?,
            role: role.ok_or_else(|| StoreError::new("a key has an unknown role"))?,
            created: row.get("created_at")?,
            hash: StoredSecret::Keyed(row.get("hash")?),
        });
    }
    Ok(read)
}

/// Reads the last uses from the disk. Deletes uses of accesses that do not exist any more, which a crash may have left behind.
pub(super) fn read_last_uses(
    connection: &Connection,
    accesses: &Accesses,
) -> Result<LastUses, StoreError> {
    let mut rows = connection.prepare("SELECT client_id, at, address, way FROM last_uses")?;
    let mut rows = rows.query([])?;
    let (mut uses, mut gone) = (Vec::new(), Vec::<String>::new());
    while let Some(row) = rows.next()? {
        let client_id: String = row.get("client_id")?;
        if accesses.of_client(&client_id).is_none() {
            gone.push(client_id);
            continue;
        }
        // An unreadable address does not prevent the store from starting.
        let Ok(address) = row.get_ref("address")?.as_str().unwrap_or_default().parse() else {
            continue;
        };
        let last = LastUse {
            at: row.get("at")?,
            address,
            way: Cow::Owned(row.get("way")?),
        };
        uses.push((client_id, last));
    }
    gone.iter()
        .try_for_each(|client_id| delete_use(connection, client_id))?;
    Ok(uses.into_iter().collect())
}

/// Deletes the use of a deleted access, by its client id.
pub(super) fn delete_use(connection: &Connection, client_id: &str) -> Result<(), StoreError> {
    let mut delete = connection.prepare_cached("DELETE FROM last_uses WHERE client_id = ?")?;
    delete.execute([client_id])?;
    Ok(())
}
