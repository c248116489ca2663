//! Changes accesses in SQLite.

use std::sync::Arc;

use rusqlite::{Connection, Transaction};
use tokio::sync::OwnedMutexGuard;

use super::connection::WriteConnection;
use super::journal::note_change;
use super::snapshot::delete_use;
use super::store::SqliteStore;
use crate::reassigned_ids::ReassignedIds;
use crate::token_bounds::TokenEffect;
use crate::{Access, Accesses, Change, ChangeAuthor, ChangeError, ChangedAccess, StoreError};

impl SqliteStore {
    /// Changes one access; `tokens` is the effect of the change on its tokens.
    pub(crate) async fn change(
        &self,
        (ChangeAuthor { actor, at_s }, name): (ChangeAuthor<'_>, &str),
        change: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
        tokens: TokenEffect,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        let guard = self.changing().await?;
        let before = self.memory().accesses.load_full().named(name).cloned();
        check_readable(before.as_deref())?;
        let after = change(before.as_deref())?;
        let (actor, changed) = (actor.to_owned(), name.to_owned());
        let write = move |transaction: &Transaction<'_>| {
            let before = before.as_deref();
            let after = after.map(|access| bounded(transaction, (tokens, at_s), before, access));
            let after = after.transpose()?;
            let id = note(
                transaction,
                ChangeAuthor::new(&actor, at_s),
                (&changed, before, after.as_ref()),
            )?;
            let after = after.map(|access| access.numbered(id));
            match &after {
                Some(access) => {
                    write(transaction, access)?;
                    let gone = before.filter(|before| before.client_id != access.client_id);
                    gone.map_or(Ok(()), |before| delete_use(transaction, &before.client_id))?;
                }
                None => {
                    transaction.execute("DELETE FROM accesses WHERE name = ?", [&changed])?;
                    before.map_or(Ok(()), |before| delete_use(transaction, &before.client_id))?;
                }
            }
            Ok(vec![(changed, after)])
        };
        let accesses = self.write_accesses(guard, write).await?;
        Ok(accesses.named(name).cloned())
    }

