//! Changes accesses. A change, its record, its journal row and its epoch are written in one transaction.

use std::sync::Arc;

use tokio_postgres::types::Type;

use super::epochs::EpochOf;
use super::error::PgError;
use super::lease::now_ms;
use super::session::{PgSession, Value};
use super::snapshot::read_access;
use super::store::PostgresStore;
use crate::reassigned_ids::ReassignedIds;
use crate::token_bounds::TokenEffect;
use crate::{Access, Change, ChangeAuthor, ChangeError, ChangedAccess, StoreError};

/// Inserts or replaces the access with this name, or deletes it if there is no document. Records the change and notifies the
/// replicas; the notification is sent at the commit.
const WRITE: &str = "WITH put AS (
        INSERT INTO chatgate.accesses (name, \"user\", client_id, document) SELECT $4, $9, $10, $11 WHERE $11 IS NOT NULL
        ON CONFLICT (name) DO UPDATE SET \"user\" = excluded.\"user\", client_id = excluded.client_id, document = excluded.document
    ), gone AS (
        DELETE FROM chatgate.accesses WHERE name = $4 AND $11 IS NULL
    ), noted AS (
        INSERT INTO chatgate.changes (id, at, actor, access, before, after) VALUES ($1, $2, $3, $4, $5, $6)
    ), listed AS (
        INSERT INTO chatgate.journal (id, replica, kind, access, actor, change) VALUES ($7, $8, 'change', $4, $3, $1)
    ) SELECT pg_notify('chatgate', 'accesses')";

/// Makes accesses give up these user names. They keep each name behind a character that no name contains.
const RELEASE_USERS: &str =
    "UPDATE chatgate.accesses SET \"user\" = chr(1) || \"user\" WHERE \"user\" = ANY ($1)";

/// Does the same for client ids. Data of a client id stays with the client id. Only its webhooks would be deleted, by a trigger on
/// the changed access, so they are moved aside until [`BRING_WEBHOOKS_BACK`].
const RELEASE_CLIENT_IDS: [&str; 2] = [
    "UPDATE chatgate.webhooks SET client_id = chr(2) || client_id WHERE client_id = ANY ($1)",
    "UPDATE chatgate.accesses SET client_id = chr(1) || client_id WHERE client_id = ANY ($1)",
];

const BRING_WEBHOOKS_BACK: &str = "UPDATE chatgate.webhooks SET client_id = c FROM unnest($1::text[]) c WHERE client_id = chr(2) || c";

