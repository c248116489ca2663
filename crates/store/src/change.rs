//! Changes of accesses: durable before they are acknowledged, traced, and in force for every request that begins after.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use crate::access::Access;
use crate::accesses::Accesses;
use crate::database::read_accesses;
use crate::journal::note_change;
use crate::token_bounds::Tokens;
use crate::{Store, StoreError, StoredSecret};

/// Why a change was not made.
#[derive(Debug)]
pub enum ChangeError {
    /// There is no access with this name.
    Missing,
    /// There is one already.
    Exists,
    /// It has been changed since the caller looked at it.
    Stale,
    /// Its user name or client id belongs to another access.
    Taken,
    /// What was asked for can't be, in one sentence.
    Refused(String),
    /// The store can't be written.
    Store(StoreError),
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> ChangeError {
        match &error {
            sqlx::Error::Database(cause) if cause.is_unique_violation() => ChangeError::Taken,
            _ => ChangeError::Store(StoreError::from(error)),
        }
    }
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> ChangeError {
        ChangeError::Store(error)
    }
}

impl std::fmt::Display for ChangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ChangeError::Missing => "There is no such access.",
            ChangeError::Exists => "There is an access with this name already.",
            ChangeError::Stale => "The access has been changed since.",
            ChangeError::Taken => "The user name or the client id belongs to another access.",
            ChangeError::Refused(text) => text,
            ChangeError::Store(_) => "The store can't be written.",
        })
    }
}

impl std::error::Error for ChangeError {}

/// One change, as it is told later.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its number, and the version of the access after it.
    pub id: i64,
    /// When; seconds since 1970, UTC.
    pub at: i64,
    /// The name of the key that made it.
    pub actor: String,
    /// The access before, without secrets; absent when it was made.
    pub before: Option<Value>,
    /// The access after, without secrets; absent when it was deleted.
    pub after: Option<Value>,
}

impl Store {
    /// Changes the access with this name: `change` gets it as it is, if it is there, and gives it as it shall be, or
    /// nothing to delete it. On disk first, then for every request that begins after.
    ///
    /// # Errors
    /// What `change` says, or why the store could not do it. Nothing has changed then.
    pub async fn change_access(
        &self,
        (actor, now): (&str, i64),
        name: &str,
        change: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        self.change(((actor, now), name), change, Tokens::GoOn)
            .await
    }

    /// Ends all tokens of the access with this name that were issued so far, ours and those of outside issuers. `check`
    /// gets the access as it is, and gives it back if this is what the caller means.
    ///
    /// # Errors
    /// What `check` says, or why the store could not do it. Nothing has changed then.
    pub async fn end_tokens(
        &self,
        by: (&str, i64),
        name: &str,
        check: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        self.change((by, name), check, Tokens::End).await
    }

    async fn change(
        &self,
        ((actor, now), name): ((&str, i64), &str),
        change: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
        tokens: Tokens,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        let _change = self.changing().await;
        self.journal_so_far().await;
        let before = self.accesses().named(name).cloned();
        let after = change(before.as_deref())?;
        let mut writer = self.writer().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let before = before.as_deref();
        let after = match after {
            Some(access) => Some(
                tokens
                    .bounded(&mut transaction, now, before, access)
                    .await?,
            ),
            None => None,
        };
        let id = note(
            &mut transaction,
            (actor, now),
            (name, before, after.as_ref()),
        )
        .await?;
        match after {
            Some(access) => write(&mut transaction, access.numbered(id)).await?,
            None => {
                let delete = sqlx::query("DELETE FROM accesses WHERE name = ?").bind(name);
                delete.execute(&mut *transaction).await?;
            }
        }
        let accesses = read_accesses(&mut *transaction).await?;
        transaction.commit().await?;
        let changed = accesses.named(name).cloned();
        self.swap_accesses(accesses);
        Ok(changed)
    }

