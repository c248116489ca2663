//! Rows on their way out of the tables, and those on their way into them that come with something else.

use std::borrow::Cow;

use aws_lc_rs::hmac;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{Calls, JournalKind, JournalPayload, JournalRow, address, first_id_at};
use crate::StoreError;

/// Bytes of the hash of a destination that are kept: enough that no two of a gateway's destinations share one.
const DESTINATION_BYTES: usize = 16;

/// Reads whole rows; what follows has to name them by `j.id`.
pub(super) const SELECT: &str = "SELECT j.*, p.parameters, p.answer, c.before, c.after FROM journal j \
     LEFT JOIN journal_payload p ON p.id = j.id LEFT JOIN changes c ON c.id = j.change";

/// The number that the next row gets, of the first one of its time: above every number before it, whatever the clock does.
pub(super) const NEXT_ID: &str = "SELECT max(coalesce((SELECT max(id) FROM journal), 0) + 1, ?)";

/// The number that the next row gets at this time.
pub(super) async fn next_id(
    connection: &mut SqliteConnection,
    at_ms: i64,
) -> Result<i64, StoreError> {
    let row = sqlx::query(NEXT_ID)
        .bind(first_id_at(at_ms))
        .fetch_one(connection)
        .await?;
    Ok(row.try_get(0)?)
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
pub(crate) fn hashed(key: &hmac::Key, destination: &str) -> Vec<u8> {
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
        count: Calls(row.try_get::<i64, _>("count")?.unsigned_abs()),
        request_id: row.try_get("request_id")?,
        caller_request_id: row.try_get("caller_request_id")?,
        trace_id: row.try_get("trace_id")?,
        way: word("way")?,
        access: row.try_get("access")?,
        method: word("method")?,
        http_method: word("http_method")?,
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
        before: document("before")?.map(Box::new),
        after: document("after")?.map(Box::new),
        payload: JournalPayload {
            destination: None,
            parameters: row.try_get("parameters")?,
            answer: row.try_get("answer")?,
        },
    })
}