impl PostgresStore {
    /// Changes one access. `tokens` is the effect of the change on its tokens.
    pub(crate) async fn change(
        &self,
        (by, name): (ChangeAuthor<'_>, &str),
        change: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
        tokens: TokenEffect,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        let (mut lease, epoch) = self.begin_exclusive(EpochOf::Accesses, 1).await?;
        let changed = async {
            let session = &mut lease.session;
            let before = read_for_update(session, name).await?;
            let after = match change(before.as_ref())? {
                Some(access) => {
                    let tokens = (tokens, self.by_database(by.at_s));
                    Some(bounded(session, tokens, before.as_ref(), access).await?)
                }
                None => None,
            };
            let after = after.map(|access| access.numbered(epoch));
            self.write_change(
                session,
                (by, epoch),
                (name, before.as_ref(), after.as_ref()),
            )
            .await?;
            Ok::<_, ChangeError>(after)
        };
        let changed = changed.await;
        let after = self.end(lease, changed).await?;
        self.put_in_force(vec![(name.to_owned(), after.clone())], epoch)
            .await;
        Ok(after.map(Arc::new))
    }

    /// Inserts or replaces accesses by their names: all of them or none.
    pub(crate) async fn put_accesses(
        &self,
        by: ChangeAuthor<'_>,
        accesses: &[Access],
    ) -> Result<(), ChangeError> {
        let count = accesses.len() as i64;
        let (mut lease, epoch) = self.begin_exclusive(EpochOf::Accesses, count).await?;
        let put = self.put(&mut lease.session, (by, epoch), accesses).await;
        let put = self.end(lease, put).await?;
        self.put_in_force(put, epoch).await;
        Ok(())
    }

    /// Inserts or replaces accesses by their names, in a transaction that has raised the epoch by their number.
    pub(super) async fn put(
        &self,
        session: &mut PgSession,
        (by, epoch): (ChangeAuthor<'_>, i64),
        accesses: &[Access],
    ) -> Result<Vec<ChangedAccess>, ChangeError> {
        let mut there = Vec::with_capacity(accesses.len());
        for access in accesses {
            there.push(read_for_update(session, &access.name).await?);
        }
        let pairs: Vec<_> = there.iter().map(Option::as_ref).zip(accesses).collect();
        let passed = ReassignedIds::of(&pairs);
        execute_for(session, &[RELEASE_USERS], &passed.users).await?;
        execute_for(session, &RELEASE_CLIENT_IDS, &passed.client_ids).await?;
        let mut put = Vec::new();
        let first = epoch - accesses.len() as i64 + 1;
        for ((access, id), before) in accesses.iter().zip(first..).zip(&there) {
            let before = before.as_ref();
            let tokens = (TokenEffect::GoOn, self.by_database(by.at_s));
            let after = bounded(session, tokens, before, access.clone()).await?;
            let after = after.numbered(id);
            let change = (access.name.as_str(), before, Some(&after));
            self.write_change(session, (by, id), change).await?;
            put.push((after.name.clone(), Some(after)));
        }
        execute_for(session, &[BRING_WEBHOOKS_BACK], &passed.client_ids).await?;
        Ok(put)
    }

    /// Converts a time of this process to the database's clock, because token bounds are compared with times that all replicas
    /// agree on.
    fn by_database(&self, now: i64) -> i64 {
        now.saturating_add(self.lease().ahead_s())
    }

    /// Writes a change together with its record, journal row and notification.
    async fn write_change(
        &self,
        session: &mut PgSession,
        (by, id): (ChangeAuthor<'_>, i64),
        (name, before, after): (&str, Option<&Access>, Option<&Access>),
    ) -> Result<(), ChangeError> {
        let document = after.map(serde_json::to_string).transpose();
        let document = document.map_err(|error| StoreError::new(error.to_string()))?;
        let user = after.map(|access| &access.user);
        let client_id = after.map(|access| &access.client_id);
        let shown = |access: Option<&Access>| Some(access?.without_secrets().to_string());
        let (before, after) = (shown(before), shown(after));
        let now = self.by_database(by.at_s);
        // The current time by the database's clock, limited to the second of `now`.
        let at_ms = now.saturating_mul(1000);
        let at_ms = self
            .lease()
            .database_ms(now_ms())
            .clamp(at_ms, at_ms.saturating_add(999));
        let row = self.ids().next(at_ms);
        let replica = self.ids().replica().id;
        let values: [Value<'_>; 11] = [
            (&id, Type::INT8),
            (&now, Type::INT8),
            (&by.actor, Type::TEXT),
            (&name, Type::TEXT),
            (&before, Type::TEXT),
            (&after, Type::TEXT),
            (&row, Type::INT8),
            (&replica, Type::INT8),
            (&user, Type::TEXT),
            (&client_id, Type::TEXT),
            (&document, Type::TEXT),
        ];
        session.query(WRITE, &values).await?;
        Ok(())
    }

    /// Records a change that leaves the access as it is. Its number is an epoch of the accesses, like that of any other change.
    pub(crate) async fn note_change(
        &self,
        by: ChangeAuthor<'_>,
        name: &str,
        [before, after]: [String; 2],
    ) -> Result<(), StoreError> {
        let (mut lease, epoch) = self.begin_exclusive(EpochOf::Accesses, 1).await?;
        let now = self.by_database(by.at_s);
        let note = "INSERT INTO chatgate.changes (id, at, actor, access, before, after) VALUES ($1, $2, $3, $4, $5, $6)";
        let values: [Value<'_>; 6] = [
            (&epoch, Type::INT8),
            (&now, Type::INT8),
            (&by.actor, Type::TEXT),
            (&name, Type::TEXT),
            (&before, Type::TEXT),
            (&after, Type::TEXT),
        ];
        let noted = lease.session.execute(note, &values).await;
        self.end(lease, noted).await?;
        self.put_in_force(Vec::new(), epoch).await;
        Ok(())
    }

    /// Returns the latest changes of one access, newest first.
    pub(crate) async fn changes(
        &self,
        name: &str,
        count_max: u32,
    ) -> Result<Vec<Change>, StoreError> {
        let changes = "SELECT id, at, actor, before, after FROM chatgate.changes WHERE access = $1
             ORDER BY id DESC LIMIT $2";
        let count_max = i64::from(count_max);
        let values: [Value<'_>; 2] = [(&name, Type::TEXT), (&count_max, Type::INT8)];
        let rows = self.pool().read(changes, &values).await?;
        let document = |text: Option<&str>| serde_json::from_str(text?).ok();
        let read = |row: &tokio_postgres::Row| {
            Ok(Change {
                id: row.try_get("id")?,
                at: row.try_get("at")?,
                actor: row.try_get("actor")?,
                before: document(row.try_get("before")?),
                after: document(row.try_get("after")?),
            })
        };
        let changes: Result<Vec<Change>, PgError> = rows.iter().map(read).collect();
        Ok(changes?)
    }
}

/// Executes statements with these texts, if there are any.
async fn execute_for(
    session: &mut PgSession,
    statements: &[&str],
    texts: &[&str],
) -> Result<(), PgError> {
    if texts.is_empty() {
        return Ok(());
    }
    for sql in statements {
        session.execute(sql, &[(&texts, Type::TEXT_ARRAY)]).await?;
    }
    Ok(())
}

async fn read_for_update(
    session: &mut PgSession,
    name: &str,
) -> Result<Option<Access>, ChangeError> {
    let access = "SELECT name, document FROM chatgate.accesses WHERE name = $1 FOR UPDATE";
    let rows = session.query(access, &[(&name, Type::TEXT)]).await?;
    let access = rows.first().map(read_access).transpose();
    access.map(Option::flatten).map_err(|error| {
        tracing::error!(access = name, %error, "an access can't be changed");
        ChangeError::unreadable(name)
    })
}

/// Returns the access after a change, with the bounds of its tokens.
async fn bounded(
    session: &mut PgSession,
    (tokens, now): (TokenEffect, i64),
    before: Option<&Access>,
    after: Access,
) -> Result<Access, ChangeError> {
    let is_remade = before.is_none() && existed(session, &after.name).await?;
    Ok(tokens.bounded((now, is_remade), before, after))
}

/// Returns whether an access with this name existed before.
async fn existed(session: &mut PgSession, name: &str) -> Result<bool, PgError> {
    let found = "SELECT 1 FROM chatgate.changes WHERE access = $1 LIMIT 1";
    let rows = session.query(found, &[(&name, Type::TEXT)]).await?;
    Ok(!rows.is_empty())
}
