//! Reads the data that a store has in memory, when it is opened and after changes.

use std::borrow::Cow;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connector::PgConnector;
use super::error::PgError;
use super::pool::PgPool;
use super::session::START_STATEMENT_MAX;
use crate::last_use::{LastUse, LastUses};
use crate::{Access, Accesses, AdminKey, Role, StoreError, StoredSecret};

/// Selects all accesses and their epoch. One statement sees one state, so the epoch is that of the rows.
const ACCESSES: &str =
    "SELECT e.epoch, a.name, a.\"user\", a.client_id, a.document FROM chatgate.epochs e
     LEFT JOIN chatgate.accesses a ON true WHERE e.what = 'accesses'";

/// Reads all accesses and their epoch over a connection of its own, because that may take longer than a caller waits.
pub(super) async fn read_accesses(connector: &PgConnector) -> Result<(Accesses, i64), StoreError> {
    let mut session = connector.connect().await?;
    session.set_timeout(START_STATEMENT_MAX);
    let rows = session.query(ACCESSES, &[]).await?;
    let epoch = rows.first().map(|row| row.try_get("epoch"));
    let epoch = epoch.transpose().map_err(PgError::from)?.unwrap_or(0);
    let accesses = rows
        .iter()
        .map(read_or_suspend)
        .collect::<Result<Vec<_>, _>>()?;
    Ok((accesses.into_iter().flatten().collect(), epoch))
}

/// Reads the access of a row, or `None` if the row has none.
pub(super) fn read_access(row: &Row) -> Result<Option<Access>, StoreError> {
    let document: Option<&str> = row.try_get("document").map_err(PgError::from)?;
    let access = document.map(serde_json::from_str);
    access.transpose().map_err(|error| {
        let name = row.try_get::<_, &str>("name").unwrap_or_default();
        StoreError::new(format!("the access {name} can't be read: {error}"))
    })
}

/// Reads the access of a row, or `None` if the row has none. An access that can't be read is suspended, so that calls of other
/// accesses and later changes do not depend on it.
pub(super) fn read_or_suspend(row: &Row) -> Result<Option<Access>, StoreError> {
    let text = |column| {
        row.try_get::<_, Option<&str>>(column)
            .map_err(PgError::from)
    };
    let Some(document) = text("document")? else {
        return Ok(None);
    };
    read_access(row).or_else(|error| {
        let [name, user, client_id] = ["name", "user", "client_id"].map(text);
        let names = (name?, user?, client_id?);
        let (Some(name), Some(user), Some(client_id)) = names else {
            return Err(error);
        };
        Ok(Some(Access::unreadable(
            (name, user, client_id),
            document,
            &error,
        )))
    })
}

/// Selects all keys of operators by name, and their epoch.
pub(super) const ADMIN_KEYS: &str = "SELECT e.epoch, k.name, k.role, k.hash, k.created_at FROM chatgate.epochs e
     LEFT JOIN chatgate.admin_keys k ON true WHERE e.what = 'admin_keys' ORDER BY k.name COLLATE \"C\"";

/// Reads [`ADMIN_KEYS`] over any connection of the pool, without the keys whose roles only a newer program knows: this one would not
/// know what they may do.
pub(super) async fn read_admin_keys(pool: &PgPool) -> Result<(Vec<AdminKey>, i64), StoreError> {
    let rows = pool.read(ADMIN_KEYS, &[]).await?;
    let epoch = rows.first().map(|row| row.try_get("epoch"));
    let epoch = epoch.transpose().map_err(PgError::from)?.unwrap_or(0);
    let mut keys = Vec::new();
    for row in &rows {
        match admin_key(row)? {
            Some(Ok(key)) => keys.push(key),
            Some(Err(error)) => {
                tracing::error!(%error, "this version does not accept an admin key")
            }
            None => {}
        }
    }
    Ok((keys, epoch))
}

/// Returns the keys in the rows of [`ADMIN_KEYS`].
///
/// # Errors
/// When this program does not know the role of a key, because it could not judge a change of keys then.
pub(super) fn admin_keys_of(rows: &[Row]) -> Result<Vec<AdminKey>, StoreError> {
    let keys = rows.iter().filter_map(|row| admin_key(row).transpose());
    keys.map(|key| key?).collect()
}

/// Reads the key of a row, or `None` if the row has none. The inner error is that of an unknown role.
fn admin_key(row: &Row) -> Result<Option<Result<AdminKey, StoreError>>, PgError> {
    let Some(name) = row.try_get::<_, Option<&str>>("name")? else {
        return Ok(None);
    };
    let (created, hash) = (
        row.try_get("created_at")?,
        StoredSecret::Keyed(row.try_get("hash")?),
    );
    let role = Role::from_name(row.try_get("role")?);
    let key = role.map(|role| AdminKey::new(name, role, created, hash));
    Ok(Some(key.ok_or_else(|| {
        StoreError::new(format!("the key {name} has an unknown role"))
    })))
}

/// Reads the id of the deployment.
pub(super) async fn read_deployment(pool: &PgPool) -> Result<String, StoreError> {
    let rows = pool
        .read("SELECT id::text AS id FROM chatgate.deployment", &[])
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::new("the database has no deployment id"))?;
    Ok(row.try_get("id").map_err(PgError::from)?)
}

/// Reads the last uses, and deletes those of deleted accesses. This happens only at a start, because it reads the whole table.
pub(super) async fn read_last_uses(pool: &PgPool) -> Result<LastUses, StoreError> {
    let gone = "DELETE FROM chatgate.last_uses l
         WHERE NOT EXISTS (SELECT FROM chatgate.accesses a WHERE a.client_id = l.client_id)";
    pool.write(gone, &[]).await?;
    Ok(read_uses_since(pool, 0).await?.into_iter().collect())
}

/// Reads the last uses since this second, of accesses that exist.
pub(super) async fn read_uses_since(
    pool: &PgPool,
    since: i64,
) -> Result<Vec<(String, LastUse)>, PgError> {
    let uses = "SELECT l.client_id, l.at, l.address, l.way FROM chatgate.last_uses l
         JOIN chatgate.accesses a ON a.client_id = l.client_id WHERE l.at >= $1";
    let rows = pool.read(uses, &[(&since, Type::INT8)]).await?;
    let read = |row: &tokio_postgres::Row| {
        let last = LastUse {
            at: row.try_get("at")?,
            address: row.try_get("address")?,
            way: Cow::Owned(row.try_get("way")?),
        };
        Ok((row.try_get("client_id")?, last))
    };
    rows.iter().map(read).collect()
}