    pub(crate) async fn put_accesses(
        &self,
        ChangeAuthor { actor, at_s }: ChangeAuthor<'_>,
        accesses: &[Access],
    ) -> Result<(), ChangeError> {
        let guard = self.changing().await?;
        let (actor, accesses, there) = (
            actor.to_owned(),
            accesses.to_vec(),
            self.memory().accesses.load_full(),
        );
        let write = move |transaction: &Transaction<'_>| {
            put(
                transaction,
                ChangeAuthor::new(&actor, at_s),
                &there,
                accesses,
            )
        };
        self.write_accesses(guard, write).await.map(drop)
    }

    /// Runs `write` in one transaction, and then applies the changes that it returns to the accesses in memory. All other accesses
    /// stay unchanged.
    pub(super) async fn write_accesses(
        &self,
        guard: OwnedMutexGuard<()>,
        write: impl FnOnce(&Transaction<'_>) -> Result<Vec<ChangedAccess>, ChangeError> + Send + 'static,
    ) -> Result<Arc<Accesses>, ChangeError> {
        let memory = Arc::clone(self.memory());
        let write = move |connection: &mut WriteConnection| {
            let changed = connection.within(write)?;
            let accesses = memory.apply(changed);
            drop(guard);
            Ok(accesses)
        };
        self.writer().run(write).await
    }

    pub(crate) async fn note_change(
        &self,
        ChangeAuthor { actor, at_s }: ChangeAuthor<'_>,
        name: &str,
        [before, after]: [String; 2],
    ) -> Result<(), StoreError> {
        let (actor, name) = (actor.to_owned(), name.to_owned());
        self.write(move |transaction| {
            let note =
                "INSERT INTO changes (at, actor, access, before, after) VALUES (?, ?, ?, ?, ?)";
            transaction.execute(note, (at_s, actor, name, before, after))?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn changes(
        &self,
        name: &str,
        count_max: u32,
    ) -> Result<Vec<Change>, StoreError> {
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

/// Adds accesses, or replaces the accesses that have the same names, and records each change.
pub(super) fn put(
    transaction: &Transaction<'_>,
    by: ChangeAuthor<'_>,
    there: &Accesses,
    accesses: Vec<Access>,
) -> Result<Vec<ChangedAccess>, ChangeError> {
    let before = |access: &Access| there.named(&access.name).map(|access| &**access);
    accesses
        .iter()
        .try_for_each(|access| check_readable(before(access)))?;
    let pairs: Vec<_> = accesses.iter().map(|it| (before(it), it)).collect();
    let passed = ReassignedIds::of(&pairs);
    release_ids(transaction, &passed)?;
    let put = accesses.into_iter().map(|access| {
        let before = before(&access);
        let access = bounded(transaction, (TokenEffect::GoOn, by.at_s), before, access)?;
        let id = note(transaction, by, (&access.name, before, Some(&access)))?;
        let access = access.numbered(id);
        write(transaction, &access)?;
        let gone = before.filter(|before| before.client_id != access.client_id);
        let gone = gone.filter(|gone| !passed.client_ids.contains(&&*gone.client_id));
        gone.map_or(Ok(()), |before| delete_use(transaction, &before.client_id))?;
        Ok((access.name.clone(), Some(access)))
    });
    let put: Result<Vec<_>, ChangeError> = put.collect();
    let put = put?;
    for client_id in &passed.client_ids {
        let back = "UPDATE webhooks SET client_id = ?1 WHERE client_id = char(2) || ?1";
        transaction.execute(back, [client_id])?;
    }
    Ok(put)
}

/// Refuses the change of an access that this program can't read.
fn check_readable(before: Option<&Access>) -> Result<(), ChangeError> {
    match before {
        Some(access) if access.is_unreadable => Err(ChangeError::unreadable(&access.name)),
        _ => Ok(()),
    }
}

/// Makes accesses release the user names and client ids that pass to other accesses, by adding a prefix character that no name
/// contains. Data that belongs to a client id stays. Only its webhooks would be deleted with the old client id, so that they get a
/// prefix of their own in the meantime.
fn release_ids(connection: &Connection, passed: &ReassignedIds<'_>) -> Result<(), ChangeError> {
    let aside = [
        "UPDATE webhooks SET client_id = char(2) || client_id WHERE client_id = ?",
        "UPDATE accesses SET client_id = char(1) || client_id WHERE client_id = ?",
    ];
    for user in &passed.users {
        let let_go = "UPDATE accesses SET user = char(1) || user WHERE user = ?";
        connection.execute(let_go, [user])?;
    }
    for client_id in &passed.client_ids {
        for sql in aside {
            connection.execute(sql, [client_id])?;
        }
    }
    Ok(())
}

/// Returns the access after a change, with the bounds of its tokens.
fn bounded(
    connection: &Connection,
    (tokens, at_s): (TokenEffect, i64),
    before: Option<&Access>,
    after: Access,
) -> Result<Access, ChangeError> {
    let is_remade = before.is_none() && existed(connection, &after.name)?;
    Ok(tokens.bounded((at_s, is_remade), before, after))
}

/// Returns whether an access with this name has existed before.
fn existed(connection: &Connection, name: &str) -> Result<bool, ChangeError> {
    let mut found = connection.prepare_cached("SELECT 1 FROM changes WHERE access = ? LIMIT 1")?;
    Ok(found.exists([name])?)
}

/// Records a change and returns its number.
fn note(
    connection: &Connection,
    by: ChangeAuthor<'_>,
    (name, before, after): (&str, Option<&Access>, Option<&Access>),
) -> Result<i64, ChangeError> {
    let document = |access: Option<&Access>| Some(access?.without_secrets().to_string());
    connection.execute(
        "INSERT INTO changes (at, actor, access, before, after) VALUES (?, ?, ?, ?, ?)",
        (by.at_s, by.actor, name, document(before), document(after)),
    )?;
    let id = connection.last_insert_rowid();
    note_change(connection, by, (name, id))?;
    Ok(id)
}

/// Adds an access, or replaces the access that has the same name.
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
