//! Rows on their way into the tables and out of them. The order of the columns is told once, in [`COLUMNS`].

use std::borrow::Cow;

use aws_lc_rs::hmac;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::{JournalKind, JournalPayload, JournalRow, address, first_id_at};
use crate::StoreError;

/// Bytes of the hash of a destination that are kept: enough that no two of a gateway's destinations share one.
const DESTINATION_BYTES: usize = 16;

/// Most rows of one statement.
const STATEMENT_ROWS: usize = 32;

/// The columns after the id, in the order in which they are bound.
const COLUMNS: &str = "kind, open, request_id, trace_id, way, access, method, http_method, path, peer, client, status, \
     canonical, code, upstream_code, delivery, attempts, queue_us, upstream_us, total_us, cache, limited_by, limit_max, \
     limit_left, generation, user_agent, cause, would_refuse, actor";

/// Reads whole rows; what follows has to name them by `j.id`.
pub(super) const SELECT: &str = "SELECT j.*, p.parameters, p.answer, c.before, c.after FROM journal j \
     LEFT JOIN journal_payload p ON p.id = j.id LEFT JOIN changes c ON c.id = j.change";

/// The number that the next row gets at this time: above every number before it, whatever the clock does.
pub(super) async fn next_id(
    connection: &mut SqliteConnection,
    at_ms: i64,
) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT max(coalesce((SELECT max(id) FROM journal), 0) + 1, ?)")
        .bind(first_id_at(at_ms))
        .fetch_one(connection)
        .await?;
    Ok(row.try_get(0)?)
}

/// Writes rows, which have their numbers: so many of them in a statement, then half as many, and so on, so that the
/// connection knows all statements from before.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    key: &hmac::Key,
    rows: &[&JournalRow],
) -> Result<(), StoreError> {
    let mut left = rows;
    let mut at_once = STATEMENT_ROWS;
    while !left.is_empty() {
        if left.len() < at_once {
            at_once /= 2;
            continue;
        }
        let (now, later) = left.split_at(at_once);
        insert_rows(connection, now).await?;
        left = later;
    }
    insert_payloads(connection, key, rows).await
}

async fn insert_rows(
    connection: &mut SqliteConnection,
    rows: &[&JournalRow],
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT INTO journal (id, {COLUMNS}) "));
    query.push_values(rows, |mut values, row| {
        values
            .push_bind(row.id)
            .push_bind(row.kind.word())
            .push_bind(row.open)
            .push_bind(row.request_id.as_deref())
            .push_bind(row.trace_id.as_deref())
            .push_bind(row.way.as_deref())
            .push_bind(row.access.as_deref())
            .push_bind(row.method.as_deref())
            .push_bind(row.http_method.as_deref())
            .push_bind(row.path.as_deref())
            .push_bind(row.peer.map(|peer| peer.to_string()))
            .push_bind(row.client.map(address::to_bytes))
            .push_bind(row.status)
            .push_bind(row.canonical)
            .push_bind(row.code.as_deref())
            .push_bind(row.upstream_code.as_deref())
            .push_bind(row.delivery.as_deref())
            .push_bind(row.attempts)
            .push_bind(row.queue_us)
            .push_bind(row.upstream_us)
            .push_bind(row.total_us)
            .push_bind(row.cache.as_deref())
            .push_bind(row.limited_by.as_deref())
            .push_bind(row.limit_max)
            .push_bind(row.limit_left)
            .push_bind(row.generation)
            .push_bind(row.user_agent.as_deref())
            .push_bind(row.cause.as_deref())
            .push_bind(row.would_refuse.as_deref())
            .push_bind(row.actor.as_deref());
    });
    query.build().execute(connection).await?;
    Ok(())
}

async fn insert_payloads(
    connection: &mut SqliteConnection,
    key: &hmac::Key,
    rows: &[&JournalRow],
) -> Result<(), StoreError> {
    let said: Vec<_> = rows.iter().filter(|row| !row.payload.is_empty()).collect();
    if said.is_empty() {
        return Ok(());
    }
    let start = "INSERT INTO journal_payload (id, destination, parameters, answer) ";
    let mut query = QueryBuilder::<Sqlite>::new(start);
    query.push_values(said, |mut values, row| {
        let JournalPayload {
            destination,
            parameters,
            answer,
        } = &row.payload;
        values
            .push_bind(row.id)
            .push_bind(destination.as_deref().map(|text| hashed(key, text)))
            .push_bind(parameters.as_deref())
            .push_bind(answer.as_deref());
    });
    query.build().execute(connection).await?;
    Ok(())
}

