//! What goes away again: by age, by the room that it takes, and because somebody has to be forgotten.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use super::{first_id_at, sql};
use crate::{Store, StoreError};

/// Rows taken away in one transaction: a few milliseconds, for which a change of an access may have to wait.
pub(super) const CLEARED_AT_ONCE: u32 = 1000;

/// Bytes of answers taken away in one transaction, by and large: as many are written, since what is deleted is overwritten.
pub(super) const CLEARED_BYTES: i64 = 4 * 1024 * 1024;

/// How long rows are kept, and how much room they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long a row is kept.
    pub rows: Duration,
    /// How long its parameters and its answer are kept.
    pub payloads: Duration,
    /// Most that the store's file may hold besides receipts, in bytes.
    pub bytes: u64,
}

/// Why rows go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    Age,
    Size,
}

/// One clearing under way: its row, once there is one, and what it has taken away so far.
pub(super) struct Clearing {
    at_ms: i64,
    why: Why,
    row: Option<i64>,
    pub(super) rows: u64,
    pub(super) payloads: u64,
}

impl Store {
    /// Takes away what is too old; a row tells of it. What is left of it in the file is overwritten by [`Store::scrub`]. `now_ms`
    /// in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written. What has been taken away is told all the same.
    pub async fn clear_old(&self, now_ms: i64, retention: &Retention) -> Result<(), StoreError> {
        let before = |age: Duration| {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            first_id_at(now_ms.saturating_sub(age))
        };
        let below = (before(retention.rows), before(retention.payloads));
        let mut clearing = Clearing::new(now_ms, Why::Age);
        while self.clear_once(&mut clearing, below).await? {}
        Ok(())
    }

    /// Takes away the oldest rows and payloads below these numbers, as many as go at once; says whether there may be more.
    async fn clear_once(
        &self,
        clearing: &mut Clearing,
        (rows_below, payloads_below): (i64, i64),
    ) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let cut = first_beyond(&mut transaction, rows_below.max(payloads_below)).await?;
        let up_to = |below: i64| cut.map_or(below, |cut| below.min(cut));
        let (rows_below, payloads_below) = (up_to(rows_below), up_to(payloads_below));
        let rows = sqlx::query(
            "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE id < ? ORDER BY id LIMIT ?)",
        )
        .bind(rows_below)
        .bind(CLEARED_AT_ONCE)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        let payloads = sqlx::query(
            "DELETE FROM journal_payload
             WHERE id IN (SELECT id FROM journal_payload WHERE id < ? ORDER BY id LIMIT ?)",
        )
        .bind(payloads_below)
        .bind(CLEARED_AT_ONCE)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if rows + payloads == 0 {
            return Ok(false);
        }
        clearing.rows += rows;
        clearing.payloads += payloads;
        clearing.tell(&mut transaction).await?;
        transaction.commit().await?;
        self.edges_due().store(true, Ordering::Release);
        Ok(cut.is_some() || rows.max(payloads) == u64::from(CLEARED_AT_ONCE))
    }

    /// What the store's file holds besides receipts, which have room of their own, in bytes; pages that are free and will be
    /// filled again do not count.
    pub(super) async fn bytes_in_use(&self) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count),
             (SELECT page_size FROM pragma_page_size), (SELECT bytes FROM receipt_room WHERE client_id = '')",
        )
        .fetch_one(self.reader())
        .await?;
        let (pages, size, receipts): (i64, i64, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(u64::try_from(pages.saturating_mul(size) - receipts).unwrap_or(0))
    }
}

impl Clearing {
    pub(super) fn new(at_ms: i64, why: Why) -> Clearing {
        Clearing {
            at_ms,
            why,
            row: None,
            rows: 0,
            payloads: 0,
        }
    }

    /// Writes or rewrites its row, in the transaction that took something away.
    pub(super) async fn tell(
        &mut self,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let cause = format!(
            "{} rows and {} payloads, by {}",
            self.rows,
            self.payloads,
            match self.why {
                Why::Age => "age",
                Why::Size => "size",
            }
        );
        if let Some(id) = self.row {
            let update = sqlx::query("UPDATE journal SET cause = ? WHERE id = ?");
            update.bind(cause).bind(id).execute(connection).await?;
            return Ok(());
        }
        let told = ("clearing", "housekeeping", cause);
        self.row = Some(tell(connection, self.at_ms, told).await?);
        Ok(())
    }
}

/// The first payload before this one that does not go with the oldest, whose answers together are large.
async fn first_beyond(
    connection: &mut SqliteConnection,
    below: i64,
) -> Result<Option<i64>, StoreError> {
    let first = sqlx::query(
        "SELECT id FROM (
             SELECT id, bytes, sum(bytes) OVER (ORDER BY id) AS with_it FROM (
                 SELECT id, coalesce(octet_length(answer), 0) AS bytes FROM journal_payload
                 WHERE id < ? ORDER BY id LIMIT ?))
         WHERE with_it - bytes >= ? ORDER BY id LIMIT 1",
    );
    let first = first.bind(below).bind(CLEARED_AT_ONCE).bind(CLEARED_BYTES);
    let first = first.fetch_optional(connection).await?;
    Ok(first.map(|row| row.try_get("id")).transpose()?)
}

/// Writes a row about the journal itself, and gives its number.
pub(crate) async fn tell(
    connection: &mut SqliteConnection,
    at_ms: i64,
    (kind, actor, cause): (&str, &str, String),
) -> Result<i64, StoreError> {
    let id = sql::next_id(connection, at_ms).await?;
    sqlx::query("INSERT INTO journal (id, kind, open, actor, cause) VALUES (?, ?, 0, ?, ?)")
        .bind(id)
        .bind(kind)
        .bind(actor)
        .bind(cause)
        .execute(connection)
        .await?;
    Ok(id)
}