    /// Puts accesses in the place of those with their names, all of them or none.
    ///
    /// # Errors
    /// Why the store could not do it. Nothing has changed then.
    pub async fn put_accesses(
        &self,
        by: (&str, i64),
        accesses: &[Access],
    ) -> Result<(), ChangeError> {
        let _change = self.changing().await;
        self.journal_so_far().await;
        let there = self.accesses();
        let mut writer = self.writer().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        put(&mut transaction, by, &there, accesses).await?;
        let accesses = read_accesses(&mut *transaction).await?;
        transaction.commit().await?;
        self.swap_accesses(accesses);
        Ok(())
    }

    /// Has what was told before a change stand before it in the journal, too. A store that fails says so at the change itself;
    /// this waits no longer than the journal does.
    async fn journal_so_far(&self) {
        let _ = self.journal().flush().await;
    }

    /// The latest changes of one access, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn changes(&self, name: &str, count_max: u32) -> Result<Vec<Change>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, at, actor, before, after FROM changes WHERE access = ? ORDER BY id DESC LIMIT ?",
        )
        .bind(name)
        .bind(count_max)
        .fetch_all(&mut *self.writer().await?)
        .await?;
        let document =
            |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        rows.iter()
            .map(|row| {
                Ok(Change {
                    id: row.try_get("id")?,
                    at: row.try_get("at")?,
                    actor: row.try_get("actor")?,
                    before: document(row.try_get("before")?),
                    after: document(row.try_get("after")?),
                })
            })
            .collect()
    }
}

/// Puts accesses in the place of those with their names, and notes each.
pub(crate) async fn put(
    connection: &mut SqliteConnection,
    by: (&str, i64),
    there: &Accesses,
    accesses: &[Access],
) -> Result<(), ChangeError> {
    for access in accesses {
        let before = there.named(&access.name).map(|access| &**access);
        let access = Tokens::GoOn
            .bounded(connection, by.1, before, access.clone())
            .await?;
        let id = note(connection, by, (&access.name, before, Some(&access))).await?;
        write(connection, access.numbered(id)).await?;
    }
    Ok(())
}

/// Notes a change and gives back its number.
async fn note(
    connection: &mut SqliteConnection,
    (actor, now): (&str, i64),
    (name, before, after): (&str, Option<&Access>, Option<&Access>),
) -> Result<i64, ChangeError> {
    let told = |access: Option<&Access>| access.map(|access| access.without_secrets().to_string());
    let row = sqlx::query(
        "INSERT INTO changes (at, actor, access, before, after) VALUES (?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(now)
    .bind(actor)
    .bind(name)
    .bind(told(before))
    .bind(told(after))
    .fetch_one(&mut *connection)
    .await?;
    let id = row.try_get("id")?;
    note_change(connection, (actor, now), (name, id)).await?;
    Ok(id)
}

async fn write(connection: &mut SqliteConnection, access: Access) -> Result<(), ChangeError> {
    let document =
        serde_json::to_string(&access).map_err(|error| StoreError::new(error.to_string()))?;
    sqlx::query(
        "INSERT INTO accesses (name, user, client_id, document) VALUES (?, ?, ?, ?)
         ON CONFLICT (name) DO UPDATE SET user = excluded.user, client_id = excluded.client_id,
         document = excluded.document",
    )
    .bind(&access.name)
    .bind(&access.user)
    .bind(&access.client_id)
    .bind(document)
    .execute(connection)
    .await?;
    Ok(())
}

impl Access {
    /// Everything about it but its secrets, of which only kind and age are told, and what only the store has a use for.
    #[must_use]
    pub fn without_secrets(&self) -> Value {
        let mut document = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.remove("token_generation");
        }
        let secrets = self.secrets.iter().map(|secret| {
            let kind = match secret.hash {
                StoredSecret::Keyed(_) => "random",
                StoredSecret::Argon2id(_) => "chosen",
            };
            json!({"kind": kind, "created": secret.created})
        });
        document["secrets"] = secrets.collect();
        document
    }
}
