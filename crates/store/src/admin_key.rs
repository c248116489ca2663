//! The keys of operators: named, with a role, kept as keyed hashes.

use sqlx::Row;

use crate::{SecretHasher, Store, StoreError, StoredSecret};
use secrecy::SecretString;

/// What the holder of a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Look at everything, change nothing.
    Viewer,
    /// Look and change.
    Operator,
}

impl Role {
    /// The word in the admin API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Role> {
        [Role::Viewer, Role::Operator]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// One key, without what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminKey {
    /// Its name; stands in every change that is made with it.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// When it was made or rotated; seconds since 1970, UTC.
    pub created: i64,
    hash: StoredSecret,
}

impl AdminKey {
    /// A key under this name, of which only the hash is kept.
    #[must_use]
    pub fn new(name: &str, role: Role, created: i64, hash: StoredSecret) -> AdminKey {
        AdminKey {
            name: name.to_owned(),
            role,
            created,
            hash,
        }
    }
}

/// Returns the key that was presented, if it is one of these.
#[must_use]
pub fn find_presented<'a>(
    keys: &'a [AdminKey],
    hasher: &SecretHasher,
    secret: &SecretString,
) -> Option<&'a AdminKey> {
    keys.iter().find(|key| hasher.verify(secret, [&key.hash]))
}

impl Store {
    /// Puts a key in the place of the one with its name.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put_admin_key(&self, key: &AdminKey) -> Result<(), StoreError> {
        let StoredSecret::Keyed(hash) = &key.hash else {
            return Err(StoreError::new("an admin key is a random secret"));
        };
        let _change = self.changing().await;
        sqlx::query(
            "INSERT INTO admin_keys (name, role, hash, created_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (name) DO UPDATE SET role = excluded.role, hash = excluded.hash,
             created_at = excluded.created_at",
        )
        .bind(&key.name)
        .bind(key.role.name())
        .bind(hash)
        .bind(key.created)
        .execute(&mut *self.writer().await?)
        .await?;
        self.reload_admin_keys().await
    }

    /// Takes a key away; says whether there was one.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn delete_admin_key(&self, name: &str) -> Result<bool, StoreError> {
        let _change = self.changing().await;
        let delete = sqlx::query("DELETE FROM admin_keys WHERE name = ?").bind(name);
        let deleted = delete
            .execute(&mut *self.writer().await?)
            .await?
            .rows_affected()
            > 0;
        self.reload_admin_keys().await?;
        Ok(deleted)
    }

    pub(crate) async fn read_admin_keys(
        pool: &sqlx::SqlitePool,
    ) -> Result<Vec<AdminKey>, StoreError> {
        let query =
            sqlx::query("SELECT name, role, hash, created_at FROM admin_keys ORDER BY name");
        let rows = query.fetch_all(pool).await?;
        rows.iter()
            .map(|row| {
                let role: String = row.try_get("role")?;
                let role = Role::from_name(&role)
                    .ok_or_else(|| StoreError::new("a key has an unknown role"))?;
                let hash = StoredSecret::Keyed(row.try_get("hash")?);
                Ok(AdminKey {
                    name: row.try_get("name")?,
                    role,
                    created: row.try_get("created_at")?,
                    hash,
                })
            })
            .collect()
    }
}
