//! Changes of accesses: durable before they are acknowledged, traced, and in force for every request that begins after.

use std::sync::Arc;

use rusqlite::{Connection, Transaction};
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use crate::accesses::ChangedAccess;
use crate::journal::note_change;
use crate::sqlite::WriteConnection;
use crate::token_bounds::TokenEffect;
use crate::{Access, Accesses, ChangeError, Store, StoreError};

/// One change of an access.
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
    /// Changes the access with this name: `change` gets it as it is, if it is there, and returns it as it shall be, or
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
        self.change(((actor, now), name), change, TokenEffect::GoOn)
            .await
    }

    /// Ends all tokens of the access with this name that were issued so far, ours and those of outside issuers. `check`
    /// gets the access as it is, and returns it if this is what the caller means.
    ///
    /// # Errors
    /// What `check` says, or why the store could not do it. Nothing has changed then.
    pub async fn end_tokens(
        &self,
        by: (&str, i64),
        name: &str,
        check: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        self.change((by, name), check, TokenEffect::End).await
    }

    async fn change(
        &self,
        ((actor, now), name): ((&str, i64), &str),
        change: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
        tokens: TokenEffect,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        let guard = self.changing().await?;
        self.journal_so_far().await;
        let before = self.accesses().named(name).cloned();
        let after = change(before.as_deref())?;
        let (actor, changed) = (actor.to_owned(), name.to_owned());
        let write = move |transaction: &Transaction<'_>| {
            let before = before.as_deref();
            let after = after.map(|access| tokens.bounded(transaction, now, before, access));
            let after = after.transpose()?;
            let id = note(
                transaction,
                (&actor, now),
                (&changed, before, after.as_ref()),
            )?;
            let after = after.map(|access| access.numbered(id));
            match &after {
                Some(access) => write(transaction, access)?,
                None => {
                    transaction.execute("DELETE FROM accesses WHERE name = ?", [&changed])?;
                }
            }
            Ok(vec![(changed, after)])
        };
        let accesses = self.write_accesses(guard, write).await?;
        Ok(accesses.named(name).cloned())
    }

    /// Puts accesses in the place of those with their names, all of them or none.
    ///
    /// # Errors
    /// Why the store could not do it. Nothing has changed then.
    pub async fn put_accesses(
        &self,
        (actor, now): (&str, i64),
        accesses: &[Access],
    ) -> Result<(), ChangeError> {
        let guard = self.changing().await?;
        self.journal_so_far().await;
        let (actor, accesses, there) = (actor.to_owned(), accesses.to_vec(), self.accesses());
        let write =
            move |transaction: &Transaction<'_>| put(transaction, (&actor, now), &there, accesses);
        self.write_accesses(guard, write).await.map(drop)
    }

    /// Writes in one transaction, and has the accesses in force that it leaves: those that `write` names are what it says
    /// now, and all others are as they were.
    pub(crate) async fn write_accesses(
        &self,
        guard: OwnedMutexGuard<()>,
        write: impl FnOnce(&Transaction<'_>) -> Result<Vec<ChangedAccess>, ChangeError> + Send + 'static,
    ) -> Result<Arc<Accesses>, ChangeError> {
        let snapshots = Arc::clone(self.snapshots());
        let write = move |connection: &mut WriteConnection| {
            let changed = connection.within(write)?;
            // The guard keeps every other change away: this is still what the change began with.
            let accesses = Arc::new(snapshots.accesses.load().with(changed));
            snapshots.accesses.store(Arc::clone(&accesses));
            drop(guard);
            Ok(accesses)
        };
        self.writer().run(write).await
    }

    /// Has the journal's rows from before a change written before it. A store that fails fails the change itself; this waits no
    /// longer than the journal does.
    async fn journal_so_far(&self) {
        let _ = self.journal().flush().await;
    }

    /// The latest changes of one access, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn changes(&self, name: &str, count_max: u32) -> Result<Vec<Change>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| {
            let mut changes = connection.prepare_cached(
                "SELECT id, at, actor, before, after FROM changes WHERE access = ? ORDER BY id DESC LIMIT ?",
            )?;
            let changes = changes.query_map((name, count_max), |row| {
                let document = |text: Option<String>| serde_json::from_str(&text?).ok();
                Ok(Change {
                    id: row.get("id")?,
                    at: row.get("at")?,
                    actor: row.get("actor")?,
                    before: document(row.get("before")?),
                    after: document(row.get("after")?),
                })
            })?;
            Ok(changes.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Puts accesses in the place of those with their names, and notes each.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    by: (&str, i64),
    there: &Accesses,
    accesses: Vec<Access>,
) -> Result<Vec<ChangedAccess>, ChangeError> {
    let put = accesses.into_iter().map(|access| {
        let before = there.named(&access.name).map(|access| &**access);
        let access = TokenEffect::GoOn.bounded(transaction, by.1, before, access)?;
        let id = note(transaction, by, (&access.name, before, Some(&access)))?;
        let access = access.numbered(id);
        write(transaction, &access)?;
        Ok((access.name.clone(), Some(access)))
    });
    put.collect()
}

/// Notes a change and returns its number.
fn note(
    connection: &Connection,
    (actor, now): (&str, i64),
    (name, before, after): (&str, Option<&Access>, Option<&Access>),
) -> Result<i64, ChangeError> {
    let document = |access: Option<&Access>| Some(access?.without_secrets().to_string());
    connection.execute(
        "INSERT INTO changes (at, actor, access, before, after) VALUES (?, ?, ?, ?, ?)",
        (now, actor, name, document(before), document(after)),
    )?;
    let id = connection.last_insert_rowid();
    note_change(connection, (actor, now), (name, id))?;
    Ok(id)
}

fn write(connection: &Connection, access: &Access) -> Result<(), ChangeError> {
    let document =
        serde_json::to_string(access).map_err(|error| StoreError::new(error.to_string()))?;
    connection.execute(
        "INSERT INTO accesses (name, user, client_id, document) VALUES (?, ?, ?, ?)
         ON CONFLICT (name) DO UPDATE SET user = excluded.user, client_id = excluded.client_id,
         document = excluded.document",
        (&access.name, &access.user, &access.client_id, document),
    )?;
    Ok(())
}