/// Closes an open row with its outcome; what was known when it was opened stays. One that has been cleared since stays so.
pub(super) async fn close(
    connection: &mut SqliteConnection,
    id: i64,
    row: &JournalRow,
) -> Result<(), StoreError> {
    let close = sqlx::query(
        "UPDATE journal SET open = 0, status = ?, canonical = ?, code = ?, upstream_code = ?, delivery = ?, attempts = ?,
         queue_us = ?, upstream_us = ?, total_us = ?, cache = ?, limited_by = ?, limit_max = ?, limit_left = ?, cause = ?,
         would_refuse = ? WHERE id = ? AND open = 1",
    )
    .bind(row.status)
    .bind(row.canonical)
    .bind(row.code.as_deref())
    .bind(row.upstream_code.as_deref())
    .bind(row.delivery.as_deref())
    .bind(row.attempts)
    .bind(row.queue_us)
    .bind(row.upstream_us)
    .bind(row.total_us)
    .bind(row.cache.as_deref())
    .bind(row.limited_by.as_deref())
    .bind(row.limit_max)
    .bind(row.limit_left)
    .bind(row.cause.as_deref())
    .bind(row.would_refuse.as_deref())
    .bind(id);
    close.execute(&mut *connection).await?;
    if let Some(answer) = &row.payload.answer {
        let answered = sqlx::query("UPDATE journal_payload SET answer = ? WHERE id = ?");
        answered.bind(answer).bind(id).execute(connection).await?;
    }
    Ok(())
}

/// Takes an open row back: nothing of what it speaks of was begun.
pub(super) async fn withdraw(connection: &mut SqliteConnection, id: i64) -> Result<(), StoreError> {
    let row = sqlx::query("DELETE FROM journal WHERE id = ? AND open = 1").bind(id);
    row.execute(&mut *connection).await?;
    let payload = sqlx::query("DELETE FROM journal_payload WHERE id = ?").bind(id);
    payload.execute(connection).await?;
    Ok(())
}

/// Notes a change of an access where the other rows are, in the same transaction as the change itself.
pub(crate) async fn note_change(
    connection: &mut SqliteConnection,
    (actor, now): (&str, i64),
    (access, change): (&str, i64),
) -> Result<(), StoreError> {
    let id = next_id(connection, now.saturating_mul(1000)).await?;
    sqlx::query(
        "INSERT INTO journal (id, kind, open, access, actor, change) VALUES (?, 'change', 0, ?, ?, ?)",
    )
    .bind(id)
    .bind(access)
    .bind(actor)
    .bind(change)
    .execute(connection)
    .await?;
    Ok(())
}

/// Under which a destination is kept and found again.
pub(super) fn hashed(key: &hmac::Key, destination: &str) -> Vec<u8> {
    let tag = hmac::sign(key, destination.as_bytes());
    tag.as_ref()[..DESTINATION_BYTES].to_vec()
}

/// A row as it was read by [`SELECT`].
pub(super) fn read(row: &SqliteRow) -> Result<JournalRow, StoreError> {
    let word = |name: &str| -> Result<Option<Cow<'static, str>>, StoreError> {
        let text: Option<String> = row.try_get(name)?;
        Ok(text.map(Cow::Owned))
    };
    let document = |name: &str| -> Result<Option<serde_json::Value>, StoreError> {
        let text: Option<String> = row.try_get(name)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    };
    let (id, kind): (i64, String) = (row.try_get("id")?, row.try_get("kind")?);
    let peer: Option<String> = row.try_get("peer")?;
    let client: Option<Vec<u8>> = row.try_get("client")?;
    Ok(JournalRow {
        id,
        at_ms: JournalRow::time_of(id),
        kind: JournalKind::from_word(&kind)
            .ok_or_else(|| StoreError::new("a journal row is of an unknown kind"))?,
        open: row.try_get("open")?,
        request_id: row.try_get("request_id")?,
        trace_id: row.try_get("trace_id")?,
        way: word("way")?,
        access: row.try_get("access")?,
        method: word("method")?,
        http_method: row.try_get("http_method")?,
        path: word("path")?,
        peer: peer.and_then(|text| text.parse().ok()),
        client: client.and_then(|bytes| address::from_bytes(&bytes)),
        status: row.try_get("status")?,
        canonical: row.try_get("canonical")?,
        code: word("code")?,
        upstream_code: word("upstream_code")?,
        delivery: word("delivery")?,
        attempts: row.try_get("attempts")?,
        queue_us: row.try_get("queue_us")?,
        upstream_us: row.try_get("upstream_us")?,
        total_us: row.try_get("total_us")?,
        cache: word("cache")?,
        limited_by: word("limited_by")?,
        limit_max: row.try_get("limit_max")?,
        limit_left: row.try_get("limit_left")?,
        generation: row.try_get("generation")?,
        user_agent: row.try_get("user_agent")?,
        cause: word("cause")?,
        would_refuse: row.try_get("would_refuse")?,
        actor: word("actor")?,
        before: document("before")?,
        after: document("after")?,
        payload: JournalPayload {
            destination: None,
            parameters: row.try_get("parameters")?,
            answer: row.try_get("answer")?,
        },
    })
}
