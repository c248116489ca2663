//! What is read into memory when the store is opened, and after changes.

use std::borrow::Cow;

use rusqlite::Connection;

use crate::last_use::{LastUse, LastUses};
use crate::{Access, Accesses, AdminKey, Role, StoreError, StoredSecret};

/// All accesses of the store.
pub(super) fn read_accesses(connection: &Connection) -> Result<Accesses, StoreError> {
    let mut rows = connection.prepare("SELECT name, document FROM accesses ORDER BY name")?;
    let mut rows = rows.query([])?;
    let mut accesses = Vec::new();
    while let Some(row) = rows.next()? {
        let document = row.get_ref("document")?.as_str().unwrap_or_default();
        let access = serde_json::from_str::<Access>(document).map_err(|error| {
            let name: String = row.get("name").unwrap_or_default();
            StoreError::new(format!("the access {name} can't be read: {error}"))
        })?;
        accesses.push(access);
    }
    Ok(accesses.into_iter().collect())
}

/// All keys of the store, by name.
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

/// The last uses that are on the disk.
pub(super) fn read_last_uses(connection: &Connection) -> Result<LastUses, StoreError> {
    let mut rows = connection.prepare("SELECT client_id, at, address, way FROM last_uses")?;
    let mut rows = rows.query([])?;
    let mut uses = Vec::new();
    while let Some(row) = rows.next()? {
        // An address that can't be read does not keep the store from starting.
        let Ok(address) = row.get_ref("address")?.as_str().unwrap_or_default().parse() else {
            continue;
        };
        let last = LastUse {
            at: row.get("at")?,
            address,
            way: Cow::Owned(row.get("way")?),
        };
        uses.push((row.get("client_id")?, last));
    }
    Ok(uses.into_iter().collect())
}
