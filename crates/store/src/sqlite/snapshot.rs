//! Reads the data that the store holds in memory, when the store is opened and after changes.

use std::borrow::Cow;

use rusqlite::Connection;

use crate::last_use::{LastUse, LastUses};
use crate::{Access, Accesses, AdminKey, Role, StoreError, StoredSecret};

/// Reads all accesses of the store. An access that can't be read is suspended, so that calls of other accesses and later changes do
/// not depend on it.
pub(super) fn read_accesses(connection: &Connection) -> Result<Accesses, StoreError> {
    let all = "SELECT name, user, client_id, document FROM accesses ORDER BY name";
    let mut rows = connection.prepare(all)?;
    // The documents are read one at a time, so that memory never holds all of them in addition to the snapshot.
    let accesses = rows.query_and_then([], |row| {
        let [name, user, client_id, document] = [0, 1, 2, 3]
            .map(|at| Ok::<_, StoreError>(row.get_ref(at)?.as_str().unwrap_or_default()));
        let document = document?;
        serde_json::from_str(document).or_else(|error| {
            Ok(Access::unreadable(
                (name?, user?, client_id?),
                document,
                &error,
            ))
        })
    });
    accesses?.collect()
}

/// Reads all operators' keys of the store, by name, without the keys whose roles only a newer program knows.
pub(super) fn read_admin_keys(connection: &Connection) -> Result<Vec<AdminKey>, StoreError> {
    let mut known = Vec::new();
    for key in each_admin_key(connection)? {
        match key {
            Ok(key) => known.push(key),
            Err(error) => {
                tracing::error!(%error, "this version does not accept an admin key");
            }
        }
    }
    Ok(known)
}

/// Reads all operators' keys of the store, by name. The inner error is that of an unknown role; a change of keys can't be judged
/// then.
pub(super) fn each_admin_key(
    connection: &Connection,
) -> Result<Vec<Result<AdminKey, StoreError>>, StoreError> {
    let keys = "SELECT name, role, hash, created_at FROM admin_keys ORDER BY name";
    let mut keys = connection.prepare(keys)?;
    let mut keys = keys.query([])?;
    let mut read = Vec::new();
    while let Some(row) = keys.next()? {
        let (name, created): (String, i64) = (row.get("name")?, row.get("created_at")?);
        let hash = StoredSecret::Keyed(row.get("hash")?);
        let role = Role::from_name(row.get_ref("role")?.as_str().unwrap_or_default());
        let key = role.map(|role| AdminKey::new(&name, role, created, hash));
        read.push(
            key.ok_or_else(|| StoreError::new(format!("the key {name} has an unknown role"))),
        );
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
